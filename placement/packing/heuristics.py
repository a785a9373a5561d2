"""Fast packings by rule: fit decreasing, filling bin by bin, and exact fillings in one dimension.

Every function returns bins as a (bins, kinds) int64 table that covers all items; each kind must fit
an empty bin. They take `counts` apart from the problem, so dives can pack what is left over.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stowplan.placement.packing.lazy import lazily_compiled, paying
from stowplan.placement.packing.problem import FloatArray, IntArray, PackingInputError

MAX_TABLE = 10**8  # bins x kinds of one packing, 0.8 GB
MAX_FILL_STEPS = 100_000_000  # bins x kinds x capacity for the exact fillings


def packings(
    demand: IntArray, counts: IntArray, capacity: IntArray, effort: int = 2
) -> Iterator[IntArray]:
    """Yield packings by one rule after the other, cheap rules first.

    Args:
        demand, counts, capacity: as in `PackingProblem`.
        effort: 0 only the cheapest rules, 1 also bin by bin, 2 also exact fillings.
    Raises:
        PackingInputError: the table would not fit into memory.
    """
    if not counts.any():
        yield np.zeros((0, len(counts)), dtype=np.int64)
        return
    relative = demand / np.maximum(capacity, 1)
    max_bins = _bins_needed_at_most(demand, counts, capacity)
    if max_bins * len(counts) > MAX_TABLE:
        raise PackingInputError(f"up to {max_bins:,} bins of {len(counts):,} kinds are too many")
    bins = min(max_bins, 2 * int(np.ceil((relative.T @ counts).max(initial=1))))
    paying(bins * len(counts) * demand.shape[1])
    for order in _orders(relative, counts):
        for best in (False, True):
            yield _fit(order, demand, counts, capacity, relative, best, max_bins)
    if effort >= 1 and demand.shape[1] > 1:
        weight = relative.T @ counts
        paying(int(counts.sum()) * len(counts) * demand.shape[1])
        for rule in range(3):
            yield _fill_bins(demand, counts, capacity, relative, weight, rule, max_bins)
    if effort >= 2 and demand.shape[1] == 1 and _fill_steps(counts, demand, capacity):
        paying(bins * len(counts) * int(capacity[0]) / 8)  # most are passed over, or never reached
        yield _fill_exactly(demand[:, 0], counts, int(capacity[0]), max_bins)


def _bins_needed_at_most(demand: IntArray, counts: IntArray, capacity: IntArray) -> int:
    """A safe size for the table of bins: every kind alone in its own bins."""
    with np.errstate(divide="ignore"):
        room = np.where(demand > 0, capacity // np.maximum(demand, 1), np.iinfo(np.int64).max)
    per_bin = np.minimum(room.min(axis=1), np.maximum(counts, 1))
    assert (per_bin > 0).all(), "an item fits no bin"
    return int((-(-counts // per_bin)).sum())


def _orders(relative: FloatArray, counts: IntArray) -> list[IntArray]:
    """Kinds by falling size, for several meanings of size, each different order once."""
    sizes = [relative.sum(axis=1)]
    if relative.shape[1] > 1:
        scarcity = relative.T @ counts
        sizes += [
            relative.max(axis=1),
            relative @ scarcity,
            (relative**2) @ scarcity,
            *(column + 1e-6 * relative.sum(axis=1) for column in relative.T),
        ]
    orders = {tuple(np.argsort(-size, kind="stable").tolist()) for size in sizes}
    return [np.array(order, dtype=np.int64) for order in sorted(orders)]


def _fill_steps(counts: IntArray, demand: IntArray, capacity: IntArray) -> bool:
    bins = int(counts @ demand[:, 0]) // max(1, int(capacity[0])) + 1
    return bins * len(counts) * int(capacity[0]) <= MAX_FILL_STEPS


@lazily_compiled
def _room(rest: IntArray, demand: IntArray) -> np.int64:
    """How many items of `demand` (dimensions,) fit into `rest` (dimensions,)."""
    fits = np.int64(2**62)
    for k in range(len(rest)):
        if demand[k] > 0:
            fits = min(fits, rest[k] // demand[k])
    return fits


@lazily_compiled
def _fit(
    order: IntArray,
    demand: IntArray,
    counts: IntArray,
    capacity: IntArray,
    relative: FloatArray,
    best: bool,
    max_bins: int,
) -> IntArray:
    """First fit, or best fit (least room left, summed over dimensions), in the given order."""
    bins = np.zeros((max_bins, len(counts)), dtype=np.int64)
    rest = np.empty((max_bins, len(capacity)), dtype=np.int64)
    slack = np.empty(max_bins)
    used = 0
    for kind in order:
        left = counts[kind]
        # A bin is given all that it can take, so for this kind each is looked at once.
        turns = np.argsort(slack[:used], kind="mergesort") if best else np.arange(used)
        turn = 0
        while left > 0:
            if turn < len(turns):
                chosen = turns[turn]
                turn += 1
            else:
                chosen = used
                rest[used] = capacity
                slack[used] = len(capacity)
                used += 1
            amount = min(left, _room(rest[chosen], demand[kind]))
            bins[chosen, kind] += amount
            rest[chosen] -= amount * demand[kind]
            slack[chosen] -= amount * relative[kind].sum()
            left -= amount
    return bins[:used]


@lazily_compiled
def _fill_bins(
    demand: IntArray,
    counts: IntArray,
    capacity: IntArray,
    relative: FloatArray,
    weight: FloatArray,
    rule: int,
    max_bins: int,
) -> IntArray:
    """Fill one bin after the other with the best-scoring kind that fits.

    Rule 0: weighted product of demand and room; 1: least weighted square of the room left;
    2: like 0 without weights.
    """
    bins = np.zeros((max_bins, len(counts)), dtype=np.int64)
    left = counts.copy()
    remaining = left.sum()
    used = 0
    while remaining > 0:
        rest = capacity.copy()
        while True:
            kind = _best_kind(demand, left, capacity, rest, relative, weight, rule)
            if kind < 0:
                break
            bins[used, kind] += 1
            rest -= demand[kind]
            left[kind] -= 1
            remaining -= 1
        used += 1
    return bins[:used]


@lazily_compiled
def _best_kind(
    demand: IntArray,
    left: IntArray,
    capacity: IntArray,
    rest: IntArray,
    relative: FloatArray,
    weight: FloatArray,
    rule: int,
) -> int:
    """The kind with items left that fits `rest` and scores highest by `rule`; -1 without any."""
    chosen = -1
    highest = -np.inf
    for kind in range(len(left)):
        if left[kind] == 0 or _room(rest, demand[kind]) == 0:
            continue
        score = 0.0
        for k in range(len(rest)):
            room = rest[k] / max(capacity[k], 1)
            if rule == 0:
                score += weight[k] * room * relative[kind, k]
            elif rule == 1:
                score -= weight[k] * (room - relative[kind, k]) ** 2
            else:
                score += room * relative[kind, k]
        if score > highest:
            highest = score
            chosen = kind
    return chosen


@lazily_compiled
def _fill_exactly(sizes: IntArray, counts: IntArray, capacity: int, max_bins: int) -> IntArray:
    """One dimension: the largest item left, then the fullest bin the other items allow."""
    bins = np.zeros((max_bins, len(counts)), dtype=np.int64)
    left = counts.copy()
    used = 0
    first = 0
    while True:
        while first < len(left) and left[first] == 0:
            first += 1
        if first == len(left):
            return bins[:used]
        left[first] -= 1
        bins[used] = _fullest(sizes, left, capacity - sizes[first])
        left -= bins[used]
        bins[used, first] += 1
        used += 1


@lazily_compiled
def _fullest(sizes: IntArray, left: IntArray, room: int) -> IntArray:
    """The items that fill `room` best (subset sum), preferring large ones; (kinds,) counts."""
    # last[s]: the kind whose copies first made the sum s reachable; copies[s]: how many of it.
    last = np.full(room + 1, -1, dtype=np.int64)
    copies = np.zeros(room + 1, dtype=np.int64)
    last[0] = len(sizes)
    full = 0
    for kind in range(len(sizes)):
        size = sizes[kind]
        if left[kind] == 0 or size > room or full == room:
            continue
        for total in range(size, room + 1):
            before = total - size
            if last[total] >= 0 or last[before] < 0:
                continue
            used = copies[before] if last[before] == kind else 0
            if used < left[kind]:
                last[total] = kind
                copies[total] = used + 1
                full = max(full, total)
    chosen = np.where(sizes == 0, left, 0)
    while full > 0:
        kind = last[full]
        chosen[kind] += 1
        full -= sizes[kind]
    return chosen
