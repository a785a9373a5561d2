"""What a scheduler knows of its tasks, for those who plan with all of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stowplan.placement.model import TaskKind

if TYPE_CHECKING:
    from stowplan.placement.scheduler.scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class Running:
    """A task that holds resources on an instance; the copies of a daemon stay where they are."""

    task: int
    kind: TaskKind
    row: int
    devices: tuple[int, ...] = ()
    daemon: bool = False


class Outlook:
    """What a scheduler has on its hands at the beginning of a round, and between rounds."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def wanted(self) -> list[tuple[TaskKind, int]]:
        """What asks for room: services, tasks that wait, new calls; a kind and how many.

        What was refused to a caller, who may ask again, is not among it.
        """
        scheduler = self._scheduler
        lacks = scheduler.lacks()
        asked = [(launch.kind, count) for launch, count in scheduler.requests]
        return [pair for pair in lacks + scheduler.waiting.counts() + asked if pair[1]]

    def running(self) -> list[Running]:
        """All tasks that hold resources, instance by instance, the oldest placement first."""
        tasks, services = self._scheduler.tasks, self._scheduler.services
        found = []
        for row in range(self._scheduler.cluster.size):
            for task in filter(tasks.alive, tasks.on(row)):
                launch = tasks.launch[task]
                daemon = launch.service is not None and services[launch.service].daemon
                found.append(Running(task, launch.kind, row, tasks.devices(task), daemon))
        return found
