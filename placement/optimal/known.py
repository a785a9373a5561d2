"""Fleets of earlier answers, by names: a solve that begins with them never ends dearer.

What is known names types, zones and services, and no dimension of the packing problem, for these
are others where other types are on offer. A fleet counts just where all of it is still on offer
and still holds what is asked for: so an answer for a part of the offers serves for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from stowplan.placement.optimal.asked import TaskSet
from stowplan.placement.optimal.plan import Plan

TaskName = tuple[str, str, int]  # owner, definition, and which of the task sets of both


@dataclass(frozen=True)
class KnownInstances:
    """Equal instances of a fleet, with the tasks on each copy."""

    instance_type: str
    purchase: str
    zone: str
    copies: int
    tasks: tuple[tuple[TaskName, int], ...]


KnownFleet = tuple[KnownInstances, ...]


def known_fleet(plan: Plan) -> KnownFleet:
    """The fleet of a plan, to begin a later solve with."""
    names = task_names(plan.tasks)
    return tuple(
        KnownInstances(
            line.instance_type, line.purchase, line.zone, line.copies,
            tuple((names[index], n) for index, n in line.tasks),
        )
        for line in plan.instances
    )  # fmt: skip


def task_names(tasks: Sequence[TaskSet]) -> list[TaskName]:
    """A name for each task set that another solve gives it as well."""
    seen: Counter[tuple[str, str]] = Counter()
    names = []
    for each in tasks:
        of = each.owner, each.definition
        names.append((*of, seen[of]))
        seen[of] += 1
    return names
