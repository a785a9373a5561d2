"""The batch jobs of Alibaba's co-located cluster trace, as CloudSimPy republished them.

Columns: row number, submit_time (s), duration (s), cpu (cores a copy), memory (fraction of the
largest machine), job_id, task_id, instances_num (copies), disk (unused).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from numpy.random import Generator
from pydantic import Field

from experiments.workloads.protocol import Job
from placement.errors import SpecError
from placement.scenario import Table, WorkloadTable

_COLUMNS = ["submit_time", "duration", "cpu", "memory", "job_id", "task_id", "instances_num"]
_MEMORY_MIN_MIB = 6


class _Options(Table):
    """`machine_memory_gib`: what a memory of 1.0 means; the trace does not say."""

    machine_memory_gib: float = Field(gt=0)


class AlibabaBatch:
    """Reads the trace; keeps what is submitted before `until`."""

    def __init__(self, table: WorkloadTable) -> None:
        if table.file is None:
            raise ValueError("alibaba_batch needs a file")
        self._path = Path(table.file)
        self._until_ms = table.until
        self._machine_mib = _Options(**table.options).machine_memory_gib * 1024

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The rows as jobs, by time of submission; nothing is drawn."""
        problems: list[tuple[str, str]] = []
        jobs: list[Job] = []
        with self._path.open(newline="") as stream:
            rows = csv.reader(stream)
            header = next(rows, [])
            missing = [name for name in _COLUMNS if name not in header]
            if missing:
                raise SpecError([(f"{self._path}:1", f"lacks the columns {', '.join(missing)}")])
            index = {name: header.index(name) for name in _COLUMNS}
            for row in rows:
                place = f"{self._path}:{rows.line_num}"
                if len(row) != len(header):
                    what = f"{len(row)} columns, the header has {len(header)}: truncated?"
                    problems.append((place, what))
                    continue
                try:
                    job = self._job({name: row[at] for name, at in index.items()})
                except ValueError as error:
                    problems.append((place, str(error)))
                    continue
                if self._until_ms is None or job.at_ms < self._until_ms:
                    jobs.append(job)
        if problems:
            raise SpecError(problems)
        yield from sorted(jobs, key=lambda job: job.at_ms)

    def _job(self, row: dict[str, str]) -> Job:
        numbers = {name: float(row[name]) for name in _COLUMNS if not name.endswith("_id")}
        bad = [name for name, value in numbers.items() if not math.isfinite(value) or value < 0]
        if bad:
            raise ValueError(f"{', '.join(bad)} must be finite and not negative")
        if numbers["instances_num"] < 1 or numbers["instances_num"] % 1:
            raise ValueError("instances_num must be a whole number, at least 1")
        return Job(
            at_ms=round(numbers["submit_time"] * 1000),
            count=int(numbers["instances_num"]),
            run_ms=max(1, round(numbers["duration"] * 1000)),
            cpu=max(1, round(numbers["cpu"] * 1024)),
            memory=max(_MEMORY_MIN_MIB, round(numbers["memory"] * self._machine_mib)),
            name=f"job-{row['job_id']}",
        )
