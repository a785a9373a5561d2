"""What a scenario's calls ask for over time, were every task to start when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace as replace_call

from stowplan.placement import messages as m
from stowplan.placement.callers.client import Arrival
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import TaskKind
from stowplan.placement.optimal.asked import Dealer, TaskSet
from stowplan.placement.optimal.over_time_demand import Ran
from stowplan.placement.scheduler.launches import Launches


@dataclass(frozen=True)
class AskedOverTime:
    """Kinds, every task of them with its start and end, and the daemons, there from the start."""

    kinds: tuple[TaskKind, ...]
    ran: tuple[Ran, ...]
    daemons: tuple[TaskSet, ...]


def asked_over_time(calls: Iterable[Arrival], until_ms: int, tasks: str = "all") -> AskedOverTime:
    """Read the calls until `until_ms`.

    A service keeps its count until it changes; when it shrinks its newest tasks stop. A deployment
    replaces all its tasks at once.

    Args:
        tasks: "services": without those of workloads; or "all".
    Raises:
        PlacementError: a daemon changes over time.
    """
    reader = _Reader(until_ms, tasks)
    for arrival in calls:
        if arrival.at_ms < until_ms:
            reader.read(arrival)
    return reader.found()


@dataclass
class _Service:
    call: m.CreateService
    kind: int
    starts: list[int]


class _Reader:
    """Takes in one call after the other."""

    def __init__(self, until_ms: int, tasks: str) -> None:
        self._until_ms, self._tasks = until_ms, tasks
        self._launches, self._dealer = Launches(), Dealer()
        self._kinds: dict[TaskKind, int] = {}
        self._services: dict[str, _Service] = {}
        self._daemons: dict[str, TaskSet] = {}
        self._daemon_calls: dict[str, m.CreateService] = {}
        self._ran: list[Ran] = []

    def found(self) -> AskedOverTime:
        """All that was asked for; what still runs then ends with the time."""
        for service in self._services.values():
            self._scale(service, 0, self._until_ms)
        return AskedOverTime(tuple(self._kinds), tuple(self._ran), tuple(self._daemons.values()))

    def read(self, arrival: Arrival) -> None:
        """Take in a call."""
        call = arrival.call
        if isinstance(call, m.RegisterTaskDefinition):
            self._launches.register(call.document)
        elif isinstance(call, m.PutClusterCapacityProviders):
            self._dealer.put_default(call)
        elif isinstance(call, m.RunTask | m.StartTask):
            if self._tasks == "all":
                self._run(call, arrival)
        elif isinstance(call, m.CreateService):
            self._create(call, arrival.at_ms)
        elif isinstance(call, m.UpdateService):
            self._update(call, arrival.at_ms)

    def _run(self, call: m.RunTask | m.StartTask, arrival: Arrival) -> None:
        at_ms, until_ms = arrival.at_ms, self._until_ms
        end_ms = until_ms if arrival.run_ms is None else min(until_ms, at_ms + arrival.run_ms)
        if isinstance(call, m.StartTask):
            dealt = [(self._launches.of_start_task(call).kind, len(call.instances))]
        else:
            dealt = self._dealer.kinds(call, self._launches.of_run_task(call).kind, call.count)
        for kind, count in dealt:
            self._ran += [(self._number(kind), at_ms, end_ms)] * count

    def _create(self, call: m.CreateService, at_ms: int) -> None:
        launch = self._launches.of_service(call)
        if launch.daemon:
            if at_ms:
                raise PlacementError(
                    f"{call.service}: a DAEMON that begins later ({at_ms / 1000:g} s) changes the "
                    "room on instances that run; goal hours takes those that are there from 0 s"
                )
            daemon = TaskSet(launch.kind, 1, call.service, launch.task_definition)
            self._daemons[call.service], self._daemon_calls[call.service] = daemon, call
            return
        self._services[call.service] = _Service(call, self._kind_of(call), [])
        self._scale(self._services[call.service], call.desired_count, at_ms)

    def _update(self, call: m.UpdateService, at_ms: int) -> None:
        if call.service in self._daemons:
            self._check_daemon(call)
            return
        service = self._services[call.service]
        if call.task_definition is not None or call.force_new_deployment:
            count = len(service.starts)
            self._scale(service, 0, at_ms)
            if call.task_definition is not None:
                service.call = replace_call(service.call, task_definition=call.task_definition)
            service.kind = self._kind_of(service.call)
            self._scale(service, count, at_ms)
        if call.desired_count is not None:
            self._scale(service, call.desired_count, at_ms)

    def _scale(self, service: _Service, desired_count: int, at_ms: int) -> None:
        while len(service.starts) > desired_count:
            self._ran.append((service.kind, service.starts.pop(), at_ms))
        service.starts += [at_ms] * (desired_count - len(service.starts))

    def _kind_of(self, call: m.CreateService) -> int:
        ((kind, _),) = self._dealer.kinds(call, self._launches.of_service(call).kind, 1)
        return self._number(kind)

    def _number(self, kind: TaskKind) -> int:
        return self._kinds.setdefault(kind, len(self._kinds))

    def _check_daemon(self, call: m.UpdateService) -> None:
        """Raises PlacementError where a deployment changes what a daemon asks for."""
        if call.task_definition is None:
            return
        created = self._daemon_calls[call.service]
        updated = replace_call(created, task_definition=call.task_definition)
        if self._launches.of_service(updated).kind != self._daemons[call.service].kind:
            raise PlacementError(
                f"{call.service}: a deployment of a DAEMON changes the room on instances that "
                "run; goal hours takes daemons that stay as they are"
            )
