"""ECS `random`: any candidate, each as likely."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

if TYPE_CHECKING:
    from placement.cluster import Cluster, IntArray
    from placement.model import TaskKind


class Random:
    """Prefer one candidate drawn uniformly (one draw per decision)."""

    def __init__(self, field: str | None = None) -> None:
        """`field` is ignored, as ECS does."""

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> IntArray:
        """0 for the candidate drawn, 2 for the one before it (drawn in reverse), 1 for others."""
        keys = np.ones(len(candidates), np.int64)
        drawn = int(rng.random() * len(candidates))
        keys[drawn - 1] = 2
        keys[drawn] = 0
        return keys
