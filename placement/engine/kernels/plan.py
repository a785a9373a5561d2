"""From kinds of tasks to the arrays that kernels read, and which kinds have a kernel form at all.

A plan holds what stays the same until an instance or an attribute changes; plans are kept, since a
scheduler asks about the same kinds again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from stowplan.placement.cluster.cluster import BoolArray, Cluster
from stowplan.placement.constraints import Check
from stowplan.placement.engine.eligibility import Eligibility
from stowplan.placement.engine.kernels.layout import (
    ALL,
    BEST,
    BINPACK,
    DOT,
    NEXT,
    NILAS,
    NORM,
    ON_INSTANCE,
    RANDOM,
    SPREAD,
    UNLIMITED,
    WORST,
    Array,
    Kinds,
)
from stowplan.placement.model import TaskKind
from stowplan.placement.strategies.best_fit import BestFit
from stowplan.placement.strategies.binpack import Binpack
from stowplan.placement.strategies.dot_product import DotProduct
from stowplan.placement.strategies.first_fit import FirstFit
from stowplan.placement.strategies.next_fit import NextFit
from stowplan.placement.strategies.nilas import Nilas
from stowplan.placement.strategies.norm_greedy import NormGreedy
from stowplan.placement.strategies.protocol import Strategy
from stowplan.placement.strategies.random import Random
from stowplan.placement.strategies.spread import Spread
from stowplan.placement.strategies.worst_fit import WorstFit

Link = tuple[int, str]  # the operation, and the resource or attribute that it reads
FIRST = -1  # the operation that is none: of instances that tie the first is taken anyway
SUMMED_MOST = 6  # resources of which numpy adds shares one by one; of more it adds eight at a time


_OPERATIONS: dict[type, int] = {
    Random: RANDOM,
    FirstFit: FIRST,
    NextFit: NEXT,
    NormGreedy: NORM,
    DotProduct: DOT,
    Nilas: NILAS,
}


class KindPlan(NamedTuple):
    """The kinds of a batch in arrays, and what their masks and attributes are."""

    kinds: Kinds
    masks: Array  # (M, n) bool: allowed by everything that depends on attributes alone
    groups: tuple[str, ...]
    draws: bool  # some chain has `random` in it
    world: list[Any]  # the World of `kinds`, once there is one
    allowed: list[Any]  # [status_version, masks of then without instances that take no task]


def chain_links(engine: Eligibility, kind: TaskKind) -> tuple[Link, ...] | None:
    """The chain of `kind` for a kernel; None where one of its parts has no kernel form.

    Of strategies only our own classes count, not what is derived from them: the kernels stand for
    their code. Constraints say themselves what kernels can count with.
    """
    if kind.devices:
        return None
    if any(check.opaque for check in engine.checks(kind)):
        return None
    links: list[Link] = []
    for strategy in engine.chain(kind):
        link = link_of(strategy)
        if link is None:
            return None
        if link[0] in (BEST, WORST, NORM, DOT) and len(kind.resources) > SUMMED_MOST:
            return None
        links.append(link)
    # A key that was compared before ties everywhere; every `random` draws, though.
    kept = [link for i, link in enumerate(links) if link[0] == RANDOM or link not in links[:i]]
    for i, (operation, _) in enumerate(kept):
        if operation in (FIRST, NEXT):  # nothing ties any more
            draws = any(op == RANDOM for op, _ in kept[i:])
            return None if draws else tuple(kept[: i + (operation == NEXT)])
    return tuple(kept)


def link_of(strategy: Strategy) -> Link | None:
    """What stands for a strategy of ours in a kernel; None: nothing does."""
    of = type(strategy)
    if isinstance(strategy, BestFit) and of in (BestFit, WorstFit):
        operation = BEST if of is BestFit else WORST
        # What is left of one resource is least where it was least before.
        one = BINPACK if of is BestFit and strategy.resource is not None else operation
        return one, strategy.resource or ""
    if isinstance(strategy, Binpack) and of is Binpack:
        return BINPACK, strategy.resource
    if isinstance(strategy, Spread) and of is Spread:
        return (SPREAD, strategy.attribute) if strategy.attribute else (ON_INSTANCE, "")
    return (_OPERATIONS[of], "") if of in _OPERATIONS else None


def make_plan(
    engine: Eligibility, kinds: Sequence[TaskKind], chains: Sequence[Sequence[Link]]
) -> KindPlan:
    """Arrays for `kinds` with the `chains` that `chain_links` gave."""
    cluster = engine.cluster
    demand = np.array([cluster.demand(kind) for kind in kinds], np.int64)
    masks, mask_of = _masks(engine, kinds)
    links, length = _links(cluster, chains)
    groups = list(dict.fromkeys(kind.group for kind in kinds))
    place = {group: i for i, group in enumerate(groups)}
    ports = np.array([cluster.port_mask(kind) for kind in kinds], np.uint64)
    most = [min(map(limit_of, engine.checks(kind)), default=UNLIMITED) for kind in kinds]
    arrays = Kinds(
        demand=demand,
        columns=np.argsort(demand == 0, axis=1, kind="stable").astype(np.uint64),
        width=(demand > 0).sum(axis=1),
        ports=ports,
        wants_ports=ports.any(axis=1),
        most=np.array(most, np.int64),
        mask=mask_of,
        group=np.array([place[kind.group] for kind in kinds], np.int64),
        links=links,
        length=length,
        lasts=np.array([-1 if k.expected_ms is None else k.expected_ms for k in kinds], np.int64),
    )
    return KindPlan(
        arrays,
        masks,
        tuple(groups),
        any(op == RANDOM for chain in chains for op, _ in chain),
        [],
        [-1, None],
    )


def limit_of(check: Check) -> int:
    """How many tasks of a group the constraint allows on an instance."""
    return UNLIMITED if check.most is None else check.most


def _masks(engine: Eligibility, kinds: Sequence[TaskKind]) -> tuple[Array, Array]:
    """The different masks, and which of them each kind has."""
    known: dict[bytes, int] = {}
    masks: list[BoolArray] = []
    seen: dict[int, int] = {}
    mask_of = np.zeros(len(kinds), np.int64)
    for i, kind in enumerate(kinds):
        mask = engine.fixed_mask(kind)
        if id(mask) not in seen:
            seen[id(mask)] = known.setdefault(mask.tobytes(), len(masks))
            if seen[id(mask)] == len(masks):
                masks.append(mask)
        mask_of[i] = seen[id(mask)]
    # One mask alone is the engine's own array; a single kind has no other.
    return masks[0][None] if len(masks) == 1 else np.array(masks, np.bool_), mask_of


def _links(cluster: Cluster, chains: Sequence[Sequence[Link]]) -> tuple[Array, Array]:
    links = np.zeros((len(chains), max(map(len, chains), default=0) + 1, 2), np.int64)
    length = np.zeros(len(chains), np.int64)
    for k, chain in enumerate(chains):
        for operation, subject in chain:
            argument = ALL if operation in (BEST, WORST, NORM, DOT) else 0
            if operation in (BINPACK, WORST) and subject:
                if subject not in cluster.resources:
                    continue  # the same for every instance
                argument = cluster.resources.index(subject)
            elif operation == SPREAD:
                argument = cluster.track(subject)
            links[k, length[k]] = operation, argument
            length[k] += 1
    return links, length
