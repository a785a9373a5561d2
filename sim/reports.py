"""The reports of the agents at one instant, in as few events as possible."""

from __future__ import annotations

from collections.abc import Iterable

from stowplan.placement.messages import Event, TasksChanged, TasksHealthChanged
from stowplan.placement.model import StopCode, TaskStatus


class Reports:
    """Fill it task by task; `events` empties it."""

    def __init__(self) -> None:
        self.running: list[int] = []
        self.healthy: list[int] = []
        self.unhealthy: list[int] = []
        self._stopped: dict[tuple[StopCode, str], list[int]] = {}

    def stopped(self, tasks: Iterable[int], why: tuple[StopCode, str]) -> None:
        """Tasks are STOPPED, with a stop code for a reason."""
        self._stopped.setdefault(why, []).extend(tasks)

    def events(self) -> list[Event]:
        """The tasks that run, those found healthy or not, those that stopped and why."""
        found: list[Event] = []
        if self.running:
            found.append(TasksChanged(TaskStatus.RUNNING, tuple(self.running)))
            self.running = []
        if self.healthy:
            found.append(TasksHealthChanged(True, tuple(self.healthy)))
            self.healthy = []
        if self.unhealthy:
            found.append(TasksHealthChanged(False, tuple(self.unhealthy)))
            self.unhealthy = []
        for (code, reason), tasks in self._stopped.items():
            found.append(TasksChanged(TaskStatus.STOPPED, tuple(tasks), code, reason))
        self._stopped = {}
        return found
