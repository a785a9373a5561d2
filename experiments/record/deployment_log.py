"""The deployments of services, as a journal has them: their state, and what they wait for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec.structs import replace

from stowplan.placement import messages as m
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.scheduler.launches import Launches
from stowplan.placement.scheduler.services.events import DEPLOYMENT_FAILED

State = Literal["IN_PROGRESS", "COMPLETED", "FAILED", "SUPERSEDED"]
_SAID = re.compile(r"\(deployment (\S+)\) (deployment completed|" + DEPLOYMENT_FAILED + r")")
_BACK = re.compile(r"rolling back to deployment (\S+)\.")


@dataclass(slots=True)
class DeploymentRecord:
    """One deployment, or its return after a later one failed: `deployment` is the same then.

    `state` is ECS's rolloutState, or SUPERSEDED (ours): another one began before it was COMPLETED.
    `ended_ms` None: it is IN_PROGRESS. `waits_for`: what it still lacked then, in words; of a
    failed one why it failed. `failed_tasks` ended by themselves without ever running.
    """

    service: str
    deployment: str
    task_definition: str
    began_ms: int
    state: State = "IN_PROGRESS"
    ended_ms: int | None = None
    waits_for: str = ""
    failed_tasks: int = 0

    def seconds(self, now_ms: int) -> float:
        """How long it took, or has taken by `now_ms`."""
        return ((now_ms if self.ended_ms is None else self.ended_ms) - self.began_ms) / 1000


@dataclass(slots=True)
class _Task:
    deployment: str
    instance: int | None
    running: bool = False
    stopping: bool = False


@dataclass(slots=True)
class _Service:
    call: m.CreateService
    definition: str
    primary: DeploymentRecord
    tasks: dict[int, _Task] = field(default_factory=dict)
    complaint: str = ""
    failure: str = ""  # why the last task that never ran ended
    stage: str = ""  # in which a deployment is that shifts traffic

    @property
    def daemon(self) -> bool:
        return self.call.scheduling_strategy == "DAEMON"


class DeploymentLog:
    """Call the handler of each message's type, where there is one, with the message and the time,
    then `finish`.

    `records`: in the order in which they began. Args:
        launches: the task definitions registered so far.
        due: how many tasks a DAEMON is to have now.
        undone: told how a service is configured after a rollback.
    """

    def __init__(
        self,
        launches: Launches,
        due: Callable[[str], int],
        undone: Callable[[m.CreateService], None] = lambda call: None,
    ) -> None:
        self.records: list[DeploymentRecord] = []
        self._launches, self._due, self._undone = launches, due, undone
        self._services: dict[str, _Service] = {}
        self._by_id: dict[str, DeploymentRecord] = {}
        self._of: dict[int, str] = {}
        self._on: dict[int, set[int]] = {}
        self._count = 0
        self.handlers: Mapping[type, Callable[[Any, int], None]] = {
            m.CreateService: self._create,
            m.UpdateService: self._update,
            m.StartTasks: self._start,
            m.StopTasks: self._stop,
            m.TasksProvisioning: self._provision,
            m.TasksChanged: self._changed,
            m.InstancesGone: self._gone,
            m.TasksStopped: self._stopped,
            m.ServiceEvent: self._said,
            m.DeploymentStage: self._came_to,
        }

    def finish(self) -> None:
        """Say of what goes on at the end what it waits for."""
        for service in self._services.values():
            if service.primary.state == "IN_PROGRESS":
                service.primary.waits_for = self._waits(service)

    # --- what is asked for ----------------------------------------------------------------------

    def _create(self, call: m.CreateService, now_ms: int) -> None:
        definition = self._launches.definition(call.task_definition).name
        primary = self._begin(call.service, definition, now_ms)
        # A later revision of the family is another definition: the service keeps this one.
        call = replace(call, task_definition=definition)
        self._services[call.service] = _Service(call, definition, primary)

    def _update(self, call: m.UpdateService, now_ms: int) -> None:
        service = self._services[call.service]
        service.call = call.applied_to(service.call)
        definition = self._launches.definition(service.call.task_definition).name
        service.call = replace(service.call, task_definition=definition)
        if definition != service.definition or call.force_new_deployment:
            self._replace(service, self._begin(call.service, definition, now_ms), now_ms)

    def _begin(self, service: str, definition: str, now_ms: int) -> DeploymentRecord:
        """The scheduler numbers deployments as they begin, whatever the service."""
        self._count += 1
        record = DeploymentRecord(service, f"ecs-svc/{self._count}", definition, now_ms)
        self.records.append(record)
        self._by_id[record.deployment] = record
        return record

    def _replace(self, service: _Service, record: DeploymentRecord, now_ms: int) -> None:
        old = service.primary
        if old.state == "IN_PROGRESS":
            old.waits_for = self._waits(service)
            old.state, old.ended_ms = "SUPERSEDED", now_ms
        service.primary, service.definition = record, record.task_definition
        service.complaint = service.failure = service.stage = ""

    # --- what is said ---------------------------------------------------------------------------

    def _said(self, notice: m.ServiceEvent, now_ms: int) -> None:
        service = self._services[notice.service]
        if notice.failure is not None:
            service.complaint = notice.failure.reason
        if said := _SAID.search(notice.text):
            record = self._by_id[said[1]]
            record.ended_ms = now_ms
            record.state = "FAILED" if said[2] == DEPLOYMENT_FAILED else "COMPLETED"
            told = notice.text.partition(f"{DEPLOYMENT_FAILED}: ")[2].removesuffix(".")
            if record.state == "FAILED" and told != "tasks failed to start":
                record.waits_for = told
            elif record.state == "FAILED":
                why = f": {service.failure}" if service.failure else ""
                record.waits_for = f"{_tasks(record.failed_tasks)} failed to start{why}"
        if back := _BACK.search(notice.text):
            self._roll_back(service, back[1], now_ms)

    def _came_to(self, notice: m.DeploymentStage, now_ms: int) -> None:
        self._services[notice.service].stage = notice.stage

    def is_going(self, service: str) -> bool:
        """Whether a deployment goes on that replaces another one."""
        known = self._services.get(service)
        if known is None or known.daemon or known.primary.state != "IN_PROGRESS":
            return False
        own = (each for each in self.records if each.service == service)
        return any(each.state == "COMPLETED" for each in own)

    def _roll_back(self, service: _Service, name: str, now_ms: int) -> None:
        record = self._by_id.get(name)
        definition = service.primary.task_definition
        if record is None:
            known = [d for d in self.records if d.service == service.call.service]
            completed = [d.task_definition for d in known if d.state == "COMPLETED"]
            definition = completed[-1] if completed else definition
            record = self._begin(service.call.service, definition, now_ms)
        else:
            # The same deployment a second time: what became of it the first time stays told.
            record = DeploymentRecord(record.service, name, record.task_definition, now_ms)
            self.records.append(record)
            self._by_id[name] = record
        self._replace(service, record, now_ms)
        # It is configured as it was then: a later call changes that.
        undone = m.UpdateService(record.service, task_definition=record.task_definition)
        service.call = undone.applied_to(service.call)
        self._undone(service.call)

    # --- tasks ----------------------------------------------------------------------------------

    def _start(self, command: m.StartTasks, now_ms: int) -> None:
        if command.service is None or command.deployment is None:
            return
        tasks = self._services[command.service].tasks
        for task, instance in zip(command.tasks, command.instances, strict=True):
            tasks[task] = _Task(command.deployment, instance)
            self._of[task] = command.service
            self._on.setdefault(instance, set()).add(task)

    def _provision(self, notice: m.TasksProvisioning, now_ms: int) -> None:
        if notice.service is None:
            return
        service = self._services[notice.service]
        service.complaint = notice.failure.reason
        for task in notice.tasks:
            service.tasks[task] = _Task(notice.deployment or service.primary.deployment, None)
            self._of[task] = notice.service

    def _stop(self, command: m.StopTasks, now_ms: int) -> None:
        for task in command.tasks:
            if task in self._of:
                self._services[self._of[task]].tasks[task].stopping = True

    def _changed(self, event: m.TasksChanged, now_ms: int) -> None:
        for number in event.tasks:
            name = self._of.get(number)
            if name is None:
                continue
            service = self._services[name]
            if event.status is TaskStatus.RUNNING:
                service.tasks[number].running = True
            elif event.status is TaskStatus.STOPPED:
                task = service.tasks[number]
                if not task.running and not task.stopping:
                    self._by_id[task.deployment].failed_tasks += 1
                    service.failure = event.reason
                self._forget(number)

    def _gone(self, event: m.InstancesGone, now_ms: int) -> None:
        for instance in event.instances:
            for task in list(self._on.get(instance, ())):
                self._forget(task)

    def _stopped(self, notice: m.TasksStopped, now_ms: int) -> None:
        for task in notice.tasks:
            if task in self._of:
                if notice.stop_code is StopCode.TASK_FAILED_TO_START:
                    self._services[self._of[task]].complaint = notice.reason.partition(": ")[2]
                self._forget(task)

    def _forget(self, number: int) -> None:
        task = self._services[self._of.pop(number)].tasks.pop(number)
        if task.instance is not None:
            self._on[task.instance].discard(number)

    # --- what it waits for ----------------------------------------------------------------------

    def _waits(self, service: _Service) -> str:
        """What is lacking of a deployment in progress, the most of it first."""
        call, name = service.call, service.primary.deployment
        own = [each for each in service.tasks.values() if each.deployment == name]
        own = [each for each in own if not each.stopping]
        old = sum(each.deployment != name for each in service.tasks.values())
        desired = self._due(call.service) if service.daemon else call.desired_count
        queued = sum(each.instance is None for each in own)
        starting = sum(each.instance is not None and not each.running for each in own)
        lacks = max(0, desired - len(own))
        said = [self._lack(service, lacks, old)] if lacks else []
        if queued:
            said.append(f"capacity for {_tasks(queued)} PROVISIONING: {service.complaint}")
        if starting:
            said.append(f"{_tasks(starting)} to be RUNNING{_tries(service)}")
        if old and not lacks and service.stage in ("", "CLEAN_UP"):
            said.append(f"{_tasks(old)} of earlier deployments to stop")
        if service.stage and not said:
            said.append(f"the end of {service.stage}")
        return "; ".join(said)

    def _lack(self, service: _Service, lacks: int, old: int) -> str:
        """Why so many tasks are not even placed."""
        call = service.call
        ceiling = call.desired_count * call.maximum_percent // 100
        if not service.daemon and old and len(service.tasks) >= ceiling:
            return (
                f"{_tasks(old)} of earlier deployments to stop: maximumPercent "
                f"{call.maximum_percent} allows no more tasks, and minimumHealthyPercent "
                f"{call.minimum_healthy_percent} keeps these"
            )
        if service.primary.failed_tasks and service.failure:
            tries = f"{_tasks(service.primary.failed_tasks)} failed so far: {service.failure}"
            return f"{_tasks(lacks)} to start, {tries}"
        if service.complaint:
            return f"room for {_tasks(lacks)}: {service.complaint}"
        return f"{_tasks(lacks)} to be placed"


def _tries(service: _Service) -> str:
    failed = service.primary.failed_tasks
    return f", {_tasks(failed)} failed so far: {service.failure}" if failed else ""


def _tasks(count: int) -> str:
    return f"{count:,} task" + "s" * (count != 1)
