"""First, best and worst fit, most and least recently used: policies that know no lifetimes.

Servers are kept in order of a key: what is used of them (best and worst fit), when they were last
used, or nothing, so that their numbers decide. The first in the order that fits is taken, unless a
norm says otherwise.
"""

from __future__ import annotations

import math

import numpy as np

from stowplan.experiments.studies.dvbp.books import (
    EPSILON,
    after,
    book,
    compare_spare,
    entry,
    fits,
    free,
    insert,
    keep,
    new_order,
    part,
    place_of,
    remove,
)

FIRST, MRU, LRU = 0, 1, 2
BEST_L1, BEST_L2, BEST_LINF = 3, 4, 5
WORST_L1, WORST_L2, WORST_LINF = 6, 7, 8


@entry
def run(events, kind, sizes, width, rule):  # type: ignore[no-untyped-def]
    """(n,) the server of each VM.

    Args:
        events: see `moments.moments`; kind: (n,) row of `sizes`; width: how many resources norms
            read; rule: a constant of this module.
    """
    n = len(kind)
    server, tasks = np.empty(n, np.int64), np.zeros(n, np.int64)
    used = np.zeros((n, sizes.shape[1]))
    key_of = np.zeros(n)
    keys, ids = new_order(n)
    count, opened, clock = 0, 0, 0.0
    scratch, nothing = np.empty((2, sizes.shape[1])), np.zeros(sizes.shape[1])
    for event in events:
        vm = event if event >= 0 else ~event
        size = sizes[kind[vm]]
        if event < 0:
            at = server[vm]
            tasks[at] -= 1
            free(used, at, size)
            if tasks[at] == 0 or rule >= BEST_L1:
                count = remove(keys, ids, count, key_of[at], at)
                if tasks[at]:
                    key_of[at] = score(used, at, nothing, width, rule)
                    count = insert(keys, ids, count, key_of[at], at)
            continue
        at = _choose(keys, ids, count, used, size, width, rule, scratch)
        if at < 0:
            at = opened
            opened += 1
        elif rule != FIRST:
            count = remove(keys, ids, count, key_of[at], at)
        book(used, at, size)
        tasks[at] += 1
        server[vm] = at
        clock += 1
        if rule != FIRST or tasks[at] == 1:
            key_of[at] = _key(used, at, nothing, width, rule, clock)
            count = insert(keys, ids, count, key_of[at], at)
    return server


@part
def _key(used, at, nothing, width, rule, clock):  # type: ignore[no-untyped-def]
    if rule == FIRST:
        return 0.0
    if rule == MRU:
        return -clock
    if rule == LRU:
        return clock
    return score(used, at, nothing, width, rule)


@part
def score(used, at, size, width, rule):  # type: ignore[no-untyped-def]
    """The norm of what a server, a row of `used`, would have to spare with `size`."""
    if rule in (BEST_L1, WORST_L1):
        total = 0.0
        for i in range(width):
            column = _summed(i, width)
            total += used[at, column] + size[column]
        return width - total
    if rule in (BEST_L2, WORST_L2):
        total = 0.0
        for i in range(width):
            spare = 1 - (used[at, i] + size[i])
            total += spare * spare
        return math.sqrt(total)
    least = used[at, 0] + size[0]
    for i in range(1, width):
        least = min(least, used[at, i] + size[i])
    return 1 - least


@part
def _of_hole(size, width, rule):  # type: ignore[no-untyped-def]
    """The norm of a server that `size` would just fill."""
    hole, nothing = np.zeros((1, len(size))), np.zeros(len(size))
    for i in range(len(size)):
        hole[0, i] = 1 - size[i]
    return score(hole, 0, nothing, width, rule)


@part
def _summed(i, width):  # type: ignore[no-untyped-def]
    """The published sum has the disks before the SSDs; in floats that may matter."""
    return i if width < 5 or i < 3 else 7 - i


@part
def _choose(keys, ids, count, used, size, width, rule, scratch):  # type: ignore[no-untyped-def]
    """The server for `size`, or -1 for a new one."""
    if rule == WORST_L1:
        # Published: where the emptiest has no room, none other is asked.
        return ids[count - 1] if count and fits(used, ids[count - 1], size) else -1
    if rule == WORST_L2:
        return _worst_l2(ids, count, used, size, width)
    if rule == WORST_LINF:
        return _worst_linf(keys, ids, count, used, size, width, scratch)
    begin = 0
    if rule >= BEST_L1:
        begin = place_of(keys, ids, count, _of_hole(size, width, rule), -1)
    if rule == BEST_L2:
        return _best_l2(keys, ids, begin, count, used, size, width)
    if rule == BEST_LINF:
        return _best_linf(ids, begin, count, used, size, width, scratch)
    for i in range(begin, count):
        if fits(used, ids[i], size):
            return ids[i]
    return -1


@part
def _best_l2(keys, ids, begin, count, used, size, width):  # type: ignore[no-untyped-def]
    own = _of_hole(size, width, BEST_L2)
    least, found = 10.0, -1
    for i in range(begin, count):
        if fits(used, ids[i], size):
            spare = score(used, ids[i], size, width, BEST_L2)
            if spare < least:
                least, found = spare, ids[i]
        if keys[i] - own >= least - EPSILON:  # by the triangle inequality, none after is better
            break
    return found


@part
def _best_linf(ids, begin, count, used, size, width, scratch):  # type: ignore[no-untyped-def]
    found = -1
    for i in range(begin, count):
        if not fits(used, ids[i], size):
            continue
        after(used, ids[i], size, width, scratch[1])
        if found < 0 or compare_spare(scratch[0], scratch[1], width) > 0:
            found = ids[i]
            keep(scratch, 0, 1)
    return found


@part
def _worst_l2(ids, count, used, size, width):  # type: ignore[no-untyped-def]
    most, found = 0.0, -1
    for i in range(count - 1, -1, -1):
        if fits(used, ids[i], size):
            spare = score(used, ids[i], size, width, WORST_L2)
            if spare > most:
                most, found = spare, ids[i]
    return found


@part
def _worst_linf(keys, ids, count, used, size, width, scratch):  # type: ignore[no-untyped-def]
    own = _of_hole(size, width, WORST_LINF)
    empty = np.zeros((1, len(size)))
    smallest = 1 - score(empty, 0, size, width, WORST_LINF)
    found = -1
    for i in range(count - 1, -1, -1):
        if fits(used, ids[i], size):
            after(used, ids[i], size, width, scratch[1])
            if found < 0:
                found = ids[i]
                keep(scratch, 0, 1)
                continue  # as published: the first that fits is not asked whether to stop
            if compare_spare(scratch[0], scratch[1], width) < 0:
                found = ids[i]
                keep(scratch, 0, 1)
        if keys[i] - smallest - EPSILON <= 0 or keys[i] < own:
            break
    return found
