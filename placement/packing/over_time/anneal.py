"""Better plans by many small changes, some of them for the worse (simulated annealing).

A change moves a task to another instance, swaps two tasks, or swaps what two instances do from
one moment on. Only the two instances are looked at again, so a million changes take seconds.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stowplan.placement.packing.over_time.plan import OverTimePlan
from stowplan.placement.packing.over_time.problem import OverTimeProblem
from stowplan.placement.packing.over_time.states import NONE, Jobs
from stowplan.placement.packing.problem import FloatArray, IntArray

HELD_MOST = 400  # tasks of one instance over its life
HOT, COLD = 0.25, 0.004  # temperature at first and at last, in costs of a median task
SPARE = 4  # instances that hold nothing at first
NEARBY = 40  # jobs before and after one that may be swapped with it
LEAST = 1e-6  # a plan that is better by less is not
SWAP, TAILS, ANEW = 0.35, 0.6, 0.97  # shares of the kinds of changes, up to each


def annealed(
    problem: OverTimeProblem,
    jobs: Jobs,
    plan: OverTimePlan,
    changes: int,
    seed: int,
    heat: float = 1.0,
) -> OverTimePlan | None:
    """A plan that is better, as a rule, after so many changes were tried; None where it cannot be.

    `heat` is a share of the temperature. Types with a limit are not for this, nor are instances
    that hold hundreds of tasks.
    """
    if any(offer.limit is not None for offer in problem.types) or len(jobs.kind) < 2:
        return None
    where = plan.instance[jobs.task]
    if np.bincount(where).max() > HELD_MOST:
        return None
    capacities = np.array([offer.capacity for offer in problem.types], dtype=np.int64)
    prices = np.array([float(offer.price) for offer in problem.types])
    spans = (jobs.at_ms[jobs.ends] - jobs.at_ms[jobs.starts]).astype(float)
    unit = heat * float(np.median(spans)) * float(np.median(prices))
    found = _anneal(
        where, plan.types, jobs.kind, jobs.at_ms[jobs.starts], jobs.at_ms[jobs.ends],
        problem.demand, capacities, problem.most, prices, changes, HOT * unit, COLD * unit,
        np.random.default_rng(seed),
    )  # fmt: skip
    instance = np.full(len(problem.kind), NONE, dtype=np.int64)
    instance[jobs.task] = found[0]
    return OverTimePlan(instance, found[1])


@njit(cache=True)
def _cost(
    held: IntArray, n: int, kind: IntArray, starts: IntArray, ends: IntArray, demand: IntArray,
    capacity: IntArray, most: IntArray, price: float,
) -> float:  # fmt: skip
    """Of an instance that holds `n` jobs in order of starts; -1 where it has no room for them."""
    total, until = 0, np.int64(-(2**62))
    for i in range(n):
        job = held[i]
        start = starts[job]
        mine, same = kind[job], 1
        total += max(0, ends[job] - max(until, start))
        until = max(until, ends[job])
        for k in range(i):
            same += kind[held[k]] == mine and ends[held[k]] > start
        if same > most[mine]:
            return -1.0
        for d in range(len(capacity)):
            load = demand[mine, d]
            for k in range(i):
                if ends[held[k]] > start:
                    load += demand[kind[held[k]], d]
            if load > capacity[d]:
                return -1.0
    return price * total


@njit(cache=True)
def _exchange(
    a: IntArray, na: int, b: IntArray, nb: int, out: int, back: int, tails: bool,
    starts: IntArray, left: IntArray, right: IntArray,
) -> tuple[int, int]:  # fmt: skip
    """Write what two instances hold after a change: job `out` of the first goes to the second,
    `back` (-1: none) the other way; or, with `tails`, all that starts no sooner than `out`."""
    nl, nr, i, k = 0, 0, 0, 0
    while i < na or k < nb:  # in order of job numbers, which is that of starts
        if k == nb or (i < na and a[i] < b[k]):
            job, first = a[i], True
            i += 1
        else:
            job, first = b[k], False
            k += 1
        moves = starts[job] >= starts[out] if tails else job in (out, back)
        if first != moves:
            left[nl] = job
            nl += 1
        else:
            right[nr] = job
            nr += 1
    return nl, nr


@njit(cache=True)
def _begin(
    where: IntArray, of: IntArray, kind: IntArray, starts: IntArray, ends: IntArray,
    demand: IntArray, capacities: IntArray, most: IntArray, prices: FloatArray,
) -> tuple[IntArray, IntArray, FloatArray]:  # fmt: skip
    """What each instance holds, how much that is, and what it costs."""
    held = np.zeros((len(of), HELD_MOST), dtype=np.int64)
    n = np.zeros(len(of), dtype=np.int64)
    for job in range(len(where)):
        held[where[job], n[where[job]]] = job
        n[where[job]] += 1
    paid = np.zeros(len(of))
    for b in range(len(of)):
        t = of[b]
        paid[b] = _cost(
            held[b], n[b], kind, starts, ends, demand, capacities[t], most[:, t], prices[t]
        )
    return held, n, paid


@njit(cache=True)
def _anneal(
    where: IntArray, types: IntArray, kind: IntArray, starts: IntArray, ends: IntArray,
    demand: IntArray, capacities: IntArray, most: IntArray, prices: FloatArray, changes: int,
    hot: float, cold: float, rng: np.random.Generator,
) -> tuple[IntArray, IntArray]:  # fmt: skip
    """(instance of each job, type of each instance) at the best."""
    jobs, now = len(kind), where.copy()
    of = np.zeros(len(types) + SPARE, dtype=np.int64)
    of[: len(types)] = types
    held, n, paid = _begin(now, of, kind, starts, ends, demand, capacities, most, prices)
    total = least = paid.sum()
    best, best_of = now.copy(), of.copy()
    left, right = np.zeros((2, 2 * HELD_MOST), dtype=np.int64)
    for step in range(changes):
        job, draw, back = int(rng.integers(0, jobs)), rng.random(), NONE
        a, b = int(now[job]), int(rng.integers(0, len(of)))
        if draw < TAILS:  # with a task near it in time
            other = min(jobs - 1, max(0, job + int(rng.integers(-NEARBY, NEARBY + 1))))
            b = int(now[other])
            back = other if draw < SWAP else NONE
        if a == b:
            continue
        t, to, tails = of[a], of[b], SWAP <= draw < TAILS
        if n[b] == 0 or draw > ANEW:
            to = int(rng.integers(0, len(prices)))
        nl, nr = _exchange(held[a], n[a], held[b], n[b], job, back, tails, starts, left, right)
        if nl > HELD_MOST or nr > HELD_MOST:
            continue
        cost_b = _cost(
            right, nr, kind, starts, ends, demand, capacities[to], most[:, to], prices[to]
        )
        if cost_b < 0:
            continue
        cost_a = _cost(left, nl, kind, starts, ends, demand, capacities[t], most[:, t], prices[t])
        more = cost_a + cost_b - paid[a] - paid[b]
        heat = hot * (cold / hot) ** (step / changes)
        if cost_a < 0 or (more > 0 and rng.random() >= np.exp(-more / heat)):
            continue
        held[a, :nl], held[b, :nr] = left[:nl], right[:nr]
        n[a], n[b], paid[a], paid[b], of[b] = nl, nr, cost_a, cost_b, to
        now[left[:nl]], now[right[:nr]] = a, b
        total += more
        if total < least - LEAST:
            least, best, best_of = total, now.copy(), of.copy()
    return best, best_of
