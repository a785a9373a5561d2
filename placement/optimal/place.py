"""Goal `placement`: all tasks at once on the given fleet, by a mix of what may be preferred.

Instances that are alike are one type of `solve_fleet`, as many as there are; a task that is left
out stands in a bin of its own, at the price of leaving it out. Its bound holds for every placement,
since evenness over zones only adds to the cost. Which zone each bin goes to is decided next, by
CP-SAT. What is small is tried as a whole by CP-SAT, before that for a short time and after it with
all that is left: no way may use up the time of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stowplan.placement.callers.client import Arrival
from stowplan.placement.model import AVAILABILITY_ZONE, INSTANCE_TYPE, PlacementStrategy
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.asked import asked
from stowplan.placement.optimal.ground import Content, Ground, ground_of, staffed
from stowplan.placement.optimal.offers import reasons_against, reasons_short
from stowplan.placement.optimal.place_exact import (
    FIRST_WAYS,
    LAST_WAYS,
    Bins,
    Way,
    deal_over_zones,
    is_small,
    place_exactly,
)
from stowplan.placement.optimal.plan import Plan, PlannedInstances, check_plan
from stowplan.placement.packing.fleet.problem import BinType, FleetProblem, FleetResult
from stowplan.placement.packing.fleet.shares import split_evenly
from stowplan.placement.packing.fleet.solve import solve_fleet
from stowplan.placement.packing.problem import (
    BoolArray,
    IntArray,
    Limits,
    Progress,
    ProgressCallback,
)
from stowplan.placement.packing.state import Budget, Solve
from stowplan.placement.scenario.scenario import Scenario

UNIT = "points"
COLUMNS_SHARE = 0.6  # of what is then left, for bins by columns; the rest is for what follows
DEALING_SHARE = 0.3  # again of what is left, for the zone of each bin


class _Best(Solve):
    """Best placement and bound so far."""

    def __init__(self, ground: Ground, budget: Budget, progress: ProgressCallback | None) -> None:
        super().__init__(budget, progress)
        self.ground = ground
        self.content: Content | None = None
        self.points: int | None = None
        self.interrupted = False

    @property
    def incumbent(self) -> int | None:
        """The points of the best placement."""
        return self.points

    def offer(self, content: Content) -> None:
        """Take a placement if it costs less."""
        points = self.ground.points(content)
        if self.points is None or points < self.points:
            self.content, self.points = content, points
            self.record()


def best_placement(
    scenario: Scenario,
    calls: Sequence[Arrival],
    limits: Limits,
    progress: ProgressCallback | None = None,
) -> Answer[Plan]:
    """The placement of all tasks at once that costs least by `optimize.objective`."""
    ground = ground_of(scenario, asked(calls, scenario.optimize, scenario.duration))
    best = _Best(ground, Budget(limits), progress)
    reasons: tuple[str, ...] = ()
    if ground.penalty is None:
        reasons = reasons_against(ground.tasks, ground.encoded, staffed(ground), "the fleet")
    if not reasons:
        reasons = _solve(best)
    if reasons:
        return Answer("placement", UNIT, "infeasible", None, 0, None, reasons)
    plan = None
    if best.content is not None:
        plan = _plan(ground, best.content)
        check_plan(plan, ground.specs)
    return Answer(
        "placement", UNIT,
        "optimal" if best.proven() else "unknown" if plan is None else "feasible",
        best.points, best.lower_bound, plan, (), best.budget.seconds(), best.interrupted,
        tuple(best.log),
    )  # fmt: skip


def _solve(best: _Best) -> tuple[str, ...]:
    """Improve `best` until proven or out of time; returns why there can be no placement."""
    ground = best.ground
    # One task left out takes at most one point of spread away, so with that much off the penalty
    # what evenness costs at least holds for every placement.
    penalty = ground.penalty
    forced = ground.spread * ground.forced_spread()
    if forced and penalty is not None:
        if penalty.min() >= ground.spread:
            penalty = penalty - ground.spread
        else:
            forced = 0

    packed = _packed(ground)
    if ground.penalty is not None or (packed.sum(axis=0) == ground.encoded.counts).all():
        best.offer(packed)
    try:
        reasons = _exactly(best, FIRST_WAYS)
        if not reasons and not best.proven():
            reasons = _by_columns(best, penalty, forced)
        return reasons or _exactly(best, LAST_WAYS)
    except KeyboardInterrupt:
        best.interrupted = True
    return ()


def _exactly(best: _Best, ways: Sequence[Way]) -> tuple[str, ...]:
    """Every instance by itself, in these ways until one proves; returns why there is no plan."""
    for way in ways if is_small(best.ground) else ():
        if best.finished():
            break
        budget = best.budget.part(way.share, way.work)
        found = place_exactly(best.ground, best.content, best.lower_bound, budget, way)
        best.budget.spend(1e6 * budget.work)
        if found.infeasible:
            return _too_little_room(best.ground, range(len(best.ground.tasks)))
        if found.content is not None:
            best.offer(found.content)
        best.raise_bound(found.bound)
    return ()


def _by_columns(best: _Best, penalty: IntArray | None, forced: int) -> tuple[str, ...]:
    """Bins of `solve_fleet`, dealt over the zones; returns why there can be no placement.

    Args:
        forced: points that evenness costs at least, of which `penalty` allows for one task's.
    """
    ground = best.ground

    def report(entry: Progress) -> None:
        best.raise_bound(entry.lower_bound + forced)

    everywhere = np.ones(len(ground.specs), np.bool_)
    problem = _problem(ground, penalty, everywhere, ground.encoded.counts)
    budget = best.budget.part(COLUMNS_SHARE if ground.spread or is_small(ground) else 1.0)
    result = solve_fleet(problem, budget.limits, report)
    best.budget.spend(result.work * 1e6)
    if result.status == "infeasible":
        return _too_little_room(ground, result.unplaceable)
    bins = _bins(ground, result)
    if result.cost is not None:
        best.offer(_first_fit(ground, bins, everywhere))
    if result.interrupted:
        raise KeyboardInterrupt
    if result.cost is None:
        return ()
    if not best.proven() and ground.spread:
        dealing = best.budget.part(DEALING_SHARE)
        best.offer(deal_over_zones(ground, bins, dealing))
        best.budget.spend(1e6 * dealing.work)
    if not best.proven() and ground.spread:
        _place_evenly(best, penalty)
    return ()


def _too_little_room(ground: Ground, short: Sequence[int]) -> tuple[str, ...]:
    encoded = ground.encoded
    ones = [1] * len(ground.specs)
    found = reasons_short(ground.tasks, encoded, encoded.capacity, ones, short)
    return tuple(f"the fleet: {why}" for why in found)


def _place_evenly(best: _Best, penalty: IntArray | None) -> None:
    """Deal every task set evenly over its zones, and place the tasks of each zone by themselves."""
    ground, budget = best.ground, best.budget
    content = np.zeros((len(ground.specs), len(ground.tasks)), np.int64)
    shares = _even_shares(ground)
    for zone, counts in enumerate(shares):
        rows = ground.zones == zone
        part = 1 / (len(shares) - zone + 1)  # the last share is left to what comes after
        problem = _problem(ground, penalty, rows, counts)
        result = solve_fleet(problem, budget.part(part).limits)
        budget.spend(result.work * 1e6)
        if result.interrupted:
            raise KeyboardInterrupt
        if result.cost is None:
            return
        content += _first_fit(ground, _bins(ground, result), rows)
    best.offer(content)


def _even_shares(ground: Ground) -> IntArray:
    """(zones, task sets): each set's tasks by zone, as even as can be over the zones open to it."""
    shares = np.zeros((int(ground.zones.max()) + 1, len(ground.tasks)), np.int64)
    sets: dict[tuple[int, ...], list[int]] = {}
    for index, allowed in enumerate(ground.encoded.allowed):
        sets.setdefault(tuple(np.unique(ground.zones[allowed]).tolist()), []).append(index)
    for zones, members in sets.items():
        if zones:
            shares[np.ix_(zones, members)] = split_evenly(
                ground.encoded.counts[members], len(zones)
            )
    return shares


