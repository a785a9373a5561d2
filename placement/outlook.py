"""What a scheduler knows of its tasks, for strategies that plan with all of them at once."""

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
    """What a scheduler has to place and what it runs now; each is worked out when it is called.

    Args:
        wanted: the tasks that need room, of services, waiting or new calls: a kind and how many.
            Tasks that were refused to a caller are not among them; the caller may ask again.
        running: all tasks that hold resources, instance by instance, the oldest placement first.
    """

    wanted: Callable[[], list[tuple[TaskKind, int]]]
    running: Callable[[], list[Running]]
