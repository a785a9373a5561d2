"""Policies with servers for each class of VM, first fit in each.

Classes are lifetimes by their logarithm, days of the end, or the hybrids' (lifetime, and when it
began). The hybrids put a class that holds little in servers for all classes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from stowplan.experiments.studies.dvbp.books import (
    book,
    entry,
    fits,
    free,
    largest_with,
    part,
)
from stowplan.experiments.studies.dvbp.trace import Floats, Ints, Trace

PLAIN, REDUCED, WHOLE = 0, 1, 2
_DAY_S = 3600 * 24
_OFFSET = 3
_TINY, _HUGE = 1e-300, 2.0**62


class Classes(NamedTuple):
    """(n,) the class of each VM, from 0; (n,) how much of a server the class may hold in common."""

    of: Ints
    common: Floats


@entry
def run(events, kind, sizes, width, rule, class_of, common):  # type: ignore[no-untyped-def]
    """(n,) the server of each VM; `class_of`, `common`: `Classes`; the others as of `fits.run`."""
    n, classes = len(kind), class_of.max() + 2
    shared = classes - 1  # the class of servers for all
    server, tasks = np.empty(n, np.int64), np.zeros(n, np.int64)
    used = np.zeros((n, sizes.shape[1]))
    load = np.zeros((classes, sizes.shape[1]))
    first, last = np.full(classes, -1), np.full(classes, -1)
    following, before, member = np.full(n, -1), np.full(n, -1), np.full(n, -1)
    opened = 0
    for event in events:
        vm = event if event >= 0 else ~event
        size, own = sizes[kind[vm]], class_of[vm]
        if event < 0:
            at = server[vm]
            if rule == WHOLE or (rule == REDUCED and member[at] == shared):
                free(load, own, size)
            free(used, at, size)
            tasks[at] -= 1
            if tasks[at] == 0:
                unlink(first, last, following, before, member[at], at)
            continue
        into = own
        if rule != PLAIN:
            small = largest_with(load, own, size, sizes.shape[1]) <= common[vm]
            if small and (rule == REDUCED or first[own] < 0):
                into = shared
            if rule == WHOLE or into == shared:  # the reduced count only what they put in common
                book(load, own, size)
        at = first_that_fits(first[into], following, used, size)
        if at < 0:
            at = opened
            opened += 1
            member[at] = into
            append(first, last, following, before, into, at)
        book(used, at, size)
        tasks[at] += 1
        server[vm] = at
    return server


@part
def first_that_fits(at, following, used, size):  # type: ignore[no-untyped-def]
    """The first server of a list from `at` on that has room, or -1."""
    while at >= 0 and not fits(used, at, size):
        at = following[at]
    return at


@part
def append(first, last, following, before, of, server):  # type: ignore[no-untyped-def]
    """Put a server in the list `of`, which stays in order of their numbers."""
    at = last[of]
    while at > server:
        at = before[at]
    before[server] = at
    following[server] = following[at] if at >= 0 else first[of]
    if at >= 0:
        following[at] = server
    else:
        first[of] = server
    if following[server] >= 0:
        before[following[server]] = server
    else:
        last[of] = server


@part
def unlink(first, last, following, before, of, server):  # type: ignore[no-untyped-def]
    """Take a server out of the list `of`."""
    if before[server] >= 0:
        following[before[server]] = following[server]
    else:
        first[of] = following[server]
    if following[server] >= 0:
        before[following[server]] = before[server]
    else:
        last[of] = before[server]


def logarithms(values: Floats) -> Floats:
    """(n,) logarithms to base 2 as the C library has them: numpy's may differ in the last bit, and
    what is a whole power of two decides by it."""
    return np.fromiter(map(math.log2, np.maximum(values, _TINY).tolist()), np.float64, len(values))


def by_duration(trace: Trace, lifetime: Floats, end: Floats) -> Classes:
    """Lifetimes in days, by powers of two."""
    return _numbered(np.floor(logarithms(lifetime)))


def by_departure(trace: Trace, lifetime: Floats, end: Floats) -> Classes:
    """Ends by the day."""
    return _numbered(np.floor(end))


def reduced(trace: Trace, lifetime: Floats, end: Floats) -> Classes:
    """Lifetimes in seconds, by powers of two."""
    level = np.maximum(np.floor(logarithms(lifetime * _DAY_S)) + _offset(lifetime), 1)
    return _numbered(level, level=level)


def reduced_direct_sum(trace: Trace, lifetime: Floats, end: Floats) -> Classes:
    """As `reduced`, and by the resource of which a VM needs most."""
    level = _levels((end - trace.start) * _DAY_S) + _offset(lifetime)
    return _numbered(level, _resource(trace), level=level)


def hybrid(trace: Trace, lifetime: Floats, end: Floats) -> Classes:
    """Lifetimes by powers of two, and starts by that power."""
    level = _levels((end - trace.start) * _DAY_S)
    began = _began(trace, level)
    return _numbered(level, began, level=level + _offset(lifetime))


def hybrid_direct_sum(trace: Trace, lifetime: Floats, end: Floats) -> Classes:
    """As `hybrid`, and by the resource of which a VM needs most."""
    level = _levels((end - trace.start) * _DAY_S)
    began = _began(trace, level)
    return _numbered(level, began, _resource(trace), level=level + _offset(lifetime))


def _offset(lifetime: Floats) -> int:
    """What makes every level positive: of the shortest that is predicted."""
    shortest = max(float(lifetime.min()) * 3600 * 24, _TINY)
    return abs(math.floor(math.log2(shortest))) + _OFFSET


def _levels(seconds: Floats) -> Floats:
    levels: Floats = np.floor(logarithms(seconds))
    return levels


def _began(trace: Trace, level: Floats) -> Floats:
    # In this order of operations: a start is at the border of two classes more often than not.
    return np.minimum(np.floor(trace.start * 3600 * 24 / np.exp2(level) + 1), _HUGE)


def _resource(trace: Trace) -> Ints:
    most: Ints = np.argmax(trace.sizes, axis=1)
    return most[trace.kind]


def _numbered(*columns: Floats | Ints, level: Floats | None = None) -> Classes:
    together = np.column_stack([np.asarray(column, np.float64) for column in columns])
    _, of = np.unique(together, axis=0, return_inverse=True)
    of = of.reshape(-1).astype(np.int64)
    if level is None:
        return Classes(of, np.zeros(len(of)))
    return Classes(of, 1.0 / (2 * np.sqrt(np.abs(level))))
