"""What is to be placed at once, and its encoding as vectors: every rule becomes a dimension.

A rule that says what may share an instance is a dimension with the room that the rule leaves, so
that solvers of packing problems know nothing of ports or constraints, and stay exact:

| rule | dimension | an instance has |
|---|---|---|
| resources, ECS's and own | what a task reserves | what it registers |
| host port | 1 for each task that wants it | 1 |
| at most n of a group | 1 for each task of the group with a limit up to n | n |
| attributes, zones, queries | 1 for each task that must have them | as many as there are, or 0 |

What the tasks of DAEMON services take on an instance is taken off its room before anything else.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.constraints import check_of
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import SpecError
from stowplan.placement.model import TaskKind
from stowplan.placement.optimal.asked import TaskSet
from stowplan.placement.packing.problem import BoolArray, IntArray
from stowplan.placement.scenario.scenario import InstanceSpec


@dataclass(frozen=True)
class Encoded:
    """Tasks and instances as vectors over the same dimensions; see the module.

    Args:
        demand: (task sets, dimensions); counts: (task sets,); capacity: (instances, dimensions).
        allowed: (task sets, instances) attributes, zones and constraints leave the instance open.
        resources: names of the first dimensions; those after them are rules.
        daemons: (daemons, instances) a task of the daemon is there, and its room is taken off.
    """

    demand: IntArray
    counts: IntArray
    capacity: IntArray
    allowed: BoolArray
    resources: tuple[str, ...] = ()
    daemons: BoolArray = field(default_factory=lambda: np.zeros((0, 0), np.bool_))

    def fits(self) -> BoolArray:
        """(task sets, instances) one task alone may run on the empty instance."""
        result: BoolArray = np.all(self.demand[:, None] <= self.capacity[None], axis=2)
        return result


def empty_cluster(specs: Sequence[InstanceSpec]) -> Cluster:
    """A fresh cluster with an empty instance for each spec, in this order."""
    cluster = Cluster()
    for row, spec in enumerate(specs):
        strings = instance_strings(spec.name, spec.attributes, spec.capacity_provider)
        cluster.register(row, spec.resources, strings)
    return cluster


def start_daemons(engine: Engine, daemons: Sequence[TaskSet]) -> BoolArray:
    """Book a task of each daemon on every instance that may hold it, in their order, as ECS does.

    On an instance where it finds no room ECS goes on without it.

    Returns: (daemons, instances) whether it is there.
    """
    held = np.zeros((len(daemons), engine.cluster.size), np.bool_)
    for index, daemon in enumerate(daemons):
        held[index] = engine.allowed(daemon.kind)
        for row in np.flatnonzero(held[index]).tolist():
            engine.cluster.reserve(daemon.kind, row)
    return held


def encode(
    tasks: Sequence[TaskSet],
    cluster: Cluster,
    daemons: Sequence[TaskSet] = (),
    *,
    given: bool = False,
) -> Encoded:
    """Tasks and the instances of an empty cluster over common dimensions.

    The daemons are booked on the cluster, and stay so.

    Args:
        given: the instances are those that there are; else they stand for any number like them.
    Raises:
        SpecError: as `refuse_volatile` does.
    """
    engine = Engine(cluster, np.random.default_rng(0), kernels=False)
    refuse_volatile([*tasks, *daemons], given=given)
    held = start_daemons(engine, daemons)
    kinds = [each.kind for each in [*tasks, *daemons]]
    counts = np.array([each.count for each in tasks], np.int64)
    wanted, size = len(tasks), cluster.size
    for kind in kinds:
        cluster.demand(kind)  # adds a column for each resource that no instance has
    resources = np.array([cluster.demand(kind) for kind in kinds], np.int64)
    resources = resources.reshape(len(kinds), len(cluster.resources))
    allowed = np.array([engine.fixed_mask(kind) for kind in kinds[:wanted]], np.bool_)
    allowed = allowed.reshape(wanted, size)
    used = resources[:wanted].any(axis=0)
    columns = [*resources[:, used].T]
    rooms = [*cluster.registered[:, used].T]
    for members, most in limits_together(engine, kinds):
        if min(members) < wanted:
            columns.append(np.isin(np.arange(len(kinds)), list(members)).astype(np.int64))
            rooms.append(np.full(size, most, np.int64))
    for row in np.unique(allowed[~allowed.all(axis=1)], axis=0):
        mine = np.zeros(len(kinds), np.int64)
        mine[:wanted] = (allowed == row).all(axis=1)
        columns.append(mine)
        rooms.append(np.where(row, counts.sum(), 0).astype(np.int64))
    demand = np.column_stack(columns) if columns else np.zeros((len(kinds), 1), np.int64)
    capacity = np.column_stack(rooms) if rooms else np.zeros((size, 1), np.int64)
    return Encoded(
        demand[:wanted],
        counts,
        capacity - held.T.astype(np.int64) @ demand[wanted:],
        allowed,
        tuple(cluster.resources[column] for column in np.flatnonzero(used)),
        held,
    )


def limit_per_instance(engine: Engine, kind: TaskKind) -> int | None:
    """How many tasks of its group, itself included, may be where a task of this kind starts."""
    return min((c.most for c in engine.checks(kind) if c.most is not None), default=None)


def limits_together(
    engine: Engine, kinds: Sequence[TaskKind]
) -> Iterator[tuple[frozenset[int], int]]:
    """(kinds, most of their tasks on an instance) for host ports and groups with a limit.

    ECS looks at a limit when a task starts, so those with the lowest limit start first, and a task
    counts against its own limit and the higher ones of its group.
    """
    wanted: dict[Hashable, set[int]] = {}
    limited: dict[str, dict[int, int]] = {}
    for index, kind in enumerate(kinds):
        for port in kind.tcp_ports:
            wanted.setdefault(("tcp", port), set()).add(index)
        for port in kind.udp_ports:
            wanted.setdefault(("udp", port), set()).add(index)
        limit = limit_per_instance(engine, kind)
        if limit is not None:
            limited.setdefault(kind.group, {})[index] = limit
    yield from ((members, 1) for members in dict.fromkeys(map(frozenset, wanted.values())))
    for limits in limited.values():
        for most in sorted(set(limits.values())):
            yield frozenset(index for index, limit in limits.items() if limit <= most), most


def refuse_volatile(tasks: Sequence[TaskSet], *, given: bool = False) -> None:
    """What no vector can say.

    Args:
        given: see `encode`.
    Raises:
        SpecError: shares of devices; a constraint that depends on what else is running in a way
            that has no dimension, or that is code and would be asked about instances that stand
            for others. Names each once, by the owner of the tasks.
    """
    problems = []
    for each in tasks:
        if each.kind.devices:
            problems.append((each.owner, "shares of a device cannot be optimized"))
        for constraint in each.kind.constraints:
            check = check_of(constraint)
            if check.opaque:
                what = f"{check.words} depends on what else is running; optimize takes "
                problems.append((each.owner, what + "limits per instance, and what attributes say"))
            elif check.code is not None and not given:
                what = f"{check.words} has code of its own, which may tell equal instances apart; "
                what += "this goal knows instances by their type alone, unlike placement and repack"
                problems.append((each.owner, what))
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))
