"""DAEMON services: one task on each ACTIVE instance that meets the constraints (semantics 5.2)."""

from __future__ import annotations

from dataclasses import dataclass

from stowplan.placement.cluster.cluster import BoolArray, Cluster
from stowplan.placement.engine.engine import Engine
from stowplan.placement.scheduler.services.deployments import Service
from stowplan.placement.scheduler.tasks import TaskTable


@dataclass(frozen=True, slots=True)
class DaemonPlan:
    """What a daemon lacks and has too much: rows to start on, tasks to stop, and its due count."""

    start: list[int]
    stop: list[int]
    eligible: int


class DaemonWatch:
    """Whether daemons must be planned anew, which costs a look at all of their tasks: an instance
    changed, or anything was booked while a daemon waits for room, or waits on a draining instance
    for the other tasks to leave."""

    def __init__(self) -> None:
        self._saw: tuple[int, ...] = ()
        self._waits = False

    def is_due(self, cluster: Cluster) -> bool:
        """A change that daemons depend on."""
        return self._saw != self._seen(cluster)

    def planned(self, cluster: Cluster, *, waits: bool) -> None:
        """All daemons have been planned for the cluster as it is now."""
        self._waits = waits
        self._saw = self._seen(cluster)

    def _seen(self, cluster: Cluster) -> tuple[int, ...]:
        booked = cluster.version if self._waits else -1
        return cluster.status_version, cluster.attributes_version, booked


def plan_daemon(service: Service, tasks: TaskTable, engine: Engine) -> DaemonPlan:
    """Which tasks to stop, and where to start once they are gone.

    Constraints hold for running tasks too, and a task of an earlier deployment gives way at once:
    a daemon's maximumPercent is 100 and its minimumHealthyPercent 0. On a DRAINING instance the
    daemon's task is the last to stop; nothing new starts there, nor where the agent is
    disconnected.
    """
    cluster, kind = engine.cluster, service.launch.kind
    eligible = cluster.active & engine.fixed_mask(kind)
    has = cluster.group_count(kind.group) > 0
    stop = [task for task in service.tasks if _must_leave(task, service, tasks, engine, eligible)]
    has[[tasks.instance[task] for task in stop]] = False
    start = (eligible & ~has & cluster.agent_connected).nonzero()[0].tolist()
    return DaemonPlan(start, stop, int((eligible & (has | cluster.agent_connected)).sum()))


def _must_leave(
    task: int, service: Service, tasks: TaskTable, engine: Engine, eligible: BoolArray
) -> bool:
    row = tasks.instance[task]
    if engine.cluster.is_draining(row):
        return all(tasks.launch[other].daemon for other in tasks.on(row) if tasks.alive(other))
    return not eligible[row] or task not in service.primary.tasks
