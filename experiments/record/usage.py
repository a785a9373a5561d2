"""From the rounds of a run to the problem it had to solve: what ran when, and on what it could run.

A task counts from the command that places it until it gives its room back, which it does when it is
told to stop; its instance is busy until the stop is reported (see `Recorder`). So what a run kept
busy is never less than what the tasks here need. Daemons are left out here and there: there are as
many of them as instances, so they do not say how many there must be. The room that they take is not
taken off the instances either, as a task may have been there before its instance's daemon was: so
the bound holds, and may be lower than it need be.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from stowplan.placement import messages as m
from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.model import TaskKind, TaskStatus
from stowplan.placement.optimal.over_time_demand import problem_over_time
from stowplan.placement.packing.over_time.problem import OverTimeProblem
from stowplan.placement.scheduler.launches import Launches


@dataclass(slots=True)
class _Asked:
    """What a request asked for last: a definition's name, and how many were not yet answered."""

    name: str
    kind: TaskKind
    left: int


class Usage:
    """Call it with every round, then ask for the `problem`."""

    def __init__(self) -> None:
        self._launches = Launches()
        self._cluster = Cluster()
        self._prices: list[int] = []
        self._now_ms = 0
        self._asked: dict[int | None, _Asked] = {}
        self._renamed: dict[tuple[int | None, str], TaskKind] = {}
        self._services: dict[str, m.CreateService] = {}
        self._kinds: dict[TaskKind, int] = {}
        self._running: dict[int, tuple[int, int, int]] = {}  # task -> kind, instance, start
        self._on: dict[int, dict[int, None]] = {}
        self._ran = array("q")  # three numbers a task: see `Ran`
        self._handlers: dict[type, Any] = {
            m.RegisterTaskDefinition: lambda call: self._launches.register(call.document),
            m.InstanceRegistered: self._registered,
            m.InstancesGone: self._gone,
            m.RunTask: self._run_task,
            m.StartTask: self._start_task,
            m.RunTaskFailed: self._failed,
            m.CreateService: self._create_service,
            m.UpdateService: self._update_service,
            m.StartTasks: self._start,
            m.StopTasks: self._stop,
            m.TasksChanged: self._changed,
        }

    def __call__(self, entry: m.Round) -> None:
        """Take in one round."""
        self._now_ms, handlers = entry.now_ms, self._handlers
        for messages in (entry.accepted(), entry.commands):
            for message in messages:
                handler = handlers.get(type(message))
                if handler is not None:
                    handler(message)

    def problem(self, until_ms: int) -> OverTimeProblem:
        """What ran until `until_ms`, on any instances that registered: as many of each as did."""
        left = [(kind, at, until_ms) for kind, _, at in self._running.values()]
        ran = np.array(self._ran + array("q", chain.from_iterable(left))).reshape(-1, 3)
        return problem_over_time(self._cluster, self._prices, list(self._kinds), ran)

    def _registered(self, event: m.InstanceRegistered) -> None:
        strings = instance_strings(event.ec2_instance_id, event.attributes, event.capacity_provider)
        self._cluster.register(event.instance, event.resources, strings)
        # One that comes back is known already.
        self._prices[event.instance : event.instance + 1] = [event.price_microusd_hour]

    def _run_task(self, call: m.RunTask) -> None:
        self._ask(call.request, *self._launches.kind_of_run_task(call), call.count)

    def _start_task(self, call: m.StartTask) -> None:
        launch = self._launches.of_start_task(call)
        self._ask(call.request, launch.kind, launch.task_definition, len(call.instances))

    def _ask(self, request: int | None, kind: TaskKind, name: str, count: int) -> None:
        asked = self._asked.get(request)
        if asked is None:
            self._asked[request] = _Asked(name, kind, count)
        elif asked.name == name:
            asked.left += count
        else:  # a later revision, while tasks of the former may still wait
            self._renamed[request, asked.name] = asked.kind
            self._asked[request] = _Asked(name, kind, count)

    def _failed(self, notice: m.RunTaskFailed) -> None:
        self._answered(notice.request, notice.count)

    def _answered(self, request: int | None, count: int) -> None:
        """So many tasks of a request were started or refused: with the last it is forgotten."""
        asked = self._asked.get(request)
        if asked is not None:
            asked.left -= count
            if asked.left <= 0:
                del self._asked[request]

    def _create_service(self, call: m.CreateService) -> None:
        self._services[call.service] = call

    def _update_service(self, call: m.UpdateService) -> None:
        self._services[call.service] = call.applied_to(self._services[call.service])

    def _kind(self, command: m.StartTasks) -> TaskKind | None:
        """What the tasks of a command ask for; None for a daemon's."""
        if command.service is None:
            asked = self._asked.get(command.request)
            if asked is not None and asked.name == command.task_definition:
                kind = asked.kind
                self._answered(command.request, len(command.tasks))
            else:
                kind = self._renamed[command.request, command.task_definition]
            provider = command.capacity_provider
            same = kind.capacity_provider == provider
            return kind if same else replace(kind, capacity_provider=provider)
        call = self._services[command.service]
        call = msgspec.structs.replace(call, task_definition=command.task_definition)
        launch = self._launches.of_service(call)
        return None if launch.daemon else launch.on(command.capacity_provider).kind

    def _start(self, command: m.StartTasks) -> None:
        kind = self._kind(command)
        if kind is None:
            return
        number = self._kinds.setdefault(kind, len(self._kinds))
        for task, instance in zip(command.tasks, command.instances, strict=True):
            self._running[task] = (number, instance, self._now_ms)
            self._on.setdefault(instance, {})[task] = None

    def _stop(self, command: m.StopTasks) -> None:
        for task in command.tasks:
            self._end(task)

    def _changed(self, event: m.TasksChanged) -> None:
        if event.status is TaskStatus.STOPPED:
            for task in event.tasks:
                self._end(task)

    def _gone(self, event: m.InstancesGone) -> None:
        for instance in event.instances:
            for task in list(self._on.get(instance, ())):
                self._end(task)

    def _end(self, task: int) -> None:
        if task in self._running:
            kind, instance, start_ms = self._running.pop(task)
            del self._on[instance][task]
            self._ran.extend((kind, start_ms, self._now_ms))