def _problem(
    ground: Ground, penalty: IntArray | None, rows: BoolArray, counts: IntArray
) -> FleetProblem:
    """Classes as types with limits; a task left out is a bin of a type for tasks of its worth.

    Args:
        penalty: (task sets,) for leaving a task out; None: all must be placed.
        rows: (instances,) those that may be used; counts: (task sets,) what is to be placed.
    """
    encoded = ground.encoded
    firsts = np.unique(ground.classes, return_index=True)[1]
    sizes = np.bincount(ground.classes[rows], minlength=len(firsts))
    values = np.zeros(0, np.int64) if penalty is None else np.unique(penalty)
    worth = [(penalty == v).astype(np.int64) for v in values]
    demand = np.column_stack([encoded.demand, *worth])
    open_room = np.full(len(values), max(1, encoded.counts.sum()), np.int64)
    types = [
        BinType(
            ground.specs[first].attributes[INSTANCE_TYPE],
            np.append(encoded.capacity[first], open_room),
            int(ground.prices[first]),
            int(n),
        )
        for first, n in zip(firsts.tolist(), sizes.tolist(), strict=True)
    ]
    most = encoded.demand.max(axis=0, initial=0)
    for index, value in enumerate(values.tolist()):
        room = np.append(most, np.eye(len(values), dtype=np.int64)[index])
        types.append(BinType(f"left out at {value}", room, value))
    return FleetProblem(demand, counts, tuple(types))


