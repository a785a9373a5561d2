"""The service scheduler: brings every service to its count, deployment by deployment.

It looks at a service only after an event about it, when its time has come, or when it is short of
tasks and room may have been freed (ecs-semantics 5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from stowplan.placement import messages as m
from stowplan.placement.engine.engine import Engine, Filled, joined
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import StopCode, TaskKind, TaskStatus
from stowplan.placement.reasons import Failure
from stowplan.placement.scheduler.capacity.providers import CapacityProviders
from stowplan.placement.scheduler.capacity.strategy import check_strategy
from stowplan.placement.scheduler.launches import Launches
from stowplan.placement.scheduler.services.breaker import break_circuit, stop_deployment
from stowplan.placement.scheduler.services.daemons import DaemonWatch, plan_daemon
from stowplan.placement.scheduler.services.dealing import dealt
from stowplan.placement.scheduler.services.deleting import LeavingServices, check_deletion
from stowplan.placement.scheduler.services.deployments import (
    Alarms,
    Deployment,
    Service,
    check_protection,
    check_service,
)
from stowplan.placement.scheduler.services.drains import Drains
from stowplan.placement.scheduler.services.events import (
    ServiceEvents,
    rebalancing,
    scaling,
)
from stowplan.placement.scheduler.services.found import FoundTasks
from stowplan.placement.scheduler.services.rebalancing import is_eligible, place_for_balance
from stowplan.placement.scheduler.services.scale_in import beyond_ceiling, surplus
from stowplan.placement.scheduler.services.targets import target_health
from stowplan.placement.scheduler.tasks import Launch, TaskTable

if TYPE_CHECKING:
    Start = Callable[..., Sequence[int]]  # Launch, Filled, and whether they run already
    Stop = Callable[[list[int], StopCode, str], None]
    Wait = Callable[[Launch, int, Failure], list[int]]


class Services:
    """All REPLICA and DAEMON services of a cluster, by name, and what is to be done about them.

    `over_quota`: those with tasks that the quota does not let wait; `drains`: tasks whose targets
    drain. Args:
        providers: the capacity providers of the cluster.
        start, stop: how to start tasks that were placed, and to stop living ones.
        wait: how to let tasks wait for capacity; returns those that the quota admits.
        say: takes a notice.
    """

    def __init__(
        self,
        engine: Engine,
        tasks: TaskTable,
        launches: Launches,
        providers: CapacityProviders,
        start: Start,
        stop: Stop,
        wait: Wait,
        say: Callable[[m.Command], None],
    ) -> None:
        self.by_name: dict[str, Service] = {}
        self._engine, self._tasks, self._launches = engine, tasks, launches
        self._providers = providers
        self._start, self._stop, self._wait = start, stop, wait
        self._events = ServiceEvents(say)
        self.over_quota: dict[str, None] = {}
        self._order: dict[str, int] = {}
        self.leaving = LeavingServices(tasks.status)
        self._touched: set[str] = set()
        # Services that lack tasks, and the cluster's versions when they last looked for room.
        self._short: dict[str, tuple[int, int]] = {}
        self._alarms = Alarms()
        self._deployments = 0
        self._daemons: dict[str, None] = {}
        self._daemon_watch = DaemonWatch()
        self._status_version = -1
        self._rebalanced: dict[str, None] = {}
        self.found = FoundTasks(self.by_name, engine, start)
        self.drains = Drains(self.by_name, tasks, self._events, self._touched)

    # --- calls ----------------------------------------------------------------------------------

    def create(self, call: m.CreateService) -> Service:
        """A new service. Raises PlacementError where it makes no sense."""
        if call.service in self.by_name:
            raise PlacementError(f"service {call.service!r} exists already")
        self.leaving.check_name(call.service)
        self._launches.active(call.task_definition)
        if call.capacity_provider_strategy is None and self._providers.default:
            default = self._providers.default
            call = msgspec.structs.replace(call, capacity_provider_strategy=default)
        launch = self._launch(call)
        # A later revision of the family is another definition: the service keeps this one.
        call = msgspec.structs.replace(call, task_definition=launch.task_definition)
        service = Service(call, [self._deploy(launch)], call.desired_count)
        service.target = target_health(call.load_balancer) if call.load_balancer else None
        self._order[call.service] = len(self._order)
        self.by_name[call.service] = service
        if service.daemon:
            self._daemons[call.service] = None
        self._configured(service)
        return service

    def update(self, call: m.UpdateService) -> None:
        """Change what the call names. Raises PlacementError where it makes no sense.

        Another task definition, or `force_new_deployment`, begins a deployment; the rest holds for
        tasks that start from now on (ecs-semantics 5.3).
        """
        service = self._known(call.service)
        if call.task_definition is not None:
            self._launches.active(call.task_definition)
        wanted = call.applied_to(service.call)
        launch = self._launch(wanted, known=call.placement_strategy is None)
        wanted = msgspec.structs.replace(wanted, task_definition=launch.task_definition)
        if call.desired_count is not None and service.daemon:
            raise PlacementError(f"service {call.service!r} is a DAEMON: it has no desired count")
        renewed = launch.task_definition != service.launch.task_definition
        service.call = wanted
        if not service.daemon:
            service.desired_count = wanted.desired_count
        if renewed or call.force_new_deployment:
            service.deployments.insert(0, self._deploy(launch))
        else:
            completed = service.completed is service.launch
            service.primary.launch = replace(launch, deployment=service.primary.id)
            service.completed = service.launch if completed else service.completed
        service.attempts = service.not_before_ms = 0
        service.steady = service.stuck = False
        self._configured(service)

    def delete(self, call: m.DeleteService) -> None:
        """Stop a service's tasks and forget it. Raises CallError as ECS does."""
        service = self._known(call.service)
        check_deletion(service, call)
        name = service.name
        self.leaving.add(name, self._tasks.of_service(name))
        self._stop(list(service.tasks), StopCode.SERVICE_SCHEDULER_INITIATED, scaling(service))
        del self.by_name[name]
        for table in (self.over_quota, self._short, self._daemons, self._rebalanced):
            table.pop(name, None)
        self._touched.discard(name)
        self._alarms.drop(name)

    def stop_deployment(self, call: m.StopServiceDeployment) -> None:
        """End a deployment. Raises CallError where ECS would not."""
        service = self._known(call.service)
        stop_deployment(service, call, self._deploy, self._launches, self._events)
        self._touched.add(service.name)

    def _known(self, name: str) -> Service:
        service = self.by_name.get(name)
        if service is None:
            raise self.leaving.error(name)
        return service

    def _configured(self, service: Service) -> None:
        self._touched.add(service.name)
        if is_eligible(service, self._engine):
            self._rebalanced[service.name] = None
        else:
            self._rebalanced.pop(service.name, None)

    def _launch(self, call: m.CreateService, *, known: bool = False) -> Launch:
        """`known`: its strategies were taken before, whatever instances there are now."""
        check_service(call)
        check_strategy(call.capacity_provider_strategy or ())
        launch = self._launches.of_service(call)
        (self._engine.check if known else self._engine.check_call)(launch.kind)
        return launch

    def _deploy(self, launch: Launch) -> Deployment:
        self._deployments += 1
        name = f"ecs-svc/{self._deployments}"
        return Deployment(name, replace(launch, deployment=name))

    def protect(self, call: m.UpdateTaskProtection, now_ms: int) -> None:
        """Protect tasks, or end it. Raises PlacementError where a task belongs to no service."""
        check_protection(call, lambda t: 0 <= t < len(self._tasks) and self._of(t) is not None)
        until_ms = now_ms + call.expires_in_minutes * 60_000
        for task in call.tasks:
            service = self.by_name[self._tasks.launch[task].service or ""]
            service.protected.pop(task, None)
            if call.protection_enabled:
                service.protected[task] = until_ms
                self._alarms.set(until_ms, service.name)
            self._touched.add(service.name)

    # --- facts ----------------------------------------------------------------------------------

    def take_over(self) -> None:
        """Take in the tasks that were found, once all instances of the round are known."""
        for service, failure in self.found.take_over() if self.found else ():
            self._events.complain(service, failure)
            self._touched.add(service.name)

    def host_changed(self, tasks: Iterable[int], *, draining: bool) -> None:
        """The instance of these tasks is DRAINING now, or no longer, or was renewed."""
        for task in tasks:
            service = self.by_name.get(self._tasks.launch[task].service or "")
            if service is None:
                continue
            self._touched.add(service.name)
            if draining and task in service.tasks:
                service.draining[task] = None
            else:
                service.draining.pop(task, None)

    def changed(self, tasks: Iterable[int], status: TaskStatus, now_ms: int) -> None:
        """These tasks have a new lastStatus, not STOPPED."""
        for launch, run in groupby(tasks, key=self._tasks.launch.__getitem__):
            service = self.by_name.get(launch.service or "")
            if service is None:
                continue
            self._touched.add(service.name)
            if status is TaskStatus.RUNNING:
                for task in run:
                    if task in service.tasks:
                        service.ran(task, now_ms)

    def judged(self, tasks: Iterable[int], healthy: bool) -> None:
        """Health checks of these tasks have a verdict."""
        for task in tasks:
            service = self._of(task)
            if service is not None and task in service.running:
                service.judged(task, healthy)
                self._touched.add(service.name)

    def gave_up(self, task: int, now_ms: int) -> None:
        """A task waited too long for capacity: its service is looked at again at once."""
        service = self._tasks.launch[task].service
        if service in self.by_name:
            assert service is not None
            self._alarms.set(now_ms, service)

    def room_to_wait(self, now_ms: int) -> None:
        """Tasks that the quota did not admit may wait now."""
        for name in self.over_quota:
            self._alarms.set(now_ms, name)
        self.over_quota.clear()

    def failed_to_start(self, task: int, now_ms: int) -> None:
        """A living task stopped by itself without ever running."""
        service = self._of(task)
        if service is not None:
            service.failed_to_start(task, now_ms)

    def remove(self, name: str, tasks: Iterable[int]) -> None:
        """These tasks of a service are not to run any more."""
        service = self.by_name[name]
        for task in tasks:
            if task in service.tasks:
                service.remove(task)
                self._touched.add(name)

    def _of(self, task: int) -> Service | None:
        name = self._tasks.launch[task].service
        service = self.by_name.get(name or "")
        return service if service is not None and task in service.tasks else None

    def daemon_groups(self) -> list[str]:
        """The groups of the daemons' tasks."""
        return [self.by_name[name].launch.kind.group for name in self._daemons]

    # --- decisions ------------------------------------------------------------------------------

    @property
    def deadline_ms(self) -> int | None:
        """When a service must be looked at although no event names it."""
        return self._alarms.next_ms

    def settle(self, now_ms: int) -> None:
        """Daemons come first, so that on a new instance they get their room before other tasks."""
        if self._daemons:
            self._settle_daemons()
        self._settle_replicas(now_ms)

    def _settle_daemons(self) -> None:
        watch, cluster = self._daemon_watch, self._engine.cluster
        if not watch.is_due(cluster) and self._touched.isdisjoint(self._daemons):
            return
        waits = False
        for name in self._daemons:
            service = self.by_name[name]
            plan = plan_daemon(service, self._tasks, self._engine)
            self._stop(plan.stop, StopCode.SERVICE_SCHEDULER_INITIATED, scaling(service))
            filled = joined([self._engine.place_on(service.launch.kind, r) for r in plan.start])
            self._events.complain(service, self._add(service, service.launch, filled))
            service.desired_count = plan.eligible
            self._events.note_state(service)
            waits |= filled.failure is not None or bool(service.draining)
        watch.planned(cluster, waits=waits)

    def _settle_replicas(self, now_ms: int) -> None:
        """Bring every service that an event concerned, or that lacks tasks, to its count."""
        cluster = self._engine.cluster
        self._touched.update(self._alarms.due(now_ms))
        if not (self._touched or self._short or self._status_version != cluster.status_version):
            return
        if self._status_version != cluster.status_version:
            # An instance that is new, or back, may be in a zone that a service has too few in.
            self._touched.update(self._rebalanced)
            self._status_version = cluster.status_version
        short = [name for name, tried in self._short.items() if self._may_fit(name, tried)]
        for name in sorted(self._touched.union(short), key=self._order.__getitem__):
            service = self.by_name[name]
            if service.daemon:
                continue
            failure = self._settle(service, now_ms)
            if failure is None:
                self._short.pop(name, None)
            else:
                self._short[name] = cluster.freed_version, cluster.version
            self._events.report(service, failure, now_ms)
        # A service knows of the tasks that it stops itself.
        self._touched.clear()

    def _may_fit(self, name: str, tried: tuple[int, int]) -> bool:
        """Whether room may have been freed since a service last looked for it."""
        freed, version = tried
        if freed != self._engine.cluster.freed_version:
            return True
        checks = self._engine.checks(self.by_name[name].launch.kind)
        return version != self._engine.cluster.version and any(c.volatile for c in checks)

    def _settle(self, service: Service, now_ms: int) -> Failure | None:
        service.prove(now_ms)
        service.unprotect(now_ms)
        break_circuit(service, self._deploy, self._launches, self._events)
        code, balances = StopCode.SERVICE_SCHEDULER_INITIATED, service.extra is not None
        reason = rebalancing(service) if balances else scaling(service)
        self._stop(surplus(service, self._engine, self._tasks), code, reason)
        self._stop(service.replaced(), code, scaling(service))
        self._stop(beyond_ceiling(service, self._tasks), code, scaling(service))
        service.deployments[1:] = [each for each in service.deployments[1:] if each.tasks]
        failure = None
        wanted = service.missing(now_ms)
        if wanted:
            failure = self._fill(service, wanted)
        elif service.is_complete and service.extra is None:
            self._events.note_state(service)  # it is steady before it is balanced
            launch = dealt(service, self._tasks, 1)[0][0]
            placed = place_for_balance(service, launch.kind, self._engine, self._tasks)
            if placed is not None:
                self._add(service, launch, placed)
                service.extra = next(reversed(service.tasks))
        for at_ms in service.wakes(now_ms):
            self._alarms.set(at_ms, service.name)
        return failure

    def _fill(self, service: Service, wanted: int) -> Failure | None:
        """Start what fits; the rest waits where a provider may make room. Why any is left over."""
        left_over = None
        for launch, count in dealt(service, self._tasks, wanted):
            filled = self._engine.fill(launch.kind, count)
            failure = self._add(service, launch, filled)
            provider = launch.kind.capacity_provider
            if failure is not None and provider is not None and self._providers.lets_wait(provider):
                left = count - len(filled.rows)
                queued = self._wait(launch, left, failure)
                for task in queued:
                    service.add(task)
                if len(queued) == left:
                    continue
                self.over_quota[service.name] = None
            left_over = failure or left_over
        return left_over

    def _add(self, service: Service, launch: Launch, filled: Filled) -> Failure | None:
        for task in self._start(launch, filled):
            service.add(task)
        return filled.failure

    def lacks(self, now_ms: int) -> list[tuple[TaskKind, int]]:
        """What services that are no daemons lack, a kind and how many."""
        return [
            (launch.kind, count)
            for service in self.by_name.values()
            if not service.daemon and (missing := service.missing(now_ms))
            for launch, count in dealt(service, self._tasks, missing)
        ]

    @property
    def short(self) -> frozenset[str]:
        """Services that looked for room in vain when they last did, DAEMONs not among them."""
        return frozenset(self._short)
