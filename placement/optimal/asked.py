"""What a scenario's calls ask for, were all of it to run at once: task sets, daemons, their order.

A service counts with the largest number of tasks that it is ever to have. What changes with time in
a way that no single moment shows is refused: a deployment that asks for other resources.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from msgspec.structs import replace as replace_call

from stowplan.placement import messages as m
from stowplan.placement.callers.client import Arrival
from stowplan.placement.errors import PlacementError
from stowplan.placement.messages.capacity import CapacityProviderStrategy
from stowplan.placement.model import TaskKind
from stowplan.placement.scenario.scenario import OptimizeTable
from stowplan.placement.scheduler.capacity.strategy import deal
from stowplan.placement.scheduler.launches import Launches
from stowplan.placement.scheduler.tasks import Launch


@dataclass(frozen=True)
class TaskSet:
    """`count` tasks of one kind; `owner` is their service or workload, `definition` as in ECS."""

    kind: TaskKind
    count: int
    owner: str
    definition: str


@dataclass(frozen=True)
class Asked:
    """All that is asked for.

    Args:
        tasks: of services and workloads.
        daemons: of DAEMON services, in the order in which these are created; a task of each is on
            every instance that its constraints allow and that has room for it. `count` is 1.
        order: (index into `tasks`, how many), in the order of the calls.
    """

    tasks: tuple[TaskSet, ...]
    daemons: tuple[TaskSet, ...] = ()
    order: tuple[tuple[int, int], ...] = ()


def static_tasks(calls: Iterable[Arrival], options: OptimizeTable) -> tuple[TaskSet, ...]:
    """The task sets of `asked`."""
    return asked(calls, options).tasks


def asked(calls: Iterable[Arrival], options: OptimizeTable, until_ms: int | None = None) -> Asked:
    """All tasks that the calls ask for before `until_ms`, as if they were to run at the same time.

    Raises:
        PlacementError: a deployment changes what a task of its service asks for.
    """
    reader = _Reader(options)
    for arrival in calls:
        if until_ms is None or arrival.at_ms < until_ms:
            reader.read(arrival.call)
    return reader.found()


class Dealer:
    """To which capacity provider each task goes, by the strategy of its call or the cluster's."""

    def __init__(self) -> None:
        self._default: CapacityProviderStrategy = ()

    def put_default(self, call: m.PutClusterCapacityProviders) -> None:
        """The strategy of calls that name none."""
        self._default = call.default_capacity_provider_strategy

    def strategy(self, call: m.CreateService | m.RunTask) -> CapacityProviderStrategy:
        """The strategy that a call has, empty where any instance will do."""
        given = call.capacity_provider_strategy
        if given is not None:
            return given
        named = isinstance(call, m.RunTask) and call.capacity_provider is not None
        return () if named else self._default

    def kinds(
        self,
        call: m.CreateService | m.RunTask,
        kind: TaskKind,
        count: int,
        have: Counter[str] | None = None,
    ) -> list[tuple[TaskKind, int]]:
        """`count` tasks of a call by kind; `have` counts those of its service that it has."""
        strategy = self.strategy(call)
        if not strategy:
            return [(kind, count)]
        have = Counter() if have is None else have
        names = [item.capacity_provider for item in strategy]
        dealt = deal(strategy, count, [have[name] for name in names])
        have.update(dict(zip(names, dealt, strict=True)))
        pairs = zip(names, dealt, strict=True)
        return [(replace(kind, capacity_provider=name), n) for name, n in pairs if n]


class _Reader:
    """Takes in one call after the other; see `asked`."""

    def __init__(self, options: OptimizeTable) -> None:
        self._options = options
        self._launches, self._dealer = Launches(), Dealer()
        self._services: dict[str, tuple[m.CreateService, Launch]] = {}
        self._have: dict[str, Counter[str]] = {}
        self._desired: dict[str, int] = {}
        self._position: dict[tuple[TaskKind, str, str], int] = {}
        self._daemons: list[TaskSet] = []
        self._order: list[tuple[int, int]] = []

    def found(self) -> Asked:
        """All that was asked for so far."""
        counts = [0] * len(self._position)
        for position, count in self._order:
            counts[position] += count
        tasks = (TaskSet(k[0], n, *k[1:]) for k, n in zip(self._position, counts, strict=True))
        return Asked(tuple(tasks), tuple(self._daemons), tuple(self._order))

    def read(self, call: m.Event) -> None:
        """Take in a call."""
        if isinstance(call, m.RegisterTaskDefinition):
            self._launches.register(call.document)
        elif isinstance(call, m.PutClusterCapacityProviders):
            self._dealer.put_default(call)
        elif isinstance(call, m.CreateService):
            self._create(call)
        elif isinstance(call, m.UpdateService):
            self._update(call)
        elif isinstance(call, m.RunTask) and self._options.tasks == "all":
            launch = self._launches.of_run_task(call)
            for kind, count in self._dealer.kinds(call, launch.kind, call.count):
                self._add(kind, call.started_by, launch.task_definition, count)

    def _create(self, call: m.CreateService) -> None:
        launch = self._launches.of_service(call)
        self._services[call.service] = call, launch
        if launch.daemon:
            self._daemons.append(TaskSet(launch.kind, 1, call.service, launch.task_definition))
            return
        self._have[call.service] = Counter()
        self._desired[call.service] = 0
        self._grow(call.service, call.desired_count)

    def _update(self, call: m.UpdateService) -> None:
        if call.task_definition is not None:
            self._check_deployment(call.service, call.task_definition)
        if call.desired_count is not None and call.service in self._desired:
            self._grow(call.service, call.desired_count - self._desired[call.service])

    def _grow(self, name: str, more: int) -> None:
        if more <= 0:
            return
        self._desired[name] += more
        call, launch = self._services[name]
        for kind, count in self._dealer.kinds(call, launch.kind, more, self._have[name]):
            self._add(kind, name, launch.task_definition, count)

    def _add(self, kind: TaskKind, owner: str, definition: str, count: int) -> None:
        key = (kind, owner, definition)
        position = self._position.setdefault(key, len(self._position))
        self._order.append((position, count))

    def _check_deployment(self, name: str, definition: str) -> None:
        """Raises PlacementError where the new tasks are not like the old ones to placement."""
        call, before = self._services[name]
        after = self._launches.of_service(replace_call(call, task_definition=definition))
        if after.kind != before.kind:
            raise PlacementError(
                f"{name}: a deployment replaces its tasks by {after.task_definition}, which ask "
                "for something else; a goal that places all tasks at once takes one definition "
                "for a service"
            )
