"""The scheduler's book of tasks: the call that asked for each, its instance, and its state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from stowplan.placement.errors import PlacementError
from stowplan.placement.messages import ContainerOverride, StartTasks
from stowplan.placement.model import TaskKind, TaskStatus

NOWHERE = -1
_ORDER = {status: position for position, status in enumerate(TaskStatus)}


@dataclass(frozen=True, slots=True, eq=False)
class Launch:
    """What many tasks have in common: one RunTask call, or one service's current revision.

    `health_checked`: an essential container has a health check, so that RUNNING is not healthy yet.
    `deregistration_ms`: for so long the target of a RUNNING task drains before it is stopped.
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
    deregistration_ms: int = 0
    overrides: tuple[ContainerOverride, ...] = ()

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

    # `_on` holds every task that was put on an instance, oldest first. STOPPED tasks are taken out
    # when a caller asks, which is rare: instances register, drain and die far less often.

    def __init__(self) -> None:
        self.launch: list[Launch] = []
        self.instance: list[int] = []
        self.status: list[TaskStatus] = []
        self._alive = bytearray()
        self._devices: dict[int, tuple[int, ...]] = {}
        self._on: defaultdict[int, list[int]] = defaultdict(list)

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

    def create_on(
        self, launch: Launch, rows: Sequence[int], devices: Sequence[tuple[int, ...]]
    ) -> tuple[int, ...]:
        """Add tasks that are alive and PENDING, one on each of these instances; their numbers."""
        first, count = len(self.launch), len(rows)
        tasks = tuple(range(first, first + count))
        self.launch += [launch] * count
        self.instance += rows
        self.status += [TaskStatus.PENDING] * count
        self._alive += b"\1" * count
        if launch.kind.devices:
            self._devices.update(zip(tasks, devices, strict=True))
        on = self._on
        for task, row in zip(tasks, rows, strict=True):
            on[row].append(task)
        return tasks

    def put(self, task: int, instance: int, devices: tuple[int, ...] = ()) -> None:
        """Note where a task was placed; it is PENDING from now on."""
        self.instance[task] = instance
        self.status[task] = TaskStatus.PENDING
        if devices:
            self._devices[task] = devices
        self._on[instance].append(task)

    def start_command(
        self, launch: Launch, tasks: Sequence[int], *, found: bool = False
    ) -> StartTasks:
        """The order to start tasks of a launch where they were put; `found`: they run already."""
        return StartTasks(
            launch.task_definition,
            launch.kind.group,
            tuple(tasks),
            tuple(map(self.instance.__getitem__, tasks)),
            tuple(map(self.devices, tasks)) if launch.kind.devices else (),
            launch.request,
            launch.service,
            launch.cpu,
            launch.memory,
            launch.deployment,
            launch.kind.capacity_provider,
            found,
            launch.overrides,
        )

    def devices(self, task: int) -> tuple[int, ...]:
        """The devices of its instance that a task was given."""
        return self._devices.get(task, ())

    def alive(self, task: int) -> bool:
        """desiredStatus is RUNNING."""
        return bool(self._alive[task])

    def end(self, tasks: Iterable[int]) -> None:
        """desiredStatus becomes STOPPED."""
        alive = self._alive
        for task in tasks:
            alive[task] = 0

    def check_known(self, tasks: Sequence[int]) -> None:
        """Raises PlacementError where one of these numbers belongs to no task."""
        if not tasks or (len(tasks) == 1 and 0 <= tasks[0] < len(self.launch)):
            return
        if min(tasks) < 0 or max(tasks) >= len(self):
            unknown = [task for task in tasks if not 0 <= task < len(self)]
            raise PlacementError(f"unknown tasks {unknown}")

    def advance(self, tasks: Iterable[int], status: TaskStatus) -> list[int]:
        """Take over a reported lastStatus; returns the tasks for which the report is not outdated.

        STOPPED is for `stopped`.
        """
        known, order, changed = self.status, _ORDER[status], []
        for task in tasks:
            if _ORDER[known[task]] < order:
                known[task] = status
                changed.append(task)
        return changed

    def stopped(self, tasks: Iterable[int]) -> tuple[list[int], list[int]]:
        """lastStatus becomes STOPPED; returns the tasks that were alive until now, and which of
        them never ran."""
        known, alive = self.status, self._alive
        ended, never_ran = [], []
        for task in tasks:
            before = known[task]
            if before is TaskStatus.STOPPED:
                continue
            known[task] = TaskStatus.STOPPED
            if alive[task]:
                ended.append(task)
                if before is not TaskStatus.RUNNING:
                    never_ran.append(task)
        return ended, never_ran

    def on(self, instance: int) -> list[int]:
        """The tasks on an instance that are not STOPPED, oldest placement first."""
        there = self._on.get(instance)
        if there is None:
            return []
        there[:] = [task for task in there if self.status[task] is not TaskStatus.STOPPED]
        return list(there)

    def by_drain(self, tasks: Sequence[int]) -> Iterator[tuple[tuple[int, ...], int]]:
        """Runs of tasks to be stopped together, each with how long their targets drain; 0: none.

        Only a RUNNING task has one.
        """

        def key(task: int) -> tuple[str | None, int]:
            drain_ms = self.launch[task].deregistration_ms
            drains = drain_ms and self.status[task] is TaskStatus.RUNNING
            return (self.launch[task].service, drain_ms) if drains else (None, 0)

        for (_, drain_ms), run in groupby(tasks, key=key):
            yield tuple(run), drain_ms

    def living(self) -> Iterator[int]:
        """The numbers of all tasks that are alive."""
        return (task for task in range(len(self)) if self._alive[task])

    def of_service(self, service: str) -> list[int]:
        """The tasks of a service that are not STOPPED; a look at all tasks there ever were."""
        mine = (task for task, launch in enumerate(self.launch) if launch.service == service)
        return [task for task in mine if self.status[task] is not TaskStatus.STOPPED]