def _bins(ground: Ground, result: FleetResult) -> list[Bins]:
    """The bins of instances, by class; tasks left out are in none."""
    classes = int(ground.classes.max()) + 1
    return [Bins(b.type, b.bins.contents, b.bins.copies) for b in result.fleet if b.type < classes]


def _packed(ground: Ground) -> Content:
    """What the engine's binpack makes of the tasks, the dearest and largest first: a first plan."""
    engine = staffed(ground)
    size = (ground.encoded.demand / np.maximum(ground.encoded.capacity.max(axis=0), 1)).sum(axis=1)
    worth = np.zeros(len(size)) if ground.penalty is None else ground.penalty
    content = np.zeros((len(ground.specs), len(ground.tasks)), np.int64)
    for index in np.lexsort((-size, -worth)).tolist():
        task = ground.tasks[index]
        kind = replace(task.kind, strategies=(PlacementStrategy("binpack", "memory"),))
        np.add.at(content[:, index], engine.fill(kind, task.count).rows, 1)
    return content


def _first_fit(ground: Ground, bins: Sequence[Bins], rows: BoolArray) -> Content:
    """The bins on the first instances of their classes among `rows` (instances,)."""
    content = np.zeros((len(ground.specs), len(ground.tasks)), np.int64)
    classes = np.where(rows, ground.classes, -1)
    free = [np.flatnonzero(classes == c).tolist() for c in range(ground.classes.max() + 1)]
    for b in bins:
        taken, free[b.kind] = free[b.kind][: b.copies], free[b.kind][b.copies :]
        content[taken] = b.contents
    return content


def _plan(ground: Ground, content: Content) -> Plan:
    """Equal instances with equal content on a line."""
    rows: dict[tuple[int, int, bytes, bytes], list[int]] = {}
    daemons = ground.encoded.daemons
    for row in np.flatnonzero(content.any(axis=1)).tolist():
        key = (
            int(ground.classes[row]), int(ground.zones[row]),
            content[row].tobytes(), daemons[:, row].tobytes(),
        )  # fmt: skip
        rows.setdefault(key, []).append(row)
    lines = []
    for members in rows.values():
        spec, held = ground.specs[members[0]], content[members[0]]
        lines.append(
            PlannedInstances(
                replace(spec), len(members),
                tuple((int(i), int(held[i])) for i in np.flatnonzero(held)),
                spec.attributes[INSTANCE_TYPE], spec.attributes[AVAILABILITY_ZONE],
                "given", tuple(ground.specs[row].name for row in members),
                daemons=tuple(np.flatnonzero(daemons[:, members[0]]).tolist()),
            )
        )  # fmt: skip
    left = ground.encoded.counts - content.sum(axis=0)
    left_out = {int(i): int(left[i]) for i in np.flatnonzero(left)}
    return Plan(ground.tasks, tuple(lines), left_out, ground.asked.daemons)
