"""Which devices of the chosen instance a task gets, where its strategy does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster
    from stowplan.placement.model import TaskKind


def fullest_devices(task: TaskKind, cluster: Cluster, row: int) -> tuple[int, ...]:
    """Best fit: of the devices that have enough left those with the least, lowest index first."""
    left = cluster.device_left[row]
    order = np.argsort(left, kind="stable")
    fitting = [int(device) for device in order if left[device] >= task.device_milli]
    return tuple(sorted(fitting[: task.devices]))
