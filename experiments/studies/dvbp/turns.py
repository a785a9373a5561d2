"""Next fit, and next fit in a round: policies that fill one server at a time."""

from __future__ import annotations

import numpy as np

from stowplan.experiments.studies.dvbp.books import (
    book,
    entry,
    fits,
    free,
    insert,
    new_order,
    part,
    place_of,
    remove,
)

NEXT, ROUND = 0, 1


@entry
def run(events, kind, sizes, width, rule):  # type: ignore[no-untyped-def]
    """(n,) the server of each VM; arguments as of `fits.run`."""
    return _next(events, kind, sizes) if rule == NEXT else _round(events, kind, sizes)


@part
def _next(events, kind, sizes):  # type: ignore[no-untyped-def]
    """What left the server is not counted: it is closed once so much has arrived."""
    server = np.empty(len(kind), np.int64)
    filled = np.zeros((1, sizes.shape[1]))
    current = 0
    for vm in events:
        if vm < 0:
            continue
        size = sizes[kind[vm]]
        if not fits(filled, 0, size):
            for i in range(sizes.shape[1]):
                filled[0, i] = 0.0
            current += 1
        book(filled, 0, size)
        server[vm] = current
    return server


@part
def _round(events, kind, sizes):  # type: ignore[no-untyped-def]
    n = len(kind)
    server, tasks = np.empty(n, np.int64), np.zeros(n, np.int64)
    used = np.zeros((n, sizes.shape[1]))
    keys, ids = new_order(n)
    count, opened, current = 0, 0, 0
    for event in events:
        vm = event if event >= 0 else ~event
        size = sizes[kind[vm]]
        if event < 0:
            at = server[vm]
            tasks[at] -= 1
            free(used, at, size)
            if tasks[at] == 0:
                count = remove(keys, ids, count, 0.0, at)
            continue
        if opened == 0:
            opened = 1
        elif not fits(used, current, size):  # the current one may be empty: it is used again
            current = _next_that_fits(keys, ids, count, current, used, size)
            if current < 0:
                current = opened
                opened += 1
        book(used, current, size)
        tasks[current] += 1
        server[vm] = current
        if tasks[current] == 1:
            count = insert(keys, ids, count, 0.0, current)
    return server


@part
def _next_that_fits(keys, ids, count, current, used, size):  # type: ignore[no-untyped-def]
    begin = place_of(keys, ids, count, 0.0, current + 1)
    for i in range(count):
        at = ids[(begin + i) % count]
        if at != current and fits(used, at, size):
            return at
    return -1
