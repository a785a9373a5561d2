"""Cheapest fleet of several bin types, with a proven bound on its cost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np

from stowplan.placement.packing.fleet.coarse import shared_limits, solve_coarsely
from stowplan.placement.packing.fleet.decide import decide_rest
from stowplan.placement.packing.fleet.dive import dive
from stowplan.placement.packing.fleet.greedy import first_fleet
from stowplan.placement.packing.fleet.known import Fleet, begin_with, cheapest_known, no_dearer
from stowplan.placement.packing.fleet.market import Market, cheaper_types, fair_prices
from stowplan.placement.packing.fleet.problem import FleetProblem, FleetResult
from stowplan.placement.packing.fleet.relaxation import FleetRelaxation, short_of_room
from stowplan.placement.packing.fleet.rounding import ATTEMPTS, Rounding
from stowplan.placement.packing.fleet.search import FleetSearch
from stowplan.placement.packing.fleet.shares import Shares
from stowplan.placement.packing.fleet.state import FleetRows, FleetState
from stowplan.placement.packing.fleet.volume import mixed_bound, volume_bound
from stowplan.placement.packing.fleet.whole import WholeCounts
from stowplan.placement.packing.master import MasterSolution
from stowplan.placement.packing.problem import (
    BoolArray,
    IntArray,
    Limits,
    PackingProblem,
    ProgressCallback,
    group_equal,
)
from stowplan.placement.packing.verify import check_fleet

SHORTAGE_FACTORS = (100.0, 1e5)  # cost of a missing item, in prices of the dearest type
RELAX_WORK = 400.0  # of column generation between two cycles of the search
CYCLES_MOST = 12  # of the search without anything cheaper, once all else is done


def solve_fleet(
    problem: FleetProblem,
    limits: Limits | None = None,
    progress: ProgressCallback | None = None,
    known: Sequence[Fleet] = (),
) -> FleetResult:
    """Buy the cheapest bins that hold every item, and prove how cheap a fleet can be at best.

    The fleet is checked by `verify.check_fleet` before it is returned. A KeyboardInterrupt ends
    the solve early with the best found so far.

    Args:
        known: fleets to begin with; the answer is no dearer than those that hold all items.
    """
    limits = limits or Limits()
    first = cheapest_known(problem, known)
    left_out = shared_limits(problem)
    if left_out.any():
        result = solve_coarsely(problem, left_out, limits, progress, _solve)
    else:
        result = _solve(problem, limits, progress, first)
    if first is not None:
        result = no_dearer(problem, result, first)
    if result.cost is not None:
        check_fleet(problem, result.fleet, result.cost)
    return result


def _solve(
    problem: FleetProblem,
    limits: Limits,
    progress: ProgressCallback | None,
    first: Fleet | None = None,
) -> FleetResult:
    """`solve_fleet` for a problem as it stands."""
    state = _state(problem, limits, progress)
    if first is not None:
        begin_with(state, first)
    members = state.shares.members
    misfits = np.flatnonzero(~_fits_somewhere(state.market))
    if len(misfits):
        return _infeasible(state, _originals(misfits, members), "fit no type on offer")
    short: IntArray | None = None
    interrupted = False
    try:
        short = _run(state)
    except KeyboardInterrupt:
        interrupted = True
    if short is not None:
        kinds = _originals(short, members)
        return _infeasible(state, kinds, "find too little room within the limits on types")
    return _result(state, interrupted)


def _state(problem: FleetProblem, limits: Limits, progress: ProgressCallback | None) -> FleetState:
    """Kinds of equal demand as one, and the types that may be part of a cheapest fleet."""
    largest = np.max([kind.capacity for kind in problem.types], axis=0)
    grouped = group_equal(PackingProblem(problem.demand, problem.counts, largest))
    shares = Shares.of(problem, grouped.members)
    off_spot = grouped.problem.counts - shares.on_spot
    spot = np.array([kind.spot for kind in problem.types], np.bool_)
    split = bool(off_spot.any() and spot.any())
    kept = cheaper_types(problem.types, split=split)
    types = [problem.types[t] for t in kept.tolist()]
    market = Market(
        grouped.problem.demand,
        grouped.problem.counts,
        np.array([kind.capacity for kind in types], dtype=np.int64),
        np.array([kind.price for kind in types], dtype=np.int64),
        tuple(kind.limit for kind in types),
        spot=spot[kept] if split else None,
        off_spot=off_spot if split else None,
    )
    return FleetState(market, shares, kept, limits, progress)


def _run(state: FleetState) -> IntArray | None:
    """Fleets and bounds in turn; returns the kinds short of room if the limits are too low.

    How much each way does before the next has its turn does not depend on how much time there is:
    so a longer run begins as a shorter one does, and ends no dearer.
    """
    market = state.market
    if not market.counts.any():
        shape = (0, len(market.counts))
        none = np.zeros(0, np.int64)
        state.offer(FleetRows(none, none, np.zeros(shape, np.int64)))
        return None
    state.raise_bound(volume_bound(market))
    search = FleetSearch(state, fair_prices(market, market.prices))
    _begin(state, search)
    state.raise_bound(mixed_bound(market))
    search.cycle()
    for factor in SHORTAGE_FACTORS:
        cost = factor * max(1.0, float(market.prices.max()))
        relaxation = FleetRelaxation(market, market.prices, cost, state.budget)
        solution = _relax(state, relaxation, search)
        if solution is None or relaxation.shortage(solution) < 1e-6:
            break
        short = short_of_room(market, state.budget)
        if short is not None:
            return short
    if solution is not None and _improve(state, relaxation, solution, search):
        return np.flatnonzero(market.counts)
    return None


def _begin(state: FleetState, search: FleetSearch) -> None:
    """Fleets by greedy rules. Where limits on types are tight, it matters how zones get their odd
    items."""
    for together in (False, True):
        state.deal_out(together=together)
        first = first_fleet(state, search.values)
        if first is not None:
            state.offer(first)
        search.by_rules()
        if state.cost is not None or state.zones == 1:
            return
    state.deal_out()


def _relax(
    state: FleetState, relaxation: FleetRelaxation, search: FleetSearch
) -> MasterSolution | None:
    """Column generation, with the search in between, and a dive after 1, 2, 4, ... parts of it."""
    for part in count(1):
        solution = relaxation.solve(most=RELAX_WORK)
        state.raise_bound(relaxation.bound)
        if relaxation.done or solution is None or state.finished():
            return solution
        search.use(solution.duals, relaxation.promise(solution))
        if part & (part - 1) == 0:  # what whole bins it has by now may be most of a cheap fleet
            dive(state, relaxation, search)
        search.cycle()
    raise AssertionError("the loop ends by a return")


def _improve(
    state: FleetState, relaxation: FleetRelaxation, solution: MasterSolution, search: FleetSearch
) -> bool:
    """All ways in turn, until none has anything left to do; True: there is proven to be none."""
    search.use(solution.duals, relaxation.promise(solution))
    known = relaxation.known()
    search.know(known, state.market.prices[known.types] - known.covers @ solution.duals)
    dive(state, relaxation, search)
    search.cycle()
    if state.finished():
        return False
    rounding = Rounding(state, relaxation, solution)
    if decide_rest(state, relaxation):
        return True
    whole = WholeCounts(state, relaxation)
    in_vain = 0
    spent = dict.fromkeys(("search", "rounding"), 0.0)
    while not state.finished():
        cost, start = state.cost, state.budget.work
        if not whole.done and state.cost is not None:
            whole.step()
        if rounding.attempts < ATTEMPTS and (
            state.cost is None or spent["rounding"] <= spent["search"]
        ):
            start = state.budget.work
            rounding.attempt()
            spent["rounding"] += state.budget.work - start
        if not state.finished():
            start = state.budget.work
            search.cycle()
            spent["search"] += state.budget.work - start
        in_vain = in_vain + 1 if state.cost == cost else 0
        ended = rounding.attempts >= ATTEMPTS and (whole.done or state.cost is None)
        if ended and in_vain >= CYCLES_MOST:
            return decide_rest(state, relaxation)
    return False


def _fits_somewhere(market: Market) -> BoolArray:
    """(kinds,) bool: some type that may be bought at all holds one item, of each part."""
    fits = np.zeros(len(market.counts), np.bool_)
    off_spot = fits.copy() if market.off_spot is None else market.off_spot == 0
    for t, limit in enumerate(market.limits):
        if limit != 0:
            holds = (market.demand <= market.capacities[t]).all(axis=1)
            fits |= holds
            if not market.on_spot_types[t]:
                off_spot |= holds
    return fits if market.off_spot is None else fits & off_spot


def _originals(kinds: IntArray, members: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    return tuple(sorted(k for g in kinds.tolist() for k in members[g]))


def _infeasible(state: FleetState, kinds: tuple[int, ...], why: str) -> FleetResult:
    return FleetResult(
        "infeasible", None, 0, None, (), state.budget.seconds(), state.budget.work,
        unplaceable=kinds, reason=f"items of kinds {', '.join(map(str, kinds))} {why}",
    )  # fmt: skip


def _result(state: FleetState, interrupted: bool) -> FleetResult:
    cost, bound = state.cost, state.lower_bound
    return FleetResult(
        status="unknown" if cost is None else "optimal" if cost <= bound else "feasible",
        cost=cost,
        lower_bound=bound,
        gap=None if cost is None else (cost - bound) / max(cost, 1),
        fleet=state.fleet,
        seconds=state.budget.seconds(),
        work=state.budget.work,
        interrupted=interrupted,
        log=tuple(state.log),
    )
