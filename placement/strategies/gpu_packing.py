"""GPU packing: fill devices in use first, then free devices of instances in use, then new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import BoolArray, Cluster, IntArray
    from stowplan.placement.model import TaskKind

WHOLE = 1000


class GpuPacking:
    """Prefer devices that are in use, the fuller the better; keep wholly free instances free.

    A task without devices ties everywhere. Integers as in the simulator of the second source.

    Source: Weng et al. (2022), MLaaS in the wild, NSDI (the policy); Weng et al. (2023), USENIX
    ATC, section 6 and kubernetes-scheduler-simulator, plugin GpuPackingScore (the numbers).
    """

    def __init__(self, field: str | None = None) -> None:
        """Raises ValueError: gpu_packing takes no field."""
        if field:
            raise ValueError("gpu_packing takes no field")

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> IntArray:
        """Minus the score."""
        if not task.devices:
            return np.zeros(len(candidates), np.int64)
        have = cluster.device_capacity[candidates] > 0
        return -packing_scores(cluster.device_left[candidates], have, task)


def packing_scores(left: IntArray, have: BoolArray, task: TaskKind) -> IntArray:
    """Scores 0..100 of instances on which `task` fits.

    Args:
        left: (n, devices) thousandths left of each device.
        have: (n, devices) whether the instance has that device.
    """
    free = ((left == WHOLE) & have).sum(axis=1)
    # The devices that would be taken: of those with room the fullest.
    room = np.where((left >= task.device_milli) & have, left, np.iinfo(np.int64).max)
    picked = np.sort(room, axis=1)[:, : task.devices]
    picked_free = (picked == WHOLE).sum(axis=1)
    filled = (picked * 100 // WHOLE).sum(axis=1) // 10
    untouched = free == have.sum(axis=1)
    scores: IntArray = np.where(
        untouched,
        np.maximum(33 - free, free),
        np.where(picked_free > 0, np.maximum(50 - picked_free, 33), np.maximum(100 - filled, 50)),
    )
    return scores
