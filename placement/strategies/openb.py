"""The simple policies of the OpenB evaluation, number for number: random, dot product, best fit.

They differ from the textbook forms in this folder: fixed normalisers instead of the instance's own
capacity, scores cut to whole numbers (on which many ties and so the results depend), and a dot
product of which the smaller wins. Memory is filtered, never scored.

Source: Weng et al. (2023), Beware of fragmentation, USENIX ATC, section 6; the numbers are those of
its artefact, hkust-adsl/kubernetes-scheduler-simulator (plugins DotProductScore, BestFitScore).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from stowplan.placement.model import CPU
from stowplan.placement.strategies.devices import fullest_devices
from stowplan.placement.strategies.random import Random

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind


class OpenbRandom(Random):
    """A uniformly drawn instance, and for a share of a device a uniformly drawn device."""

    def devices(
        self, task: TaskKind, cluster: Cluster, row: int, rng: Generator
    ) -> tuple[int, ...]:
        """One of the devices with room where one is wanted, else the fullest that fit."""
        if task.devices != 1:
            return fullest_devices(task, cluster, row)
        fitting = np.flatnonzero(cluster.device_left[row] >= task.device_milli)
        return (int(fitting[int(rng.random() * len(fitting))]),)


class _Normalised:
    """Two dimensions, CPU and GPU, as shares of the largest instance.

    Args:
        cpu_most: CPU of the largest instance, in the unit in which CPU is registered.
        device_milli_most: thousandths of all devices of the instance with most devices.
    """

    def __init__(
        self, field: str | None = None, *, cpu_most: int = 128_000, device_milli_most: int = 8_000
    ) -> None:
        """Raises ValueError: takes no field."""
        if field:
            raise ValueError("takes no field")
        self.cpu_most, self.device_milli_most = cpu_most, device_milli_most

    def _amounts(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray
    ) -> tuple[IntArray, int, IntArray, int]:
        """CPU left, CPU wanted, GPU left, GPU wanted."""
        column = cluster.resources.index(CPU)
        gpu = cluster.device_left[candidates].sum(axis=1)
        cpu = cluster.remaining[candidates, column]
        return cpu, int(cluster.demand(task)[column]), gpu, task.devices * task.device_milli


class OpenbDotProduct(_Normalised):
    """Prefer the smallest dot product of what is left and what is wanted."""

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> IntArray:
        """Minus the score, a whole number of 0..100."""
        cpu, task_cpu, gpu, task_gpu = self._amounts(task, cluster, candidates)
        product = cpu / self.cpu_most * (task_cpu / self.cpu_most)
        product = product + gpu / self.device_milli_most * (task_gpu / self.device_milli_most)
        scores: IntArray = (100.0 * (1.0 - product / 2.0)).astype(np.int64)
        return -scores


class OpenbBestFit(_Normalised):
    """Prefer the least left after placement, half CPU and half GPU."""

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> IntArray:
        """Minus the score, a whole number of 0..100."""
        cpu, task_cpu, gpu, task_gpu = self._amounts(task, cluster, candidates)
        left = 0.5 * ((cpu - task_cpu) / self.cpu_most)
        left = left + 0.5 * ((gpu - task_gpu) / self.device_milli_most)
        scores: IntArray = (100.0 * (1.0 - left)).astype(np.int64)
        return -scores
