"""From the rounds of a run to the problem it had to solve: what ran when, and on what it could run.

A task counts from the command that places it until it gives its room back, which it does when it is
told to stop; its instance is busy until the stop is reported (see `Recorder`). So what a run kept
busy is never less than what the tasks here need. Daemons are left out: there are as many of them
as instances, so they do not say how many there must be.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from placement import messages as m
from placement.cluster import BoolArray, Cluster, IntArray, instance_strings
from placement.constraints import MaxPerInstance
from placement.engine import Engine
from placement.launches import Launches
from placement.model import TaskKind, TaskStatus
from placement.optimal.fleet_problem import BinType
from placement.optimal.over_time_problem import ANY_NUMBER, OverTimeProblem


class Usage:
    """Call it with every round, then ask for the `problem`."""

    def __init__(self) -> None:
        self._launches = Launches()
        self._cluster = Cluster()
        self._prices: list[int] = []
        self._now_ms = 0
        self._asked: dict[tuple[int | str, str], TaskKind | None] = {}
        self._kinds: dict[TaskKind, int] = {}
        self._running: dict[int, tuple[int, int, int]] = {}  # task -> kind, instance, start
        self._on: dict[int, dict[int, None]] = {}
        self._ran: list[tuple[int, int, int]] = []  # kind, start, end
        self._handlers: dict[type, Any] = {
            m.RegisterTaskDefinition: lambda call: self._launches.register(call.document),
            m.InstanceRegistered: self._registered,
            m.InstancesGone: self._gone,
            m.RunTask: lambda call: self._ask(self._launches.of_run_task(call)),
            m.StartTask: lambda call: self._ask(self._launches.of_start_task(call)),
            m.CreateService: lambda call: self._ask(self._launches.of_service(call)),
            m.StartTasks: self._start,
            m.StopTasks: self._stop,
            m.TasksChanged: self._changed,
        }

    def __call__(self, entry: m.Round) -> None:
        """Take in one round."""
        self._now_ms = entry.now_ms
        for message in (*entry.accepted(), *entry.commands):
            handler = self._handlers.get(type(message))
            if handler is not None:
                handler(message)

    def problem(self, until_ms: int) -> OverTimeProblem:
        """What ran until `until_ms`, on any instances that registered: as many of each as did.

        Instances are of one type where they registered the same, at one price, and the constraints
        on attributes allow the same tasks there. Kinds are in a fixed order, so that runs that
        placed the same tasks have the same kinds.
        """
        cluster, engine = self._cluster, Engine(self._cluster, np.random.default_rng(0))
        kinds = list(self._kinds)
        needs = np.array([cluster.demand(kind) for kind in kinds], dtype=np.int64)
        allowed = np.array([engine.fixed_mask(kind) for kind in kinds])
        first, type_of = self._types(np.unique(allowed, axis=0))
        caps = np.array([[most_per_instance(kind, engine)] for kind in kinds], dtype=np.int64)
        most = np.where(allowed[:, first], caps, 0)
        used = _can_run_short(needs, most, cluster.registered[first])
        table = np.hstack([needs[:, used], most])
        unique, number = np.unique(table, axis=0, return_inverse=True)
        ran = [*self._ran, *((kind, at, until_ms) for kind, _, at in self._running.values())]
        kind, start_ms, end_ms = np.array(ran, dtype=np.int64).reshape(-1, 3).T
        names = cluster.column("attribute:ecs.instance-type")
        return OverTimeProblem(
            unique[:, : len(used)],
            number.reshape(-1)[kind],
            start_ms,
            end_ms,
            tuple(
                BinType(
                    names.values[names.codes[row]] if names.codes[row] >= 0 else "instance",
                    cluster.registered[row, used],
                    self._prices[row],
                    int((type_of == t).sum()),
                )
                for t, row in enumerate(first.tolist())
            ),
            unique[:, len(used) :],
        )

    def _types(self, allowed: BoolArray) -> tuple[IntArray, IntArray]:
        """Instances alike in all that counts: the first row of each type, and the type by row."""
        prices = np.array(self._prices, dtype=np.int64)[:, None]
        table = np.hstack([self._cluster.registered, prices, allowed.T])
        _, first, type_of = np.unique(table, axis=0, return_index=True, return_inverse=True)
        return first, type_of.reshape(-1)

    def _registered(self, event: m.InstanceRegistered) -> None:
        assert event.instance == len(self._prices), "instances are numbered as they register"
        strings = instance_strings(event.ec2_instance_id, event.attributes, event.capacity_provider)
        self._cluster.register(event.instance, event.resources, strings)
        self._prices.append(event.price_microusd_hour)

    def _ask(self, launch: Any) -> None:
        key = launch.request if launch.service is None else launch.service
        self._asked[key, launch.task_definition] = None if launch.daemon else launch.kind

    def _start(self, command: m.StartTasks) -> None:
        key = command.request if command.service is None else command.service
        assert key is not None
        kind = self._asked[key, command.task_definition]
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
            self._ran.append((kind, start_ms, self._now_ms))


def _can_run_short(needs: IntArray, most: IntArray, registered: IntArray) -> IntArray:
    """The resources of which some instance has less than all that it may hold would need."""
    wanted = most.T.astype(object) @ needs.astype(object)  # may leave 64 bits
    return np.flatnonzero((wanted > registered).any(axis=0))


def most_per_instance(kind: TaskKind, engine: Engine) -> int:
    """How many tasks of `kind` its constraints and ports let one instance hold, whatever the room.

    Constraints on groups hold for all kinds of a group together, so this is true of each.
    """
    names = {constraint.type for constraint in kind.constraints}
    caps = [check.most for check in engine.checks(kind) if isinstance(check, MaxPerInstance)]
    alone = "distinctInstance" in names or kind.tcp_ports or kind.udp_ports
    return min([ANY_NUMBER, *caps, *([1] if alone else [])])
