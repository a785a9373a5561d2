"""The scheduler's book of tasks: who asked for each, where it is, and what state it is in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from placement.errors import PlacementError
from placement.model import TaskKind, TaskStatus

NOWHERE = -1
_ORDER = {status: position for position, status in enumerate(TaskStatus)}


@dataclass(frozen=True, slots=True, eq=False)
class Launch:
    """What many tasks have in common: one RunTask call, or one service's current revision.

    `health_checked`: an essential container has a health check, so that RUNNING is not healthy yet.
    """

    kind: TaskKind
    task_definition: str
    request: int | None = None
    service: str | None = None
    cpu: int | None = None
    memory: int | None = None
    daemon: bool = False
    health_checked: bool = False
    deployment: str | None = None

    def on(self, capacity_provider: str | None) -> Launch:
        """The same, on the instances of a capacity provider; None: on any."""
        if self.kind.capacity_provider == capacity_provider:
            return self
        return replace(self, kind=replace(self.kind, capacity_provider=capacity_provider))


class TaskTable:
    """All tasks ever created, by number, in columns; a stopped task stays, as a record.

    A task is *alive* while its desiredStatus is RUNNING: only then does it hold resources. It is
    *on* its instance until its lastStatus is STOPPED.
    """

    def __init__(self) -> None:
        self.launch: list[Launch] = []
        self.instance: list[int] = []
        self.status: list[TaskStatus] = []
        self._alive = bytearray()
        self._devices: dict[int, tuple[int, ...]] = {}
        self._on: dict[int, dict[int, None]] = {}

    def __len__(self) -> int:
        return len(self.launch)

    def create(self, launch: Launch, status: TaskStatus) -> int:
        """Add a task that is alive and has no place yet; returns its number."""
        task = len(self.launch)
        self.launch.append(launch)
        self.instance.append(NOWHERE)
        self.status.append(status)
        self._alive.append(1)
        return task

    def put(self, task: int, instance: int, devices: tuple[int, ...] = ()) -> None:
        """Note where a task was placed; it is PENDING from now on."""
        self.instance[task] = instance
        self.status[task] = TaskStatus.PENDING
        if devices:
            self._devices[task] = devices
        self._on.setdefault(instance, {})[task] = None

    def devices(self, task: int) -> tuple[int, ...]:
        """The devices of its instance that a task was given."""
        return self._devices.get(task, ())

    def alive(self, task: int) -> bool:
        """desiredStatus is RUNNING."""
        return bool(self._alive[task])

    def end(self, task: int) -> None:
        """desiredStatus becomes STOPPED."""
        self._alive[task] = 0

    def check_known(self, tasks: Sequence[int]) -> None:
        """Raises PlacementError where one of these numbers was given to no task."""
        if tasks and (min(tasks) < 0 or max(tasks) >= len(self)):
            unknown = [task for task in tasks if not 0 <= task < len(self)]
            raise PlacementError(f"unknown tasks {unknown}")

    def advance(self, task: int, status: TaskStatus) -> bool:
        """Take over a reported lastStatus; False for a report of the past."""
        before = self.status[task]
        if before is status or _ORDER[status] <= _ORDER[before]:
            return False
        self.status[task] = status
        if status is TaskStatus.STOPPED and self.instance[task] != NOWHERE:
            del self._on[self.instance[task]][task]
        return True

    def on(self, instance: int) -> list[int]:
        """The tasks on an instance that are not STOPPED, oldest placement first."""
        return list(self._on.get(instance, ()))

    def living(self) -> Iterator[int]:
        """The numbers of all tasks that are alive."""
        return (task for task in range(len(self)) if self._alive[task])
