"""The Driver protocol: a driver carries out commands and reports facts. It never decides."""

from __future__ import annotations

from typing import Protocol

from stowplan.placement.errors import PlacementError
from stowplan.placement.messages import Command, Event, RegisterTaskDefinition


class Driver(Protocol):
    """The world, simulated or real, as the scheduler meets it.

    It makes no calls of its own: that is for `placement.callers`, whom the loop asks.
    """

    def now_ms(self) -> int:
        """The driver's time in ms; never goes back."""
        ...

    def execute(self, command: Command) -> None:
        """Begin to carry out a command; its outcome arrives as events. Returns at once.

        Idempotent: the same order again changes nothing, also later (the scheduler may have been
        restarted from its journal). Notices are for callers; of those, TasksStopped says that tasks
        of this world are counted as stopped.
        """
        ...

    def register(self, call: RegisterTaskDefinition) -> None:
        """A call registers a task definition, whose tasks may be started from now on.

        Told in the order of the calls. One that the scheduler rejects is told, too: the same
        document makes no sense here either, and takes no revision.
        """
        ...

    def wait(self, deadline_ms: int | None) -> list[Event] | None:
        """The next events, once there are any; [] at the deadline; None when no more can follow."""
        ...

    def close(self) -> None:
        """Let go of everything; the driver is not used after that."""
        ...


class DriverError(PlacementError):
    """The backend failed. SDK errors are translated into one of these in one place per backend."""


class NotFound(DriverError):
    """What was asked for does not exist."""


class InsufficientCapacity(DriverError):
    """The backend has no room now; later it may."""


class Throttled(DriverError):
    """Too many calls; the same call may succeed later."""
