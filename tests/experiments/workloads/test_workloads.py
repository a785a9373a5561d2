"""Workloads: the Alibaba reader on good and on broken files; Poisson streams and bursts."""

import numpy as np
import pytest
from pydantic import ValidationError

from stowplan.experiments.files.paths import DATA
from stowplan.experiments.workloads import WORKLOADS, Job
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.scenario import WorkloadTable

HEADER = ",submit_time,duration,cpu,memory,job_id,task_id,instances_num,disk"
SHIPPED = DATA / "alibaba_batch" / "jobs_first_30min.csv"


def workload(kind, options, **fields):
    document = {"name": "w", "task_definition": "t", "kind": kind, "options": options}
    return WORKLOADS[kind](WorkloadTable.model_validate(document | fields))


def jobs(kind, options, seed=0, **fields):
    return list(workload(kind, options, **fields).jobs(np.random.default_rng(seed)))


def alibaba(file, **fields):
    return jobs("alibaba_batch", {"machine_memory_gib": 100.0}, file=str(file), **fields)


@pytest.fixture
def trace(tmp_path):
    def write(*rows, header=HEADER, end="\n"):
        file = tmp_path / "trace.csv"
        file.write_text("\n".join([header, *rows]) + end)
        return file

    return write


def problems_of(file):
    with pytest.raises(SpecError) as raised:
        alibaba(file)
    return [(place.removeprefix(f"{file}:"), what) for place, what in raised.value.problems]


def row(submit="0", duration="1", cpu="1", memory="0.5", copies="1"):
    return f"7,{submit},{duration},{cpu},{memory},9,8,{copies},0"


# --- the Alibaba trace ----------------------------------------------------------------------------


def test_a_row_becomes_a_job_in_our_units(trace):
    file = trace("2831,3.5,131.9664,0.5,0.25,1750,9550,197,0")
    expected = Job(3500, 197, 131_966, cpu=512, memory=25_600, name="job-1750")
    assert alibaba(file) == [expected]


def test_what_is_too_small_is_raised_to_the_least_that_can_run(trace):
    [job] = alibaba(trace(row(duration="0", cpu="0", memory="0")))
    assert (job.run_ms, job.cpu, job.memory) == (1, 1, 6)


def test_columns_are_found_by_name(trace):
    file = trace(
        "3,2,1,8,0.5,2,9", header="instances_num,cpu,task_id,job_id,memory,duration,submit_time"
    )
    assert alibaba(file) == [Job(9000, 3, 2000, 2048, 51_200, "job-8")]


def test_rows_come_by_time_and_rows_of_one_time_in_the_order_of_the_file(trace):
    file = trace(row("5", copies="1"), row("2", copies="2"), row("5", copies="3"))
    assert [(job.at_ms, job.count) for job in alibaba(file)] == [(2000, 2), (5000, 1), (5000, 3)]


def test_only_what_is_submitted_before_until_is_kept(trace):
    file = trace(row("1"), row("2"), row("3"))
    assert [job.at_ms for job in alibaba(file, until="2s")] == [1000]


def test_the_memory_of_the_largest_machine_scales_every_memory(trace):
    file = str(trace(row(memory="0.5")))
    for gib in (1.0, 256.0):
        [job] = jobs("alibaba_batch", {"machine_memory_gib": gib}, file=file)
        assert job.memory == gib * 512


def test_blank_lines_and_a_missing_last_newline_are_harmless(trace):
    assert len(alibaba(trace(row(), "", row(), ""))) == 2
    assert len(alibaba(trace(row(), row(), end=""))) == 2


