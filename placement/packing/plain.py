"""Packing problems as their files have them: plain integers, without numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

DIGITS_MAX = 18  # of a number: 64 bits hold it


class PackingInputError(ValueError):
    """A problem is malformed; the message names what and where."""


class FormatError(PackingInputError):
    """A packing file is malformed; the message starts with the line's number."""


class Plain(NamedTuple):
    """Kinds of item, and what a bin holds, in every dimension."""

    demand: list[list[int]]
    counts: list[int]
    capacity: list[int]


def plain_bpp(text: str) -> Plain:
    """Read the number of items, the capacity, then one size a line; or a size and a count.

    Raises:
        FormatError: a line has other numbers than those, or sizes are missing or left over.
    """
    rows: list[tuple[int, list[int]]] = []
    columns = 1
    for row in rows_of(text):
        if len(rows) == 2 and len(row[1]) == 2:
            columns = 2
        exactly(row, columns)
        rows.append(row)
    if len(rows) < 2:
        raise FormatError("line 1: number of items and capacity expected")
    (n,), (capacity,) = exactly(rows[0], 1), exactly(rows[1], 1)
    check_amount(rows[2:], n, "sizes" if columns == 1 else "item kinds", rows[-1][0])
    sizes = [row for _, row in rows[2:]]
    counts = [row[1] if columns == 2 else 1 for row in sizes]
    return Plain([row[:1] for row in sizes], counts, [capacity])


def plain_vbp(text: str) -> Plain:
    """Read dimensions, the capacities, the number of kinds, then demand and count of each kind.

    Raises:
        FormatError: a line has the wrong numbers, or kinds are missing or left over.
    """
    rows = list(rows_of(text))
    if len(rows) < 3:
        raise FormatError("line 1: dimensions, capacities and number of kinds expected")
    (d,) = exactly(rows[0], 1)
    if d == 0:
        raise FormatError(f"line {rows[0][0]}: at least one dimension expected")
    capacity = exactly(rows[1], d)
    (m,) = exactly(rows[2], 1)
    check_amount(rows[3:], m, "item kinds", rows[-1][0])
    kinds = [exactly(row, d + 1) for row in rows[3:]]
    return Plain([row[:d] for row in kinds], [row[d] for row in kinds], capacity)


def rows_of(text: str) -> Iterator[tuple[int, list[int]]]:
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


def exactly(row: tuple[int, list[int]], amount: int) -> list[int]:
    """The numbers of a row that has so many. Raises FormatError where it has not."""
    number, values = row
    if len(values) != amount:
        noun = "number" if amount == 1 else "numbers"
        raise FormatError(f"line {number}: {amount} {noun} expected, got {len(values)}")
    return values


def check_amount(rows: list[tuple[int, list[int]]], wanted: int, what: str, last_line: int) -> None:
    """Raises FormatError where there are not as many rows as the file's head says."""
    if len(rows) < wanted:
        raise FormatError(f"line {last_line}: file ends after {len(rows)} of {wanted} {what}")
    if len(rows) > wanted:
        raise FormatError(
            f"line {rows[wanted][0]}: more {what} than the {wanted} of the file's head"
        )
