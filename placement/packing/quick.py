"""Small problems in Python's own integers: rules of thumb and bounds, without numpy.

To import numpy takes longer than to pack a hundred items. What this cannot settle, `quick_exact`
tries, and then `solve` with arrays and machine code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import mul
from typing import NamedTuple

from stowplan.placement.packing.plain import Plain

ITEMS_MOST = 120
BITS_MOST = 1 << 20  # capacity x items, for the exact fillings of a bin
THRESHOLDS_MOST = 40
WORD = 64  # bits of a dimension, where several are one integer
K_MOST = 20  # of the dual feasible functions

Bins = list[dict[int, int]]  # of each bin, how many items of each kind


class Small(NamedTuple):
    """Kinds with items, no two alike, the largest first; each fits an empty bin.

    Args:
        demand: of each kind, a number of every dimension.
    """

    demand: tuple[tuple[int, ...], ...]
    counts: tuple[int, ...]
    capacity: tuple[int, ...]


class Known(NamedTuple):
    """The best packing, None before any, and the bins that any packing needs at least."""

    bins: Bins | None
    bound: int

    @property
    def settled(self) -> bool:
        """The packing is proven to be best."""
        return self.bins is not None and len(self.bins) <= self.bound


class Grouped(NamedTuple):
    """A small problem whose equal demands are one kind, and the kinds that each stands for."""

    small: Small
    members: list[list[int]]
    counts: list[int]  # of the kinds before

    def spread(self, bins: Bins) -> list[tuple[int, dict[int, int]]]:
        """Bins of the kinds before, equal ones as one with copies."""
        owed = [
            iter([kind for kind in members for _ in range(self.counts[kind])])
            for members in self.members
        ]
        copies: dict[tuple[tuple[int, int], ...], int] = {}
        for bin_ in bins:
            held: dict[int, int] = {}
            for group, n in bin_.items():
                for kind in islice(owed[group], n):
                    held[kind] = held.get(kind, 0) + 1
            key = tuple(sorted(held.items()))
            copies[key] = copies.get(key, 0) + 1
        return [(n, dict(key)) for key, n in copies.items()]


def grouped(plain: Plain) -> Grouped | None:
    """The problem of few items, each of which fits a bin; else None."""
    capacity = plain.capacity
    if not 0 < sum(plain.counts) <= ITEMS_MOST or not all(0 <= c < 1 << 60 for c in capacity):
        return None
    members: dict[tuple[int, ...], list[int]] = {}
    for kind, (row, n) in enumerate(zip(plain.demand, plain.counts, strict=True)):
        if any(size > room for size, room in zip(row, capacity, strict=True)):
            return None
        if n:
            members.setdefault(tuple(row), []).append(kind)

    def share(row: tuple[int, ...]) -> float:
        return sum(size / max(room, 1) for size, room in zip(row, capacity, strict=True))

    rows = sorted(members, key=share, reverse=True)
    kinds = [members[row] for row in rows]
    counts = tuple(sum(plain.counts[kind] for kind in each) for each in kinds)
    return Grouped(Small(tuple(rows), counts, tuple(capacity)), kinds, plain.counts)


def check(plain: Plain, packing: Sequence[tuple[int, dict[int, int]]]) -> None:
    """Raises AssertionError where a bin holds too much, or an item is not placed just once."""
    placed = [0] * len(plain.counts)
    for copies, held in packing:
        for d, room in enumerate(plain.capacity):
            used = sum(plain.demand[kind][d] * n for kind, n in held.items())
            assert used <= room, f"a bin holds {used} of {room} in dimension {d}"
        for kind, n in held.items():
            placed[kind] += copies * n
    assert placed == plain.counts, "a packing does not hold every item just once"


def settle(small: Small) -> Known:
    """Bounds and rules of thumb, one after the other, until the two meet."""
    bound = lower_bound(small)
    best: Bins | None = None
    for bins in packings(small):
        if best is None or len(bins) < len(best):
            best = bins
        if len(best) <= bound:
            break
    return Known(best, bound)


def lower_bound(small: Small) -> int:
    """The largest of what the dimensions need, each by its sum and by dual feasible functions."""
    best = 0
    for d, capacity in enumerate(small.capacity):
        sizes = [(row[d], n) for row, n in zip(small.demand, small.counts, strict=True) if row[d]]
        if sizes:
            best = max(best, -(-sum(size * n for size, n in sizes) // capacity))
            best = max(best, _dff_bound(sizes, capacity))
    return best


def _dff_bound(sizes: Sequence[tuple[int, int]], capacity: int) -> int:
    """The dual feasible functions of `bounds.dual_feasible_bound`, few of them."""
    best, half = 0, capacity // 2
    thresholds = [0, *sorted({size for size, _ in sizes if size <= half})[-THRESHOLDS_MOST:]]
    for eps in thresholds:
        grown = [
            (capacity if size > capacity - eps else size, n) for size, n in sizes if size >= eps
        ]
        for k in range(1, K_MOST + 1):
            total, more = 0, k + 1
            for size, n in grown:
                quotient, rest = divmod(more * size, capacity)
                total += n * (quotient * capacity if rest else size * k)
            best = max(best, -(-total // (k * capacity)))
    return best


def packings(small: Small) -> Iterator[Bins]:
    """Packings by one rule after the other."""
    orders = _orders(small)
    for order in orders:
        for best in (False, True):
            yield _fit(small, order, best)
    if len(small.capacity) == 1:
        if small.capacity[0] * sum(small.counts) <= BITS_MOST:
            yield _filled(small)
    else:
        for weighted in (True, False):
            yield _bin_by_bin(small, weighted)


def _orders(small: Small) -> list[list[int]]:
    """Kinds by falling size, for several meanings of size, each different order once."""
    shares = [
        [size / max(room, 1) for size, room in zip(row, small.capacity, strict=True)]
        for row in small.demand
    ]
    sizes = [[sum(row) for row in shares]]
    if len(small.capacity) > 1:
        weight = _scarcity(small, shares)
        sizes.append([max(row) for row in shares])
        sizes.append([sum(w * s for w, s in zip(weight, row, strict=True)) for row in shares])
        for d in range(len(small.capacity)):
            sizes.append([row[d] + 1e-6 * sum(row) for row in shares])
    kinds, orders = range(len(shares)), []
    for size in sizes:
        order = sorted(kinds, key=lambda kind, size=size: -size[kind])  # type: ignore[misc]
        if order not in orders:
            orders.append(order)
    return orders


def _scarcity(small: Small, shares: Sequence[Sequence[float]]) -> list[float]:
    """Of each dimension, the bins that all items fill."""
    counts = small.counts
    return [
        sum(row[d] * n for row, n in zip(shares, counts, strict=True))
        for d in range(len(small.capacity))
    ]


def _fit(small: Small, order: Sequence[int], best: bool) -> Bins:
    """First fit, or best fit (least room left, summed over dimensions), in the given order."""
    guards, empty = guards_of(small), joined(small.capacity)
    bins: Bins = []
    rooms: list[int] = []
    slack: list[float] = []
    for kind in order:
        row, left = joined(small.demand[kind]), small.counts[kind]
        sizes = zip(small.demand[kind], small.capacity, strict=True)
        share = sum(size / max(room, 1) for size, room in sizes)
        turns = sorted(range(len(bins)), key=slack.__getitem__) if best else range(len(bins))
        for at in turns:
            # A bin is given all that it can take, so for this kind each is looked at once.
            while left and (rooms[at] - row) & guards == guards:
                left -= 1
                rooms[at] -= row
                slack[at] -= share
                bins[at][kind] = bins[at].get(kind, 0) + 1
            if not left:
                break
        while left:
            room, n = empty | guards, 0
            while n < left and (room - row) & guards == guards:
                room, n = room - row, n + 1
            bins.append({kind: n})
            rooms.append(room)
            slack.append(len(small.capacity) - n * share)
            left -= n
    return bins


def joined(row: Sequence[int]) -> int:
    """One integer of a number of each dimension, each with `WORD` bits."""
    return sum(size << (WORD * d) for d, size in enumerate(row))


def guards_of(small: Small) -> int:
    """The highest bit of each dimension, which stays set in what is left as long as that is >= 0.

    So one subtraction says of all dimensions whether an item fits.
    """
    return joined([1 << (WORD - 1)] * len(small.capacity))


def _filled(small: Small) -> Bins:
    """One dimension: the largest item left, then the fullest bin that the other items allow."""
    sizes, left = [row[0] for row in small.demand], list(small.counts)
    bins: Bins = []
    for first in range(len(sizes)):
        while left[first]:
            left[first] -= 1
            held = _fullest(sizes, left, small.capacity[0] - sizes[first])
            for kind, n in held.items():
                left[kind] -= n
            held[first] = held.get(first, 0) + 1
            bins.append(held)
    return bins


def _fullest(sizes: Sequence[int], left: Sequence[int], room: int) -> dict[int, int]:
    """The items that fill `room` best, large ones first: sums that can be reached as bits."""
    within, reached = (1 << (room + 1)) - 1, 1
    steps: list[tuple[int, int]] = []  # an item's kind, and the sums before it came
    for kind, size in enumerate(sizes):
        if reached >> room:
            break
        for _ in range(min(left[kind], room // size) if size else 0):
            more = (reached | reached << size) & within
            if more == reached:
                break
            steps.append((kind, reached))
            reached = more
    total, held = reached.bit_length() - 1, {k: n for k, n in enumerate(left) if n and not sizes[k]}
    for kind, before in reversed(steps):
        if not before >> total & 1:
            held[kind] = held.get(kind, 0) + 1
            total -= sizes[kind]
    return held


def _bin_by_bin(small: Small, weighted: bool) -> Bins:
    """Fill one bin after the other with the kind whose demand is most along what is left."""
    capacity, left = small.capacity, list(small.counts)
    shares = [[s / max(c, 1) for s, c in zip(row, capacity, strict=True)] for row in small.demand]
    weight = _scarcity(small, shares) if weighted else [1.0] * len(capacity)
    guards, rows = guards_of(small), [joined(row) for row in small.demand]
    bins: Bins = []
    while any(left):
        room, rest, held = joined(capacity) | guards, list(capacity), dict[int, int]()
        while True:
            along = [w * r / max(c, 1) for w, r, c in zip(weight, rest, capacity, strict=True)]
            fitting = [
                kind for kind, n in enumerate(left) if n and (room - rows[kind]) & guards == guards
            ]
            if not fitting:
                break
            scores = [sum(map(mul, along, shares[kind])) for kind in fitting]
            chosen = fitting[scores.index(max(scores))]
            held[chosen] = held.get(chosen, 0) + 1
            room -= rows[chosen]
            rest = [r - size for r, size in zip(rest, small.demand[chosen], strict=True)]
            left[chosen] -= 1
        bins.append(held)
    return bins
