"""The figures of a run work out from the tables beside them, by other sums than the recorder's."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.results import (
    instances_frame,
    runs_frame,
    timeline_frame,
    waits_frame,
)
from stowplan.experiments.runs.simulate import simulate
from tests.experiments.report.made_results import SMALL

MS_PER_HOUR = 3_600_000


@pytest.fixture(scope="module")
def tables():
    """Of two strategies that lose a zone, with a daemon on every instance."""
    loaded = load_scenario(SMALL)
    daemon = loaded.scenario.service[0].model_copy(
        update={"name": "agent", "desired_count": 0, "scheduling_strategy": "DAEMON"}
    )
    services = (*loaded.scenario.service, daemon)
    loaded = replace(loaded, scenario=loaded.scenario.model_copy(update={"service": services}))
    runs = [run for run in loaded.scenario.runs() if run.faults == "zone-loss"][:2]
    results = [simulate(loaded, run) for run in runs]
    frames = (runs_frame, instances_frame, timeline_frame, waits_frame)
    return [frame(results).set_index("strategy") for frame in frames]


def test_dollars_and_instances_are_sums_over_instances(tables):
    rows, instances, *_ = tables
    up = instances["until_ms"] - instances["since_ms"]
    ms = 1000 * rows["simulated_s"]
    sums = {
        "dollars": up * instances["price_microusd_hour"] / MS_PER_HOUR / 1e6,
        "dollars_busy": instances["busy_ms"] * instances["price_microusd_hour"] / MS_PER_HOUR / 1e6,
        "instance_hours": up / MS_PER_HOUR,
        "instances_mean": up / ms.reindex(up.index),
        "instances_busy_mean": instances["busy_ms"] / ms.reindex(up.index),
        "instances_used": instances["ever_used"].astype(float),
    }
    for name, each in sums.items():
        found = each.groupby(level=0, sort=False).sum()
        pd.testing.assert_series_equal(found, rows[name], check_names=False)
    assert (rows["instances_busy_mean"] < 0.5 * rows["instances_mean"]).any()  # daemons or not
    assert (rows["dollars_busy"] < rows["dollars"]).all()


def test_what_is_left_and_finished_is_what_the_last_sample_has(tables):
    rows, _, timeline, _ = tables
    names = ["waiting", "finished"]
    last = timeline[names].groupby(level=0, sort=False).last().astype(float)
    for name in names:
        pd.testing.assert_series_equal(last[name], rows[name], check_names=False)
    assert (timeline["busy"] <= timeline["present"]).all()
    assert (timeline["busy"] < timeline["present"]).any()


def test_percentiles_are_of_the_waits_that_the_table_counts(tables):
    rows, _, _, waits = tables
    for measure, kind, asked in (
        ("wait", "wait", "submitted"),
        ("service-wait", "service_wait", "service_asked"),
    ):
        for strategy, bins in waits[waits["measure"] == measure].groupby(level=0):
            counted, row = bins.sort_values("upper_ms"), rows.loc[strategy]
            share = counted["tasks"].cumsum() / counted["tasks"].sum()
            for name, part in (("p50", 0.5), ("p99", 0.99)):
                upper_s = counted["upper_ms"][share >= part].iloc[0] / 1000
                # a bin is an eighth wide; between two tasks the percentile may be in the one below
                assert upper_s / 1.13**2 <= row[f"{kind}_{name}_s"] <= upper_s * 1.001
            assert counted["tasks"].sum() <= row[asked]
