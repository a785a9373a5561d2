"""A bound from whole counts of bins: what the linear program gives away by buying parts of bins.

For any prices of items, the bins of a fleet must be worth all items together, each counted as worth
no more than the best content of its type. That is an inequality in how many bins of each type there
are, and true of every fleet. A few of them, with whole counts, make a small program, which CP-SAT
solves in integers: its bound is one on every fleet. While the counts it comes to can not hold all
items even in parts, the linear program over patterns says by which prices, and they are the next
inequality.
Source: Benders (1962), Partitioning procedures for solving mixed-variables programming problems,
Numerische Mathematik 4:238-252.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from stowplan.placement.packing.cpsat import run_cp_sat
from stowplan.placement.packing.fleet.relaxation import FleetRelaxation
from stowplan.placement.packing.fleet.state import FleetState
from stowplan.placement.packing.master import Master
from stowplan.placement.packing.problem import IntArray

CUTS_MOST = 400
CUT_BITS = 20  # of the largest number of an inequality, so that CP-SAT's sums stay small
COUNTS_WORK, WORK_MOST = 100.0, 8_000.0  # of one search for whole counts, first and last
QUICK_ROUNDS = 20  # of column generation before types are priced exactly
NEW = 1e-6  # by which a pattern must be worth more than its bin to be looked at
STEP_WORK = 300.0  # of one call of `step`, about


@dataclass(frozen=True)
class _Inequality:
    """weights @ counts >= least, for the bins of every fleet."""

    weights: IntArray
    least: int


class WholeCounts:
    """Inequalities on how many bins of each type there are, and the bound they give."""

    def __init__(self, state: FleetState, relaxation: FleetRelaxation) -> None:
        self.state, self.relaxation = state, relaxation
        self.cuts: list[_Inequality] = []
        self.done = False
        self.work = COUNTS_WORK
        self._lacking = Lacking(relaxation)
        market = state.market
        for proof in relaxation.proofs:
            self._add(proof.values, list(proof.best))
        for column, size in enumerate(market.demand.T):
            unit = gcd(*size.tolist())
            if not unit:
                continue
            rooms = market.capacities[:, column] // unit
            self._add_size(size // unit, rooms)

    def _add_size(self, size: IntArray, rooms: IntArray) -> None:
        """There must be room for everything, and off spot for what has to be there."""
        market = self.state.market
        wants = [(market.counts, rooms)]
        if market.off_spot is not None:
            wants.append((market.off_spot, np.where(market.on_spot_types, 0, rooms)))
        for counts, weights in wants:
            most = int(size @ counts)
            self.cuts.append(_Inequality(np.minimum(weights, most), most))

    def step(self) -> None:
        """Whole counts, the bound, and the next inequality; `done` where none follows."""
        state = self.state
        end = state.budget.work + STEP_WORK
        while not self.done and not state.finished() and state.budget.work < end:
            counts, least = self._least()
            if counts is None or state.proven() or len(self.cuts) >= CUTS_MOST:
                self.done = True
                return
            values, best = self._lacking.of(counts)
            if not self._add(values, best, counts):
                # these counts will do: none that are cheaper would, if they are the cheapest
                self.work *= 4
                self.done = least or self.work > WORK_MOST

    def _add(self, values: IntArray, best: list[int], counts: IntArray | None = None) -> bool:
        """Keep the inequality of these values, if (types,) `counts` break it (None: always)."""
        rows = self.state.market.rows
        least = sum(int(v) * int(n) for v, n in zip(values, rows, strict=True))
        if (
            counts is not None
            and sum(b * int(n) for b, n in zip(best, counts, strict=True)) >= least
        ):
            return False
        largest = max([1, *best])
        unit = max(1, largest >> CUT_BITS)
        # weights up and the sum down: weaker, but true
        weights = np.array([-(-b // unit) for b in best], np.int64)
        self.cuts.append(_Inequality(weights, least // unit))
        made = self.cuts[-1]
        return counts is None or int(weights @ counts) < made.least

    def _least(self) -> tuple[IntArray | None, bool]:
        """Cheap whole counts by all inequalities, None without; whether none are cheaper.

        Raises the bound.
        """
        from ortools.sat.python import cp_model

        state, market = self.state, self.state.market
        model = cp_model.CpModel()
        most = [self._most(t, n) for t, n in enumerate(market.limits)]
        x = [model.new_int_var(0, n, "") for n in most]
        for cut in self.cuts:
            model.add(cp_model.LinearExpr.weighted_sum(x, cut.weights.tolist()) >= cut.least)
        unit = gcd(*market.prices.tolist()) or 1
        cost = cp_model.LinearExpr.weighted_sum(x, [p // unit for p in market.prices.tolist()])
        model.add(cost >= -(-state.lower_bound // unit))
        model.minimize(cost)
        solver = cp_model.CpSolver()
        solver.parameters.linearization_level = 2
        status = run_cp_sat(solver, model, state.budget, self.work)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None, False
        state.raise_bound(unit * int(np.ceil(solver.best_objective_bound)))
        counts = np.array([solver.value(each) for each in x], np.int64)
        return counts, status == cp_model.OPTIMAL

    def _most(self, kind: int, limit: int | None) -> int:
        """Bins of a type that a fleet no dearer than the best can have."""
        market, cost = self.state.market, self.state.cost
        most = int(market.counts.sum()) if limit is None else limit
        price = int(market.prices[kind])
        return min(most, cost // price) if cost is not None and price else most


class Lacking:
    """What must be bought beside given bins, to hold all items at least in parts."""

    def __init__(self, relaxation: FleetRelaxation) -> None:
        self.relaxation = relaxation
        prices = relaxation.prices
        self._master = Master(relaxation.market.rows, [0] * len(prices))
        for t, price in enumerate(prices.tolist()):
            self._master.add_spare(t, max(float(price), 1.0))
        known = relaxation.known()
        for t in range(len(prices)):
            self._master.add(known.covers[known.types == t], 0.0, t)

    def of(self, counts: IntArray) -> tuple[IntArray, list[int]]:
        """Prices of items by which (types,) `counts` fall short, and each type's best content.

        Where they do not, prices by which they do not.
        """
        relaxation, master = self.relaxation, self._master
        master.limit(counts)
        rows = relaxation.market.rows
        rounds = 0
        while True:
            rounds += 1
            solution = master.solve(amounts=False)
            relaxation.budget.spend(60.0 * len(master.patterns))
            if solution is None or relaxation.budget.exhausted():
                return np.zeros_like(rows), [0] * len(counts)
            values = relaxation.scaled(solution.duals)
            worths = np.array([relaxation.worth(p) for p in solution.shadow_prices.tolist()])
            if rounds <= QUICK_ROUNDS and self._quick(values, worths):
                continue
            found = relaxation.exact(values, worths)
            best = [each.best for each in found]
            new = sum(self._add(each.patterns, t) for t, each in enumerate(found))
            held = sum(b * n for b, n in zip(best, counts.tolist(), strict=True))
            if int(values @ rows) > held or not new:
                return values, best
            rounds = 0

    def _quick(self, values: IntArray, worths: IntArray) -> int:
        above = (worths * (1 + NEW)).astype(np.int64) + 1
        return sum(self._add(found, t) for t, found in self.relaxation.quick(values, above))

    def _add(self, patterns: IntArray, kind: int) -> int:
        return self._master.add(self.relaxation.market.covers(patterns, kind), 0.0, kind)
