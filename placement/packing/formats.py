"""Packing problems from text: BPPLIB's two one-dimensional formats, VPSolver's `.vbp`, and that of
temporal bin packing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stowplan.placement.packing.fleet.problem import BinType
from stowplan.placement.packing.over_time.problem import OverTimeProblem
from stowplan.placement.packing.problem import PackingInputError, PackingProblem

DIGITS_MAX = 18  # of a number: 64 bits hold it


class FormatError(PackingInputError):
    """A packing file is malformed; the message starts with the line's number."""


def parse_bpp(text: str) -> PackingProblem:
    """Read the number of items, the capacity, then one size a line; or a size and a count.

    BPPLIB has both: bin packing lists every item, cutting stock kinds of item with their demand.

    Raises:
        FormatError: a line has other numbers than those, or sizes are missing or left over.
    """
    rows: list[tuple[int, list[int]]] = []
    columns = 1
    for row in _rows(text):
        if len(rows) == 2 and len(row[1]) == 2:
            columns = 2
        _exactly(row, columns)
        rows.append(row)
    if len(rows) < 2:
        raise FormatError("line 1: number of items and capacity expected")
    (n,), (capacity,) = _exactly(rows[0], 1), _exactly(rows[1], 1)
    sizes = rows[2:]
    _check_amount(sizes, n, "sizes" if columns == 1 else "item kinds", rows[-1][0])
    table = np.array([row for _, row in sizes], dtype=np.int64).reshape(-1, columns)
    counts = table[:, 1] if columns == 2 else np.ones(n, dtype=np.int64)
    return PackingProblem(table[:, :1], counts, np.array([capacity]))


def parse_vbp(text: str) -> PackingProblem:
    """Read dimensions, the capacities, the number of kinds, then demand and count of each kind.

    Raises:
        FormatError: a line has the wrong numbers, or kinds are missing or left over.
    """
    rows = list(_rows(text))
    if len(rows) < 3:
        raise FormatError("line 1: dimensions, capacities and number of kinds expected")
    (d,) = _exactly(rows[0], 1)
    if d == 0:
        raise FormatError(f"line {rows[0][0]}: at least one dimension expected")
    capacity = _exactly(rows[1], d)
    (m,) = _exactly(rows[2], 1)
    _check_amount(rows[3:], m, "item kinds", rows[-1][0])
    kinds = np.array([_exactly(row, d + 1) for row in rows[3:]], dtype=np.int64).reshape(m, d + 1)
    return PackingProblem(kinds[:, :d], kinds[:, d], np.array(capacity))


def parse_tbpp(text: str) -> OverTimeProblem:
    """Read the number of jobs and a server's capacity, then number, start, end and size of each.

    Further numbers in the first line mean nothing here. Servers have the price 1, so a plan costs
    the time for which servers are busy.

    Raises:
        FormatError: a line has other numbers, a job ends before it starts, or jobs are missing or
            left over.
    """
    rows = list(_rows(text))
    if not rows or len(rows[0][1]) < 2:
        raise FormatError("line 1: number of jobs and capacity expected")
    n, capacity = rows[0][1][:2]
    _check_amount(rows[1:], n, "jobs", rows[-1][0])
    jobs = np.array([_exactly(row, 4) for row in rows[1:]], dtype=np.int64).reshape(-1, 4)
    for (line, _), (_, start, end, _) in zip(rows[1:], jobs.tolist(), strict=True):
        if end < start:
            raise FormatError(f"line {line}: the job ends at {end}, before it starts at {start}")
    sizes, kind = np.unique(jobs[:, 3], return_inverse=True)
    server = BinType("server", np.array([capacity]), 1)
    return OverTimeProblem(sizes[:, None], kind.reshape(-1), jobs[:, 1], jobs[:, 2], (server,))


def _rows(text: str) -> Iterator[tuple[int, list[int]]]:
    """(line number, numbers) of every line that is not blank."""
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if not all(word.isascii() and word.isdigit() for word in words):
            raise FormatError(f"line {number}: whole numbers >= 0 expected, got {line.strip()!r}")
        if max(map(len, words)) > DIGITS_MAX:
            raise FormatError(f"line {number}: a number of more than {DIGITS_MAX} digits")
        yield number, [int(word) for word in words]


def _exactly(row: tuple[int, list[int]], amount: int) -> list[int]:
    number, values = row
    if len(values) != amount:
        noun = "number" if amount == 1 else "numbers"
        raise FormatError(f"line {number}: {amount} {noun} expected, got {len(values)}")
    return values


def _check_amount(
    rows: list[tuple[int, list[int]]], wanted: int, what: str, last_line: int
) -> None:
    if len(rows) < wanted:
        raise FormatError(f"line {last_line}: file ends after {len(rows)} of {wanted} {what}")
    if len(rows) > wanted:
        raise FormatError(
            f"line {rows[wanted][0]}: more {what} than the {wanted} of the file's head"
        )
