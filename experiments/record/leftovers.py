"""Free capacity that is there but of no use: stranded, and fragmented.

Stranded: free capacity of one dimension on an instance that has not enough of another for a task.
That is how Pond counts memory whose cores are all rented (Li et al. (2023), Pond: CXL-Based Memory
Pooling Systems for Cloud Platforms, ASPLOS, section 2), for any dimension and two tasks: the
smallest there is, dimension by dimension, and the mean one.

Fragmented: free capacity on instances on which a task does not fit, mean over what tasks ask for,
as often as they ask (Weng et al. (2023), Beware of Fragmentation, USENIX ATC, section 3; there for
GPUs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Demand = tuple[tuple[str, int], ...]
# The most frequent kinds of task stand for all, as "typical pods" do for Weng et al.
KINDS_MAX = 64


@dataclass(frozen=True, slots=True)
class Leftover:
    """One dimension of the cluster at one time, in its own unit, over all instances there."""

    ms: int
    dimension: str
    offered: int
    used: int
    stranded_smallest: int
    stranded_mean: int
    fragmented: int


def stranded(free: IntArray, task: NDArray[Any]) -> IntArray:
    """How much of each dimension is stranded for a task.

    Args:
        free: (instances, dimensions), not negative.
        task: (dimensions,) what the task asks for.
    Returns:
        (dimensions,) the sums of what is free where some other dimension is less than the task's.
    """
    lacks = free < task
    others = lacks.sum(axis=1, keepdims=True) - lacks
    sums: IntArray = np.where(others > 0, free, 0).sum(axis=0)
    return sums


def fragmented(free: IntArray, tasks: IntArray, counts: IntArray) -> NDArray[np.float64]:
    """How much of each dimension is fragmented, mean over tasks.

    Args:
        free: (instances, dimensions).
        tasks: (kinds, dimensions); `counts`: (kinds,) how often each was asked for, not all 0.
    """
    sums = np.zeros(free.shape[1])
    for task, count in zip(tasks, counts, strict=True):
        sums += count * free[(free < task).any(axis=1)].sum(axis=0)
    means: NDArray[np.float64] = sums / counts.sum()
    return means


def leftovers(
    ms: int, names: Sequence[str], have: IntArray, held: IntArray, kinds: Mapping[Demand, int]
) -> list[Leftover]:
    """The leftovers of a cluster at one time, a row for each dimension.

    Args:
        names: of the dimensions.
        have, held: (instances, dimensions) what each offers, and what its tasks hold.
        kinds: what tasks ask for, and how many of each there were; empty: nothing is stranded.
    """
    free = np.maximum(have - held, 0)
    frequent = sorted(kinds, key=lambda kind: -kinds[kind])[:KINDS_MAX]
    tasks = np.array(
        [[dict(kind).get(name, 0) for name in names] for kind in frequent], dtype=np.int64
    ).reshape(-1, len(names))
    counts = np.array([kinds[kind] for kind in frequent], dtype=np.int64)
    lost = np.zeros((3, len(names)))
    if len(tasks):
        asked = np.where(tasks > 0, tasks, np.iinfo(np.int64).max).min(axis=0)
        smallest = np.where((tasks > 0).any(axis=0), asked, 0)
        mean = counts @ tasks / counts.sum()
        lost = np.stack(
            [stranded(free, smallest), stranded(free, mean), fragmented(free, tasks, counts)]
        )
    rows = zip(names, have.sum(axis=0), held.sum(axis=0), lost.T, strict=True)
    return [
        Leftover(ms, name, int(all_), int(part), *(round(float(x)) for x in bad))
        for name, all_, part, bad in rows
    ]
