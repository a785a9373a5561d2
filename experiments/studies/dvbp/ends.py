"""Policies that order servers by when they are predicted to fall empty.

That is the latest predicted end of what a server holds. Nearest remaining time, greedy, and
lifetime alignment, which is best fit among servers whose remaining time is of the VM's class.
"""

from __future__ import annotations

import math

import numpy as np

from stowplan.experiments.studies.dvbp.books import (
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

LATER_FIRST, NEAREST, GREEDY, BY_LOG, BY_TWO = 0, 1, 2, 3, 4
SECONDS = 24 * 3600
LONG_S = 7200  # what is longer is long, where there are two classes


@entry
def run(events, kind, sizes, width, rule, start, predicted_end):  # type: ignore[no-untyped-def]
    """(n,) the server of each VM.

    Args:
        start, predicted_end: (n,) days; the others as of `fits.run`.
    """
    n = len(kind)
    server, used = np.empty(n, np.int64), np.zeros((n, sizes.shape[1]))
    first, following, before = np.full(n, -1), np.full(n, -1), np.full(n, -1)
    latest = np.zeros(n)
    keys, ids = new_order(n)
    count, opened = 0, 0
    scratch = np.empty((3, sizes.shape[1]))
    for event in events:
        vm = event if event >= 0 else ~event
        size, end = sizes[kind[vm]], predicted_end[vm]
        if event < 0:
            at = server[vm]
            free(used, at, size)
            _unlink(first, following, before, at, vm)
            if first[at] < 0 or latest[at] == end:
                count = remove(keys, ids, count, latest[at], at)
                if first[at] >= 0:
                    latest[at] = _latest(first[at], following, predicted_end)
                    count = insert(keys, ids, count, latest[at], at)
            continue
        at = _choose(keys, ids, count, used, size, width, rule, start[vm], end, scratch)
        if at < 0:
            at = opened
            opened += 1
            latest[at] = end
            count = insert(keys, ids, count, end, at)
        elif end > latest[at]:
            count = remove(keys, ids, count, latest[at], at)
            latest[at] = end
            count = insert(keys, ids, count, end, at)
        book(used, at, size)
        server[vm] = at
        following[vm], before[vm] = first[at], -1
        if first[at] >= 0:
            before[first[at]] = vm
        first[at] = vm
    return server


@part
def _unlink(first, following, before, at, vm):  # type: ignore[no-untyped-def]
    if before[vm] >= 0:
        following[before[vm]] = following[vm]
    else:
        first[at] = following[vm]
    if following[vm] >= 0:
        before[following[vm]] = before[vm]


@part
def _latest(vm, following, predicted_end):  # type: ignore[no-untyped-def]
    most = predicted_end[vm]
    while vm >= 0:
        most = max(most, predicted_end[vm])
        vm = following[vm]
    return most


@part
def _choose(keys, ids, count, used, size, width, rule, now, end, scratch):  # type: ignore[no-untyped-def]
    """The server for `size`, or -1 for a new one."""
    if rule == GREEDY:
        for i in range(count - 1, -1, -1):
            if fits(used, ids[i], size):
                return ids[i]
        return -1
    if rule in (BY_LOG, BY_TWO):
        return _aligned(keys, ids, count, used, size, width, rule, now, end, scratch)
    begin = place_of(keys, ids, count, end, -1)
    if rule == LATER_FIRST:
        for i in range(begin, count):
            if fits(used, ids[i], size):
                return ids[i]
    earlier, distance = -1, -1.0
    for i in range(begin - 1, -1, -1):
        if fits(used, ids[i], size):
            earlier, distance = ids[i], abs(end - keys[i])
            break
    if rule == NEAREST:
        for i in range(begin, count):
            if earlier >= 0 and abs(keys[i] - end) > distance:
                break
            if fits(used, ids[i], size):
                return ids[i]
    return earlier


@part
def class_of(days, rule):  # type: ignore[no-untyped-def]
    """The class of a remaining time: its logarithm in seconds, cut, or whether it is long."""
    seconds = days * 24 * 3600
    if rule == BY_TWO:
        return 0 if seconds < LONG_S else 1
    return 0 if seconds < 1 else int(math.log2(seconds))


@part
def _aligned(keys, ids, count, used, size, width, rule, now, end, scratch):  # type: ignore[no-untyped-def]
    """The best fit of the VM's class, where there is one, or else of all; class 0 asks all."""
    own = class_of(end - now, rule)
    same, found = -1, -1
    for i in range(count):
        if not fits(used, ids[i], size):
            continue
        after(used, ids[i], size, width, scratch[2])
        if found < 0 or compare_spare(scratch[0], scratch[2], width) > 0:
            found = ids[i]
            keep(scratch, 0, 2)
        if (
            own
            and class_of(keys[i] - now, rule) == own
            and (same < 0 or compare_spare(scratch[1], scratch[2], width) > 0)
        ):
            same = ids[i]
            keep(scratch, 1, 2)
    return same if same >= 0 else found
