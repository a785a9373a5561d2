"""ECS `binpack`: the fullest instance that still has room, by one resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from stowplan.placement.strategies.slack import missing_resource

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind


class Binpack:
    """Prefer the candidate with the least remaining amount of `field` before placement.

    ECS knows `cpu` and `memory`, in any case; any other registered resource works the same.
    """

    def __init__(self, field: str | None) -> None:
        """Raises ValueError where no resource is named."""
        if not field:
            raise ValueError("binpack needs a field: cpu or memory")
        self.resource = field.upper() if field.lower() in ("cpu", "memory") else field

    def missing(self, cluster: Cluster) -> str | None:
        """The resource, where neither ECS nor an instance knows it."""
        return missing_resource(self.resource, cluster)

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> IntArray:
        """Remaining amount of the resource; 0 everywhere for one that no instance registered."""
        if self.resource not in cluster.resources:
            return np.zeros(len(candidates), np.int64)
        keys: IntArray = cluster.remaining[candidates, cluster.resources.index(self.resource)]
        return keys
