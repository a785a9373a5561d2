"""Services: what is missing or too much, decided from counts alone (ecs-semantics 5.1, 5.2).

Replacement follows ECS's defaults: minimumHealthyPercent 100, maximumPercent 200.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from placement.cluster import BoolArray, Cluster
from placement.engine import Engine
from placement.model import TaskStatus
from placement.tasks import Launch, TaskTable


@dataclass(slots=True)
class Service:
    """A service and its living tasks, oldest first. A daemon's count is that of its instances."""

    name: str
    launch: Launch
    desired_count: int
    daemon: bool = False
    tasks: dict[int, None] = field(default_factory=dict)
    steady: bool = False
    complaint: str = ""


def missing(service: Service, tasks: TaskTable, cluster: Cluster) -> int:
    """How many tasks to start now: those on draining instances are replaced before they stop."""
    settled = sum(not _draining(task, tasks, cluster) for task in service.tasks)
    room = 2 * service.desired_count - len(service.tasks)
    return max(0, min(service.desired_count - settled, room))


def surplus(service: Service, tasks: TaskTable, engine: Engine) -> list[int]:
    """The tasks to stop now: scale-in by the strategy in reverse, then what a drain may take.

    A draining task that is not yet RUNNING stops at once; one that runs stops when the service
    keeps `desired_count` running tasks without it.
    """
    cluster = engine.cluster
    draining = [task for task in service.tasks if _draining(task, tasks, cluster)]
    settled = [task for task in service.tasks if not _draining(task, tasks, cluster)]
    stopped = []
    for _ in range(len(settled) - service.desired_count):
        chosen = engine.scale_in(service.launch.kind, [tasks.instance[task] for task in settled])
        task = settled.pop(chosen)
        # The choice for the next one must see this one gone.
        cluster.release(service.launch.kind, tasks.instance[task], tasks.devices(task))
        stopped.append(task)
    for task in stopped:
        cluster.reserve(service.launch.kind, tasks.instance[task], tasks.devices(task))
    running = sum(tasks.status[task] is TaskStatus.RUNNING for task in settled + draining)
    for task in draining:
        runs = tasks.status[task] is TaskStatus.RUNNING
        if not runs or running > service.desired_count:
            running -= runs
            stopped.append(task)
    return stopped


@dataclass(frozen=True, slots=True)
class DaemonPlan:
    """What a daemon lacks and has too much: rows to start on, tasks to stop, and its due count."""

    start: list[int]
    stop: list[int]
    eligible: int


def plan_daemon(service: Service, tasks: TaskTable, engine: Engine) -> DaemonPlan:
    """One task on each ACTIVE instance that meets the constraints (ecs-semantics 5.2).

    Constraints hold for running tasks too. On a DRAINING instance the daemon's task is the last to
    stop; nothing new starts there, nor where the agent is disconnected.
    """
    cluster, kind = engine.cluster, service.launch.kind
    eligible = cluster.active & engine.fixed_mask(kind)
    has = cluster.group_count(kind.group) > 0
    start = (eligible & ~has & cluster.agent_connected).nonzero()[0].tolist()
    stop = [task for task in service.tasks if _must_leave(task, tasks, engine, eligible)]
    return DaemonPlan(start, stop, int((eligible & (has | cluster.agent_connected)).sum()))


def _must_leave(task: int, tasks: TaskTable, engine: Engine, eligible: BoolArray) -> bool:
    row = tasks.instance[task]
    if engine.cluster.is_draining(row):
        return all(tasks.launch[other].daemon for other in tasks.on(row) if tasks.alive(other))
    return not eligible[row]


def running_count(service: Service, tasks: TaskTable) -> int:
    """Tasks of the service with lastStatus RUNNING that are meant to stay."""
    return sum(tasks.status[task] is TaskStatus.RUNNING for task in service.tasks)


def _draining(task: int, tasks: TaskTable, cluster: Cluster) -> bool:
    return cluster.is_draining(tasks.instance[task])
