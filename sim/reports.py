"""The reports of the agents at one instant, in as few events as possible."""

from __future__ import annotations

from collections.abc import Iterable

from stowplan.placement.messages import Event, TasksChanged, TasksHealthChanged
from stowplan.placement.model import StopCode, TaskStatus


class Reports:
    """Fill it task by task; `events` empties it. A `since_ms` is when it was so, if not now."""

    def __init__(self) -> None:
        self.running: list[int] = []
        self.healthy: list[int] = []
        self.unhealthy: list[int] = []
        self._stopped: dict[tuple[StopCode, str, int | None, int | None], list[int]] = {}
        self._late: list[Event] = []

    def ran(self, task: int, since_ms: int | None = None) -> None:
        """A task is RUNNING."""
        if since_ms is None:
            self.running.append(task)
        else:
            self._late.append(TasksChanged(TaskStatus.RUNNING, (task,), since_ms=since_ms))

    def judged(self, task: int, healthy: bool, since_ms: int | None = None) -> None:
        """The health checks of a task have a verdict."""
        if since_ms is None:
            (self.healthy if healthy else self.unhealthy).append(task)
        else:
            self._late.append(TasksHealthChanged(healthy, (task,), since_ms))

    def stopped(
        self,
        tasks: Iterable[int],
        why: tuple[StopCode, str],
        exit_code: int | None = None,
        since_ms: int | None = None,
    ) -> None:
        """Tasks are STOPPED, with a stop code for a reason."""
        self._stopped.setdefault((*why, exit_code, since_ms), []).extend(tasks)

    def events(self) -> list[Event]:
        """The tasks that run, those found healthy or not, those that stopped and why."""
        found, self._late = self._late, []
        if self.running:
            found.append(TasksChanged(TaskStatus.RUNNING, tuple(self.running)))
            self.running = []
        if self.healthy:
            found.append(TasksHealthChanged(True, tuple(self.healthy)))
            self.healthy = []
        if self.unhealthy:
            found.append(TasksHealthChanged(False, tuple(self.unhealthy)))
            self.unhealthy = []
        for why, tasks in self._stopped.items():
            found.append(TasksChanged(TaskStatus.STOPPED, tuple(tasks), *why))
        self._stopped = {}
        return found
