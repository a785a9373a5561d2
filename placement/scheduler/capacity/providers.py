"""Capacity providers: from the tasks that wait to the size of an Auto Scaling group.

Cluster auto scaling as ECS does it (ecs-semantics 6): once a minute the metric
CapacityProviderReservation, target tracking on it with its two alarms, termination protection and
managed draining. Nothing here counts tasks: the metric reads the cluster's columns, so that a
minute costs the same whatever happened in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from stowplan.placement import messages as m
from stowplan.placement.cluster.cluster import BoolArray, Cluster
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import CallError, PlacementError
from stowplan.placement.model import InstanceStatus, TaskKind
from stowplan.placement.scheduler.capacity.need import Templates
from stowplan.placement.scheduler.capacity.strategy import check_strategy
from stowplan.placement.scheduler.tasks import TaskTable

MINUTE_MS = 60_000
DRAINING_MOST_MS = 48 * 3_600_000  # the longest wait of managed draining for an instance
FROM_ZERO = 2  # the size of an empty group when tasks wait: the metric is 200 then


@dataclass(slots=True)
class Provider:
    """A capacity provider, its group as far as ECS knows it, and the state of its alarms.

    `running`: EC2 ids that run and are not being terminated. `point`: the metric of the last
    minute. `low`: how many points in a row were below the target. `unprotected`: running instances
    that may be scaled in. `protected_at_first`: whether its group protects what it launches.
    """

    call: m.CreateCapacityProvider
    templates: Templates
    desired: int
    running: dict[str, None] = field(default_factory=dict)
    unprotected: set[str] = field(default_factory=set)
    launched_ms: int | None = None
    scaled_out_ms: int | None = None
    point: m.CapacityProviderReservation | None = None
    low: int = 0
    protected_at_first: bool = False

    @property
    def name(self) -> str:
        """Unique in the cluster."""
        return self.call.capacity_provider

    @property
    def is_tracked(self) -> bool:
        """Whether its group's size is ours to say: managed scaling, of a group that is known."""
        return self.call.managed_scaling is not None and bool(self.call.launch_templates)


