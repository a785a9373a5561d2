"""Google's cluster traces: Borg cells of 2011 and of 2019, from the events of their tasks.

2011 (clusterdata-2011-2), `task_events`: CSV without a header, a part or several joined
(`cat part-*.csv.gz` is a gzip file again), in order of time. Columns: time (microseconds; the
trace begins at 600 s, 0 is before, 2^63-1 after it), missing info, job ID, task index, machine ID,
event type, user, scheduling class, priority, CPU request, memory request, disk request, different
machines. Event types: 0 SUBMIT, 1 SCHEDULE, 2 EVICT, 3 FAIL, 4 FINISH, 5 KILL, 6 LOST, 7 and 8
updates. Source: Reiss, Wilkes & Hellerstein (2011), Google cluster-usage traces: format + schema,
version 2.1. CC-BY.

2019 (clusterdata-2019), `instance_events` exported from BigQuery in order of time, as JSON (an
object a line) or as CSV with a header, where the two of `resource_request` are columns
`resource_request.cpus` and `resource_request.memory` (or with `_` instead of the dot). Fields:
time, type, collection_id, collection_type (1 is an alloc set: left out), instance_index. Types by
name or number: 0 SUBMIT, 1 QUEUE, 2 ENABLE, 3 SCHEDULE, 4 EVICT, 5 FAIL, 6 FINISH, 7 KILL, 8 LOST,
9 and 10 updates. Source: Wilkes et al. (2020), Google cluster-usage traces v3, and its
`clusterdata_trace_format_v3.proto`. CC-BY.

Requests are shares of the largest machine. Neither trace says its size: `machine_cpu` (vCPU) and
`machine_memory_gib` do. A task runs from SCHEDULE to its end; one that was evicted and submitted
again is another job. Without a request it asks for what its task definition does.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from numpy.random import Generator
from pydantic import Field

from stowplan.experiments.workloads.lives import Step, TaskEvent, jobs_of
from stowplan.experiments.workloads.protocol import Job
from stowplan.experiments.workloads.rows import (
    Rows,
    csv_rows,
    lines,
    look_at,
    named_rows,
    number,
    parsed,
    trace_file,
    whole,
)
from stowplan.placement.model import PlacementConstraint
from stowplan.placement.scenario.fields import Duration, Number, Table
from stowplan.placement.scenario.scenario import WorkloadTable

_STARTS_US, _AFTER_US = 600_000_000, 2**63 - 1
_MEMORY_MIN_MIB = 6
_DISTINCT = (PlacementConstraint("distinctInstance"),)
_STEPS_2011 = {"0": Step.SUBMIT, "1": Step.START, **dict.fromkeys("23456", Step.END)}
_NAMES_2019 = (
    *("SUBMIT", "QUEUE", "ENABLE", "SCHEDULE", "EVICT", "FAIL", "FINISH", "KILL", "LOST"),
    *("UPDATE_PENDING", "UPDATE_RUNNING"),
)
_ENDS_2019 = {"EVICT", "FAIL", "FINISH", "KILL", "LOST"}
_COLUMNS_2019 = ("time", "type", "collection_id", "collection_type", "instance_index")


class _Options(Table):
    """`machine_cpu` and `machine_memory_gib`: what a request of 1.0 means. `longest`: a task that
    runs for longer runs for good, and what is submitted in that time is held in memory."""

    machine_cpu: Annotated[Number, Field(gt=0, le=1e6)]
    machine_memory_gib: Annotated[Number, Field(gt=0, le=1e6)]
    longest: Duration = 86_400_000


class _Google(ABC):
    """What both have in common; streams."""

    options = _Options
    kind: str

    def __init__(self, table: WorkloadTable) -> None:
        """Raises SpecError for a bad row at the beginning, OSError where there is no file."""
        self._path = trace_file(self.kind, table.file)
        self._options, self._until_ms = _Options(**table.options), table.until
        look_at(self._events())

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The tasks as jobs, by time of submission; SpecError at a bad row. Nothing is drawn."""
        yield from jobs_of(self._events(), self._options.longest, self._until_ms)

    @abstractmethod
    def _events(self) -> Iterator[TaskEvent]:
        """The events of the trace, in order of time."""

    def _asked(self, at_ms: int, name: str, cpu: Any, memory: Any, distinct: bool = False) -> Job:
        """A job of one task; an empty request is none."""
        cpus = mib = None
        if cpu not in (None, ""):
            cpus = max(1, round(number("CPU request", cpu) * self._options.machine_cpu * 1024))
        if memory not in (None, ""):
            share = number("memory request", memory)
            mib = max(_MEMORY_MIN_MIB, round(share * self._options.machine_memory_gib * 1024))
        return Job(at_ms, 1, None, cpus, mib, name, constraints=_DISTINCT if distinct else ())


