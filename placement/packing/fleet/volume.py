"""Bounds by volume: there at once, before any content of a bin is looked at."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np

from stowplan.placement.packing.fleet.market import Market
from stowplan.placement.packing.problem import IntArray

DIGITS = 10**9  # of a weight, in parts of the largest


def volume_bound(market: Market) -> int:
    """In each dimension, what the sizes come to at the least price of a unit; what is not for spot
    at the least of the other types."""
    off = np.zeros_like(market.counts) if market.off_spot is None else market.off_spot
    spot = market.on_spot_types
    best = Fraction(0)
    for d in range(market.demand.shape[1]):
        every = [
            (Fraction(int(price), int(capacity[d])), taken_back)
            for price, capacity, taken_back in zip(
                market.prices, market.capacities, spot.tolist(), strict=True
            )
            if capacity[d]
        ]
        on_demand = [unit for unit, taken_back in every if not taken_back]
        sizes = market.demand[:, d]
        kept, rest = int(off @ sizes), int((market.counts - off) @ sizes)
        if (kept and not on_demand) or (rest and not every):
            continue  # no fleet at all, which is for others to find
        cost = kept * min(on_demand, default=Fraction(0))
        cost += rest * min((unit for unit, _ in every), default=Fraction(0))
        best = max(best, cost)
    return ceil(best)


def mixed_bound(market: Market) -> int:
    """A bound by all dimensions together: the cheapest room in parts of bins.

    The linear program says what a unit of each dimension is worth, on any type and off spot. In
    integers these weights are a proof: no bin holds more than its room is worth.
    """
    rooms, wanted = _rooms(market)
    values = _weights(market, rooms, wanted)
    largest = max(values, default=0.0)
    if largest <= 0:
        return 0
    weights = [floor(value / largest * DIGITS) for value in values]
    worths = [sum(w * r for w, r in zip(weights, row, strict=True)) for row in rooms.tolist()]
    prices, limits = market.prices.tolist(), market.limits
    # what a unit of weight may cost: as much as its types without limit are worth
    open_ended = [
        Fraction(price, worth)
        for price, worth, limit in zip(prices, worths, limits, strict=True)
        if limit is None and worth
    ]
    unit = min([Fraction(largest) / DIGITS, *open_ended])
    total = sum(w * n for w, n in zip(weights, wanted.tolist(), strict=True))
    bound: Fraction = unit * total
    for price, worth, limit in zip(prices, worths, limits, strict=True):
        if limit is not None:
            bound -= limit * max(Fraction(0), unit * worth - price)
    return max(0, ceil(bound))


def _rooms(market: Market) -> tuple[IntArray, IntArray]:
    """(types, rows) room and (rows,) what must find room: of all items, then of those off spot."""
    rooms, wanted = market.capacities, market.counts @ market.demand
    rooms = np.minimum(rooms, wanted)
    if market.off_spot is None:
        return rooms, wanted
    kept = market.off_spot @ market.demand
    off = np.where(market.on_spot_types[:, None], 0, np.minimum(rooms, kept))
    return np.hstack([rooms, off]), np.append(wanted, kept)


def _weights(market: Market, rooms: IntArray, wanted: IntArray) -> list[float]:
    """(rows,) what a unit of room is worth; none where the program has no solution."""
    from ortools.linear_solver import pywraplp

    solver = pywraplp.Solver.CreateSolver("GLOP")
    infinity = solver.infinity()
    bought = [solver.NumVar(0.0, infinity if n is None else float(n), "") for n in market.limits]
    rows = []
    for d, total in enumerate(wanted.tolist()):
        row = solver.Constraint(float(total), infinity)
        for t in np.flatnonzero(rooms[:, d]).tolist():
            row.SetCoefficient(bought[t], float(rooms[t, d]))
        rows.append(row)
    for variable, price in zip(bought, market.prices.tolist(), strict=True):
        solver.Objective().SetCoefficient(variable, float(price))
    if solver.Solve() != solver.OPTIMAL:
        return []
    return [max(0.0, row.dual_value()) for row in rows]
