"""Packing problems from text: BPPLIB's two one-dimensional formats, VPSolver's `.vbp`, and that of
temporal bin packing."""

from __future__ import annotations

import numpy as np

from stowplan.placement.packing.fleet.problem import BinType
from stowplan.placement.packing.over_time.problem import OverTimeProblem
from stowplan.placement.packing.plain import (
    FormatError,
    check_amount,
    exactly,
    plain_bpp,
    plain_vbp,
    rows_of,
)
from stowplan.placement.packing.problem import IntArray, PackingProblem


def parse_bpp(text: str) -> PackingProblem:
    """Read the number of items, the capacity, then one size a line; or a size and a count.

    BPPLIB has both: bin packing lists every item, cutting stock kinds of item with their demand.

    Raises:
        FormatError: a line has other numbers than those, or sizes are missing or left over.
    """
    demand, counts, capacity = plain_bpp(text)
    return PackingProblem(_table(demand, 1), np.array(counts, np.int64), np.array(capacity))


def parse_vbp(text: str) -> PackingProblem:
    """Read dimensions, the capacities, the number of kinds, then demand and count of each kind.

    Raises:
        FormatError: a line has the wrong numbers, or kinds are missing or left over.
    """
    demand, counts, capacity = plain_vbp(text)
    table = _table(demand, len(capacity))
    return PackingProblem(table, np.array(counts, np.int64), np.array(capacity))


def parse_tbpp(text: str) -> OverTimeProblem:
    """Read the number of jobs and a server's capacity, then number, start, end and size of each.

    Further numbers in the first line mean nothing here. Servers have the price 1, so a plan costs
    the time for which servers are busy.

    Raises:
        FormatError: a line has other numbers, a job ends before it starts, or jobs are missing or
            left over.
    """
    rows = list(rows_of(text))
    if not rows or len(rows[0][1]) < 2:
        raise FormatError("line 1: number of jobs and capacity expected")
    n, capacity = rows[0][1][:2]
    check_amount(rows[1:], n, "jobs", rows[-1][0])
    jobs = np.array([exactly(row, 4) for row in rows[1:]], dtype=np.int64).reshape(-1, 4)
    for (line, _), (_, start, end, _) in zip(rows[1:], jobs.tolist(), strict=True):
        if end < start:
            raise FormatError(f"line {line}: the job ends at {end}, before it starts at {start}")
    sizes, kind = np.unique(jobs[:, 3], return_inverse=True)
    server = BinType("server", np.array([capacity]), 1)
    return OverTimeProblem(sizes[:, None], kind.reshape(-1), jobs[:, 1], jobs[:, 2], (server,))


def _table(rows: list[list[int]], columns: int) -> IntArray:
    return np.array(rows, dtype=np.int64).reshape(-1, columns)
