"""ECS `spread`: the value with the fewest tasks of the group, over instances or an attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind

_PREFIX = "attribute:"
_ECS_PREFIXES = ("attribute:ecs.", "attribute:com.amazonaws.ecs.")


class Spread:
    """Prefer candidates whose value of `field` holds the fewest tasks of the task's group.

    Tasks with desiredStatus RUNNING count, on candidates or not (ecs-semantics 3.2). Instances that
    lack the attribute share a value of their own.
    """

    def __init__(self, field: str | None) -> None:
        """Raises ValueError unless field is instanceId, host or attribute:NAME."""
        if field in ("instanceId", "host"):
            self.attribute = None
        elif field and field.startswith(_PREFIX) and len(field) > len(_PREFIX):
            self.attribute = field
        else:
            raise ValueError("spread needs a field: instanceId, host or attribute:NAME")

    def missing(self, cluster: Cluster) -> str | None:
        """The attribute, unless it is one of ECS's own: these every instance has on EC2."""
        if self.attribute is None or self.attribute.startswith(_ECS_PREFIXES):
            return None
        name = self.attribute.removeprefix(_PREFIX)
        return None if cluster.has_attribute(name) else f"no instance has attribute {name!r}"

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> IntArray:
        """Tasks of the group on the candidate itself, or on all instances with its value."""
        counts = cluster.group_count(task.group)
        if self.attribute is None:
            return counts[candidates].astype(np.int64)
        codes, values = cluster.column(self.attribute)
        totals = np.bincount(codes + 1, weights=counts, minlength=len(values) + 1)
        keys: IntArray = totals.astype(np.int64)[codes[candidates] + 1]
        return keys
