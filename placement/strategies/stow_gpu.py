"""Stow GPU: where the task leaves the fewest GPUs that no fill of typical tasks could use. Ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from stowplan.placement.strategies.fgd import Fgd
from stowplan.placement.strategies.fragmentation import Typical

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import BoolArray, IntArray

WEIGHTS = 1_000_000  # shares become whole numbers: sums are exact, and ties are ties


class Expected(NamedTuple):
    """The typical tasks that want devices, a column per property, and what they want on average."""

    weight: IntArray  # (t,) millionths
    cpu: IntArray  # (t,)
    milli: IntArray  # (t,) thousandths wanted of each device
    devices: IntArray  # (t,)
    allowed: BoolArray  # (t, size)
    cpu_per_gpu: int  # CPU that goes with 1000 thousandths of a GPU, on average


class StowGpu(Fgd):
    """Prefer the candidate and the device that strand least.

    Fragmentation gradient descent asks whether one more typical task fits. An instance with eight
    free GPUs and CPU for two tasks passes that test, though six of its GPUs are lost. Here each
    typical task fills the instance as often as it fits; what of the GPUs is left over then, on
    average over the typical tasks, is stranded (`stranded`). To that comes, twice, the GPU for
    which there is no CPU at the average CPU per GPU: it sees a shortage coming before it shows in
    whole tasks. The score is minus the increase, in whole numbers, and nothing is cut to 0..100.

    The weight of two is not delicate: one to four give the same on the traces of experiments/openb.

    Args: as of `Fgd`. Tasks without devices say nothing here about GPUs and are not counted.
    """

    def _kernels(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        from stowplan.placement.strategies.stow_kernels import stow_row, stow_scores

        return stow_scores, stow_row

    def _expected(self, of: Typical) -> tuple[Any, ...]:
        return expected(of)


def expected(of: Typical) -> Expected:
    """The typical tasks that want devices, in whole numbers."""
    wants = of.devices > 0
    weight = np.rint(of.share[wants] * WEIGHTS).astype(np.int64)
    cpu, milli, devices = of.cpu[wants], of.milli[wants], of.devices[wants]
    gpu = int((weight * milli * devices).sum())
    per_gpu = int((weight * cpu).sum()) * 1000 // gpu if gpu else 0
    return Expected(weight, cpu, milli, devices, of.allowed[wants], per_gpu)


def stranded(cpu: IntArray, left: IntArray, rows: IntArray, of: Expected) -> IntArray:
    """(n,) thousandths of a GPU that are expected to be lost, times the sum of the weights.

    The readable form of `stow_kernels.stranded`.

    Args:
        cpu: (n,) CPU left; left: (n, devices) thousandths left of each device.
        rows: (n,) the instance of each entry, for what is allowed there.
    """
    total = left.sum(axis=1)
    lost: IntArray = np.zeros(len(cpu), np.int64)
    for index, (weight, need, milli, devices) in enumerate(zip(*of[:4], strict=True)):
        fitting = (left >= milli).sum(axis=1)
        copies = (left // milli).sum(axis=1) if devices == 1 else fitting // devices
        if need:
            copies = np.minimum(copies, np.maximum(cpu, 0) // need)
        copies = np.where(of.allowed[index, rows], copies, 0)
        lost += weight * (total - copies * devices * milli)
    if of.cpu_per_gpu:
        fed = np.maximum(cpu, 0) * 1000 // of.cpu_per_gpu
        lost += 2 * of.weight.sum() * np.maximum(total - fed, 0)
    return lost
