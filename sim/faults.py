"""What goes wrong in a simulated cluster, and when: a SimPy process for each fault.

To add a kind: a method of `Faults`, a line in its table, the kind in
`placement.scenario.scenario.Fault` and what it needs in `placement.scenario.checks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from typing import Any

import simpy

from stowplan.placement.messages import (
    AgentConnectionChanged,
    AlarmsChanged,
    Event,
    InstancesGone,
    UpdateContainerInstancesState,
)
from stowplan.placement.model import StopCode
from stowplan.placement.query import parse_query
from stowplan.placement.scenario.faults import Fault
from stowplan.sim.containers import Containers
from stowplan.sim.fleet import InstanceColumns
from stowplan.sim.throttling import Throttle

Process = Generator[Any, Any, None]


class Faults:
    """The state of the world that faults change, and what ECS learns of them.

    `dead`: instances whose tasks will never be heard of again. `cut_off`: instances whose agent is
    disconnected, since when; their tasks go on, and what happens to them is reported when the
    agent is back.
    `lost_zones`: zones in which nothing can be launched any more.

    Args:
        containers: which get slow, and lose their registry.
        tell: takes what ECS learns, at the time at which it does.
        reconnected: called with the instances whose agents are back.
        pulls_changed: called when pulls may come to another end, or at another time.
    """

    def __init__(
        self,
        env: simpy.Environment,
        fleet: InstanceColumns,
        containers: Containers,
        tell: Callable[[Event], None],
        reconnected: Callable[[tuple[int, ...]], None],
        pulls_changed: Callable[[], None],
    ) -> None:
        self.dead: set[int] = set()
        self.cut_off: dict[int, int] = {}
        self.lost_zones: set[str] = set()
        self._scarce: list[Fault] = []
        self._throttles: list[Throttle] = []
        self._env, self._fleet, self._tell, self._reconnected = env, fleet, tell, reconnected
        self._containers, self._pulls_changed = containers, pulls_changed
        self._slowed: dict[int, list[float]] = {}
        self._outages = 0
        self._broken: dict[str, list[str]] = {}
        self._kinds: dict[str, Callable[[Fault], Process]] = {
            "zone-loss": self._loss,
            "instance-loss": self._loss,
            "spot-reclaim": self._spot_reclaim,
            "drain": self._drain,
            "partition": self._partition,
            "start-failure": self._start_failure,
            "registry-failure": self._registry_failure,
            "slow-disk": self._slow_disk,
            "insufficient-capacity": self._insufficient_capacity,
            "api-throttling": self._api_throttling,
            "alarm": self._alarm,
        }

    def begin(self, faults: Iterable[Fault]) -> None:
        """Let them happen, each at its time."""
        for fault in faults:
            self._env.process(self._kinds[fault.kind](fault))

    def start_failure(self, task_definition: str) -> str | None:
        """Why a task of this definition (`family:revision`) cannot start now; None: it can."""
        return next(iter(self._broken.get(task_definition, ())), None)

    def has_capacity(self, zone: str, instance_type: str) -> bool:
        """Whether EC2 has an instance of that type in that zone to launch."""
        return zone not in self.lost_zones and not any(
            fault.zone in (None, zone) and fault.instance_type in (None, instance_type)
            for fault in self._scarce
        )

    def admits(self, action: str, calls: int) -> bool:
        """Whether so many API calls of an action are let through now."""
        now = int(self._env.now)
        return all(throttle.admits(action, calls, now) for throttle in self._throttles)

    def kill(self, instances: tuple[int, ...]) -> None:
        """Nothing happens on these instances any more."""
        self.dead.update(instances)
        for instance in instances:
            self._containers.pulls.forget(instance, int(self._env.now))
        self._pulls_changed()

    def _chosen(self, fault: Fault) -> tuple[int, ...]:
        """The instances that a fault names, those alive."""
        specs, provider = self._fleet.specs, fault.capacity_provider
        query = fault.instances
        if fault.zone is not None:
            query = f"attribute:ecs.availability-zone == {fault.zone}"
        if query is None:
            assert provider is not None
            numbers = list(range(len(specs)))
        else:
            numbers = parse_query(query).lasting_mask(self._fleet).nonzero()[0].tolist()
        if provider is not None:
            numbers = [n for n in numbers if specs[n].capacity_provider == provider]
        return tuple(number for number in numbers if number not in self.dead)

    def _loss(self, fault: Fault) -> Process:
        yield self._env.timeout(fault.at)
        lost = self._chosen(fault)
        self.kill(lost)
        if fault.kind == "zone-loss":
            assert fault.zone is not None
            self.lost_zones.add(fault.zone)
        yield self._env.timeout(fault.detect)
        if lost:
            since_ms = int(self._env.now) - fault.detect
            self._tell(InstancesGone(lost, since_ms=since_ms if fault.detect else None))

    def _spot_reclaim(self, fault: Fault) -> Process:
        """EC2's two minutes' notice; the agent answers it by draining (ecs-semantics 10.3)."""
        yield self._env.timeout(fault.at)
        specs = self._fleet.specs
        chosen = self._chosen(fault)
        reclaimed = tuple(n for n in chosen if specs[n].market != "on-demand")
        if not reclaimed:
            return
        self._tell(UpdateContainerInstancesState(reclaimed, "DRAINING"))
        yield self._env.timeout(fault.notice)
        self.kill(reclaimed)
        code = StopCode.SPOT_INTERRUPTION
        self._tell(InstancesGone(reclaimed, "terminated", code))

    def _drain(self, fault: Fault) -> Process:
        yield self._env.timeout(fault.at)
        if chosen := self._chosen(fault):
            self._tell(UpdateContainerInstancesState(chosen, "DRAINING"))

    def _partition(self, fault: Fault) -> Process:
        yield self._env.timeout(fault.at)
        chosen = self._chosen(fault)
        self.cut_off.update(dict.fromkeys(chosen, int(self._env.now)))
        yield self._env.timeout(fault.detect)
        if chosen:
            self._tell(AgentConnectionChanged(chosen, False))
        assert fault.until is not None
        yield self._env.timeout(max(0, fault.until - self._env.now))
        back = tuple(number for number in chosen if number not in self.dead)
        for number in back:
            self.cut_off.pop(number, None)
        if back:
            self._tell(AgentConnectionChanged(back, True))
            self._reconnected(back)

    def _start_failure(self, fault: Fault) -> Process:
        assert fault.task_definition is not None
        reasons = self._broken.setdefault(fault.task_definition, [])
        yield from self._while(fault, reasons, fault.reason)

    def _insufficient_capacity(self, fault: Fault) -> Process:
        yield from self._while(fault, self._scarce, fault)

    def _api_throttling(self, fault: Fault) -> Process:
        throttle = Throttle(fault.burst, fault.rate_per_s, fault.at)
        yield from self._while(fault, self._throttles, throttle)

    def _alarm(self, fault: Fault) -> Process:
        assert fault.alarm is not None
        yield self._env.timeout(fault.at)
        self._tell(AlarmsChanged((fault.alarm,)))
        if fault.until is not None:
            yield self._env.timeout(max(0, fault.until - self._env.now))
            self._tell(AlarmsChanged((fault.alarm,), in_alarm=False))

    def _while(self, fault: Fault, held: list[Any], what: Any) -> Process:
        """Hold something from the fault's time until it is over, or for ever."""
        yield self._env.timeout(fault.at)
        held.append(what)
        if fault.until is not None:
            yield self._env.timeout(max(0, fault.until - self._env.now))
            held.remove(what)

    def _registry_failure(self, fault: Fault) -> Process:
        yield self._env.timeout(fault.at)
        self._registry(1, fault.reason.removeprefix("CannotPullContainerError: "))
        assert fault.until is not None
        yield self._env.timeout(max(0, fault.until - self._env.now))
        self._registry(-1, "")

    def _registry(self, sign: int, reason: str) -> None:
        """One more outage, or one less; they are over when the last has ended."""
        self._outages += sign
        if sign > 0 or not self._outages:
            self._containers.pulls.fail(reason if sign > 0 else None, int(self._env.now))
        self._pulls_changed()

    def _slow_disk(self, fault: Fault) -> Process:
        yield self._env.timeout(fault.at)
        chosen = self._chosen(fault)
        for instance in chosen:
            self._slowed.setdefault(instance, []).append(fault.factor)
        self._slow(chosen)
        if fault.until is not None:
            yield self._env.timeout(max(0, fault.until - self._env.now))
            for instance in chosen:
                self._slowed[instance].remove(fault.factor)
            self._slow(chosen)

    def _slow(self, instances: tuple[int, ...]) -> None:
        for instance in instances:
            factor = math.prod(self._slowed[instance])
            self._containers.set_factor(instance, factor, int(self._env.now))
        self._pulls_changed()
