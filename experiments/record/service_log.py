"""How available services were, in each zone and in all, and what healthy tasks were replaced.

Follows rounds, and of their tasks those of REPLICA services only; a daemon has no count to keep. A
task counts while it is RUNNING and its health checks do not say otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stowplan.experiments.record.availability import ServiceHistory, UpTime, up_times
from stowplan.placement import messages as m
from stowplan.placement.model import AVAILABILITY_ZONE, StopCode, TaskStatus
from stowplan.placement.scheduler.services.events import DEPLOYMENT_FAILED


@dataclass(slots=True)
class _Task:
    service: str
    instance: int
    deployment: str | None
    placed_ms: int
    running: bool = False
    unhealthy: bool = False
    counted_ms: int = 0  # when it last came to count, or no longer to; first, when it was placed
    stopping: bool = False


@dataclass
class ServiceLog:
    """Call it with every round, then `finish`.

    `histories`: of each service, from which `finish` makes `up`: (service, zone) -> `UpTime`; the
    zone "" is all of them.
    `migrations`: by service, RUNNING tasks that ECS stopped to replace them by others: of another
    deployment, off a draining instance, or for the balance of zones. Scale-in is none.
    `failed_deployments`: by service, deployments that its circuit breaker has ended.
    """

    up: dict[tuple[str, str], UpTime] = field(default_factory=dict)
    histories: dict[str, ServiceHistory] = field(default_factory=dict)
    migrations: Counter[str] = field(default_factory=Counter)
    failed_deployments: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._services: dict[str, m.CreateService] = {}
        self._zones: dict[str, int] = {}  # -> its number
        self._zones_ms: list[tuple[int, str]] = []
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
            m.TasksHealthChanged: self._judged,
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
        for name, history in self.histories.items():
            found = up_times(history, self._zones_ms, now_ms)
            self.up.update({(name, zone): up for zone, up in found.items()})

    def with_counts(self, samples: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Samples, which begin with their time, with what was so then of all services together:
        tasks wanted, those that ran, and those of which ECS believed it."""
        at_ms = np.array([sample[0] for sample in samples], np.int64)
        sums = np.zeros((3, len(at_ms)), np.int64)
        for each in self.histories.values():
            sums[0] += each.wanted_at(at_ms)
            sums[1] += each.running_at(at_ms, believed=False)
            sums[2] += each.running_at(at_ms, believed=True)
        return [(*sample, *counts) for sample, counts in zip(samples, sums.T.tolist(), strict=True)]

    def _registered(self, event: m.InstanceRegistered) -> None:
        zone = event.attributes.get(AVAILABILITY_ZONE, "")
        self._zone[event.instance] = zone
        self._number[event.ec2_instance_id] = event.instance
        if zone and zone not in self._zones:
            self._zones[zone] = len(self._zones)
            self._zones_ms.append((self._now_ms, zone))

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
        history = self.histories.setdefault(name, ServiceHistory(self._now_ms))
        wanted = self._now_ms, call.desired_count, call.minimum_healthy_percent
        history.wanted.append(wanted)

    def _start(self, command: m.StartTasks) -> None:
        if command.service not in self._services:
            return
        for task, number in zip(command.tasks, command.instances, strict=True):
            placed = command.service, number, command.deployment, self._now_ms
            self._tasks[task] = _Task(*placed, counted_ms=self._now_ms)
            self._on.setdefault(number, {})[task] = None

    def _changed(self, event: m.TasksChanged) -> None:
        true_ms = self._true_ms(event.since_ms)
        for number in event.tasks:
            task = self._tasks.get(number)
            if task is None:
                continue
            if event.status is TaskStatus.RUNNING and not task.running:
                task.running = True
                self._count(task, 1, true_ms)
            elif event.status is TaskStatus.STOPPED:
                self._remove(number, true_ms)

    def _judged(self, event: m.TasksHealthChanged) -> None:
        true_ms = self._true_ms(event.since_ms)
        for number in event.tasks:
            task = self._tasks.get(number)
            if task is not None and task.running and task.unhealthy is event.healthy:
                task.unhealthy = not event.healthy
                self._count(task, 1 if event.healthy else -1, true_ms)

    def _gone(self, event: m.InstancesGone) -> None:
        true_ms = self._true_ms(event.since_ms)
        for instance in event.instances:
            for task in list(self._on.get(instance, ())):
                self._remove(task, true_ms)

    def _true_ms(self, since_ms: int | None) -> int:
        return self._now_ms if since_ms is None else min(since_ms, self._now_ms)

    def _remove(self, number: int, true_ms: int) -> None:
        task = self._tasks.pop(number)
        del self._on[task.instance][number]
        if not task.stopping:
            mishap = self._now_ms, max(true_ms, task.placed_ms)
            self.histories[task.service].mishaps.append(mishap)
        if task.running and not task.unhealthy:
            self._count(task, -1, true_ms)

    def _count(self, task: _Task, change: int, true_ms: int) -> None:
        """One task more that is up, or one less: not before it was placed, nor before the last."""
        task.counted_ms = max(true_ms, task.counted_ms)
        zone = self._zones.get(self._zone.get(task.instance, ""), -2)
        history = self.histories[task.service]
        history.add(self._now_ms, task.counted_ms, zone, change)

    def _said(self, notice: m.ServiceEvent) -> None:
        self.failed_deployments[notice.service] += f") {DEPLOYMENT_FAILED}:" in notice.text

    def _stop(self, command: m.StopTasks) -> None:
        for number in command.tasks:
            task = self._tasks.get(number)
            if task is None:
                continue
            task.stopping = True  # whoever asked for it: it is no mishap
            if command.stop_code is not StopCode.SERVICE_SCHEDULER_INITIATED or not task.running:
                continue  # a user's stop is not ECS's replacement
            # The reason names the deployment for which tasks stop; its own stop by scale-in.
            own = f"{task.deployment})" in command.reason
            balance = command.reason.startswith("Availability-zone rebalancing")
            if not own or balance or task.instance in self._draining:
                self.migrations[task.service] += 1
