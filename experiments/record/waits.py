"""How long services waited for tasks that they lacked: apart from standalone tasks, which wait for
something else (see `Recorder.waits_ms`: from their submission to RUNNING).
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.model import TaskStatus


@dataclass(slots=True)
class _Service:
    """Tasks wanted and there (placed, and not told to stop), and since when others are lacking."""

    wanted: int
    there: int = 0
    lacking: deque[int] = field(default_factory=deque)


@dataclass(slots=True)
class _Task:
    """`since_ms`: from when on its service lacked what it makes up for; None: of nothing, or it
    runs already."""

    service: str
    instance: int
    since_ms: int | None


@dataclass
class ServiceWaits:
    """Call the handler of each message's type, where there is one, with the message and the time.

    A service lacks a task from the moment at which it has fewer than its desired count: it was
    created or scaled out, or a task ended, was told to stop, or went with its instance (as far as
    ECS knows). The wait ends when the task placed for it is RUNNING; one that ends before leaves
    the wait as it was. Those that wait longest get a task first, and what is scaled in is called
    off, the newest first. Tasks beyond the desired count, as of a deployment that starts before it
    stops, make up for nothing, so they have no wait. Daemons have no count that they could lack.

    `waits_ms` of tasks that came to RUNNING; `asked`: how many were lacking, with those that still
    are and without those called off.
    """

    waits_ms: list[int] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self._services: dict[str, _Service] = {}
        self._tasks: dict[int, _Task] = {}
        self._on: dict[int, dict[int, None]] = {}
        self.handlers: dict[type, Any] = {
            m.CreateService: self._created,
            m.UpdateService: self._updated,
            m.StartTasks: self._started,
            m.StopTasks: lambda command, now_ms: self._end(command.tasks, now_ms),
            m.TasksChanged: self._changed,
            m.InstancesGone: self._gone,
        }

    def _created(self, event: m.CreateService, now_ms: int) -> None:
        if event.scheduling_strategy == "REPLICA":
            service = self._services[event.service] = _Service(event.desired_count)
            self._count(service, now_ms)

    def _updated(self, event: m.UpdateService, now_ms: int) -> None:
        service = self._services.get(event.service)
        if service is not None and event.desired_count is not None:
            service.wanted = event.desired_count
            self._count(service, now_ms)

    def _count(self, service: _Service, now_ms: int) -> None:
        """Make what is lacking as many as are."""
        lack = max(0, service.wanted - service.there)
        self.asked += lack - len(service.lacking)
        while len(service.lacking) > lack:
            service.lacking.pop()
        while len(service.lacking) < lack:
            service.lacking.append(now_ms)

    def _started(self, command: m.StartTasks, now_ms: int) -> None:
        service = self._services.get(command.service or "")
        if service is None or command.service is None:
            return
        service.there += len(command.tasks)
        for task, instance in zip(command.tasks, command.instances, strict=True):
            since_ms = service.lacking.popleft() if service.lacking else None
            self._tasks[task] = _Task(command.service, instance, since_ms)
            self._on.setdefault(instance, {})[task] = None

    def _changed(self, event: m.TasksChanged, now_ms: int) -> None:
        if event.status is TaskStatus.STOPPED:
            self._end(event.tasks, now_ms)
        elif event.status is TaskStatus.RUNNING:
            for number in event.tasks:
                task = self._tasks.get(number)
                if task is not None and task.since_ms is not None:
                    self.waits_ms.append(now_ms - task.since_ms)
                    task.since_ms = None

    def _gone(self, event: m.InstancesGone, now_ms: int) -> None:
        lost = [task for instance in event.instances for task in self._on.pop(instance, ())]
        self._end(tuple(lost), now_ms)

    def _end(self, tasks: tuple[int, ...], now_ms: int) -> None:
        """All at once: what one of them was for is not called off before the others are gone."""
        touched: dict[str, None] = {}
        for number in tasks:
            task = self._tasks.pop(number, None)
            if task is None:
                continue
            self._on.get(task.instance, {}).pop(number, None)
            service = self._services[task.service]
            service.there -= 1
            if task.since_ms is not None:  # it never ran: what it was for waits on
                insort(service.lacking, task.since_ms)
            touched[task.service] = None
        for name in touched:
            self._count(self._services[name], now_ms)
