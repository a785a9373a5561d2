"""The tasks that run now, from describe-tasks: what runs on which instance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from stowplan.experiments.loading.aws_definitions import revision_of
from stowplan.experiments.loading.aws_draft import Row
from stowplan.experiments.loading.aws_fleet import name_of
from stowplan.experiments.loading.aws_groups import FARGATE
from stowplan.experiments.loading.aws_item import Notes
from stowplan.experiments.loading.aws_output import AwsOutput

_ENDING = ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED")
_SERVICE = "service:"


@dataclass(frozen=True)
class Running:
    """A task that is to go on: on which container instance, of which service ("": of none)."""

    instance: str
    revision: str
    service: str
    group: str


def running_tasks(output: AwsOutput, notes: Notes) -> list[Running]:
    """The tasks on instances, those that were started first ahead; of others it is noted."""
    found = []
    names = {i.text("containerInstanceArn"): name_of(i) for i in output.all("container instance")}
    for item in sorted(output.all("task"), key=lambda each: str(each.body.get("startedAt") or "~")):
        name, status = item.text("taskArn").rpartition("/")[2], item.text("lastStatus", "RUNNING")
        if item.text("capacityProviderName") in FARGATE or item.text("launchType", "EC2") != "EC2":
            continue
        if status in _ENDING or item.text("desiredStatus") == "STOPPED":
            if status != "STOPPED":
                notes.add("tasks left out, as they are being stopped", name)
            continue
        if status != "RUNNING":
            notes.add("tasks that are not RUNNING yet: on an instance they count as running", name)
        arn, group = item.text("containerInstanceArn"), item.text("group")
        service = group.removeprefix(_SERVICE) if group.startswith(_SERVICE) else ""
        revision = revision_of(item.text("taskDefinitionArn"))
        found.append(Running(names.get(arn, ""), revision, service, group))
        if arn and arn not in names:
            what = "tasks on container instances that were not found: they are placed anew"
            notes.add(what, f"{name} on {arn.rpartition('/')[2]}")
    if not found:
        notes.add("no running tasks found (aws ecs describe-tasks): only services count")
    return found


def standalone(tasks: Collection[Running]) -> Counter[tuple[str, str]]:
    """(`family:revision`, group) -> how many tasks of no service."""
    return Counter((each.revision, each.group) for each in tasks if not each.service)


def running_of(
    tasks: Collection[Running],
    there: Collection[str],
    services: Mapping[str, str],
    names: Mapping[str, str],
    notes: Notes,
) -> tuple[list[Row], Counter[tuple[str, str]]]:
    """A row for each instance with tasks, and the standalone tasks that are on none.

    Args:
        there: the instances that the scenario names.
        services: those of the scenario, with the definition that each is to run.
        names: `family:revision` -> the name in the scenario.
    """
    rows: dict[str, tuple[Counter[str], Counter[str]]] = {}
    rest: Counter[tuple[str, str]] = Counter()
    for each in tasks:
        known = each.service in services if each.service else each.revision in names
        if not known or each.instance not in there:
            if not each.service:
                rest[each.revision, each.group] += 1
            if each.instance and each.instance not in there:
                what = "tasks on instances that the scenario does not have: they are placed anew"
                notes.add(what, each.instance)
            continue
        of_services, others = rows.setdefault(each.instance, (Counter(), Counter()))
        if not each.service:
            others[names[each.revision]] += 1
            if each.group != f"family:{each.revision.partition(':')[0]}":
                what = "standalone tasks with groups of their own: they have their family's"
                notes.add(what, each.group)
            continue
        of_services[each.service] += 1
        if names.get(each.revision) != services[each.service]:
            what = "tasks of other revisions than their services': they count as of the same"
            notes.add(what, f"{each.service} ({each.revision})")
    return [_row(name, *of) for name, of in rows.items()], rest


def _row(instance: str, services: Counter[str], others: Counter[str]) -> Row:
    values: dict[str, object] = {"instance": instance}
    if services:
        values["services"] = dict(services)
    if others:
        values["standalone"] = dict(others)
    return Row(values)
