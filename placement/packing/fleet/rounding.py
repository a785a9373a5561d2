"""From the fleet relaxation to fleets: keep most of it, decide the rest exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from stowplan.placement.packing.cpsat import run_cp_sat
from stowplan.placement.packing.fleet.market import Market
from stowplan.placement.packing.fleet.relaxation import FleetColumns, FleetRelaxation
from stowplan.placement.packing.fleet.state import FleetRows, FleetState
from stowplan.placement.packing.master import MasterSolution
from stowplan.placement.packing.problem import IntArray
from stowplan.placement.packing.state import Budget

ATTEMPTS = 24
FEW_KINDS = 64  # of items, for CP-SAT to decide over the rest
REST_NODES = 400  # of SCIP's branch and bound, where it does
REST_COLUMNS = 600  # columns the decision over the rest may choose from
REST_WORK = 500.0  # units of a first decision, twice as many for each that follows ...
DOUBLED = 5  # so many times


@dataclass(frozen=True)
class Chosen:
    """Bins of one zone: contents (bins, kinds) and types (bins,), one row a bin; and the cost."""

    contents: IntArray
    types: IntArray
    cost: int


class Rounding:
    """Attempts to round the relaxation for every zone; the cheapest of each zone is kept.

    Later attempts keep less of each column, at random, and so meet other rests. The zones have
    their shares by `FleetState.zone_rows`.
    """

    def __init__(
        self, state: FleetState, relaxation: FleetRelaxation, solution: MasterSolution
    ) -> None:
        self.state, self.relaxation = state, relaxation
        self.full = relaxation.columns(solution)
        self.attempts = 0
        self._kept: list[Chosen | None] = [None] * state.zones
        self._spot = state.market.on_spot_types
        _round_up(state, self.full)

    def attempt(self) -> None:
        """Round every zone once, and offer the fleet."""
        state = self.state
        unlimited = all(n is None for n in state.market.limits)
        left = list(state.market.limits)
        for zone, rows in enumerate(state.zone_rows):
            if state.finished():
                return
            # odd attempts let the first zones have all they want of scarce types
            divisor = 1 if self.attempts % 2 else state.zones - zone
            room = [None if n is None else n // divisor for n in left]
            args = state, self.relaxation, self.full, zone, rows, room, self.attempts
            chosen, old = _round_zone(*args), self._kept[zone]
            if not unlimited or old is None or (chosen and chosen.cost < old.cost):
                self._kept[zone] = chosen
            if chosen is not None:
                used = np.bincount(chosen.types, minlength=len(left)).tolist()
                left = [None if n is None else n - u for n, u in zip(left, used, strict=True)]
        self.attempts += 1
        if all(self._kept):
            state.offer(rows_of([each for each in self._kept if each]))


def rows_of(zones: Sequence[Chosen]) -> FleetRows:
    """The bins of all zones together."""
    numbers = np.repeat(np.arange(len(zones)), [len(each.types) for each in zones])
    contents = np.vstack([each.contents for each in zones])
    return FleetRows(np.concatenate([each.types for each in zones]), numbers, contents)


def _round_up(state: FleetState, full: FleetColumns) -> None:
    """A fleet without any search, unless it breaks a limit."""
    zones = state.zones
    amounts = np.ceil(full.amounts / zones - 1e-9).astype(np.int64)
    contents, types = np.repeat(full.patterns, amounts, axis=0), np.repeat(full.types, amounts)
    # a zone's share of a kind may be one above the even share the relaxation covers
    extra = np.eye(contents.shape[1], dtype=np.int64)
    cheapest = [_cheapest(state.market, kind) for kind in range(len(extra))]
    contents, types = np.vstack([contents, extra]), np.append(types, cheapest)
    room = [None if n is None else n // zones for n in state.market.limits]
    fleet: list[Chosen] = []
    for rows in state.zone_rows:
        chosen = tidy(state.market, contents, types, rows, room)
        used = np.bincount(chosen.types, minlength=len(room)).tolist()
        over = any(n is not None and u > n for n, u in zip(room, used, strict=True))
        if over or not covered(state.market, chosen, rows):
            return
        fleet.append(chosen)
    state.offer(rows_of(fleet))


def covered(market: Market, chosen: Chosen, rows: IntArray) -> bool:
    """The bins hold what the rows of the program ask for."""
    off = chosen.contents[~market.on_spot_types[chosen.types]].sum(axis=0)
    held = chosen.contents.sum(axis=0)
    return bool((np.append(held, off)[: len(rows)] >= rows).all())


def _cheapest(market: Market, kind: int) -> int:
    """The cheapest type that holds an item of the kind, and counts for all of its rows."""
    fits = (market.demand[kind] <= market.capacities).all(axis=1)
    if market.split:
        fits &= ~market.on_spot_types
    return int(np.argmin(np.where(fits, market.prices, np.iinfo(np.int64).max)))


def _round_zone(
    state: FleetState,
    relaxation: FleetRelaxation,
    full: FleetColumns,
    zone: int,
    rows: IntArray,
    room: list[int | None],
    attempt: int,
) -> Chosen | None:
    """One zone: most of its share of the relaxation as it is, the rest decided exactly."""
    share = full.amounts / state.zones
    less = state.rng.integers(0, 4, len(share)) if attempt else 1
    kept = np.maximum(np.floor(share + 1e-9).astype(np.int64) - less, 0)
    for t, most in enumerate(room):
        while most is not None and kept[full.types == t].sum() > most:
            kept[np.flatnonzero((full.types == t) & (kept > 0))[0]] -= 1
    rest = np.maximum(rows - kept @ full.covers, 0)
    solution = relaxation.solve(rest, exact=False)
    if solution is None:
        return None
    columns = relaxation.columns(solution)
    used = np.bincount(full.types, kept, minlength=len(room)).astype(np.int64).tolist()
    open_room = [None if n is None else n - u for n, u in zip(room, used, strict=True)]
    work = REST_WORK * 2.0 ** min(attempt, DOUBLED)
    amounts = _decide_rest(state, columns, solution, rest, open_room, work)
    if amounts is None:
        return None
    contents = np.vstack(
        [np.repeat(full.patterns, kept, axis=0), np.repeat(columns.patterns, amounts, axis=0)]
    )
    types = np.append(np.repeat(full.types, kept), np.repeat(columns.types, amounts))
    return tidy(state.market, contents, types, rows, room)


def _decide_rest(
    state: FleetState,
    columns: FleetColumns,
    solution: MasterSolution,
    rest: IntArray,
    room: list[int | None],
    work: float,
) -> IntArray | None:
    """Cheap whole amounts of the most promising columns that cover `rest`.

    CP-SAT finds the better ones over few kinds; over many it finds none in time, and SCIP does.
    Nothing rests on SCIP's floats, the answer is checked.
    """
    prices = state.market.prices[columns.types]
    reduced = prices - columns.covers @ solution.duals
    best = np.argsort(reduced, kind="stable")[:REST_COLUMNS]
    offered = columns.covers[best], columns.types[best]
    if len(rest) <= FEW_KINDS:
        chosen = _by_cp_sat(state, *offered, rest, room, work)
    else:
        chosen = _by_scip(state, *offered, rest, room)
    if chosen is None:
        return None
    amounts = np.zeros(len(columns.types), dtype=np.int64)
    amounts[best] = chosen
    return amounts if (amounts @ columns.covers >= rest).all() else None


def _by_cp_sat(
    state: FleetState, patterns: IntArray, types: IntArray, rest: IntArray,
    room: list[int | None], work: float,
) -> IntArray | None:  # fmt: skip
    from ortools.sat.python import cp_model

    model, prices = cp_model.CpModel(), state.market.prices[types]
    cover = Cover.of(model, patterns, types, prices, [rest.tolist()], rest[None], room)
    solver = cp_model.CpSolver()
    if cover.solve(solver, state.budget, work) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    return np.array([solver.value(x) for x in cover.amounts[0]], dtype=np.int64)


def _by_scip(
    state: FleetState, patterns: IntArray, types: IntArray, rest: IntArray,
    room: list[int | None],
) -> IntArray | None:  # fmt: skip
    solver, x = _rest_model(patterns, types, state.market.prices[types], rest, room)
    solver.SetSolverSpecificParametersAsString(
        f"limits/totalnodes = {REST_NODES}\nmisc/catchctrlc = FALSE\n"
    )
    if state.budget.left_seconds() < float("inf"):
        solver.SetTimeLimit(int(1000 * state.budget.left_seconds()) + 1)
    status = solver.Solve()
    state.budget.spend(1000.0 * solver.iterations() * len(rest))
    if status not in (solver.OPTIMAL, solver.FEASIBLE):
        return None
    return np.array([round(v.solution_value()) for v in x], dtype=np.int64)


def _rest_model(
    patterns: IntArray, types: IntArray, prices: IntArray, rest: IntArray, room: list[int | None]
) -> tuple[Any, list[Any]]:
    """The covering program over `patterns`: the solver and its variables."""
    from ortools.linear_solver import pywraplp

    solver = pywraplp.Solver.CreateSolver("SCIP")
    most = np.where(patterns > 0, -(-rest // np.maximum(patterns, 1)), 0).max(axis=1)
    x = [solver.IntVar(0, float(n), "") for n in most]
    for kind, count in enumerate(rest.tolist()):
        row = solver.Constraint(float(count), solver.infinity())
        for j in np.flatnonzero(patterns[:, kind]).tolist():
            row.SetCoefficient(x[j], float(patterns[j, kind]))
    for t, limit in enumerate(room):
        if limit is not None:
            row = solver.Constraint(0.0, float(max(limit, 0)))
            for j in np.flatnonzero(types == t).tolist():
                row.SetCoefficient(x[j], 1.0)
    for variable, price in zip(x, prices.tolist(), strict=True):
        solver.Objective().SetCoefficient(variable, float(price))
    return solver, x


@dataclass(frozen=True)
class Cover:
    """The program of covering every zone's items by whole bins of these patterns at least cost.

    Args:
        model: CP-SAT's; amounts: per zone, of each pattern; cost: in units of `unit`.
    """

    model: Any
    amounts: list[list[Any]]
    cost: Any
    unit: int

    @classmethod
    def of(
        cls,
        model: Any,
        patterns: IntArray,
        types: IntArray,
        prices: IntArray,
        wanted: Sequence[Sequence[Any]],
        highest: IntArray,
        limits: Sequence[int | None],
    ) -> Cover:
        """Of (n, kinds) patterns of (n,) types at (n,) prices.

        Args:
            wanted: what each zone must hold of every kind, numbers or variables of the model;
            highest: (zones, kinds) what that can be at most.
            limits: per type, None without.
        """
        from ortools.sat.python import cp_model

        amounts: list[list[Any]] = []
        for counts, top in zip(wanted, highest, strict=True):
            most = (-(-top // np.maximum(patterns, 1)) * (patterns > 0)).max(axis=1)
            x = [model.new_int_var(0, int(n), "") for n in most]
            for kind, count in enumerate(counts):
                used = np.flatnonzero(patterns[:, kind]).tolist()
                held = [int(patterns[j, kind]) for j in used]
                model.add(cp_model.LinearExpr.weighted_sum([x[j] for j in used], held) >= count)
            amounts.append(x)
        for t, limit in enumerate(limits):
            if limit is not None:
                bought = [x[j] for x in amounts for j in np.flatnonzero(types == t).tolist()]
                model.add(cp_model.LinearExpr.sum(bought) <= max(limit, 0))
        unit = gcd(*prices.tolist()) or 1
        every = [x for zone in amounts for x in zone]
        weights = [p // unit for p in prices.tolist()] * len(amounts)
        cost = cp_model.LinearExpr.weighted_sum(every, weights)
        model.minimize(cost)
        return cls(model, amounts, cost, unit)

    def solve(self, solver: Any, budget: Budget, work: float) -> int:
        """CP-SAT's status, within so many units of work."""
        solver.parameters.linearization_level = 2  # its default leaves out most of what bounds here
        return run_cp_sat(solver, self.model, budget, work)


