"""The plan of the goals that place tasks at once, and its check on a fresh cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from stowplan.placement.engine.engine import Engine
from stowplan.placement.optimal.asked import TaskSet
from stowplan.placement.optimal.demand import empty_cluster, limit_per_instance
from stowplan.placement.packing.verify import BrokenPackingError
from stowplan.placement.scenario.scenario import InstanceSpec


@dataclass(frozen=True)
class PlannedInstances:
    """Equal instances with equal content.

    Args:
        spec: one of them, as it would register; its price is the one that was asked for.
        copies: how many; `names` has their names where they are given instances.
        tasks: (index into the plan's task sets, tasks of it on each copy), by index.
        zones: in any of which a copy may stand, where they are alike; empty: as `spec` says.
        daemons: indices into the plan's daemons, of those with a task on each copy.
    """

    spec: InstanceSpec
    copies: int
    tasks: tuple[tuple[int, int], ...]
    instance_type: str
    zone: str
    purchase: str = "on-demand"
    names: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    daemons: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Which tasks go where; `left_out` has the number of tasks without a place by task set.

    `daemons`, in the order in which ECS starts them, come on top of `tasks`.
    """

    tasks: tuple[TaskSet, ...]
    instances: tuple[PlannedInstances, ...]
    left_out: Mapping[int, int] = field(default_factory=dict)
    daemons: tuple[TaskSet, ...] = ()

    def without(self, daemon: int) -> int:
        """Instances of the plan that a daemon may use, as far as attributes go, but lacks room."""
        copies = 0
        for line in self.instances:
            engine = Engine(empty_cluster([line.spec]), np.random.default_rng(0), kernels=False)
            meant = engine.fixed_mask(self.daemons[daemon].kind)[0]
            copies += line.copies * bool(meant and daemon not in line.daemons)
        return copies

    @property
    def price_microusd_hour(self) -> int:
        """Of all instances that the plan uses."""
        return sum(line.copies * line.spec.price_microusd_hour for line in self.instances)

    @property
    def count(self) -> int:
        """Instances that the plan uses."""
        return sum(line.copies for line in self.instances)


def check_plan(plan: Plan, given: Sequence[InstanceSpec] = ()) -> None:
    """Book every task in a fresh cluster through the engine, and count that none is missing.

    Instances do not constrain each other, so one copy of each line is booked; that the others are
    as good is looked up by what lasts, attributes and the like.

    Args:
        given: all instances that there are, where the plan names them; else a line is on one of
            its own, as it would register.
    Raises:
        BrokenPackingError: a bug of the solver, with the engine's reason.
    """
    specs = given or [replace(line.spec, name=f"line-{n}") for n, line in enumerate(plan.instances)]
    engine = Engine(empty_cluster(specs), np.random.default_rng(0), kernels=False)
    row_of = {spec.name: row for row, spec in enumerate(specs)}
    placed = [0] * len(plan.tasks)
    order = [limit_per_instance(engine, each.kind) for each in plan.tasks]
    for number, line in enumerate(plan.instances):
        rows = [row_of[name] for name in (line.names if given else (f"line-{number}",))]
        if line.copies < 1 or (line.names and len(line.names) != line.copies):
            raise BrokenPackingError(f"{line.copies} copies of {line.names}")
        _check_daemons(plan, line, engine, rows[0])
        # as ECS looks at a limit when a task starts, those with the lowest start first
        for index, n in sorted(line.tasks, key=lambda each: _first(order[each[0]])):
            placed[index] += n * line.copies
            for _ in range(n):
                failure = engine.place_on(plan.tasks[index].kind, rows[0]).failure
                if failure is not None:
                    task = plan.tasks[index]
                    raise BrokenPackingError(f"{task.owner} ({task.definition}): {failure.reason}")
            if not engine.fixed_mask(plan.tasks[index].kind)[rows].all():
                raise BrokenPackingError(f"{plan.tasks[index].owner}: not on all of {line.names}")
    names = [name for line in plan.instances for name in line.names]
    if len(set(names)) != len(names):
        raise BrokenPackingError("an instance is used twice")
    for index, each in enumerate(plan.tasks):
        total = placed[index] + plan.left_out.get(index, 0)
        if total != each.count or placed[index] > each.count:
            raise BrokenPackingError(f"{each.owner}: {total} of {each.count} tasks in the plan")


def _check_daemons(plan: Plan, line: PlannedInstances, engine: Engine, row: int) -> None:
    """ECS starts daemons before all else, one after the other, where there is room."""
    started = [
        index
        for index, daemon in enumerate(plan.daemons)
        if engine.place_on(daemon.kind, row).failure is None
    ]
    if tuple(started) != line.daemons:
        raise BrokenPackingError(f"daemons {line.daemons} planned, ECS would start {started}")


def _first(limit: int | None) -> tuple[bool, int]:
    return (limit is None, limit or 0)


def zone_counts(plan: Plan, owners: Sequence[str]) -> dict[str, dict[str, int]]:
    """Tasks of each owner by zone."""
    counts: dict[str, dict[str, int]] = {owner: {} for owner in owners}
    for line in plan.instances:
        for index, n in line.tasks:
            of = counts[plan.tasks[index].owner]
            of[line.zone] = of.get(line.zone, 0) + n * line.copies
    return counts
