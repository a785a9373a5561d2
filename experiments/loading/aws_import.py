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
from stowplan.experiments.loading.aws_item import Item, Notes
from stowplan.experiments.loading.aws_output import AwsOutput, chosen_cluster, read_output
from stowplan.experiments.loading.aws_running import running_of, running_tasks, standalone
from stowplan.experiments.loading.aws_services import (
    Known,
    definition_of,
    eni_counts,
    on_instances,
    services_of,
    strategy_items,
    workloads_of,
)
from stowplan.experiments.loading.catalogue import HOME_REGION, regions
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
    services, tasks = on_instances(output, notes), running_tasks(output, notes)
    used = {definition_of(each) for each in services}
    used |= {revision for revision, _ in standalone(tasks)}
    definitions = read_definitions(output, used)
    if unused := len(output.all("definition")) - len(definitions):
        notes.add(f"task definitions left out, as nothing on instances uses them: {unused}")
    machines = machines_of(output, _wanted(services, definitions), notes)
    draft = Draft(name or "imported", notes)
    draft.region = _region(output, notes)
    region = draft.region or HOME_REGION
    draft.types = types_of(machines, _enis(output, machines), region, notes)
    draft.providers = providers_of(output, machines, draft.types, notes)
    providers = [row.values["name"] for row in draft.providers]
    draft.fleet = fleet_of(machines, providers, notes)
    at_all = {*providers, *(each.provider for each in machines)} - {""}
    for item in output.all("cluster"):
        key = "defaultCapacityProviderStrategy"
        draft.default_strategy += strategy_items(item, key, at_all, notes)
    names = short_names(definitions)
    awsvpc = {each for each, (_, d) in definitions.items() if d.network_mode == "awsvpc"}
    known = Known(
        *(_zones(machines, output), at_all, names, awsvpc, bool(draft.default_strategy)),
        target_groups=output.found.get("target group", {}),
    )
    draft.services = services_of(services, known, notes)
    taken = {row.values["name"] for row in draft.services}
    of = {row.values["name"]: row.values["task_definition"] for row in draft.services}
    draft.running, rest = running_of(tasks, _named(draft), of, names, notes)
    draft.workloads = workloads_of(rest, names, taken, notes)
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


def _named(draft: Draft) -> set[str]:
    """The instances that the scenario calls by their ids."""
    names = {name for row in draft.fleet for name in row.values["ec2_instance_ids"]}
    there = [each for row in draft.providers for each in row.values.get("instances", ())]
    return names | {each["ec2_instance_id"] for each in there}


def _region(output: AwsOutput, notes: Notes) -> str:
    """Of the ARNs; "" where they are of several, or of one whose prices are not known."""
    arns = [i.text("containerInstanceArn") for i in output.all("container instance")]
    arns += [i.text("serviceArn") for i in output.all("service")]
    found = {arn.split(":")[3] for arn in arns if arn.count(":") > 4} - {""}
    if len(found) == 1 and found <= {*regions()}:
        return found.pop()
    if found:
        what = f"prices are those of {HOME_REGION}, as the files are of several regions, or of one "
        notes.add(what + "whose prices are not known", *sorted(found))
    return ""


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
        parts = {"service": draft.services, "workload": draft.workloads, "running": draft.running}
        rows = parts.get(key)
        number = index.partition("]")[0]
        if rows is None or not number.isdecimal():
            return False
        taken.append((rows, int(number), what))
    gone = {id(part[at]) for part, at, _ in taken}
    for part, at, what in taken:
        values = part[at].values
        draft.notes.add(f"left out, as {what}", values.get("name") or values["instance"])
    draft.services[:] = [row for row in draft.services if id(row) not in gone]
    draft.workloads[:] = [row for row in draft.workloads if id(row) not in gone]
    draft.running[:] = [row for row in draft.running if id(row) not in gone]
    _forget(draft)
    used = {row.values["task_definition"] for row in (*draft.services, *draft.workloads)}
    used.update(*(row.values.get("standalone", ()) for row in draft.running))
    draft.definitions = {name: each for name, each in draft.definitions.items() if name in used}
    return True


def _forget(draft: Draft) -> None:
    """Take out what runs of services that are not there any more."""
    there = {row.values["name"] for row in draft.services}
    for row in draft.running:
        services = row.values.get("services", {})
        row.values["services"] = {name: n for name, n in services.items() if name in there}
