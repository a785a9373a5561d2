"""What an instance must meet to hold a task: each check removes rows, in the order of its reason.

A placement constraint says here, and only here, what it is; all that reads constraints asks it.
To add one: a class derived from `Constraint`, and a line in `CONSTRAINTS`. Constraints are binding,
where strategies are best effort.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from stowplan.placement.cluster.cluster import BoolArray, Cluster
from stowplan.placement.cluster.columns import CAPACITY_PROVIDER
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import (
    AVAILABILITY_ZONE,
    PORTS,
    PlacementConstraint,
    TaskKind,
    gives_machines,
)
from stowplan.placement.query import Query, parse_query
from stowplan.placement.reasons import (
    AGENT,
    ATTRIBUTE,
    DRAINING,
    EMPTY_CAPACITY_PROVIDER,
    LOCATION,
    NO_ACTIVE_INSTANCES,
    constraint_reason,
    resource_reason,
)
from stowplan.placement.registry import Registry

DEVICES = "DEVICES"


class Constraint:
    """A binding condition on the instance that takes a task: all that its class says must hold.

    A class states `most`, or `query`, or has an `allows` of its own; or several of them. What is
    stated holds everywhere: kernels and every goal of `stowplan optimize` count with it, and
    `stowplan verify` judges by it from its own book. An `allows` of its own is code, of which
    nobody can tell more than what it answers; goals that cannot ask it refuse it.

    Attributes:
        most: so many tasks of the task's group may be on an instance, the new one included.
        query: the instance satisfies it.
        volatile: whether an `allows` of its own reads more than what instances registered:
            tasks that run, status, time.
        reason: of a Failure; "" stands for `reasons.constraint_reason` of its name.
        example: an expression that its class takes, for error messages and tests; None: it takes
            none.
    """

    most: int | None = None
    query: Query | None = None
    volatile: bool = True
    reason: str = ""
    example: str | None = None

    def __init__(self, expression: str | None = None) -> None:
        """Raises ValueError where there is an expression; a class that takes one says so itself."""
        if expression:
            raise ValueError("takes no expression")

    def allows(self, task: TaskKind, cluster: Cluster) -> BoolArray:
        """(size,) True where one more `task` may run as far as this constraint goes."""
        mask: BoolArray = np.ones(cluster.size, np.bool_)
        if self.most is not None:
            mask &= cluster.group_count(task.group) < self.most
        if self.query is not None:
            mask &= self.query.mask(cluster)
        return mask


class DistinctInstance(Constraint):
    """At most one task of a group on an instance, by desiredStatus (ecs-semantics 3.4)."""

    most = 1

    def __init__(self, expression: str | None = None) -> None:
        """Raises ValueError: distinctInstance takes no expression."""
        if expression:
            raise ValueError("distinctInstance takes no expression")


class MaxPerInstance(Constraint):
    """At most `expression` tasks of a group on an instance: distinctInstance with another number.

    Ours, not ECS's: the general form that traces and other schedulers have.
    """

    example = "2"

    def __init__(self, expression: str | None) -> None:
        """Raises ValueError unless the expression is a positive whole number."""
        if not (expression or "").isdecimal() or int(expression or 0) < 1:
            raise ValueError(f"maxPerInstance needs a positive number, found {expression!r}")
        self.most = int(expression or 0)


class MemberOf(Constraint):
    """The instance satisfies an expression of the cluster query language."""

    example = "attribute:ecs.instance-type =~ m5.*"

    def __init__(self, expression: str | None) -> None:
        """Raises QueryError where the expression does not parse, ValueError where there is none."""
        if not expression:
            raise ValueError("memberOf needs an expression")
        self.query = parse_query(expression)
        self.volatile = self.query.volatile


# A factory takes the expression; it raises ValueError or QueryError where that makes no sense.
ConstraintFactory = Callable[[str | None], Constraint]

# In the order in which their reasons are reported.
_SHIPPED: Mapping[str, ConstraintFactory] = {
    "memberOf": MemberOf,
    "distinctInstance": DistinctInstance,
    "maxPerInstance": MaxPerInstance,
}
CONSTRAINTS: Registry[ConstraintFactory] = Registry("placement constraint", _SHIPPED)


@dataclass(frozen=True, slots=True)
class Check:
    """A constraint as a task names it: what its class says, in the terms of those who read it.

    Args:
        name: its type.
        words: how sentences call it, expression included.
        most: see `Constraint`.
        query: see `Constraint`.
        code: the constraint itself, where it has an `allows` of its own.
        code_volatile: see `Constraint.volatile`.
        volatile: whether what it allows may change with the tasks that run.
        opaque: whether it may change in a way that `most` does not say; then it can only be asked,
            task by task.
    """

    name: str
    words: str
    reason: str
    most: int | None
    query: Query | None
    code: Constraint | None
    code_volatile: bool
    volatile: bool
    opaque: bool

    def allows(self, task: TaskKind, cluster: Cluster) -> BoolArray:
        """(size,) True where one more `task` may run as far as this constraint goes."""
        return self.fixed(task, cluster) & self.changing(task, cluster)

    def fixed(self, task: TaskKind, cluster: Cluster) -> BoolArray:
        """(size,) the part that lasts until an instance comes or an attribute changes."""
        return self._mask(task, cluster, volatile=False)

    def changing(self, task: TaskKind, cluster: Cluster) -> BoolArray:
        """(size,) the part that depends on what runs."""
        mask = self._mask(task, cluster, volatile=True)
        if self.most is not None:
            mask &= cluster.group_count(task.group) < self.most
        return mask

    def _mask(self, task: TaskKind, cluster: Cluster, *, volatile: bool) -> BoolArray:
        mask: BoolArray = np.ones(cluster.size, np.bool_)
        if self.query is not None and self.query.volatile == volatile:
            mask &= self.query.mask(cluster)
        if self.code is not None and self.code_volatile == volatile:
            mask &= self.code_allows(task, cluster)
        return mask

    def code_allows(self, task: TaskKind, cluster: Cluster) -> BoolArray:
        """(size,) what the constraint's own code says; only where there is `code`."""
        assert self.code is not None, self.words
        stamp = cluster.stamp
        found = np.asarray(self.code.allows(task, cluster))
        if cluster.stamp != stamp:
            what = "changed the cluster, which it may only read"
            raise PlacementError(f"placement constraint {self.name}: {what}")
        if found.shape != (cluster.size,) or found.dtype != np.bool_:
            what = f"expected {cluster.size} truth values, found shape {found.shape}"
            what += f" of {found.dtype}"
            raise PlacementError(f"placement constraint {self.name}: allows: {what}")
        return found


