"""What candidates have left and a task wants, as shares of an instance: for vector heuristics."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind

FloatArray = NDArray[np.float64]


class Vectors(NamedTuple):
    """Amounts by dimension: the resources the task asks for, then its devices summed up."""

    demand: FloatArray  # (dimensions,)
    left: FloatArray  # (candidates, dimensions)
    registered: FloatArray  # (candidates, dimensions)
    largest: FloatArray  # (dimensions,) the most that any instance has registered that is not gone


def vectors(
    task: TaskKind, cluster: Cluster, candidates: IntArray, only: str | None = None
) -> Vectors:
    """The dimensions in which `task` asks for something; `only` that resource where it is named."""
    wanted = cluster.demand(task)
    columns = np.flatnonzero(wanted) if only is None else np.array([cluster.resources.index(only)])
    demand, left = wanted[columns], cluster.remaining[np.ix_(candidates, columns)]
    registered = cluster.registered[np.ix_(candidates, columns)]
    largest = cluster.largest[columns]  # an instance that is gone must not change a decision
    if task.devices and only is None:
        capacity = cluster.device_capacity.sum(axis=1)
        demand = np.append(demand, task.devices * task.device_milli)
        left = np.column_stack([left, cluster.device_left[candidates].sum(axis=1)])
        registered = np.column_stack([registered, capacity[candidates]])
        largest = np.append(largest, capacity[cluster.present].max())
    # A share of nothing at all is a share of 1.
    largest = np.maximum(largest, 1)
    floats = [array.astype(np.float64) for array in (demand, left, registered, largest)]
    return Vectors._make(floats)


def resource_name(field: str | None) -> str | None:
    """The resource that a strategy's field means: `cpu` and `memory` in any case, else its name."""
    if not field:
        return None
    return field.upper() if field.lower() in ("cpu", "memory") else field


def missing_resource(resource: str, cluster: Cluster) -> str | None:
    """What to say of a resource that no instance ever had; None where one has, or it is ECS's."""
    if resource in cluster.resources:
        return None
    return f"no instance has resource {resource!r}; they have: {', '.join(cluster.resources)}"
