"""Starting what services lack: where it fits, else it waits where a provider may make room."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from stowplan.placement.engine.engine import Engine, Filled
from stowplan.placement.model import TaskKind
from stowplan.placement.reasons import Failure
from stowplan.placement.scheduler.capacity.providers import CapacityProviders
from stowplan.placement.scheduler.services.dealing import dealt
from stowplan.placement.scheduler.services.deployments import Deployment, Service
from stowplan.placement.scheduler.tasks import Launch, TaskTable

if TYPE_CHECKING:
    Start = Callable[..., Sequence[int]]  # Launch, Filled, and whether they run already
    Wait = Callable[[Launch, int, Failure], list[int]]


class Filling:
    """Starts tasks of services.

    `over_quota`: services with tasks that the quota does not let wait. Args:
        providers: the capacity providers of the cluster.
        start: how to start tasks that were placed.
        wait: how to let tasks wait for capacity; returns those that the quota admits.
    """

    def __init__(
        self,
        engine: Engine,
        tasks: TaskTable,
        providers: CapacityProviders,
        start: Start,
        wait: Wait,
    ) -> None:
        self._engine, self._tasks, self._providers = engine, tasks, providers
        self._start, self._wait = start, wait
        self.over_quota: dict[str, None] = {}

    def fill(self, service: Service, wanted: int, deployment: Deployment) -> Failure | None:
        """Start what fits; the rest waits where a provider may make room. Why any is left over."""
        left_over = None
        for launch, count in dealt(service, self._tasks, wanted, deployment):
            filled = self._engine.fill(launch.kind, count)
            failure = self.add(service, launch, filled, deployment)
            provider = launch.kind.capacity_provider
            if failure is not None and provider is not None and self._providers.lets_wait(provider):
                left = count - len(filled.rows)
                queued = self._wait(launch, left, failure)
                for task in queued:
                    service.add(task, deployment)
                if len(queued) == left:
                    continue
                self.over_quota[service.name] = None
            left_over = failure or left_over
        return left_over

    def add(
        self,
        service: Service,
        launch: Launch,
        filled: Filled,
        deployment: Deployment | None = None,
    ) -> Failure | None:
        """Start what was placed, by default of the PRIMARY deployment; why not all was."""
        for task in self._start(launch, filled):
            service.add(task, deployment)
        return filled.failure


def lacks(services: Iterable[Service], tasks: TaskTable, now_ms: int) -> list[tuple[TaskKind, int]]:
    """What services that are no daemons lack, a kind and how many."""
    return [
        (launch.kind, count)
        for service in services
        if not service.daemon
        for each, missing in service.lacking(now_ms)
        for launch, count in dealt(service, tasks, missing, each)
    ]
