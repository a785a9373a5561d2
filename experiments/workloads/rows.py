"""Traces as rows of a file, plain or gzip, read as they are asked for; a bad row is named.

`read_jobs` reads a CSV whole and sorts it. A trace that is too large for that must be in order of
time, and comes from `parsed`, a row at a time.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Protocol, TypeVar

from stowplan.experiments.files.text import WrappedError, opened
from stowplan.experiments.workloads.protocol import Job
from stowplan.placement.errors import SpecError

# No machine, task or trace comes near this; beyond it, sums would leave 64 bits.
_NUMBER_MAX = 1e9
# A trace that streams is looked at this far when it is opened; the rest when it is read.
LOOKED_AT_ROWS = 1000


class Timed(Protocol):
    """What a row is made into."""

    @property
    def at_ms(self) -> int:
        """When it happens."""
        ...


Made = TypeVar("Made", bound=Timed)
Rows = Iterator[tuple[int, Any]]


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, gzip or not, numbered from 1.

    Raises:
        SpecError: the file is an archive, no gzip or no text, or ends too early; names file and
            line.
        OSError: there is no such file.
    """
    number = 0
    try:
        with opened(path) as stream:
            for line in stream:
                number += 1
                yield number, line
    except WrappedError as error:
        raise SpecError([(str(path), str(error))]) from error
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeError) as error:
        raise SpecError([(f"{path}:{number + 1}", f"cannot be read: {error}")]) from error


def csv_rows(path: Path) -> Rows:
    """The rows of a CSV file that are not empty, each with the number of its (last) line."""
    reader = csv.reader(line for _, line in lines(path))
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise SpecError([(f"{path}:{reader.line_num}", str(error))]) from error


def named_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str] | str]]:
    """The rows of a CSV file with a header, by column; a text instead where the count is wrong.

    Raises:
        SpecError: the header lacks some of `columns`; others are not read.
    """
    rows = csv_rows(path)
    nothing: tuple[int, list[str]] = (1, [])
    _, header = next(rows, nothing)
    missing = [name for name in columns if name not in header]
    if missing:
        raise SpecError([(f"{path}:1", f"lacks the columns {', '.join(missing)}")])
    index = {name: header.index(name) for name in columns}
    for number_, row in rows:
        if len(row) == len(header):
            yield number_, {name: row[at] for name, at in index.items()}
        else:
            yield number_, f"{len(row)} columns, the header has {len(header)}: truncated?"


def read_jobs(
    path: Path, columns: Sequence[str], job: Callable[[dict[str, str]], Job], until_ms: int | None
) -> list[Job]:
    """The jobs of a trace by time, those at `until_ms` and later left out.

    Args:
        columns: that must be there, in any order; others are not read.
        job: makes a job of a row; raises ValueError where that makes no sense.
    Raises:
        SpecError: names every row that is wrong, with file and line.
        OSError: there is no such file.
    """
    problems: list[tuple[str, str]] = []
    jobs: list[Job] = []
    for line, row in named_rows(path, columns):
        try:
            if isinstance(row, str):
                raise ValueError(row)
            made = job(row)
        except ValueError as error:
            problems.append((f"{path}:{line}", str(error)))
            continue
        if until_ms is None or made.at_ms < until_ms:
            jobs.append(made)
    if problems:
        raise SpecError(problems)
    return sorted(jobs, key=lambda each: each.at_ms)


def before(jobs: Iterable[Job], until_ms: int | None) -> Iterator[Job]:
    """The jobs, in order of time, that are submitted before `until_ms`; None: all."""
    return takewhile(lambda job: until_ms is None or job.at_ms < until_ms, jobs)


def parsed(path: Path, rows: Rows, make: Callable[[Any], Made | None]) -> Iterator[Made]:
    """What `make` makes of each row, in order of time; None: the row does not matter.

    Raises:
        SpecError: `make` raised ValueError, or a row is earlier than one before it; names the line.
    """
    last_ms = 0
    for number_, row in rows:
        try:
            if isinstance(row, str):
                raise ValueError(row)
            made = make(row)
            if made is None:
                continue
            if made.at_ms < last_ms:
                raise ValueError(
                    "is earlier than a row before it: sort the file by time, a trace is not held "
                    "in memory to do it"
                )
        except ValueError as error:
            raise SpecError([(f"{path}:{number_}", str(error))]) from error
        last_ms = made.at_ms
        yield made


def look_at(made: Iterator[object]) -> None:
    """Read the beginning of a trace, so that a useless one is refused before anything runs."""
    for _ in islice(made, LOOKED_AT_ROWS):
        pass


def trace_file(kind: str, file: str | None) -> Path:
    """The file of a workload. Raises ValueError where it names none, OSError where none is."""
    if file is None:
        raise ValueError(f"{kind} needs a file")
    path = Path(file)
    path.open("rb").close()
    return path


def number(name: str, text: str) -> float:
    """The number in a column of a trace.

    Raises:
        ValueError: not a number, or outside 0 to 10^9.
    """
    try:
        value = float(text)
    except (TypeError, ValueError):
        raise ValueError(f"{name} {text!r} is not a number") from None
    if not 0 <= value <= _NUMBER_MAX:
        raise ValueError(f"{name} {text} is outside 0 to {_NUMBER_MAX:.0f}")
    return value


def whole(name: str, text: Any) -> int:
    """The whole number in a column, of any size; ValueError where it is none, or negative."""
    try:
        value = int(text)
    except (TypeError, ValueError):
        raise ValueError(f"{name} {text!r} is not a whole number") from None
    if value < 0:
        raise ValueError(f"{name} {text} is negative")
    return value
