"""The batch jobs of Alibaba's co-located cluster trace, as CloudSimPy republished them.

Columns: row number, submit_time (s), duration (s), cpu (cores a copy), memory (fraction of the
largest machine), job_id, task_id, instances_num (copies), disk (unused).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from numpy.random import Generator
from pydantic import Field

from experiments.workloads.protocol import Job
from placement.errors import SpecError
from placement.scenario import Table, WorkloadTable
from placement.scenario_fields import Number

_COLUMNS = ["submit_time", "duration", "cpu", "memory", "job_id", "task_id", "instances_num"]
_MEMORY_MIN_MIB = 6
# No machine, no task and no trace comes near; beyond, sums would leave 64 bits.
_NUMBER_MAX = 1e9


class _Options(Table):
    """`machine_memory_gib`: what a memory of 1.0 means; the trace does not say."""

    machine_memory_gib: Annotated[Number, Field(gt=0, le=1e6)]


class AlibabaBatch:
    """Reads the trace; keeps what is submitted before `until`."""

    def __init__(self, table: WorkloadTable) -> None:
        """Raises SpecError naming every row that does not parse, OSError where there is no file."""
        if table.file is None:
            raise ValueError("alibaba_batch needs a file")
        self._path = Path(table.file)
        self._until_ms = table.until
        self._machine_mib = _Options(**table.options).machine_memory_gib * 1024
        self._jobs = sorted(self._read(), key=lambda job: job.at_ms)

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The rows as jobs, by time of submission; nothing is drawn."""
        yield from self._jobs

    def _read(self) -> list[Job]:
        problems: list[tuple[str, str]] = []
        jobs: list[Job] = []
        with self._path.open(newline="", encoding="utf-8") as stream:
            rows = csv.reader(stream)
            header = next(rows, [])
            missing = [name for name in _COLUMNS if name not in header]
            if missing:
                raise SpecError([(f"{self._path}:1", f"lacks the columns {', '.join(missing)}")])
            index = {name: header.index(name) for name in _COLUMNS}
            for row in filter(None, rows):
                try:
                    if len(row) != len(header):
                        what = f"{len(row)} columns, the header has {len(header)}: truncated?"
                        raise ValueError(what)
                    job = self._job({name: row[at] for name, at in index.items()})
                except ValueError as error:
                    problems.append((f"{self._path}:{rows.line_num}", str(error)))
                    continue
                if self._until_ms is None or job.at_ms < self._until_ms:
                    jobs.append(job)
        if problems:
            raise SpecError(problems)
        return jobs

    def _job(self, row: dict[str, str]) -> Job:
        numbers = {name: number(name, row[name]) for name in _COLUMNS if name[-3:] != "_id"}
        if numbers["instances_num"] < 1 or numbers["instances_num"] % 1:
            raise ValueError(f"instances_num {row['instances_num']} is not a whole number above 0")
        return Job(
            at_ms=round(numbers["submit_time"] * 1000),
            count=int(numbers["instances_num"]),
            run_ms=max(1, round(numbers["duration"] * 1000)),
            cpu=max(1, round(numbers["cpu"] * 1024)),
            memory=max(_MEMORY_MIN_MIB, round(numbers["memory"] * self._machine_mib)),
            name=f"job-{row['job_id']}",
        )


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
