"""Cheapest fleet of several bin types, with a proven bound on its cost."""

from __future__ import annotations

import numpy as np

from stowplan.placement.packing.fleet.coarse import shared_limits, solve_coarsely
from stowplan.placement.packing.fleet.decide import decide_rest
from stowplan.placement.packing.fleet.problem import FleetBins, FleetProblem, FleetResult
from stowplan.placement.packing.fleet.relaxation import FleetRelaxation, Market, short_of_room
from stowplan.placement.packing.fleet.rounding import FleetState, round_fleet
from stowplan.placement.packing.problem import (
    BoolArray,
    IntArray,
    Limits,
    PackingProblem,
    ProgressCallback,
    group_equal,
    spread_contents,
)
from stowplan.placement.packing.verify import check_fleet

SHORTAGE_FACTORS = (100.0, 1e5)  # cost of a missing item, in prices of the dearest type


def solve_fleet(
    problem: FleetProblem,
    limits: Limits | None = None,
    progress: ProgressCallback | None = None,
) -> FleetResult:
    """Buy the cheapest bins that hold every item, and prove how cheap a fleet can be at best.

    The fleet is checked by `verify.check_fleet` before it is returned. A KeyboardInterrupt ends
    the solve early with the best found so far.
    """
    limits = limits or Limits()
    left_out = shared_limits(problem)
    if not left_out.any():
        return _solve(problem, limits, progress)
    result = solve_coarsely(problem, left_out, limits, progress, _solve)
    if result.cost is not None:
        check_fleet(problem, result.fleet, result.cost)
    return result


def _solve(problem: FleetProblem, limits: Limits, progress: ProgressCallback | None) -> FleetResult:
    """`solve_fleet` for a problem as it stands."""
    largest = np.max([kind.capacity for kind in problem.types], axis=0)
    grouped = group_equal(PackingProblem(problem.demand, problem.counts, largest))
    market = Market(
        grouped.problem.demand,
        grouped.problem.counts,
        np.array([kind.capacity for kind in problem.types], dtype=np.int64),
        np.array([kind.price for kind in problem.types], dtype=np.int64),
        tuple(kind.limit for kind in problem.types),
    )
    shares = split_evenly(problem.counts, problem.zones)
    zone_counts = np.array([[s[list(g)].sum() for g in grouped.members] for s in shares])
    state = FleetState(market, zone_counts, limits, progress)
    misfits = np.flatnonzero(~_fits_somewhere(market))
    if len(misfits):
        return _infeasible(state, _originals(misfits, grouped.members), "fit no type on offer")
    short: IntArray | None = None
    interrupted = False
    try:
        short = _run(state)
    except KeyboardInterrupt:
        interrupted = True
    if short is not None:
        kinds = _originals(short, grouped.members)
        return _infeasible(state, kinds, "find too little room within the limits on types")
    fleet = _translate(state, problem, grouped.members)
    if state.best is not None:
        check_fleet(problem, fleet, state.cost)
    return _result(state, fleet, interrupted)


def _run(state: FleetState) -> IntArray | None:
    """Relax and round; returns the kinds short of room if the limits make it infeasible."""
    market = state.market
    if not market.counts.any():
        state.offer([])
        return None
    for factor in SHORTAGE_FACTORS:
        cost = factor * max(1.0, float(market.prices.max()))
        relaxation = FleetRelaxation(market, market.prices, cost, state.budget)
        solution = relaxation.solve()
        state.raise_bound(relaxation.bound)
        if solution is None or relaxation.shortage(solution) < 1e-6:
            break
        short = short_of_room(market, state.budget)
        if short is not None:
            return short
    if solution is not None:
        round_fleet(state, relaxation, solution)
        decide_rest(state, relaxation)
    return None


def _fits_somewhere(market: Market) -> BoolArray:
    """(kinds,) bool: some type that may be bought at all holds one item."""
    fits = np.zeros(len(market.counts), dtype=np.bool_)
    for t, limit in enumerate(market.limits):
        if limit != 0:
            fits |= (market.demand <= market.capacities[t]).all(axis=1)
    return fits


def _originals(kinds: IntArray, members: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    return tuple(sorted(k for g in kinds.tolist() for k in members[g]))


def _translate(
    state: FleetState, problem: FleetProblem, members: tuple[tuple[int, ...], ...]
) -> tuple[FleetBins, ...]:
    """The best fleet in terms of the original kinds, split evenly over the zones each."""
    if state.best is None:
        return ()
    fleet: list[FleetBins] = []
    for zone, counts in enumerate(split_evenly(problem.counts, problem.zones)):
        mine = [b for b in state.best if b.zone == zone]
        for b in mine:
            spread = spread_contents([b.bins], members, counts)
            for s in spread:
                counts = counts - s.contents * s.copies
            fleet += [FleetBins(zone, b.type, s) for s in spread]
    return tuple(fleet)


def split_evenly(counts: IntArray, zones: int) -> IntArray:
    """(zones, kinds) int64: each kind's items per zone, floor or ceiling of its even share.

    The odd items go round the zones, so that zones differ by one item in all.
    """
    extras = counts % zones
    first = (np.cumsum(extras) - extras) % zones
    turn = (np.arange(zones)[:, None] - first) % zones
    return counts // zones + (turn < extras)


def _infeasible(state: FleetState, kinds: tuple[int, ...], why: str) -> FleetResult:
    return FleetResult(
        "infeasible", None, 0, None, (), state.budget.seconds(), state.budget.work,
        unplaceable=kinds, reason=f"items of kinds {', '.join(map(str, kinds))} {why}",
    )  # fmt: skip


def _result(state: FleetState, fleet: tuple[FleetBins, ...], interrupted: bool) -> FleetResult:
    cost, bound = state.cost, state.lower_bound
    return FleetResult(
        status="unknown" if cost is None else "optimal" if cost <= bound else "feasible",
        cost=cost,
        lower_bound=bound,
        gap=None if cost is None else (cost - bound) / max(cost, 1),
        fleet=fleet,
        seconds=state.budget.seconds(),
        work=state.budget.work,
        interrupted=interrupted,
        log=tuple(state.log),
    )
