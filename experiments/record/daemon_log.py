"""Which of the instances that are to have a DAEMON's task have one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec.structs import replace

from stowplan.placement import messages as m
from stowplan.placement.cluster.cluster import BoolArray, Cluster, instance_strings
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import InstanceStatus, TaskKind, TaskStatus
from stowplan.placement.scheduler.launches import Launches


@dataclass(slots=True)
class Coverage:
    """A DAEMON, now and over time: of `eligible` instances (ACTIVE, and within its constraints)
    `running` run its task, `lacking` have none, not even one that starts, though their agents are
    connected. The `_ms` are sums over instances."""

    service: str
    since_ms: int
    eligible: int = 0
    running: int = 0
    lacking: int = 0
    eligible_ms: int = 0
    running_ms: int = 0

    @property
    def percent(self) -> float | None:
        """The share of the eligible instances' time in which they ran it; None: there were none."""
        return 100.0 * self.running_ms / self.eligible_ms if self.eligible_ms else None


@dataclass(slots=True)
class _Daemon:
    call: m.CreateService
    kind: TaskKind
    coverage: Coverage
    placed: dict[int, int] = field(default_factory=dict)  # task -> instance
    runs: set[int] = field(default_factory=set)


class DaemonLog:
    """Call the handler of each message's type, where there is one, with the message and the time.

    `advance` books the time between rounds, before the messages of the next. Until the first DAEMON
    instances are only noted.
    """

    def __init__(self, launches: Launches) -> None:
        self._launches = launches
        self._cluster = Cluster()
        self._engine = Engine(self._cluster, np.random.default_rng(0))
        self._noted: list[tuple[Any, int]] | None = []
        self._daemons: dict[str, _Daemon] = {}
        self._of: dict[int, _Daemon] = {}
        self._numbers: dict[str, int] = {}
        self._leaving: set[str] = set()  # EC2 ids that their group is getting rid of
        self._changed, self._now_ms = False, 0
        world: dict[type, Callable[[Any, int], None]] = {
            m.InstanceRegistered: self._registered,
            m.InstancesGone: self._gone,
            m.UpdateContainerInstancesState: self._set_state,
            m.AgentConnectionChanged: self._connection,
            m.InstancesTerminating: self._terminating,
            m.InstancesTerminated: self._terminated,
        }
        self._world = world
        self.handlers: Mapping[type, Callable[[Any, int], None]] = {
            **dict.fromkeys(world, self._note),
            m.CreateService: self._create,
            m.UpdateService: self._update,
            m.StartTasks: self._start,
            m.StopTasks: lambda command, now_ms: self._end(command.tasks),
            m.TasksStopped: lambda notice, now_ms: self._end(notice.tasks),
            m.TasksChanged: self._reported,
        }

    def advance(self, now_ms: int) -> None:
        """Book the time since the last round, when things were as they are now."""
        if self._daemons and now_ms > self._now_ms:
            for each in self._coverages():
                each.eligible_ms += each.eligible * (now_ms - self._now_ms)
                each.running_ms += each.running * (now_ms - self._now_ms)
        self._now_ms = now_ms

    def coverages(self) -> list[Coverage]:
        """Every DAEMON as it is now."""
        return list(self._coverages())

    @property
    def lacking(self) -> int:
        """Tasks that DAEMONs lack now, all together."""
        return sum(each.lacking for each in self._coverages()) if self._daemons else 0

    def due(self, service: str) -> int:
        """How many tasks a DAEMON is to have now."""
        self._coverages()
        return self._daemons[service].coverage.eligible

    # --- instances ------------------------------------------------------------------------------

    def _note(self, message: Any, now_ms: int) -> None:
        if self._noted is not None:
            self._noted.append((message, now_ms))
        else:
            self._changed = True
            self._world[type(message)](message, now_ms)

    def _registered(self, event: m.InstanceRegistered, now_ms: int) -> None:
        strings = instance_strings(event.ec2_instance_id, event.attributes, event.capacity_provider)
        self._cluster.register(event.instance, event.resources, strings)
        self._numbers[event.ec2_instance_id] = event.instance
        if event.ec2_instance_id in self._leaving:
            self._cluster.set_status(event.instance, InstanceStatus.DRAINING)

    def _set_state(self, call: m.UpdateContainerInstancesState, now_ms: int) -> None:
        for number in call.instances:
            self._cluster.set_status(number, InstanceStatus(call.status))

    def _terminating(self, event: m.InstancesTerminating, now_ms: int) -> None:
        self._leaving.update(event.ec2_instance_ids)
        for name in event.ec2_instance_ids:
            number = self._numbers.get(name)
            if number is not None and self._cluster.active[number]:
                self._cluster.set_status(number, InstanceStatus.DRAINING)

    def _terminated(self, event: m.InstancesTerminated, now_ms: int) -> None:
        self._leaving.difference_update(event.ec2_instance_ids)

    def _connection(self, event: m.AgentConnectionChanged, now_ms: int) -> None:
        for number in event.instances:
            self._cluster.set_connected(number, event.connected)

    def _gone(self, event: m.InstancesGone, now_ms: int) -> None:
        """What was dead before ECS heard of it was neither eligible nor did it run anything."""
        late_ms = 0 if event.since_ms is None else max(0, now_ms - event.since_ms)
        gone = set(event.instances)
        for daemon in self._daemons.values() if late_ms else ():
            eligible, coverage = self._eligible(daemon), daemon.coverage
            over_ms = min(late_ms, now_ms - coverage.since_ms)
            there = {number for number in gone if eligible[number]}
            running = sum(daemon.placed[task] in there for task in daemon.runs)
            coverage.eligible_ms -= over_ms * len(there)
            coverage.running_ms -= over_ms * running
        for number in gone:
            self._cluster.set_status(number, InstanceStatus.INACTIVE)
        self._end([task for task, d in self._of.items() if d.placed[task] in gone])

    # --- daemons --------------------------------------------------------------------------------

    def _create(self, call: m.CreateService, now_ms: int) -> None:
        if call.scheduling_strategy != "DAEMON":
            return
        noted, self._noted = self._noted or [], None
        for message, at_ms in noted:
            self._world[type(message)](message, at_ms)
        call = self._pinned(call)
        kind = self._launches.of_service(call).kind
        self._daemons[call.service] = _Daemon(call, kind, Coverage(call.service, now_ms))
        self._changed = True

    def _update(self, call: m.UpdateService, now_ms: int) -> None:
        daemon = self._daemons.get(call.service)
        if daemon is not None:
            self.configure(call.applied_to(daemon.call))

    def _pinned(self, call: m.CreateService) -> m.CreateService:
        """The call with its revision: a later one of the family is another definition."""
        name = self._launches.definition(call.task_definition).name
        return replace(call, task_definition=name)

    def configure(self, call: m.CreateService) -> None:
        """Take what a service is to be from now on; one that is no DAEMON does not matter."""
        daemon = self._daemons.get(call.service)
        if daemon is not None:
            call = self._pinned(call)
            daemon.call, daemon.kind = call, self._launches.of_service(call).kind
            self._changed = True

    def _start(self, command: m.StartTasks, now_ms: int) -> None:
        daemon = self._daemons.get(command.service or "")
        if daemon is not None:
            daemon.placed.update(zip(command.tasks, command.instances, strict=True))
            self._of.update(dict.fromkeys(command.tasks, daemon))
            self._changed = True

    def _reported(self, event: m.TasksChanged, now_ms: int) -> None:
        if not self._of:
            return
        if event.status is TaskStatus.STOPPED:
            self._end(event.tasks)
        elif event.status is TaskStatus.RUNNING:
            for task in event.tasks:
                if task in self._of:
                    self._of[task].runs.add(task)
                    self._changed = True

    def _end(self, tasks: Any) -> None:
        for task in tasks if self._of else ():
            daemon = self._of.pop(task, None)
            if daemon is not None:
                del daemon.placed[task]
                daemon.runs.discard(task)
                self._changed = True

    # --- coverage -------------------------------------------------------------------------------

    def _eligible(self, daemon: _Daemon) -> BoolArray:
        mask: BoolArray = self._cluster.active & self._engine.fixed_mask(daemon.kind)
        return mask

    def _coverages(self) -> list[Coverage]:
        changed, self._changed = self._changed, False
        for daemon in self._daemons.values() if changed else ():
            eligible, coverage = self._eligible(daemon), daemon.coverage
            has = np.zeros(len(eligible), np.bool_)
            has[list(daemon.placed.values())] = True
            runs = np.zeros(len(eligible), np.bool_)
            runs[[daemon.placed[task] for task in daemon.runs]] = True
            connected = self._cluster.agent_connected
            coverage.eligible = int((eligible & (has | connected)).sum())
            coverage.running = int((eligible & runs).sum())
            coverage.lacking = int((eligible & ~has & connected).sum())
        return [each.coverage for each in self._daemons.values()]
