"""Services that were deleted: DRAINING until the last of their tasks has stopped."""

from __future__ import annotations

from collections.abc import Sequence

from stowplan.placement import messages as m
from stowplan.placement.errors import CallError
from stowplan.placement.model import TaskStatus
from stowplan.placement.scheduler.services.deployments import Service


def check_deletion(service: Service, call: m.DeleteService) -> None:
    """Raises CallError where ECS does not delete this service without `force`."""
    if service.desired_count and not service.daemon and not call.force:
        what = "The service cannot be stopped while it is scaled above 0."
        raise CallError("InvalidParameterException", what)


class LeavingServices:
    """Their names, each with the tasks that it had at the end. `status` is that of all tasks."""

    def __init__(self, status: Sequence[TaskStatus]) -> None:
        self._status = status
        self._tasks: dict[str, list[int]] = {}

    def add(self, name: str, tasks: list[int]) -> None:
        """A service was deleted."""
        self._tasks[name] = tasks

    def names(self) -> list[str]:
        """Those of which not all tasks have ended."""
        for name, tasks in list(self._tasks.items()):
            if all(self._status[task] is TaskStatus.STOPPED for task in tasks):
                del self._tasks[name]
        return list(self._tasks)

    def check_name(self, name: str) -> None:
        """Raises CallError where no service of this name can be created yet."""
        if name in self.names():
            what = f"Unable to Start a service that is still Draining: {name}"
            raise CallError("InvalidParameterException", what)

    def error(self, name: str) -> CallError:
        """What a call about a service that is not there is answered with."""
        if name in self.names():
            return CallError("ServiceNotActiveException", f"Service was not ACTIVE: {name}")
        return CallError("ServiceNotFoundException", f"unknown service {name!r}")
