"""Traces that are a CSV file with a header, a job a row."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.workloads.protocol import Job
from placement.errors import SpecError

# No machine, no task and no trace comes near; beyond, sums would leave 64 bits.
_NUMBER_MAX = 1e9


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
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.reader(stream)
        header = next(rows, [])
        missing = [name for name in columns if name not in header]
        if missing:
            raise SpecError([(f"{path}:1", f"lacks the columns {', '.join(missing)}")])
        index = {name: header.index(name) for name in columns}
        for row in filter(None, rows):
            try:
                if len(row) != len(header):
                    what = f"{len(row)} columns, the header has {len(header)}: truncated?"
                    raise ValueError(what)
                made = job({name: row[at] for name, at in index.items()})
            except ValueError as error:
                problems.append((f"{path}:{rows.line_num}", str(error)))
                continue
            if until_ms is None or made.at_ms < until_ms:
                jobs.append(made)
    if problems:
        raise SpecError(problems)
    return sorted(jobs, key=lambda each: each.at_ms)


def number(name: str, text: str) -> float:
    """The number in a column of a trace.

    Raises:
        ValueError: not a number, or outside 0 to 10^9.
    """
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name} {text!r} is not a number") from None
    if not 0 <= value <= _NUMBER_MAX:
        raise ValueError(f"{name} {text} is outside 0 to {_NUMBER_MAX:.0f}")
    return value
