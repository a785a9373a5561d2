"""How much of the GPUs left is of no use to the tasks that are typical here: the readable form.

Only this module says what a fragment is; `fragmentation_kernels` computes the same in machine code.

Source: Weng et al. (2023), Beware of fragmentation: scheduling GPU-sharing workloads with
fragmentation gradient descent, USENIX ATC, section 3; the classes and the order in which floats are
added are those of its artefact, hkust-adsl/kubernetes-scheduler-simulator (pkg/utils/frag.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stowplan.placement.constraints import CONSTRAINTS, attribute_steps, check_of
from stowplan.placement.model import CPU, TaskKind

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import BoolArray, Cluster, IntArray

FloatArray = NDArray[np.float64]
# Q1 neither CPU nor GPU suffices, Q2 not the GPU, Q3 both do, Q4 not the CPU; the task wants no
# GPU and its CPU is there (XL) or is not (XR); NA: the task may not use the instance.
CLASSES = Q1, Q2, Q3, Q4, XL, XR, NA = range(7)
_FRAGMENTS = (Q1, Q2, Q4, XL, XR, NA)  # all but Q3, in the order in which they are added


class Typical(NamedTuple):
    """The tasks to expect, a column per property; made by `typical`."""

    share: FloatArray  # (t,) how likely the next task is such a one
    cpu: IntArray  # (t,)
    milli: IntArray  # (t,) thousandths wanted of each device; 0 for a task without devices
    devices: IntArray  # (t,)
    allowed: BoolArray  # (t, size) instances that the task may use by its attributes


def typical(tasks: Sequence[tuple[TaskKind, float]], cluster: Cluster) -> Typical:
    """Columns of (kind, share) pairs, for the instances that `cluster` has now."""
    kinds = [kind for kind, _ in tasks]
    column = cluster.resources.index(CPU)
    masks = [_allowed(kind, cluster) for kind in kinds]
    return Typical(
        np.array([share for _, share in tasks], np.float64),
        np.array([cluster.demand(kind)[column] for kind in kinds], np.int64),
        np.array([kind.device_milli if kind.devices else 0 for kind in kinds], np.int64),
        np.array([kind.devices for kind in kinds], np.int64),
        np.array(masks, np.bool_).reshape(len(kinds), cluster.size),
    )


def shares(counts: Mapping[TaskKind, int]) -> list[tuple[TaskKind, float]]:
    """(kind, share) pairs out of how often each kind was seen."""
    total = sum(counts.values())
    return [(kind, count / total) for kind, count in counts.items()]


def fragment_classes(cpu: IntArray, left: IntArray, rows: IntArray, of: Typical) -> FloatArray:
    """(n, 7) expected thousandths of a GPU in each class.

    Args:
        cpu: (n,) CPU left; left: (n, devices) thousandths left of each device.
        rows: (n,) the instance of each entry, for what is allowed there.
    """
    bins = np.zeros((len(cpu), len(CLASSES)))
    total = left.sum(axis=1)
    every = np.arange(len(cpu))
    for index, (share, need, milli, devices) in enumerate(zip(*of[:4], strict=True)):
        enough = cpu >= need
        if not devices:
            bins[every, np.where(enough, XL, XR)] += share * total
            continue
        allowed = of.allowed[index, rows]
        fits = (left >= milli).sum(axis=1) >= devices
        small = np.where(left < milli, left, 0).sum(axis=1)
        whole = np.where(enough, np.where(fits, Q3, Q2), np.where(fits, Q4, Q1))
        split = allowed & enough & fits
        amount = np.where(split, total - small, total)
        bins[every, np.where(allowed, whole, NA)] += share * amount
        bins[split, Q2] += share * small[split]
    return bins


def fragments(cpu: IntArray, left: IntArray, rows: IntArray, of: Typical) -> FloatArray:
    """(n,) expected thousandths of a GPU that are of no use: every class but Q3."""
    bins = fragment_classes(cpu, left, rows, of)
    total = np.zeros(len(cpu))
    for index in _FRAGMENTS:
        total += bins[:, index]
    return total


def after(task: TaskKind, left: IntArray, devices: Iterable[int]) -> IntArray:
    """(devices,) what is left of an instance's devices once `task` has got some of them."""
    changed = left.copy()
    changed[list(devices)] -= task.device_milli
    return changed


def _allowed(kind: TaskKind, cluster: Cluster) -> BoolArray:
    """By what was registered alone, as the engine's own checks see it."""
    mask: BoolArray = np.ones(cluster.size, np.bool_)
    for _, allows in attribute_steps(kind, cluster):
        mask &= allows
    for constraint in kind.constraints:
        if constraint.type not in CONSTRAINTS:
            continue
        mask &= check_of(constraint).fixed(kind, cluster)
    return mask
