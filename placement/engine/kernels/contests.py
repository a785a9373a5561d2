"""Tournaments for a batch: which chains they take, and the arrays that they begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stowplan.placement.cluster.cluster import Cluster
from stowplan.placement.engine.eligibility import Eligibility
from stowplan.placement.engine.kernels.layout import (
    ALIGNED,
    BEST,
    CLUSTERING,
    DOT,
    FGD,
    FGD_STOW,
    LEAF,
    LEFT,
    NEXT,
    NILAS,
    NORM,
    OWN,
    PACKING,
    RANDOM,
    SPREAD,
    STOW,
    WORST,
    Contest,
    Gpus,
)
from stowplan.placement.engine.kernels.plan import FIRST, SUMMED_MOST, KindPlan, Link, link_of
from stowplan.placement.model import CPU, TaskKind
from stowplan.placement.strategies.fgd import Fgd
from stowplan.placement.strategies.fgd_then_stow import FgdThenStow
from stowplan.placement.strategies.gpu_clustering import GpuClustering
from stowplan.placement.strategies.gpu_packing import GpuPacking
from stowplan.placement.strategies.openb import OpenbBestFit, OpenbDotProduct
from stowplan.placement.strategies.protocol import DeviceChooser, Strategy
from stowplan.placement.strategies.row_score import RowScore
from stowplan.placement.strategies.stow_gpu import StowGpu

TREES_MAX = 1 << 28  # bytes of all trees of a batch
SEEN = 16  # instances that stand for those like them
ALIKE = 2  # tasks of a kind from which on its tree pays
_OPERATIONS: dict[type, int] = {
    GpuPacking: PACKING,
    GpuClustering: CLUSTERING,
    OpenbDotProduct: ALIGNED,
    OpenbBestFit: LEFT,
    Fgd: FGD,
    StowGpu: STOW,
    FgdThenStow: FGD_STOW,
}
_SUMS = (BEST, WORST, NORM, DOT)


def contest_links(engine: Eligibility, kind: TaskKind) -> tuple[Link, ...] | None:
    """The chain of `kind` for a tournament; None where a key depends on more than an instance."""
    if any(check.opaque for check in engine.checks(kind)):
        return None
    links: list[Link] = []
    for strategy in engine.chain(kind):
        link = _link(strategy)
        if link is None or link[0] in (SPREAD, RANDOM, NEXT):
            return None
        if link[0] in _SUMS and (kind.devices or len(kind.resources) > SUMMED_MOST):
            return None
        if link[0] == FIRST:
            break
        if link not in links:
            links.append(link)
    return tuple(links) if len(_devices_of(engine, [kind])) <= 1 else None


def _link(strategy: Strategy) -> Link | None:
    of = type(strategy)
    if own_score(strategy) is not None:
        return OWN, ""
    if of not in _OPERATIONS:
        return link_of(strategy)
    known: Any = strategy
    if _OPERATIONS[of] in (FGD, STOW) and known.tasks is None:
        return None  # every booking changes what it knows, and so all keys
    if of is FgdThenStow and known.tasks is None:
        return None
    return _OPERATIONS[of], ""


def own_score(strategy: Any) -> RowScore | None:
    """The score of a user's own that a strategy is, maybe watched; None: it is another."""
    inner = getattr(strategy, "row_score", strategy)
    return inner if type(inner) is RowScore else None


def pays(kinds: Sequence[TaskKind], chains: Sequence[Any], tasks: int, size: int) -> bool:
    """Whether a batch of kinds with these chains goes to tournaments, which could take it.

    `chains` have what `contest_links` gave. What has an order of its own is faster by that.
    """
    if any(chain is None for chain in chains):
        return False
    width = _blocks(size)
    links = max(1, *map(len, chains))
    if len(kinds) * width * 8 * (links * LEAF + 3) > TREES_MAX:
        return False
    new = any(op >= OWN for chain in chains for op, _ in chain) or any(k.devices for k in kinds)
    slow = any(len(chain) > 1 or (chain[:1] and chain[0][0] in (DOT, NILAS)) for chain in chains)
    return new or (slow and tasks >= ALIKE * len(kinds))


def _devices_of(engine: Eligibility, kinds: Sequence[TaskKind]) -> list[Any]:
    """The different strategies that need to know of typical tasks, or of classes."""
    found: dict[int, Any] = {}
    for kind in kinds:
        for strategy in engine.chain(kind):
            if type(strategy) in (Fgd, StowGpu, FgdThenStow):
                found[id(strategy)] = strategy
    return list(found.values())


def alike(engine: Eligibility, kinds: Sequence[TaskKind]) -> bool:
    """Whether one set of arrays serves all: there is room for what one strategy of a sort knows."""
    if len(_devices_of(engine, kinds)) > 1:
        return False
    for of in (GpuClustering, RowScore, OpenbDotProduct, OpenbBestFit):
        chained = (own_score(s) or s for kind in kinds for s in engine.chain(kind))
        if len({id(s) for s in chained if type(s) is of}) > 1:
            return False
    chain: list[Any] = [strategy for kind in kinds for strategy in engine.chain(kind)]
    scores = [each for each in chain if type(each) in (OpenbDotProduct, OpenbBestFit)]
    return len({(each.cpu_most, each.device_milli_most) for each in scores}) <= 1


