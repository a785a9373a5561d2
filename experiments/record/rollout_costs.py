"""What deployments cost: time, tasks and instances beside those that are wanted, and the risk.

Counted while a deployment goes on that replaces another one; a rollback is part of it. DAEMONs have
no count and are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stowplan.experiments.record.capacity_record import MS_PER_HOUR
from stowplan.experiments.record.deployment_log import DeploymentLog
from stowplan.placement import messages as m
from stowplan.placement.model import TaskStatus


@dataclass(slots=True)
class _Task:
    service: str | None
    deployment: str | None
    instance: int
    runs: bool = False


@dataclass(slots=True)
class _Service:
    """Its tasks that are placed and not STOPPED, those of them that run, by deployment, and the
    share of traffic that was set; None: none is."""

    desired: int
    headless: bool
    good: str = ""
    going: bool = False
    present: int = 0
    running: Counter[str | None] = field(default_factory=Counter)
    shifted: int | None = None

    def at_risk(self) -> float:
        """How many tasks' worth of traffic is not on what was last good."""
        if self.shifted is not None and not self.headless:
            return self.desired * self.shifted / m.WHOLE
        total = self.running.total()
        return self.desired * (total - self.running[self.good]) / total if total else 0.0


class RolloutCosts:
    """Call the handler of each message's type, where there is one, with the message and the time,
    after the log of deployments has heard of it.

    `going_ms` are services' deployments one after the other; `extra_ms` task-milliseconds beyond
    desired counts, `at_risk_ms` task-milliseconds of traffic on what is new; `instances` the most
    that were in use beyond as many as when deployments began, `microusd_ms` what these cost.
    """

    def __init__(self, deployments: DeploymentLog) -> None:
        self.going_ms = self.extra_ms = self.instances = 0
        self.at_risk_ms = self.microusd_ms = 0.0
        self._deployments = deployments
        self._services: dict[str, _Service] = {}
        self._tasks: dict[int, _Task] = {}
        self._on: dict[int, set[int]] = {}
        self._price: dict[int, int] = {}
        self._used = self._paid = 0  # instances with tasks, and their prices together
        self._before: tuple[int, int] | None = None  # the same when deployments began
        self._last_ms = 0
        self.handlers: Mapping[type, Callable[[Any, int], None]] = dict.fromkeys(
            self._OF, self._take
        )

    def _take(self, message: Any, now_ms: int) -> None:
        self.advance(now_ms)
        self._OF[type(message)](self, message)

    def advance(self, now_ms: int) -> None:
        """Book what was so until now."""
        took_ms, self._last_ms = now_ms - self._last_ms, now_ms
        going = [each for each in self._services.values() if each.going] if took_ms else []
        if not going or self._before is None:
            return
        self.going_ms += took_ms * len(going)
        self.extra_ms += took_ms * sum(max(0, each.present - each.desired) for each in going)
        self.at_risk_ms += took_ms * sum(each.at_risk() for each in going)
        self.instances = max(self.instances, self._used - self._before[0])
        self.microusd_ms += took_ms * max(0, self._paid - self._before[1])

    @property
    def dollars(self) -> float:
        """What the instances cost that were in use beyond as many as when deployments began."""
        return self.microusd_ms / MS_PER_HOUR / 1e6

    # --- services -------------------------------------------------------------------------------

    def _create(self, call: m.CreateService) -> None:
        if call.scheduling_strategy != "DAEMON":
            self._services[call.service] = _Service(call.desired_count, call.headless)

    def _update(self, call: m.UpdateService) -> None:
        service = self._services.get(call.service)
        if service is None:
            return
        if call.desired_count is not None:
            service.desired = call.desired_count
        if call.task_definition is not None or call.force_new_deployment:
            service.shifted = None
        self._look(call.service, service)

    def _look(self, name: str, service: _Service) -> None:
        """Whether a deployment goes on; the first of them begins a time of deployments."""
        service.going = self._deployments.is_going(name)
        if not any(each.going for each in self._services.values()):
            self._before = None
        elif self._before is None:
            self._before = self._used, self._paid

    def _said(self, notice: m.ServiceEvent) -> None:
        service = self._services.get(notice.service)
        if service is None:
            return
        if "deployment completed" in notice.text:
            service.good = notice.text.partition("(deployment ")[2].partition(")")[0]
            service.shifted = None
        elif "rolling back" in notice.text:
            service.good = notice.text.rpartition(" ")[2].rstrip(".")
        self._look(notice.service, service)

    def _came_to(self, notice: m.DeploymentStage) -> None:
        if notice.service in self._services:
            self._services[notice.service].shifted = notice.production

    # --- tasks and instances --------------------------------------------------------------------

    def _registered(self, event: m.InstanceRegistered) -> None:
        self._price[event.instance] = event.price_microusd_hour

    def _start(self, command: m.StartTasks) -> None:
        for number, instance in zip(command.tasks, command.instances, strict=True):
            if command.service is not None and command.service not in self._services:
                continue  # a DAEMON's
            self._tasks[number] = _Task(command.service, command.deployment, instance)
            there = self._on.setdefault(instance, set())
            if not there:
                self._used, self._paid = self._used + 1, self._paid + self._price[instance]
            there.add(number)
            if command.service is not None:
                self._services[command.service].present += 1

    def _changed(self, event: m.TasksChanged) -> None:
        for number in event.tasks:
            task = self._tasks.get(number)
            if task is None:
                continue
            if event.status is TaskStatus.STOPPED:
                self._end(number)
            elif event.status is TaskStatus.RUNNING and not task.runs:
                task.runs = True
                if task.service is not None:
                    self._services[task.service].running[task.deployment] += 1

    def _stop(self, command: m.StopTasks) -> None:
        for number in command.tasks:
            self._no_longer_runs(self._tasks.get(number))

    def _no_longer_runs(self, task: _Task | None) -> None:
        """It gets no traffic any more."""
        if task is not None and task.runs and task.service is not None:
            self._services[task.service].running[task.deployment] -= 1
        if task is not None:
            task.runs = False

    def _end(self, number: int) -> None:
        task = self._tasks.pop(number)
        self._no_longer_runs(task)
        if task.service is not None:
            self._services[task.service].present -= 1
        there = self._on[task.instance]
        there.discard(number)
        if not there:
            self._used, self._paid = self._used - 1, self._paid - self._price[task.instance]

    def _gone(self, event: m.InstancesGone) -> None:
        for instance in event.instances:
            for number in list(self._on.get(instance, ())):
                self._end(number)

    _OF: Mapping[type, Callable[[RolloutCosts, Any], None]] = {
        m.CreateService: _create,
        m.UpdateService: _update,
        m.ServiceEvent: _said,
        m.DeploymentStage: _came_to,
        m.InstanceRegistered: _registered,
        m.StartTasks: _start,
        m.StopTasks: _stop,
        m.TasksChanged: _changed,
        m.InstancesGone: _gone,
    }