def tidy(
    market: Market, contents: IntArray, types: IntArray, rows: IntArray, room: list[int | None]
) -> Chosen:
    """Take surplus items out, then swap each bin for the cheapest type that still holds it.

    Bins on spot are the first to lose items, and none changes its market: so what the rows ask for
    stays covered.
    """
    spot = market.on_spot_types
    first = np.argsort(spot[types], kind="stable")
    contents, types = contents[first], types[first]
    counts = rows[: contents.shape[1]]
    before = np.cumsum(contents, axis=0) - contents
    contents = np.clip(counts - before, 0, contents)
    keep = contents.any(axis=1)
    contents, types = contents[keep], types[keep].copy()
    by_price = np.argsort(market.prices, kind="stable").tolist()
    bought = np.bincount(types, minlength=len(room))
    loads = contents @ market.demand
    for b, load in enumerate(loads):
        for t in by_price:
            if market.prices[t] >= market.prices[types[b]]:
                break
            limit = room[t]
            if (
                spot[t] == spot[types[b]]
                and (load <= market.capacities[t]).all()
                and (limit is None or bought[t] < limit)
            ):
                bought[types[b]] -= 1
                bought[t] += 1
                types[b] = t
                break
    return Chosen(contents, types, int(market.prices[types].sum()))
