"""The packing problem, its limits and its result: plain values, no solving.

Quantities are integers throughout, so "fits" and "costs the same" are exact. Nothing here reads a
clock: a caller that wants a time limit passes the clock in with the `Limits`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stowplan.placement.packing.plain import PackingInputError as PackingInputError

IntArray = NDArray[np.int64]
ShortArray = NDArray[np.int16]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Status = Literal["optimal", "feasible", "infeasible", "unknown"]

INT64_MAX = 2**63 - 1
MAX_TOTAL = 2**52  # sums above this would no longer be exact in the float LP or could overflow


@dataclass(frozen=True)
class PackingProblem:
    """Item kinds to be packed into the fewest identical bins.

    Args:
        demand: (kinds, dimensions) int64, >= 0; what one item of the kind takes.
        counts: (kinds,) int64, >= 0; how many items of the kind there are.
        capacity: (dimensions,) int64, >= 0; what one bin holds.
    Raises:
        PackingInputError: shapes disagree, a number is negative or sums leave the exact range.
    """

    demand: IntArray
    counts: IntArray
    capacity: IntArray

    def __post_init__(self) -> None:
        for name in ("demand", "counts", "capacity"):
            object.__setattr__(self, name, whole_numbers(name, getattr(self, name)))
        if self.demand.ndim != 2 or self.demand.shape[1] == 0:
            raise PackingInputError("demand must be a table of kinds x dimensions")
        if self.counts.shape != (self.demand.shape[0],):
            raise PackingInputError("counts must hold one number per item kind")
        if self.capacity.shape != (self.demand.shape[1],):
            raise PackingInputError("capacity must hold one number per dimension")
        if (self.capacity < 0).any():
            raise PackingInputError("capacity must not be negative")
        check_magnitude(self.demand, self.counts)


@dataclass(frozen=True)
class Limits:
    """When to stop: whatever comes first. Without any, the solve runs until it has a proof.

    Args:
        seconds: wall-clock limit; needs `clock`.
        work: limit in work units (about a million elementary steps each); makes runs repeat.
        seed: seeds every random choice.
        clock: returns seconds, monotonic; without it results carry 0 seconds.
    """

    seconds: float | None = None
    work: float | None = None
    seed: int = 0
    clock: Callable[[], float] | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and self.clock is None:
            raise PackingInputError("a limit in seconds needs a clock")


@dataclass(frozen=True)
class Progress:
    """One line of the log: after `seconds`, the proven bound and the best objective so far."""

    seconds: float
    lower_bound: int
    incumbent: int | None


@dataclass(frozen=True)
class PackedBins:
    """`copies` bins with the same content.

    Args:
        contents: (kinds,) int64; items of each kind in one such bin.
        copies: number of such bins, >= 1.
    """

    contents: IntArray
    copies: int


@dataclass(frozen=True)
class PackingResult:
    """What `solve_packing` found and proved.

    `bins` and `gap` are None without a packing; `gap` is (bins - lower_bound) / bins.
    `unplaceable` lists the kinds that fit no bin (status "infeasible").
    """

    status: Status
    bins: int | None
    lower_bound: int
    gap: float | None
    packing: tuple[PackedBins, ...]
    seconds: float
    work: float
    interrupted: bool = False
    unplaceable: tuple[int, ...] = ()
    log: tuple[Progress, ...] = field(default=(), repr=False)

    @property
    def objective(self) -> int | None:
        """`bins`, as every answer calls what is least."""
        return self.bins


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True)
class Grouped:
    """A problem whose equal demands are one kind, empty kinds gone, largest kinds first.

    Args:
        problem: the smaller problem.
        members: for each of its kinds, the original kinds that have this demand.
    """

    problem: PackingProblem
    members: tuple[tuple[int, ...], ...]


def group_equal(problem: PackingProblem) -> Grouped:
    """Merge kinds of equal demand, drop those without items, sort by falling relative size."""
    wanted = np.flatnonzero(problem.counts)
    rows, inverse = np.unique(problem.demand[wanted], axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    counts = np.zeros(len(rows), dtype=np.int64)
    np.add.at(counts, inverse, problem.counts[wanted])
    size = (rows / np.maximum(problem.capacity, 1)).sum(axis=1)
    order = np.argsort(-size, kind="stable")
    members: list[list[int]] = [[] for _ in rows]
    for original, row in zip(wanted.tolist(), inverse.tolist(), strict=True):
        members[row].append(original)
    grouped = PackingProblem(rows[order], counts[order], problem.capacity)
    return Grouped(grouped, tuple(tuple(members[row]) for row in order.tolist()))


def spread_contents(
    packing: Sequence[PackedBins], members: Sequence[Sequence[int]], counts: IntArray
) -> tuple[PackedBins, ...]:
    """Translate bins of a grouped problem back to the original kinds, using up `counts` exactly.

    Kinds of one group are interchangeable, so they are handed out in order; bins with equal
    content stay together as long as the hand-out allows.
    """
    left: list[int] = counts.tolist()
    handed_out = [0] * len(members)  # of each group, the members of which nothing is left
    out: list[PackedBins] = []
    for bins in packing:
        groups = np.flatnonzero(bins.contents)
        needed = list(zip(groups.tolist(), bins.contents[groups].tolist(), strict=True))
        remaining = bins.copies
        while remaining:
            held: dict[int, int] = {}
            for group, n in needed:
                while left[members[group][handed_out[group]]] == 0:
                    handed_out[group] += 1
                _take(held, left, members[group][handed_out[group] :], n)
            copies = min([remaining, *(left[kind] // n for kind, n in held.items())])
            for kind, n in held.items():
                left[kind] -= copies * n
            contents = np.zeros(len(left), dtype=np.int64)
            contents[list(held)] = list(held.values())
            out.append(PackedBins(contents, copies))
            remaining -= copies
    return tuple(out)


def _take(held: dict[int, int], left: Sequence[int], members: Sequence[int], needed: int) -> None:
    """Put `needed` items of a group's members, first come first served, into what a bin holds."""
    for kind in members:
        taken = min(needed, left[kind])
        if taken:
            held[kind] = taken
        needed -= taken
        if not needed:
            return
    raise AssertionError("a packing holds more items of a group than there are")


