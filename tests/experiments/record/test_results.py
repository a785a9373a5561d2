"""Results as tables, in memory and as Parquet."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from stowplan.experiments.record.daemon_log import Coverage
from stowplan.experiments.record.deployment_log import DeploymentRecord
from stowplan.experiments.record.histogram import histogram
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.record.results import (
    FORMAT,
    INSTANCE_COLUMNS,
    KEYS,
    RUN_COLUMNS,
    TABLES,
    TIMELINE_COLUMNS,
    deployments_frame,
    dimensions_frame,
    fills,
    instances_frame,
    load_results,
    runs_frame,
    services_frame,
    stops_frame,
    timeline_frame,
    waits_frame,
    write_results,
)
from stowplan.experiments.record.stops import Stop, StopCount
from stowplan.placement.errors import SpecError
from tests.experiments.report.made_results import result, results


def test_a_run_is_a_row_with_its_keys_and_every_metric():
    runs = results()
    frame = runs_frame(runs)
    assert tuple(frame.columns) == RUN_COLUMNS
    assert frame[["strategy", "layout", "faults"]].to_numpy().tolist() == [
        [r.run.strategy, r.run.layout, r.run.faults] for r in runs
    ]
    for name in METRICS:
        expected = pd.Series([r.metrics[name] for r in runs], dtype="float64")
        pd.testing.assert_series_equal(frame[name], expected, check_names=False)
    assert json.loads(frame["refusals_by_reason"][0]) == {"RESOURCE:CPU": 2, "RESOURCE:MEMORY": 40}


def test_a_metric_without_a_value_is_missing():
    assert runs_frame([result(wait_p50_s=None)])["wait_p50_s"].isna().all()


def test_shares_over_time_are_of_what_was_registered_then():
    frame = timeline_frame([result()])
    assert tuple(frame.columns) == TIMELINE_COLUMNS
    assert frame["minute"].tolist() == [0, 1, 2]
    assert frame["cpu_reserved_pct"].tolist()[:2] == [0, 25]
    assert frame["memory_reserved_pct"].tolist()[:2] == [0, 50]
    assert frame["busy_pct"].tolist()[:2] == [0, pytest.approx(200 / 3)]


def test_with_no_instance_registered_there_is_no_share():
    shares = timeline_frame([result()])[["cpu_reserved_pct", "memory_reserved_pct", "busy_pct"]]
    assert shares.iloc[2].isna().all()


def test_an_instances_mean_fill_leaves_out_the_time_when_it_was_gone():
    frame = instances_frame([result()])
    assert tuple(frame.columns) == INSTANCE_COLUMNS
    assert frame["instance"].tolist() == ["i-000", "i-001", "i-002"]
    assert frame["fill_mean_pct"].tolist() == [50, pytest.approx(50 / 3), 0]


def test_an_instance_that_has_not_registered_yet_counts_as_not_there():
    late = result()
    late.frames[0] = (0, [10])
    assert fills(late)[0].tolist() == [10, 255, 255]


@pytest.mark.parametrize("runs", [[], [result()], results()], ids=["none", "one", "many"])
def test_parquet_files_hold_the_frames(tmp_path, runs):
    paths = write_results(runs, tmp_path)
    assert [path.name for path in paths] == [f"{name}.parquet" for name in (*TABLES, "ties")]
    loaded = load_results(tmp_path)
    for name, make in TABLES.items():
        frame = make(runs)
        pd.testing.assert_frame_equal(getattr(loaded, name), frame, check_dtype=bool(runs))
        assert len(frame) == 0 or tuple(frame.columns[:3]) == KEYS


def test_runs_that_were_repeated_are_a_table_of_their_own(tmp_path):
    run = result()
    again = [replace(run, run=replace(run.run, ties="random", draw=n)) for n in range(2)]
    write_results([run], tmp_path, again)
    loaded = load_results(tmp_path)
    assert len(loaded.results) == 1
    assert loaded.ties[["strategy", "ties", "draw"]].to_numpy().tolist() == [
        ["binpack", "random", 0],
        ["binpack", "random", 1],
    ]
    assert loaded.ties["dollars"].tolist() == 2 * loaded.results["dollars"].tolist()


def test_every_missing_table_is_named(tmp_path):
    write_results([result()], tmp_path)
    for name in ("waits", "services"):
        (tmp_path / f"{name}.parquet").unlink()
    with pytest.raises(SpecError) as raised:
        load_results(tmp_path)
    names = [Path(place).name for place, _ in raised.value.problems]
    assert names == ["waits.parquet", "services.parquet"]


def rewrite(path, version):
    """The same table with another format version, or with none."""
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata)
    assert metadata.pop(b"stowplan.format") == str(FORMAT).encode()
    if version is not None:
        metadata[b"stowplan.format"] = version
    pq.write_table(table.replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    ("version", "found"),
    [(b"99", "99, which is too new"), (b"0", "0, which is too old"), (b"1b", "1b")],
)
def test_results_of_another_format_are_refused_in_a_sentence(tmp_path, version, found):
    for path in write_results([result()], tmp_path):
        rewrite(path, version)
    (tmp_path / "waits.parquet").unlink()  # another version may have other tables
    with pytest.raises(SpecError) as raised:
        load_results(tmp_path)
    what = f"of format version {found}: this stowplan reads results of version {FORMAT}"
    assert raised.value.problems == ((str(tmp_path / "capacity.parquet"), what),)


def test_results_without_a_version_are_of_the_first(tmp_path):
    for path in write_results([result()], tmp_path):
        rewrite(path, None)
    assert len(load_results(tmp_path).results) == 1


def test_waits_dimensions_and_services_are_tables():
    runs = [result()]
    waits = waits_frame(runs)
    assert waits.groupby("measure")["tasks"].sum().to_dict() == {
        "start": 8,
        "wait": 8,
        "service-wait": 4,
    }
    [row] = dimensions_frame(runs).to_dict("records")
    assert (row["dimension"], row["used_pct"], row["stranded_mean"]) == ("CPU", 25, 1024)
    [row] = services_frame(runs).to_dict("records")
    assert (row["at_desired_pct"], row["at_minimum_pct"], row["migrations"]) == (50, 75, 2)
    assert row["deployments_failed"] == 0
    assert (row["believed_at_desired_pct"], row["believed_at_minimum_pct"]) == (75, 100)


def test_daemons_deployments_and_stops_are_tables():
    exited = "EssentialContainerExited", "Essential container in task exited"
    run = replace(
        result(),
        daemons=[Coverage("logs", 60_000, 3, 1, 2, 180_000, 60_000)],
        deployments=[
            DeploymentRecord("web", "ecs-svc/1", "web:1", 0, "COMPLETED", 10_000),
            DeploymentRecord("logs", "ecs-svc/2", "logs:1", 60_000, waits_for="room"),
        ],
        stops={
            Stop("web", True, *exited, 1): StopCount(7),
            Stop("jobs", False, *exited, 0): StopCount(2),
        },
        crash_loops={"web": (7, 3)},
    )
    web, logs = services_frame([run]).to_dict("records")
    assert (web["scheduling_strategy"], web["crash_loop_ends"]) == ("REPLICA", 7)
    assert (logs["scheduling_strategy"], logs["desired"], logs["running"]) == ("DAEMON", 3, 1)
    assert (logs["lacking"], logs["watched_ms"]) == (2, 60_000)
    assert logs["covered_pct"] == pytest.approx(100 / 3)
    frame = deployments_frame([run])
    assert frame["state"].tolist() == ["COMPLETED", "IN_PROGRESS"]
    assert frame["duration_s"].tolist() == [10, 60]
    frame = stops_frame([run])
    assert frame[["failed", "tasks", "exit_code"]].values.tolist() == [[True, 7, 1], [False, 2, 0]]


def test_the_histogram_of_waits_counts_every_task_within_an_eighth_of_its_wait():
    waits = [0, 3, 10, 11, 257, 1000, 1000, 86_400_000]
    bins = histogram(waits)
    assert sum(tasks for _, tasks in bins) == len(waits)
    bounds = [bound for bound, tasks in bins for _ in range(tasks)]
    for wait, bound in zip(waits, bounds, strict=True):
        assert max(wait, 10) <= bound + 1
        assert bound <= max(wait, 10) * 1.13


def test_no_waits_make_an_empty_histogram():
    assert histogram([]) == []


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(SpecError) as raised:
        load_results(tmp_path / "no")
    what = "no such folder; `stowplan simulate --out` writes one"
    assert raised.value.problems == ((str(tmp_path / "no"), what),)
