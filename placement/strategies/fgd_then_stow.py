"""FGD until nine tenths of the GPUs are in use, then Stow GPU: none refused early. Ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from stowplan.placement.model import TaskKind
from stowplan.placement.strategies.fgd import Fgd
from stowplan.placement.strategies.stow_gpu import StowGpu

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.strategies.fragmentation import FloatArray

FULL_TENTHS = 9
WHOLE_LAST = 2.0**50  # above any score, and sums stay exact


class FgdThenStow:
    """Place as `Fgd` does while there is room for all, and as `StowGpu` where it gets scarce.

    Stow GPU strands the fewest GPUs in the end, but pays with instances that are free as a whole:
    it refuses tasks of eight GPUs in a cluster that is all but empty. Up to the switch this
    places what FGD places, where FGD does, so it refuses nothing that FGD does not refuse. After it
    the few instances of the most devices that are still free as a whole come last, for tasks that
    want fewer: else those that want them all may be refused a little before FGD refuses any.

    Args: as of `Fgd`.
    """

    def __init__(
        self, field: str | None = None, *, tasks: Sequence[tuple[TaskKind, float]] | None = None
    ) -> None:
        """Raises ValueError: fgd_then_stow takes no field."""
        if field:
            raise ValueError("fgd_then_stow takes no field")
        self.tasks = tasks
        self.first, self.then = Fgd(tasks=tasks), StowGpu(tasks=tasks)

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> FloatArray:
        """Minus the score of the strategy whose turn it is; whole instances last after FGD's."""
        turn = self._turn(cluster)
        keys = turn.keys(task, cluster, candidates, rng).astype(float)
        if turn is self.first:
            return keys
        capacity = cluster.device_capacity
        devices = (capacity > 0).sum(axis=1)
        most = int(devices.max(initial=0))
        if task.devices >= most:
            return keys
        whole = (devices == most) & (cluster.device_left == capacity).all(axis=1)
        return keys + np.where(whole[candidates], WHOLE_LAST, 0.0)

    def devices(
        self, task: TaskKind, cluster: Cluster, row: int, rng: Generator
    ) -> tuple[int, ...]:
        """Those of the strategy whose turn it is."""
        return self._turn(cluster).devices(task, cluster, row, rng)

    def _turn(self, cluster: Cluster) -> Fgd:
        total, left = int(cluster.device_capacity.sum()), int(np.sum(cluster.device_left))
        return self.then if 10 * (total - left) >= FULL_TENTHS * total else self.first
