"""EC2 Auto Scaling in simulation: a group keeps its desired number of instances, zones even.

It launches and terminates. The scheduler decides how many, by capacity provider.
Launches that fail are tried again by the group itself, in another zone or with another type at
once, else later.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import simpy

from stowplan.placement import messages as m
from stowplan.placement.audit.capacity_rules import SCALE_IN
from stowplan.placement.scenario.capacity import CapacityProviderTable
from stowplan.placement.scenario.models import Sampler
from stowplan.placement.scenario.scenario import (
    InstanceSpec,
    InstanceTypeTable,
    first_spec,
    instance_spec,
)
from stowplan.sim.allocation import Up, next_market, ranked, too_much_of
from stowplan.sim.faults import Faults

RETRY_FIRST_MS, RETRY_MOST_MS = 30_000, 900_000  # ours: AWS does not say when a group tries again
_HOUR_MS = 3_600_000


@dataclass(slots=True)
class _Instance:
    spec: InstanceSpec
    zone: str
    launched_ms: int
    what: Up
    number: int | None = None
    terminating: bool = False


@dataclass(slots=True)
class _Group:
    table: CapacityProviderTable
    desired: int
    order: int
    up: dict[str, _Instance] = field(default_factory=dict)
    unprotected: set[str] = field(default_factory=set)
    protected: set[str] = field(default_factory=set)  # in a group that does not by itself
    launches: int = 0
    failures: int = 0
    waits: bool = False

    def in_service(self) -> list[_Instance]:
        """Those that count: not being terminated."""
        return [each for each in self.up.values() if not each.terminating]

    def weight(self, instance_type: str) -> int:
        """What an instance counts in the group's sizes."""
        return 1 if self.table.mixed is None else self.table.mixed.weight(instance_type)

    def size(self) -> int:
        """What the group has of its desired size."""
        return sum(self.weight(each.what.instance_type) for each in self.in_service())


