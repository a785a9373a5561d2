"""Jobs from a table of one's own, CSV or Parquet: a row for each, with overrides if need be.

Columns: `at` (seconds) is needed; `run` (seconds; empty: until it is stopped), `count`, `name`,
`cpu` (units), `memory` (MiB) and `overrides` (JSON, as RunTask has it) may be there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.random import Generator

from stowplan.experiments.workloads.protocol import Job, NoOptions
from stowplan.experiments.workloads.rows import csv_rows, number, trace_file, whole
from stowplan.placement.errors import SpecError
from stowplan.placement.messages import ContainerOverride
from stowplan.placement.scenario.scenario import WorkloadTable
from stowplan.placement.taskdef.task_overrides import parse_task_override

COLUMNS = ("at", "run", "count", "name", "cpu", "memory", "overrides")


class TableOfJobs:
    """The rows of a table by time, those at `until` and later left out."""

    options = NoOptions

    def __init__(self, table: WorkloadTable) -> None:
        path = trace_file("table", table.file)
        known: dict[str, tuple[int | None, int | None, tuple[ContainerOverride, ...]]] = {}
        problems: list[tuple[str, str]] = []
        jobs: list[Job] = []
        for place, row in _rows(path):
            try:
                job = _job(row, known)
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


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows, each with its line or number; "" where a column or a value is not given.

    Raises:
        SpecError: `at` is missing, a column is not known, or the file is no table.
    """
    with path.open("rb") as stream:
        is_parquet = stream.read(4) == b"PAR1"
    if is_parquet:
        import pandas as pd

        frame = pd.read_parquet(path)
        _check_columns(path, [str(name) for name in frame.columns])
        plain = frame.astype(object).where(frame.notna(), "")
        for number_, values in enumerate(plain.to_dict("records"), 1):
            yield number_, {str(name): value for name, value in values.items()}
        return
    rows = csv_rows(path)
    nothing: tuple[int, list[str]] = (1, [])
    _, header = next(rows, nothing)
    _check_columns(path, header)
    for line, row in rows:
        if len(row) != len(header):
            what = f"{len(row)} columns, the header has {len(header)}: truncated?"
            raise SpecError([(f"{path}:{line}", what)])
        yield line, dict(zip(header, row, strict=True))


def _check_columns(path: Path, found: list[str]) -> None:
    problems = [(f"{path}:1", "lacks the column at")] if "at" not in found else []
    known = ", ".join(COLUMNS)
    problems += [
        (f"{path}:1", f"unknown column {name!r}; known: {known}")
        for name in found
        if name not in COLUMNS
    ]
    if problems:
        raise SpecError(problems)


def _job(row: Mapping[str, Any], known: dict[str, Any]) -> Job:
    text = str(row.get("overrides", ""))
    if text not in known:
        known[text] = _overrides(text)
    cpu, memory, containers = known[text]
    count = whole("count", row.get("count", "") or 1)
    if count < 1:
        raise ValueError("count 0: at least 1 expected")
    run = row.get("run", "")
    return Job(
        round(1000 * number("at", row["at"])),
        count,
        None if run == "" else round(1000 * number("run", run)),
        _size(row, "cpu", cpu),
        _size(row, "memory", memory),
        str(row.get("name", "")),
        overrides=containers,
    )


def _size(row: Mapping[str, Any], name: str, otherwise: int | None) -> int | None:
    value = row.get(name, "")
    return otherwise if value == "" else whole(name, value)


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
