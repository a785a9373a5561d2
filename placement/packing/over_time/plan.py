"""Plans over time: which task on which instance, by rules of thumb that know when tasks end.

Tasks are placed in the order in which they start, so what an instance holds only shrinks while a
new task runs: it fits for good where it fits at its start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit

from stowplan.placement.packing.over_time.problem import ANY_NUMBER, OverTimeProblem
from stowplan.placement.packing.problem import FloatArray, IntArray

NONE = -1


@dataclass(frozen=True)
class OverTimePlan:
    """Where each task runs, from its start to its end.

    Args:
        instance: (tasks,) int64, the number of the instance; -1 for a task without length.
        types: (instances,) int64, the type of each.
        type_names: of those types; groups: of each task; times_ms: starts and ends of the tasks.
        daemons: names of those of which a task is on every instance that has room for it.
            Empty where they have no names.
    """

    instance: IntArray
    types: IntArray
    type_names: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    times_ms: tuple[IntArray, ...] = ()
    daemons: tuple[str, ...] = ()

    def type_name(self, instance: int) -> str:
        """The type of an instance by name, or its number."""
        number = int(self.types[instance])
        return self.type_names[number] if self.type_names else str(number)


def plans(problem: OverTimeProblem) -> Iterator[OverTimePlan]:
    """Yield plans by one rule after the other; none where the limits on types leave no room."""
    real = np.flatnonzero(problem.end_ms > problem.start_ms)
    duration = problem.end_ms - problem.start_ms
    # of tasks that start together the longest first, then the largest
    capacities = np.array([offer.capacity for offer in problem.types], dtype=np.int64)
    relative = problem.demand / np.maximum(capacities.max(axis=0), 1)
    size = relative.sum(axis=1)
    keys = (-size[problem.kind[real]], -duration[real], problem.start_ms[real])
    in_order = real[np.lexsort(keys)]
    releases = real[np.argsort(problem.end_ms[real], kind="stable")]
    capped = problem.most.min(axis=1) < ANY_NUMBER
    column = np.where(capped, np.cumsum(capped), 0)  # those of column 0 no rule counts
    limits = [len(real) if o.limit is None else min(o.limit, len(real)) for o in problem.types]
    prices = np.array([offer.price for offer in problem.types], dtype=np.int64)
    for order in _orders_of_types(problem, relative, capacities, prices):
        for reach in (1.0, 0.0):
            instance, types, used = _place(
                in_order, releases, problem.kind, problem.start_ms, problem.end_ms,
                problem.demand, capacities, prices, np.array(limits, dtype=np.int64),
                problem.most, column, order, reach,
            )  # fmt: skip
            if used != NONE:
                yield OverTimePlan(instance, types[:used].copy())


def _orders_of_types(
    problem: OverTimeProblem, relative: FloatArray, capacities: IntArray, prices: IntArray
) -> list[IntArray]:
    """Which type to start first: by price for the mix of room wanted, by price alone, or none
    that is small."""
    held = np.bincount(
        problem.kind, (problem.end_ms - problem.start_ms).astype(float), len(problem.demand)
    )
    scarce = held @ relative
    room = capacities / np.maximum(capacities.max(axis=0), 1)
    mix = (room * scarce).sum(axis=1)
    least = np.where(scarce > 0, room, np.inf).min(axis=1)  # the resource that runs short first
    with np.errstate(divide="ignore"):
        keys = [prices / np.maximum(mix, 1e-12), prices / np.maximum(least, 1e-12), prices * 1.0]
    orders = {tuple(np.argsort(key, kind="stable").tolist()) for key in keys}
    return [np.array(order, dtype=np.int64) for order in sorted(orders)]


@njit(cache=True)
def _place(
    in_order: IntArray, releases: IntArray, kind: IntArray, start_ms: IntArray, end_ms: IntArray,
    demand: IntArray, capacities: IntArray, prices: IntArray, limits: IntArray, most: IntArray,
    column: IntArray, order: IntArray, reach: float,
) -> tuple[IntArray, IntArray, int]:  # fmt: skip
    """Each task where it adds least to what is paid, then where the fit is tightest.

    `reach` 1 counts what is added, 0 only whether anything is: then any instance that must be kept
    on for longer is as good as another. Returns (instance of each task, type of each instance,
    instances used), -1 instances where a task found no room.
    """
    n, dims = len(in_order), demand.shape[1]
    rest = np.empty((n, dims), dtype=np.int64)
    types = np.empty(n, dtype=np.int64)
    exits = np.zeros(n, dtype=np.int64)
    tasks = np.zeros(n, dtype=np.int64)
    counts = np.zeros((n, column.max() + 1), dtype=np.int64)
    instance = np.full(len(kind), NONE, dtype=np.int64)
    left = limits.copy()
    used, released = 0, 0
    for task in in_order:
        k, start, end = kind[task], start_ms[task], end_ms[task]
        while released < n and end_ms[releases[released]] <= start:
            where, gone = instance[releases[released]], kind[releases[released]]
            rest[where] += demand[gone]
            counts[where, column[gone]] -= 1
            tasks[where] -= 1
            left[types[where]] += tasks[where] == 0
            released += 1
        chosen = _least_added(
            used, types, tasks, rest, exits, counts[:, column[k]], demand[k], most[k],
            capacities, prices, end, reach,
        )  # fmt: skip
        if chosen == NONE:
            t = _first_open(order, left, most[k], demand[k], capacities)
            if t == NONE:
                return instance, types, NONE
            chosen = _idle(used, types, tasks, t)
            used = max(used, chosen + 1)
            types[chosen], rest[chosen], exits[chosen] = t, capacities[t], end
            left[t] -= 1
        instance[task] = chosen
        exits[chosen] = max(exits[chosen], end)
        rest[chosen] -= demand[k]
        counts[chosen, column[k]] += 1
        tasks[chosen] += 1
    return instance, types, used


@njit(cache=True)
def _least_added(
    used: int, types: IntArray, tasks: IntArray, rest: IntArray, exits: IntArray, held: IntArray,
    demand: IntArray, most: IntArray, capacities: IntArray, prices: IntArray, end: int,
    reach: float,
) -> int:  # fmt: skip
    """The busy instance that has room and costs least more; -1 without any."""
    chosen = NONE
    least, tightest = np.inf, np.inf
    for b in range(used):
        t = types[b]
        if tasks[b] == 0 or held[b] >= most[t]:
            continue
        fits, slack = True, 0.0
        for d in range(len(demand)):
            if rest[b, d] < demand[d]:
                fits = False
                break
            slack += (rest[b, d] - demand[d]) / max(capacities[t, d], 1)
        if not fits:
            continue
        added = float(prices[t] * max(0, end - exits[b]))
        if reach == 0.0 and added > 0:
            added = 1.0
        if added < least or (added == least and slack < tightest):
            chosen, least, tightest = b, added, slack
    return chosen


@njit(cache=True)
def _first_open(
    order: IntArray, left: IntArray, most: IntArray, demand: IntArray, capacities: IntArray
) -> int:
    """The first type of which one more may be started and that holds the task; -1 without any."""
    for t in order:
        if left[t] > 0 and most[t] > 0 and (demand <= capacities[t]).all():
            return int(t)
    return NONE


@njit(cache=True)
def _idle(used: int, types: IntArray, tasks: IntArray, wanted: int) -> int:
    """An instance of the type that holds nothing, or the number of a new one."""
    for b in range(used):
        if tasks[b] == 0 and types[b] == wanted:
            return b
    return used
