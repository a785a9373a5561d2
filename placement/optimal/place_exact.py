"""CP-SAT's part in the goal `placement`: the zone of each bin, and small fleets as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from stowplan.placement.optimal.ground import Content, Ground
from stowplan.placement.packing.cpsat import run_cp_sat
from stowplan.placement.packing.problem import IntArray
from stowplan.placement.packing.state import Budget

DEALING_WORK = 20_000.0
EXACT_WORK = 200_000.0
VARIABLES_MOST = 4_000  # beyond, CP-SAT gets nowhere with single instances


class Way(NamedTuple):
    """How to try. Each way is at times a hundred times as fast as the others.

    Args:
        share: of the budget that is left; work: units at most.
        everything: only placements of all tasks, which is much easier to settle.
        linked: say of each task set alone, too, that it uses the instance, and begin with the best
            placement known.
        plain: the model as a textbook has it, with nothing that is known already.
    """

    share: float
    work: float
    everything: bool
    linked: bool
    plain: bool = False


_EACH = ((True, True), (False, False), (False, True))
# Before anything else, for a few seconds; what they do not settle may be easy by columns. The plain
# model is the first: what it settles in a second must not wait for the others.
PLAIN_WORK = 350.0
FIRST_WAYS = (
    Way(0.3, PLAIN_WORK, False, False, plain=True),
    *(Way(0.1, work, *each) for work in (50.0, 300.0) for each in _EACH),
)
LAST_WAYS = tuple(
    Way(share, EXACT_WORK, *each) for share, each in zip((0.3, 0.5, 1.0), _EACH, strict=True)
)


@dataclass(frozen=True)
class Bins:
    """`copies` instances of class `kind` with the same contents (task sets,)."""

    kind: int
    contents: IntArray
    copies: int


@dataclass(frozen=True)
class Found:
    """A better placement, if there was one, and a bound on all.

    Args:
        infeasible: proven that there is no placement at all.
    """

    content: Content | None
    bound: int
    infeasible: bool = False


def deal_over_zones(ground: Ground, bins: Sequence[Bins], budget: Budget) -> Content:
    """Put the bins on instances of their class, so that each owner's tasks are most even."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    zones = int(ground.zones.max()) + 1
    copies = [[model.new_int_var(0, b.copies, "") for _ in range(zones)] for b in bins]
    for b, x in zip(bins, copies, strict=True):
        model.add(sum(x) == b.copies)
    room = np.zeros((int(ground.classes.max()) + 1, zones), np.int64)
    np.add.at(room, (ground.classes, ground.zones), 1)
    for kind, zone in np.ndindex(room.shape):
        here = [x[zone] for b, x in zip(bins, copies, strict=True) if b.kind == kind]
        model.add(sum(here) <= int(room[kind, zone]))
    held = np.array([b.contents for b in bins]).reshape(len(bins), len(ground.tasks))
    spreads = []
    for owner in range(len(ground.owner_names)):
        mine = held[:, ground.owners == owner].sum(axis=1).tolist()
        used = [(x, n) for x, n in zip(copies, mine, strict=True) if n]
        by_zone = [sum(n * x[zone] for x, n in used) for zone in ground.open_zones(owner)]
        spreads.append(_spread(model, by_zone, int(ground.encoded.counts.sum())))
    model.minimize(sum(spreads))
    solver = cp_model.CpSolver()
    status = run_cp_sat(solver, model, budget, DEALING_WORK)
    content = np.zeros((len(ground.specs), len(ground.tasks)), np.int64)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return content
    for zone in range(zones):
        free = {
            kind: np.flatnonzero((ground.classes == kind) & (ground.zones == zone)).tolist()
            for kind in range(len(room))
        }
        for b, x in zip(bins, copies, strict=True):
            for _ in range(solver.value(x[zone])):
                content[free[b.kind].pop()] = b.contents
    return content


def is_small(ground: Ground) -> bool:
    """CP-SAT may decide on every single instance."""
    return int(ground.encoded.fits().sum()) <= VARIABLES_MOST


def place_exactly(
    ground: Ground, content: Content | None, bound: int, budget: Budget, way: Way
) -> Found:
    """The best placement with a variable for each instance.

    Args:
        content: the best so far, to begin with.
        bound: proven already.
    """
    if not way.everything or ground.penalty is None:
        return _search(ground, content, bound, budget, way.linked, way.plain)
    missing = int(ground.penalty.min(initial=0))  # at least, wherever a task is left out
    if bound >= missing:
        return Found(None, bound)
    found = _search(replace(ground, penalty=None), content, bound, budget, way.linked)
    return Found(found.content, missing if found.infeasible else min(found.bound, missing))


