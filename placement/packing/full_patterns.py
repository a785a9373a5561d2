"""Patterns of one dimension that waste little: the most valuable, and all that are worth enough.

Where `target` bins leave a total waste of w, no bin of such a packing wastes more than w. Values
may be negative here: a packing holds every item exactly once, so prices need no sign.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stowplan.placement.packing.problem import IntArray

NOTHING = -(2**60)  # value of what cannot be filled
LEAST_WORTH = NOTHING // 2  # whatever can be filled is worth more


@njit(cache=True)
def value_table(
    values: IntArray, sizes: IntArray, per_bin: IntArray, room: int, waste: int
) -> IntArray:
    """(kinds + 1, room + 1): most value of kinds i.. that leave at most `waste` of room c."""
    m = len(values)
    table = np.full((m + 1, room + 1), NOTHING, dtype=np.int64)
    table[m, : waste + 1] = 0
    for i in range(m - 1, -1, -1):
        table[i] = table[i + 1]
        for k in range(1, per_bin[i] + 1):
            taken = k * sizes[i]
            for c in range(taken, room + 1):
                worth = table[i + 1, c - taken] + k * values[i]
                if worth > table[i, c]:
                    table[i, c] = worth
    return table


@njit(cache=True)
def best_by_lead(
    table: IntArray, values: IntArray, sizes: IntArray, per_bin: IntArray, threshold: int
) -> IntArray:
    """(found, kinds): the most valuable pattern of each first kind, where above `threshold`."""
    m, room = len(values), table.shape[1] - 1
    patterns = np.zeros((m, m), dtype=np.int64)
    found = 0
    for lead in range(m):
        best, copies = threshold, 0
        for k in range(1, min(per_bin[lead], room // max(sizes[lead], 1)) + 1):
            worth = k * values[lead] + table[lead + 1, room - k * sizes[lead]]
            if worth > best:
                best, copies = worth, k
        if copies == 0:
            continue
        rest = room - copies * sizes[lead]
        patterns[found, lead] = copies
        for i in range(lead + 1, m):
            k = 0
            while table[i, rest] != table[i + 1, rest - k * sizes[i]] + k * values[i]:
                k += 1
            patterns[found, i] = k
            rest -= k * sizes[i]
        found += 1
    return patterns[:found]


@njit(cache=True)
def patterns_worth(
    table: IntArray, values: IntArray, sizes: IntArray, per_bin: IntArray, least: int, most: int
) -> tuple[IntArray, bool, int]:
    """Patterns worth `least` or more, `most` at most: (patterns, whether all, steps).

    The table tells where such a pattern still follows, so no step is in vain.
    """
    m, room = len(values), table.shape[1] - 1
    patterns = np.empty((most, m), dtype=np.int64)
    chosen = np.full(m, -1, dtype=np.int64)
    rest, worth = np.full(m + 1, room, dtype=np.int64), np.zeros(m + 1, dtype=np.int64)
    found, kind, steps = 0, 0, 0
    while kind >= 0:
        steps += 1
        if kind == m:
            if found == most:
                return patterns, False, steps
            patterns[found] = chosen
            found += 1
            kind -= 1
            continue
        if chosen[kind] < 0:
            chosen[kind] = min(per_bin[kind], rest[kind] // max(sizes[kind], 1)) + 1
        while chosen[kind] >= 0:
            chosen[kind] -= 1
            if chosen[kind] < 0:
                break
            left = rest[kind] - chosen[kind] * sizes[kind]
            so_far = worth[kind] + chosen[kind] * values[kind]
            if table[kind + 1, left] > LEAST_WORTH and so_far + table[kind + 1, left] >= least:
                break
        if chosen[kind] < 0:
            kind -= 1
        else:
            rest[kind + 1] = rest[kind] - chosen[kind] * sizes[kind]
            worth[kind + 1] = worth[kind] + chosen[kind] * values[kind]
            kind += 1
    return patterns[:found], True, steps
