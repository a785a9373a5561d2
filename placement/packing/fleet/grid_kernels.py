"""The compiled inner loops of `grid`: one table of best contents for every room on a grid.

A table is (kinds + 1, cells of three dimensions): `table[i, r, s, c]` is the most that kinds i..
are worth in that room. `sizes` (kinds, 3) and rooms are in cells.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stowplan.placement.packing.problem import IntArray


@njit(cache=True)
def _copies_in(size: IntArray, room: IntArray) -> int:
    """How often a size fits a room; as good as without end where it has none."""
    most = np.int64(1) << 40
    for d in range(3):
        if size[d] > 0:
            most = min(most, room[d] // size[d])
    return int(most)


@njit(cache=True)
def _join(layer: IntArray, size: IntArray, value: int, upwards: bool) -> None:
    """layer[cell] = max(layer[cell], layer[cell - size] + value); once a cell, or upwards as often
    as it pays."""
    first, second, third = layer.shape
    a, b, c = size[0], size[1], size[2]
    for i in range(first - a):
        r = a + i if upwards else first - 1 - i
        for j in range(second - b):
            s = b + j if upwards else second - 1 - j
            target, source = layer[r, s], layer[r - a, s - b]
            if a == 0 and b == 0:
                for k in range(third - c):
                    t = c + k if upwards else third - 1 - k
                    target[t] = max(target[t], target[t - c] + value)
            else:
                for t in range(third - c):
                    target[t + c] = max(target[t + c], source[t] + value)


@njit(cache=True)
def fill(table: IntArray, values: IntArray, sizes: IntArray, most: IntArray) -> None:
    """Fill a table; kinds of many copies join in powers of two of them."""
    kinds = len(values)
    room = np.array([table.shape[1] - 1, table.shape[2] - 1, table.shape[3] - 1])
    table[kinds] = 0
    for i in range(kinds - 1, -1, -1):
        table[i] = table[i + 1]
        copies = min(most[i], _copies_in(sizes[i], room))
        if values[i] <= 0 or copies <= 0:
            continue
        if sizes[i].sum() == 0:
            table[i] += copies * values[i]
        elif copies < most[i]:
            _join(table[i], sizes[i], values[i], True)
        else:
            part = 1
            while copies > 0:
                n = min(part, copies)
                _join(table[i], n * sizes[i], n * values[i], False)
                copies -= n
                part *= 2


@njit(cache=True)
def _write(
    table: IntArray, values: IntArray, sizes: IntArray, most: IntArray, start: int,
    room: IntArray, pattern: IntArray,
) -> None:  # fmt: skip
    """The content of kinds `start`.. that the table counts for this room, into the pattern."""
    rest = room.copy()
    for i in range(start, len(values)):
        here = table[i, rest[0], rest[1], rest[2]]
        if here == 0:
            break
        if values[i] <= 0:
            continue
        for n in range(min(most[i], _copies_in(sizes[i], rest)) + 1):
            cell = rest - n * sizes[i]
            if table[i + 1, cell[0], cell[1], cell[2]] + n * values[i] == here:
                pattern[i] = n
                rest -= n * sizes[i]
                break


@njit(cache=True)
def _by_leads(
    table: IntArray, values: IntArray, sizes: IntArray, most: IntArray, odd: int, room: IntArray,
    threshold: int, patterns: IntArray,
) -> int:  # fmt: skip
    """Write the best contents by their first kind, none of them odd, the most valuable first."""
    kinds = len(values)
    worth = np.zeros(kinds, np.int64)
    copies = np.zeros(kinds, np.int64)
    for i in range(odd, kinds):
        if values[i] <= 0:
            continue
        for n in range(1, min(most[i], _copies_in(sizes[i], room)) + 1):
            cell = room - n * sizes[i]
            total = table[i + 1, cell[0], cell[1], cell[2]] + n * values[i]
            if total > worth[i]:
                worth[i], copies[i] = total, n
    found = 0
    for i in np.argsort(-worth):
        if found == len(patterns) or worth[i] <= threshold:
            break
        patterns[found] = 0
        patterns[found, i] = copies[i]
        rest = room - copies[i] * sizes[i]
        _write(table, values, sizes, most, i + 1, rest, patterns[found])
        found += 1
    return found


@njit(cache=True)
def _most_odd(
    i: int, sizes: IntArray, most: IntArray, needs: IntArray, rest: IntArray, other: IntArray
) -> int:
    n = min(most[i], _copies_in(sizes[i], rest))
    for d in range(len(other)):
        if needs[i, d] > 0:
            n = min(n, other[d] // needs[i, d])
    return int(n)


@njit(cache=True)
def _with_odd(
    table: IntArray, values: IntArray, sizes: IntArray, most: IntArray, odd: int, room: IntArray,
    needs: IntArray, other: IntArray, limit: int, nodes: int, pattern: IntArray,
) -> tuple[int, bool, int]:  # fmt: skip
    """The best content worth more than `limit`, odd kinds by search and the rest by the table.

    Returns (its value or `limit`, whether the search came to its end, nodes).
    """
    rest, left = np.empty((odd + 1, 3), np.int64), np.empty((odd + 1, len(other)), np.int64)
    rest[0], left[0] = room, other
    taken, worth = np.zeros(odd + 1, np.int64), np.zeros(odd + 1, np.int64)
    used, i, down = 0, 0, True
    while i >= 0:
        if i == odd:
            total = worth[i] + table[i, rest[i, 0], rest[i, 1], rest[i, 2]]
            if total > limit:
                limit = total
                pattern[:] = 0
                pattern[:odd] = taken[:odd]
                _write(table, values, sizes, most, odd, rest[i], pattern)
            i, down = i - 1, False
            continue
        if down:
            if worth[i] + table[i, rest[i, 0], rest[i, 1], rest[i, 2]] <= limit:
                i, down = i - 1, False
                continue
            taken[i] = _most_odd(i, sizes, most, needs, rest[i], left[i]) if values[i] > 0 else 0
        elif taken[i] == 0:
            i -= 1
            continue
        else:
            taken[i] -= 1
        used += 1
        if used > nodes:
            return limit, False, used
        rest[i + 1] = rest[i] - taken[i] * sizes[i]
        left[i + 1] = left[i] - taken[i] * needs[i]
        worth[i + 1] = worth[i] + taken[i] * values[i]
        i, down = i + 1, True
    return limit, True, used


@njit(cache=True)
def best_contents(
    table: IntArray, values: IntArray, sizes: IntArray, most: IntArray, odd: int, room: IntArray,
    needs: IntArray, other: IntArray, threshold: int, nodes: int, patterns: IntArray,
) -> tuple[int, int, bool, int]:  # fmt: skip
    """The most valuable contents of one type into `patterns`, as many as that has rows.

    Args:
        odd: kinds before it want what no cell counts: (kinds, others) `needs`, (others,) `other`.
        most: (kinds,) items in one bin at most.
        nodes: of the search over odd kinds.
    Returns:
        (how many were found, a value that no content exceeds or the threshold, whether that is
        one's, nodes).
    """
    bound = table[0, room[0], room[1], room[2]]
    if bound <= threshold or len(patterns) == 0:
        return 0, max(bound, threshold), True, 0
    found, best, complete, used = 0, threshold, True, 0
    if odd:
        best, complete, used = _with_odd(
            table, values, sizes, most, odd, room, needs, other, threshold, nodes, patterns[0]
        )
        found = 1 if best > threshold else 0
    by_leads = _by_leads(table, values, sizes, most, odd, room, threshold, patterns[found:])
    if by_leads and not odd:
        best = bound
    return found + by_leads, best if complete else bound, complete, used
