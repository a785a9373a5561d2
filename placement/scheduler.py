"""The sans-IO scheduler: facts and requests go in, one decision a round comes out.

`receive` only records; `decide(now_ms)` works through everything recorded since the last round and
returns commands; `deadline_ms` says when to call again if nothing happens. It never blocks, sleeps
or reads a clock, so the same code runs in simulated and in real time, and a journal of its rounds
replays to the same commands. A task is taken to be placed with the command that starts it, and to
run with the event that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from placement import messages as m
from placement.cluster import Cluster, instance_strings
from placement.constraints import CONSTRAINTS, ConstraintFactory
from placement.engine import Engine, Filled, joined
from placement.errors import PlacementError
from placement.launches import Launches
from placement.model import InstanceStatus, StopCode, TaskStatus
from placement.outlook import Outlook
from placement.reasons import PROVISIONING_QUOTA, Failure
from placement.services import Service, missing, plan_daemon, running_count, surplus
from placement.strategies import STRATEGIES, StrategyFactory
from placement.tasks import NOWHERE, Launch, TaskTable
from placement.waiting import WaitingTasks


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """What a run fixes beforehand; kept in the journal's header, since a replay needs it.

    `provisioning_quota`: PROVISIONING tasks per cluster (ecs-semantics 6.2). `provisioning_
    timeout_ms`: how long a task may wait before it is stopped; None: for ever. AWS's value is not
    published; ours is the upper end of the 10 to 30 minutes that were seen.
    """

    seed: int = 0
    provisioning_quota: int | None = 500
    provisioning_timeout_ms: int | None = 1_800_000


class Scheduler:
    """ECS's scheduler for one cluster.

    Args:
        config: see `SchedulerConfig`.
        strategies, constraints: registries by type; pass `STRATEGIES | {...}` to add your own.
    """

    def __init__(
        self,
        config: SchedulerConfig = SchedulerConfig(),
        strategies: Mapping[str, StrategyFactory] = STRATEGIES,
        constraints: Mapping[str, ConstraintFactory] = CONSTRAINTS,
    ) -> None:
        self.config = config
        self.cluster = Cluster()
        rng = np.random.default_rng(np.random.SeedSequence(config.seed))
        self.engine = Engine(self.cluster, rng, strategies, constraints)
        self.tasks = TaskTable()
        self.services: dict[str, Service] = {}
        self.launches = Launches()
        self._inbox: list[m.Event] = []
        self._out: list[m.Command] = []
        self._now_ms = 0
        self.requests: list[tuple[Launch, int]] = []
        self._starts: list[tuple[Launch, tuple[int, ...]]] = []
        self._touched: dict[str, None] = {}
        self._short: dict[str, None] = {}
        self.waiting = WaitingTasks(config.provisioning_quota, config.provisioning_timeout_ms)
        self._daemons_version = -1
        self._handlers: dict[type, Callable[[Any], None]] = {
            m.RegisterTaskDefinition: self._register_task_definition,
            m.RunTask: self._run_task,
            m.StartTask: self._start_task,
            m.StopTask: self._stop_task,
            m.CreateService: self._create_service,
            m.UpdateService: self._update_service,
            m.UpdateContainerInstancesState: self._update_instances,
            m.InstanceRegistered: self._instance_registered,
            m.AgentConnectionChanged: self._agent_changed,
            m.InstancesGone: self._instances_gone,
            m.TasksChanged: self._tasks_changed,
        }

    # --- the sans-IO surface --------------------------------------------------------------------

    def receive(self, event: m.Event) -> None:
        """Record one event; nothing is decided before the next `decide`."""
        self._inbox.append(event)

    def decide(self, now_ms: int) -> tuple[m.Command, ...]:
        """Work through all that was received and say what to do.

        Order: facts and calls as received; then services, tasks that wait, new requests.

        Args:
            now_ms: the time of this round; never less than that of the last.
        Returns:
            commands in the order in which to carry them out, notices among them; a call that names
            something unknown changes nothing and is answered with CallRejected.
        """
        assert now_ms >= self._now_ms, f"time went back from {self._now_ms} to {now_ms} ms"
        self._now_ms = now_ms
        events, self._inbox = self._inbox, []
        for position, event in enumerate(events):
            try:
                self._handlers[type(event)](event)
            except PlacementError as error:
                self._out.append(m.CallRejected(position, event, str(error)))
        self.engine.look_ahead(now_ms, Outlook(self))
        self._settle_services()
        self._start_waiting(self.waiting.place(self.engine, self.tasks))
        self._expire()
        self._place_starts()
        self._place_requests()
        commands, self._out = tuple(self._out), []
        return commands

    @property
    def deadline_ms(self) -> int | None:
        """When `decide` has something to do even if no event comes; None: never."""
        return self.waiting.deadline_ms

    # --- API calls ------------------------------------------------------------------------------

    def _register_task_definition(self, call: m.RegisterTaskDefinition) -> None:
        self.launches.register(call.document)

    def _run_task(self, call: m.RunTask) -> None:
        if call.count < 1:
            raise PlacementError(f"{call.count} tasks asked for, at least 1 expected")
        launch = self.launches.of_run_task(call)
        self.engine.check(launch.kind)
        self.requests.append((launch, call.count))

    def _start_task(self, call: m.StartTask) -> None:
        self._starts.append((self.launches.of_start_task(call), call.instances))

    def _stop_task(self, call: m.StopTask) -> None:
        unknown = [task for task in call.tasks if not 0 <= task < len(self.tasks)]
        if unknown:
            raise PlacementError(f"unknown tasks {unknown}")
        # A task that is named twice must not give its resources back twice.
        self._stop(list(dict.fromkeys(call.tasks)), StopCode.USER_INITIATED, call.reason)

    def _create_service(self, call: m.CreateService) -> None:
        if call.service in self.services:
            raise PlacementError(f"service {call.service!r} exists already")
        _check_count(call.desired_count)
        launch = self.launches.of_service(call)
        self.engine.check(launch.kind)
        daemon = call.scheduling_strategy == "DAEMON"
        self.services[call.service] = Service(call.service, launch, call.desired_count, daemon)
        self._touched[call.service] = None

    def _update_service(self, call: m.UpdateService) -> None:
        if call.service not in self.services:
            raise PlacementError(f"unknown service {call.service!r}")
        _check_count(call.desired_count)
        self.services[call.service].desired_count = call.desired_count
        self.services[call.service].steady = False
        self._touched[call.service] = None

    def _update_instances(self, call: m.UpdateContainerInstancesState) -> None:
        if call.status not in (InstanceStatus.ACTIVE, InstanceStatus.DRAINING):
            raise PlacementError(f"status {call.status!r}: expected ACTIVE or DRAINING")
        present = self.cluster.present
        unknown = [row for row in call.instances if not (0 <= row < len(present) and present[row])]
        if unknown:
            raise PlacementError(f"instances {unknown} are not registered")
        for row in call.instances:
            self.cluster.set_status(row, InstanceStatus(call.status))
            self._touch(self.tasks.on(row))

    # --- facts ----------------------------------------------------------------------------------

    def _instance_registered(self, event: m.InstanceRegistered) -> None:
        tcp = [("tcp", port) for port in event.reserved_tcp]
        self.cluster.register(
            event.instance,
            event.resources,
            instance_strings(event.ec2_instance_id, event.attributes, event.capacity_provider),
            reserved_ports=tcp + [("udp", port) for port in event.reserved_udp],
            devices=event.devices,
            at_ms=self._now_ms,
        )
        # One that registers again is ACTIVE: services with tasks there may have too many now.
        self._touch(self.tasks.on(event.instance))

    def _agent_changed(self, event: m.AgentConnectionChanged) -> None:
        for row in event.instances:
            self.cluster.set_connected(row, event.connected)

    def _instances_gone(self, event: m.InstancesGone) -> None:
        ids = self.cluster.column("ec2InstanceId")
        for row in event.instances:
            there = self.tasks.on(row)
            lost = [task for task in there if self.tasks.alive(task)]
            for task in there:
                self.tasks.advance(task, TaskStatus.STOPPED)
            self._end(lost)
            self.cluster.set_status(row, InstanceStatus.INACTIVE)
            if lost:
                reason = f"Host EC2 (instance {ids.values[ids.codes[row]]}) {event.reason}"
                code = StopCode.INFRASTRUCTURE_HEALTH
                self._out.append(m.TasksStopped(tuple(lost), code, reason))

    def _tasks_changed(self, event: m.TasksChanged) -> None:
        changed = [task for task in event.tasks if self.tasks.advance(task, event.status)]
        if event.status is TaskStatus.STOPPED:
            self._end([task for task in changed if self.tasks.alive(task)])
        else:
            self._touch(changed)

    # --- ending tasks ---------------------------------------------------------------------------

    def _stop(self, tasks: list[int], code: StopCode, reason: str) -> None:
        """Ask for these tasks to stop; those that wait for capacity are stopped already."""
        alive = [task for task in tasks if self.tasks.alive(task)]
        placed = tuple(task for task in alive if self.tasks.instance[task] != NOWHERE)
        unplaced = tuple(task for task in alive if self.tasks.instance[task] == NOWHERE)
        for task in unplaced:
            self.tasks.advance(task, TaskStatus.STOPPED)
        self._end(alive)
        if placed:
            self._out.append(m.StopTasks(placed, code, reason))
        if unplaced:
            self._out.append(m.TasksStopped(unplaced, code, reason))

    def _end(self, tasks: list[int]) -> None:
        """desiredStatus becomes STOPPED: resources are free at once (ecs-semantics 2.4)."""
        self._touch(tasks)
        for task in tasks:
            launch, row = self.tasks.launch[task], self.tasks.instance[task]
            self.tasks.end(task)
            if row == NOWHERE:
                self.waiting.remove(launch.kind, task)
            else:
                self.cluster.release(launch.kind, row, self.tasks.devices(task))
            if launch.service is not None:
                del self.services[launch.service].tasks[task]

    def _touch(self, tasks: list[int]) -> None:
        for task in tasks:
            service = self.tasks.launch[task].service
            if service is not None:
                self._touched[service] = None

    # --- services -------------------------------------------------------------------------------

    def _settle_services(self) -> None:
        """Bring every service that something happened to, or that lacks tasks, to its count."""
        self._settle_daemons()
        dirty = [name for name in self.services if name in self._touched or name in self._short]
        self._touched = {}
        for name in dirty:
            service = self.services[name]
            if service.daemon:
                continue
            reason = f"Scaling activity initiated by (service {name})"
            extra = surplus(service, self.tasks, self.engine)
            self._stop(extra, StopCode.SERVICE_SCHEDULER_INITIATED, reason)
            wanted = missing(service, self.tasks, self.cluster)
            failure = self._start_service_tasks(service, wanted) if wanted else None
            if failure is None:
                self._short.pop(name, None)
            else:
                self._short[name] = None
            self._report(service, failure)
        # Stopping a service's own tasks is not news to it.
        self._touched = {}

    def _settle_daemons(self) -> None:
        """Daemons come first, so that on a new instance they have their room before any other."""
        daemons = [service for service in self.services.values() if service.daemon]
        touched = any(service.name in self._touched for service in daemons)
        if not touched and self._daemons_version == self.cluster.version:
            return
        for service in daemons:
            plan = plan_daemon(service, self.tasks, self.engine)
            reason = f"Scaling activity initiated by (service {service.name})"
            self._stop(plan.stop, StopCode.SERVICE_SCHEDULER_INITIATED, reason)
            kind = service.launch.kind
            filled = joined([self.engine.place_on(kind, row) for row in plan.start])
            for task in self._start(service.launch, filled):
                service.tasks[task] = None
            service.desired_count = plan.eligible
            self._report(service, filled.failure)
        self._daemons_version = self.cluster.version

    def _start_service_tasks(self, service: Service, count: int) -> Failure | None:
        filled = self.engine.fill(service.launch.kind, count)
        for task in self._start(service.launch, filled):
            service.tasks[task] = None
        return filled.failure

    def _report(self, service: Service, failure: Failure | None) -> None:
        complaint = failure.reason if failure else ""
        if failure and complaint != service.complaint:
            text = (
                f"(service {service.name}) was unable to place a task because no container "
                f"instance met all of its requirements."
            )
            self._out.append(m.ServiceEvent(service.name, text, failure))
        service.complaint = complaint
        running = running_count(service, self.tasks)
        steady = running == service.desired_count == len(service.tasks)
        if steady and not service.steady:
            text = f"(service {service.name}) has reached a steady state."
            self._out.append(m.ServiceEvent(service.name, text))
        service.steady = steady

    # --- single tasks ---------------------------------------------------------------------------

    def _place_starts(self) -> None:
        """StartTask: where the caller says, or not at all (ecs-semantics 9.1)."""
        starts, self._starts = self._starts, []
        for launch, rows in starts:
            for row in rows:
                filled = self.engine.place_on(launch.kind, row)
                self._start(launch, filled)
                if filled.failure is not None:
                    assert launch.request is not None
                    self._out.append(m.RunTaskFailed(launch.request, 1, filled.failure, row))

    def _place_requests(self) -> None:
        requests, self.requests = self.requests, []
        for launch, count in requests:
            filled = self.engine.fill(launch.kind, count)
            self._start(launch, filled)
            failure = filled.failure
            if failure is None:
                continue
            assert launch.request is not None
            left = count - len(filled.rows)
            if launch.kind.capacity_provider is not None:
                left -= self._wait(launch, left, failure)
                failure = Failure(PROVISIONING_QUOTA)
            if left:
                self._out.append(m.RunTaskFailed(launch.request, left, failure))

    def _wait(self, launch: Launch, count: int, failure: Failure) -> int:
        """Let up to `count` tasks wait for capacity; returns how many the quota admits."""
        room = self.waiting.room_for(count)
        tasks = [self.tasks.create(launch, TaskStatus.PROVISIONING) for _ in range(room)]
        self.waiting.add(launch.kind, tasks, self._now_ms)
        if tasks:
            assert launch.request is not None
            self._out.append(m.TasksProvisioning(launch.request, tuple(tasks), failure))
        return len(tasks)

    def _start_waiting(self, placed: list[int]) -> None:
        """One StartTasks for each run of tasks of the same launch."""
        for launch, tasks in groupby(placed, key=self.tasks.launch.__getitem__):
            self._command_start(launch, list(tasks))

    def _start(self, launch: Launch, filled: Filled) -> list[int]:
        tasks = []
        for row, devices in zip(filled.rows, filled.devices, strict=True):
            task = self.tasks.create(launch, TaskStatus.PROVISIONING)
            self.tasks.put(task, row, devices)
            tasks.append(task)
        if tasks:
            self._command_start(launch, tasks)
        return tasks

    def _command_start(self, launch: Launch, tasks: list[int]) -> None:
        self._out.append(
            m.StartTasks(
                launch.task_definition,
                launch.kind.group,
                tuple(tasks),
                tuple(self.tasks.instance[task] for task in tasks),
                tuple(map(self.tasks.devices, tasks)) if launch.kind.devices else (),
                launch.request,
                launch.service,
                launch.cpu,
                launch.memory,
            )
        )

    def _expire(self) -> None:
        """Stop the tasks that waited too long, each with the reason that holds now."""
        for task in self.waiting.expired(self._now_ms):
            failure = self.engine.explain(self.tasks.launch[task].kind)
            reason = f"{StopCode.TASK_FAILED_TO_START}: {failure.reason}"
            self._stop([task], StopCode.TASK_FAILED_TO_START, reason)


def _check_count(desired_count: int) -> None:
    if desired_count < 0:
        raise PlacementError(f"desired count {desired_count}, at least 0 expected")
