"""Non-invasive lifetime-aware scheduling: tasks beside others that end at about the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind

SHORTEST_MS = 1_000  # to keep an instance on for less than this is as good as not to
# Time up to the first is 0, up to the next 1, and so on: the logarithm, without rounding.
BOUNDS_MS = SHORTEST_MS << np.arange(53, dtype=np.int64)


class Nilas:
    """Prefer the candidate that the task keeps on least beyond its expected exit.

    The time is taken to the next power of two, so that near ties go to the next link of the chain
    (the paper's buckets have hand-picked bounds); `nilas,best_fit` is the paper's order. An empty
    instance would be kept on for the whole life of the task, so it comes last. Knows of run times
    only what tasks were asked for with (`expected_ms`); a task without stays for ever.

    Source: Ling et al. (2024), LAVA: lifetime-aware VM allocation with learned distributions and
    adaptation to mispredictions, arXiv 2412.09840: NILAS, its first algorithm.
    """

    def __init__(self, field: str | None = None) -> None:
        """Raises ValueError: nilas takes no field."""
        if field:
            raise ValueError("nilas takes no field")

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> IntArray:
        """0 where the instance is expected to be on anyway, else the logarithm of the time added;
        between two tasks without an end, none is added."""
        exits = np.maximum(cluster.expected_exit_ms[candidates], cluster.now_ms)
        added = np.maximum(task.exit_ms(cluster.now_ms) - exits, 0)
        keys: IntArray = np.searchsorted(BOUNDS_MS, added)
        return keys
