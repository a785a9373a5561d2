"""Tasks in PROVISIONING: created, but waiting for capacity (ecs-semantics 6.2)."""

from __future__ import annotations

import heapq
from collections import deque

from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import TaskKind
from stowplan.placement.scheduler.tasks import TaskTable


class WaitingTasks:
    """The waiting tasks by kind, oldest first, each with the time at which it gives up.

    Args:
        quota: how many may wait at a time; None: any number.
        timeout_ms: how long a task may wait; None: for ever.
    """

    def __init__(self, quota: int | None, timeout_ms: int | None) -> None:
        self._quota, self._timeout_ms = quota, timeout_ms
        self._queues: dict[TaskKind, deque[int]] = {}
        self._waiting: set[int] = set()
        self._expiries: deque[tuple[int, int]] = deque()
        self._tried_version = -1

    def __len__(self) -> int:
        return len(self._waiting)

    def room_for(self, count: int) -> int:
        """How many of `count` more tasks the quota admits."""
        return (
            count if self._quota is None else max(0, min(count, self._quota - len(self._waiting)))
        )

    def add(self, kind: TaskKind, tasks: list[int], now_ms: int) -> None:
        """Let new tasks, numbered above all others, wait from now on."""
        if not tasks:
            return
        self._queues.setdefault(kind, deque()).extend(tasks)
        self._waiting.update(tasks)
        if self._timeout_ms is not None:
            self._expiries.extend((now_ms + self._timeout_ms, task) for task in tasks)

    def remove(self, kind: TaskKind, task: int) -> None:
        """A task waits no more: it was stopped."""
        self._queues[kind].remove(task)
        if not self._queues[kind]:
            del self._queues[kind]
        self._waiting.remove(task)

    def counts(self) -> list[tuple[TaskKind, int]]:
        """The kinds that wait, in the order in which they began to, and how many of each."""
        return [(kind, len(queue)) for kind, queue in self._queues.items()]

    @property
    def deadline_ms(self) -> int | None:
        """When the next task gives up; None: never."""
        expiries = self._expiries
        while expiries and expiries[0][1] not in self._waiting:
            expiries.popleft()
        return expiries[0][0] if expiries else None

    def expired(self, now_ms: int) -> list[int]:
        """The tasks whose time is up; they still wait until they are removed."""
        tasks = []
        while (deadline := self.deadline_ms) is not None and deadline <= now_ms:
            tasks.append(self._expiries.popleft()[1])
        return tasks

    def is_settled(self, version: int) -> bool:
        """Whether nothing has changed in a cluster of this version since all were tried."""
        return not self._waiting or self._tried_version == version

    def place(self, engine: Engine, tasks: TaskTable) -> list[int]:
        """Place what fits now; returns the tasks placed, in order, noted in `tasks`.

        A kind is not tried where nothing changed. Another pass follows where a constraint may need
        the neighbour that the last pass placed.
        """
        placed: list[int] = []
        while self._waiting and self._tried_version != engine.cluster.version:
            self._tried_version = engine.cluster.version
            placed += self._pass(engine, tasks)
            if not any(c.volatile for kind in self._queues for c in engine.checks(kind)):
                self._tried_version = engine.cluster.version
        return placed

    def _pass(self, engine: Engine, tasks: TaskTable) -> list[int]:
        """Oldest first; a kind that fails once is done with."""
        kinds = list(self._queues)
        heap = [(self._queues[kind][0], index) for index, kind in enumerate(kinds)]
        heapq.heapify(heap)
        placed: list[int] = []
        while heap:
            task, index = heap[0]
            found = engine.place_now(kinds[index])
            if found is None:
                heapq.heappop(heap)
                continue
            queue = self._queues[kinds[index]]
            queue.popleft()
            self._waiting.remove(task)
            tasks.put(task, *found)
            placed.append(task)
            if queue:
                heapq.heapreplace(heap, (queue[0], index))
            else:
                del self._queues[kinds[index]]
                heapq.heappop(heap)
        return placed
