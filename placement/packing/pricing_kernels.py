"""The compiled inner loops of `pricing`: knapsack tables and the search over patterns.

`sizes` (kinds, dimensions + tables) holds the true demand, then the size in each table; `room` and
`rest` (dimensions + tables,) hold the room in the same order. `needs` (kinds, most of any kind)
lists the dimensions in which a kind has a demand at all, then -1.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stowplan.placement.packing.problem import BoolArray, IntArray

MOST_NODES = 30_000_000  # of one search; a few seconds, so that an interrupt gets through
GRID = 96  # cells a side of a table over two dimensions
FEW_COPIES = 4  # up to this many copies a relaxed table counts them exactly


@njit(cache=True)
def fill_table(
    table: IntArray, values: IntArray, sizes: IntArray, per_bin: IntArray, relax: bool
) -> None:
    """table[i, c] = most value of kinds i.. within room c (bounded knapsack), in place.

    `relax` lets kinds of many copies be used without limit, which is fast and still a bound.
    """
    m, room = table.shape[0] - 1, table.shape[1] - 1
    table[m] = 0
    for i in range(m - 1, -1, -1):
        size, value, most = sizes[i], values[i], per_bin[i]
        if value <= 0 or most == 0:
            table[i] = table[i + 1]
        elif size == 0:
            table[i] = table[i + 1] + value * most
        elif most >= room // size or (relax and most > FEW_COPIES):
            table[i, :size] = table[i + 1, :size]
            for c in range(size, room + 1):
                table[i, c] = max(table[i + 1, c], table[i, c - size] + value)
        else:
            for c in range(room + 1):
                best = table[i + 1, c]
                for k in range(1, min(most, c // size) + 1):
                    best = max(best, table[i + 1, c - k * size] + k * value)
                table[i, c] = best


@njit(cache=True)
def fill_grid(table: IntArray, values: IntArray, sizes: IntArray, per_bin: IntArray) -> None:
    """Like `fill_table` in two dimensions at once: cell r * GRID + s is the room (r, s).

    `sizes` are cells as well, so that what fits is a subtraction without borrow. Kinds of many
    copies may be used without limit.
    """
    m = table.shape[0] - 1
    table[m] = 0
    for i in range(m - 1, -1, -1):
        value, most, size = values[i], per_bin[i], sizes[i]
        table[i] = table[i + 1]
        if value <= 0 or most == 0:
            continue
        if size == 0:
            table[i] += value * most
            continue
        copies = most if most <= FEW_COPIES else 1
        source = table[i + 1] if most <= FEW_COPIES else table[i]
        first, second = size // GRID, size % GRID
        for k in range(1, copies + 1):
            for r in range(k * first, GRID):
                for c in range(r * GRID + k * second, (r + 1) * GRID):
                    worth = source[c - k * size] + k * value
                    if worth > table[i, c]:
                        table[i, c] = worth


@njit(cache=True)
def _bound(tables: IntArray, kind: int, rest: IntArray, dims: int) -> int:
    bound = tables[0, kind, rest[dims]]
    for s in range(1, tables.shape[0]):
        bound = min(bound, tables[s, kind, rest[dims + s]])
    return int(bound)


@njit(cache=True)
def _copies(kind: int, sizes: IntArray, rest: IntArray, needs: IntArray, per_bin: IntArray) -> int:
    """How many items of a kind may join, by room and by the limit per bin."""
    most = per_bin[kind]
    for k in needs[kind]:
        if k < 0 or most == 0:
            break
        most = min(most, rest[k] // sizes[kind, k])
    return int(most)


@njit(cache=True)
def _next_kind(
    start: int,
    values: IntArray,
    sizes: IntArray,
    per_bin: IntArray,
    tables: IntArray,
    blocked: IntArray,
    rest: IntArray,
    dims: int,
    needs: IntArray,
    value: int,
    limit: int,
    least: int,
) -> int:
    """First kind from `start` worth `least` that fits and may lead above `limit`; -1 without."""
    for kind in range(start, len(values)):
        if value + _bound(tables, kind, rest, dims) <= limit:
            return -1
        if (
            values[kind] >= least
            and blocked[kind] == 0
            and _copies(kind, sizes, rest, needs, per_bin) > 0
        ):
            return kind
    return -1


@njit(cache=True)
def _block(blocked: IntArray, exclusive: BoolArray, kind: int, change: int) -> None:
    if exclusive.shape[0] > 0:
        for other in range(exclusive.shape[0]):
            if exclusive[kind, other]:
                blocked[other] += change


@njit(cache=True)
def _search_lead(
    lead: int, values: IntArray, sizes: IntArray, needs: IntArray, per_bin: IntArray,
    room: IntArray, tables: IntArray, exclusive: BoolArray, limit: int, node_limit: int,
    collected: IntArray,
) -> tuple[int, IntArray, int, int]:  # fmt: skip
    """Best pattern whose first kind is `lead` and that is worth more than `limit`.

    With rows in `collected`, all maximal patterns worth more than `limit` are written there
    instead. Returns (value or `limit`, pattern, nodes, collected); nodes > node_limit means that
    the search was cut off.
    """
    m = len(values)
    dims = sizes.shape[1] - tables.shape[0]
    rest = np.empty((m + 2, sizes.shape[1]), dtype=np.int64)
    rest[0] = room
    value = np.zeros(m + 2, dtype=np.int64)  # without penalties
    kinds = np.empty(m + 2, dtype=np.int64)
    pattern = np.zeros(m, dtype=np.int64)
    best, blocked = pattern.copy(), pattern.copy()
    least = 1 if len(collected) == 0 else 0  # worthless kinds matter only to fill a pattern up
    nodes, count, depth, kind = 0, 0, 0, lead
    while True:
        if kind >= 0:  # go down: as many copies as fit
            kinds[depth] = kind
            pattern[kind] = _copies(kind, sizes, rest[depth], needs, per_bin)
            _block(blocked, exclusive, kind, 1)
        else:  # go back: one copy less of the last kind
            depth -= 1
            kind = kinds[depth]
            pattern[kind] -= 1
        copies = pattern[kind]
        if copies > 0:
            nodes += 1
            if nodes > node_limit:
                return limit, best, nodes, count
            for k in range(sizes.shape[1]):
                rest[depth + 1, k] = rest[depth, k] - copies * sizes[kind, k]
            value[depth + 1] = value[depth] + copies * values[kind]
            depth += 1
            worth = value[depth]
            if worth > limit and len(collected) == 0:
                limit = worth
                best[:] = pattern
            elif worth > limit and _maximal(pattern, sizes, rest[depth], needs, per_bin, blocked):
                if count == len(collected):
                    return limit, best, nodes, count + 1
                collected[count] = pattern
                count += 1
        else:
            _block(blocked, exclusive, kind, -1)
            if depth == 0:
                return limit, best, nodes, count
        kind = _next_kind(
            kind + 1, values, sizes, per_bin, tables, blocked,
            rest[depth], dims, needs, value[depth], limit, least,
        )  # fmt: skip


@njit(cache=True)
def _maximal(
    pattern: IntArray,
    sizes: IntArray,
    rest: IntArray,
    needs: IntArray,
    per_bin: IntArray,
    blocked: IntArray,
) -> bool:
    """Whether no further item fits."""
    for kind in range(len(pattern)):
        if (
            pattern[kind] < per_bin[kind]
            and blocked[kind] == 0
            and _copies(kind, sizes, rest, needs, per_bin) > 0
        ):
            return False
    return True


@njit(cache=True)
def collect_patterns(
    values: IntArray,
    sizes: IntArray,
    needs: IntArray,
    per_bin: IntArray,
    room: IntArray,
    tables: IntArray,
    exclusive: BoolArray,
    threshold: int,
    node_limit: int,
    most: int,
) -> tuple[IntArray, bool, int]:
    """All maximal patterns worth more than `threshold`: (patterns, all of them?, nodes)."""
    m = len(values)
    dims = sizes.shape[1] - tables.shape[0]
    collected = np.empty((most + 1, m), dtype=np.int64)
    count, nodes = 0, 0
    for lead in range(m):
        if _bound(tables, lead, room, dims) <= threshold:
            break
        if _copies(lead, sizes, room, needs, per_bin) == 0:
            continue
        _, _, used, new = _search_lead(
            lead, values, sizes, needs, per_bin, room, tables, exclusive,
            threshold, node_limit - nodes, collected[count:],
        )  # fmt: skip
        nodes += used
        count += new
        if nodes > node_limit or count > most:
            return collected[:count], False, nodes
    return collected[:count], True, nodes


@njit(cache=True)
def _known_best(lead: int, value: int, size: int, most: int, table: IntArray) -> int:
    """Exact best value of a pattern whose first kind is `lead`, from the one true table."""
    room = table.shape[1] - 1
    best = 0
    for k in range(1, most + 1):
        best = max(best, k * value + table[lead + 1, room - k * size])
    return best


@njit(cache=True)
def search_leads(
    values: IntArray,
    sizes: IntArray,
    needs: IntArray,
    per_bin: IntArray,
    room: IntArray,
    tables: IntArray,
    exclusive: BoolArray,
    threshold: int,
    nodes_per_lead: int,
    exact: bool,
) -> tuple[IntArray, IntArray, int, bool, int]:
    """Run `_search_lead` for every first kind; see `Priced` for what comes back."""
    m = len(values)
    dims = sizes.shape[1] - tables.shape[0]
    patterns = np.empty((m, m), dtype=np.int64)
    found_values = np.empty(m, dtype=np.int64)
    nothing = np.empty((0, m), dtype=np.int64)
    found, highest, complete, total_nodes = 0, threshold, True, 0
    for lead in range(m):
        if _bound(tables, lead, room, dims) <= threshold:
            break
        if values[lead] <= 0 or _copies(lead, sizes, room, needs, per_bin) == 0:
            continue
        limit = threshold
        if exact:  # the table knows the best value with this lead, so the search goes straight
            most = _copies(lead, sizes, room, needs, per_bin)
            known = _known_best(lead, values[lead], sizes[lead, dims], most, tables[0])
            if known <= threshold:
                continue
            limit = known - 1
        value, pattern, nodes, _ = _search_lead(
            lead, values, sizes, needs, per_bin, room, tables, exclusive,
            limit, nodes_per_lead, nothing,
        )  # fmt: skip
        total_nodes += nodes
        if total_nodes > MOST_NODES:
            return patterns[:found], found_values[:found], highest, False, total_nodes
        complete &= nodes <= nodes_per_lead
        if value > threshold and pattern[lead] > 0:
            patterns[found] = pattern
            found_values[found] = value
            found += 1
            highest = max(highest, value)
    return patterns[:found], found_values[:found], highest, complete, total_nodes
