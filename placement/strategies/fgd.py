"""Fragmentation gradient descent: where the task leaves the fewest GPUs of no use to others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.random import Generator

from stowplan.placement.cluster.arrays import Memo
from stowplan.placement.model import CPU, TaskKind
from stowplan.placement.strategies.devices import fullest_devices
from stowplan.placement.strategies.fragmentation import FloatArray, Typical, shares, typical
from stowplan.placement.strategies.kept import KeptKeys

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray


class Fgd:
    """Prefer the candidate and the device whose fragments shrink most, or grow least.

    The score is cut to a whole number of 0..100, as in the artefact: the ties that makes are part
    of the published results. It keeps the keys of rows that have not changed, for
    each kind of task.

    Args:
        tasks: what to expect, (kind, share) pairs whose shares sum to 1. None means the tasks that
            are booked on the cluster: no knowledge is needed, but every booking changes it, so all
            candidates are scored again each time.

    Source: Weng et al. (2023), Beware of fragmentation: scheduling GPU-sharing workloads with
    fragmentation gradient descent, USENIX ATC, algorithm 1 and section 4.3.
    """

    def __init__(
        self, field: str | None = None, *, tasks: Sequence[tuple[TaskKind, float]] | None = None
    ) -> None:
        """Raises ValueError: fgd takes no field."""
        if field:
            raise ValueError("fgd takes no field")
        self.tasks = tasks
        self._kept: Memo[TaskKind, KeptKeys] = Memo()
        self._known: tuple[int, tuple[Any, ...]] | None = None

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> FloatArray:
        """Minus the score."""
        scores, _ = self._kernels()
        arguments = self._arguments(task, cluster)

        def score(rows: IntArray) -> IntArray:
            keys: IntArray = -scores(*_state(cluster), rows, *arguments)
            return keys

        if self.tasks is None:
            return score(candidates).astype(float)
        if task not in self._kept:
            self._kept[task] = KeptKeys()
        return self._kept[task].get(cluster, candidates, score)

    def devices(
        self, task: TaskKind, cluster: Cluster, row: int, rng: Generator
    ) -> tuple[int, ...]:
        """The first device of the best score; where several are wanted, the fullest that fit."""
        if task.devices != 1:
            return fullest_devices(task, cluster, row)
        _, score_row = self._kernels()
        cpu, left = _state(cluster)
        _, device = score_row(cpu[row], left[row], row, *self._arguments(task, cluster))
        return (int(device),)

    def _kernels(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Scores of many rows; score and device of one. The higher the better, as in the paper."""
        from stowplan.placement.strategies.fragmentation_kernels import descent_row, descent_scores

        return descent_scores, descent_row

    def _arguments(self, task: TaskKind, cluster: Cluster) -> tuple[Any, ...]:
        cpu = int(cluster.demand(task)[cluster.resources.index(CPU)])
        return (cpu, task.devices, task.device_milli, *self.columns(cluster))

    def columns(self, cluster: Cluster) -> tuple[Any, ...]:
        """What is expected, in columns."""
        if self.tasks is None:
            return self._expected(typical(shares(cluster.booked), cluster))
        version = cluster.attributes_version
        if self._known is None or self._known[0] != version:
            self._known = (version, self._expected(typical(self.tasks, cluster)))
        return self._known[1]

    def _expected(self, of: Typical) -> tuple[Any, ...]:
        """What the kernels take after the task: here the columns as they are."""
        return of


def _state(cluster: Cluster) -> tuple[IntArray, IntArray]:
    """CPU left (strided: a column of the table) and thousandths left of each device."""
    return cluster.remaining[:, cluster.resources.index(CPU)], cluster.device_left
