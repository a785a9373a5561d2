"""What calls ended or marked, by a journal: a part of the checkers' own book (see `history`)."""

from __future__ import annotations

from stowplan.placement import messages as m


class Endings:
    """Task definitions that are `inactive`, services that are `deleted`, until they are created
    again, and whether the cluster is. `failed`: services whose circuit breaker ended a deployment.
    """

    def __init__(self) -> None:
        self.inactive: set[str] = set()
        self.deleted: set[str] = set()
        self.failed: set[str] = set()
        self.cluster_deleted = False

    def take(self, message: m.Event | m.Command) -> None:
        """Take one message in."""
        kind = type(message)
        if kind not in _KINDS:  # as nearly always
            return
        if isinstance(message, m.DeleteService):
            self.deleted.add(message.service)
        elif isinstance(message, m.CreateService):
            self.deleted.discard(message.service)
            self.failed.discard(message.service)
        elif isinstance(message, m.ServiceEvent):
            if ") deployment failed" in message.text:
                self.failed.add(message.service)
        elif isinstance(message, m.DeregisterTaskDefinition):
            self.inactive.add(message.task_definition)
        elif isinstance(message, m.DeleteCluster):
            self.cluster_deleted = True


class Marks:
    """Tasks that are protected from scale-in and deployments, and until when."""

    def __init__(self) -> None:
        self._protected: dict[int, int] = {}

    def take(self, message: m.Event | m.Command, now_ms: int) -> None:
        """Take one message in."""
        if type(message) is not m.UpdateTaskProtection:  # as nearly always
            return
        for task in message.tasks:
            self._protected.pop(task, None)
            if message.protection_enabled:
                self._protected[task] = now_ms + 60_000 * message.expires_in_minutes

    def is_protected(self, task: int, now_ms: int) -> bool:
        """Whether a task is protected now."""
        return self._protected.get(task, now_ms) > now_ms


_KINDS = (
    *(m.DeleteService, m.CreateService, m.ServiceEvent),
    *(m.DeregisterTaskDefinition, m.DeleteCluster),
)
