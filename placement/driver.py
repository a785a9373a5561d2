"""The Driver protocol: a driver carries out commands and reports facts. It never decides."""

from __future__ import annotations

from typing import Protocol

from stowplan.placement.errors import PlacementError
from stowplan.placement.messages import Command, Event


class Driver(Protocol):
    """The world, simulated or real, as the scheduler meets it."""

    def now_ms(self) -> int:
        """The driver's time in ms; never goes back."""
        ...

    def execute(self, command: Command) -> None:
        """Begin to carry out a command; its outcome arrives as events. Returns at once.

        Idempotent: the same order again changes nothing, also later (the scheduler may have been
        restarted from its journal). Notices are each told once. They are for the caller for whom
        the driver speaks (a workload that retries, a client that waits).
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