def test_the_file_that_ships_holds_what_its_readme_says():
    found = alibaba(SHIPPED)
    assert len(found) == 1296
    assert sum(job.count for job in found) == 58_294
    assert [job.at_ms for job in found] == sorted(job.at_ms for job in found)
    assert found[-1].at_ms < 30 * 60 * 1000
    assert len({job.name for job in found}) == 158


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (row(submit="now"), "submit_time 'now' is not a number"),
        (row(duration=""), "duration '' is not a number"),
        (row(cpu="nan"), "cpu nan is outside"),
        (row(memory="inf"), "memory inf is outside"),
        (row(submit="-1"), "submit_time -1 is outside 0 to 1000000000"),
        (row(cpu="1e300"), "cpu 1e300 is outside"),
        (row(copies="0"), "instances_num 0 is not a whole number above 0"),
        (row(copies="1.5"), "instances_num 1.5 is not a whole number above 0"),
        ("7,0,1,1,0.5,9,8", "7 columns, the header has 9: truncated?"),
        (row() + ",5", "10 columns, the header has 9"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(trace, bad, what):
    [(line, found)] = problems_of(trace(row(), bad, row()))
    assert line == "3"
    assert found.startswith(what)


def test_every_bad_row_is_named_at_once(trace):
    file = trace(row(cpu="x"), row(), row(copies="0"), "", row(memory="-1"))
    assert [line for line, _ in problems_of(file)] == ["2", "4", "6"]


@pytest.mark.parametrize("kept", [1, 10, 15])
def test_a_truncated_last_line_is_named(trace, kept):
    file = trace(row(), row()[:kept], end="")
    [(line, what)] = problems_of(file)
    assert line == "3"
    assert what.endswith("truncated?")


def test_missing_columns_are_named_together(trace):
    file = trace("1,2", header="submit_time,cpu")
    assert problems_of(file) == [
        ("1", "lacks the columns duration, memory, job_id, task_id, instances_num")
    ]


def test_an_empty_file_lacks_every_column(tmp_path):
    file = tmp_path / "empty.csv"
    file.touch()
    [(line, what)] = problems_of(file)
    assert line == "1"
    assert what.startswith("lacks the columns submit_time, ")


def test_a_trace_is_read_when_the_workload_is_made_and_needs_its_file_and_option(trace):
    with pytest.raises(ValueError, match="needs a file"):
        workload("alibaba_batch", {"machine_memory_gib": 1.0})
    with pytest.raises(FileNotFoundError):
        workload("alibaba_batch", {"machine_memory_gib": 1.0}, file="no.csv")
    for options in ({}, {"machine_memory_gib": 0}, {"machine_memory_gib": "256"}):
        with pytest.raises(ValidationError):
            workload("alibaba_batch", options, file=str(trace(row())))


# --- synthetic ------------------------------------------------------------------------------------

SECOND = {"mean": "1s"}
RANDOM = {"distribution": "exponential", "mean": "10s"}


def poisson(seed=0, rate=2.0, until="1h", **options):
    options = {"rate_per_s": rate, "run": SECOND} | options
    return jobs("poisson", options, seed, until=until)


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_poisson_jobs_come_at_the_rate_asked_for(rate):
    gaps = np.diff([job.at_ms for job in poisson(rate=rate, until="5h")])
    # Exponential gaps: mean 1/rate, standard deviation the same; 5 standard errors of each.
    error = 5 / np.sqrt(len(gaps))
    assert gaps.mean() == pytest.approx(1000 / rate, rel=error)
    assert gaps.std() == pytest.approx(1000 / rate, rel=2 * error)
    assert len(gaps) == pytest.approx(rate * 18_000, abs=5 * np.sqrt(rate * 18_000))


def test_poisson_jobs_are_in_order_and_end_with_until():
    times = [job.at_ms for job in poisson(until="10m")]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= 600_000
    assert times == [job.at_ms for job in poisson(until="1h")][: len(times)]


def test_poisson_jobs_follow_from_the_seed():
    assert poisson(seed=3) == poisson(seed=3)
    assert poisson(seed=3) != poisson(seed=4)


def test_poisson_jobs_have_the_count_and_run_time_asked_for():
    assert {(job.count, job.run_ms) for job in poisson(count=3)} == {(3, 1000)}
    runs = [job.run_ms for job in poisson(run=RANDOM, until="3h")]
    assert np.mean(runs) == pytest.approx(10_000, rel=5 / np.sqrt(len(runs)))


def burst(seed=0, until=None, **options):
    return jobs("burst", {"count": 3, "run": SECOND} | options, seed, until=until)


def test_a_burst_is_count_tasks_at_each_time_in_order():
    found = burst(at=["5s", 1, "2s"])
    assert [(job.at_ms, job.count, job.run_ms) for job in found] == [
        (at, 1, 1000) for at in (1000, 2000, 5000) for _ in range(3)
    ]


def test_a_burst_without_times_is_at_the_start_and_until_cuts_bursts_off():
    assert [job.at_ms for job in burst()] == [0, 0, 0]
    assert [job.at_ms for job in burst(at=[1, 2], count=1, until="2s")] == [1000]
    assert burst(count=0) == []


def test_run_times_of_a_burst_differ_where_the_model_says_so_and_follow_from_the_seed():
    assert len({job.run_ms for job in burst(run=RANDOM, count=50)}) > 40
    assert burst(run=RANDOM, seed=1) == burst(run=RANDOM, seed=1)
    assert burst(run=RANDOM, seed=1) != burst(run=RANDOM, seed=2)


@pytest.mark.parametrize(
    ("kind", "options", "until"),
    [
        ("poisson", {"rate_per_s": 2.0, "run": SECOND}, None),
        ("poisson", {"rate_per_s": 0, "run": SECOND}, "1m"),
        ("poisson", {"rate_per_s": float("inf"), "run": SECOND}, "1m"),
        ("poisson", {"rate_per_s": "2", "run": SECOND}, "1m"),
        ("poisson", {"rate_per_s": 2.0}, "1m"),
        ("poisson", {"rate_per_s": 2.0, "run": {"distribution": "lognormal"}}, "1m"),
        ("poisson", {"rate_per_s": 2.0, "run": SECOND, "count": 0}, "1m"),
        ("burst", {"count": 1}, None),
        ("burst", {"count": -1, "run": SECOND}, None),
        ("burst", {"count": 1, "run": SECOND, "at": ["soon"]}, None),
        ("burst", {"count": 1, "run": SECOND, "times": [1]}, None),
    ],
)
def test_options_that_make_no_sense_are_refused(kind, options, until):
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's and ours; test_load has the texts
        workload(kind, options, until=until)
