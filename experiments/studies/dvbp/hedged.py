"""Hedged nearest remaining time, a policy of ours for predictions that err.

Of each server it is believed how likely it is to be empty after each of some times from now: the
product of that of its VMs, given how long they have run already. A VM goes where the time that it
is expected to add to a server is least. Where predictions have been right it is the nearest
remaining time, since a server that goes on for longer is kept for VMs that last; the more they
have been wrong, the less that counts. Then what is fullest counts, and at last what goes on for
longest. How wrong predictions are is learned from VMs that ended; the end of one that runs is never
read.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from stowplan.experiments.studies.dvbp.beliefs import (
    arrive,
    depart,
    new_beliefs,
    place_in,
    spread,
)
from stowplan.experiments.studies.dvbp.books import book, entry, fits, free, part
from stowplan.experiments.studies.dvbp.trace import Floats, Ints

TIMES = 16
_FIRST_DAYS, _LAST_DAYS = 150 / 86400, 32.0


class Weights(NamedTuple):
    """What counts beside the time added, in days added; `error` is the spread of logarithms.

    Args:
        sharp: an error of less is none: ends are compared as they are.
        slack, fades: of a day that a server goes on beyond the VM, slack exp(-fades error).
        spare: of a whole server's spare CPU or memory.
        long, begins, whole: of a day that a server goes on, from the error `begins` on, rising to
            `long` at `whole`, where `spare` counts no more.
    """

    sharp: float = 0.05
    slack: float = 0.1
    fades: float = 3.0
    spare: float = 0.01
    long: float = 0.02
    begins: float = 2.0
    whole: float = 4.0


class Servers(NamedTuple):
    """Servers that hold something are rows of `active`; `empty` (rows, TIMES) is the chance that
    each has fallen empty by then; `vms` are lists of VMs: first, following, before."""

    used: Floats
    tasks: Ints
    active: Ints
    row: Ints
    empty: Floats
    vms: tuple[Ints, Ints, Ints]
    latest: Floats


@entry
def run(events, kind, sizes, days, slots, weights):  # type: ignore[no-untyped-def]
    """(n,) the server of each VM.

    Args:
        events: see `moments.moments`; kind: (n,) row of `sizes`, (types, 5).
        days: (n, 3) start, true end (read of VMs that have ended alone), predicted lifetime.
        slots: how many VMs run at a time at most; weights: `Weights`.
    """
    n = len(kind)
    server, count, opened, before = np.empty(n, np.int64), 0, 0, -1.0
    beliefs = new_beliefs(n, len(sizes), slots)
    servers = Servers(
        np.zeros((n, sizes.shape[1])),
        np.zeros(n, np.int64),
        np.zeros(slots + 1, np.int64),
        np.full(n, -1),
        np.ones((slots + 1, TIMES)),
        (np.full(n, -1), np.full(n, -1), np.full(n, -1)),
        np.zeros(n),
    )
    step = (math.log(_LAST_DAYS) - math.log(_FIRST_DAYS)) / (TIMES - 1)
    times, chance, weight = np.empty(TIMES), np.empty(TIMES), np.empty(TIMES)
    for j in range(TIMES):
        times[j] = math.exp(math.log(_FIRST_DAYS) + j * step)
    for event in events:
        vm = event if event >= 0 else ~event
        if event < 0:
            depart(beliefs, vm, kind[vm], days[vm, 2], days[vm, 1] - days[vm, 0])
            count = _leave(servers, server[vm], vm, sizes[kind[vm]], days, count)
            continue
        if days[vm, 0] > before:
            before = days[vm, 0]
            _look(servers, beliefs, count, days, times, before)
        arrive(beliefs, vm, kind[vm], days[vm, 2])
        error = spread(beliefs)
        _weigh(beliefs, vm, times, error, weights, chance, weight)
        at = _choose(servers, count, sizes[kind[vm]], weight, days[vm], error, weights)
        if at < 0:
            at = opened
            opened += 1
            _open(servers, at, count)
            count += 1
        _join(servers, at, vm, sizes[kind[vm]], days, chance)
        server[vm] = at
    return server


@part
def _weigh(beliefs, vm, times, error, weights, chance, weight):  # type: ignore[no-untyped-def]
    """The chance that a VM that comes has ended by each of `times`, and what it makes of servers.

    What a server costs more with the VM is the sum over times of
    empty (1 - ended) + slack (1 - empty) ended - long (1 - empty): but for what is the same for all
    servers, a weight for each time.
    """
    slack = weights.slack * math.exp(-weights.fades * error)
    long = weights.long * _blind(error, weights)
    until = beliefs.until[beliefs.slot[vm]]
    for j in range(TIMES):
        place = place_in(times[j])
        b = int(place)
        chance[j] = until[b] + (until[b + 1] - until[b]) * (place - b)
        lasts = times[j] - (times[j - 1] if j else 0.0)
        weight[j] = lasts * (1 - chance[j] - slack * chance[j] + long)


@part
def _blind(error, weights):  # type: ignore[no-untyped-def]
    """From 0 to 1: how little predictions say."""
    return min(max((error - weights.begins) / (weights.whole - weights.begins), 0.0), 1.0)


@part
def _choose(servers, count, size, weight, days, error, weights):  # type: ignore[no-untyped-def]
    """The server at the least cost, of equals the one opened first; -1 where none has room."""
    found, least = -1, np.inf
    end, spare = days[0] + days[2], weights.spare * (1 - _blind(error, weights))
    for row in range(count):
        at = servers.active[row]
        if not fits(servers.used, at, size):
            continue
        if error < weights.sharp:
            later = max(servers.latest[at], days[0]) - end
            cost = weights.slack * later if later > 0 else -later
        else:
            cost = spare * (2 - servers.used[at, 0] - servers.used[at, 1])
            for j in range(TIMES):
                cost += weight[j] * servers.empty[row, j]
        if cost < least or (cost == least and at < found):
            found, least = at, cost
    return found


@part
def _look(servers, beliefs, count, days, times, now):  # type: ignore[no-untyped-def]
    """Believe anew when servers fall empty: VMs have run for longer, and some have ended."""
    following = servers.vms[1]
    known = -1.0
    index, share = np.zeros(TIMES + 1, np.int64), np.zeros(TIMES + 1)
    for row in range(count):
        for j in range(TIMES):
            servers.empty[row, j] = 1.0
        vm = servers.vms[0][servers.active[row]]
        while vm >= 0:
            age = now - days[vm, 0]
            if age != known:
                known = age
                for j in range(TIMES + 1):
                    place = place_in(age + (times[j] if j < TIMES else 0.0))
                    index[j] = int(place)
                    share[j] = place - index[j]
            until = beliefs.until[beliefs.slot[vm]]
            b = index[TIMES]
            gone = until[b] + (until[b + 1] - until[b]) * share[TIMES]
            for j in range(TIMES):
                if gone > 1 - 1e-4:  # nobody believed that it could run for so long
                    servers.empty[row, j] *= times[j] / (age + times[j])
                else:
                    b = index[j]
                    by = until[b] + (until[b + 1] - until[b]) * share[j]
                    servers.empty[row, j] *= (by - gone) / (1 - gone)
            vm = following[vm]


@part
def _open(servers, at, count):  # type: ignore[no-untyped-def]
    servers.active[count] = at
    servers.row[at] = count
    for j in range(TIMES):
        servers.empty[count, j] = 1.0


@part
def _join(servers, at, vm, size, days, chance):  # type: ignore[no-untyped-def]
    first, following, before = servers.vms
    book(servers.used, at, size)
    servers.tasks[at] += 1
    servers.latest[at] = max(servers.latest[at], days[vm, 0] + days[vm, 2])
    following[vm], before[vm] = first[at], -1
    if first[at] >= 0:
        before[first[at]] = vm
    first[at] = vm
    for j in range(TIMES):
        servers.empty[servers.row[at], j] *= chance[j]


@part
def _leave(servers, at, vm, size, days, count):  # type: ignore[no-untyped-def]
    """Take a VM that ended from its server; how many servers are on then.

    What is believed of the server stays until the next VM comes, when all is looked at anew.
    """
    first, following, before = servers.vms
    free(servers.used, at, size)
    servers.tasks[at] -= 1
    if before[vm] >= 0:
        following[before[vm]] = following[vm]
    else:
        first[at] = following[vm]
    if following[vm] >= 0:
        before[following[vm]] = before[vm]
    if servers.tasks[at] == 0:
        count -= 1
        row, last = servers.row[at], servers.active[count]
        servers.active[row] = last
        servers.row[last] = row
        for j in range(TIMES):
            servers.empty[row, j] = servers.empty[count, j]
        servers.row[at] = -1
    elif servers.latest[at] == days[vm, 0] + days[vm, 2]:
        servers.latest[at] = 0.0
        each = first[at]
        while each >= 0:
            servers.latest[at] = max(servers.latest[at], days[each, 0] + days[each, 2])
            each = following[each]
    return count
