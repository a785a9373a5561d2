"""A batch of tasks and the answer to it: the values that `Engine` takes and gives."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stowplan.placement.cluster.cluster import IntArray
from stowplan.placement.model import TaskKind
from stowplan.placement.reasons import Failure

UNPLACED = -1


@dataclass(frozen=True, slots=True)
class TaskBatch:
    """Many tasks of few kinds, in columns: task i is one of `kinds[index[i]]`.

    `index` (m,) integers below the number of kinds.
    """

    kinds: tuple[TaskKind, ...]
    index: NDArray[np.int32]

    def __post_init__(self) -> None:
        """Raises ValueError where `index` names a kind that is not there, or is not whole."""
        given = np.asarray(self.index)
        if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
            found = f"{given.dtype} of shape {given.shape}"
            raise ValueError(f"index must be a row of whole numbers, not {found}")
        if len(given) and not 0 <= given.min() <= given.max() < len(self.kinds):
            raise ValueError(f"a task's kind is not within 0..{len(self.kinds) - 1}")
        index = np.ascontiguousarray(given, np.int32)
        object.__setattr__(self, "index", index)

    @classmethod
    def of(cls, tasks: Sequence[TaskKind]) -> TaskBatch:
        """The same tasks in columns, kinds in the order in which they first appear."""
        number: dict[TaskKind, int] = {}
        index = [number.setdefault(kind, len(number)) for kind in tasks]
        return cls(tuple(number), np.array(index, np.int32))

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[TaskKind]:
        return (self.kinds[kind] for kind in self.index.tolist())

    def in_order_of_use(self) -> TaskBatch:
        """The same tasks, with only the kinds that some task is of, first used first."""
        first = np.full(len(self.kinds), len(self), np.int64)
        # Where an index comes twice the last assignment holds, so from behind it is the first.
        first[self.index[::-1]] = np.arange(len(self) - 1, -1, -1)
        order = np.argsort(first, kind="stable")
        order = order[first[order] < len(self)]
        if len(order) == len(self.kinds) and (order == np.arange(len(order))).all():
            return self
        number = np.zeros(len(self.kinds), np.int32)
        number[order] = np.arange(len(order))
        return TaskBatch(tuple(self.kinds[kind] for kind in order), number[self.index])


class Decision(NamedTuple):
    """Where each task of a batch goes.

    `instances` (m,) rows, -1 where `failures` says why not; `devices` of the tasks that asked for
    some, by position.
    """

    instances: IntArray
    failures: MutableMapping[int, Failure]
    devices: MutableMapping[int, tuple[int, ...]]


class Filled(NamedTuple):
    """Rows chosen for copies of one kind, in order, the devices of each (() for none), and the
    Failure of the rest; None where all were placed."""

    rows: list[int]
    devices: list[tuple[int, ...]]
    failure: Failure | None


def joined(parts: Sequence[Filled]) -> Filled:
    """Several fills as one; the Failure is the first there is."""
    return Filled(
        [row for part in parts for row in part.rows],
        [devices for part in parts for devices in part.devices],
        next((part.failure for part in parts if part.failure is not None), None),
    )
