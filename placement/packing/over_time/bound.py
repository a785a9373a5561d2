"""What any instances that hold the tasks must cost over time, proven in integers.

At each moment the tasks that run need at least the cheapest fleet that could hold them, were they
free to move; the bound adds that up over time. Tasks cannot move, so no plan may reach it.
A dual vector of one moment bounds the cost of every other, so a few are worked out where they help
most and each moment takes the best of them. Where few tasks run together and for long, as services
do, whole fleets are worked out for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd

import numpy as np

from stowplan.placement.packing.cuts import Cut, cut
from stowplan.placement.packing.fleet.market import Market
from stowplan.placement.packing.fleet.problem import FleetProblem
from stowplan.placement.packing.fleet.relaxation import FleetRelaxation
from stowplan.placement.packing.fleet.solve import solve_fleet
from stowplan.placement.packing.over_time.problem import ANY_NUMBER, OverTimeProblem, moments
from stowplan.placement.packing.problem import FloatArray, IntArray, Limits
from stowplan.placement.packing.state import Budget

SAMPLES = 64  # moments, spread evenly over time, whose prices of resources are worked out
SHORTAGE = 100.0  # cost of a missing item, in prices of the dearest type
COMPARED_MOST = 4_000_000  # moments x kinds, for whole fleets
FLEET_SHARE, FLEET_WORK = 0.3, 1_000.0  # of what is left, at most, for one of them
RULES_MOST = 24  # rules on kinds that one of them keeps
BITS = 40  # after the binary point of such prices, at most
WORTH_BITS = 60  # what all tasks together are worth stays within so many


class Bounds:
    """Least cost at each moment of one or several runs of the same kinds on the same types.

    Args:
        problems: alike in `demand`, `types` and `most`; their cuts are shared.
    Attributes:
        costs: per problem, (moments,) the best bound so far on what must be paid an hour.
    """

    def __init__(self, problems: Sequence[OverTimeProblem], limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self.budget = Budget(self._limits)
        first = self._first = problems[0]
        self._kinds = len(first.demand)
        self.moments = [moments(problem) for problem in problems]
        self.costs = [np.zeros(len(each.last), dtype=np.int64) for each in self.moments]
        self._step = gcd(*(offer.price for offer in first.types)) or 1
        counts = [np.bincount(problem.kind, minlength=self._kinds) for problem in problems]
        # large kinds first, as column generation wants them
        capacities = np.array([offer.capacity for offer in first.types], dtype=np.int64)
        size = (first.demand / np.maximum(capacities.max(axis=0), 1)).sum(axis=1)
        self._order = np.argsort(-size, kind="stable")
        self.market = Market(
            first.demand[self._order],
            np.max(counts, axis=0)[self._order],
            capacities,
            np.array([offer.price for offer in first.types], dtype=np.int64),
            tuple(offer.limit for offer in first.types),
            first.most[self._order],
        )
        self._cuts: set[bytes] = set()
        self._relaxation: FleetRelaxation | None = None

    def totals(self) -> list[int]:
        """Per problem, the bound on price an hour x ms over the whole time."""
        pairs = zip(self.costs, self.moments, strict=True)
        return [int((costs.astype(object) * each.lasts_ms).sum()) for costs, each in pairs]

    def peaks(self) -> list[int]:
        """Per problem, the bound at the moment that needs most."""
        return [int(costs.max(initial=0)) for costs in self.costs]

    def use_resource_prices(self) -> None:
        """Raise the bounds by what resources must cost: quick, and near where tasks are small."""
        parts = _parts(self.market)
        for counts in self._samples(SAMPLES):
            self.add(resource_cut(self.market, parts, counts))

    def use_patterns(self, solves: int) -> None:
        """Raise the bounds by column generation at moments spread over time, at most `solves`."""
        if self._relaxation is None:
            cost = SHORTAGE * max(1.0, float(self.market.prices.max()))
            self._relaxation = FleetRelaxation(self.market, self.market.prices, cost, self.budget)
        for counts in self._samples(solves):
            if self.budget.exhausted():
                return
            self.add(self._relaxation.prove(counts))

    def use_fleets(self, solves: int) -> None:
        """Raise the bounds by whole fleets, for the tasks that run together longest.

        What they cost at least, whatever holds them as well costs. Says nothing where moments and
        kinds are too many to compare.
        """
        if self._kinds * sum(map(len, self.costs)) > COMPARED_MOST:
            return
        tables = [
            np.array([each.counts(n, self._kinds) for n in range(len(each.last))], np.int64)
            for each in self.moments
        ]
        rows, of = np.unique(
            np.vstack([table.reshape(-1, self._kinds) for table in tables]), axis=0,
            return_inverse=True,
        )  # fmt: skip
        lasts = np.concatenate([each.lasts_ms for each in self.moments])
        weight = np.bincount(of.reshape(-1), lasts.astype(float), len(rows))
        for row in np.argsort(-weight, kind="stable")[:solves].tolist():
            if self.budget.exhausted():
                return
            part = self.budget.part(FLEET_SHARE, FLEET_WORK)
            result = solve_fleet(self._fleet(rows[row]), part.limits)
            self.budget.spend(1e6 * result.work)
            for costs, table in zip(self.costs, tables, strict=True):
                held = (table.reshape(-1, self._kinds) >= rows[row]).all(axis=1)
                costs[held] = np.maximum(costs[held], result.lower_bound)
            if result.interrupted:
                raise KeyboardInterrupt

    def _fleet(self, counts: IntArray) -> FleetProblem:
        """(kinds,) tasks at once; a rule on one kind is a dimension, as far as that pays."""
        problem = self._first
        ruled = (problem.most < ANY_NUMBER).any(axis=1) & (counts > 0)
        kinds = np.flatnonzero(ruled)[:RULES_MOST]  # without the others the bound still holds
        marks = np.eye(self._kinds, dtype=np.int64)[:, kinds]
        types = tuple(
            replace(offer, capacity=np.append(offer.capacity, problem.most[kinds, t]))
            for t, offer in enumerate(problem.types)
        )
        return FleetProblem(np.hstack([problem.demand, marks]), counts, types)

    def add(self, found: Cut) -> None:
        """Raise the bounds where this cut proves more."""
        key = found.values.tobytes()
        if key in self._cuts or not found.values.any():
            return
        self._cuts.add(key)
        values = np.zeros_like(found.values)
        values[self._order] = found.values
        for costs, each in zip(self.costs, self.moments, strict=True):
            worth = np.cumsum(values[each.kind] * each.change)[each.last]
            bounds = -(-found.bounds(worth) // self._step) * self._step
            np.maximum(costs, bounds, out=costs)

    def _samples(self, number: int) -> list[IntArray]:
        """(kinds,) counts at so many moments that part the time of all problems evenly."""
        lasts = np.concatenate([each.lasts_ms for each in self.moments])
        passed = np.cumsum(lasts)
        if not len(passed):
            return []
        at = (2 * np.arange(number) + 1) * int(passed[-1]) // (2 * number)
        chosen = np.unique(np.searchsorted(passed, at, side="right"))
        begins = np.cumsum([0, *(len(each.last) for each in self.moments)])
        samples = []
        for moment in chosen[chosen < len(passed)].tolist():
            which = int(np.searchsorted(begins, moment, side="right")) - 1
            counts = self.moments[which].counts(moment - int(begins[which]), self._kinds)
            samples.append(counts[self._order])
        return samples


def resource_cut(market: Market, parts: IntArray, counts: IntArray) -> Cut:
    """What the cheapest prices of resources prove: the relaxation that packs nothing.

    Args:
        parts: per kind and then per type, the part of the market it belongs to; see `_parts`.
    """
    kinds = len(market.demand)
    demand = _by_part(market.demand, parts[:kinds], parts)
    capacities = _by_part(market.capacities, parts[kinds:], parts)
    duals = _cheapest_prices(capacities, market, counts @ demand)
    # what nothing asks for has any price in the programme, an endless one as well
    duals = np.where(market.counts @ demand > 0, np.nan_to_num(duals, posinf=0.0), 0.0)
    most = max(float((market.counts @ demand) @ duals), float((capacities @ duals).max()), 1.0)
    bits = min(BITS, WORTH_BITS - int(np.ceil(np.log2(most))))
    scaled = np.floor(duals * 2.0**bits).astype(np.int64)
    values = demand @ scaled
    return cut(values, (capacities @ scaled).tolist(), market.prices, market.limits, bits, counts)


def _parts(market: Market) -> IntArray:
    """Kinds and types that constraints keep apart: (kinds + types,) the number of their part."""
    assert market.most is not None
    kinds = len(market.demand)
    fits = (market.demand[:, None, :] <= market.capacities[None]).all(axis=2) & (market.most > 0)
    label = np.arange(kinds + len(market.prices))
    while True:
        merged = label.copy()
        for kind, t in np.argwhere(fits):
            merged[kind] = merged[kinds + t] = min(merged[kind], merged[kinds + t])
        if (merged == label).all():
            return np.unique(label, return_inverse=True)[1].reshape(-1)
        label = merged


def _by_part(table: IntArray, mine: IntArray, parts: IntArray) -> IntArray:
    """(rows, parts x dimensions): each row's numbers stand in the columns of its part."""
    width = table.shape[1]
    wide = np.zeros((len(table), int(parts.max() + 1), width), dtype=np.int64)
    wide[np.arange(len(table)), mine] = table
    return wide.reshape(len(table), -1)


def _cheapest_prices(capacities: IntArray, market: Market, wanted: IntArray) -> FloatArray:
    """(dimensions,) the duals of buying capacity for `wanted` at least cost, in any fractions."""
    from ortools.linear_solver import pywraplp

    solver = pywraplp.Solver.CreateSolver("GLOP")
    rows = [solver.Constraint(float(w), solver.infinity()) for w in wanted.tolist()]
    dearest = SHORTAGE * max(1.0, float(market.prices.max()))
    bought = zip(capacities, market.prices.tolist(), market.limits, strict=True)
    for row, room in zip(rows, capacities.max(axis=0).tolist(), strict=True):
        lacking = solver.NumVar(0.0, solver.infinity(), "")
        row.SetCoefficient(lacking, 1.0)
        solver.Objective().SetCoefficient(lacking, dearest / max(1, room))
    for room, price, limit in bought:
        x = solver.NumVar(0.0, solver.infinity() if limit is None else float(limit), "")
        solver.Objective().SetCoefficient(x, float(price))
        for row, amount in zip(rows, room.tolist(), strict=True):
            row.SetCoefficient(x, float(amount))
    solver.Objective().SetMinimization()
    solver.Solve()
    return np.maximum([row.dual_value() for row in rows], 0.0)
