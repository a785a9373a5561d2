"""What rows of the public traces become, and that large files stream in bounded memory."""

from __future__ import annotations

import gzip
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from stowplan.experiments.files.paths import DATA
from stowplan.experiments.workloads import WORKLOADS, Job
from stowplan.experiments.workloads.lifetimes import EXPECTED
from stowplan.experiments.workloads.lives import Step, TaskEvent, jobs_of
from stowplan.placement.errors import SpecError
from stowplan.placement.model import PlacementConstraint
from stowplan.placement.scenario.scenario import WorkloadTable
from tests.contract.test_workloads import jobs, workload
from tests.experiments.workloads.made_traces import MACHINE, RUN

DISTINCT = (PlacementConstraint("distinctInstance"),)


def test_events_of_2011_become_jobs_in_our_units(tmp_path):
    assert jobs("google_2011", tmp_path) == [
        Job(0, 1, None, 1024, 8192, "job-1"),
        Job(10_000, 1, 10_000, 1024, 8192, "job-2", constraints=DISTINCT),
        Job(22_000, 1, 30_000, None, None, "job-2"),
    ]


def test_events_of_2019_become_jobs_and_alloc_sets_none(tmp_path):
    assert jobs("google_2019", tmp_path) == [
        Job(0, 1, 30_000, 2048, 4096, "job-7"),
        Job(3_000, 1, None, None, None, "job-9"),
    ]


@pytest.mark.parametrize("dot", [".", "_"])
def test_a_csv_of_2019_is_the_same(tmp_path, dot):
    header = "time,type,collection_id,collection_type,instance_index,"
    header += f"resource_request{dot}cpus,resource_request{dot}memory"
    rows = ["600000000,0,7,0,0,0.5,0.25", "601000000,3,7,0,0,,", "631000000,6,7,0,0,,"]
    files = {"t.csv": "\n".join([header, *rows]) + "\n"}
    assert jobs("google_2019", tmp_path, files=files) == [Job(0, 1, 30_000, 2048, 4096, "job-7")]


def test_of_a_task_that_does_not_end_in_time_no_more_is_waited_for():
    submit = TaskEvent(0, Step.SUBMIT, "a", Job(0, 1, None))
    other = [TaskEvent(t, Step.SUBMIT, t, Job(t, 1, None)) for t in (10, 120)]
    ends = [TaskEvent(130, Step.START, "a"), TaskEvent(140, Step.END, "a")]
    found = list(jobs_of([submit, *other, *ends], longest_ms=100))
    assert [(job.at_ms, job.run_ms) for job in found] == [(0, None), (10, None), (120, None)]
    found = list(jobs_of([submit, *other, *ends], longest_ms=1000))
    assert [(job.at_ms, job.run_ms) for job in found] == [(0, 10), (10, None), (120, None)]


def test_rows_of_2018_become_jobs(tmp_path):
    assert jobs("alibaba_2018_batch", tmp_path) == [
        Job(10_000, 3, 30_000, 1024, 512, "j_1"),
        Job(40_000, 1, 1_000, 512, None, "j_1"),
        Job(50_000, 2, None, None, 256, "j_2"),
    ]
    assert jobs("alibaba_2018_containers", tmp_path) == [
        Job(0, 1, None, 4096, 1536, "app_1"),
        Job(50_000, 1, None, 8192, 3072, "app_2"),
    ]


def test_a_job_of_n_processors_is_n_tasks(tmp_path):
    assert jobs("swf", tmp_path) == [
        Job(10_000, 4, 100_000, 1024, 6, "job-1"),
        Job(30_000, 2, 50_000, 1024, 10, "job-3"),
    ]


def test_pods_have_whole_gpus_and_go_where_their_model_is(tmp_path):
    first, short, shared = jobs("openb_pods", tmp_path)
    assert first == Job(0, 1, 90_000, 12_288, 16_384, "pod-0", (("GPU", 1),))
    assert (short.run_ms, short.resources) == (1, ())
    expression = "attribute:gpu-model in [V100M16, V100M32]"
    assert shared.constraints == (PlacementConstraint("memberOf", expression),)
    assert (shared.cpu, shared.run_ms, shared.resources) == (256, None, (("GPU", 1),))


def test_flavours_and_bins_become_sizes_and_run_times(tmp_path):
    assert jobs("azure_v1", tmp_path) == [
        Job(0, 2, 1, 1024, 768, "batch-0"),
        Job(0, 1, None, 2048, 3584, "batch-0"),
        Job(0, 1, 450_000, 1024, 768, "batch-1"),
        Job(600_000, 1, 1, 2048, 3584, "batch-2"),
    ]


@pytest.mark.parametrize(
    ("kind", "file", "rows", "tasks"),
    [
        ("azure_v1", "azure_v1/v1.dev.txt.gz", 117_925, 259_159),
        ("openb_pods", "openb/openb_pod_list_default.csv", 8_152, 8_152),
    ],
)
def test_the_files_that_ship_are_read_whole(kind, file, rows, tasks):
    table = WorkloadTable(name="w", task_definition="t", kind=kind, file=str(DATA / file))
    found = list(WORKLOADS[kind](table).jobs(np.random.default_rng(0)))
    assert (len(found), sum(job.count for job in found)) == (rows, tasks)


def test_rows_out_of_order_are_refused(tmp_path):
    files = {"t.swf": "1 50 0 9 1 -1 -1 1" + " -1" * 10 + "\n" + "2 40 0 9 1 -1 -1 1" + " -1" * 10}
    with pytest.raises(SpecError, match=r"t\.swf:2: is earlier than a row before it"):
        workload("swf", tmp_path, files=files)


