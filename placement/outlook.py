"""What a scheduler knows of its tasks, for those who plan with all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stowplan.placement.model import TaskKind


@dataclass(frozen=True, slots=True)
class Running:
    """A task that holds resources on an instance; the copies of a daemon stay where they are."""

    task: int
    kind: TaskKind
    row: int
    devices: tuple[int, ...] = ()
    daemon: bool = False


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a scheduler has on its hands now; each answer is worked out when somebody asks.

    Args:
        wanted: what asks for room: services, tasks that wait, new calls; a kind and how many. What
            was refused to a caller, who may ask again, is not among it.
        running: all tasks that hold resources, instance by instance, the oldest placement first.
    """

    wanted: Callable[[], list[tuple[TaskKind, int]]]
    running: Callable[[], list[Running]]
