"""The smallest driver there is: an instance in memory, where tasks start and stop after a while."""

from __future__ import annotations

import heapq

from stowplan.placement import messages as m
from stowplan.placement.model import StopCode, TaskStatus
from tests.driving import instance

START_MS, STOP_MS = 500, 200


class MemoryDriver:
    """One instance."""

    def __init__(self):
        self._now_ms, self._count, self._drains_ms = 0, 0, 0
        self._due = []
        self._started, self._stopped = set(), set()
        self.tell(instance(0), 10)

    def tell(self, event, after_ms):
        """An event will be told so long from now."""
        self._count += 1
        heapq.heappush(self._due, (self._now_ms + after_ms, self._count, event))

    def now_ms(self):
        return self._now_ms

    def register(self, call):
        pass

    def execute(self, command):
        if isinstance(command, m.StartTasks):
            for task in command.tasks:
                if task not in self._started:
                    self._started.add(task)
                    self.start(task)
        elif isinstance(command, m.StopTasks):
            for task in command.tasks:
                if task not in self._stopped:
                    self._stopped.add(task)
                    self._drains_ms = max(0, (command.not_before_ms or 0) - self._now_ms)
                    self.stop(task, command.stop_code, command.reason)

    def start(self, task):
        self.tell(m.TasksChanged(TaskStatus.RUNNING, (task,)), START_MS)

    def stop(self, task, code: StopCode, reason):
        after_ms = self._drains_ms + STOP_MS
        self.tell(m.TasksChanged(TaskStatus.STOPPED, (task,), code, reason), after_ms)

    def wait(self, deadline_ms):
        if self._due and (deadline_ms is None or self._due[0][0] <= deadline_ms):
            self._now_ms = self._due[0][0]
            events = []
            while self._due and self._due[0][0] == self._now_ms:
                event = heapq.heappop(self._due)[2]
                if not self._is_late(event):
                    events.append(event)
            return events or self.wait(deadline_ms)
        if deadline_ms is None:
            return None
        self._now_ms = max(self._now_ms, deadline_ms)
        return []

    def _is_late(self, event):
        """A start that is due after the order to stop."""
        running = isinstance(event, m.TasksChanged) and event.status is TaskStatus.RUNNING
        return running and event.tasks[0] in self._stopped

    def close(self):
        pass
