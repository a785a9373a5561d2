"""Follows a run through its journal alone and keeps what metrics and plots are made of.

Fed with rounds, as they happen or from a file. It books every task from the command that places it
to the report that it stopped: what an instance really holds, not what ECS already counts as free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stowplan.experiments.record.capacity_record import CapacityRecord
from stowplan.experiments.record.costs import Held
from stowplan.experiments.record.daemon_log import DaemonLog
from stowplan.experiments.record.demands import Demands
from stowplan.experiments.record.deployment_log import DeploymentLog
from stowplan.experiments.record.followers import OF_TASKS_ALONE, Others, others
from stowplan.experiments.record.leftovers import Demand, Leftover, leftovers
from stowplan.experiments.record.records import (
    TOTALS_FIELDS,
    Amounts,
    InstanceRecord,
    OwnerRecord,
    TaskRecord,
    Totals,
)
from stowplan.experiments.record.service_log import ServiceLog
from stowplan.experiments.record.stops import Stops, is_success
from stowplan.experiments.record.waits import ServiceWaits
from stowplan.placement import messages as m
from stowplan.placement.callers.callers import LOST
from stowplan.placement.callers.client import RESUBMIT, RETRY
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.scheduler.launches import Launches


@dataclass
class Recorder:
    """Call it with every round, then `finish`.

    `samples` holds (ms, SAMPLE_FIELDS) every `step_ms`; `waiting` counts what services lack, too,
    which `finish` adds, since ECS hears late of what is dead. `lost_ms`: when the first task was
    lost with its instance, `lost_heard_ms` when ECS first heard of one; `frames`: every `frame_ms`
    the fill of every instance, the larger of its CPU and memory shares in percent (255: not there),
    `leftovers` what is free then. `waits_ms`: submission to RUNNING of standalone tasks (of
    services': `service_waits`); `starts_ms`: from the placing command to RUNNING, of all tasks.
    """

    step_ms: int = 10_000
    frame_ms: int = 60_000
    instances: list[InstanceRecord] = field(default_factory=list)
    owners: dict[int | str, OwnerRecord] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    samples: list[tuple[int, ...]] = field(default_factory=list)
    frames: list[tuple[int, Sequence[int]]] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)
    waits_ms: list[int] = field(default_factory=list)
    starts_ms: list[int] = field(default_factory=list)
    services_log: ServiceLog = field(default_factory=ServiceLog)
    service_waits: ServiceWaits = field(default_factory=ServiceWaits)
    refusals: Counter[str] = field(default_factory=Counter)
    submitted: int = 0
    lost: int = 0
    recovered: int = 0
    lost_ms: int | None = None
    lost_heard_ms: int | None = None
    stops: Stops = field(default_factory=Stops)
    services_back_ms: int | None = None
    integrals: Totals = field(default_factory=Totals)
    now_ms: int = 0
    capacity: CapacityRecord = field(default_factory=CapacityRecord)
    held: Held = field(default_factory=Held)

    def __post_init__(self) -> None:
        self._launches = Launches()
        self._tasks: dict[int, TaskRecord] = {}
        self._on: dict[int, set[int]] = {}
        # Tasks that died with their instance, and when: the notice that names them follows.
        self._died: dict[int, tuple[TaskRecord, int]] = {}
        self._kinds: Counter[Demand] = Counter()
        self._demands = Demands(self._launches)
        self._services: list[OwnerRecord] = []
        self._waited: dict[int, int | str] = {}  # whose the tasks are that were PROVISIONING
        self.daemons = DaemonLog(self._launches)
        self.deployments = DeploymentLog(self._launches, self.daemons.due, self.daemons.configure)
        self.amounts = Amounts()
        self._next_sample = self._next_frame = 0
        self._more = self._others(services=False)
        self._has_services = False
        self._handlers: dict[type, Any] = {
            m.RegisterTaskDefinition: lambda e: self._launches.register(e.document),
            m.InstanceRegistered: self._registered,
            m.InstancesGone: self._gone,
            m.RunTask: self._run_task,
            m.StartTask: self._start_task,
            m.CreateService: self._service,
            m.UpdateService: self._update_service,
            m.TasksChanged: self._changed,
            m.StartTasks: self._start,
            m.TasksStopped: self._stopped_by_scheduler,
            m.RunTaskFailed: self._failed,
            m.CallThrottled: self._throttled,
            m.TasksProvisioning: self._provisioning,
            m.ServiceEvent: self._service_event,
        }

    def _others(self, *, services: bool) -> Others:
        # Deployments ask what a DAEMON is to have, so they come after the daemons.
        logs = self.service_waits, self.daemons, self.deployments
        return others(self.capacity, logs, services=services)

    def __call__(self, entry: m.Round) -> None:
        """Take in one round."""
        now_ms = entry.now_ms
        self._advance(now_ms)
        accepted, handlers = entry.accepted(), self._handlers
        if not self._has_services and any(type(e) is m.CreateService for e in accepted):
            self._has_services, self._more = True, self._others(services=True)
        if self._has_services or not OF_TASKS_ALONE.issuperset(map(type, accepted)):
            self.services_log(entry, accepted)
        more = self._more
        for messages in (accepted, entry.commands):
            for message in messages:
                kind = type(message)
                handler = handlers.get(kind)
                if handler is not None:
                    handler(message)
                if kind in more:
                    for each in more[kind]:
                        each(message, now_ms)
        if self._died:
            self._died = {}

    def finish(self, now_ms: int) -> None:
        """Close the books at the end of the run."""
        self._advance(now_ms)
        self._sample_until(now_ms + 1)
        for instance in self.instances:
            if instance.until_ms is None:
                instance.end_busy(now_ms)
                instance.until_ms = now_ms
        for task in self._tasks.values():
            self.held.add(task, self.owners[task.owner], now_ms)
        self.services_log.finish(now_ms)
        self.deployments.finish()
        self.samples = self.services_log.with_counts(self.samples)

    # --- time -----------------------------------------------------------------------------------

    def _advance(self, now_ms: int) -> None:
        if self._next_sample < now_ms or self._next_frame < now_ms:
            self._sample_until(now_ms)
        if now_ms > self.now_ms:
            self.integrals.integrate(self.totals, now_ms - self.now_ms)
            self.daemons.advance(now_ms)
        self.now_ms = now_ms

    def _sample_until(self, now_ms: int) -> None:
        """Samples and frames of the times before `now_ms`, when things were as they are now."""
        if self._next_sample < now_ms:
            waiting = self.totals.waiting + self.services_lack
            totals = replace(self.totals, waiting=waiting)
            values = [getattr(totals, name) for name in TOTALS_FIELDS]
        while self._next_sample < now_ms:
            self.samples.append((self._next_sample, *values))
            self._next_sample += self.step_ms
        if self._next_frame >= now_ms:
            return
        frame, left = self._frame()
        while self._next_frame < now_ms:
            self.frames.append((self._next_frame, frame))
            self.leftovers += [replace(each, ms=self._next_frame) for each in left]
            self._next_frame += self.frame_ms

    def _frame(self) -> tuple[bytes, list[Leftover]]:
        """The fill of every instance now, and what is left free."""
        there = [n for n, instance in enumerate(self.instances) if instance.until_ms is None]
        fills, tables = self.amounts.fills(there, len(self.instances))
        if not there:
            return fills, []
        return fills, leftovers(0, *tables, self._kinds)

    # --- instances ------------------------------------------------------------------------------

    def _registered(self, event: m.InstanceRegistered) -> None:
        if event.instance < len(self.instances):
            self._registered_again(self.instances[event.instance])
            return
        assert event.instance == len(self.instances), "instances are numbered as they register"
        record = InstanceRecord.of(event, self.now_ms)
        self.instances.append(record)
        self.amounts.add(event.resources)
        self._present(record, 1)

    def _registered_again(self, record: InstanceRecord) -> None:
        """One that is known: it was gone, or its agent only says again that it is there."""
        if record.until_ms is not None:
            record.until_ms = None
            self._present(record, 1)

    def _present(self, record: InstanceRecord, sign: int) -> None:
        self.totals.cpu += sign * record.cpu
        self.totals.memory += sign * record.memory
        self.totals.present += sign

    def _gone(self, event: m.InstancesGone) -> None:
        since_ms = self.now_ms if event.since_ms is None else event.since_ms
        for number in event.instances:
            for task in sorted(self._on.get(number, ())):
                self._died[task] = self._tasks[task], since_ms
                self._remove(task)
            record = self.instances[number]
            if record.until_ms is not None:
                continue
            record.until_ms = self.now_ms
            self._present(record, -1)

    # --- what is asked for ----------------------------------------------------------------------

    def _run_task(self, event: m.RunTask) -> None:
        if event.started_by.endswith((RETRY, RESUBMIT)):
            if event.started_by.endswith(RESUBMIT):
                self.totals.waiting += event.count
            return
        self._demands.note(event)
        self._submit(event, event.count)

    def _throttled(self, event: m.CallThrottled) -> None:
        """A job is submitted when it is first asked for; its retry is known by its name."""
        if event.count and not event.started_by.endswith((RETRY, RESUBMIT)):
            self._submit(event, event.count)

    def _start_task(self, event: m.StartTask) -> None:
        self._submit(event, len(event.instances))

    def _submit(self, event: m.RunTask | m.StartTask | m.CallThrottled, count: int) -> None:
        assert event.request is not None  # without one, what was throttled is no job
        owner = OwnerRecord(event.started_by, False, self.now_ms, count)
        self.owners[event.request] = owner
        self.submitted += count
        self.totals.waiting += count

    def _service(self, event: m.CreateService) -> None:
        daemon = event.scheduling_strategy == "DAEMON"  # its count is not asked
        owner = OwnerRecord(
            *(event.service, True, self.now_ms, 0 if daemon else event.desired_count),
            daemon=daemon,
        )
        self.owners[event.service] = owner
        self._services.append(owner)

    def _update_service(self, event: m.UpdateService) -> None:
        owner = self.owners[event.service]
        if event.desired_count is not None:
            owner.wanted = event.desired_count

    # --- the lives of tasks ---------------------------------------------------------------------

    def _start(self, command: m.StartTasks) -> None:
        kind = self._demands.of(command)
        cpu, memory = kind[0][1], kind[1][1]
        held = self.amounts.held
        self._kinds[kind] += len(command.tasks)
        key = command.request if command.service is None else command.service
        assert key is not None
        if command.service is None:
            self.totals.waiting -= len(command.tasks)
        self.totals.pending += len(command.tasks)
        owner = self.owners[key]
        owner.placed += len(command.tasks)
        if self._waited:
            for task in command.tasks:
                self._waited.pop(task, None)
        for task, number in zip(command.tasks, command.instances, strict=True):
            self._tasks[task] = TaskRecord(key, number, kind, self.now_ms)
            self._on.setdefault(number, set()).add(task)
            record = self.instances[number]
            if not owner.daemon and not record.busy:
                record.busy_since_ms = self.now_ms
                record.ever_used = True
                self.totals.busy += 1
            record.tasks += 1
            record.daemons += owner.daemon
            for name, amount in kind:
                held[name][number] += amount
        self.totals.cpu_used += cpu * len(command.tasks)
        self.totals.memory_used += memory * len(command.tasks)

    def _changed(self, event: m.TasksChanged) -> None:
        known = self._tasks
        if event.status is TaskStatus.RUNNING:
            for task in event.tasks:
                record = known.get(task)
                if record is not None and not record.running:  # a report may come twice
                    self._running(record)
        elif event.status is TaskStatus.STOPPED:
            done = event.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED
            done = done and is_success(event.exit_code, event.reason)
            for task in event.tasks:
                record = known.get(task)
                if record is not None:
                    self.totals.finished += done and record.running
                    owner = self.owners[record.owner]
                    self.stops.add(owner, event, self.now_ms, record)
                    self._remove(task)
                    if event.stop_code in LOST:
                        owner.comes_again = True
                    elif owner.is_over:
                        del self.owners[record.owner]

    def _running(self, task: TaskRecord) -> None:
        task.running = True
        self.totals.pending -= 1
        self.totals.running += 1
        self.totals.started += 1
        self.starts_ms.append(self.now_ms - task.placed_ms)
        owner = self.owners[task.owner]
        owner.running += 1
        if owner.owed:
            owner.owed -= 1
            self.recovered += 1
            if owner.is_service and not any(o.owed for o in self._services):
                self.services_back_ms = self.now_ms
        if not owner.is_service and owner.started < owner.wanted:
            # Waiting is from the first submission to the first RUNNING, however often retried.
            self.waits_ms.append(self.now_ms - owner.submitted_ms)
            owner.started += 1

    def _remove(self, task: int) -> None:
        gone = self._tasks.pop(task)
        self._on[gone.instance].discard(task)
        record = self.instances[gone.instance]
        owner = self.owners[gone.owner]
        self.held.add(gone, owner, self.now_ms)
        if record.tasks > record.daemons:
            record.busy_ms += self.now_ms - record.busy_since_ms
            record.busy_since_ms = self.now_ms
            self.totals.busy -= record.tasks == record.daemons + 1 and not owner.daemon
        record.tasks -= 1
        record.daemons -= owner.daemon
        for name, amount in gone.kind:
            self.amounts.held[name][gone.instance] -= amount
        self.totals.cpu_used -= gone.kind[0][1]
        self.totals.memory_used -= gone.kind[1][1]
        owner.placed -= 1
        if gone.running:
            self.totals.running -= 1
            owner.running -= 1
        else:
            self.totals.pending -= 1

    def _stopped_by_scheduler(self, notice: m.TasksStopped) -> None:
        lost = [self._died[task] for task in notice.tasks if task in self._died]
        for task in notice.tasks:
            if task not in self._died:
                owner = self.owners[self._waited[task]]
                self.totals.waiting -= not owner.is_service
                self.stops.add(owner, notice, self.now_ms, None)
        if lost:
            self.lost += len(lost)
            if self.lost_heard_ms is None:
                self.lost_heard_ms = self.now_ms
            first_ms = min(at_ms for _, at_ms in lost)
            self.lost_ms = first_ms if self.lost_ms is None else min(self.lost_ms, first_ms)
            for record, _ in lost:
                owner = self.owners[record.owner]
                # A daemon goes with its instance: nothing is to be started elsewhere.
                owner.owed += not owner.daemon
                if owner.is_service and owner.owed:
                    self.services_back_ms = None  # until all are back again
                self.stops.add(owner, notice, self.now_ms, record)

    def _provisioning(self, notice: m.TasksProvisioning) -> None:
        owner = notice.request if notice.service is None else notice.service
        assert owner is not None
        self._waited.update(dict.fromkeys(notice.tasks, owner))

    def _failed(self, notice: m.RunTaskFailed) -> None:
        self.refusals[notice.failure.reason] += notice.count
        if notice.instance is not None:
            # A StartTask is not tried again.
            self.totals.waiting -= notice.count

    def _service_event(self, notice: m.ServiceEvent) -> None:
        if notice.failure is not None:
            self.refusals[notice.failure.reason] += 1

    def crash_loops(self) -> dict[str, tuple[int, int]]:
        """Services whose tasks keep ending: how many did not hold out, and their places."""
        due = {each.service: each.eligible for each in self.daemons.coverages()}
        return self.stops.loops({s.name: due.get(s.name, s.wanted) for s in self._services})

    @property
    def services_lack(self) -> int:
        """Tasks that services want now and that have no place: not even one to start on."""
        lack = sum(max(0, owner.wanted - owner.placed) for owner in self._services)
        return lack + self.daemons.lacking
