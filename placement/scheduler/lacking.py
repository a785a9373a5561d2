"""What lacks room in a scheduler as it stands: a service, a task that waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stowplan.placement.cluster.cluster import instance_strings
from stowplan.placement.engine.changes import Offer
from stowplan.placement.engine.obstacles import Resident
from stowplan.placement.errors import PlacementError
from stowplan.placement.messages import CreateCapacityProvider
from stowplan.placement.model import (
    AVAILABILITY_ZONE,
    INSTANCE_TYPE,
    PlacementConstraint,
    TaskKind,
    TaskStatus,
)
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.scheduler.services.daemons import plan_daemon
from stowplan.placement.scheduler.services.dealing import dealt
from stowplan.placement.scheduler.services.deployments import Service
from stowplan.placement.scheduler.tasks import NOWHERE


@dataclass(frozen=True, slots=True)
class Lack:
    """One more task of something: its kind, how many look for room in vain, of how many.

    `daemon`: it wants one task on each instance, which its kind says as distinctInstance. `status`,
    `row`: of a single task, its lastStatus and its instance.
    """

    name: str
    kind: TaskKind
    count: int
    wanted: int
    daemon: bool = False
    status: TaskStatus | None = None
    row: int = NOWHERE


def residents(scheduler: Scheduler, row: int) -> Sequence[Resident]:
    """The tasks that hold resources on an instance, oldest first."""
    tasks = scheduler.tasks
    alive = [task for task in tasks.on(row) if tasks.alive(task)]
    return [Resident(task, tasks.launch[task].kind, tasks.devices(task)) for task in alive]


def offers_of(scheduler: Scheduler) -> list[Offer]:
    """What the capacity providers could launch, one for each template and zone."""
    return offers_by({name: each.call for name, each in scheduler.providers.by_name.items()})


def offers_by(providers: Mapping[str, CreateCapacityProvider]) -> list[Offer]:
    """What capacity providers, by name, could launch, one for each template and zone."""
    offers = []
    for name, call in providers.items():
        for template in call.launch_templates:
            for zone in call.zones:
                attributes = {**template.attributes, AVAILABILITY_ZONE: zone}
                strings = instance_strings("", attributes, name)
                type_name = attributes.get(INSTANCE_TYPE, f"that {name} launches")
                offers.append(Offer(type_name, template.resources, strings))
    return offers


def service_lacks(scheduler: Scheduler, name: str) -> bool:
    """Whether a service lacks room now: quick, to be asked after every round."""
    service = scheduler.services[name]
    if service.daemon:
        return bool(plan_daemon(service, scheduler.tasks, scheduler.engine).start)
    return name in scheduler.short_services or bool(_waiting(scheduler, service))


def lack_of_service(scheduler: Scheduler, name: str) -> Lack:
    """What a service lacks now; count 0: nothing.

    Raises:
        PlacementError: there is no such service.
    """
    service = scheduler.services.get(name)
    if service is None:
        raise PlacementError(f"unknown service {name!r}")
    if service.daemon:
        return _of_daemon(scheduler, service)
    waiting = _waiting(scheduler, service)
    count = sum(number for _, number in waiting)
    if name in scheduler.short_services:
        count += max(1, sum(more for _, more in service.lacking(scheduler.now_ms)))
    kind = waiting[0][0] if waiting else dealt(service, scheduler.tasks, 1)[0][0].kind
    if len(service.deployments) > 1:
        # Those of the latest deployment come first, whoever waits longest.
        places, launch = scheduler.tasks.instance, scheduler.tasks.launch
        queued = [t for t in (*service.primary.tasks, *service.tasks) if places[t] == NOWHERE]
        kind = launch[queued[0]].kind if queued else kind
    return Lack(f"service {name}", kind, count, service.desired_count)


def lack_of_task(scheduler: Scheduler, task: int) -> Lack:
    """Whether a task waits for room: count 1, else 0.

    Raises:
        PlacementError: there is no such task.
    """
    scheduler.tasks.check_known([task])
    launch = scheduler.tasks.launch[task]
    status, row = scheduler.tasks.status[task], scheduler.tasks.instance[task]
    waits, name = status is TaskStatus.PROVISIONING, f"task {task} of {launch.kind.group}"
    return Lack(name, launch.kind, int(waits), 1, status=status, row=row)


def _waiting(scheduler: Scheduler, service: Service) -> list[tuple[TaskKind, int]]:
    if not scheduler.waiting:
        return []
    group = service.launch.kind.group
    return [each for each in scheduler.waiting.counts() if each[0].group == group]


def _of_daemon(scheduler: Scheduler, service: Service) -> Lack:
    plan = plan_daemon(service, scheduler.tasks, scheduler.engine)
    return of_daemon(service.name, service.launch.kind, len(plan.start), plan.eligible)


def of_daemon(name: str, kind: TaskKind, count: int, due: int) -> Lack:
    """What a daemon lacks: `count` of the `due` tasks. One more may go to a new instance alone."""
    once = PlacementConstraint("distinctInstance")
    if once not in kind.constraints:
        kind = replace(kind, constraints=(*kind.constraints, once))
    return Lack(f"daemon {name}", kind, count, due, daemon=True)