class AutoScaling:
    """The Auto Scaling groups of a run.

    Args:
        types: instance types by name.
        tell: takes what ECS learns.
        register: makes a container instance of a spec; returns its number.
        boot_ms: from launch to registration.
    """

    def __init__(
        self,
        env: simpy.Environment,
        tables: Iterable[CapacityProviderTable],
        types: Mapping[str, InstanceTypeTable],
        faults: Faults,
        tell: Callable[[m.Event], None],
        register: Callable[[InstanceSpec], int],
        boot_ms: Sampler,
    ) -> None:
        self._env, self._types, self._faults = env, types, faults
        self._tell, self._register, self._boot_ms = tell, register, boot_ms
        self._groups = {
            table.name: _Group(table, table.first_size, order)
            for order, table in enumerate(tables, 1)
        }
        self._of: dict[str, _Group] = {}

    def begin(self) -> None:
        """Launch what the groups begin with: it is up at once."""
        self._env.process(self._begin())

    def _begin(self) -> Generator[Any, Any, None]:
        # After the calls of the same instant, among them the one that creates the provider.
        yield self._env.timeout(0)
        for group in self._groups.values():
            if group.table.instances:
                self._take_over(group)
            self._balance(group, begins=True)

    def _take_over(self, group: _Group) -> None:
        """The instances that a group has already: paid for and registered from now on."""
        there = []
        for each in group.table.instances:
            kind = self._types[each.instance_type]
            spec = first_spec(group.table, each, kind, group.order << 40)
            market = each.market if group.table.mixed else group.table.market
            there.append(self._up(group, spec, Up(each.instance_type, each.zone, market)))
        self._tell_launched(group, there)
        for instance in there:
            instance.number = self._register(instance.spec)

    # --- commands and facts ---------------------------------------------------------------------

    def execute(self, command: m.Order) -> None:
        """Take up a command of the scheduler."""
        if isinstance(command, m.CompleteTermination):
            known = [name for name in command.ec2_instance_ids if name in self._of]
            self._end([self._of[name].up[name] for name in known], f"terminated by {SCALE_IN}")
            return
        group = self._groups.get(command.capacity_provider)
        if group is None:
            return  # a call from outside made a provider whose group this world does not have
        if isinstance(command, m.SetDesiredCapacity):
            group.desired = command.desired_capacity
        elif command.protected_from_scale_in:
            group.unprotected.difference_update(command.ec2_instance_ids)
            group.protected.update(name for name in command.ec2_instance_ids if name in group.up)
        else:
            group.unprotected.update(name for name in command.ec2_instance_ids if name in group.up)
            group.protected.difference_update(command.ec2_instance_ids)
        self._balance(group)

    def lost(self, names: Iterable[str]) -> None:
        """Instances died, not by the group: others take their place."""
        gone = tuple(name for name in names if name in self._of)
        groups = [self._forget(name) for name in gone]
        if gone:
            self._tell(m.InstancesTerminated(gone))
        for group in dict.fromkeys(group.table.name for group in groups):
            self._balance(self._groups[group])

    def _forget(self, name: str) -> _Group:
        group = self._of.pop(name)
        del group.up[name]
        group.unprotected.discard(name)
        group.protected.discard(name)
        return group

    # --- more -----------------------------------------------------------------------------------

    def _balance(self, group: _Group, *, begins: bool = False) -> None:
        lacks = group.desired - group.size()
        if lacks > 0 and not group.waits:
            self._launch(group, lacks, begins)
        elif lacks < 0:
            self._shrink(group, -lacks)

    def _launch(self, group: _Group, count: int, begins: bool) -> None:
        now = int(self._env.now)
        if not self._faults.admits("RunInstances", 1):
            self._failed(group, count, "RequestLimitExceeded")
            return
        launched: list[_Instance] = []
        counts, left = _by_zone(group.table.zones, group.in_service()), count
        while left > 0 and (what := self._choose(group, counts)) is not None:
            counts[what.zone] += 1
            left -= group.weight(what.instance_type)
            launched.append(self._new(group, what, now))
        if launched:
            group.failures = 0
            self._tell_launched(group, launched)
            delays = [0] * len(launched) if begins else self._boot_ms(len(launched))
            for each, delay in zip(launched, delays, strict=True):
                self._env.process(self._boot(each, delay))
        if left > 0:
            self._failed(group, left, "InsufficientInstanceCapacity")

    def _choose(self, group: _Group, counts: Mapping[str, int]) -> Up | None:
        """The zone with the fewest that has one of the types, and the first such type there.

        EC2 has nothing on demand for what is to be on spot, and the other way round.
        """
        table, up = group.table, [each.what for each in group.in_service()]
        market: str = table.market if table.mixed is None else next_market(table.mixed, up)
        for zone in sorted(counts, key=counts.__getitem__):
            for name in ranked(table, self._types, market, zone, up):
                if self._faults.has_capacity(zone, name):
                    return Up(name, zone, market)
        return None

    def _new(self, group: _Group, what: Up, now_ms: int) -> _Instance:
        group.launches += 1
        number = group.order << 40 | group.launches
        name, zone, market = what.instance_type, what.zone, what.market
        kind = self._types[name]
        spec = instance_spec(group.table, name, kind, zone, number, now_ms, market)
        return self._up(group, spec, what)

    def _up(self, group: _Group, spec: InstanceSpec, what: Up) -> _Instance:
        instance = _Instance(spec, what.zone, int(self._env.now), what)
        group.up[spec.name] = instance
        self._of[spec.name] = group
        return instance

    def _tell_launched(self, group: _Group, launched: list[_Instance]) -> None:
        said = [
            m.LaunchedInstance(
                each.spec.name,
                each.spec.attributes["ecs.instance-type"],
                each.zone,
                each.spec.price_microusd_hour,
                each.what.market,
            )
            for each in launched
        ]
        self._tell(m.InstancesLaunched(group.table.name, tuple(said)))

    def _failed(self, group: _Group, count: int, reason: str) -> None:
        self._tell(m.LaunchFailed(group.table.name, count, reason))
        wait = min(RETRY_FIRST_MS << min(group.failures, 20), RETRY_MOST_MS)
        group.failures += 1
        group.waits = True
        self._env.process(self._again(group, wait))

    def _again(self, group: _Group, wait_ms: int) -> Generator[Any, Any, None]:
        yield self._env.timeout(wait_ms)
        group.waits = False
        self._balance(group)

    def _boot(self, instance: _Instance, delay_ms: int) -> Generator[Any, Any, None]:
        yield self._env.timeout(delay_ms)
        if instance.spec.name not in self._of:
            return
        if instance.zone in self._faults.lost_zones:
            self.lost([instance.spec.name])
        else:
            instance.number = self._register(instance.spec)

    # --- fewer ----------------------------------------------------------------------------------

    def _shrink(self, group: _Group, count: int) -> None:
        """Terminate instances that may go, by ASG's default policy.

        One after the other from the zone with most, the one nearest to the next hour of its bill.
        """
        protects, now = group.table.managed_termination_protection, int(self._env.now)
        staying = group.in_service()
        counts = _by_zone(group.table.zones, staying)
        may_go: dict[str, list[_Instance]] = {zone: [] for zone in counts}
        for each in staying:
            name = each.spec.name
            if name in group.unprotected or not (protects or name in group.protected):
                may_go[each.zone].append(each)
        for there in may_go.values():
            there.sort(key=lambda v: ((now - v.launched_ms) % _HOUR_MS, v.spec.name))
        victims: list[_Instance] = []
        while count > 0 and any(may_go.values()):
            zone = max((z for z in counts if may_go[z]), key=counts.__getitem__)
            counts[zone] -= 1
            victim = may_go[zone].pop(_that_goes(group, may_go[zone]))
            count -= group.weight(victim.what.instance_type)
            if count < 0:
                break  # it would be smaller than it is to be
            victims.append(victim)
            victim.terminating = True
        if not victims:
            return
        if group.table.managed_draining:
            self._tell(m.InstancesTerminating(tuple(v.spec.name for v in victims), SCALE_IN))
        else:
            self._end(victims, f"terminated by {SCALE_IN}")

    def _end(self, instances: list[_Instance], reason: str) -> None:
        """These instances are gone: for EC2, and for ECS where they had registered."""
        numbers = tuple(each.number for each in instances if each.number is not None)
        groups = [self._forget(each.spec.name) for each in instances]
        alive = tuple(number for number in numbers if number not in self._faults.dead)
        self._faults.kill(alive)
        if alive:
            self._tell(m.InstancesGone(alive, reason))
        if instances:
            self._tell(m.InstancesTerminated(tuple(each.spec.name for each in instances)))
        for name in dict.fromkeys(group.table.name for group in groups):
            self._balance(self._groups[name])


def _that_goes(group: _Group, there: list[_Instance]) -> int:
    """The place of the one to terminate: the last, of the market of which there is too much."""
    if group.table.mixed is not None:
        market = too_much_of(group.table.mixed, [each.what for each in group.in_service()])
        same = [i for i, each in enumerate(there) if each.what.market == market]
        if same:
            return same[-1]
    return len(there) - 1


def _by_zone(zones: Iterable[str], instances: Iterable[_Instance]) -> dict[str, int]:
    counts = dict.fromkeys(zones, 0)
    for each in instances:
        counts[each.zone] += 1
    return counts
