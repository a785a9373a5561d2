"""What happens when, in the published order; and the measure of a run."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stowplan.experiments.studies.dvbp.books import entry, part
from stowplan.experiments.studies.dvbp.trace import Ints, Trace

EPSILON = 1e-9  # days: what is nearer than this is one moment


class Measured(NamedTuple):
    """Machine-days: the time integral of the number of servers with a VM; and their peak."""

    machine_days: float
    peak: int


def moments(trace: Trace) -> Ints:
    """(2 n,) the number of a VM that starts, or ~number of one that ends; ends come first.

    Among ends of one moment the order is that of a binary heap: it matters, since what a server
    holds is a sum of floats, and the published policies compare sums.
    """
    events: Ints = _moments(trace.start, trace.end)
    return events


def measure(trace: Trace, events: Ints, server: Ints) -> Measured:
    """The measure of a run in which VM i was on `server[i]`, (n,)."""
    days, peak = _measure(events, trace.start, trace.end, server, int(server.max()) + 1)
    return Measured(float(days), int(peak))


@entry
def _moments(start, end):  # type: ignore[no-untyped-def]
    n = len(start)
    events = np.empty(2 * n, np.int64)
    heap = np.empty(n, np.int64)
    size, done, at = 0, 0, 0
    while done < n or size:
        if done == n or (size and end[heap[0]] - start[done] <= EPSILON):
            events[at] = ~heap[0]
            size -= 1
            _sift(heap, size, end)
        else:
            events[at] = done
            _raise(heap, size, done, end)
            size += 1
            done += 1
        at += 1
    return events


@part
def _raise(heap, hole, vm, end):  # type: ignore[no-untyped-def]
    """Put `vm` into the heap from `hole` upwards, below equals."""
    while hole > 0:
        above = (hole - 1) // 2
        if not end[heap[above]] > end[vm]:
            break
        heap[hole] = heap[above]
        hole = above
    heap[hole] = vm


@part
def _sift(heap, size, end):  # type: ignore[no-untyped-def]
    """Fill the hole at the top of a heap that shrank to `size` with what was last.

    The hole falls to the ground by the smaller child, of equals the right one, and what was last
    rises from there: not the shorter way, but the one by which equals keep the published order.
    """
    if size == 0:
        return
    last, hole, child = heap[size], 0, 0
    while child < (size - 1) // 2:
        child = 2 * (child + 1)
        if end[heap[child]] > end[heap[child - 1]]:
            child -= 1
        heap[hole] = heap[child]
        hole = child
    if size % 2 == 0 and child == (size - 2) // 2:
        child = 2 * child + 1
        heap[hole] = heap[child]
        hole = child
    _raise(heap, hole, last, end)


@entry
def _measure(events, start, end, server, servers):  # type: ignore[no-untyped-def]
    tasks = np.zeros(servers, np.int64)
    on, peak = 0, 0
    days, before = 0.0, 0.0
    for event in events:
        if event >= 0:
            now, at = start[event], server[event]
            days += on * (now - before)
            on += tasks[at] == 0
            tasks[at] += 1
        else:
            now, at = end[~event], server[~event]
            days += on * (now - before)
            tasks[at] -= 1
            on -= tasks[at] == 0
        before = now
        peak = max(peak, on)
    return days, peak
