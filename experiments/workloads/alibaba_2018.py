"""Alibaba's cluster trace of 2018: batch tasks and long-running containers of 4,000 machines.

`batch_task.csv`, without a header: task_name, instance_num, job_name, task_type, status,
start_time, end_time (s; 0: before or after the span of 8 days), plan_cpu (100 is a core), plan_mem
(0 to 100, of the largest machine's memory). As published it is not in order of time:
`sort -t, -k6,6n batch_task.csv` makes it so. Tasks of a job may depend on each other (their names
say how). Here each is submitted at the time at which it started, so its wait for other tasks is
part of the trace.

`container_meta.csv`, without a header: container_id, machine_id, time_stamp (s; 0: before), app_du
(containers of one app are one service), status, cpu_request and cpu_limit (100 is a core), mem_size
(as plan_mem). A container has a row for each change; the first is when it comes, and it stays.

Source: github.com/alibaba/clusterdata, cluster-trace-v2018, `trace_2018.md` and `schema.txt`.
Published without a licence, so not part of this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from numpy.random import Generator
from pydantic import Field

from stowplan.experiments.workloads.protocol import Job
from stowplan.experiments.workloads.rows import (
    before,
    csv_rows,
    look_at,
    number,
    parsed,
    trace_file,
    whole,
)
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.fields import Number, Table
from stowplan.placement.scenario.scenario import WorkloadTable

_MEMORY_MIN_MIB = 6


class _Options(Table):
    """`machine_memory_gib`: what a memory of 100 means; the trace does not say."""

    machine_memory_gib: Annotated[Number, Field(gt=0, le=1e6)]


class _Alibaba2018:
    options = _Options
    kind: str
    columns: int

    def __init__(self, table: WorkloadTable) -> None:
        """Raises SpecError for a bad row, OSError where there is no file."""
        self._path = trace_file(self.kind, table.file)
        self._options, self._until_ms = _Options(**table.options), table.until

    def _size(self, cpu: str, memory: str) -> tuple[int | None, int | None]:
        """CPU units and MiB; None where the trace has nothing, or -1 or 101 for it."""
        cpus = mib = None
        if cpu not in ("", "-1"):
            cpus = max(1, round(number("cpu", cpu) * 10.24))
        if memory not in ("", "-1", "101"):
            share = number("memory", memory) / 100
            mib = max(_MEMORY_MIN_MIB, round(share * self._options.machine_memory_gib * 1024))
        return cpus, mib

    def _width(self, row: list[str]) -> None:
        if len(row) != self.columns:
            raise ValueError(f"{len(row)} columns, {self.kind} has {self.columns}: truncated?")


class AlibabaBatchTasks(_Alibaba2018):
    """`batch_task.csv`, in order of start_time; streams. A task that neither ended nor runs at the
    end (it failed, or waits) is left out, as no more is known of it."""

    kind, columns = "alibaba_2018_batch", 9

    def __init__(self, table: WorkloadTable) -> None:
        """Raises SpecError for a bad row at the beginning, OSError where there is no file."""
        super().__init__(table)
        look_at(self._all())

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The tasks as jobs; SpecError at a bad row. Nothing is drawn."""
        return before(self._all(), self._until_ms)

    def _all(self) -> Iterator[Job]:
        return parsed(self._path, csv_rows(self._path), self._job)

    def _job(self, row: list[str]) -> Job | None:
        self._width(row)
        _, copies, job, _, status, start, end, cpu, memory = row
        start_s, end_s = number("start_time", start or "0"), number("end_time", end or "0")
        count = whole("instance_num", copies or "1")
        ended = end_s >= start_s and end_s > 0
        if not count or not (ended or status == "Running"):
            return None
        run_ms = max(1, round((end_s - start_s) * 1000)) if ended else None
        return Job(round(start_s * 1000), count, run_ms, *self._size(cpu, memory), name=job)


class AlibabaContainers(_Alibaba2018):
    """`container_meta.csv`: read whole (71,000 containers), a job for each, named by its app."""

    kind, columns = "alibaba_2018_containers", 8

    def __init__(self, table: WorkloadTable) -> None:
        """Raises SpecError naming every row that is wrong, OSError where there is no file."""
        super().__init__(table)
        problems: list[tuple[str, str]] = []
        first: dict[str, Job] = {}
        for line, row in csv_rows(self._path):
            try:
                self._width(row)
                job = self._job(row)
            except ValueError as error:
                problems.append((f"{self._path}:{line}", str(error)))
                continue
            if row[0] not in first or job.at_ms < first[row[0]].at_ms:
                first[row[0]] = job
        if problems:
            raise SpecError(problems)
        end_ms = self._until_ms
        kept = (job for job in first.values() if end_ms is None or job.at_ms < end_ms)
        self._jobs = sorted(kept, key=lambda job: job.at_ms)

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The containers by time; nothing is drawn."""
        yield from self._jobs

    def _job(self, row: list[str]) -> Job:
        _, _, at, app, _, cpu, _, memory = row
        at_ms = round(number("time_stamp", at) * 1000)
        return Job(at_ms, 1, None, *self._size(cpu, memory), name=app)
