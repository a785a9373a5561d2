"""The best contents of all types at once, where sizes are multiples of a common unit.

Tasks ask for CPU and memory in round numbers. In units of their greatest common divisor, a bin has
some thousand cells, and one table over cells and kinds has the best content of every room up to the
largest: so it prices hundreds of types in the time of one. Dimensions that few kinds want (a host
port, a GPU) are none of the table's; the kinds that want them come first, and a search goes over
them with the table as its bound.
Source: Gilmore & Gomory (1966), The theory and computation of knapsack functions, Operations
Research 14:1045-1074.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from stowplan.placement.packing.fleet.grid_kernels import best_contents, fill
from stowplan.placement.packing.fleet.market import Market
from stowplan.placement.packing.problem import BoolArray, IntArray

CELLS_MOST = 10_000_000  # of a table over all kinds
AXES = 3
NODES = 20_000  # of the search over odd kinds, for each type
LEAST_TYPES = 0.4  # of all, for a table to be worth it
FEW_KINDS = 6  # are better searched than counted by an axis that takes types off the table
ODD_MOST = 0.7  # of the kinds: beyond that the table tells little


@dataclass(frozen=True)
class GridPriced:
    """What `Grid.search` found of one type: contents, a value that none exceeds, steps."""

    patterns: IntArray
    best: int
    complete: bool
    steps: int


class Grid:
    """The tables of a market.

    Args:
        axes: dimensions that cells count; rooms: (types, 3) in cells; held: (types,) the table
            is large enough for it.
    """

    def __init__(
        self, market: Market, axes: list[int], units: IntArray, rooms: IntArray, held: BoolArray
    ) -> None:
        self.held = held
        self.rooms = rooms
        kinds, dimensions = market.demand.shape
        self._others = [d for d in range(dimensions) if d not in axes]
        beside = np.array([_beside(market, self._others, t) for t in range(len(rooms))])
        shared = [d for d in self._others if (market.demand[:, d] > 0).sum() > 1]
        odd = (market.demand[:, shared] > 0).any(axis=1)
        odd |= (beside[held] != beside[held][0]).any(axis=0)
        largest = np.argsort(-market.demand.sum(axis=1), kind="stable")
        self._order = np.concatenate([largest[odd[largest]], largest[~odd[largest]]])
        self._back = np.argsort(self._order)
        self.odd = int(odd.sum())
        sizes = np.zeros((kinds, AXES), np.int64)
        sizes[:, AXES - len(axes) :] = market.demand[:, axes] // units
        self._sizes = np.ascontiguousarray(sizes[self._order])
        self._most = np.ascontiguousarray(beside[:, self._order])
        self._table_most = np.ascontiguousarray(beside[held].max(axis=0)[self._order])
        self._needs = np.ascontiguousarray(market.demand[:, self._others][self._order])
        self._other = np.ascontiguousarray(market.capacities[:, self._others])
        box = rooms[held].max(axis=0) + 1
        self._table = np.zeros((kinds + 1, *box), np.int64)
        self._values = np.zeros(kinds, np.int64)
        self.steps = float(self._table.size) / 4  # of filling it

    @classmethod
    def of(cls, market: Market) -> Grid | None:
        """The grid of a market; None where units are too fine for most of its types."""
        demand = market.demand
        users = (demand > 0).sum(axis=0)
        kinds = len(demand)
        total = market.counts @ demand
        axes: list[int] = []
        rooms: list[IntArray] = []
        units: list[int] = []
        held = np.ones(len(market.prices), np.bool_)
        for d in np.argsort(-users, kind="stable").tolist():
            if users[d] < 2 or len(axes) == AXES:
                break
            unit = int(np.gcd.reduce(demand[:, d]))
            room = np.minimum(market.capacities[:, d], total[d]) // unit
            fit = _largest_box([*rooms, room], kinds)
            if fit.mean() < LEAST_TYPES or (
                axes and fit.sum() < held.sum() and users[d] < FEW_KINDS
            ):
                continue
            axes.append(d)
            rooms.append(room)
            units.append(unit)
            held = fit
        if not axes or users[np.array(axes)].max() < kinds:
            return None
        # the longest axis last, where the loops are the fastest
        longest = np.argsort([room[held].max() for room in rooms], kind="stable").tolist()
        table = np.zeros((len(held), AXES), np.int64)
        for place, k in enumerate(longest):
            table[:, AXES - len(axes) + place] = rooms[k]
        ordered = [axes[k] for k in longest]
        made = cls(market, ordered, np.array([units[k] for k in longest]), table, held)
        return made if made.odd <= ODD_MOST * kinds else None

    def fill(self, values: IntArray) -> None:
        """Fill the table for (kinds,) values."""
        self._values = np.ascontiguousarray(values[self._order])
        fill(self._table, self._values, self._sizes, self._table_most)

    def ceilings(self) -> IntArray:
        """(types,) values that no content exceeds, by the last values; 0 of types not held."""
        rooms = np.where(self.held[:, None], self.rooms, 0)
        return np.where(self.held, self._table[0, rooms[:, 0], rooms[:, 1], rooms[:, 2]], 0)

    def search(self, kind: int, threshold: int, most: int) -> GridPriced:
        """Up to `most` contents of a type worth more than the threshold, by the last values."""
        patterns = np.zeros((most, len(self._values)), np.int64)
        found, best, complete, nodes = best_contents(
            self._table, self._values, self._sizes, self._most[kind], self.odd, self.rooms[kind],
            self._needs, self._other[kind], threshold, NODES, patterns,
        )  # fmt: skip
        steps = 20 * nodes + 50 * len(self._values)
        return GridPriced(patterns[:found][:, self._back], int(best), bool(complete), steps)


def _beside(market: Market, others: list[int], kind: int) -> IntArray:
    """(kinds,) most items in a bin of a type, by all that cells do not count."""
    most = market.counts.copy()
    for d in others:
        wants = market.demand[:, d] > 0
        most[wants] = np.minimum(most[wants], market.capacities[kind, d] // market.demand[wants, d])
    return most if market.most is None else np.minimum(most, market.most[:, kind])


def _largest_box(rooms: list[IntArray], kinds: int) -> BoolArray:
    """(types,) those whose rooms, in cells of each axis, a table can have; the small ones first."""
    table = np.array(rooms, np.int64) + 1
    held = np.zeros(table.shape[1], np.bool_)
    box = np.ones(len(rooms), np.int64)
    for t in np.argsort(np.log(table).sum(axis=0), kind="stable").tolist():
        more = np.maximum(box, table[:, t])
        if (kinds + 1) * prod(more.tolist()) <= CELLS_MOST:
            box, held[t] = more, True
    return held
