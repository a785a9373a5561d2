"""Fleets that are known before a solve: it begins with the cheapest, and never ends dearer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stowplan.placement.packing.fleet.problem import FleetBins, FleetProblem, FleetResult
from stowplan.placement.packing.fleet.state import FleetRows, FleetState
from stowplan.placement.packing.problem import IntArray
from stowplan.placement.packing.verify import BrokenPackingError, check_fleet

Fleet = tuple[FleetBins, ...]


def cheapest_known(problem: FleetProblem, known: Sequence[Fleet]) -> Fleet | None:
    """The cheapest of those that hold the problem's items and keep its rules; None without."""
    fleets = [fleet for fleet in known if _keeps(problem, fleet)]
    return min(fleets, key=lambda fleet: cost_of(problem, fleet), default=None)


def cost_of(problem: FleetProblem, fleet: Fleet) -> int:
    """What a fleet costs, in the unit of the problem's prices."""
    return sum(problem.types[b.type].price * b.bins.copies for b in fleet)


def begin_with(state: FleetState, fleet: Fleet) -> None:
    """Offer a fleet of the problem to the solve, with the market's types in place of others."""
    members = state.shares.members
    stands = [_stands_for(state, b.type) for b in fleet]
    held = [[int(b.bins.contents[list(group)].sum()) for group in members] for b in fleet]
    copies = [b.bins.copies for b in fleet]
    contents: IntArray = np.array(held, np.int64).reshape(len(fleet), len(members))
    state.offer(
        FleetRows(
            np.repeat(np.array(stands, np.int64), copies),
            np.repeat(np.array([b.zone for b in fleet], np.int64), copies),
            np.repeat(contents, copies, axis=0),
        )
    )


def no_dearer(problem: FleetProblem, result: FleetResult, fleet: Fleet) -> FleetResult:
    """The result, or the known fleet with the result's bound where that is cheaper."""
    cost, bound = cost_of(problem, fleet), result.lower_bound
    if result.cost is not None and result.cost <= cost:
        return result
    return replace(
        result,
        status="optimal" if cost <= bound else "feasible",
        cost=cost,
        gap=(cost - bound) / max(cost, 1),
        fleet=fleet,
    )


def _keeps(problem: FleetProblem, fleet: Fleet) -> bool:
    try:
        check_fleet(problem, fleet)
    except BrokenPackingError:
        return False
    return True


def _stands_for(state: FleetState, kind: int) -> int:
    """The type of the market for one of the problem: itself, or one that is better in all."""
    mine = np.flatnonzero(state.types == kind)
    if len(mine):
        return int(mine[0])
    market, types = state.market, state.shares.problem.types
    better = (market.capacities >= types[kind].capacity).all(axis=1)
    better &= (market.prices <= types[kind].price) & [n is None for n in market.limits]
    if market.split and not types[kind].spot:
        better &= ~market.on_spot_types
    return int(np.flatnonzero(better)[0])  # why the market has left this type out
