"""ECS `random`: any candidate, each as likely."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind

TRIES = 64


class Random:
    """Prefer one candidate drawn uniformly.

    Instances are drawn until one is a candidate: that way a kernel need not know all of them. Where
    candidates are so few that `TRIES` draws miss them, one of them is drawn by its number.
    """

    def __init__(self, field: str | None = None) -> None:
        """`field` is ignored, as ECS does."""

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> IntArray:
        """0 for the candidate drawn, 2 for the one before it (drawn in reverse), 1 for others."""
        keys = np.ones(len(candidates), np.int64)
        for _ in range(TRIES):
            row = int(rng.random() * cluster.size)
            at = int(np.searchsorted(candidates, row))
            if at < len(candidates) and candidates[at] == row:
                break
        else:
            at = int(rng.random() * len(candidates))
        keys[at - 1] = 2  # any candidate is as likely to be the worst, too: scale-in takes it
        keys[at] = 0
        return keys
