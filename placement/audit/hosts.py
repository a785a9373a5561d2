"""Instances and what tasks ask of them, as a journal says: a part of `placement.audit.history`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import Enum

from stowplan.placement import messages as m
from stowplan.placement.audit.constraint_rules import Rule
from stowplan.placement.model import PORTS, RESERVED_PORTS_MAX

Port = tuple[str, int]


class Life(Enum):
    """How far a task has come; it holds its resources only while PLACED."""

    WAITING = 0
    PLACED = 1
    STOPPING = 2
    STOPPED = 3


@dataclass(frozen=True, slots=True)
class Needs:
    """What a task asks of an instance; tasks with equal needs are interchangeable."""

    amounts: tuple[tuple[str, int], ...]
    group: str
    ports: frozenset[Port] = frozenset()
    attributes: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    constraints: tuple[Rule, ...] = ()
    capacity_provider: str | None = None


@dataclass(slots=True)
class Host:
    """An instance: what it registered, and what the tasks that are PLACED on it hold.

    `deregistered` by a call, which its machine outlives.
    """

    said: m.InstanceRegistered
    at_ms: int
    status: str = "ACTIVE"
    deregistered: bool = False
    connected: bool = True
    used: Counter[str] = field(default_factory=Counter)
    ports: Counter[Port] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    member_of: dict[str, bool] = field(default_factory=dict)

    def offers(self, name: str) -> int:
        """How much of a resource there is in all."""
        if name != PORTS or PORTS in self.said.resources:
            return self.said.resources.get(name, 0)
        return RESERVED_PORTS_MAX - len(self.said.reserved_tcp) - len(self.said.reserved_udp)

    def taken_ports(self) -> set[Port]:
        """Host ports in use or reserved."""
        reserved = {("tcp", port) for port in self.said.reserved_tcp}
        reserved |= {("udp", port) for port in self.said.reserved_udp}
        return reserved | {port for port, tasks in self.ports.items() if tasks}

    def book(self, needs: Needs, sign: int) -> None:
        """One task takes (1) or gives back (-1) what it needs."""
        for name, amount in needs.amounts:
            self.used[name] += sign * amount
        for port in needs.ports:
            self.ports[port] += sign
        self.groups[needs.group] += sign

    def copy(self) -> Host:
        """The same, to book on without a trace."""
        return replace(
            self, used=self.used.copy(), ports=self.ports.copy(), groups=self.groups.copy()
        )


@dataclass(slots=True)
class TaskFacts:
    """A task: what it asks for, whose it is, where it was put.

    `checked`: it has a health check, whose last verdict is `healthy`; None: there was none yet.
    """

    needs: Needs
    life: Life
    service: str | None = None
    host: int | None = None
    deployment: str | None = None
    checked: bool = False
    ran_ms: int | None = None
    healthy: bool | None = None
    drains_until_ms: int | None = None


def on_provider(needs: Needs, capacity_provider: str | None) -> Needs:
    """The same needs on a capacity provider that was fixed for a task; None: as they are."""
    return replace(needs, capacity_provider=capacity_provider) if capacity_provider else needs
