"""The compiled inner loops of `list_dive`: listing patterns, pricing by a scan, and an exact end.

A listed pattern is a row of kinds, one entry an item, filled up with the number of kinds; `wastes`
(patterns, dimensions) is the room it leaves. Rows keep equal kinds side by side.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stowplan.placement.packing.pricing_kernels import _copies, _next_kind
from stowplan.placement.packing.problem import FloatArray, IntArray, ShortArray

MOST_KINDS = 2**15 - 1  # a row has short integers


def as_rows(patterns: IntArray) -> ShortArray:
    """Patterns (patterns, kinds) as rows, as wide as the longest; at most `MOST_KINDS` kinds."""
    kinds = patterns.shape[1]
    rows = np.full((len(patterns), int(patterns.sum(axis=1).max())), kinds, dtype=np.int16)
    for row, pattern in zip(rows, patterns, strict=True):
        items = np.repeat(np.arange(kinds), pattern)
        row[: len(items)] = items
    return rows


@njit(cache=True)
def list_patterns(
    values: IntArray, sizes: IntArray, needs: IntArray, per_bin: IntArray, room: IntArray,
    tables: IntArray, threshold: int, waste: IntArray, rows: ShortArray, wastes: IntArray,
    node_limit: int,
) -> tuple[int, bool, int]:  # fmt: skip
    """Fill `rows` with the patterns worth more than `threshold` that leave at most `waste`.

    Patterns of more items than a row holds are left out. Returns (found, complete, nodes).
    """
    m = len(values)
    dims = sizes.shape[1] - tables.shape[0]
    rest = np.empty((m + 2, sizes.shape[1]), dtype=np.int64)
    rest[0] = room
    value, kinds = np.zeros(m + 2, dtype=np.int64), np.empty(m + 2, dtype=np.int64)
    pattern, blocked = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
    found, nodes, depth = 0, 0, 0
    kind = _next_kind(
        0, values, sizes, per_bin, tables, blocked, room, dims, needs, 0, threshold, 0
    )
    while kind >= 0 or depth > 0:
        if kind >= 0:  # go down: as many copies as fit
            kinds[depth] = kind
            pattern[kind] = _copies(kind, sizes, rest[depth], needs, per_bin)
        else:  # go back: one copy less of the last kind
            depth -= 1
            kind = kinds[depth]
            pattern[kind] -= 1
        copies = pattern[kind]
        if copies > 0:
            nodes += 1
            for k in range(sizes.shape[1]):
                rest[depth + 1, k] = rest[depth, k] - copies * sizes[kind, k]
            value[depth + 1] = value[depth] + copies * values[kind]
            depth += 1
            if nodes > node_limit:
                return found, False, nodes
            if value[depth] > threshold and _within(rest[depth], waste):
                if found == len(rows):
                    return found, False, nodes
                for k in range(dims):
                    wastes[found, k] = rest[depth, k]
                found += _write(rows[found], kinds[:depth], pattern, m)
        kind = _next_kind(
            kind + 1, values, sizes, per_bin, tables, blocked,
            rest[depth], dims, needs, value[depth], threshold, 0,
        )  # fmt: skip
    return found, True, nodes


@njit(cache=True)
def _within(rest: IntArray, waste: IntArray) -> bool:
    for k in range(len(waste)):  # noqa: SIM110 -- compiled, where a generator is slow
        if rest[k] > waste[k]:
            return False
    return True


@njit(cache=True)
def _write(row: ShortArray, kinds: IntArray, pattern: IntArray, nothing: int) -> int:
    """Write a pattern to a row; 0 if it is too long."""
    row[:] = nothing
    used = 0
    for kind in kinds:
        for _ in range(pattern[kind]):
            if used == len(row):
                return 0
            row[used] = kind
            used += 1
    return 1


@njit(cache=True)
def worth(rows: ShortArray, chosen: IntArray, prices: FloatArray) -> FloatArray:
    """(chosen,) the value of these patterns; `prices` ends with 0 for no item."""
    result = np.zeros(len(chosen))
    for a in range(len(chosen)):
        for kind in rows[chosen[a]]:
            result[a] += prices[kind]
    return result


@njit(cache=True)
def _usable(row: ShortArray, waste: IntArray, left: IntArray, room: IntArray) -> bool:
    """Whether the items are still there and the waste may still be wasted."""
    for k in range(len(room)):
        if waste[k] > room[k]:
            return False
    copies = 0
    for j in range(len(row)):
        if row[j] == len(left):
            return True
        copies = copies + 1 if j and row[j] == row[j - 1] else 1
        if left[row[j]] < copies:
            return False
    return True


@njit(cache=True)
def usable(
    rows: ShortArray, wastes: IntArray, chosen: IntArray, left: IntArray, room: IntArray
) -> IntArray:
    """Those of `chosen` that fit (kinds,) `left` and (dimensions,) `room` for waste."""
    kept = np.empty(len(chosen), dtype=np.int64)
    found = 0
    for p in chosen:
        if _usable(rows[p], wastes[p], left, room):
            kept[found] = p
            found += 1
    return kept[:found]


@njit(cache=True)
def _scarcest(rows: ShortArray, chosen: IntArray, left: IntArray) -> tuple[int, int]:
    """(kind with items left in the fewest of `chosen`, how many those are); -1 without any."""
    users = np.zeros(len(left) + 1, dtype=np.int64)
    for p in chosen:
        for kind in rows[p]:
            users[kind] += 1
    scarcest = -1
    for kind in range(len(left)):
        if left[kind] > 0 and (scarcest < 0 or users[kind] < users[scarcest]):
            scarcest = kind
    return scarcest, users[scarcest] if scarcest >= 0 else 0


@njit(cache=True)
def _take(row: ShortArray, waste: IntArray, left: IntArray, room: IntArray, sign: int) -> None:
    for kind in row:
        if kind < len(left):
            left[kind] -= sign
    room -= sign * waste


@njit(cache=True)
def finish(
    rows: ShortArray, wastes: IntArray, chosen: IntArray, counts: IntArray, waste: IntArray,
    bins: int, node_limit: int,
) -> tuple[IntArray, bool, int]:  # fmt: skip
    """Pack all items into `bins` of the `chosen` patterns: (patterns, found, nodes).

    Depth first, always on the kind that the fewest patterns hold.
    """
    left, room = counts.copy(), waste.copy()
    level = [chosen]
    kinds, position = np.zeros(bins + 1, dtype=np.int64), np.zeros(bins + 1, dtype=np.int64)
    taken = np.full(bins + 1, -1, dtype=np.int64)
    nodes, depth, fresh = 0, 0, True
    while depth >= 0 and nodes <= node_limit:
        if fresh:
            nodes += 1
            kinds[depth], users = _scarcest(rows, level[depth], left)
            if kinds[depth] < 0:
                return taken[:depth], True, nodes
            position[depth] = len(level[depth]) if depth == bins or users == 0 else 0
        if taken[depth] >= 0:
            _take(rows[taken[depth]], wastes[taken[depth]], left, room, -1)
            taken[depth] = -1
        while position[depth] < len(level[depth]) and taken[depth] < 0:
            p = level[depth][position[depth]]
            position[depth] += 1
            if (rows[p] == kinds[depth]).any():
                taken[depth] = p
        fresh = taken[depth] >= 0
        if not fresh:
            level.pop()
            depth -= 1
            continue
        _take(rows[taken[depth]], wastes[taken[depth]], left, room, 1)
        level.append(usable(rows, wastes, level[depth], left, room))
        depth += 1
    return taken[:0], False, nodes
