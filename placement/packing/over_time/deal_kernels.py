"""The inner loops of the search over deals (`deals.py`), in machine code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stowplan.placement.packing.over_time.states import FAR, NONE
from stowplan.placement.packing.problem import IntArray

Ints = NDArray[Any]  # whole numbers of 16 to 64 bits
MANY = 1 << 20
BINS = 2_048  # of the histogram by which the best children are told from the others
FORBIDDEN = -2
OPENED = 10_000  # a new instance, as a choice: this and its type


@njit(cache=True)
def _mixed(number: int) -> np.uint64:
    z = np.uint64(number) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def most_held(sizes: Ints, capacity: int, reach: Ints) -> None:
    """`reach[r]` becomes the largest sum of some of `sizes` that is at most r."""
    sums = np.zeros(capacity + 1, dtype=np.bool_)
    sums[0] = True
    for size in sizes:
        if size > capacity:
            continue
        for total in range(capacity, size - 1, -1):
            if sums[total - size]:
                sums[total] = True
    last = 0
    for total in range(capacity + 1):
        if sums[total]:
            last = total
        reach[total] = last


@njit(cache=True)
def kinds_of_state(
    job: int, members: Ints, count: Ints, starts: Ints, ends: Ints, demand: Ints, capacity: Ints,
    marked: Ints, resolution: int, salt: int,
) -> Ints:  # fmt: skip
    """(states,) a number that two contents share where all that can follow is the same.

    That is: they end together, and at each start of a later job have room for the same sets of
    later jobs. Room counts as much of it as some set of later jobs can use.

    Args:
        demand: (jobs, d); marked: (jobs,) those that are not to be taken for another.
        resolution: a capacity up to which sums of sizes are worked out.
    """
    n, jobs, dims = len(count), len(starts), len(capacity)
    until, last = np.zeros(n, dtype=np.int64), 0
    key = np.empty(n, dtype=np.uint64)
    for s in range(n):
        key[s] = np.uint64(salt)
        for i in range(count[s]):
            until[s] = max(until[s], ends[members[s, i]])
            if marked[members[s, i]]:
                key[s] = _mixed(key[s] + np.uint64(members[s, i] + 1))
        key[s] = _mixed(key[s] + np.uint64(until[s]) * np.uint64(MANY))
        last = max(last, until[s])
    at = job + 1
    while at < jobs and starts[at] < last:
        for d in range(dims):
            room = capacity[d]
            sizes = _sizes_then(job, at, starts, ends, demand[:, d], room)
            fine = room <= resolution
            reach = np.zeros(room + 1 if fine else 1, dtype=np.int64)
            if fine:
                most_held(sizes, room, reach)
            for s in range(n):
                if until[s] <= starts[at]:
                    continue
                left = room
                for i in range(count[s]):
                    if ends[members[s, i]] > starts[at]:
                        left -= demand[members[s, i], d]
                tight = 0 if left < sizes.min() else min(left, sizes.sum())
                left = reach[left] if fine else tight
                key[s] = _mixed(key[s] + np.uint64(left) * np.uint64(MANY) + np.uint64(d + 1))
        at += 1
    return (key >> np.uint64(1)).astype(np.int64)


@njit(cache=True)
def _sizes_then(job: int, at: int, starts: Ints, ends: Ints, demand: Ints, room: int) -> IntArray:
    """Sizes of the jobs after `job` that may run when job `at` starts, as far as they find room;
    never empty."""
    found = np.zeros(at - job, dtype=np.int64)
    n = 0
    for q in range(job + 1, at + 1):
        if ends[q] > starts[at] and 0 < demand[q] <= room:
            found[n] = demand[q]
            n += 1
    if n == 0:
        found[0] = room + 1  # nothing that has room: what is left is of no use
        n = 1
    return found[:n]


class Step(NamedTuple):
    """What the start of a job makes of the states of the job before.

    Args:
        keep, take, keep_more, take_more: per state, without and with the job; and by how much the
            bound of a deal rises, FAR where that is forbidden.
        fee: per state, what is paid for it until the job's start; until, offer: the moment at which
            it is empty or the job starts, and its type.
        opened, open_more: per type, the job on an instance of its own.
        kind: of the states of the job; of one kind are those after which all is the same.
        pairs, refund: per state of the job, bits of the rows of three jobs that it satisfies; what
            each row gives back if no state does. constant: what other rows give back.
        counted: (rows, 4) of moments before the job's start: moment, type, least and most
            instances.
    """

    keep: IntArray
    take: IntArray
    keep_more: IntArray
    take_more: IntArray
    fee: IntArray
    until: IntArray
    offer: IntArray
    opened: IntArray
    open_more: IntArray
    kind: IntArray
    pairs: NDArray[np.uint64]
    refund: IntArray
    constant: int
    counted: IntArray


class Layer(NamedTuple):
    """Deals of one job: (deals, instances) states, -1 beyond; the least that a plan through each
    costs; what was paid up to the job's start; the deal before, and which of its instances took the
    job (`OPENED` and the type: a new one)."""

    deals: Ints
    bounds: IntArray
    paid: IntArray
    parent: Ints
    choice: Ints

    def first(self, number: int) -> Layer:
        """A copy of so many deals."""
        return Layer(*(each[:number].copy() for each in self))


def room_for(number: int, instances: int) -> Layer:
    """A layer to be filled."""
    return Layer(
        np.empty((number, instances), dtype=np.int32),
        np.empty(number, dtype=np.int64),
        np.zeros(number, dtype=np.int64),
        np.full(number, NONE, dtype=np.int32),
        np.empty(number, dtype=np.int16),
    )


@njit(cache=True)
def next_deals(
    step: Step, layer: Layer, limit: int, base: int, out: Layer, table: Ints
) -> tuple[int, int]:
    """Write the deals that follow into `out`, at most one less than it has room for, the best.

    Args:
        limit: most that a deal may cost; base: the least that any does.
        table: for hashing, of a power of two, at least twice the room.
    Returns: how many, and the least cost of those that were left out (FAR: none were).
    """
    deals, bounds, paid, keep, kind = layer.deals, layer.bounds, layer.paid, step.keep, step.kind
    width, choices = len(out.bounds) - 1, deals.shape[1] + len(step.opened)
    value, state = np.empty(choices, dtype=np.int64), np.empty(choices, dtype=np.int64)
    key, used, lost = np.empty(choices, dtype=np.uint64), 0, int(FAR)
    most = _most_of_best(step, layer, limit, base, width, value, state, key)
    after, slots = out.deals, np.int64(len(table) - 1)
    table[:] = NONE
    for i in range(len(bounds)):
        k, fee = _children(step, deals, i, limit - bounds[i], value, state, key)
        for at in range(k + len(step.opened)):
            if value[at] >= FAR:
                continue
            cost, due = value[at] + bounds[i], paid[i] + fee
            if cost > most or used >= width:
                lost = min(lost, cost)
                continue
            if not _write(deals, i, k, at, state[at], keep, kind, after, used):
                lost = min(lost, cost)
                continue
            slot = np.int64(key[at] & np.uint64(slots))
            while table[slot] >= 0 and not _alike(after, table[slot], used, kind):
                slot = (slot + 1) & slots
            same = np.int64(table[slot])
            if same < 0:
                same = np.int64(used)
                table[slot] = used
                used += 1
            elif (due, cost) >= (out.paid[same], out.bounds[same]):
                continue
            else:
                after[same] = after[used]
            out.bounds[same], out.paid[same], out.parent[same] = cost, due, i
            out.choice[same] = at if at < k else OPENED + at - k
    return used, lost


@njit(cache=True)
def _most_of_best(
    step: Step, layer: Layer, limit: int, base: int, width: int, value: IntArray, state: IntArray,
    key: NDArray[np.uint64],
) -> int:  # fmt: skip
    """What a deal may cost so that no more than `width` follow."""
    histogram = np.zeros(BINS, dtype=np.int64)
    grain, total = max(1, (limit - base) // BINS + 1), 0
    for i in range(len(layer.bounds)):
        k, _ = _children(step, layer.deals, i, limit - layer.bounds[i], value, state, key)
        for at in range(k + len(step.opened)):
            if value[at] < FAR:
                cost = value[at] + layer.bounds[i]
                histogram[min(BINS - 1, max(0, (cost - base) // grain))] += 1
                total += 1
    if total <= width:
        return limit
    b, sure = 0, 0
    while b < BINS and sure + histogram[b] <= width:
        sure += histogram[b]
        b += 1
    return int(base + grain * max(b, 1) - 1)


@njit(cache=True)
def _children(
    step: Step, deals: Ints, i: int, room: int, value: IntArray, state: IntArray,
    key: NDArray[np.uint64],
) -> tuple[int, int]:  # fmt: skip
    """Of a deal: its instances, and what is paid for them until the job starts.

    Written per choice of the instance that takes the job: by how much the bound rises (FAR where
    that is forbidden or more than `room`), the instance's state, and what the deal hashes to.
    """
    keep, keep_more, take, take_more = step.keep, step.keep_more, step.take, step.take_more
    kind, pairs, refund = step.kind, step.pairs, step.refund
    more, fee, stuck, k = step.constant, 0, NONE, 0
    base, got, every = np.uint64(0), np.uint64(0), np.uint64((1 << len(refund)) - 1)
    if not _within(deals, i, step.until, step.offer, step.counted):
        stuck = FORBIDDEN
    while k < deals.shape[1] and deals[i, k] >= 0:
        s = deals[i, k]
        fee += step.fee[s]
        if keep_more[s] >= FAR:
            stuck = k if stuck == NONE else FORBIDDEN
        else:
            more += keep_more[s]
        if keep[s] >= 0:
            base += _mixed(kind[keep[s]])
            got |= pairs[keep[s]]
        k += 1
    for at in range(k + len(step.opened)):
        s = deals[i, at] if at < k else NONE
        new = take[s] if at < k else step.opened[at - k]
        mine = take_more[s] if at < k else step.open_more[at - k]
        value[at] = FAR
        if new < 0 or mine >= FAR or stuck not in (NONE, at):
            continue
        mine += more - (keep_more[s] if at < k and stuck == NONE else 0)
        have = got | pairs[new]
        if have != every:
            for q in range(len(refund)):
                if not (have >> np.uint64(q)) & np.uint64(1):
                    mine += refund[q]
        if mine <= room:
            value[at], state[at] = mine, new
            key[at] = base + _mixed(kind[new])
            if at < k and keep[s] >= 0:
                key[at] -= _mixed(kind[keep[s]])
    return k, fee


@njit(cache=True)
def _within(deals: Ints, i: int, until: Ints, offer: Ints, counted: IntArray) -> bool:
    """Whether as many instances are busy at each moment as the rows allow."""
    for row in range(len(counted)):
        busy = 0
        for s in deals[i]:
            if s < 0:
                break
            busy += offer[s] == counted[row, 1] and until[s] > counted[row, 0]
        if not counted[row, 2] <= busy <= counted[row, 3]:
            return False
    return True


@njit(cache=True)
def _write(
    deals: Ints, i: int, k: int, at: int, new: int, keep: Ints, kind: Ints, out: Ints, to: int
) -> bool:
    """What follows a deal, in order of the kinds of its states; False where it is too long."""
    n = 0
    for each in range(k + 1):
        if each == at and each < k:
            continue
        state = new if each == k else keep[deals[i, each]]
        if state < 0:
            continue
        if n == out.shape[1]:
            return False
        place = n
        while place > 0 and kind[out[to, place - 1]] > kind[state]:
            out[to, place] = out[to, place - 1]
            place -= 1
        out[to, place] = state
        n += 1
    out[to, n:] = NONE
    return True


@njit(cache=True)
def _alike(deals: Ints, one: int, other: int, kind: Ints) -> bool:
    for i in range(deals.shape[1]):
        a, b = deals[one, i], deals[other, i]
        if (a < 0) != (b < 0):
            return False
        if a < 0:
            return True
        if kind[a] != kind[b]:
            return False
    return True
