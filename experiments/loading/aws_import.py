"""From saved output of `aws ... describe-*` to a scenario: what is there, and what was assumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from stowplan.experiments.loading.aws_definitions import (
    document_of,
    read_definitions,
    short_names,
)
from stowplan.experiments.loading.aws_draft import Draft, Row
from stowplan.experiments.loading.aws_fleet import Machine, fleet_of, machines_of, types_of
from stowplan.experiments.loading.aws_groups import providers_of
from stowplan.experiments.loading.aws_item import Item
from stowplan.experiments.loading.aws_output import AwsOutput, chosen_cluster, read_output
from stowplan.experiments.loading.aws_services import (
    Known,
    definition_of,
    eni_counts,
    on_instances,
    services_of,
    standalone,
    strategy_items,
    workloads_of,
)
from stowplan.placement.errors import SpecError
from stowplan.placement.model import TaskDefinition


def import_cluster(
    paths: Iterable[Path], cluster: str = "", with_environment: bool = False
) -> Draft:
    """The cluster in these files and folders, as a scenario would say it.

    Args:
        cluster: which, where the files are of several.
        with_environment: values of variables and secrets stay in the task definitions.
    Raises:
        SpecError: naming every problem with file and place.
    """
    output = read_output(paths)
    notes = output.notes
    name = "" if output.problems else chosen_cluster(output, cluster)
    services, tasks = on_instances(output, notes), standalone(output, notes)
    used = {definition_of(each) for each in services} | {revision for revision, _ in tasks}
    definitions = read_definitions(output, used)
    if unused := len(output.all("definition")) - len(definitions):
        notes.add(f"task definitions left out, as nothing on instances uses them: {unused}")
    machines = machines_of(output, _wanted(services, definitions), notes)
    draft = Draft(name or "imported", notes)
    draft.types = types_of(machines, _enis(output, machines), notes)
    draft.providers = providers_of(output, machines, draft.types, notes)
    providers = [row.values["name"] for row in draft.providers]
    draft.fleet = fleet_of(machines, providers, notes)
    at_all = {*providers, *(each.provider for each in machines)} - {""}
    for item in output.all("cluster"):
        key = "defaultCapacityProviderStrategy"
        draft.default_strategy += strategy_items(item, key, at_all, notes)
    names = short_names(definitions)
    awsvpc = {each for each, (_, d) in definitions.items() if d.network_mode == "awsvpc"}
    known = Known(_zones(machines, output), at_all, names, awsvpc, bool(draft.default_strategy))
    draft.services = services_of(services, known, notes)
    taken = {row.values["name"] for row in draft.services}
    draft.workloads = workloads_of(tasks, names, taken, notes)
    for revision, short in names.items():
        draft.definitions[short] = document_of(definitions[revision][1], with_environment)
    if not output.problems and not draft.fleet and not draft.providers:
        output.problems.append(("fleet", f"nothing to run on was found: {_found(output)}"))
    if output.problems:
        raise SpecError(list(dict.fromkeys(output.problems)))
    return draft


def _found(output: AwsOutput) -> str:
    counts = [f"{len(items)} of kind {kind}" for kind, items in output.found.items() if items]
    return ", ".join(counts) or "the files hold no objects"


def _wanted(
    services: list[Item], definitions: Mapping[str, tuple[Item, TaskDefinition]]
) -> set[str]:
    """The attributes that constraints, strategies and task definitions name."""
    said = [str(each.body.get("placementConstraints")) for each in services]
    said += [str(each.body.get("placementStrategy")) for each in services]
    wanted: set[str] = set()
    for _, definition in definitions.values():
        wanted |= {name.partition("=")[0] for name in definition.requires_attributes}
        said += [each.expression or "" for each in definition.placement_constraints]
    for text in said:
        words = text.split("attribute:")[1:]
        wanted |= {word.split()[0].strip("'\"(){},") for word in words if word.strip()}
    return wanted


def _enis(output: AwsOutput, machines: list[Machine]) -> dict[str, int]:
    """Type -> tasks with an interface of their own that run on one of its instances at most."""
    counts, most = eni_counts(output), dict[str, int]()
    kinds = {each.name: each.type for each in machines}
    for item in output.all("container instance"):
        kind = kinds.get(item.text("ec2InstanceId"), "")
        most[kind] = max(most.get(kind, 0), counts.get(item.text("containerInstanceArn"), 0))
    return most


def _zones(machines: list[Machine], output: AwsOutput) -> dict[str, str]:
    """Subnet -> zone, of what runs in it."""
    zones = {each.subnet: each.zone for each in machines if each.subnet}
    for item in output.all("instance"):
        zone = item.inner("Placement").text("AvailabilityZone")
        if item.text("SubnetId") and zone:
            zones[item.text("SubnetId")] = zone
    return zones


def without(draft: Draft, problems: Iterable[tuple[str, str]]) -> bool:
    """Take services and workloads out that no scenario can have as they are; whether all problems
    are of such. What is wrong with each is noted.

    Args:
        problems: (place in the scenario's file, what), as the loader reports them.
    """
    taken: list[tuple[list[Row], int, str]] = []
    for place, what in problems:
        key, _, index = place.rpartition(": ")[2].partition("[")
        rows = {"service": draft.services, "workload": draft.workloads}.get(key)
        number = index.partition("]")[0]
        if rows is None or not number.isdecimal():
            return False
        taken.append((rows, int(number), what))
    gone = {id(part[at]) for part, at, _ in taken}
    for part, at, what in taken:
        draft.notes.add(f"left out, as {what}", part[at].values["name"])
    draft.services[:] = [row for row in draft.services if id(row) not in gone]
    draft.workloads[:] = [row for row in draft.workloads if id(row) not in gone]
    used = {row.values["task_definition"] for row in (*draft.services, *draft.workloads)}
    draft.definitions = {name: each for name, each in draft.definitions.items() if name in used}
    return True