def check_of(
    constraint: PlacementConstraint, registry: Mapping[str, ConstraintFactory] = CONSTRAINTS
) -> Check:
    """What a constraint that a task names asks for.

    A class that does not derive from `Constraint` has what it says, and the defaults for the rest.

    Raises:
        PlacementError: no such type, or its expression makes no sense.
    """
    name, expression = constraint.type, constraint.expression
    if name not in registry:
        raise PlacementError(f"unknown placement constraint {name!r}; known: {', '.join(registry)}")
    try:
        made = registry[name](expression)
    except (TypeError, ValueError) as error:
        raise PlacementError(f"placement constraint {name}: {error}") from error
    most, query = getattr(made, "most", None), getattr(made, "query", None)
    if query is not None and not isinstance(query, Query):
        what = f"query is {query!r}, not what parse_query gives"
        raise PlacementError(f"placement constraint {name}: {what}")
    in_code = getattr(type(made), "allows", Constraint.allows) is not Constraint.allows
    code_volatile = in_code and getattr(made, "volatile", True)
    opaque = code_volatile or (query is not None and query.volatile)
    return Check(
        name=name,
        words=name if expression is None else f"{name} {expression!r}",
        reason=getattr(made, "reason", "") or constraint_reason(name),
        most=most,
        query=query,
        code=made if in_code else None,
        code_volatile=code_volatile,
        volatile=opaque or most is not None,
        opaque=opaque,
    )


def without_code(
    kind: TaskKind, registry: Mapping[str, ConstraintFactory] = CONSTRAINTS
) -> TaskKind:
    """The kind without constraints that have code of their own.

    For questions about instances that stand for others: code is asked of those that are there.
    """
    stated = tuple(c for c in kind.constraints if check_of(c, registry).code is None)
    return kind if stated == kind.constraints else replace(kind, constraints=stated)


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
    if task.capacity_provider is None:
        for name in filter(gives_machines, cluster.column(CAPACITY_PROVIDER).values):
            yield NO_ACTIVE_INSTANCES, ~cluster.in_capacity_provider(name)
    else:
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
