"""Norm-based greedy: the instance whose free resources are closest to the task's demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numpy.random import Generator

from stowplan.placement.strategies.slack import FloatArray, vectors

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind


class NormGreedy:
    """Prefer the smallest L2 norm of what would be left (the slack), each resource a share.

    The paper fills one bin after another and picks the item; here the task is given and the
    instance is picked. Its weights w_i are 1: the scheduler does not know the items to come.

    Source: Panigrahy, Talwar, Uyeda & Wieder (2011), Heuristics for vector bin packing, Microsoft
    Research, section 3.2: sum over i of w_i (demand_i - residual_i)^2.
    """

    def __init__(self, field: str | None = None) -> None:
        """Raises ValueError: norm_greedy takes no field."""
        if field:
            raise ValueError("norm_greedy takes no field")

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> FloatArray:
        """The squared norm of the slack, as shares of the most that any instance registered."""
        of = vectors(task, cluster, candidates)
        keys: FloatArray = (((of.left - of.demand) / of.largest) ** 2).sum(axis=1)
        return keys
