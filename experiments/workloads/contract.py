"""The contract of a workload: `check_workload(Mine, table)`."""

from __future__ import annotations

import gzip
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.random import default_rng

from stowplan.experiments.workloads.protocol import Job, WorkloadKind
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.scenario import WorkloadTable
from stowplan.placement.testing.checked import Checked

_JOBS_MOST = 10_000  # that are looked at, so that one without an end can be checked


def check_workload(kind: WorkloadKind, table: WorkloadTable, bad_line: str | None = None) -> None:
    """Assert that the workload that `kind` makes of `table` keeps the contract of `Workload`.

    There are jobs, in order of time, in whole ms, tasks, CPU units and MiB. The same generator
    gives the same jobs, at a second reading too and whatever was drawn elsewhere. Nothing comes at
    `until` or later. A trace is read from a gzip file as well, refused without its file, and a row
    that makes no sense is named with file and line.

    Args:
        kind: what `WORKLOADS` would hold.
        table: of a sample with at least two jobs at different times; its `file`, if it reads one.
        bad_line: put at the end of that file, a row that it must refuse.
    Raises:
        AssertionError: something of that does not hold; the message says what.
    """
    subject = Checked(kind)
    if not hasattr(kind, "options"):
        subject.fail("has no options: name the shape of its options, NoOptions if it has none")
    jobs = _jobs(subject, kind, table)
    if len(jobs) < 2 or jobs[0].at_ms == jobs[-1].at_ms:
        subject.fail(f"the sample has {len(jobs)} jobs: give two at different times, or more")
    last_ms = 0
    for number, job in enumerate(jobs):
        _check_job(subject, number, job, last_ms)
        last_ms = job.at_ms
    _check_chance(subject, kind, table, jobs)
    _check_until(subject, kind, table, jobs)
    if table.file is not None:
        _check_file(subject, kind, table, jobs, bad_line)


def _jobs(subject: Checked, kind: WorkloadKind, table: WorkloadTable, seed: int = 3) -> list[Job]:
    source = subject.ask("made of its table, it", lambda: kind(table))
    return _read(subject, source.jobs(default_rng(seed)))


def _read(subject: Checked, jobs: Iterator[Job]) -> list[Job]:
    return subject.ask(  # type: ignore[no-any-return]
        "jobs", lambda: [job for job, _ in zip(jobs, range(_JOBS_MOST), strict=False)]
    )


def _check_job(subject: Checked, number: int, job: Job, last_ms: int) -> None:
    where = f"job {number}, {job}"
    if not isinstance(job, Job):
        subject.fail(f"{where}, is no Job")
    for name, least in (("at_ms", 0), ("count", 1), ("run_ms", 0), ("cpu", 1), ("memory", 1)):
        value = getattr(job, name)
        if value is None and name not in ("at_ms", "count"):
            continue
        if type(value) is not int or value < least:
            subject.fail(f"{where}: {name} is not a whole number of at least {least}")
    if job.at_ms < last_ms:
        subject.fail(f"{where}: comes after one at {last_ms} ms; jobs come in order of time")


def _check_chance(
    subject: Checked, kind: WorkloadKind, table: WorkloadTable, jobs: list[Job]
) -> None:
    source = subject.ask("made again, it", lambda: kind(table))
    random.random(), np.random.random()  # noqa: NPY002
    for when in ("from the same generator", "at a second reading"):
        if _read(subject, source.jobs(default_rng(3))) != jobs:
            subject.fail(f"gives other jobs {when}: chance must come from rng alone")


def _check_until(
    subject: Checked, kind: WorkloadKind, table: WorkloadTable, jobs: list[Job]
) -> None:
    half_ms = jobs[len(jobs) // 2].at_ms
    half_ms = half_ms if half_ms > jobs[0].at_ms else jobs[-1].at_ms
    early = _jobs(subject, kind, table.model_copy(update={"until": half_ms}))
    # Times that are drawn are rounded to the ms.
    first_late_ms = half_ms + (table.file is None)
    late = [job.at_ms for job in early if job.at_ms >= first_late_ms]
    if late or len(early) >= len(jobs):
        subject.fail(f"until is {half_ms} ms, and jobs come at {late[:3] or 'all times'}")


def _check_file(
    subject: Checked,
    kind: WorkloadKind,
    table: WorkloadTable,
    jobs: list[Job],
    bad_line: str | None,
) -> None:
    for lacking in (None, "there-is-no-such-file"):
        try:
            kind(table.model_copy(update={"file": lacking}))
        except (OSError, ValueError, SpecError):
            continue
        except Exception as error:
            what = (
                f"made with the file {lacking!r} it raised {error!r}, not a ValueError or OSError"
            )
            raise AssertionError(f"{subject.name}: {what}") from error
        subject.fail(f"takes the file {lacking!r}: a trace needs one, and says so when it is made")
    path = Path(table.file or "")
    content = path.read_bytes()
    packed = content[:2] == b"\x1f\x8b"
    plain = gzip.decompress(content) if packed else content
    with tempfile.TemporaryDirectory() as folder:
        for beside in path.resolve().parent.iterdir():  # a trace may be of several files
            (Path(folder) / beside.name).symlink_to(beside)
        other = Path(folder) / (path.name.removesuffix(".gz") if packed else f"{path.name}.gz")
        other.unlink(missing_ok=True)
        other.write_bytes(plain if packed else gzip.compress(plain))
        moved = table.model_copy(update={"file": str(other)})
        if _jobs(subject, kind, moved) != jobs:
            subject.fail("reads other jobs from a gzip file than from a plain one")
        if bad_line is not None:
            _check_bad_line(subject, kind, table, Path(folder) / "bad", plain, bad_line)


def _check_bad_line(
    subject: Checked,
    kind: WorkloadKind,
    table: WorkloadTable,
    path: Path,
    plain: bytes,
    bad_line: str,
) -> None:
    lines = [*plain.decode().rstrip("\n").split("\n"), bad_line]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    place = f"{path}:{len(lines)}"
    try:
        list(kind(table.model_copy(update={"file": str(path)})).jobs(default_rng(3)))
    except SpecError as error:
        if place not in [at for at, _ in error.problems]:
            subject.fail(f"does not name the line {place} that makes no sense, but {error}")
        return
    except Exception as error:
        what = f"{bad_line!r} raised {error!r}, not a SpecError that names file and line"
        raise AssertionError(f"{subject.name}: the row {what}") from error
    subject.fail(f"takes the row {bad_line!r}, which makes no sense")
