"""What the solvers of a fleet see: kinds of equal demand as one, and the types on offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from stowplan.placement.packing.fleet.problem import BinType
from stowplan.placement.packing.problem import BoolArray, FloatArray, IntArray

Numbers = TypeVar("Numbers", IntArray, FloatArray)


@dataclass(frozen=True)
class Market:
    """Grouped demand and the types on offer.

    The linear program has a row for the items of each kind; where a part of them must stay off
    spot, it has as many rows more, which only types off spot cover.

    Args:
        demand: (kinds, dimensions); counts: (kinds,).
        capacities: (types, dimensions); prices: (types,); limits: per type, None without one.
        most: (kinds, types) most items of a kind in one bin of a type whatever its room; None: any.
        spot: (types,) bool, on spot; off_spot: (kinds,) items that must not be; None: no such part.
    """

    demand: IntArray
    counts: IntArray
    capacities: IntArray
    prices: IntArray
    limits: tuple[int | None, ...]
    most: IntArray | None = None
    spot: BoolArray | None = None
    off_spot: IntArray | None = None

    @property
    def split(self) -> bool:
        """The program has the rows of what stays off spot."""
        return self.off_spot is not None and self.spot is not None

    @cached_property
    def on_spot_types(self) -> BoolArray:
        """(types,) bool, on spot."""
        return np.zeros(len(self.prices), np.bool_) if self.spot is None else self.spot

    @cached_property
    def rows(self) -> IntArray:
        """(rows,) what the program must cover."""
        if self.off_spot is None or self.spot is None:
            return self.counts
        return np.append(self.counts, self.off_spot)

    def covers(self, patterns: IntArray, kind: int) -> IntArray:
        """(n, rows) what (n, kinds) patterns cover in a bin of type `kind`.

        A type beyond those on offer stands for leaving items out, and covers all rows.
        """
        if self.spot is None or not self.split:
            return patterns
        on_spot = kind < len(self.spot) and self.spot[kind]
        return np.hstack([patterns, np.zeros_like(patterns) if on_spot else patterns])

    def worths(self, values: Numbers, kind: int) -> Numbers:
        """(kinds,) what an item in a bin of type `kind` is worth by values of the (rows,)."""
        if self.spot is None or not self.split:
            return values
        kinds = len(self.counts)
        return values[:kinds] if self.spot[kind] else values[:kinds] + values[kinds:]

    def per_bin(self, kind: int) -> IntArray:
        """(kinds,) most items of each kind one bin of type `kind` can hold."""
        room = self.capacities[kind] // np.maximum(self.demand, 1)
        fits = np.where(self.demand > 0, room, np.iinfo(np.int64).max).min(axis=1)
        most: IntArray = np.minimum(fits, self.counts)
        return most if self.most is None else np.minimum(most, self.most[:, kind])


def fair_prices(market: Market, prices: IntArray) -> FloatArray:
    """(kinds,) what an item takes of the cheapest type for it, by its largest share."""
    shares = market.demand[None] / np.maximum(market.capacities, 1)[:, None]
    largest = shares.max(axis=2)
    cost: FloatArray = np.where(largest <= 1, largest * prices[:, None], np.inf).min(axis=0)
    return np.where(np.isfinite(cost), cost, 0.0)


def cheaper_types(types: Sequence[BinType], *, split: bool) -> IntArray:
    """Indices of types without those that another holds as much as, for no more, without limit.

    Args:
        split: a type on spot can not stand for one off spot.
    """
    rooms = np.array([kind.capacity for kind in types], np.int64)
    prices = np.array([kind.price for kind in types], np.int64)
    spot = np.array([kind.spot and split for kind in types], np.bool_)
    open_ended = np.array([kind.limit is None for kind in types], np.bool_)
    kept = []
    for t in range(len(types)):
        better = open_ended & (prices <= prices[t]) & (rooms >= rooms[t]).all(axis=1)
        better &= spot <= spot[t]
        same = better & (prices == prices[t]) & (rooms == rooms[t]).all(axis=1)
        same &= (spot == spot[t]) & (np.arange(len(types)) >= t)
        if not (better & ~same).any():
            kept.append(t)
    return np.array(kept, np.int64)
