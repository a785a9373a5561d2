"""Cheaper fleets by search: take a few bins out, buy anew for their items, keep what pays.

Source: Shaw (1998), Using constraint programming and local search methods to solve vehicle routing
problems, CP98, LNCS 1520:417-431; Schrimpf et al. (2000), Record breaking optimization results
using the ruin and recreate principle, J. Computational Physics 159:139-171.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from stowplan.placement.packing.fleet.relaxation import FleetColumns
from stowplan.placement.packing.fleet.search_kernels import Bins, Book, Shop, buy_all, improve
from stowplan.placement.packing.fleet.state import FleetRows, FleetState
from stowplan.placement.packing.problem import FloatArray, IntArray

CHUNK = 10_000  # rounds between two looks at the clock
FIRST_ROUNDS, DOUBLED = 40_000, 5  # of a cycle; twice as many in each that follows, so many times
# first temperatures of a cycle in turn, and the last of all, in mean prices of a bin
HOT, COLD = (0.12, 0.02, 0.12, 0.05), 0.003
NEAR = 0.25  # types whose best bin costs more than its worth by a larger part are left out
LEAST_TYPES = 12
BY_DUALS = (2, 5)  # of so many cycles, this one takes the program's values: fair ones mix better
TAKEN = (5, 4, 7, 4, 6)  # bins that are taken out at once, cycle by cycle
COMPLETIONS = 30
ROOM = 1.5  # rows of a table of bins, by those of a first fleet
LEAST_WORTH = 0.02  # of an item by the duals, in its fair prices
PATTERNS = 400  # of the linear program, to begin bins with
UNLIMITED = np.iinfo(np.int64).max


class FleetSearch:
    """The search for one market, from its best fleet on.

    Args:
        fair: (kinds,) what an item takes of the cheapest type for it.
    """

    def __init__(self, state: FleetState, fair: FloatArray) -> None:
        market = state.market
        self.state = state
        self.fair = np.maximum(fair, 1e-6 * max(1.0, float(fair.max(initial=0.0))))
        self.spot = market.on_spot_types
        # the same in both markets: where spot is cheaper, it is bought first, as far as it may be
        self.values = np.vstack([self.fair, self.fair])
        self.duals = self.values
        self.order = self._by_promise()
        self.patterns = np.zeros((0, len(market.counts)), np.int64)
        self.of = np.zeros(0, np.int64)
        self.cycles = 0
        self._random = np.array([88172645463325252 + state.budget.limits.seed], np.int64)

    def by_rules(self) -> None:
        """Greedy rules of several kinds: every measure of size alone and in pairs, two values."""
        rows = self.state.best
        most = 64 if rows is None else int(ROOM * len(rows.types)) + 16
        most = max(most, int(self.state.market.counts.sum()) if rows is None else most)
        for turn in range(4 * len(_sizes(self.state))):
            if self.state.budget.exhausted():
                return
            new, book = self._table(most), self._book(None)
            left = self.state.zone_counts.copy()
            noise = 1e-9 if turn % 2 else 0.2
            fine = buy_all(
                self._shop(), book, left, self.values, noise, self._random, new, float("inf")
            )
            self.state.budget.spend(60.0 * int(new.totals[0]) * len(self.order))
            if fine:
                self.state.offer(_rows(new))

    def complete(self, rows: FleetRows) -> None:
        """Buy for what a part of a fleet leaves, several times, and offer the cheapest.

        Args:
            rows: no zone holds more than its even share.
        """
        state, best = self.state, None
        left = state.zone_counts.copy()
        np.subtract.at(left, rows.zones, rows.contents)
        for turn in range(COMPLETIONS):
            book = self._book(rows)
            book.by_zone[:] = state.zone_counts.T
            new = self._table(int(left.sum()) + 1)
            values = self.duals if turn % 2 else self.values
            fine = buy_all(
                *(self._shop(), book, left.copy(), values, 0.3, self._random, new, float("inf"))
            )
            state.budget.spend(60.0 * int(new.totals[0]) * len(self.order))
            if fine and (best is None or new.totals[1] < best.totals[1]):
                best = new
        if best is not None:
            more = _rows(best)
            state.offer(FleetRows(*(np.concatenate(pair) for pair in zip(rows, more, strict=True))))

    def cycle(self) -> None:
        """Anneal once from the best fleet; the first times are short."""
        rows = self.state.best
        if rows is None or not len(rows.types):
            return
        bins, best, new = (self._table(int(ROOM * len(rows.types)) + 16) for _ in range(3))
        count = len(rows.types)
        for table in (bins, best):
            table.types[:count], table.zones[:count], table.contents[:count] = rows
            table.totals[:] = count, self.state.market.prices[rows.types].sum()
        book, shop = self._book(rows), self._shop()
        mean = max(1.0, float(bins.totals[1]) / count)
        chunks = max(1, (FIRST_ROUNDS << min(self.cycles, DOUBLED)) // CHUNK)
        hot = HOT[self.cycles % len(HOT)]
        heat = mean * hot * (COLD / hot) ** (np.arange(chunks + 1) / chunks)
        most = TAKEN[self.cycles % len(TAKEN)]
        values = self.duals if self.cycles % BY_DUALS[1] == BY_DUALS[0] else self.values
        self.cycles += 1
        for hot, cold in pairwise(heat):
            steps = improve(
                shop, bins, book, best, new, values, CHUNK, hot, cold, most, self._random
            )
            self.state.budget.spend(steps)
            if best.totals[1] < (self.state.cost or 0):
                self.state.offer(_rows(best))
            if self.state.finished():
                return

    def use(self, duals: FloatArray, reduced: FloatArray) -> None:
        """Take values for some cycles from the linear program, and which types are tried first.

        Args:
            duals: (rows,); reduced: (types,) what each type's best bin costs above its worth, in
                prices of the type.
        """
        kinds = len(self.fair)
        on = duals[:kinds]
        off = on + duals[kinds:] if self.state.market.split else on
        least = LEAST_WORTH * self.fair
        self.duals = np.maximum(np.vstack([off, on]), least)
        order = np.argsort(reduced, kind="stable")
        near = max(LEAST_TYPES, int((reduced < NEAR).sum()))
        limited = any(n is not None for n in self.state.market.limits)
        self.order = order[: len(order) if limited else near].astype(np.int64)

    def know(self, columns: FleetColumns, lacks: FloatArray) -> None:
        """Take the best contents that the linear program knows as beginnings of new bins.

        Args:
            lacks: (columns,) what each costs above its worth.
        """
        best = np.argsort(lacks, kind="stable")[:PATTERNS]
        self.patterns = np.ascontiguousarray(columns.patterns[best])
        self.of = columns.types[best].astype(np.int64)

    def _by_promise(self) -> IntArray:
        """Types by what one filled with anything holds for its price."""
        market = self.state.market
        score = np.zeros(len(market.prices))
        for t in range(len(score)):
            n = market.per_bin(t)
            share = (market.demand / np.maximum(market.capacities[t], 1)).max(axis=1)
            worth = np.where(n > 0, self.fair / np.maximum(share, 1e-9), 0.0)
            score[t] = worth.max(initial=0.0) / max(1, int(market.prices[t]))
        return np.argsort(-score, kind="stable").astype(np.int64)

    def _table(self, most: int) -> Bins:
        kinds = len(self.state.market.counts)
        return Bins(
            np.zeros(most, np.int64),
            np.zeros(most, np.int64),
            np.zeros((most, kinds), np.int64),
            np.zeros(2, np.int64),
        )

    def _book(self, rows: FleetRows | None) -> Book:
        """What a fleet adds up to; without one, the even shares of the zones."""
        market = self.state.market
        bought = np.zeros(len(market.prices), np.int64)
        if rows is None:
            by_zone = np.ascontiguousarray(self.state.zone_counts.T)
            return Book(by_zone, np.zeros(len(market.counts), np.int64), bought)
        by_zone = np.zeros((self.state.zones, len(market.counts)), np.int64)
        np.add.at(by_zone, rows.zones, rows.contents)
        on_spot = rows.contents[self.spot[rows.types]].sum(axis=0)
        np.add.at(bought, rows.types, 1)
        return Book(np.ascontiguousarray(by_zone.T), on_spot.astype(np.int64), bought)

    def _shop(self) -> Shop:
        market, shares = self.state.market, self.state.shares
        wanted = market.demand > 0
        order = np.argsort(~wanted, axis=1, kind="stable")
        needs = np.where(np.take_along_axis(wanted, order, axis=1), order, -1)
        needs = needs[:, : max(1, int(wanted.sum(axis=1).max(initial=0)))]
        limits = [UNLIMITED if n is None else n for n in market.limits]
        return Shop(
            np.ascontiguousarray(market.demand),
            np.ascontiguousarray(needs),
            np.ascontiguousarray(market.capacities),
            market.prices,
            self.spot,
            np.array(limits, np.int64),
            self.order,
            shares.on_spot,
            shares.base,
            shares.extras,
            _sizes(self.state),
            self.patterns,
            self.of,
        )


def _sizes(state: FleetState) -> FloatArray:
    """(measures, kinds) an item's size: its largest share, the sum, by scarcity, by dimension."""
    market = state.market
    shares = market.demand / np.maximum(market.capacities.max(axis=0), 1)
    scarce = market.counts @ shares
    busiest = np.argsort(-scarce, kind="stable")[:3]
    rows = [shares.max(axis=1), shares.sum(axis=1), shares @ scarce / max(scarce.sum(), 1e-9)]
    return np.vstack([*rows, *shares[:, busiest].T])


def _rows(bins: Bins) -> FleetRows:
    n = int(bins.totals[0])
    return FleetRows(bins.types[:n].copy(), bins.zones[:n].copy(), bins.contents[:n].copy())
