"""Jobs from a table of one's own, CSV or Parquet: a row for each, with overrides if need be.

Columns: `at` (seconds) is needed; `run` (seconds; empty: until it is stopped) or `end`, `count`,
`name`, `cpu` (units), `memory` (MiB) and `overrides` (JSON, as RunTask has it) may be there.
Options say what they are called in another file, and what its numbers are multiplied by.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from numpy.random import Generator
from pydantic import Field, model_validator

from stowplan.experiments.workloads.protocol import Job
from stowplan.experiments.workloads.rows import csv_rows, number, trace_file, whole
from stowplan.placement.errors import SpecError
from stowplan.placement.messages import ContainerOverride
from stowplan.placement.scenario.fields import Number, Table
from stowplan.placement.scenario.scenario import WorkloadTable
from stowplan.placement.scenario.words import unknown
from stowplan.placement.taskdef.task_overrides import parse_task_override

COLUMNS = ("at", "run", "end", "count", "name", "cpu", "memory", "overrides")
_SCALED = ("at", "run", "end", "cpu", "memory")


def _known(names: dict[str, Any], allowed: tuple[str, ...], what: str) -> None:
    for name in names:
        if name not in allowed:
            raise ValueError(unknown(what, name, allowed))


class _TableOptions(Table):
    """`columns` maps ours to the file's, whose others are not read; `scale` multiplies numbers."""

    columns: dict[str, str] = Field(default_factory=dict)
    scale: dict[str, Annotated[Number, Field(gt=0)]] = Field(default_factory=dict)
    from_first: bool = False

    @model_validator(mode="after")
    def _sound(self) -> Self:
        _known(self.columns, COLUMNS, "column")
        _known(self.scale, _SCALED, "column of numbers")
        if self.columns and "at" not in self.columns:
            raise ValueError("columns lacks at")
        return self


class TableOfJobs:
    """The rows of a table by time, those at `until` and later left out."""

    options = _TableOptions

    def __init__(self, table: WorkloadTable) -> None:
        path = trace_file("table", table.file)
        options = _TableOptions(**table.options)
        rows = list(_rows(path, options))
        times = _Times(rows, options)
        known: dict[str, tuple[int | None, int | None, tuple[ContainerOverride, ...]]] = {}
        problems: list[tuple[str, str]] = []
        jobs: list[Job] = []
        for place, row in rows:
            try:
                job = _job(row, known, times, options.scale)
            except ValueError as error:
                problems.append((f"{path}:{place}", str(error)))
                continue
            if table.until is None or job.at_ms < table.until:
                jobs.append(job)
        if problems:
            raise SpecError(problems)
        self._jobs = sorted(jobs, key=lambda job: job.at_ms)

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The jobs; nothing is drawn."""
        return iter(self._jobs)


def _rows(path: Path, options: _TableOptions) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows by our names, each with its line or number; "" where a value is not given.

    Raises:
        SpecError: a column is missing or not known, or the file is no table.
    """
    with path.open("rb") as stream:
        is_parquet = stream.read(4) == b"PAR1"
    if is_parquet:
        import pandas as pd

        frame = pd.read_parquet(path)
        ours = _our_names(path, [str(name) for name in frame.columns], options.columns)
        plain = frame.astype(object).where(frame.notna(), "")
        for number_, values in enumerate(plain.to_dict("records"), 1):
            yield number_, {name: values[theirs] for name, theirs in ours.items()}
        return
    rows = csv_rows(path)
    nothing: tuple[int, list[str]] = (1, [])
    _, header = next(rows, nothing)
    ours = _our_names(path, header, options.columns)
    for line, row in rows:
        if len(row) != len(header):
            what = f"{len(row)} columns, the header has {len(header)}: truncated?"
            raise SpecError([(f"{path}:{line}", what)])
        values = dict(zip(header, row, strict=True))
        yield line, {name: values[theirs] for name, theirs in ours.items()}


def _our_names(path: Path, found: list[str], columns: Mapping[str, str]) -> Mapping[str, str]:
    """Our names of the columns to read, and what the file calls them."""
    place = f"{path}:1"
    if columns:
        problems = [
            (place, f"lacks the column {theirs}: it has {', '.join(found)}")
            for theirs in columns.values()
            if theirs not in found
        ]
    else:
        problems = [] if "at" in found else [(place, "lacks the column at")]
        known = ", ".join(COLUMNS)
        problems += [
            (place, f"unknown column {name!r}; known: {known}; options.columns maps others")
            for name in found
            if name not in COLUMNS
        ]
        columns = {name: name for name in found}
    if {"run", "end"} <= set(columns):
        problems.append((place, "has run and end: one of them says the other"))
    if problems:
        raise SpecError(problems)
    return columns


class _Times:
    """Reads times of rows in ms, from the first on where the options say so."""

    def __init__(self, rows: list[tuple[int, Mapping[str, Any]]], options: _TableOptions) -> None:
        self._scale, self._begin = options.scale, 0.0
        if options.from_first:
            known = [each for _, row in rows if (each := self._scaled(row, "at")) is not None]
            self._begin = min(known, default=0.0)

    def _scaled(self, row: Mapping[str, Any], name: str) -> float | None:
        try:
            value = float(row[name]) * self._scale.get(name, 1)
        except (TypeError, ValueError):
            return None
        return value if math.isfinite(value) else None

    def ms(self, row: Mapping[str, Any], name: str) -> int | None:
        """A time; None: an empty one. Raises ValueError where it is none, or out of range."""
        value = row.get(name, "")
        if value == "" and name != "at":
            return None
        scaled = self._scaled(row, name)
        if scaled is not None:
            value = repr(scaled - (0 if name == "run" else self._begin))
        return round(1000 * number(name, value))


def _job(
    row: Mapping[str, Any], known: dict[str, Any], times: _Times, scale: Mapping[str, float]
) -> Job:
    text = str(row.get("overrides", ""))
    if text not in known:
        known[text] = _overrides(text)
    cpu, memory, containers = known[text]
    count = whole("count", row.get("count", "") or 1)
    if count < 1:
        raise ValueError("count 0: at least 1 expected")
    at_ms, end_ms, run_ms = (times.ms(row, name) for name in ("at", "end", "run"))
    assert at_ms is not None, "it is read or refused"
    if end_ms is not None:
        if end_ms < at_ms:
            raise ValueError(f"end {row['end']} is before at {row['at']}")
        run_ms = end_ms - at_ms
    return Job(
        at_ms,
        count,
        run_ms,
        _size(row, "cpu", cpu, scale),
        _size(row, "memory", memory, scale),
        str(row.get("name", "")),
        overrides=containers,
    )


def _size(
    row: Mapping[str, Any], name: str, otherwise: int | None, scale: Mapping[str, float]
) -> int | None:
    """An amount; one that is scaled is rounded up, since a task gets no less than it asks for."""
    value = row.get(name, "")
    if value == "":
        return otherwise
    if name not in scale:
        return whole(name, value)
    # What the multiplication leaves in the last bits is no amount.
    return math.ceil(round(scale[name] * number(name, value), 6))


def _overrides(text: str) -> tuple[int | None, int | None, tuple[ContainerOverride, ...]]:
    if not text:
        return None, None, ()
    try:
        found = parse_task_override(json.loads(text))
    except SpecError as error:
        what = "; ".join(f"{place}: {said}" for place, said in error.problems)
        raise ValueError(f"overrides: {what}") from error
    except ValueError as error:
        raise ValueError(f"overrides: no JSON: {error}") from error
    return found.cpu, found.memory, found.containers
