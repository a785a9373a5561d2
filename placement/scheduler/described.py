"""A cluster and an engine rebuilt from a described state: why a task finds no room, without replay.

So whoever has a `State` (of a journal, of a run that goes on, of an endpoint) has the answers of
`placement.engine.explain`. Nothing here runs on: a scheduler is not rebuilt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.describe import ContainerInstance, Service, State, Task
from stowplan.placement.engine.changes import Offer
from stowplan.placement.engine.engine import Engine
from stowplan.placement.engine.explain import Explanation, explain_kind, fits_anywhere
from stowplan.placement.engine.obstacles import Resident
from stowplan.placement.errors import PlacementError
from stowplan.placement.messages import RunTask, StartTask
from stowplan.placement.model import PORTS, InstanceStatus, TaskKind, TaskStatus
from stowplan.placement.scheduler.capacity.strategy import deal
from stowplan.placement.scheduler.lacking import Lack, of_daemon, offers_by
from stowplan.placement.scheduler.launches import Launches
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import StrategyFactory


class Described:
    """What can be asked of placement in a state.

    A row of `cluster` is the number of an instance, as in the scheduler; one that the state has
    forgotten is an INACTIVE row without a name.

    Args:
        state: is read now; what becomes of it later is not seen.
        strategies: registry by type, with the user's own.
    """

    def __init__(
        self, state: State, strategies: Mapping[str, StrategyFactory] = STRATEGIES
    ) -> None:
        self.state = state
        self.launches = Launches()
        for records in state.task_definitions.values():
            for record in records:
                self.launches.register(record.document)
        self.cluster = Cluster()
        self.cluster.now_ms = state.now_ms
        self._residents: dict[int, list[Resident]] = {}
        for row in range(max(state.instances, default=-1) + 1):
            self._add(row, state.instances.get(row))
        # What is explained draws nothing.
        self.engine = Engine(self.cluster, np.random.default_rng(0), strategies)

    def residents(self, row: int) -> Sequence[Resident]:
        """The tasks that hold resources on an instance, oldest first."""
        return self._residents.get(row, ())

    def offers(self) -> list[Offer]:
        """What the capacity providers could launch, one for each template and zone."""
        providers = self.state.capacity_providers
        return offers_by({name: each.call for name, each in providers.items()})

    def explain(
        self, kind: TaskKind, offers: Sequence[Offer] = (), *, seek_changes: bool = True
    ) -> Explanation:
        """See `placement.engine.explain.explain_kind`."""
        return explain_kind(self.engine, kind, self.residents, offers, seek_changes)

    def lack(self, name: str) -> Lack | None:
        """What the service, the task (a number) or the family of that name lacks now.

        None where the state does not hold it: there is nothing of that name, or it is a task of
        RunTask that waits no more, whose placement constraints ECS does not describe either.
        """
        service = self.state.services.get(name)
        if service is not None and service.status == "ACTIVE":
            return self.of_service(service)
        if name.isdecimal() and int(name) < self.state.tasks_ever:
            task = self.state.tasks.get(int(name))
            return None if task is None else self.of_task(task)
        return self._of_family(name)

    # --- what is there ----------------------------------------------------------------------------

    def _add(self, row: int, instance: ContainerInstance | None) -> None:
        cluster = self.cluster
        if instance is None:
            cluster.register(row, {}, {})
            cluster.set_status(row, InstanceStatus.INACTIVE)
            return
        named = instance.ec2_instance_id, instance.attributes, instance.capacity_provider
        tasks = [self.state.tasks[number] for number in instance.tasks]
        held = [task for task in tasks if task.desired_status is TaskStatus.RUNNING]
        # Ports in use are listed with those that the instance reserves for itself.
        own = []
        for protocol, ports in (("tcp", instance.tcp), ("udp", instance.udp)):
            used = Counter(port for t in held for port in (t.tcp if protocol == "tcp" else t.udp))
            own += [(protocol, port) for port in (Counter(ports) - used)]
        cluster.register(
            row,
            instance.registered,
            instance_strings(*named),
            reserved_ports=own,
            devices=instance.devices,
            at_ms=instance.registered_at_ms,
        )
        for task in held:
            there = Resident(task.number, _held(task), task.devices)
            cluster.reserve(there.kind, row)
            self._residents.setdefault(row, []).append(there)
        cluster.set_status(row, instance.status)
        cluster.set_connected(row, instance.agent_connected)

    # --- what lacks -------------------------------------------------------------------------------

    def of_service(self, service: Service) -> Lack:
        """What a service lacks now, or one more task of it."""
        primary = service.deployments[0].task_definition
        call = msgspec.structs.replace(service.call, task_definition=primary)
        launch = self.launches.of_service(call)
        if service.daemon:
            return self._of_daemon(service, launch.kind)
        waiting = self._waiting(service=service.name)
        if waiting:
            kind = launch.on(waiting[0].capacity_provider).kind
        else:
            kind = launch.on(self._next_provider(service)).kind
        count = len(waiting)
        more = missing(self.state, service)
        # Who misses tasks although one more fits has only not looked yet.
        if more and not fits_anywhere(self.engine, kind):
            count += more
        return Lack(f"service {service.name}", kind, count, call.desired_count)

    def _of_daemon(self, service: Service, kind: TaskKind) -> Lack:
        cluster, due = self.cluster, self.cluster.active & self.engine.fixed_mask(kind)
        has = cluster.group_count(kind.group) > 0
        tasks, first = self.state.tasks, service.deployments[0].id
        for number in service.tasks:
            task = tasks[number]
            if task.instance is not None and (not due[task.instance] or task.deployment != first):
                has[task.instance] = False
        start = int((due & ~has & cluster.agent_connected).sum())
        return of_daemon(
            service.name, kind, start, int((due & (has | cluster.agent_connected)).sum())
        )

    def _next_provider(self, service: Service) -> str | None:
        strategy = service.call.capacity_provider_strategy
        if not strategy:
            return None
        first = service.deployments[0].id
        mine = (self.state.tasks[number] for number in service.tasks)
        have = Counter(task.capacity_provider for task in mine if task.deployment == first)
        names = [item.capacity_provider for item in strategy]
        return names[deal(strategy, 1, [have[name] for name in names]).index(1)]

    def _waiting(self, service: str | None = None, family: str | None = None) -> list[Task]:
        found = self.state.list_tasks(service=service, family=family)
        return [task for task in found if task.last_status is TaskStatus.PROVISIONING]

    def of_task(self, task: Task, call: RunTask | StartTask | None = None) -> Lack | None:
        """A task, and one more like it; None where neither it nor `call`, which it came of, says
        what that is."""
        waits = task.last_status is TaskStatus.PROVISIONING
        call = task.asked or call
        if isinstance(call, RunTask):
            kind = self._asked(call, task.capacity_provider, task.task_definition)
        elif call is not None:
            kind = self.launches.of_start_task(call).kind
        elif task.service is not None and task.service in self.state.services:
            of = self.state.services[task.service].call
            of = msgspec.structs.replace(of, task_definition=task.task_definition)
            kind = self.launches.of_service(of).on(task.capacity_provider).kind
        else:
            return None
        name = f"task {task.number} of {task.group}"
        row = -1 if task.instance is None else task.instance
        return Lack(name, kind, int(waits), 1, status=task.last_status, row=row)

    def of_waiting(self, name: str, waiting: Sequence[Task]) -> Lack:
        """Tasks of RunTask that wait for capacity, as one more like the first of them."""
        first = waiting[0]
        assert first.asked is not None, "only a task that waits has its call"
        kind = self._asked(first.asked, first.capacity_provider, first.task_definition)
        return Lack(name, kind, len(waiting), len(waiting))

    def _asked(self, call: RunTask, provider: str | None, definition: str) -> TaskKind:
        """The kind of a call's tasks. By full name: the family may have a later revision by now."""
        call = msgspec.structs.replace(call, task_definition=definition)
        return self.launches.of_run_task(call, provider).kind

    def _of_family(self, name: str) -> Lack | None:
        family = name.partition(":")[0]
        waiting = [t for t in self._waiting(family=family) if t.asked is not None]
        failed = self.state.failed.get(family)
        if failed is not None and (not waiting or failed[2] == self.state.now_ms):
            call, notice, at_ms = failed
            try:
                kind = self.launches.of_run_task(call, notice.capacity_provider).kind
            except PlacementError:
                return None
            count = notice.count if at_ms == self.state.now_ms else 0
            said = f"request {call.request} of {call.task_definition}"
            return Lack(said, kind, count, call.count)
        return self.of_waiting(f"family {name}", waiting) if waiting else None


