"""Metrics of a part of a run are those of the run without its beginning."""

from __future__ import annotations

import numpy as np
import pytest

from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.record.task_rows import TaskRows
from stowplan.experiments.record.window import WINDOWED
from stowplan.experiments.runs.simulate import simulate

FRAMES = {name for name in WINDOWED if name.endswith(("_stranded_pct", "_fragmented_pct"))}


def ran(path, since_ms, also=()):
    loaded = load_scenario(path)
    run = next(loaded.scenario.runs())
    return simulate(loaded, run, since_ms=since_ms, also=also).metrics


def test_from_the_first_millisecond_it_is_the_run(folder):
    whole, part = ran(folder / "tiny.toml", 0), ran(folder / "tiny.toml", 1)
    for name in WINDOWED - FRAMES:  # the first frame, at 0 s, is before it
        if whole[name] is None:
            assert part[name] is None
        else:
            assert part[name] == pytest.approx(whole[name], rel=1e-4), name
    assert all(part[name] is None for name in METRICS if name not in WINDOWED)


def test_parts_add_up(folder):
    """What is a sum over time is that of the parts: of a shorter run, and of what comes after."""
    cut_ms = 100_000
    path = folder / "tiny.toml"
    whole, part = ran(path, 0), ran(path, cut_ms)
    path.write_text(path.read_text().replace('"4m"', '"100s"'))
    before = ran(path, 0)
    assert part["simulated_s"] == 140
    for name in ("started", "submitted", "finished", "refusals", "dollars", "instance_hours"):
        assert part[name] == pytest.approx(whole[name] - before[name], abs=1e-9), name
    for name in ("instances_busy_mean", "instances_mean"):
        assert 240 * whole[name] == pytest.approx(100 * before[name] + 140 * part[name])


def test_waits_are_of_tasks_that_came_to_run_after_it(folder):
    rows = TaskRows()
    part = ran(folder / "tiny.toml", 100_000, [rows])
    found = [
        (row.running_ms - row.submitted_ms) / 1000
        for row in rows.rows()
        if row.running_ms is not None and row.running_ms >= 100_000
    ]
    assert part["wait_p50_s"] == pytest.approx(np.median(found))
    assert part["started"] == len(found)


def test_a_cut_beyond_the_end_leaves_nothing(folder):
    part = ran(folder / "tiny.toml", 10_000_000)
    assert part["started"] == 0
    assert part["cpu_reserved_pct"] is None
