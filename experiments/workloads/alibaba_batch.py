"""The batch jobs of Alibaba's co-located cluster trace, as CloudSimPy republished them.

Columns: row number, submit_time (s), duration (s), cpu (cores a copy), memory (fraction of the
largest machine), job_id, task_id, instances_num (copies), disk (unused).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from numpy.random import Generator
from pydantic import Field

from stowplan.experiments.workloads.protocol import Job
from stowplan.experiments.workloads.rows import number, read_jobs
from stowplan.placement.scenario.fields import Number, Table
from stowplan.placement.scenario.scenario import WorkloadTable

_COLUMNS = ["submit_time", "duration", "cpu", "memory", "job_id", "task_id", "instances_num"]
_MEMORY_MIN_MIB = 6


class _Options(Table):
    """`machine_memory_gib`: what a memory of 1.0 means; the trace does not say."""

    machine_memory_gib: Annotated[Number, Field(gt=0, le=1e6)]


class AlibabaBatch:
    """Reads the trace; keeps what is submitted before `until`."""

    options = _Options

    def __init__(self, table: WorkloadTable) -> None:
        """Raises SpecError naming every row that does not parse, OSError where there is no file."""
        if table.file is None:
            raise ValueError("alibaba_batch needs a file")
        self._machine_mib = _Options(**table.options).machine_memory_gib * 1024
        self._jobs = read_jobs(Path(table.file), _COLUMNS, self._job, table.until)

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The rows as jobs, by time of submission; nothing is drawn."""
        yield from self._jobs

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
