"""What a journal says was ended by calls: a part of the checkers' own book (see `history`)."""

from __future__ import annotations

from stowplan.placement import messages as m


class Endings:
    """Task definitions that are `inactive`, services that are `deleted`, until they are created
    again, and whether the cluster is."""

    def __init__(self) -> None:
        self.inactive: set[str] = set()
        self.deleted: set[str] = set()
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
        elif isinstance(message, m.DeregisterTaskDefinition):
            self.inactive.add(message.task_definition)
        elif isinstance(message, m.DeleteCluster):
            self.cluster_deleted = True


_KINDS = (m.DeleteService, m.CreateService, m.DeregisterTaskDefinition, m.DeleteCluster)
