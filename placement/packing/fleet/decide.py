"""The last step to a cheapest fleet: only few patterns can be part of a cheaper one; decide those.

By the duals a pattern has a reduced cost: a fleet that uses it costs at least that much above the
bound. Patterns above the gap are out. Where the rest can be listed in full, CP-SAT decides over
them in integers: if they give no cheaper fleet, there is none.
Source: Baldacci, Christofides & Mingozzi (2008), An exact algorithm for the vehicle routing problem
based on the set partitioning formulation with additional cuts, Math. Programming 115:351-385.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np

from stowplan.placement.packing.cuts import Cut
from stowplan.placement.packing.fleet.relaxation import FleetRelaxation
from stowplan.placement.packing.fleet.rounding import Cover, rows_of, tidy
from stowplan.placement.packing.fleet.state import FleetState
from stowplan.placement.packing.pricing import Pricer
from stowplan.placement.packing.problem import BoolArray, IntArray

PATTERNS_MOST = 20_000
NODES_MOST = 5_000_000  # of listing them, over all types
WORK_MOST = 100_000.0  # units of deciding over them


def decide_rest(state: FleetState, relaxation: FleetRelaxation) -> bool:
    """Prove the best fleet cheapest or find the cheapest, if the patterns can be listed.

    Where no fleet is known, as limits on types and zones are tight, all patterns count. Returns
    True where there is proven to be none.
    """
    proof = relaxation.proof
    if proof is None or state.finished():
        return False
    below = state.cost
    if below is None:  # a bin for every item is dear enough
        below = int(state.market.counts.sum()) * int(state.market.prices.max()) + 1
    listed = _patterns(state, proof, below)
    return listed is not None and _decide(state, *listed, below)


def _patterns(state: FleetState, proof: Cut, cost: int) -> tuple[IntArray, IntArray] | None:
    """(n, kinds) patterns and (n,) types that a fleet cheaper than `cost` may use; None: too many.

    For any fleet, scale * cost >= values @ counts - sum of limit * surplus + sum of reduced costs
    of its bins, where a type's surplus is what its best pattern is worth above its price.
    """
    market = state.market
    worth = [proof.scaled(int(p)) for p in market.prices]
    surplus = [max(Fraction(0), best - p) for best, p in zip(proof.best, worth, strict=True)]
    if any(s and n is None for s, n in zip(surplus, market.limits, strict=True)):
        return None
    least = Fraction(sum(int(v) * int(n) for v, n in zip(proof.values, market.rows, strict=True)))
    least -= sum(s * n for s, n in zip(surplus, market.limits, strict=True) if n is not None)
    slack = proof.scaled(cost) - least  # reduced costs of a cheaper fleet sum up to less
    patterns: list[IntArray] = []
    types: list[int] = []
    nodes = NODES_MOST
    for t, capacity in enumerate(market.capacities):
        if market.limits[t] == 0:
            continue
        pricer = Pricer(market.demand, market.per_bin(t), capacity)
        threshold = floor(worth[t] + surplus[t] - slack)
        room = PATTERNS_MOST - len(types)
        found, complete, steps = pricer.collect(
            market.worths(proof.values, t), threshold, nodes, room
        )
        state.budget.spend(steps)
        if not complete:
            return None
        nodes -= steps // 20
        patterns.append(found)
        types += [t] * len(found)
    return np.vstack(patterns), np.array(types, np.int64)


def _decide(state: FleetState, patterns: IntArray, types: IntArray, below: int) -> bool:
    """The cheapest fleet of these patterns, if it costs less than `below`.

    The items that a zone gets are variables, within what all owners of a kind may have there.
    Returns True where there is no fleet at all.
    """
    from ortools.sat.python import cp_model

    market, shares, zones = state.market, state.shares, range(state.zones)
    model = cp_model.CpModel()
    items = [
        [model.new_int_var(low, low + more, "") for low, more in zip(base, extra, strict=True)]
        for base, extra in [(shares.base.tolist(), shares.extras[:, 1].tolist())] * len(zones)
    ]
    for kind, count in enumerate(market.counts.tolist()):
        model.add(sum(items[zone][kind] for zone in zones) == count)
    highest = np.tile(shares.base + shares.extras[:, 1], (len(zones), 1))
    prices = market.prices[types]
    cover = Cover.of(model, patterns, types, prices, items, highest, market.limits)
    if market.off_spot is not None and market.spot is not None:
        _keep_off_spot(cover, patterns, ~market.spot[types], items, market.off_spot)
    unit = cover.unit
    least, most = -(-state.lower_bound // unit), -(-below // unit) - 1
    model.add_linear_constraint(cover.cost, least, most)
    solver = cp_model.CpSolver()
    status = cover.solve(solver, state.budget, WORK_MOST)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        fleet = []
        for zone, x in enumerate(cover.amounts):
            n = np.array([solver.value(each) for each in x])
            counts = np.array([solver.value(each) for each in items[zone]], np.int64)
            bought = np.bincount(types, n, len(market.prices)).astype(np.int64).tolist()
            bins, kinds = np.repeat(patterns, n, axis=0), np.repeat(types, n)
            fleet.append(tidy(market, bins, kinds, counts, bought))
        state.offer(rows_of(fleet))
        state.raise_bound(unit * int(np.ceil(solver.best_objective_bound)))
    elif status == cp_model.INFEASIBLE:
        if state.cost is None:
            return True
        state.raise_bound(below)
    return False


def _keep_off_spot(
    cover: Cover, patterns: IntArray, off: BoolArray, items: list[list[Any]], wanted: IntArray
) -> None:
    """So many items of each kind have a place off spot, in the zones together."""
    for kind, count in enumerate(wanted.tolist()):
        if not count:
            continue
        used = np.flatnonzero(off & (patterns[:, kind] > 0)).tolist()
        placed = []
        for x, zone_items in zip(cover.amounts, items, strict=True):
            there = cover.model.new_int_var(0, count, "")
            cover.model.add(there <= zone_items[kind])
            cover.model.add(there <= sum(int(patterns[j, kind]) * x[j] for j in used))
            placed.append(there)
        cover.model.add(sum(placed) >= count)
