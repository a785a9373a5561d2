"""What keeps a task off an instance: each step of the filter that the instance does not pass.

`Eligibility.explain` stops at the first and counts; here all of them are named, with what is asked
and what is found. It reads the cluster alone, and asks the caller which tasks are where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from stowplan.placement.cluster.cluster import BoolArray
from stowplan.placement.cluster.columns import CAPACITY_PROVIDER
from stowplan.placement.constraints import DEVICES, Check, devices_free, has_required
from stowplan.placement.engine.eligibility import Eligibility
from stowplan.placement.model import AVAILABILITY_ZONE, CPU, MEMORY, PORTS, TaskKind
from stowplan.placement.query import Query, alternatives, conjuncts
from stowplan.placement.reasons import (
    AGENT,
    ATTRIBUTE,
    DRAINING,
    EMPTY_CAPACITY_PROVIDER,
    LOCATION,
    resource_reason,
)

_WORDS = {CPU: "CPU", MEMORY: "memory", PORTS: "host ports"}
_UNITS = {CPU: "CPU units", MEMORY: "MiB of memory"}


def amount(name: str, number: int) -> str:
    """So much of a resource, in words."""
    return f"{number} {_UNITS.get(name, name)}"


@dataclass(frozen=True, slots=True)
class Resident:
    """A task that holds resources on an instance: its number, kind, and the devices it was given.

    Told by the caller: a cluster counts tasks and does not know them.
    """

    task: int
    kind: TaskKind
    devices: tuple[int, ...] = ()


Residents = Callable[[int], Sequence[Resident]]  # of a row


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that keeps a task off one instance.

    Attributes:
        reason: that of a Failure for which this alone would be enough.
        what: the thing, in words that are alike for all instances on which it is in the way.
        found: what this instance has of it, in words.
        name: of a resource, an attribute, a clause, a constraint; a port as `tcp 8080`.
        needed, short: of a resource: what is asked, and how much of that is not there.
        tasks: the numbers of the tasks that are in the way.
    """

    reason: str
    what: str
    found: str = ""
    name: str = ""
    needed: int = 0
    short: int = 0
    tasks: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """All of it in one phrase."""
        return f"{self.what}: {self.found}" if self.found else self.what

    @property
    def size(self) -> float:
        """How much would have to change: the share of a demand that is lacking, else 1."""
        return min(1.0, self.short / self.needed) if self.short and self.needed else 1.0


# A step that not all instances pass: the rows that do, and what to say of one that does not.
_Step = tuple[BoolArray, Callable[[int], Obstacle]]


