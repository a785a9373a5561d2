"""The books of a replay, in machine code: what servers hold, and servers in order of a key.

Shares of a server are floats, and are added and taken away in the published order: the published
policies compare such sums, so whole numbers would make other choices. What is under EPSILON is 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from stowplan.placement.engine.kernels import drop_stale_code

EPSILON = 1e-9
COMPILED = (
    "books",
    "moments",
    "fits",
    "turns",
    "ends",
    "classes",
    "categories",
    "beliefs",
    "hedged",
)
# A kernel that Python calls keeps its machine code on disk; what kernels call becomes part of it.
_jit: Any = njit  # its type hints lack two of its options
entry: Any = _jit(cache=True)
part: Any = _jit(no_cpython_wrapper=True, no_cfunc_wrapper=True)


@part
def fits(used, server, size):  # type: ignore[no-untyped-def]
    """Whether a server, row of `used`, has room for `size`, (5,)."""
    for i in range(size.shape[0]):  # noqa: SIM110 (numba compiles no generators)
        if not used[server, i] + size[i] <= 1 + EPSILON:
            return False
    return True


@part
def book(used, row, size):  # type: ignore[no-untyped-def]
    """Add `size` to a row."""
    for i in range(size.shape[0]):
        used[row, i] += size[i]


@part
def free(used, row, size):  # type: ignore[no-untyped-def]
    """Take `size` from a row."""
    for i in range(size.shape[0]):
        left = used[row, i] - size[i]
        used[row, i] = 0.0 if left < EPSILON else left


@part
def place_of(keys, ids, count, key, server):  # type: ignore[no-untyped-def]
    """Where (key, server) is or would be among `count` that are sorted."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key or (keys[middle] == key and ids[middle] < server):
            low = middle + 1
        else:
            high = middle
    return low


@part
def insert(keys, ids, count, key, server):  # type: ignore[no-untyped-def]
    """Put (key, server) in; how many there are then."""
    at = place_of(keys, ids, count, key, server)
    for i in range(count, at, -1):
        keys[i] = keys[i - 1]
        ids[i] = ids[i - 1]
    keys[at] = key
    ids[at] = server
    return count + 1


@part
def remove(keys, ids, count, key, server):  # type: ignore[no-untyped-def]
    """Take (key, server) out; how many there are then."""
    at = place_of(keys, ids, count, key, server)
    assert at < count
    assert ids[at] == server
    for i in range(at, count - 1):
        keys[i] = keys[i + 1]
        ids[i] = ids[i + 1]
    return count - 1


@part
def largest_with(used, row, size, width):  # type: ignore[no-untyped-def]
    """The largest of the first `width` of a row, with `size`."""
    most = used[row, 0] + size[0]
    for i in range(1, width):
        most = max(most, used[row, i] + size[i])
    return most


@part
def after(used, server, size, width, into):  # type: ignore[no-untyped-def]
    """What a server would hold with `size`, sorted upwards, in the first `width` of `into`."""
    for i in range(width):
        value = used[server, i] + size[i]
        j = i
        while j > 0 and into[j - 1] > value:
            into[j] = into[j - 1]
            j -= 1
        into[j] = value


@part
def keep(rows, into, row):  # type: ignore[no-untyped-def]
    """Copy a row onto another."""
    for i in range(rows.shape[1]):
        rows[into, i] = rows[row, i]


@part
def compare_spare(one, other, width):  # type: ignore[no-untyped-def]
    """-1 where the largest spare share of `one` is the smaller, 1 where that of `other` is.

    Both are sorted upwards; the next largest decide ties; 0 if none does.
    """
    if 1 - one[0] < 1 - other[0]:
        return -1
    if 1 - one[0] > 1 - other[0]:
        return 1
    for i in range(1, width):
        if one[i] < other[i]:
            return 1
        if one[i] > other[i]:
            return -1
    return 0


@part
def new_order(most):  # type: ignore[no-untyped-def]
    """Room for `most` servers in order: keys, ids."""
    return np.empty(most + 1, np.float64), np.empty(most + 1, np.int64)


drop_stale_code(Path(__file__).parent, COMPILED)