def _search(
    ground: Ground, content: Content | None, bound: int, budget: Budget, linked: bool,
    plain: bool = False,
) -> Found:  # fmt: skip
    """By CP-SAT."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    used = [model.new_bool_var("") for _ in ground.specs]
    x = _amounts(model, ground, ground.encoded.fits(), tight=not plain)
    _fill(model, ground, x, used, linked)
    if not plain:
        _break_symmetry(model, ground, x, used)
    cost = sum(int(p) * u for p, u in zip(ground.prices, used, strict=True))
    cost += _left_out(model, ground, x) + _unevenness(model, ground, x)
    if bound and not plain:
        model.add(cost >= bound)
    if linked and content is not None:
        for (i, row), amount in x.items():
            model.add_hint(amount, int(content[row, i]))
    model.minimize(cost)
    solver = cp_model.CpSolver()
    status = run_cp_sat(solver, model, budget, EXACT_WORK)
    if status == cp_model.INFEASIBLE:
        return Found(None, bound, infeasible=True)
    # A whole number, handed over as a float.
    bound = max(bound, int(np.ceil(solver.best_objective_bound - 1e-6)))
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Found(None, bound)
    better = np.zeros((len(ground.specs), len(ground.tasks)), np.int64)
    for (i, row), amount in x.items():
        better[row, i] = solver.value(amount)
    return Found(better, bound)


def _amounts(
    model: Any, ground: Ground, fits: Any, tight: bool
) -> dict[tuple[int, int], Any]:  # fmt: skip
    """A variable for each task set on each instance that may hold it.

    `tight`: no more than fit it alone.
    """
    demand, capacity = ground.encoded.demand, ground.encoded.capacity
    counts = ground.encoded.counts
    x = {}
    for i, row in np.argwhere(fits).tolist():
        needed = demand[i] > 0
        most = counts[i]
        if tight:
            most = (capacity[row][needed] // demand[i][needed]).min(initial=counts[i])
        x[i, row] = model.new_int_var(0, int(most), "")
    return x


def _fill(
    model: Any, ground: Ground, x: dict[tuple[int, int], Any], used: Sequence[Any], linked: bool
) -> None:
    """No instance over its room, and none in use that is not counted as used."""
    demand, capacity = ground.encoded.demand, ground.encoded.capacity
    for row in range(len(ground.specs)):
        mine = [(i, x[i, row]) for i in range(len(ground.tasks)) if (i, row) in x]
        for k in range(demand.shape[1]):
            load = sum(int(demand[i, k]) * amount for i, amount in mine if demand[i, k])
            model.add(load <= int(capacity[row, k]) * used[row])
        for i, amount in mine:
            if linked or not demand[i].any():
                model.add(amount <= int(ground.encoded.counts[i]) * used[row])


def _break_symmetry(
    model: Any, ground: Ground, x: dict[tuple[int, int], Any], used: Sequence[Any]
) -> None:
    """Of instances that are alike and in one zone, the first hold most of the first task set."""
    like: dict[tuple[int, int], int] = {}
    for row, key in enumerate(zip(ground.classes.tolist(), ground.zones.tolist(), strict=True)):
        if key in like:
            before = like[key]
            model.add(used[before] >= used[row])
            shared = [i for i in range(len(ground.tasks)) if (i, row) in x]
            if shared:
                model.add(x[shared[0], before] >= x[shared[0], row])
        like[key] = row


def _left_out(model: Any, ground: Ground, x: dict[tuple[int, int], Any]) -> Any:
    """What the tasks without a place cost; without a price for it there are none."""
    cost: Any = 0
    for i, count in enumerate(ground.encoded.counts.tolist()):
        placed = sum(amount for (j, _), amount in x.items() if j == i)
        if ground.penalty is None:
            model.add(placed == count)
        else:
            model.add(placed <= count)
            cost += int(ground.penalty[i]) * (count - placed)
    return cost


def _unevenness(model: Any, ground: Ground, x: dict[tuple[int, int], Any]) -> Any:
    """What tasks too many in a zone cost, over all owners."""
    cost: Any = 0
    for owner in range(len(ground.owner_names) if ground.spread else 0):
        sets = np.flatnonzero(ground.owners == owner).tolist()
        by_zone = [
            sum(x[i, row] for i in sets for row in np.flatnonzero(ground.zones == zone).tolist()
                if (i, row) in x)
            for zone in ground.open_zones(owner)
        ]  # fmt: skip
        most = int(ground.encoded.counts[sets].sum())
        cost += ground.spread * _spread(model, by_zone, most)
    return cost


def _spread(model: Any, by_zone: Sequence[Any], most: int) -> Any:
    """Tasks in the fullest zone above those in the emptiest."""
    if len(by_zone) < 2:
        return 0
    high, low = model.new_int_var(0, most, ""), model.new_int_var(0, most, "")
    for n in by_zone:
        model.add(high >= n)
        model.add(low <= n)
    return high - low
