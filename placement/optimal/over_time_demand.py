"""From tasks on a cluster to a problem over time: equal tasks and equal instances become one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stowplan.placement.cluster.cluster import Cluster, IntArray
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import TaskKind
from stowplan.placement.optimal.asked import TaskSet
from stowplan.placement.optimal.demand import limit_per_instance, limits_together, start_daemons
from stowplan.placement.packing.fleet.problem import BinType
from stowplan.placement.packing.over_time.problem import ANY_NUMBER, OverTimeProblem

Ran = tuple[int, int, int]  # a task: number of its kind, start and end in ms


def problem_over_time(
    cluster: Cluster,
    prices: Sequence[int],
    kinds: Sequence[TaskKind],
    ran: Sequence[Ran] | IntArray,
) -> OverTimeProblem:
    """What the tasks that `ran` need, on no more instances of a type than there are: for a bound.

    See `problem_and_rows`.
    """
    return problem_and_rows(cluster, prices, kinds, ran)[0]


def problem_and_rows(
    cluster: Cluster,
    prices: Sequence[int],
    kinds: Sequence[TaskKind],
    ran: Sequence[Ran] | IntArray,
    *,
    limited: bool = True,
    daemons: Sequence[TaskSet] = (),
) -> tuple[OverTimeProblem, IntArray]:
    """What the tasks that `ran` need, on any of the cluster's instances.

    Instances are of one type where they registered the same, at one price, and the constraints on
    attributes allow the same tasks there. Kinds are in a fixed order, so that runs that placed the
    same tasks have the same kinds. Resources that cannot run short are left out.

    Args:
        prices: per row of the cluster, millionths of a dollar an hour.
        ran: (tasks, 3).
        limited: no more instances of a type at a time than there are, for a bound; else any
            number, for a plan: then ports and limits that kinds share are dimensions.
        daemons: of which a task is on every instance all the time, as far as there is room. They
            are booked on the cluster.
    Returns: the problem, and (types,) a row of the cluster for each of its types.
    """
    engine = Engine(cluster, np.random.default_rng(0))
    needs, registered = _needs_and_room(engine, kinds, daemons, limited=limited)
    found = [engine.fixed_mask(kind) for kind in kinds]
    masks = {id(mask): mask for mask in found}  # thousands of kinds share a few
    position = {key: at for at, key in enumerate(masks)}
    mask_of = np.array([position[id(mask)] for mask in found], dtype=np.int64)
    allowed = np.array(list(masks.values()), dtype=np.bool_).reshape(len(masks), cluster.size)
    paid = np.array(prices, dtype=np.int64)[:, None]
    alike = np.hstack([registered, paid, np.unique(allowed, axis=0).T])
    _, first, type_of = np.unique(alike, axis=0, return_index=True, return_inverse=True)
    caps = np.array([most_per_instance(kind, engine) for kind in kinds], dtype=np.int64)
    most = np.where(allowed[mask_of][:, first], caps[:, None], 0)
    short = _can_run_short(needs, most, registered[first])
    apart = _apart(kinds, caps)[:, None]
    table = np.hstack([needs[:, short], most, apart])
    table, number = np.unique(table, axis=0, return_inverse=True)
    kind, start_ms, end_ms = np.array(ran, dtype=np.int64).reshape(-1, 3).T
    names = cluster.column("attribute:ecs.instance-type")
    there = np.bincount(type_of.reshape(-1)).tolist()
    problem = OverTimeProblem(
        table[:, : len(short)],
        number.reshape(-1)[kind],
        start_ms,
        end_ms,
        tuple(
            BinType(
                names.values[names.codes[row]] if names.codes[row] >= 0 else "instance",
                registered[row, short],
                prices[row],
                there[t] if limited else None,
            )
            for t, row in enumerate(first.tolist())
        ),
        table[:, len(short) : -1],
    )
    return problem, first


def _needs_and_room(
    engine: Engine, kinds: Sequence[TaskKind], daemons: Sequence[TaskSet], *, limited: bool
) -> tuple[IntArray, IntArray]:
    """(kinds, d) what each takes, (instances, d) what there is beside the daemons."""
    cluster = engine.cluster
    held = start_daemons(engine, daemons).astype(np.int64)
    everyone = [*kinds, *(each.kind for each in daemons)]
    for kind in everyone:
        cluster.demand(kind)  # adds a column for each resource that no instance has
    needs = np.array([cluster.demand(kind) for kind in everyone], dtype=np.int64)
    needs = needs.reshape(len(everyone), len(cluster.resources))
    registered = cluster.registered
    if not limited:
        together = [rule for rule in limits_together(engine, everyone) if len(rule[0]) > 1]
        marks = [np.isin(np.arange(len(everyone)), list(members)) for members, _ in together]
        needs = np.column_stack([needs, *marks]).astype(np.int64)
        rooms = [np.full(len(registered), most_together) for _, most_together in together]
        registered = np.column_stack([registered, *rooms]).astype(np.int64)
    return needs[: len(kinds)], registered - held.T @ needs[len(kinds) :]


def _apart(kinds: Sequence[TaskKind], caps: IntArray) -> IntArray:
    """(kinds,) the same number for kinds whose tasks may be taken for each other's.

    Those with a limit per instance may not, unless the limit counts them together: by group, or by
    the ports that they share.
    """
    keys = [(kind.group, kind.tcp_ports, kind.udp_ports) for kind in kinds]
    capped = [key for key, cap in zip(keys, caps.tolist(), strict=True) if cap < ANY_NUMBER]
    rank = {key: at for at, key in enumerate(sorted(set(capped)), 1)}
    limited = (caps < ANY_NUMBER).tolist()
    found = [rank[key] if cap else 0 for key, cap in zip(keys, limited, strict=True)]
    return np.array(found, dtype=np.int64)


def _can_run_short(needs: IntArray, most: IntArray, registered: IntArray) -> IntArray:
    """The resources of which some instance has less than all that it may hold would need."""
    wanted = most.T.astype(object) @ needs.astype(object)  # may leave 64 bits
    short: IntArray = np.flatnonzero((wanted > registered).any(axis=0))
    return short if len(short) else np.arange(1)


def most_per_instance(kind: TaskKind, engine: Engine) -> int:
    """How many tasks of `kind` its constraints and ports let one instance hold, whatever the room.

    Constraints on groups hold for all kinds of a group together, so this is true of each.
    """
    limit = limit_per_instance(engine, kind)
    caps = [] if limit is None else [limit]
    return min([ANY_NUMBER, *caps, *([1] if kind.tcp_ports or kind.udp_ports else [])])