def test_a_bad_row_far_into_a_trace_ends_the_reading(tmp_path):
    rows = [f"{n} {n} 0 9 1 -1 -1 1" + " -1" * 10 for n in range(3000)]
    source = workload("swf", tmp_path, files={"t.swf": "\n".join([*rows, "x"]) + "\n"})
    with pytest.raises(SpecError, match=r"t\.swf:3001: 1 fields"):
        list(source.jobs(np.random.default_rng(0)))


def long_trace(path: Path, tasks: int) -> None:
    """Task events of 2011: a task a second, each for a minute; three rows each, in order."""
    with gzip.open(path, "wt", compresslevel=1) as stream:
        for second in range(tasks + 61):
            for job, event in ((second, 0), (second, 1), (second - 60, 4)):
                if 0 <= job < tasks:
                    at = (600 + second) * 1_000_000 + event
                    stream.write(f"{at},,{job},0,,{event},u,0,0,0.1,0.1,0,0\n")


def streamed(tmp_path: Path, tasks: int) -> int:
    """Read a made trace to its end; the most memory that it took, in bytes."""
    long_trace(tmp_path / "t.csv.gz", tasks)
    options = {**MACHINE, "longest": "1h"}
    table = {"name": "w", "task_definition": "t", "kind": "google_2011", "options": options}
    tracemalloc.start()
    try:
        table["file"] = str(tmp_path / "t.csv.gz")
        source = WORKLOADS["google_2011"](WorkloadTable.model_validate(table))
        count = sum(job.run_ms == 60_000 for job in source.jobs(np.random.default_rng(0)))
        assert count == tasks
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_trace(tmp_path):
    assert streamed(tmp_path, 8_000) < 1.2 * streamed(tmp_path, 2_000)


@pytest.mark.long
def test_a_million_rows_stream_in_a_few_megabytes(tmp_path):
    assert streamed(tmp_path, 333_334) < 4_000_000


# --- synthetic ------------------------------------------------------------------------------------


def drawn(kind, options, until, seed=1):
    table = {"name": "w", "task_definition": "t", "kind": kind, "until": until}
    table["options"] = options | {"run": RUN}
    return list(
        WORKLOADS[kind](WorkloadTable.model_validate(table)).jobs(np.random.default_rng(seed))
    )


def test_a_diurnal_stream_has_its_mean_and_its_peak():
    options = {"rate_per_s": 0.5, "amplitude": 0.6, "period": "1h", "peak_at": "15m"}
    times = np.array([job.at_ms for job in drawn("diurnal", options, "40h")])
    assert len(times) == pytest.approx(0.5 * 40 * 3600, abs=5 * np.sqrt(0.5 * 40 * 3600))
    quarter = Counter((times % 3_600_000 // 900_000).tolist())
    # Around the peak, minutes 7.5 to 22.5: by the integral of the sine, 1 + 0.6 sin(45°) / 45°.
    near = (times % 3_600_000) // 450_000 % 8
    around = np.isin(near, (1, 2)).sum() / len(times)
    expected = (1 + 0.6 * np.sin(np.pi / 4) / (np.pi / 4)) / 4
    assert around == pytest.approx(expected, abs=5 * np.sqrt(expected / len(times)))
    assert quarter[0] + quarter[1] > quarter[2] + quarter[3]


def test_an_mmpp_spends_its_time_as_its_stays_say_and_is_bursty():
    options = {"rates_per_s": [0.1, 2.0], "stays": ["6m", "2m"]}
    times = np.array([job.at_ms for job in drawn("mmpp", options, "60h")])
    mean = (0.1 * 6 + 2.0 * 2) / 8
    assert len(times) / (60 * 3600) == pytest.approx(mean, rel=0.15)
    counts = np.bincount(times // 60_000)
    # Of a Poisson stream the index of dispersion is 1.
    assert counts.var() / counts.mean() > 20


def test_three_states_of_an_mmpp_follow_each_other_with_equal_chance():
    options = {"rates_per_s": [0.0, 0.0, 1.0], "stays": ["1m", "1m", "1m"]}
    times = [job.at_ms for job in drawn("mmpp", options, "60h")]
    assert len(times) / (60 * 3600) == pytest.approx(1 / 3, rel=0.15)


def test_waves_come_when_they_are_due_within_their_time():
    options = {"every": "1h", "first": "30m", "count": 5, "within": "10m"}
    times = [job.at_ms for job in drawn("waves", options, "3h")]
    assert len(times) == 15
    for number, at_ms in enumerate(times):
        begin = 1_800_000 + number // 5 * 3_600_000
        assert begin <= at_ms < begin + 600_000


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("diurnal", {"rate_per_s": 1.0, "amplitude": 1.5}),
        ("mmpp", {"rates_per_s": [1.0], "stays": ["1m"]}),
        ("mmpp", {"rates_per_s": [1.0, 2.0], "stays": ["1m"]}),
        ("waves", {"every": "1m", "count": 1, "within": "2m"}),
        ("waves", {"every": 0, "count": 1}),
    ],
)
def test_options_that_make_no_sense_are_refused(kind, options):
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's and ours
        drawn(kind, options, "1h")


def test_jobs_that_run_for_good_teach_nothing_of_run_times():
    expect = EXPECTED["history"]()
    assert expect(Job(0, 1, None)) is None
    assert expect(Job(1, 1, 5)) is None
    assert expect(Job(10, 1, 5)) == 5
