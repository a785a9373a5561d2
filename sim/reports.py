"""What the agents have to report at one instant, put together into as few events as possible."""

from __future__ import annotations

from placement.messages import Event, TasksChanged, TasksHealthChanged
from placement.model import StopCode, TaskStatus


class Reports:
    """Fill it task by task; `events` empties it."""

    def __init__(self) -> None:
        self.running: list[int] = []
        self.healthy: list[int] = []
        self.unhealthy: list[int] = []
        self._stopped: dict[tuple[StopCode, str], list[int]] = {}

    def stopped(self, task: int, why: tuple[StopCode, str]) -> None:
        """A task is STOPPED, with a stop code for a reason."""
        tasks = self._stopped.get(why)
        if tasks is None:
            self._stopped[why] = [task]
        else:
            tasks.append(task)

    def events(self) -> list[Event]:
        """Who runs, who was found healthy or not, who stopped and why."""
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
