"""What an instance must meet to hold a task: each check removes rows, in the order of its reason.

To add a placement constraint: a class with `reason`, `volatile` and `allows`, and a line in
`CONSTRAINTS`. Constraints are binding, where strategies are best effort.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import numpy as np

from stowplan.placement.cluster.cluster import BoolArray, Cluster
from stowplan.placement.model import AVAILABILITY_ZONE, PORTS, TaskKind
from stowplan.placement.query import parse_query
from stowplan.placement.reasons import (
    AGENT,
    ATTRIBUTE,
    DISTINCT_INSTANCE,
    DRAINING,
    EMPTY_CAPACITY_PROVIDER,
    LOCATION,
    MAX_PER_INSTANCE,
    MEMBER_OF,
    resource_reason,
)

DEVICES = "DEVICES"


class Constraint(Protocol):
    """A binding condition. `volatile` unless `allows` depends on nothing but attributes."""

    reason: str
    volatile: bool

    def allows(self, task: TaskKind, cluster: Cluster) -> BoolArray:
        """(size,) True where `task` may run as far as this constraint goes."""
        ...


class DistinctInstance:
    """At most one task of a group on an instance, by desiredStatus (ecs-semantics 3.4)."""

    reason = DISTINCT_INSTANCE
    volatile = True

    def __init__(self, expression: str | None = None) -> None:
        """Raises ValueError: distinctInstance takes no expression."""
        if expression:
            raise ValueError("distinctInstance takes no expression")

    def allows(self, task: TaskKind, cluster: Cluster) -> BoolArray:
        """No task of the group is there."""
        empty: BoolArray = cluster.group_count(task.group) == 0
        return empty


class MaxPerInstance:
    """At most `expression` tasks of a group on an instance: distinctInstance with another number.

    Ours, not ECS's: the general form that traces and other schedulers have.
    """

    reason = MAX_PER_INSTANCE
    volatile = True

    def __init__(self, expression: str | None) -> None:
        """Raises ValueError unless the expression is a positive whole number."""
        if not (expression or "").isdecimal() or int(expression or 0) < 1:
            raise ValueError(f"maxPerInstance needs a positive number, found {expression!r}")
        self.most = int(expression or 0)

    def allows(self, task: TaskKind, cluster: Cluster) -> BoolArray:
        """Fewer than that many tasks of the group are there."""
        room: BoolArray = cluster.group_count(task.group) < self.most
        return room


class MemberOf:
    """The instance satisfies an expression of the cluster query language."""

    reason = MEMBER_OF

    def __init__(self, expression: str | None) -> None:
        """Raises QueryError where the expression does not parse, ValueError where there is none."""
        if not expression:
            raise ValueError("memberOf needs an expression")
        self.query = parse_query(expression)
        self.volatile = self.query.volatile

    def allows(self, task: TaskKind, cluster: Cluster) -> BoolArray:
        """The mask of the query."""
        return self.query.mask(cluster)


ConstraintFactory = Callable[[str | None], Constraint]

# In the order in which their reasons are reported.
CONSTRAINTS: Mapping[str, ConstraintFactory] = {
    "memberOf": MemberOf,
    "distinctInstance": DistinctInstance,
    "maxPerInstance": MaxPerInstance,
}


def has_required(attributes: Mapping[str, str], required: str) -> bool:
    """Whether an instance with `attributes` has the one required, given as NAME or NAME=VALUE."""
    name, valued, value = required.partition("=")
    return name in attributes and (not valued or attributes[name] == value)


def _has(cluster: Cluster, required: str) -> BoolArray:
    """(size,) `has_required` for every row."""
    name, valued, value = required.partition("=")
    codes, values = cluster.column(f"attribute:{name}")
    mask: BoolArray = codes >= 0
    if valued:
        mask &= codes == (values.index(value) if value in values else len(values))
    return mask


def attribute_steps(task: TaskKind, cluster: Cluster) -> Iterator[tuple[str, BoolArray]]:
    """(reason, allowed rows) of the checks that depend on nothing but what was registered."""
    if task.required_attributes:
        held = [_has(cluster, required) for required in task.required_attributes]
        yield ATTRIBUTE, np.logical_and.reduce(held)
    if task.zones:
        codes, values = cluster.column(f"attribute:{AVAILABILITY_ZONE}")
        wanted = [code for code, value in enumerate(values) if value in task.zones]
        yield LOCATION, np.isin(codes, wanted)
    if task.capacity_provider is not None:
        yield EMPTY_CAPACITY_PROVIDER, cluster.in_capacity_provider(task.capacity_provider)


def state_steps(task: TaskKind, cluster: Cluster) -> Iterator[tuple[str, BoolArray]]:
    """(reason, allowed rows) of the checks on status, agent, resources and ports."""
    yield DRAINING, cluster.active | ~cluster.present
    yield AGENT, cluster.agent_connected
    demand = cluster.demand(task)
    for column, name in enumerate(cluster.resources):
        # What is not asked for counts too, as in `Engine.allowed`: an instance that registered
        # again with less may be over-committed in it, and takes no task until it is not.
        fits = cluster.remaining[:, column] >= demand[column]
        if name == PORTS:
            fits &= cluster.ports_free(task)
        yield resource_reason(name), fits
    if task.devices:
        yield resource_reason(DEVICES), devices_free(task, cluster)


def devices_free(task: TaskKind, cluster: Cluster) -> BoolArray:
    """(size,) enough devices have the share left that each of the task's devices needs."""
    fits = (cluster.device_left >= task.device_milli).sum(axis=1) >= task.devices
    enough: BoolArray = fits
    return enough
