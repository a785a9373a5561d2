"""Stopped tasks whose targets drain: they count for their service until they are gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stowplan.placement.scheduler.services.deployments import Service
from stowplan.placement.scheduler.services.events import ServiceEvents
from stowplan.placement.scheduler.tasks import TaskTable


class Drains:
    """The tasks that drain, by number, with their service.

    Args:
        services: all of them, by name.
        touched: takes the names of services to look at again.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        tasks: TaskTable,
        events: ServiceEvents,
        touched: set[str],
    ) -> None:
        self._services, self._tasks, self._events = services, tasks, events
        self._touched = touched
        self._of: dict[int, str] = {}

    def begin(self, tasks: Sequence[int], drain_ms: int, now_ms: int) -> int | None:
        """Deregister the targets of these tasks, all of one launch; until when they drain.

        None: they have none, and are stopped at once.
        """
        if not drain_ms:
            return None
        service = self._services[self._tasks.launch[tasks[0]].service or ""]
        service.leaving.update(dict.fromkeys(tasks))
        self._of.update(dict.fromkeys(tasks, service.name))
        many = f"{len(tasks)} task" + "s" * (len(tasks) != 1)
        self._events.tell(service, f"has begun draining connections on {many}.")
        return now_ms + drain_ms

    def stopped(self, tasks: Sequence[int]) -> Sequence[int]:
        """These tasks are STOPPED; returns them."""
        for task in tasks if self._of else ():
            service = self._services.get(self._of.pop(task, ""))
            if service is not None:  # else it has none, or its service is deleted
                del service.leaving[task]
                self._touched.add(service.name)
        return tasks
