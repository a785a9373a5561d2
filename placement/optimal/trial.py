"""Every plan is tried out on the engine: would ECS, left alone, get there?

Twice: each task by its own strategies in the order of the calls, as ECS would place them; and each
task on the instance that the plan has for it. Neither reads anything of the solvers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np

from stowplan.placement.callers.client import Arrival
from stowplan.placement.engine.batch import TaskBatch
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import AVAILABILITY_ZONE, InstanceStatus, TaskKind
from stowplan.placement.optimal.answer import Trial
from stowplan.placement.optimal.asked import Asked, asked
from stowplan.placement.optimal.asked_over_time import AskedOverTime, asked_over_time
from stowplan.placement.optimal.demand import empty_cluster, limit_per_instance, start_daemons
from stowplan.placement.optimal.over_time_demand import problem_and_rows
from stowplan.placement.optimal.plan import Plan, PlannedInstances
from stowplan.placement.outlook import Running
from stowplan.placement.packing.over_time.plan import OverTimePlan
from stowplan.placement.packing.problem import IntArray
from stowplan.placement.scenario.scenario import InstanceSpec, Scenario, instance_specs
from stowplan.placement.strategies.protocol import StrategyFactory

Factories = Mapping[str, StrategyFactory]


def try_plan(
    plan: Plan,
    scenario: Scenario,
    calls: Sequence[Arrival],
    strategies: Factories,
    *,
    given: bool,
) -> Trial:
    """A plan of all tasks at once, on the whole fleet where it is `given`, else as bought."""
    wanted = asked(calls, scenario.optimize, scenario.duration)
    specs = instance_specs(scenario) if given else _bought(plan.instances)
    rows = _rows_of_lines(plan, specs) if given else None
    engine = Engine(empty_cluster(specs), np.random.default_rng(scenario.seed), strategies)
    start_daemons(engine, wanted.daemons)
    placed = _placed_by_strategy(engine, wanted)
    left = _left(wanted, placed)
    return Trial(
        {owner: n for owner, n in left.items() if n},
        _left_by_places(plan, specs, rows, strategies),
        _by_owner(plan, plan.left_out.items()),
        len(np.unique(placed[placed >= 0])),
        plan.count,
    )


def try_over_time(
    plan: OverTimePlan, scenario: Scenario, calls: Sequence[Arrival], strategies: Factories
) -> Trial:
    """A plan over time, on all of its instances from the start; `cost` is of busy time."""
    wanted = asked_over_time(calls, scenario.duration, scenario.optimize.tasks)
    if not wanted.ran:
        return Trial({}, {}, {}, 0, 0, 0, 0)
    fleet = instance_specs(scenario)
    prices = [spec.price_microusd_hour for spec in fleet]
    _, rows = problem_and_rows(
        empty_cluster(fleet), prices, wanted.kinds, wanted.ran,
        limited=False, daemons=wanted.daemons,
    )  # fmt: skip
    specs = [
        replace(fleet[row], name=f"i-{number:017x}")
        for number, row in enumerate(rows[plan.types].tolist())
    ]
    by_strategy = _lived(wanted, specs, None, scenario.seed, strategies)
    by_places = _lived(wanted, specs, plan.instance.tolist(), scenario.seed, strategies)
    return Trial(
        by_strategy[0], by_places[0], {}, by_strategy[1], by_places[1],
        by_strategy[2], by_places[2],
    )  # fmt: skip


def try_draining(
    engine: Engine,
    running: Iterable[Running],
    freed: Iterable[int],
    waiting: Iterable[TaskKind] = (),
) -> Trial:
    """What ECS does by itself in place of a plan of moves: the instances to be freed are drained.

    Tasks that wait look for room as things are. Standalone tasks are never moved by ECS.
    """
    cluster = engine.cluster.copy()
    trying = engine.on(cluster)
    gone = set(freed)
    for row in gone:
        cluster.set_status(row, InstanceStatus.DRAINING)
    left: Counter[str] = Counter()
    for task in running:
        if task.row not in gone or task.daemon:
            continue
        placed = task.kind.group.startswith("service:") and trying.fill(task.kind, 1).rows
        if placed:
            cluster.release(task.kind, task.row, task.devices)
        else:
            left[task.kind.group] += 1
    for kind in waiting:
        left[kind.group] += not trying.fill(kind, 1).rows
    return Trial(dict(+left), {}, {}, 0, 0, drained=True)


def _bought(lines: Iterable[PlannedInstances]) -> list[InstanceSpec]:
    """An instance for each copy of each line; those that may stand anywhere are dealt over zones.

    They are dealt type by type, so that ECS meets the zones as even as they can be bought.
    """
    zones: dict[tuple[str, ...], Iterator[str]] = {}
    specs: list[InstanceSpec] = []
    for line in lines:
        if len(line.zones) > 1 and line.zones not in zones:
            zones[line.zones] = cycle(line.zones)
        for _ in range(line.copies):
            spec = replace(line.spec, name=f"i-{len(specs):017x}")
            if len(line.zones) > 1:
                attributes = {**spec.attributes, AVAILABILITY_ZONE: next(zones[line.zones])}
                spec = replace(spec, attributes=attributes)
            specs.append(spec)
    return specs


def _rows_of_lines(plan: Plan, specs: Sequence[InstanceSpec]) -> list[int]:
    """The row of each copy of each line, one line after the other."""
    row_of = {spec.name: row for row, spec in enumerate(specs)}
    return [row_of[name] for line in plan.instances for name in line.names]


def _placed_by_strategy(engine: Engine, wanted: Asked) -> IntArray:
    """(tasks,) the row of each task in the order of the calls, -1 where it finds no room."""
    if not wanted.order:
        return np.zeros(0, np.int64)
    index = np.repeat(*np.array(wanted.order, np.int64).T).astype(np.int32)
    kinds = tuple(each.kind for each in wanted.tasks)
    return engine.place(TaskBatch(kinds, index)).instances


def _left(wanted: Asked, placed: IntArray) -> Counter[str]:
    """Tasks without a place by owner."""
    left: Counter[str] = Counter()
    at = 0
    for index, count in wanted.order:
        left[wanted.tasks[index].owner] += int((placed[at : at + count] < 0).sum())
        at += count
    return left


def _left_by_places(
    plan: Plan,
    specs: Sequence[InstanceSpec],
    rows: Sequence[int] | None,
    strategies: Factories,
) -> dict[str, int]:
    """Tasks by owner that the engine refuses on the instance that the plan has for them."""
    engine = Engine(empty_cluster(specs), np.random.default_rng(0), strategies, kernels=False)
    start_daemons(engine, plan.daemons)
    limits = [limit_per_instance(engine, each.kind) or len(specs) + 1 for each in plan.tasks]
    refused: list[tuple[int, int]] = []
    at = 0
    for line in plan.instances:
        first = sorted(line.tasks, key=lambda each: limits[each[0]])
        for _ in range(line.copies):
            row = at if rows is None else rows[at]
            at += 1
            for index, count in first:
                kind = plan.tasks[index].kind
                failed = sum(bool(engine.place_on(kind, row).failure) for _ in range(count))
                refused.append((index, failed))
    return _by_owner(plan, refused)


def _by_owner(plan: Plan, counts: Iterable[tuple[int, int]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for index, count in counts:
        found[plan.tasks[index].owner] += count
    return dict(+found)


def _lived(
    wanted: AskedOverTime,
    specs: Sequence[InstanceSpec],
    places: Sequence[int] | None,
    seed: int,
    strategies: Factories,
) -> tuple[dict[str, int], int, int]:
    """Play all tasks in order of time: (left without a place by group, instances, cost).

    Args:
        places: the instance of each task; None: as its strategies choose.
    """
    engine = Engine(empty_cluster(specs), np.random.default_rng(seed), strategies)
    start_daemons(engine, wanted.daemons)
    changes = [
        (at_ms, starts, task)
        for task, (_, start_ms, end_ms) in enumerate(wanted.ran)
        for starts, at_ms in enumerate((end_ms, start_ms))
        if end_ms > start_ms
    ]
    left: Counter[str] = Counter()
    row_of: dict[int, int] = {}
    held, since, cost = [0] * len(specs), [0] * len(specs), 0
    for at_ms, starts, task in sorted(changes):
        kind = wanted.kinds[wanted.ran[task][0]]
        if not starts:
            row = row_of.pop(task, None)
            if row is not None:
                engine.release(kind, [row])
                held[row] -= 1
                busy_ms = 0 if held[row] else at_ms - since[row]
                cost += busy_ms * specs[row].price_microusd_hour
            continue
        rows = (
            engine.fill(kind, 1).rows
            if places is None
            else engine.place_on(kind, places[task]).rows
        )
        left[kind.group] += not rows
        for row in rows:
            row_of[task] = row
            since[row] = since[row] if held[row] else at_ms
            held[row] += 1
    return dict(+left), len(specs), cost
