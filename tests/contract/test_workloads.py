"""What every workload must do, whatever it reads or draws."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from stowplan.experiments.workloads import WORKLOADS, Job
from stowplan.experiments.workloads.protocol import NoOptions
from stowplan.experiments.workloads.rows import read_jobs, trace_file, whole
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.scenario import WorkloadTable
from stowplan.testing import check_workload
from tests.experiments.workloads.made_traces import SAMPLES

TRACES = {kind: sample for kind, sample in SAMPLES.items() if sample.files}


def written(folder: Path, files: dict[str, str]) -> str:
    """Write the files, gzip where they are named so; the path of the first."""
    for name, text in files.items():
        packed = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
        (folder / name).write_bytes(packed)
    return str(folder / next(iter(files)))


def table(kind, folder, until="1h", files=None):
    sample = SAMPLES[kind]
    files = sample.files if files is None else files
    fields = {"name": "w", "task_definition": "t", "kind": kind, "options": sample.options}
    if files:
        fields["file"] = written(folder, files)
    return WorkloadTable.model_validate(fields | {"until": until})


def workload(kind, folder, until="1h", files=None):
    return WORKLOADS[kind](table(kind, folder, until, files))


def jobs(kind, folder, seed=3, **fields):
    return list(workload(kind, folder, **fields).jobs(np.random.default_rng(seed)))


def test_there_is_a_sample_of_every_workload():
    assert SAMPLES.keys() == WORKLOADS.keys()


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_registered_workload_keeps_the_contract(kind, tmp_path):
    sample = SAMPLES[kind]
    # A row of azure_v1 makes no sense by what another file says of it: see the test of bad rows.
    bad = None if kind == "azure_v1" else sample.bad or None
    check_workload(WORKLOADS[kind], table(kind, tmp_path), bad)


@pytest.mark.parametrize("kind", TRACES)
def test_a_bad_row_is_named_with_file_and_line(kind, tmp_path):
    sample = SAMPLES[kind]
    name, text = next(iter(sample.files.items()))
    bad = {**sample.files, name: text + sample.bad + "\n"}
    if kind == "azure_v1":
        bad["v1.dev.c2100000.txt.gz"] += "1200 U0,U0,|\n"
    with pytest.raises(SpecError) as raised:
        workload(kind, tmp_path, files=bad)
    [(place, what)] = raised.value.problems
    assert place == f"{tmp_path / name}:{text.count(chr(10)) + 1}"
    assert sample.says in what


@pytest.mark.parametrize("kind", TRACES)
def test_a_file_that_ends_in_the_middle_of_its_gzip_is_named(kind, tmp_path):
    name, text = next(iter(SAMPLES[kind].files.items()))
    files = {f"{name.removesuffix('.gz')}.gz": text, **SAMPLES[kind].files}
    path = Path(written(tmp_path, files))
    path.write_bytes(path.read_bytes()[:-9])
    table = {"name": "w", "task_definition": "t", "kind": kind, "file": str(path)}
    table |= {"options": SAMPLES[kind].options}
    with pytest.raises(SpecError, match="cannot be read"):
        WORKLOADS[kind](WorkloadTable.model_validate(table))


@pytest.mark.parametrize("kind", TRACES)
def test_a_trace_without_its_file_is_refused(kind, tmp_path):
    table = {"name": "w", "task_definition": "t", "kind": kind, "options": SAMPLES[kind].options}
    with pytest.raises(ValueError, match="needs a file"):
        WORKLOADS[kind](WorkloadTable.model_validate(table))
    with pytest.raises(OSError, match=r"no\.csv"):
        WORKLOADS[kind](WorkloadTable.model_validate(table | {"file": "no.csv"}))


# --- canaries: broken on purpose, each must be caught ---------------------------------------------


class Steady:
    """A job every ten seconds; what a broken one does otherwise is in a subclass."""

    options = NoOptions

    def __init__(self, table):
        self.until_ms = table.until

    def all(self, rng):
        for at_ms in range(0, 100_000, 10_000):
            yield Job(at_ms, 1, int(rng.integers(1, 9_000)))

    def jobs(self, rng):
        return (job for job in self.all(rng) if self.until_ms is None or job.at_ms < self.until_ms)


class Backwards(Steady):
    def all(self, rng):
        return reversed(list(super().all(rng)))


class InSeconds(Steady):
    def all(self, rng):
        return (Job(job.at_ms / 1000, 1, None) for job in super().all(rng))


class NoTasks(Steady):
    def all(self, rng):
        return (Job(job.at_ms, 0, None) for job in super().all(rng))


class DrawsElsewhere(Steady):
    def all(self, rng):
        return super().all(np.random.default_rng())


class ReadOnce(Steady):
    def __init__(self, table):
        super().__init__(table)
        self.left = list(super().all(np.random.default_rng(0)))

    def all(self, rng):
        left, self.left = self.left, []
        return left


class NeverEnds(Steady):
    def jobs(self, rng):
        return self.all(rng)


class OneJob(Steady):
    def all(self, rng):
        yield Job(5, 1, None)


class Fails(Steady):
    def all(self, rng):
        yield Job(0, 1, None)
        raise KeyError("at")


CANARIES = {
    Backwards: "jobs come in order of time",
    InSeconds: "at_ms is not a whole number",
    NoTasks: "count is not a whole number of at least 1",
    DrawsElsewhere: "chance must come from rng alone",
    ReadOnce: "other jobs at a second reading",
    NeverEnds: "until is 50000 ms, and jobs come at",
    OneJob: "the sample has 1 jobs",
    Fails: "jobs raised KeyError",
}
SYNTHETIC = WorkloadTable(name="w", task_definition="t", kind="k")


def test_a_workload_of_a_users_own_keeps_the_contract():
    check_workload(Steady, SYNTHETIC)


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.__name__)
def test_a_workload_broken_on_purpose_is_caught(canary):
    with pytest.raises(AssertionError, match=CANARIES[canary]) as caught:
        check_workload(canary, SYNTHETIC)
    assert str(caught.value).startswith(f"{canary.__name__}: ")


def test_a_workload_without_the_shape_of_its_options_is_caught():
    bare = type("Bare", (), {"__init__": Steady.__init__, "jobs": Steady.jobs})
    with pytest.raises(AssertionError, match="Bare: has no options"):
        check_workload(bare, SYNTHETIC)


class Rows:
    """A trace of columns `at_ms` and `tasks`."""

    options = NoOptions

    def __init__(self, table):
        self.read = read_jobs(trace_file("rows", table.file), ("at_ms", "tasks"), job, table.until)

    def jobs(self, rng):
        return iter(self.read)


def job(row):
    return Job(whole("at_ms", row["at_ms"]), whole("tasks", row["tasks"]), None)


class TakesAnything(Rows):
    def __init__(self, table):
        self.read = []
        for line in trace_file("rows", table.file).read_bytes().splitlines()[1:]:
            at, _, tasks = line.partition(b",")
            if at.isdigit() and (table.until is None or int(at) < table.until):
                self.read.append(Job(int(at), int(tasks), None))


class LeavesItToPython(Rows):
    def __init__(self, table):
        path = trace_file("rows", table.file)
        text = path.read_bytes()
        text = gzip.decompress(text) if path.suffix == ".gz" else text
        rows = [line.split(b",") for line in text.splitlines()[1:]]
        self.read = [Job(int(at), int(tasks), None) for at, tasks in rows]
        self.read = [each for each in self.read if each.at_ms < (table.until or 1e9)]


class NeedsNoFile(Rows):
    def __init__(self, table):
        if table.file is None:
            self.read = []
        else:
            super().__init__(table)


class TripsOverNoFile(Rows):
    def __init__(self, table):
        Path(table.file).open().close()
        super().__init__(table)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Rows, None),
        (TakesAnything, "other jobs from a gzip file"),
        (LeavesItToPython, "not a SpecError that names file and line"),
        (NeedsNoFile, "takes the file None"),
        (TripsOverNoFile, "made with the file None it raised TypeError"),
    ],
)
def test_a_trace_that_is_read_wrong_is_caught(kind, words, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("at_ms,tasks\n0,1\n500,2\n900,1\n")
    sample = SYNTHETIC.model_copy(update={"file": str(path)})
    if words is None:
        check_workload(kind, sample, "soon,1")
        return
    with pytest.raises(AssertionError, match=words):
        check_workload(kind, sample, "soon,1")
