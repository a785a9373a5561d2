"""Logs of parallel machines in the Standard Workload Format, version 2.2.

A job a line, 18 numbers apart by blanks, -1 for what is not known; lines that begin with `;` are
comments; in order of submission. Read here: 2 submit time (s), 4 run time (s), 5 allocated
processors, 7 used memory and 10 requested memory (KB a processor), 8 requested processors. A job of
N processors is N tasks of a vCPU each. They are submitted together, but need not start together. A
job without run time or processors never ran, and is left out.

Source: Chapin et al. (1999), Benchmarks and Standards for the Evaluation of Parallel Job
Schedulers, JSSPP; www.cs.huji.ac.il/labs/parallel/workload/swf.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from numpy.random import Generator

from stowplan.experiments.workloads.protocol import Job, NoOptions
from stowplan.experiments.workloads.rows import (
    Rows,
    before,
    lines,
    look_at,
    number,
    parsed,
    trace_file,
)
from stowplan.placement.scenario.scenario import WorkloadTable

_MEMORY_MIN_MIB = 6


class Swf:
    """Streams a log."""

    options = NoOptions

    def __init__(self, table: WorkloadTable) -> None:
        """Raises SpecError for a bad row at the beginning, OSError where there is no file."""
        self._path = trace_file("swf", table.file)
        self._until_ms = table.until
        NoOptions(**table.options)
        look_at(self._all())

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The jobs by time of submission; SpecError at a bad row. Nothing is drawn."""
        return before(self._all(), self._until_ms)

    def _all(self) -> Iterator[Job]:
        return parsed(self._path, _fields(self._path), _job)


def _fields(path: Path) -> Rows:
    for line, text in lines(path):
        fields = text.split()
        if fields and not fields[0].startswith(";"):
            yield line, fields


def _job(fields: list[str]) -> Job | None:
    if len(fields) != 18:
        raise ValueError(f"{len(fields)} fields, a job has 18: truncated?")
    known = [None if float(f) == -1 else number(f"field {n}", f) for n, f in enumerate(fields, 1)]
    submit, run, allocated, used, requested, asked = (known[n - 1] for n in (2, 4, 5, 7, 8, 10))
    processors, memory = allocated or requested, asked or used
    if submit is None:
        raise ValueError("field 2, the submit time, is not known")
    if run is None or not processors:
        return None
    return Job(
        round(submit * 1000),
        round(processors),
        max(1, round(run * 1000)),
        cpu=1024,
        memory=None if memory is None else max(_MEMORY_MIN_MIB, -int(-memory // 1024)),
        name=f"job-{fields[0]}",
    )
