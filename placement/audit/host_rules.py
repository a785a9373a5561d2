"""May a task be put on a host? Each rule says what is in the way, or nothing.

Rules of ecs-semantics 2.3, 3.1 and 3.3, one instance at a time, for `placement.audit.checkers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from stowplan.placement.audit.hosts import Host, Needs
from stowplan.placement.model import AVAILABILITY_ZONE
from stowplan.placement.query import CodedColumn, parse_query


def barred(needs: Needs, host: Host, *, agent: bool = True) -> Iterator[str]:
    """Status, agent, attributes, zone and capacity provider of a host that is no place for it.

    `agent`: whether one without an agent that is connected is none.
    """
    if host.status != "ACTIVE":
        yield f"is {host.status}"
    if agent and not host.connected:
        yield "has no agent connected"
    # Required as NAME or as NAME=VALUE.
    if needs.attributes:
        has = host.said.attributes
        wanted = [required.partition("=") for required in needs.attributes]
        missing = [
            name + sep + value
            for name, sep, value in wanted
            if name not in has or value not in ("", has[name])
        ]
        if missing:
            yield f"lacks attributes {missing}"
    if needs.zones and host.said.attributes.get(AVAILABILITY_ZONE) not in needs.zones:
        yield f"is not in zones {needs.zones}"
    if needs.capacity_provider not in (None, host.said.capacity_provider):
        yield f"is not of capacity provider {needs.capacity_provider}"


def short(needs: Needs, host: Host) -> Iterator[str]:
    """Resources of which the host has not enough left for one more.

    One that is over-committed (it registered again with less) has not even enough for nothing.
    """
    wanted = dict(needs.amounts)
    for name in dict.fromkeys([*wanted, *host.used]):
        left, amount = host.offers(name) - host.used[name], wanted.get(name, 0)
        if left < amount:
            yield f"has {left} {name} left of {host.offers(name)}, the task takes {amount}"


def clashing(needs: Needs, host: Host) -> Iterator[str]:
    """Host ports that somebody has."""
    if needs.ports:
        for protocol, port in sorted(needs.ports & host.taken_ports()):
            yield f"has {protocol} port {port} taken"


def unmet(needs: Needs, host: Host) -> Iterator[str]:
    """Placement constraints that one more task of these needs would break.

    Raises:
        NotImplementedError: nothing is known of what a constraint of that type asks for.
    """
    there = host.groups[needs.group]
    for rule in needs.constraints:
        if not rule.known:
            raise NotImplementedError(f"no rule to check constraint {rule.type!r} by")
        if rule.most is not None and there >= rule.most:
            yield f"has {there} tasks of {needs.group}, {rule.type} allows {rule.most}"
        if rule.query is not None and not _is_member(rule.query, host):
            yield f"does not satisfy {rule.query!r}"


def most_per_host(needs: Needs) -> int | None:
    """How many of its group constraints allow on one instance; None: they do not say."""
    return min((r.most for r in needs.constraints if r.most is not None), default=None)


def is_static_member(needs: Needs, host: Host) -> bool:
    """Whether the queries hold that do not depend on which tasks there are."""
    asked = [rule.query for rule in needs.constraints if rule.query is not None]
    return all(parse_query(text).volatile or _is_member(text, host) for text in asked)


def fits(needs: Needs, host: Host) -> bool:
    """Nothing is in the way of one more task."""
    rules = (short, barred, clashing, unmet)
    return not any(True for rule in rules for _ in rule(needs, host))


def _is_member(expression: str, host: Host) -> bool:
    query = parse_query(expression)
    if query.volatile:
        return bool(query.mask(_OneHost(host))[0])
    if expression not in host.member_of:
        host.member_of[expression] = bool(query.mask(_OneHost(host))[0])
    return host.member_of[expression]


class _OneHost:
    """A host as the cluster query language reads it: columns with one row."""

    size = 1

    def __init__(self, host: Host) -> None:
        self._host = host

    def column(self, subject: str) -> CodedColumn:
        name = subject.removeprefix("attribute:")
        said = self._host.said
        value = said.ec2_instance_id if subject == "ec2InstanceId" else said.attributes.get(name)
        return CodedColumn(np.array([-1 if value is None else 0], np.int32), [value or ""])

    def group_count(self, group: str) -> np.ndarray[Any, np.dtype[np.int32]]:
        return np.array([self._host.groups[group]], np.int32)

    @property
    def running_tasks_count(self) -> np.ndarray[Any, np.dtype[np.int32]]:
        return np.array([self._host.groups.total()], np.int32)

    @property
    def agent_connected(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.array([self._host.connected], np.bool_)

    @property
    def registered_at_ms(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([self._host.at_ms], np.int64)
