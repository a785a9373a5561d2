"""What a scheduler wants and what runs, put together for `placement.outlook`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stowplan.placement.model import TaskKind
from stowplan.placement.outlook import Running
from stowplan.placement.scheduler.services.deployments import Service
from stowplan.placement.scheduler.tasks import Launch, TaskTable

Demand = list[tuple[TaskKind, int]]


def wanted(lacks: Demand, waiting: Demand, requests: Iterable[tuple[Launch, int]]) -> Demand:
    """Tasks that services lack, that wait for capacity, and that this round's calls ask for."""
    asked = [(launch.kind, count) for launch, count in requests]
    return [pair for pair in lacks + waiting + asked if pair[1]]


def running(tasks: TaskTable, services: Mapping[str, Service], size: int) -> list[Running]:
    """All tasks that hold resources on the first `size` instances, the oldest placement first."""
    found = []
    for row in range(size):
        for task in filter(tasks.alive, tasks.on(row)):
            launch = tasks.launch[task]
            daemon = launch.service is not None and services[launch.service].daemon
            found.append(Running(task, launch.kind, row, tasks.devices(task), daemon))
    return found
