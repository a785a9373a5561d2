"""Every content that an instance can have, in order of time: a graph whose paths are busy times.

Tasks are looked at in the order in which they start. A state is the tasks that an instance still
holds when one of them starts; from it the instance goes on without that task or with it. A path
from a first task until nothing is left is one busy time of an instance, and all there are. So the
best busy time under any prices is one pass over the states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stowplan.placement.packing.over_time.problem import OverTimeProblem, moments
from stowplan.placement.packing.problem import BoolArray, IntArray

Ints = NDArray[Any]  # whole numbers of 16 to 64 bits

NONE = -1
HELD_MOST = 16  # tasks at once on an instance; where more fit the states would be too many
STATES_MOST = 3_000_000
APART_MOST, APART_SHARE = 40, 0.3  # so few jobs, or of them, that equal others are told apart
FAR = np.int64(2**61)


@dataclass(frozen=True)
class Jobs:
    """The tasks of a problem in the order of their starts, equal ones beside each other.

    Args:
        task: (jobs,) their numbers in the problem.
        kind, group: (jobs,) its kind; equal tasks (kind, start and end) are one group, unless
            they are few.
        starts, ends: (jobs,) the moment at which it starts, and the first without it.
        first: (groups,) the first job of each; size: (groups,) how many there are.
        at_ms: (moments + 1,) when each begins; the last is the end of all.
    """

    task: IntArray
    kind: IntArray
    group: IntArray
    starts: IntArray
    ends: IntArray
    first: IntArray
    size: IntArray
    at_ms: IntArray


def jobs_of(problem: OverTimeProblem) -> Jobs:
    """Tasks without length are left out."""
    real = np.flatnonzero(problem.end_ms > problem.start_ms)
    order = np.lexsort((problem.kind[real], problem.end_ms[real], problem.start_ms[real]))
    task = real[order]
    alike = np.column_stack([problem.start_ms, problem.end_ms, problem.kind])[task]
    new = np.ones(len(task), dtype=np.bool_)
    new[1:] = (alike[1:] != alike[:-1]).any(axis=1)
    if len(task) <= APART_MOST or np.count_nonzero(~new) <= APART_SHARE * len(task):
        new[:] = True  # a branch can tell them apart
    at_ms = moments(problem).at_ms if len(task) else np.zeros(1, np.int64)
    group = np.cumsum(new) - 1
    return Jobs(
        task,
        problem.kind[task],
        group,
        np.searchsorted(at_ms, alike[:, 0]),
        np.searchsorted(at_ms, alike[:, 1]),
        np.flatnonzero(new),
        np.bincount(group),
        at_ms,
    )


@dataclass(frozen=True)
class States:
    """All contents of one type of instance; states of one job stand beside each other.

    Args:
        layer: (jobs + 1,) where the states of each job begin.
        members: (states, HELD_MOST) jobs held; -1 beyond `count`.
        keep, take: (states,) the state when the next job starts, without it and with it; -1: none,
            of `keep`: the instance is empty by then.
        until: (states,) the moment up to which the state itself is paid for.
        begin: (jobs,) the state that the job alone begins, -1 for none.
    """

    layer: Ints
    members: Ints
    count: Ints
    keep: Ints
    take: Ints
    until: Ints
    begin: Ints

    def holds(self, job: int, other: int) -> BoolArray:
        """(states of `job`,) whether each holds `other`."""
        rows = self.members[self.layer[job] : self.layer[job + 1]]
        found: BoolArray = (rows == other).any(axis=1)
        return found


def states_of(problem: OverTimeProblem, jobs: Jobs, offer: int, left: int) -> States | None:
    """The states of one type; None where they are more than `left` or hold too many tasks."""
    demand, most = problem.demand, problem.most[:, offer]
    capacity = np.asarray(problem.types[offer].capacity, dtype=np.int64)
    fits = (demand <= capacity).all(axis=1) & (most > 0)
    if problem.types[offer].limit == 0:
        fits[:] = False
    members: Ints = np.zeros((0, HELD_MOST), dtype=np.int16)
    count: Ints = np.zeros(0, dtype=np.int16)
    parts: list[tuple[Ints, Ints]] = []
    links: list[tuple[Ints, Ints, Ints]] = []
    begin: list[int] = []
    layer = [0]
    for job in range(len(jobs.kind)):
        found = _next_layer(
            members, count, job, bool(job != jobs.first[jobs.group[job]]), jobs.kind, jobs.starts,
            jobs.ends, demand, capacity, most, bool(fits[jobs.kind[job]]),
        )  # fmt: skip
        members, count, keep, take, until, own = found
        if own == -2 or layer[-1] + len(count) > left:
            return None
        base = layer[-1]
        links.append((_moved(keep, base), _moved(take, base), until))
        begin.append(own + base if own >= 0 else NONE)
        parts.append((members, count))
        layer.append(base + len(count))
    last = _ends_of(members, count, jobs.ends)
    nothing = np.full(len(count), NONE, dtype=np.int32)
    links = [*links[1:], (nothing, nothing, last)]
    return States(
        np.array(layer, dtype=np.int64),
        np.concatenate([part for part, _ in parts]),
        np.concatenate([part for _, part in parts]),
        np.concatenate([part for part, _, _ in links]),
        np.concatenate([part for _, part, _ in links]),
        np.concatenate([part for _, _, part in links]),
        np.array(begin, dtype=np.int64),
    )


def _moved(to: Ints, base: int) -> Ints:
    return np.where(to >= 0, to + base, NONE).astype(np.int32)


@njit(cache=True)
def _ends_of(members: Ints, count: Ints, ends: Ints) -> Ints:
    """(states,) the moment at which each is empty."""
    until = np.zeros(len(count), dtype=np.int32)
    for s in range(len(count)):
        for i in range(count[s]):
            until[s] = max(until[s], ends[members[s, i]])
    return until


@njit(cache=True)
def _next_layer(
    members: Ints, count: Ints, job: int, copy: bool, kind: Ints, starts: Ints,
    ends: Ints, demand: Ints, capacity: Ints, most: Ints, fits: bool,
) -> tuple[Ints, Ints, Ints, Ints, Ints, int]:  # fmt: skip
    """States when `job` starts, and how those of the job before lead there.

    Of equal jobs the second is taken only with the first, so that each content is reached once.
    Returns (members, count, keep, take, until, the state of the job alone or -1); -2 in the last
    place where an instance could hold too many tasks.
    """
    n, now = len(count), starts[job]
    out = np.full((2 * n + 1, HELD_MOST), NONE, dtype=np.int16)
    size = np.zeros(2 * n + 1, dtype=np.int16)
    keep = np.full(n, NONE, dtype=np.int32)
    take = np.full(n, NONE, dtype=np.int32)
    until = np.minimum(_ends_of(members, count, ends), np.int32(now))
    slots = 16
    while slots < 4 * (n + 1):
        slots *= 2
    table = np.full(slots, NONE, dtype=np.int64)
    held = np.empty(HELD_MOST + 1, dtype=np.int16)
    used, own = 0, NONE
    for s in range(n):
        k = 0
        for i in range(count[s]):
            if ends[members[s, i]] > now:
                held[k] = members[s, i]
                k += 1
        if k == 0:
            continue
        used, keep[s] = _put(held, k, out, size, table, used)
        if not fits or (copy and held[k - 1] != job - 1):
            continue
        if not _has_room(held, k, job, kind, demand, capacity, most):
            continue
        if k == HELD_MOST:
            return out, size, keep, take, until, -2
        held[k] = job
        used, take[s] = _put(held, k + 1, out, size, table, used)
    if fits and not copy:
        held[0] = job
        used, own = _put(held, 1, out, size, table, used)
    return out[:used].copy(), size[:used].copy(), keep, take, until, own


@njit(cache=True)
def _has_room(
    held: Ints, k: int, job: int, kind: Ints, demand: Ints, capacity: Ints,
    most: Ints,
) -> bool:  # fmt: skip
    """Whether the first `k` jobs of `held` leave room for one more."""
    mine, same = kind[job], 1
    for i in range(k):
        same += kind[held[i]] == mine
    if same > most[mine]:
        return False
    for d in range(len(capacity)):
        total = demand[mine, d]
        for i in range(k):
            total += demand[kind[held[i]], d]
        if total > capacity[d]:
            return False
    return True


@njit(cache=True)
def _put(held: Ints, k: int, out: Ints, size: Ints, table: Ints, used: int) -> tuple[int, int]:
    """The state with these jobs, a new one if there is none yet: (states used, its number)."""
    key = np.uint64(1469598103934665603)
    for i in range(k):
        key = (key ^ np.uint64(held[i] + 1)) * np.uint64(1099511628211)
        key ^= key >> np.uint64(29)
    mask = np.uint64(len(table) - 1)
    slot = key & mask
    while table[slot] >= 0:
        s = table[slot]
        if size[s] == k and (out[s, :k] == held[:k]).all():
            return used, s
        slot = (slot + np.uint64(1)) & mask
    table[slot] = used
    out[used, :k] = held[:k]
    size[used] = k
    return used + 1, used


@njit(cache=True)
def cheapest_rest(
    layer: Ints, keep: Ints, take: Ints, until: Ints, begin: Ints,
    starts: Ints, banned: BoolArray, toll: Ints, passed: Ints, value: Ints,
    group: Ints, first: Ints, lower: bool, rest: Ints,
) -> None:  # fmt: skip
    """Least cost of the rest of a busy time from each state on, less what its jobs are worth.

    Args:
        banned: (states,) contents that no instance may have; toll: (states,) the price of entering
            a state by taking its job; passed: (moments + 1,) cost from the start up to a moment.
        value: (groups,) what a job is worth. With `lower` it is lowered in place until no busy
            time is worth more than it costs.
        rest: (states,), filled; without the value of the state's own job.
    """
    for job in range(len(starts) - 1, -1, -1):
        paid = passed[starts[job]]
        for s in range(layer[job], layer[job + 1]):
            least = np.int64(0)
            if banned[s]:
                least = FAR
            elif keep[s] >= 0:
                least = rest[keep[s]]
                if take[s] >= 0 and rest[take[s]] < FAR:
                    least = min(least, rest[take[s]] + toll[take[s]] - value[group[job + 1]])
            rest[s] = min(FAR, least + passed[until[s]] - paid) if least < FAR else FAR
        mine = group[job]
        if lower and first[mine] == job and begin[job] >= 0:
            value[mine] = min(value[mine], rest[begin[job]])


@njit(cache=True)
def best_path(
    state: int, job: int, keep: Ints, take: Ints, toll: Ints, value: Ints,
    group: Ints, rest: Ints, path: Ints,
) -> int:  # fmt: skip
    """Write the jobs of the cheapest busy time that `job` begins into `path`: how many."""
    path[0], n = job, 1
    while keep[state] >= 0:
        job += 1
        with_it = take[state]
        worth = FAR
        if with_it >= 0 and rest[with_it] < FAR:
            worth = rest[with_it] + toll[with_it] - value[group[job]]
        if worth <= rest[keep[state]]:
            state, path[n] = with_it, job
            n += 1
        else:
            state = keep[state]
    return n