class CapacityProviders:
    """All capacity providers of a cluster, and what is to be done about their groups.

    Args:
        waiting: the kinds that wait for capacity, and how many of each.
        daemons: the groups of daemon services, whose tasks keep no instance.
        drained: called with rows that are DRAINING now.
        say: takes commands and notices.
    """

    def __init__(
        self,
        engine: Engine,
        tasks: TaskTable,
        waiting: Callable[[], Iterable[tuple[TaskKind, int]]],
        daemons: Callable[[], Iterable[str]],
        drained: Callable[[int], None],
        say: Callable[[m.Command], None],
    ) -> None:
        self.by_name: dict[str, Provider] = {}
        self._deleted: dict[str, Provider] = {}
        self.default: m.CapacityProviderStrategy = ()
        self._engine, self._tasks, self._waiting = engine, tasks, waiting
        self._daemons, self._drained, self._say = daemons, drained, say
        self._next_ms: int | None = None
        self._rows: dict[str, int] = {}
        self._owner: dict[str, Provider] = {}
        self._leaving: dict[str, int] = {}

    # --- calls ----------------------------------------------------------------------------------

    def create(self, call: m.CreateCapacityProvider, now_ms: int) -> None:
        """A new capacity provider. Raises PlacementError where it makes no sense."""
        if call.capacity_provider in self.by_name:
            raise PlacementError(f"capacity provider {call.capacity_provider!r} exists already")
        _check(call)
        templates = Templates(call, self._engine)
        provider = Provider(call, templates, call.desired_capacity)
        provider.protected_at_first = call.managed_termination_protection
        self._deleted.pop(provider.name, None)
        self.by_name[provider.name] = provider
        self._engine.awaits_more = True  # instances of types and with attributes of its own
        if provider.is_tracked and self._next_ms is None:
            self._next_ms = now_ms + MINUTE_MS

    def update(self, call: m.UpdateCapacityProvider, now_ms: int) -> None:
        """Change a capacity provider. Raises PlacementError where it makes no sense."""
        provider = self._named(call.capacity_provider)
        wanted = call.applied_to(provider.call)
        _check(wanted)
        before, provider.call = provider.call, wanted
        if wanted.managed_scaling != before.managed_scaling:
            provider.point, provider.low = None, 0
            if provider.is_tracked and self._next_ms is None:
                self._next_ms = now_ms + MINUTE_MS
        protects = wanted.managed_termination_protection
        if protects is not before.managed_termination_protection:
            provider.unprotected.clear()
            self._say_protection(provider, provider.running)

    def _say_protection(self, provider: Provider, names: Iterable[str]) -> None:
        """Instances of a group that protects otherwise than its provider wants now."""
        protects, those = provider.call.managed_termination_protection, tuple(names)
        if those:
            self._say(m.SetInstanceProtection(provider.name, those, protects))

    def delete(self, name: str) -> None:
        """Forget a capacity provider. Raises CallError where something still needs it."""
        provider = self._named(name)
        if name in (item.capacity_provider for item in self.default):
            what = "the capacity provider is in the default strategy of the cluster"
            raise CallError("ClientException", what)
        if any(kind.capacity_provider == name for kind, _ in self._waiting()):
            what = "tasks wait for capacity of the capacity provider"
            raise CallError("ClientException", what)
        self._deleted[name] = provider
        del self.by_name[name]

    def _named(self, name: str) -> Provider:
        if name not in self.by_name:
            what = f"The specified capacity provider was not found: {name!r}"
            raise CallError("ClientException", what)
        return self.by_name[name]

    def put_default(self, call: m.PutClusterCapacityProviders) -> None:
        """The strategy of calls that name none. Raises PlacementError where it makes no sense."""
        check_strategy(call.default_capacity_provider_strategy)
        self.default = call.default_capacity_provider_strategy

    def lets_wait(self, name: str) -> bool:
        """Whether tasks wait for room there: it has managed scaling, or it is not known here."""
        provider = self.by_name.get(name)
        return provider is None or provider.call.managed_scaling is not None

    # --- facts ----------------------------------------------------------------------------------

    def registered(self, row: int, event: m.InstanceRegistered) -> None:
        """An instance of a group became a container instance."""
        if event.capacity_provider in self.by_name:
            self._rows[event.ec2_instance_id] = row
            if event.ec2_instance_id in self._leaving:
                self._drain(row)

    def launched(self, event: m.InstancesLaunched, now_ms: int) -> None:
        """Instances of a group are running; scale-out pauses until they are warm."""
        provider = self._provider(event.capacity_provider)
        for each in event.instances:
            provider.running[each.ec2_instance_id] = None
            self._owner[each.ec2_instance_id] = provider
        if provider.call.managed_termination_protection is not provider.protected_at_first:
            self._say_protection(provider, [each.ec2_instance_id for each in event.instances])
        if event.instances:
            provider.launched_ms = now_ms

    def terminating(self, event: m.InstancesTerminating, now_ms: int) -> None:
        """Managed draining: their tasks are moved before the group may go on."""
        for name in event.ec2_instance_ids:
            self._forget(name)
            self._leaving[name] = now_ms + DRAINING_MOST_MS
            if name in self._rows:
                self._drain(self._rows[name])

    def terminated(self, event: m.InstancesTerminated) -> None:
        """Instances of groups are gone."""
        for name in event.ec2_instance_ids:
            self._forget(name)
            self._owner.pop(name, None)
            self._rows.pop(name, None)
            self._leaving.pop(name, None)

    def _drain(self, row: int) -> None:
        if self._engine.cluster.present[row]:
            self._engine.cluster.set_status(row, InstanceStatus.DRAINING)
            self._drained(row)

    def _forget(self, name: str) -> None:
        provider = self._owner.get(name)
        if provider is not None:
            provider.running.pop(name, None)
            provider.unprotected.discard(name)

    def _provider(self, name: str) -> Provider:
        found = self.by_name.get(name) or self._deleted.get(name)  # whose group goes on
        if found is None:
            raise PlacementError(f"unknown capacity provider {name!r}")
        return found

    # --- decisions ------------------------------------------------------------------------------

    @property
    def deadline_ms(self) -> int | None:
        """When the next minute is over, or the longest wait for an instance that drains."""
        if not self._leaving:
            return self._next_ms
        times = list(self._leaving.values())
        if self._next_ms is not None:
            times.append(self._next_ms)
        return min(times, default=None)

    def settle(self, now_ms: int) -> None:
        """Complete the termination of drained instances; each minute, the metric and what follows.

        Alarms see a point a minute after it was measured.
        """
        if self._leaving:
            self._let_go(now_ms)
        if self._next_ms is None or now_ms < self._next_ms:
            return
        self._next_ms += (now_ms - self._next_ms) // MINUTE_MS * MINUTE_MS + MINUTE_MS
        busy = self._busy()
        for provider in self.by_name.values():
            if provider.is_tracked:
                assert provider.call.managed_scaling is not None
                before = provider.desired
                self._track(provider, provider.call.managed_scaling, now_ms)
                self._protect(provider, busy)
                if provider.desired != before:
                    self._say(m.SetDesiredCapacity(provider.name, provider.desired))
                self._measure(provider, provider.call.managed_scaling, busy)

    def _let_go(self, now_ms: int) -> None:
        ready = tuple(n for n, until in self._leaving.items() if until <= now_ms or self._idle(n))
        if ready:
            for name in ready:
                del self._leaving[name]
            self._say(m.CompleteTermination(ready))

    def _idle(self, name: str) -> bool:
        row = self._rows.get(name)
        return row is None or not self._tasks.on(row)

    def _busy(self) -> BoolArray:
        """(size,) a task that is no daemon's is there."""
        cluster = self._engine.cluster
        count = cluster.running_tasks_count.copy()
        for group in self._daemons():
            count -= cluster.group_count(group)
        busy: BoolArray = (count > 0) & cluster.present
        busy[[self._rows[name] for name in self._leaving if name in self._rows]] = False
        return busy

    def _measure(self, provider: Provider, scaling: m.ManagedScaling, busy: BoolArray) -> None:
        """The metric of this minute, and whether it is below the target."""
        running, target = len(provider.running), scaling.target_capacity
        waiting = [(k, n) for k, n in self._waiting() if k.capacity_provider == provider.name]
        if waiting:
            need = provider.templates.needed(waiting)
            needed = -(-running * target // 100)
            percent = float(target)
            if need is not None:
                low, high = scaling.minimum_scaling_step_size, scaling.maximum_scaling_step_size
                needed = running + min(max(need, low), high)
                percent = 100 * needed / running if running else 200.0
        else:
            mine = self._engine.cluster.in_capacity_provider(provider.name)
            needed = int((busy & mine).sum())
            percent = 100 * needed / running if running else 200.0 if needed else 100.0
        provider.low = provider.low + 1 if percent < target else 0
        provider.point = m.CapacityProviderReservation(
            provider.name, needed, running, provider.desired, round(percent, 2)
        )
        self._say(provider.point)

    def _track(self, provider: Provider, scaling: m.ManagedScaling, now_ms: int) -> None:
        """Target tracking: a size at which what is needed is the target's share of what runs."""
        point, call = provider.point, provider.call
        if point is None:
            return
        wanted = -(-point.needed * 100 // scaling.target_capacity)
        if point.percent > scaling.target_capacity:
            if not point.running and point.needed:
                wanted = FROM_ZERO
            wanted = min(wanted, call.max_size)
            launched_ms, warmup_ms = provider.launched_ms, scaling.instance_warmup_ms
            is_warm = launched_ms is None or now_ms >= launched_ms + warmup_ms
            if wanted > provider.desired and is_warm:
                provider.scaled_out_ms, provider.desired = now_ms, wanted
            return
        since = provider.scaled_out_ms
        rested = since is None or now_ms - since >= scaling.scale_in_minutes * MINUTE_MS
        if provider.low >= scaling.scale_in_minutes and rested:
            size = len(provider.running)
            wanted = max(wanted, call.min_size, size - max(1, size // 2))
            provider.desired = min(provider.desired, wanted)

    def _protect(self, provider: Provider, busy: BoolArray) -> None:
        """With termination protection, a group that shrinks may take what is empty, no other."""
        if not provider.call.managed_termination_protection:
            return
        if len(provider.running) <= provider.desired:
            return
        cluster = self._engine.cluster
        mine = cluster.in_capacity_provider(provider.name) & cluster.active
        names = _ids(cluster, mine & ~busy)
        empty = {name for name in names if name in provider.running}
        hold = tuple(sorted(provider.unprotected - empty))
        release = tuple(sorted(empty - provider.unprotected))
        if hold:
            self._say(m.SetInstanceProtection(provider.name, hold, True))
        if release:
            self._say(m.SetInstanceProtection(provider.name, release, False))
        provider.unprotected = empty


def _ids(cluster: Cluster, mask: BoolArray) -> list[str]:
    codes, values = cluster.column("ec2InstanceId")
    return [values[code] for code in codes[np.flatnonzero(mask)].tolist()]


def _check(call: m.CreateCapacityProvider) -> None:
    unknown = not (call.launch_templates or call.zones or call.max_size)
    if not unknown and not (call.launch_templates and call.zones):
        raise PlacementError("a capacity provider needs instance types and zones")
    if unknown:
        call = msgspec.structs.replace(call, max_size=1)  # its group's sizes are not ours to check
    if not 0 <= call.min_size <= call.desired_capacity <= call.max_size or not call.max_size:
        sizes = f"{call.min_size}, {call.desired_capacity}, {call.max_size}"
        raise PlacementError(f"min, desired and max size {sizes}: expected to rise, max above 0")
    scaling = call.managed_scaling
    if scaling is None:
        if call.managed_termination_protection:
            raise PlacementError("managed termination protection needs managed scaling")
        return
    low, high = scaling.minimum_scaling_step_size, scaling.maximum_scaling_step_size
    if scaling.scale_in_minutes < 1 or scaling.instance_warmup_ms < 0:
        raise PlacementError(
            "expected scale-in after at least a minute, and a warm-up of at least 0"
        )
    if not 1 <= scaling.target_capacity <= 100 or not 1 <= low <= high <= 10_000:
        raise PlacementError("target capacity 1 to 100, step sizes 1 to 10000 expected")
