"""What every workload must do, whatever it reads or draws."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from stowplan.experiments.workloads import WORKLOADS, Job
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.scenario import WorkloadTable
from tests.experiments.workloads.made_traces import SAMPLES

TRACES = {kind: sample for kind, sample in SAMPLES.items() if sample.files}


def written(folder: Path, files: dict[str, str]) -> str:
    """Write the files, gzip where they are named so; the path of the first."""
    for name, text in files.items():
        packed = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
        (folder / name).write_bytes(packed)
    return str(folder / next(iter(files)))


def workload(kind, folder, until="1h", files=None):
    sample = SAMPLES[kind]
    files = sample.files if files is None else files
    table = {"name": "w", "task_definition": "t", "kind": kind, "options": sample.options}
    if files:
        table["file"] = written(folder, files)
    return WORKLOADS[kind](WorkloadTable.model_validate(table | {"until": until}))


def jobs(kind, folder, seed=3, **fields) -> list[Job]:
    return list(workload(kind, folder, **fields).jobs(np.random.default_rng(seed)))


def test_there_is_a_sample_of_every_workload():
    assert SAMPLES.keys() == WORKLOADS.keys()


@pytest.mark.parametrize("kind", WORKLOADS)
def test_jobs_come_by_time_and_make_sense(kind, tmp_path):
    found = jobs(kind, tmp_path)
    assert len(found) >= 2
    assert [job.at_ms for job in found] == sorted(job.at_ms for job in found)
    for job in found:
        assert isinstance(job.at_ms, int)
        assert job.at_ms >= 0
        assert job.count >= 1
        assert job.run_ms is None or job.run_ms >= 0
        assert job.cpu is None or job.cpu >= 1
        assert job.memory is None or job.memory >= 1


@pytest.mark.parametrize("kind", WORKLOADS)
def test_the_same_seed_gives_the_same_jobs_and_so_does_a_second_reading(kind, tmp_path):
    source = workload(kind, tmp_path)
    first, second = (list(source.jobs(np.random.default_rng(5))) for _ in range(2))
    assert first == second == jobs(kind, tmp_path, seed=5)


@pytest.mark.parametrize("kind", WORKLOADS)
def test_nothing_comes_at_until_or_later(kind, tmp_path):
    found = jobs(kind, tmp_path)
    half_ms = found[len(found) // 2].at_ms
    early = jobs(kind, tmp_path, until=half_ms / 1000)
    # A Poisson stream rounds its times to the ms.
    assert all(job.at_ms < half_ms + (kind == "poisson") for job in early)
    assert len(early) < len(found)


@pytest.mark.parametrize("kind", TRACES)
def test_a_gzip_file_is_read_like_a_plain_one(kind, tmp_path):
    files = SAMPLES[kind].files
    name, text = next(iter(files.items()))
    other = name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz"
    assert jobs(kind, tmp_path) == jobs(kind, tmp_path, files={other: text, **files})


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
