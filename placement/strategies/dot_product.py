"""Dot product: the instance whose free resources point the way the task's demand does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from stowplan.placement.strategies.slack import FloatArray, vectors

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind


class DotProduct:
    """Prefer the highest alignment: demand times what is free, each a share of the instance's own.

    Source: Grandl et al. (2014), Multi-resource packing for cluster schedulers (Tetris), SIGCOMM,
    section 3.2: both vectors are normalised by the machine's capacity, the largest product wins.
    """

    def __init__(self, field: str | None = None) -> None:
        """Raises ValueError: dot_product takes no field."""
        if field:
            raise ValueError("dot_product takes no field")

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> FloatArray:
        """Minus the alignment."""
        of = vectors(task, cluster, candidates)
        capacity = np.maximum(of.registered, 1.0)
        keys: FloatArray = -(of.demand / capacity * (of.left / capacity)).sum(axis=1)
        return keys