class Google2011(_Google):
    """`task_events` of clusterdata-2011-2."""

    kind = "google_2011"

    def _events(self) -> Iterator[TaskEvent]:
        return parsed(self._path, csv_rows(self._path), self._event)

    def _event(self, row: list[str]) -> TaskEvent | None:
        if len(row) != 13:
            raise ValueError(f"{len(row)} columns, task_events has 13: truncated?")
        at_us = whole("time", row[0])
        if row[5] not in _STEPS_2011:
            if row[5] not in ("7", "8"):
                raise ValueError(f"event type {row[5]!r} is not one of 0 to 8")
            return None
        if at_us == _AFTER_US:
            return None
        step, at_ms = _STEPS_2011[row[5]], max(0, at_us - _STARTS_US) // 1000
        job = None
        if step is Step.SUBMIT:
            distinct = row[12] in ("1", "true")
            job = self._asked(at_ms, f"job-{row[2]}", row[9], row[10], distinct)
        return TaskEvent(at_ms, step, (row[2], row[3]), job)


class Google2019(_Google):
    """`instance_events` of clusterdata-2019."""

    kind = "google_2019"

    def _events(self) -> Iterator[TaskEvent]:
        name = self._path.name.removesuffix(".gz")
        rows = _csv_2019(self._path) if name.endswith(".csv") else _json_rows(self._path)
        return parsed(self._path, rows, self._event)

    def _event(self, row: Mapping[str, Any]) -> TaskEvent | None:
        at_us = whole("time", row.get("time"))
        kind = str(row.get("type"))
        if kind.isdecimal() and int(kind) < len(_NAMES_2019):
            kind = _NAMES_2019[int(kind)]
        if kind not in _NAMES_2019:
            raise ValueError(f"type {row.get('type')!r} is none of instance_events")
        if str(row.get("collection_type")) in ("1", "ALLOC_SET") or at_us == _AFTER_US:
            return None
        at_ms = max(0, at_us - _STARTS_US) // 1000
        key = row.get("collection_id"), row.get("instance_index")
        if kind == "SUBMIT":
            asked = row.get("resource_request") or {}
            job = self._asked(at_ms, f"job-{key[0]}", asked.get("cpus"), asked.get("memory"))
            return TaskEvent(at_ms, Step.SUBMIT, key, job)
        if kind == "SCHEDULE":
            return TaskEvent(at_ms, Step.START, key)
        return TaskEvent(at_ms, Step.END, key) if kind in _ENDS_2019 else None


def _json_rows(path: Path) -> Rows:
    for line, text in lines(path):
        if text.strip():
            try:
                row = json.loads(text)
            except ValueError as error:
                row = f"is not JSON: {error}"
            yield line, row if isinstance(row, dict | str) else "is not a JSON object"


def _csv_2019(path: Path) -> Rows:
    _, header = next(csv_rows(path), (1, []))
    dot = "." if "resource_request.cpus" in header else "_"
    cpus, memory = f"resource_request{dot}cpus", f"resource_request{dot}memory"
    for line, row in named_rows(path, [*_COLUMNS_2019, cpus, memory]):
        if isinstance(row, dict):
            asked = {"cpus": row[cpus], "memory": row[memory]}
            yield line, {**row, "resource_request": asked}
        else:
            yield line, row