def missing(state: State, service: Service) -> int:
    """How many tasks a service, no DAEMON, would start if there were room."""
    call, primary = service.call, service.deployments[0]
    if primary.rollout_state == "FAILED":
        return 0
    mine = [state.tasks[number] for number in service.tasks]
    staying = sum(t.deployment == primary.id and not _must_go(state, t) for t in mine)
    leaving = 0
    if call.load_balancer is not None:
        leaving = sum(
            task.service == service.name and task.desired_status is TaskStatus.STOPPED
            for instance in state.instances.values()
            for task in map(state.tasks.__getitem__, instance.tasks)
        )
    most = call.desired_count * call.maximum_percent // 100
    room = most - len(mine) - leaving
    return max(0, min(call.desired_count - staying, room))


def _must_go(state: State, task: Task) -> bool:
    there = None if task.instance is None else state.instances.get(task.instance)
    draining = there is not None and there.status is InstanceStatus.DRAINING
    return draining or task.healthy is False


def _held(task: Task) -> TaskKind:
    """What a task holds, and whose it is: no more is known of one that runs, nor needed."""
    ports = len(task.tcp) + len(task.udp)
    amounts = {**task.amounts, **({PORTS: ports} if ports else {})}
    return TaskKind(
        tuple(amounts.items()),
        task.group,
        task.tcp,
        task.udp,
        capacity_provider=task.capacity_provider,
    )