def _blocks(size: int) -> int:
    """A power of two of blocks for so many instances."""
    return 1 << max(1, (-(-size // LEAF) - 1).bit_length())


def make_contest(plan: KindPlan, size: int) -> Contest:
    """Trees of which none holds yet."""
    width = _blocks(size)
    kinds, links = len(plan.kinds.mask), max(1, int(plan.kinds.length.max(initial=1)))
    return Contest(
        tree=np.full((kinds, 2 * width), -1, np.int32),
        lead=np.full((kinds, 2 * width), np.inf),
        keys=np.full((kinds, links, width * LEAF), np.inf),
        synced=np.full(kinds, -1, np.int64),
    )


def compiled_score(engine: Eligibility, kinds: Sequence[TaskKind]) -> Any:
    """The user's score that the kinds name, compiled, or None."""
    found = (own_score(strategy) for kind in kinds for strategy in engine.chain(kind))
    return next((score.compiled() for score in found if score is not None), None)


def make_gpus(engine: Eligibility, kinds: Sequence[TaskKind]) -> Gpus:
    """What the kinds want of devices, and what their strategies know."""
    cluster = engine.cluster
    left, capacity = cluster.device_columns()
    chain = [strategy for kind in kinds for strategy in engine.chain(kind)]
    fgd, stow = _knowledge(engine, kinds)
    size, levels = cluster.size, np.unique(fgd[2])
    counted, counts = _counted(cluster, kinds, chain)
    total = int(capacity[:size].sum())
    return Gpus(
        devices=np.array([kind.devices for kind in kinds], np.int64),
        milli=np.array([kind.device_milli for kind in kinds], np.int64),
        chooser=np.array([_chooser(engine, kind) for kind in kinds], np.int64),
        left=left,
        capacity=capacity,
        counted=counted,
        counts=counts,
        cpu=np.array([cluster.resources.index(CPU)]),
        most=_most(chain, capacity[:size]),
        sums=np.array([total - int(left[:size].sum()), total]),
        turn=np.zeros(1, np.int64),
        **dict(zip(("share", "need"), fgd, strict=False)),
        level=np.searchsorted(levels, fgd[2]),
        many=fgd[3],
        allowed=fgd[4],
        levels=levels,
        **dict(zip(_STOW, stow, strict=False)),
        per_gpu=np.array([stow[5]]),
        before=np.zeros(size),
        before_at=np.full(size, -1, np.int64),
        fitting=np.zeros(len(levels), np.int64),
        small=np.zeros(len(levels), np.int64),
        after=np.zeros(left.shape[1], np.int64),
        given=np.zeros(left.shape[1], np.int64),
        label=_labels(capacity[:size], fgd[4], stow[4]),
        seen=np.zeros(SEEN, np.int64),
    )


_STOW = ("weight", "stow_need", "stow_milli", "stow_many", "stow_allowed")


def _labels(capacity: Any, *allowed: Any) -> Any:
    """(n,) equal where instances have the same devices and may run the same typical tasks."""
    columns = np.column_stack([capacity, *(each.T for each in allowed)])
    if not columns.shape[1]:
        return np.zeros(len(capacity), np.int64)
    return np.unique(columns, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _chooser(engine: Eligibility, kind: TaskKind) -> int:
    """The operation that chooses devices for the kind; -1: the fullest that fit."""
    for strategy in engine.chain(kind):
        if isinstance(strategy, DeviceChooser):
            return _OPERATIONS[type(strategy)]
    return -1


def _knowledge(engine: Eligibility, kinds: Sequence[TaskKind]) -> tuple[Any, Any]:
    """The typical tasks as FGD and as STOW know them; empty where no strategy asks."""
    cluster = engine.cluster
    none, no_mask = np.zeros(0, np.int64), np.zeros((0, cluster.size), np.bool_)
    fgd: Any = (np.zeros(0), none, none, none, no_mask)
    stow: Any = (none, none, none, none, no_mask, 0)
    for strategy in _devices_of(engine, kinds):
        if type(strategy) in (Fgd, FgdThenStow):
            fgd = getattr(strategy, "first", strategy).columns(cluster)
        if type(strategy) in (StowGpu, FgdThenStow):
            stow = getattr(strategy, "then", strategy).columns(cluster)
    return _whole(fgd), _whole(stow)


def _whole(columns: Any) -> tuple[Any, ...]:
    return tuple(each if isinstance(each, int) else np.ascontiguousarray(each) for each in columns)


def _counted(
    cluster: Cluster, kinds: Sequence[TaskKind], chain: Sequence[Strategy]
) -> tuple[Any, Any]:
    """What `gpu_clustering` counts on each instance, and whether it counts tasks of a kind."""
    for strategy in chain:
        if type(strategy) is GpuClustering:
            groups = strategy.groups
            counts = [groups is None or kind.group in groups for kind in kinds]
            return strategy.counted(cluster).astype(np.int64), np.array(counts, np.bool_)
    return np.zeros(cluster.size, np.int64), np.zeros(len(kinds), np.bool_)


def _most(chain: Sequence[Any], capacity: Any) -> Any:
    """What scores are shares of, and the devices of an instance that has most."""
    most = [1, 1, 1, int((capacity > 0).sum(axis=1).max(initial=0))]
    for strategy in chain:
        if type(strategy) in (OpenbDotProduct, OpenbBestFit):
            most[:2] = strategy.cpu_most, strategy.device_milli_most
        if type(strategy) is GpuClustering:
            most[2] = strategy.device_milli_most
    return np.array(most, np.int64)
