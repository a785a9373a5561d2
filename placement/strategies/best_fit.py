"""Best fit: the instance that would have least left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from stowplan.placement.strategies.slack import (
    FloatArray,
    missing_resource,
    resource_name,
    vectors,
)

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind


class BestFit:
    """Prefer the candidate with the least left after placement, in one resource or over all.

    Over all that the task asks for, what is left is summed, each resource (and the devices) as a
    share of the most that any instance has of it. Unlike `binpack` it needs no field.

    Source: Garey, Graham & Ullman (1972), STOC; the sum as in Panigrahy et al. (2011), section 2.
    """

    sign = 1

    def __init__(self, field: str | None = None) -> None:
        """`field` names a resource, cpu and memory in any case; None means all of the task's."""
        self.resource = resource_name(field)

    def missing(self, cluster: Cluster) -> str | None:
        """The resource, where neither ECS nor an instance knows it."""
        return None if self.resource is None else missing_resource(self.resource, cluster)

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> FloatArray:
        """What would be left; 0 everywhere for a resource that no instance registered."""
        if self.resource is not None and self.resource not in cluster.resources:
            return np.zeros(len(candidates))
        of = vectors(task, cluster, candidates, self.resource)
        keys: FloatArray = self.sign * ((of.left - of.demand) / of.largest).sum(axis=1)
        return keys
