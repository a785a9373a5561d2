"""Reads a packing trace: VMs, and the types that say what share of a server each needs.

The columns are those of Azure's packing trace, written as CSV (vm, vmType). Read is only what both
ends are known of, as published: a VM without an end, or one that ran before time 0, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from stowplan.experiments.workloads.rows import named_rows
from stowplan.placement.errors import SpecError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PROBLEMS_MAX = 20
# The order matters: norms read the first four, or all five for servers that are short of disks.
RESOURCES = ("core", "memory", "nic", "ssd", "hdd")
WITH_DISKS = frozenset({2, 5, 6, 7, 14, 26})  # machine types of the published trace
DAYS_MAX = 14.0  # the published runs leave out what ends later
_SMALLEST = 1e-6  # what is smaller than this is lost in the published comparisons
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Trace:
    """VMs by start and id, on servers of one type.

    Args:
        start, end: (n,) days.
        kind: (n,) row of `sizes`.
        sizes: (types, 5) shares of a server, in the order of RESOURCES.
        file_order: (n,) the VMs in the order of their file: errors are drawn in it.
        machine: the type of the servers.
    """

    start: Floats
    end: Floats
    kind: Ints
    sizes: Floats
    file_order: Ints
    machine: int

    @property
    def norm_width(self) -> int:
        """How many of RESOURCES the published norms read."""
        return len(RESOURCES) if self.machine in WITH_DISKS else len(RESOURCES) - 1


def read_trace(vms: Path, types: Path, machine: int = 0) -> Trace:
    """The VMs of `vms` that servers of type `machine` can hold.

    Raises:
        SpecError: names every problem of both files with file and line (the first 20 of each).
    """
    offers = _Rows(types, ("vmTypeId", "machineId", *RESOURCES), _offer)
    rows = _Rows(vms, ("vmId", "vmTypeId", "starttime", "endtime"), _vm)
    sizes = {kind: size for _, (kind, on, size) in offers.made if on == machine}
    if not offers.problems and not sizes:
        offers.complain(f"{types}", f"no type runs on machine {machine}")
    known = {kind for _, (kind, _, _) in offers.made}
    seen: set[int] = set()
    for line, (vm, kind, _, _) in rows.made:
        if kind not in known and not offers.problems:
            rows.complain(f"{vms}:{line}", f"vmTypeId {kind} is not in {types}")
        if vm in seen:
            rows.complain(f"{vms}:{line}", f"vmId {vm} stands twice")
        seen.add(vm)
    kept = [row for _, row in rows.made if row[1] in sizes and row[2] >= 0 and row[3] <= DAYS_MAX]
    if not kept and not offers.problems and not rows.problems:
        rows.complain(str(vms), f"no VM of machine {machine} starts and ends within 14 days")
    if offers.problems or rows.problems:
        raise SpecError([*offers.problems, *rows.problems])
    return made(kept, sizes, machine)


def made(
    rows: Sequence[tuple[int, int, float, float]], sizes: Mapping[int, Floats], machine: int = 0
) -> Trace:
    """A trace of rows (id, type, start, end in days), and of what each type needs, (5,) shares."""
    ids, kinds, starts, ends = (np.array(column) for column in zip(*rows, strict=True))
    order = np.lexsort((ids, starts))
    names = np.array(sorted(sizes))
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return Trace(
        starts[order].astype(np.float64),
        ends[order].astype(np.float64),
        np.searchsorted(names, kinds[order]).astype(np.int64),
        np.array([sizes[name] for name in names.tolist()], np.float64),
        back,
        machine,
    )


class _Rows(Generic[_Made]):
    """What became of the rows of a file, with their lines, and what is wrong with the others."""

    def __init__(
        self, path: Path, columns: Sequence[str], make: Callable[[dict[str, str]], _Made | None]
    ) -> None:
        self.made: list[tuple[int, _Made]] = []
        self.problems: list[tuple[str, str]] = []
        try:
            for line, row in named_rows(path, columns):
                try:
                    if isinstance(row, str):
                        raise ValueError(row)
                    one = make(row)
                except ValueError as error:
                    self.complain(f"{path}:{line}", str(error))
                    continue
                if one is not None:
                    self.made.append((line, one))
        except SpecError as error:
            self.problems += error.problems
        except OSError as error:
            self.problems.append((str(path), error.strerror or str(error)))

    def complain(self, place: str, what: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append((place, what))


def _offer(row: dict[str, str]) -> tuple[int, int, Floats]:
    size = np.array([_number(name, row[name] or "0") for name in RESOURCES])
    if not (size.max() <= 1 and size.min() >= 0):
        raise ValueError("shares of a server must be from 0 to 1")
    if size.max() < _SMALLEST:
        raise ValueError("needs nothing of any resource")
    return _whole("vmTypeId", row["vmTypeId"]), _whole("machineId", row["machineId"]), size


def _vm(row: dict[str, str]) -> tuple[int, int, float, float] | None:
    vm, kind = _whole("vmId", row["vmId"]), _whole("vmTypeId", row["vmTypeId"])
    if not row["endtime"].strip():
        return None  # it still runs: its end is not known
    start, end = _number("starttime", row["starttime"]), _number("endtime", row["endtime"])
    if not start < end:
        raise ValueError(f"ends at {end:g}, which is not after its start, {start:g}")
    return vm, kind, start, end


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} {text!r} is not a number")
    return value


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} {text!r} is not a whole number") from None