class Obstacles:
    """What keeps tasks of `kind` off each instance, in the order of `Eligibility.explain`.

    Raises PlacementError where `kind` names a constraint that is not known.
    """

    def __init__(self, engine: Eligibility, kind: TaskKind, residents: Residents) -> None:
        self._cluster, self._kind, self._residents = engine.cluster, kind, residents
        self._demand = engine.cluster.demand(kind)
        self._steps = [*self._state(), *self._attributes()]
        for check in engine.checks(kind):
            self._steps += self._check(check)

    def of(self, row: int) -> tuple[Obstacle, ...]:
        """What keeps a task off instance `row`; () where it would fit."""
        return tuple(say(row) for allows, say in self._steps if not allows[row])

    def none(self) -> BoolArray:
        """(size,) instances on which nothing is in the way."""
        fits: BoolArray = self._cluster.present.copy()
        for allows, _ in self._steps:
            fits &= allows
        return fits

    # --- status, resources, ports -------------------------------------------------------------

    def _state(self) -> Iterator[_Step]:
        cluster = self._cluster
        yield cluster.active | ~cluster.present, lambda _: Obstacle(DRAINING, "DRAINING")
        yield cluster.agent_connected, lambda _: Obstacle(AGENT, "agent disconnected")
        for column, name in enumerate(cluster.resources):
            yield cluster.remaining[:, column] >= self._demand[column], self._short(column, name)
            if name == PORTS:
                yield from self._ports()
        if self._kind.devices:
            yield devices_free(self._kind, cluster), self._devices

    def _short(self, column: int, name: str) -> Callable[[int], Obstacle]:
        def say(row: int) -> Obstacle:
            free, needed = int(self._cluster.remaining[row, column]), int(self._demand[column])
            all_of, short = int(self._cluster.registered[row, column]), needed - free
            unit = _UNITS.get(name, "").partition(" of ")[0]
            found = f"{short} {unit}".rstrip() + f" ({needed} asked, {free} of {all_of} free)"
            what = f"{_WORDS.get(name, name)} short"
            return Obstacle(resource_reason(name), what, found, name, needed, short)

        return say

    def _ports(self) -> Iterator[_Step]:
        kind = self._kind
        for protocol, ports in (("tcp", kind.tcp_ports), ("udp", kind.udp_ports)):
            for port in ports:
                yield self._cluster.port_free(protocol, port), self._taken(protocol, port)

    def _taken(self, protocol: str, port: int) -> Callable[[int], Obstacle]:
        def say(row: int) -> Obstacle:
            there = [r for r in self._residents(row) if port in _ports_of(r.kind, protocol)]
            held = [f"held by task {r.task} of {r.kind.group}" for r in there]
            found = " and ".join(held) or "reserved by the instance"
            name, tasks = f"{protocol} {port}", tuple(r.task for r in there)
            what = f"{protocol} port {port} taken"
            return Obstacle(resource_reason(PORTS), what, found, name, tasks=tasks)

        return say

    def _devices(self, row: int) -> Obstacle:
        kind, left = self._kind, self._cluster.device_left[row]
        enough, share = int((left >= kind.device_milli).sum()), kind.device_milli / 1000
        what = f"too few devices with {share:g} of them left"
        found = f"{kind.devices} asked, {enough} there"
        return Obstacle(resource_reason(DEVICES), what, found, DEVICES)

    # --- what was registered --------------------------------------------------------------------

    def _attributes(self) -> Iterator[_Step]:
        kind, cluster = self._kind, self._cluster
        for required in kind.required_attributes:
            name = required.partition("=")[0]
            codes, values = cluster.column(f"attribute:{name}")
            held = [has_required({name: value}, required) for value in values]
            yield np.append(held, False).astype(np.bool_)[codes], self._lacks(required)
        if kind.zones:
            zones = self._column(f"attribute:{AVAILABILITY_ZONE}")
            yield (
                np.isin(zones, kind.zones),
                lambda row: Obstacle(
                    LOCATION, f"not in a zone of the subnets ({', '.join(kind.zones)})", zones[row]
                ),
            )
        if kind.capacity_provider is not None:
            providers, name = self._column(CAPACITY_PROVIDER), kind.capacity_provider
            yield (
                cluster.in_capacity_provider(name),
                lambda row: Obstacle(
                    EMPTY_CAPACITY_PROVIDER,
                    f"not of capacity provider {name}",
                    providers[row] or "of none",
                ),
            )

    def _lacks(self, required: str) -> Callable[[int], Obstacle]:
        name, valued, _ = required.partition("=")

        def say(row: int) -> Obstacle:
            value = self._cluster.strings_of(row).get(f"attribute:{name}")
            found = f"it is {value!r}" if valued and value is not None else ""
            return Obstacle(ATTRIBUTE, f"attribute {required} missing", found, required)

        return say

    def _column(self, subject: str) -> list[str]:
        codes, values = self._cluster.column(subject)
        return [values[code] if code >= 0 else "" for code in codes.tolist()]

    # --- placement constraints ------------------------------------------------------------------

    def _check(self, check: Check) -> Iterator[_Step]:
        kind, cluster = self._kind, self._cluster
        for clause in conjuncts(check.query) if check.query is not None else ():
            yield clause.mask(cluster), self._false(check, clause)
        if check.most is not None:
            yield cluster.group_count(kind.group) < check.most, self._full(check, check.most)
        if check.code is not None:
            said = Obstacle(check.reason, f"constraint {check.words}", name=check.words)
            yield check.code_allows(kind, cluster), lambda _: said

    def _full(self, check: Check, most: int) -> Callable[[int], Obstacle]:
        def say(row: int) -> Obstacle:
            group = self._kind.group
            tasks = tuple(r.task for r in self._residents(row) if r.kind.group == group)
            word = f"task{'s' * (len(tasks) != 1)} {', '.join(map(str, tasks))}"
            found = f"{word} of {group} there" if tasks else f"{group} has {most} there"
            return Obstacle(check.reason, check.words, found, check.words, tasks=tasks)

        return say

    def _false(self, check: Check, clause: Query) -> Callable[[int], Obstacle]:
        text, either = clause.expression, len(alternatives(clause)) > 1
        what = f"no alternative of `{text}` is true" if either else f"`{text}` is false"

        def say(row: int) -> Obstacle:
            found = ", ".join(self._value(clause, subject, row) for subject in clause.subjects)
            return Obstacle(check.reason, what, found, text)

        return say

    def _value(self, clause: Query, subject: str, row: int) -> str:
        """What a query finds of a subject at an instance, in words."""
        cluster = self._cluster
        if subject == "task:group":
            counts = [f"{int(cluster.group_count(g)[row])} of {g}" for g in sorted(clause.groups)]
            return f"tasks there: {', '.join(counts)}"
        if subject == "runningTasksCount":
            return f"{subject} is {int(cluster.running_tasks_count[row])}"
        if subject == "agentConnected":
            return f"{subject} is {str(bool(cluster.agent_connected[row])).lower()}"
        if subject == "registeredAt":
            at = datetime.fromtimestamp(int(cluster.registered_at_ms[row]) // 1000, UTC)
            return f"{subject} is {at:%Y-%m-%dT%H:%M:%SZ}"
        value, name = cluster.strings_of(row).get(subject), subject.removeprefix("attribute:")
        return f"{name} is not there" if value is None else f"{name} is {value!r}"


def _ports_of(kind: TaskKind, protocol: str) -> tuple[int, ...]:
    return kind.tcp_ports if protocol == "tcp" else kind.udp_ports
