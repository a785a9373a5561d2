"""The sans-IO scheduler: facts and requests go in, one decision a round comes out.

`receive` only records; `decide(now_ms)` works through everything recorded since the last round and
returns commands; `deadline_ms` says when to call again if nothing happens. It never blocks, sleeps
or reads a clock, so the same code runs in simulated and in real time, and a journal of its rounds
replays to the same commands. A task counts as placed with the command that starts it, and as
RUNNING with the event that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from stowplan.placement import messages as m
from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.constraints import CONSTRAINTS, ConstraintFactory
from stowplan.placement.engine.engine import Engine, Filled
from stowplan.placement.errors import CallError, PlacementError
from stowplan.placement.model import InstanceStatus, StopCode, TaskKind, TaskStatus
from stowplan.placement.outlook import Outlook
from stowplan.placement.reasons import PROVISIONING_QUOTA, Failure
from stowplan.placement.scheduler.capacity.providers import CapacityProviders
from stowplan.placement.scheduler.capacity.strategy import check_strategy, deal
from stowplan.placement.scheduler.config import DEFAULT_CONFIG, SchedulerConfig
from stowplan.placement.scheduler.launches import Launches
from stowplan.placement.scheduler.outlook import running, wanted
from stowplan.placement.scheduler.services.deployments import Service
from stowplan.placement.scheduler.services.services import Services
from stowplan.placement.scheduler.tasks import NOWHERE, Launch, TaskTable
from stowplan.placement.scheduler.upkeep import UPKEEP, Upkeep, check_tags
from stowplan.placement.scheduler.waiting import WaitingTasks
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import StrategyFactory
from stowplan.placement.units import earliest, not_whole

__all__ = ["Scheduler", "SchedulerConfig"]


class Scheduler:
    """ECS's scheduler for one cluster, by its `config`.

    Args:
        strategies, constraints: registries by type.
    """

    def __init__(
        self,
        config: SchedulerConfig = DEFAULT_CONFIG,
        strategies: Mapping[str, StrategyFactory] = STRATEGIES,
        constraints: Mapping[str, ConstraintFactory] = CONSTRAINTS,
    ) -> None:
        self.config = config
        self.cluster = Cluster()
        rng = np.random.default_rng(np.random.SeedSequence(config.seed))
        self.engine = Engine(self.cluster, rng, strategies, constraints)
        self.engine.awaits_more = config.fields_checked
        self.tasks = TaskTable()
        self.launches = Launches()
        self._inbox: list[m.Event] = []
        self._out: list[m.Command] = []
        self.now_ms = 0
        self.deadline_ms: int | None = None  # when `decide` has work without an event; None: never
        self.requests: list[tuple[Launch, int]] = []
        self._starts: list[tuple[Launch, tuple[int, ...]]] = []
        self.waiting = WaitingTasks(config.provisioning_quota, config.provisioning_timeout_ms)
        self.providers = CapacityProviders(
            *(self.engine, self.tasks, self.waiting.counts),
            daemons=self._daemon_groups,
            drained=self._host_changed,
            say=self._say,
        )
        self._services = Services(
            *(self.engine, self.tasks, self.launches, self.providers),
            start=self._start,
            stop=self._stop,
            wait=self._wait,
            say=self._say,
        )
        self._upkeep = Upkeep(
            *(self.cluster, self.tasks, self.launches, self._services, self.providers),
            stop=self._stop,
        )

    def _daemon_groups(self) -> list[str]:
        return self._services.daemon_groups()

    # --- the sans-IO surface --------------------------------------------------------------------

    def receive(self, event: m.Event) -> None:
        """Record one event; nothing is decided before the next `decide`."""
        self._inbox.append(event)

    def decide(self, now_ms: int) -> tuple[m.Command, ...]:
        """Work through all that was received and say what to do.

        Order: facts and calls as received; then services, tasks that wait, new requests, capacity.

        Args:
            now_ms: the time of this round; never less than that of the last.
        Returns:
            commands in the order in which to carry them out, notices among them. A call or a report
            that names an unknown thing changes nothing and is answered with CallRejected.
        """
        assert now_ms >= self.now_ms, f"time went back from {self.now_ms} to {now_ms} ms"
        self.now_ms = self.cluster.now_ms = now_ms
        events, self._inbox = self._inbox, []
        quiet = bool(events)
        for position, event in enumerate(events):
            try:
                if self._upkeep.cluster_deleted:
                    self._upkeep.check_cluster(event)
                quiet &= _HANDLERS[type(event)](self, event) is _NOTHING_FOLLOWS
            except PlacementError as error:
                quiet, code = False, error.code if isinstance(error, CallError) else ""
                self._out.append(m.CallRejected(position, event, str(error), code))
        if quiet and self._is_settled():
            return ()
        self._settle()
        several = self._services.deadline_ms, self.providers.deadline_ms
        self.deadline_ms = earliest(self.waiting.deadline_ms, *several)
        commands, self._out = tuple(self._out), []
        return commands

    def _is_settled(self) -> bool:
        """Whether nothing is to be decided after events from which nothing follows."""
        due = self.deadline_ms is not None and self.deadline_ms <= self.now_ms
        settled = not due and self.waiting.is_settled(self.cluster.version)
        return settled and not self._services.over_quota and not self.engine.looks_ahead

    def _settle(self) -> None:
        """Decide all that can be, now that events and calls are taken in."""
        now_ms, services, waiting = self.now_ms, self._services, self.waiting
        services.take_over()
        if self.engine.looks_ahead:
            self.engine.look_ahead(now_ms, self.outlook)
        services.settle(now_ms)
        if waiting:
            self._start_waiting(waiting.place(self.engine, self.tasks))
            self._expire()
        if self._starts:
            self._place_starts()
        if self.requests:
            self._place_requests()
        if services.over_quota and waiting.room_for(1):
            services.room_to_wait(now_ms)
        self.providers.settle(now_ms)

    @property
    def services(self) -> dict[str, Service]:
        """The services by name, in the order of their creation."""
        return self._services.by_name

    @property
    def short_services(self) -> frozenset[str]:
        """Services that looked for room in vain when they last did, DAEMONs not among them."""
        return self._services.short

    def lacks(self) -> list[tuple[TaskKind, int]]:
        """What services lack now, a kind and how many."""
        return self._services.lacks(self.now_ms)

    def outlook(self) -> Outlook:
        """What asks for room and what runs, for plans; answers hold until the next round."""
        return Outlook(
            lambda: wanted(self.lacks(), self.waiting.counts(), self.requests),
            lambda: running(self.tasks, self.services, self.cluster.size),
        )

    # --- API calls ------------------------------------------------------------------------------

    def _register_task_definition(self, call: m.RegisterTaskDefinition) -> None:
        self.launches.register(call.document)

    def _run_task(self, call: m.RunTask) -> None:
        if not_whole(call.count, 1):
            raise PlacementError(f"{call.count} tasks asked for, at least 1 expected")
        strategy = call.capacity_provider_strategy
        if strategy is None and call.capacity_provider is None:
            strategy = self.providers.default
        check_strategy(strategy or ())
        launch = self.launches.of_run_task(call)
        self.engine.check_call(launch.kind)
        self._upkeep.mark(call, self.now_ms)
        if not strategy:
            self.requests.append((launch, call.count))
            return
        counts = deal(strategy, call.count, [0] * len(strategy))
        for item, count in zip(strategy, counts, strict=True):
            if count:
                there = self.launches.of_run_task(call, item.capacity_provider)
                self.requests.append((there, count))

    def _start_task(self, call: m.StartTask) -> None:
        check_tags(call.tags)
        self._starts.append((self.launches.of_start_task(call), call.instances))

    def _stop_task(self, call: m.StopTask) -> None:
        self.tasks.check_known(call.tasks)
        # A task that is named twice must not give its resources back twice.
        self._stop(list(dict.fromkeys(call.tasks)), StopCode.USER_INITIATED, call.reason)

    def _update_instances(self, call: m.UpdateContainerInstancesState) -> None:
        if call.status not in (InstanceStatus.ACTIVE, InstanceStatus.DRAINING):
            raise PlacementError(f"status {call.status!r}: expected ACTIVE or DRAINING")
        self.cluster.check_present(call.instances)
        for row in call.instances:
            self.cluster.set_status(row, InstanceStatus(call.status))
            self._host_changed(row)

    # --- facts ----------------------------------------------------------------------------------

    def _instance_registered(self, event: m.InstanceRegistered) -> None:
        tcp = [("tcp", port) for port in event.reserved_tcp]
        self.cluster.register(
            event.instance,
            event.resources,
            instance_strings(event.ec2_instance_id, event.attributes, event.capacity_provider),
            reserved_ports=tcp + [("udp", port) for port in event.reserved_udp],
            devices=event.devices,
            at_ms=self.now_ms,
        )
        self.providers.registered(event.instance, event)
        # One that registers again is ACTIVE: services with tasks there may have too many now.
        self._host_changed(event.instance)

    def _host_changed(self, row: int) -> None:
        draining = self.cluster.is_draining(row)
        self._services.host_changed(self.tasks.on(row), draining=draining)

    def _agent_changed(self, event: m.AgentConnectionChanged) -> None:
        self.cluster.check_known(event.instances)
        for row in event.instances:
            self.cluster.set_connected(row, event.connected)

    def _instances_gone(self, event: m.InstancesGone) -> None:
        self.cluster.check_known(event.instances)
        ids = self.cluster.column("ec2InstanceId")
        for row in event.instances:
            lost, _ = self.tasks.stopped(self._services.drains.stopped(self.tasks.on(row)))
            self._end(lost)
            self.cluster.set_status(row, InstanceStatus.INACTIVE)
            if lost:
                reason = f"Host EC2 (instance {ids.values[ids.codes[row]]}) {event.reason}"
                self._out.append(m.TasksStopped(tuple(lost), event.stop_code, reason))

    def _tasks_changed(self, event: m.TasksChanged) -> object:
        self.tasks.check_known(event.tasks)
        if event.status is not TaskStatus.STOPPED:
            changed = self.tasks.advance(event.tasks, event.status)
            if not self.services:
                return _NOTHING_FOLLOWS
            self._services.changed(changed, event.status, self.now_ms)
            return None
        ended, never_ran = self.tasks.stopped(self._services.drains.stopped(event.tasks))
        for task in never_ran:
            self._services.failed_to_start(task, self.now_ms)
        self._end(ended)
        return None

    def _tasks_judged(self, event: m.TasksHealthChanged) -> None:
        self.tasks.check_known(event.tasks)
        self._services.judged(event.tasks, event.healthy)

    # --- ending tasks ---------------------------------------------------------------------------

    def _stop(self, tasks: list[int], code: StopCode, reason: str) -> None:
        """Ask for these tasks to stop; those that wait for capacity are stopped already."""
        if not tasks:
            return
        alive = [task for task in tasks if self.tasks.alive(task)]
        placed = [task for task in alive if self.tasks.instance[task] != NOWHERE]
        unplaced = tuple(task for task in alive if self.tasks.instance[task] == NOWHERE)
        self.tasks.stopped(unplaced)
        self._end(alive)
        for there, drain_ms in self.tasks.by_drain(placed):
            until_ms = self._services.drains.begin(there, drain_ms, self.now_ms)
            self._out.append(m.StopTasks(there, code, reason, until_ms))
        if unplaced:
            self._out.append(m.TasksStopped(unplaced, code, reason))

    def _end(self, tasks: list[int]) -> None:
        """desiredStatus becomes STOPPED: resources are free at once (ecs-semantics 2.4)."""
        table = self.tasks
        table.end(tasks)
        if len(tasks) == 1 and table.instance[tasks[0]] != NOWHERE:
            launch = table.launch[tasks[0]]
            if launch.service is None and not launch.kind.devices:
                self.engine.release(launch.kind, (table.instance[tasks[0]],))
                return
        for launch, run in groupby(tasks, key=table.launch.__getitem__):
            there = list(run)
            rows = [table.instance[task] for task in there]
            if launch.service is not None:
                self._services.remove(launch.service, there)
            if NOWHERE in rows:
                for task in there:
                    if table.instance[task] == NOWHERE:
                        self.waiting.remove(launch.kind, task)
                there = [task for task in there if table.instance[task] != NOWHERE]
                rows = [row for row in rows if row != NOWHERE]
            devices = [table.devices(task) for task in there] if launch.kind.devices else ()
            if rows:
                self.engine.release(launch.kind, rows, devices)

    # --- single tasks ---------------------------------------------------------------------------

    def _place_starts(self) -> None:
        """StartTask: on the instance that the caller names, or not at all (ecs-semantics 9.1)."""
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
            left, provider = count - len(filled.rows), launch.kind.capacity_provider
            if provider is not None and self.providers.lets_wait(provider):
                left -= len(self._wait(launch, left, failure))
                failure = Failure(PROVISIONING_QUOTA)
            if left:
                self._out.append(m.RunTaskFailed(launch.request, left, failure, None, provider))

    def _wait(self, launch: Launch, count: int, failure: Failure) -> list[int]:
        """Let up to `count` tasks wait for capacity; returns those that the quota admits."""
        room = self.waiting.room_for(count)
        tasks = [self.tasks.create(launch, TaskStatus.PROVISIONING) for _ in range(room)]
        self.waiting.add(launch.kind, tasks, self.now_ms)
        if tasks:
            provider = launch.kind.capacity_provider
            self._out.append(
                m.TasksProvisioning(launch.request, tuple(tasks), failure, launch.service, provider)
            )
        return tasks

    def _start_waiting(self, placed: list[int]) -> None:
        """One StartTasks for each run of tasks of the same launch."""
        for launch, tasks in groupby(placed, key=self.tasks.launch.__getitem__):
            self._out.append(self.tasks.start_command(launch, list(tasks)))

    def _start(self, launch: Launch, filled: Filled, found: bool = False) -> Sequence[int]:
        if not filled.rows:
            return ()
        tasks = self.tasks.create_on(launch, filled.rows, filled.devices)
        self._out.append(self.tasks.start_command(launch, tasks, found=found))
        return tasks

    def _say(self, notice: m.Command) -> None:
        self._out.append(notice)

    def _expire(self) -> None:
        """Stop the tasks that waited too long, each with the reason that holds now."""
        for task in self.waiting.expired(self.now_ms):
            failure = self.engine.explain(self.tasks.launch[task].kind)
            reason = f"{StopCode.TASK_FAILED_TO_START}: {failure.reason}"
            self._services.gave_up(task, self.now_ms)
            self._stop([task], StopCode.TASK_FAILED_TO_START, reason)


_NOTHING_FOLLOWS = object()  # an event's handler says so: by it alone nothing is to be decided
# Functions of any scheduler, so that a deep copy of one shares nothing with it.
_HANDLERS: dict[type, Callable[[Scheduler, Any], object]] = {
    m.RegisterTaskDefinition: Scheduler._register_task_definition,
    m.RunTask: Scheduler._run_task,
    m.StartTask: Scheduler._start_task,
    m.StopTask: Scheduler._stop_task,
    m.UpdateTaskProtection: lambda s, call: s._services.protect(call, s.now_ms),
    m.CreateCapacityProvider: lambda s, call: s.providers.create(call, s.now_ms),
    m.PutClusterCapacityProviders: lambda s, message: s.providers.put_default(message),
    m.CreateService: lambda s, call: s._services.create(call),
    m.UpdateService: lambda s, call: s._services.update(call),
    m.UpdateContainerInstancesState: Scheduler._update_instances,
    m.InstanceRegistered: Scheduler._instance_registered,
    m.AgentConnectionChanged: Scheduler._agent_changed,
    m.InstancesGone: Scheduler._instances_gone,
    m.TasksFound: lambda s, event: s._services.found.note(event),
    m.TasksChanged: Scheduler._tasks_changed,
    m.TasksHealthChanged: Scheduler._tasks_judged,
    m.InstancesLaunched: lambda s, event: s.providers.launched(event, s.now_ms),
    m.LaunchFailed: lambda s, event: None,  # the group tries again by itself
    m.InstancesTerminating: lambda s, event: s.providers.terminating(event, s.now_ms),
    m.InstancesTerminated: lambda s, message: s.providers.terminated(message),
    m.UpdateCapacityProvider: lambda s, call: s.providers.update(call, s.now_ms),
    **dict.fromkeys(UPKEEP, lambda s, call: s._upkeep(call)),
    m.CallThrottled: lambda s, event: None,  # it never came to be
}
