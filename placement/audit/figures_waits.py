"""How long services waited for tasks: a part of `placement.audit.figures`.

Here a service has vacancies. One is open from a moment on, a task fills it and closes it once it is
RUNNING; a task that ends before leaves it open as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stowplan.placement import messages as m
from stowplan.placement.model import TaskStatus


@dataclass(slots=True)
class _Posts:
    """Of a service: how many it wants, its tasks that are placed and not to stop, when each open
    vacancy began, and when those did that tasks on their way fill."""

    wanted: int
    tasks: dict[int, int] = field(default_factory=dict)  # -> its machine
    open: list[int] = field(default_factory=list)
    filled: dict[int, int] = field(default_factory=dict)

    def settle(self, now_ms: int) -> None:
        """Open as many more as it lacks, or call off the latest."""
        lacks = max(0, self.wanted - len(self.tasks))
        self.open.sort()
        self.open = self.open[:lacks] + [now_ms] * (lacks - len(self.open))


class Vacancies:
    """`take` every message; `waits_ms` of the vacancies that were closed."""

    def __init__(self) -> None:
        self.waits_ms: list[int] = []
        self._services: dict[str, _Posts] = {}
        self._of: dict[int, _Posts] = {}
        self._on: dict[int, set[int]] = {}

    @property
    def asked(self) -> int:
        """Vacancies that were, or are, and were not called off."""
        services = self._services.values()
        return len(self.waits_ms) + sum(len(s.open) + len(s.filled) for s in services)

    def take(self, message: m.Event | m.Command, now_ms: int) -> None:
        """Take one message in."""
        if isinstance(message, m.CreateService):
            if message.scheduling_strategy != "DAEMON":
                posts = self._services[message.service] = _Posts(message.desired_count)
                posts.settle(now_ms)
        elif isinstance(message, m.UpdateService):
            changed = self._services.get(message.service)
            if changed is not None and message.desired_count is not None:
                changed.wanted = message.desired_count
                changed.settle(now_ms)
        elif isinstance(message, m.StartTasks):
            self._start(message)
        elif isinstance(message, m.StopTasks):
            self._end(message.tasks, now_ms)
        elif isinstance(message, m.TasksChanged):
            self._change(message, now_ms)
        elif isinstance(message, m.InstancesGone):
            lost = [task for number in message.instances for task in self._on.get(number, ())]
            self._end(tuple(lost), now_ms)

    def _start(self, command: m.StartTasks) -> None:
        posts = self._services.get(command.service or "")
        if posts is None:
            return
        for task, machine in zip(command.tasks, command.instances, strict=True):
            posts.tasks[task] = machine
            self._of[task] = posts
            self._on.setdefault(machine, set()).add(task)
            if posts.open:
                posts.filled[task] = posts.open.pop(0)

    def _change(self, event: m.TasksChanged, now_ms: int) -> None:
        if event.status is TaskStatus.STOPPED:
            self._end(event.tasks, now_ms)
        elif event.status is TaskStatus.RUNNING:
            for task in event.tasks:
                posts = self._of.get(task)
                if posts is not None and task in posts.filled:
                    self.waits_ms.append(now_ms - posts.filled.pop(task))

    def _end(self, tasks: tuple[int, ...], now_ms: int) -> None:
        """These end at one moment: what each service lacks is asked when all are gone."""
        of = {task: self._of.pop(task) for task in tasks if task in self._of}
        for task, posts in of.items():
            self._on[posts.tasks.pop(task)].discard(task)
            if task in posts.filled:
                posts.open.append(posts.filled.pop(task))
        for posts in {id(posts): posts for posts in of.values()}.values():
            posts.settle(now_ms)
