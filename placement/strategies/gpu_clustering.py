"""GPU clustering: tasks of one GPU class together, apart from other classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind


class GpuClustering:
    """Prefer instances that hold only tasks of the same class; then mixed ones, empty ones, others.

    A task's class is its group, and `groups` are the classes that count; None means that every task
    on an instance counts. Within a kind of instance the one with less GPU left wins, in steps
    of a 25th of `device_milli_most`. A task without devices ties everywhere.

    Source: Xiao et al. (2018), Gandiva, OSDI, section 4 (the policy); Weng et al. (2023), USENIX
    ATC, section 6 and kubernetes-scheduler-simulator, plugin GpuClusteringScore (the numbers).
    """

    def __init__(
        self,
        field: str | None = None,
        *,
        groups: Sequence[str] | None = None,
        device_milli_most: int = 8000,
    ) -> None:
        """Raises ValueError: gpu_clustering takes no field."""
        if field:
            raise ValueError("gpu_clustering takes no field")
        self.groups, self.device_milli_most = groups, device_milli_most

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> IntArray:
        """Minus the score."""
        if not task.devices:
            return np.zeros(len(candidates), np.int64)
        own = cluster.group_count(task.group)[candidates]
        other = self.counted(cluster)[candidates] - own
        left = cluster.device_left[candidates].sum(axis=1)
        base = 25 * (self.device_milli_most - left) // self.device_milli_most
        kind = np.where(own > 0, np.where(other > 0, 50, 75), np.where(other > 0, 0, 25))
        keys: IntArray = -(base + kind)
        return keys

    def counted(self, cluster: Cluster) -> IntArray:
        """(size,) tasks of the classes that count on each instance."""
        if self.groups is None:
            return cluster.running_tasks_count.astype(np.int64)
        total = np.zeros(cluster.size, np.int64)
        for group in self.groups:
            total += cluster.group_count(group)
        return total
