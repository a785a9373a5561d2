"""Which tasks of a service go when there are too many (ecs-semantics 5.3, 5.6)."""

from __future__ import annotations

from stowplan.placement.engine.engine import Engine
from stowplan.placement.scheduler.services.deployments import Service
from stowplan.placement.scheduler.tasks import NOWHERE, TaskTable


def surplus(service: Service, engine: Engine, tasks: TaskTable) -> list[int]:
    """The tasks that scale-in stops: by the strategy in reverse, after those that have no place.

    Protected tasks stay, so there may be fewer of these than tasks too many. A task that a
    rebalancing added counts once it is healthy. Then one task too many runs, and spread in reverse
    finds it in the zone with most.
    """
    extra = service.extra
    waits = extra is not None and (extra not in service.running or extra in service.unproven)
    too_many = service.staying_count - service.desired_count - waits
    if too_many <= 0:
        return []
    if extra is not None and not waits:
        service.extra = None
    cluster = engine.cluster
    staying = [task for task in service.staying() if task not in service.protected]
    stopped = [task for task in reversed(staying) if tasks.instance[task] == NOWHERE][:too_many]
    placed = [task for task in staying if tasks.instance[task] != NOWHERE]
    released = []
    for _ in range(min(too_many - len(stopped), len(placed))):
        rows = [tasks.instance[task] for task in placed]
        task = placed.pop(engine.scale_in(service.launch.kind, rows))
        # The next choice must see this task gone.
        cluster.release(tasks.launch[task].kind, tasks.instance[task], tasks.devices(task))
        released.append(task)
    for task in released:
        cluster.reserve(tasks.launch[task].kind, tasks.instance[task], tasks.devices(task))
    return stopped + released


def beyond_ceiling(service: Service, tasks: TaskTable) -> list[int]:
    """Tasks without a place, newest first, that maximumPercent does not admit any more.

    It admitted them when they began to wait. After a scale-in amid a deployment the old tasks that
    must stay healthy fill it, and waiting tasks would start beside them in the room that others
    left. A task whose target drains counts, as it does where tasks are started.
    """
    over = len(service.tasks) + len(service.leaving) - service.ceiling
    if service.daemon or over <= 0:
        return []
    return [task for task in reversed(service.tasks) if tasks.instance[task] == NOWHERE][:over]
