"""Exact search for the most valuable patterns: what fits one bin, by integer values.

The search goes depth first over the kinds in their fixed order (large to small) and prunes with
knapsack tables: the value the kinds from i on can still add within the room left, in one dimension
exactly, in several by relaxations to one ("surrogates"). Kinds that exclude each other, which
branching adds, only take patterns away, so the tables stay valid bounds.
All values are integers, hence "no pattern is worth more than v" is a proof.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stowplan.placement.packing.list_kernels import list_patterns
from stowplan.placement.packing.pricing_kernels import (
    GRID,
    collect_patterns,
    fill_grid,
    fill_table,
    search_leads,
)
from stowplan.placement.packing.problem import BoolArray, FloatArray, IntArray, ShortArray

EXACT_TABLE_CELLS = 8_000_000  # up to this size one dimension gets its true table
SCALED_ROOM = (2_048, 16_384)  # least and most room of a scaled table
SCALED_CELLS = 400_000  # of a scaled table, as far as the least room allows
DENSE_DIMENSIONS = 8  # with a table of their own; others, such as limits of groups, bound little
SCALE = 2**26  # a dual of 1.0 as an integer


@dataclass(frozen=True)
class Priced:
    """Outcome of one search.

    Args:
        patterns: (found, kinds) int64, each worth more than the threshold.
        values: (found,) int64.
        best: no pattern is worth more than this, if `complete`.
        complete: the search was not cut off by its node limit.
        steps: elementary steps taken.
    """

    patterns: IntArray
    values: IntArray
    best: int
    complete: bool
    steps: int


class Pricer:
    """Searches patterns of one set of kinds; made once, asked for many values.

    Args:
        demand: (kinds, dimensions) int64, large kinds first.
        per_bin: (kinds,) int64; most items of a kind that one bin may hold.
        capacity: (dimensions,) int64.
        exclusive: (kinds, kinds) bool, symmetric; kinds that must not share a bin.
        cells: of a scaled table, as far as the least room allows; fewer are made faster.
        scratch: tables by their shape, to share among pricers that are asked in turn.
    """

    def __init__(
        self,
        demand: IntArray,
        per_bin: IntArray,
        capacity: IntArray,
        exclusive: BoolArray | None = None,
        cells: int = SCALED_CELLS,
        scratch: dict[tuple[int, int, int], IntArray] | None = None,
    ) -> None:
        m = len(demand)
        self.demand = np.ascontiguousarray(demand)
        self.capacity = capacity
        self.per_bin = per_bin
        none = np.zeros((0, 0), dtype=np.bool_)
        self.exclusive = none if exclusive is None or not exclusive.any() else exclusive
        self._needs = _needs(self.demand)
        # in a dimension without room no kind with a demand has a place anyway
        relative = demand / np.maximum(capacity, 1)
        # what only one kind has a demand for is in its limit per bin already
        common = (demand > 0).sum(axis=0) > 1
        relative = relative[:, common] if common.any() else relative
        dense = np.argsort(-relative.sum(axis=0), kind="stable")[:DENSE_DIMENSIONS]
        self._relative = relative[:, np.sort(dense)]
        d = self._relative.shape[1]
        self._one = demand.shape[1] == 1 and m * (int(capacity[0]) + 1) <= EXACT_TABLE_CELLS
        self._grid = d == 2 and cells >= SCALED_CELLS
        if self._one:
            surrogates, room = 1, int(capacity[0])
        elif self._grid:
            surrogates, room = 2, GRID * GRID - 1
        else:
            surrogates = 1 if d == 1 else d + 2
            room = min(max(cells // (m + 1), SCALED_ROOM[0]), SCALED_ROOM[1])
        shape = (surrogates, m + 1, room + 1)
        self._tables = (
            np.zeros(shape, dtype=np.int64)
            if scratch is None
            else scratch.setdefault(shape, np.zeros(shape, dtype=np.int64))
        )

    def search(
        self,
        values: IntArray,
        threshold: int,
        nodes_per_lead: int,
        per_bin: IntArray | None = None,
        densest_first: bool = False,
    ) -> Priced:
        """Most valuable pattern for each kind as its first, where worth more than `threshold`.

        `densest_first` goes through the kinds by falling worth for their size, not by size, which
        finds good patterns sooner where bins hold many items. `per_bin` replaces the limits per
        bin for this search, for demands partly covered already.
        """
        per_bin = self.per_bin if per_bin is None else per_bin
        order = np.arange(len(values))
        if densest_first:
            size = np.maximum(self._relative.sum(axis=1), 1e-12)
            order = np.argsort(-values / size, kind="stable")
        sizes = self._fill_tables(values, per_bin, order)
        exact = self._one and not self.exclusive.size
        patterns, found, best, complete, nodes = search_leads(
            values[order],
            np.hstack([self.demand[order], sizes]),
            self._needs[order],
            per_bin[order],
            np.append(self.capacity, [self._tables.shape[2] - 1] * sizes.shape[1]),
            self._tables,
            self.exclusive[np.ix_(order, order)] if self.exclusive.size else self.exclusive,
            threshold,
            nodes_per_lead,
            exact,
        )
        patterns = patterns[:, np.argsort(order)]
        steps = self._tables.size + 20 * nodes
        return Priced(patterns, found, int(best), bool(complete), int(steps))

    def ceiling(self) -> int:
        """What no pattern exceeds by the values last searched: what the tables tell at once."""
        return int(self._tables[:, 0, -1].min())

    def collect(
        self, values: IntArray, threshold: int, node_limit: int, most: int
    ) -> tuple[IntArray, bool, int]:
        """All maximal patterns (found, kinds) worth more than `threshold`.

        Returns (patterns, whether these are all, steps). Kinds of no value count as well: they
        only fill up a pattern.
        """
        patterns, complete, nodes = collect_patterns(
            *self._search_input(values),
            self.exclusive,
            threshold,
            node_limit,
            most,
        )
        return patterns, bool(complete), int(self._tables.size + 20 * nodes)

    def list_patterns(
        self, values: IntArray, threshold: int, waste: IntArray, width: int, most: int, nodes: int
    ) -> tuple[ShortArray, IntArray, bool, int]:
        """Patterns worth more than `threshold` that leave at most (dimensions,) `waste`.

        Returns (rows of at most `width` kinds, their wastes, whether these are all, steps), as
        `pool_kernels` has them; of longer patterns there are none.
        """
        rows = np.empty((most, width), dtype=np.int16)
        wastes = np.empty((most, len(self.capacity)), dtype=np.int64)
        found, complete, used = list_patterns(
            *self._search_input(values),
            threshold,
            waste,
            rows,
            wastes,
            nodes,
        )
        return rows[:found], wastes[:found], bool(complete), int(self._tables.size + 20 * used)

    def _search_input(
        self, values: IntArray
    ) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, IntArray]:
        """What kernels that go through all kinds by size take first, with the tables filled."""
        sizes = self._fill_tables(values, self.per_bin, np.arange(len(values)))
        room = np.append(self.capacity, [self._tables.shape[2] - 1] * sizes.shape[1])
        demand = np.hstack([self.demand, sizes])
        return values, demand, self._needs, self.per_bin, room, self._tables

    def _fill_tables(self, values: IntArray, per_bin: IntArray, order: IntArray) -> IntArray:
        """Fill the tables for these values; (kinds, tables) the sizes of kinds in each.

        The tables and what is returned have the kinds in the `order` that is given.
        """
        sizes = self._surrogate_sizes(values)[order]
        values, per_bin = values[order], per_bin[order]
        for number, (table, size) in enumerate(zip(self._tables, sizes.T, strict=True)):
            size = np.ascontiguousarray(size)
            if number == 0 and self._grid:
                fill_grid(table, values, size, per_bin)
            else:
                fill_table(table, values, size, per_bin, not self._one)
        return sizes

    def _surrogate_sizes(self, values: IntArray) -> IntArray:
        """Sizes (kinds, tables) that every true pattern keeps within the room of each table.

        With room R - 1, an item of relative size x may count ceil(x * R) - 1: what fits has a total
        of x at most 1, so its sizes add up to less than R. The first table may be a grid over two
        dimensions, and the size a cell of it.
        """
        if self._one:
            return self.demand
        d = self._relative.shape[1]
        mixes = [] if self._grid else [self._relative]
        if d > 1:
            mixes += [self._relative @ _value_mix(values, self._relative).reshape(d, 1)]
        if d > 1 and not self._grid:
            mixes += [self._relative.mean(axis=1, keepdims=True)]
        sizes = _rounded(np.hstack(mixes), self._tables.shape[2])
        if self._grid:
            grid = _rounded(self._relative, GRID)
            sizes = np.column_stack([grid[:, 0] * GRID + grid[:, 1], sizes])
        return sizes


def _rounded(relative: FloatArray, steps: int) -> IntArray:
    """ceil(x * steps) - 1, at least 0, safe against rounding of x itself."""
    result: IntArray = np.ceil(relative * (steps * (1 - 1e-12))).astype(np.int64) - 1
    return np.maximum(result, 0)


def _value_mix(values: IntArray, relative: FloatArray) -> FloatArray:
    """Weights of the dimensions, summing to 1, under which size follows value most closely."""
    mix, *_ = np.linalg.lstsq(relative, values / SCALE, rcond=None)
    mix = np.maximum(mix, 1e-3)
    result: FloatArray = mix / mix.sum()
    return result


def _needs(demand: IntArray) -> IntArray:
    """(kinds, most of any kind) the dimensions in which each kind has a demand, then -1."""
    wanted = demand > 0
    order = np.argsort(~wanted, axis=1, kind="stable")
    listed: IntArray = np.where(np.take_along_axis(wanted, order, axis=1), order, -1)
    return np.ascontiguousarray(listed[:, : max(1, int(wanted.sum(axis=1).max(initial=0)))])
