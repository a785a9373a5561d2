"""How available services were, in each zone and in all, and what healthy tasks were replaced.

Follows rounds, and of their tasks those of REPLICA services only; a daemon has no count to keep.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.model import AVAILABILITY_ZONE, StopCode, TaskStatus
from stowplan.placement.scheduler.services.events import DEPLOYMENT_FAILED


@dataclass(slots=True)
class UpTime:
    """For how long enough tasks were RUNNING: `desired` of them, or `floor` (minimum healthy)."""

    since_ms: int
    settled_ms: int
    desired: int = 0
    floor: int = 0
    running: int = 0
    at_desired_ms: int = 0
    at_floor_ms: int = 0

    def settle(self, now_ms: int) -> None:
        """Book the time since the last change; call before each."""
        passed, self.settled_ms = now_ms - self.settled_ms, now_ms
        self.at_desired_ms += passed * (self.running >= self.desired)
        self.at_floor_ms += passed * (self.running >= self.floor)


@dataclass(slots=True)
class _Task:
    service: str
    instance: int
    deployment: str | None
    running: bool = False


@dataclass
class ServiceLog:
    """Call it with every round, then `finish`.

    `up`: (service, zone) -> `UpTime`; the zone "" is all of them. What a zone is held to is an even
    share, rounded down, of what the service is held to, over all zones that ever had an instance.
    `migrations`: by service, RUNNING tasks that ECS stopped to replace them by others: of another
    deployment, off a draining instance, or for the balance of zones. Scale-in is none.
    `failed_deployments`: by service, deployments that its circuit breaker has ended.
    """

    up: dict[tuple[str, str], UpTime] = field(default_factory=dict)
    migrations: Counter[str] = field(default_factory=Counter)
    failed_deployments: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._services: dict[str, m.CreateService] = {}
        self._zones: list[str] = []
        self._zone: dict[int, str] = {}
        self._number: dict[str, int] = {}
        self._draining: set[int] = set()
        self._tasks: dict[int, _Task] = {}
        self._on: dict[int, dict[int, None]] = {}
        self._now_ms = 0
        self._handlers: dict[type, Any] = {
            m.InstanceRegistered: self._registered,
            m.InstancesGone: self._gone,
            m.UpdateContainerInstancesState: self._set_state,
            m.InstancesTerminating: self._terminating,
            m.CreateService: self._create,
            m.UpdateService: self._update,
            m.StartTasks: self._start,
            m.StopTasks: self._stop,
            m.TasksChanged: self._changed,
            m.ServiceEvent: self._said,
        }

    def __call__(self, entry: m.Round, accepted: Iterable[m.Event] | None = None) -> None:
        """Take in one round; `accepted` where the caller has them already."""
        self._now_ms = entry.now_ms
        events = entry.accepted() if accepted is None else accepted
        for message in (*events, *entry.commands):
            handler = self._handlers.get(type(message))
            if handler is not None:
                handler(message)

    def finish(self, now_ms: int) -> None:
        """Close the books at the end of the run."""
        for up in self.up.values():
            up.settle(now_ms)

    def _registered(self, event: m.InstanceRegistered) -> None:
        zone = event.attributes.get(AVAILABILITY_ZONE, "")
        self._zone[event.instance] = zone
        self._number[event.ec2_instance_id] = event.instance
        if zone and zone not in self._zones:
            self._zones.append(zone)
            for name in self._services:
                self._hold(name)

    def _set_state(self, call: m.UpdateContainerInstancesState) -> None:
        if call.status == "DRAINING":
            self._draining.update(call.instances)
        else:
            self._draining.difference_update(call.instances)

    def _terminating(self, event: m.InstancesTerminating) -> None:
        names = event.ec2_instance_ids
        self._draining.update(self._number[name] for name in names if name in self._number)

    def _create(self, call: m.CreateService) -> None:
        if call.scheduling_strategy != "DAEMON":
            self._services[call.service] = call
            self._hold(call.service)

    def _update(self, call: m.UpdateService) -> None:
        if call.service in self._services:
            self._services[call.service] = call.applied_to(self._services[call.service])
            self._hold(call.service)

    def _hold(self, name: str) -> None:
        """Hold a service to what it is configured to, from now on."""
        call = self._services[name]
        floor = -(-call.desired_count * call.minimum_healthy_percent // 100)
        for zone in ("", *self._zones):
            share = len(self._zones) if zone else 1
            up = self.up.setdefault((name, zone), UpTime(self._now_ms, self._now_ms))
            up.settle(self._now_ms)
            up.desired, up.floor = call.desired_count // share, floor // share

    def _start(self, command: m.StartTasks) -> None:
        if command.service not in self._services:
            return
        for task, number in zip(command.tasks, command.instances, strict=True):
            self._tasks[task] = _Task(command.service, number, command.deployment)
            self._on.setdefault(number, {})[task] = None

    def _changed(self, event: m.TasksChanged) -> None:
        for number in event.tasks:
            task = self._tasks.get(number)
            if task is None:
                continue
            if event.status is TaskStatus.RUNNING and not task.running:
                task.running = True
                self._count(task, 1)
            elif event.status is TaskStatus.STOPPED:
                self._remove(number)

    def _gone(self, event: m.InstancesGone) -> None:
        for instance in event.instances:
            for task in list(self._on.get(instance, ())):
                self._remove(task)

    def _remove(self, number: int) -> None:
        task = self._tasks.pop(number)
        del self._on[task.instance][number]
        if task.running:
            self._count(task, -1)

    def _count(self, task: _Task, change: int) -> None:
        for zone in {"", self._zone.get(task.instance, "")}:
            up = self.up[task.service, zone]
            up.settle(self._now_ms)
            up.running += change

    def _said(self, notice: m.ServiceEvent) -> None:
        self.failed_deployments[notice.service] += f") {DEPLOYMENT_FAILED}:" in notice.text

    def _stop(self, command: m.StopTasks) -> None:
        if command.stop_code is not StopCode.SERVICE_SCHEDULER_INITIATED:
            return  # a user's stop is not ECS's replacement
        for number in command.tasks:
            task = self._tasks.get(number)
            if task is None or not task.running:
                continue
            # The reason names the deployment for which tasks stop; its own stop by scale-in.
            own = f"{task.deployment})" in command.reason
            balance = command.reason.startswith("Availability-zone rebalancing")
            if not own or balance or task.instance in self._draining:
                self.migrations[task.service] += 1