def check_magnitude(demand: IntArray, counts: IntArray) -> None:
    """Refuse negative numbers and sums too large to be exact."""
    if (demand < 0).any() or (counts < 0).any():
        raise PackingInputError("demands and counts must not be negative")
    total = demand.astype(object).T @ counts.astype(object) if demand.size else np.zeros(1)
    if max([0, *total.tolist()]) > MAX_TOTAL or int(counts.astype(object).sum()) > MAX_TOTAL:
        raise PackingInputError(f"total demand exceeds {MAX_TOTAL}, the range of exact sums")


def whole_numbers(name: str, values: object) -> IntArray:
    """`values` as int64; a float is refused and not cut, be it 4.0.

    Raises:
        PackingInputError: naming what there is instead: floats, numbers above 2^63, rows of unequal
            length.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise PackingInputError(f"{name} must be a table of whole numbers: {error}") from error
    if array.size and array.dtype.kind not in "iu":
        raise PackingInputError(f"{name} must be integers, not {array.dtype}")
    if array.dtype.kind == "u" and (array > INT64_MAX).any():
        raise PackingInputError(f"{name} must be at most {INT64_MAX}")
    return array.astype(np.int64)


def whole_number(name: str, value: object) -> int:
    """`value` as a whole number that is not negative, numpy's or Python's.

    Raises:
        PackingInputError: naming what there is instead.
    """
    array = whole_numbers(name, value)
    if array.ndim or isinstance(value, str):
        raise PackingInputError(f"{name} must be one whole number, not {value!r}")
    if array < 0:
        raise PackingInputError(f"{name} is negative: {value}")
    return int(array)
