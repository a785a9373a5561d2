"""Stops that wait: the targets of their tasks drain before SIGTERM."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import msgspec
import simpy

from stowplan.placement.messages import StopTasks
from stowplan.sim.alarm import Alarm


class Drains:
    """Hands each stop over when its time has come, in the order of times, then of orders."""

    def __init__(self, env: simpy.Environment, stop: Callable[[StopTasks], None]) -> None:
        self._env, self._stop = env, stop
        self._heap: list[tuple[int, int, StopTasks]] = []
        self._count = 0
        self._alarm = Alarm(env, self._ring)

    def add(self, until_ms: int, order: StopTasks, tasks: list[int]) -> None:
        """Keep an order back for these of its tasks."""
        later = msgspec.structs.replace(order, tasks=tuple(tasks), not_before_ms=None)
        self._count += 1
        heapq.heappush(self._heap, (until_ms, self._count, later))
        self._alarm.set(until_ms)

    def _ring(self) -> int | None:
        while self._heap and self._heap[0][0] <= self._env.now:
            self._stop(heapq.heappop(self._heap)[2])
        return self._heap[0][0] if self._heap else None
