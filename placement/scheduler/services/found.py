"""Tasks of services that run already when ECS's record begins: a cluster is taken over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

from stowplan.placement import messages as m
from stowplan.placement.cluster.columns import CAPACITY_PROVIDER
from stowplan.placement.engine.engine import Engine, joined
from stowplan.placement.errors import PlacementError
from stowplan.placement.reasons import Failure
from stowplan.placement.scheduler.services.deployments import Service
from stowplan.placement.scheduler.tasks import Launch


class FoundTasks:
    """What was found and not yet taken in.

    Args:
        services: by name.
        start: how to number tasks that were placed, and to tell of them.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        engine: Engine,
        start: Callable[..., Sequence[int]],
    ) -> None:
        self._services, self._engine, self._start = services, engine, start
        self._events: list[m.TasksFound] = []

    def __bool__(self) -> bool:
        """Whether there are any that were not taken over yet."""
        return bool(self._events)

    def note(self, event: m.TasksFound) -> None:
        """Tasks run already. Raises PlacementError where there is no such service."""
        if event.service not in self._services:
            raise PlacementError(f"unknown service {event.service!r}")
        self._events.append(event)

    def take_over(self) -> Iterator[tuple[Service, Failure | None]]:
        """Number and book them, in the order in which they came.

        Yields:
            each service that got some, and why one of them may not run where it was found, if so;
            those that may not are nobody's, and the service starts others.
        """
        events, self._events = self._events, []
        for event in events:
            service = self._services[event.service]
            launch_of = partial(self._launch, service)
            for launch, rows in groupby(event.instances, launch_of):
                filled = joined([self._engine.place_on(launch.kind, row) for row in rows])
                for task in self._start(launch, filled, found=True):
                    service.add(task)
                yield service, filled.failure

    def _launch(self, service: Service, row: int) -> Launch:
        """By the instance's capacity provider, if the service's strategy has it."""
        column = self._engine.cluster.column(CAPACITY_PROVIDER)
        code = int(column.codes[row]) if 0 <= row < len(column.codes) else -1
        name = column.values[code] if code >= 0 else None
        strategy = service.call.capacity_provider_strategy or ()
        if service.daemon or name not in [item.capacity_provider for item in strategy]:
            return service.launch
        return service.primary.launch_on(str(name))
