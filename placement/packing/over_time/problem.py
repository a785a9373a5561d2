"""Instances over time: tasks that come and go, and what the instances that hold them cost."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stowplan.placement.packing.fleet.problem import BinType, whole_types
from stowplan.placement.packing.problem import (
    IntArray,
    PackingInputError,
    check_magnitude,
    whole_numbers,
)

MS_PER_HOUR = 3_600_000
UNIT = "microusd/h x ms"  # of costs over time where prices are in millionths of a dollar an hour
ANY_NUMBER = 2**31  # in `most`: no rule but the room


@dataclass(frozen=True)
class OverTimeProblem:
    """Tasks, each from its start to its end, on instances that are paid for while they hold one.

    Args:
        demand: (kinds, dimensions) int64, >= 0; what a task of the kind takes while it runs.
        kind: (tasks,) int64, the row of `demand` of each task.
        start_ms, end_ms: (tasks,) int64; a task runs from its start until just before its end.
        types: the instances there can be; `price` an hour, `limit` how many at a time.
        most: (kinds, types) int64, most tasks of the kind that one instance of the type may hold
            whatever room it has: 0 where a constraint forbids the type, 1 for distinctInstance.
            Empty (the default): `ANY_NUMBER` everywhere.
    Raises:
        PackingInputError: shapes disagree, a number is negative or not whole, or a task ends before
            it starts.
    """

    demand: IntArray
    kind: IntArray
    start_ms: IntArray
    end_ms: IntArray
    types: tuple[BinType, ...]
    most: IntArray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))

    def __post_init__(self) -> None:
        for name in ("demand", "kind", "start_ms", "end_ms", "most"):
            object.__setattr__(self, name, whole_numbers(name, getattr(self, name)))
        shape = (len(self.demand), len(self.types))
        if not self.most.size:
            object.__setattr__(self, "most", np.full(shape, ANY_NUMBER, dtype=np.int64))
        if self.demand.ndim != 2 or self.most.shape != shape or not self.types:
            raise PackingInputError("demand is kinds x dimensions, most is kinds x types")
        if not self.kind.shape == self.start_ms.shape == self.end_ms.shape == (self.kind.size,):
            raise PackingInputError("kind, start_ms and end_ms hold one number a task each")
        if ((self.kind < 0) | (self.kind >= len(self.demand))).any():
            raise PackingInputError("a task is of a kind that is not in demand")
        if (self.end_ms < self.start_ms).any():
            raise PackingInputError("a task ends before it starts")
        check_magnitude(self.demand, np.bincount(self.kind, minlength=len(self.demand)))
        if (self.most < 0).any():
            raise PackingInputError("most must not be negative")
        object.__setattr__(self, "types", whole_types(self.types, self.demand.shape[1]))


@dataclass(frozen=True)
class Moments:
    """The stretches of time between starts and ends, in order.

    Args:
        kind, change: (changes,) a task of the kind starts (+1) or ends (-1), in order of time.
        last: (moments,) the last change before the stretch begins.
        at_ms, lasts_ms: (moments,) when it begins, how long nothing changes.
    """

    kind: IntArray
    change: IntArray
    last: IntArray
    at_ms: IntArray
    lasts_ms: IntArray

    def counts(self, moment: int, kinds: int) -> IntArray:
        """(kinds,) how many tasks of each kind run in a moment."""
        until = int(self.last[moment]) + 1
        counts = np.zeros(kinds, dtype=np.int64)
        np.add.at(counts, self.kind[:until], self.change[:until])
        return counts

    def peak(self, kinds: int) -> IntArray:
        """(kinds,) most tasks of each kind that run at any one time."""
        order = np.argsort(self.kind, kind="stable")
        running = np.cumsum(self.change[order])  # of one kind after the other; each ends at 0
        peak = np.zeros(kinds, dtype=np.int64)
        np.maximum.at(peak, self.kind[order], running)
        return peak


def moments(problem: OverTimeProblem) -> Moments:
    """When what runs changes, and how; tasks without length are left out."""
    real = np.flatnonzero(problem.end_ms > problem.start_ms)
    ones = np.ones(len(real), dtype=np.int64)
    change = np.concatenate([-ones, ones])  # ends first: at one time room is freed, then taken
    at_ms = np.concatenate([problem.end_ms[real], problem.start_ms[real]])
    kind = np.tile(problem.kind[real], 2)
    order = np.argsort(at_ms, kind="stable")
    times = at_ms[order]
    last = np.flatnonzero(np.diff(times, append=times[-1:] + 1))
    begins = times[last]
    lasts = np.diff(begins, append=begins[-1:])
    return Moments(kind[order], change[order], last, begins, lasts)
