"""The most valuable contents of each type of a market, by values of the rows of its program.

Where sizes are round numbers, one table has those of all types (`grid`); the other types are
searched one by one, and only where a bound by volume leaves a chance of anything worth its price.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stowplan.placement.packing.cpsat import best_pattern
from stowplan.placement.packing.fleet.grid import Grid
from stowplan.placement.packing.fleet.market import Market
from stowplan.placement.packing.pricing import SCALED_CELLS, Pricer
from stowplan.placement.packing.problem import BoolArray, FloatArray, IntArray
from stowplan.placement.packing.state import Budget

# of an exact search for a type's best patterns, before CP-SAT is asked, and of all types together
EXACT_NODES, EXACT_TOTAL = 6_000_000, 100_000_000
PROOF_NODES = 3_000  # search nodes per first kind in a proof that will do with some slack
FEW_CELLS = 100_000  # of the tables that bound searches, where types are many
SLACKS = (0.0, 2e-4, 1e-3, 5e-3, 2e-2)  # by which such a proof may miss the best pattern's value
MANY_TYPES, MOST_TRIED = 12, 40  # searched one by one, up to which there is time for more
AT_ONCE = 4  # contents of a type from one table
WEIGHTS = 9  # mixes of the dimensions that a bound by volume tries, and what part of the price
PARTS = (1.0, 0.98, 0.95, 0.9, 0.8, 0.6)


class Content(NamedTuple):
    """Patterns (n, kinds) worth more than a threshold; `best`: none is worth more."""

    patterns: IntArray
    best: int


class Prices:
    """Finds contents; the same values for all types are looked up in one table."""

    def __init__(self, market: Market, budget: Budget) -> None:
        self.market, self.budget = market, budget
        types = len(market.prices)
        self.grid = Grid.of(market)
        self.held = np.zeros(types, np.bool_) if self.grid is None else self.grid.held
        self.per_bin = [market.per_bin(t) for t in range(types)]
        self._few = int((~self.held).sum())
        self._scratch: dict[tuple[int, int, int], IntArray] = {}
        self._pricers: dict[int, Pricer] = {}
        self._exact_nodes = [min(EXACT_NODES, EXACT_TOTAL // types)] * types
        self._shares = _mixes(market)

    def in_grid(self, values: IntArray, thresholds: IntArray) -> dict[int, Content]:
        """What the table tells of every type that it has.

        Args:
            values: (rows,); thresholds: (types,).
        """
        market, grid = self.market, self.grid
        found: dict[int, Content] = {}
        if grid is None:
            return found
        none = np.zeros((0, len(market.counts)), np.int64)
        for spot in (False, True) if market.split else (False,):
            mine = self.held & (market.on_spot_types == spot)
            if not mine.any():
                continue
            grid.fill(market.worths(values, int(np.flatnonzero(mine)[0])))
            self.budget.spend(grid.steps)
            ceilings = grid.ceilings()
            for t in np.flatnonzero(mine).tolist():
                if ceilings[t] <= thresholds[t]:
                    found[t] = Content(none, int(thresholds[t]))
                    continue
                priced = grid.search(t, int(thresholds[t]), AT_ONCE)
                self.budget.spend(priced.steps)
                found[t] = Content(priced.patterns, priced.best)
        return found

    def quick(self, values: IntArray, kind: int, threshold: int, nodes: int) -> IntArray:
        """Patterns of one type outside the table worth more than a threshold, by a short search."""
        worths = self.market.worths(values, kind)
        pricer = self.pricer(kind)
        found = pricer.search(worths, threshold, nodes, densest_first=True)
        self.budget.spend(found.steps)
        return found.patterns

    def exact(self, values: IntArray, thresholds: IntArray) -> list[Content]:
        """Of each type: patterns worth more than its threshold, the most valuable among them, and a
        value, the threshold at least, that none exceeds."""
        found = self.in_grid(values, thresholds)
        hopeless = self.hopeless(values, thresholds)
        none = np.zeros((0, len(self.market.counts)), np.int64)
        for t in range(len(thresholds)):
            if t not in found:
                threshold = int(thresholds[t])
                beaten = Content(none, threshold)
                found[t] = beaten if hopeless[t] else self._searched(values, t, threshold)
        return [found[t] for t in range(len(thresholds))]

    def nearly(self, values: IntArray, thresholds: IntArray) -> list[Content]:
        """As `exact`, but with a value that may be a little above, in short time."""
        found = self.in_grid(values, thresholds)
        for t in range(len(thresholds)):
            if t not in found:
                worths = self.market.worths(values, t)
                found[t] = self._nearly(worths, t, int(thresholds[t]), PROOF_NODES)
        return [found[t] for t in range(len(thresholds))]

    def hopeless(self, values: IntArray, thresholds: IntArray) -> BoolArray:
        """(types,) bool: by volume alone, no pattern is worth more than the threshold.

        For any weights of the dimensions, a pattern is worth no more than its room by these
        weights, and for each item what that is worth above its size.
        """
        out = np.zeros(len(thresholds), np.bool_)
        for t in np.flatnonzero(~self.held & (thresholds > 0)).tolist():
            worths = self.market.worths(values, t).astype(np.float64)
            weights = self._shares[t]  # (mixes, kinds), what an item takes of the room
            for part in PARTS:
                room = part * float(thresholds[t])
                above = np.maximum(worths - room * weights, 0.0) @ self.per_bin[t]
                if room + above.min() < float(thresholds[t]) * (1 - 1e-9):
                    out[t] = True
                    break
        return out

    def pricer(self, kind: int) -> Pricer:
        """The search for one type."""
        if kind not in self._pricers:
            cells = SCALED_CELLS if self._few <= MOST_TRIED else FEW_CELLS
            self._pricers[kind] = Pricer(
                *(self.market.demand, self.per_bin[kind], self.market.capacities[kind]),
                cells=cells,
                scratch=self._scratch,
            )
        return self._pricers[kind]

    def _searched(self, values: IntArray, kind: int, threshold: int) -> Content:
        nodes = self._exact_nodes[kind] // len(self.market.counts)
        if self._few > MOST_TRIED:  # one that is nearly exact for all of them comes sooner
            nodes = min(nodes, PROOF_NODES)
        values = self.market.worths(values, kind)
        found = self.pricer(kind).search(values, threshold, nodes)
        self.budget.spend(found.steps)
        if found.complete:
            return Content(found.patterns, found.best)
        self._exact_nodes[kind] //= 4  # in vain, as it likely will be again
        if self._few > MANY_TYPES:
            near = self._nearly(values, kind, threshold, nodes, SLACKS[1:])
            return Content(found.patterns, near.best)
        pattern, most = best_pattern(
            values, self.market.demand, self.per_bin[kind],
            self.market.capacities[kind], self.budget,
        )  # fmt: skip
        return Content(np.vstack([found.patterns, pattern]), max(most, threshold))

    def _nearly(
        self, values: IntArray, kind: int, threshold: int, nodes: int,
        slacks: tuple[float, ...] = SLACKS,
    ) -> Content:  # fmt: skip
        """Patterns, and a value close above the threshold that soon proves to be beyond any's."""
        pricer = self.pricer(kind)
        patterns = np.zeros((0, len(values)), np.int64)
        for slack in slacks:
            found = pricer.search(values, int(threshold * (1 + slack)) + (slack > 0), nodes)
            self.budget.spend(found.steps)
            patterns = np.vstack([patterns, found.patterns])
            if found.complete:
                return Content(patterns, found.best)
        return Content(patterns, max(pricer.ceiling(), threshold))


def _mixes(market: Market) -> FloatArray:
    """(types, mixes, kinds) what an item takes of a type's room, dimensions in several mixes."""
    relative = market.demand[None] / np.maximum(market.capacities, 1)[:, None]
    busiest = np.argsort(-(market.counts @ market.demand / np.maximum(
        market.capacities.max(axis=0), 1)), kind="stable")[:2]  # fmt: skip
    first, second = relative[:, :, busiest[0]], relative[:, :, busiest[-1]]
    theta = np.linspace(0, 1, WEIGHTS)[:, None]
    mixed: FloatArray = theta * first[:, None] + (1 - theta) * second[:, None]
    return mixed
