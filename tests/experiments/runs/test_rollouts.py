"""What each way of deploying costs: the scenarios that ship, by figures worked out by hand, and the
same figures by the audit."""

from __future__ import annotations

import pytest

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.metrics import metrics_of
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.runs.simulate import world
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.audit.figures import Figures
from stowplan.placement.loop import run_loop

COSTS = ("min", "extra_task_min", "at_risk_task_min", "extra_instances", "extra_dollars")


def costs(name: str) -> dict[str, dict[str, float]]:
    """Of each run of a scenario, by its strategy."""
    loaded, found = load_scenario(SCENARIOS / "rollouts" / f"{name}.toml"), {}
    for run in loaded.scenario.runs():
        scheduler, driver = world(loaded, run, loaded.scenario.duration)
        rounds, recorder, figures = [], Recorder(), Figures()
        run_loop(scheduler, driver, rounds.append)
        for entry in rounds:
            recorder(entry)
            figures(entry)
        assert not check_rounds(rounds)
        recorder.finish(rounds[-1].now_ms)
        row, other = metrics_of(recorder), figures.row()
        for cost in COSTS:
            assert row[f"deploying_{cost}"] == pytest.approx(other[f"deploying_{cost}"]), cost
        found[run.strategy] = {cost: row[f"deploying_{cost}"] for cost in COSTS}
        found[run.strategy]["unfinished"] = row["deployments_unfinished"]
    return found


def test_only_what_keeps_both_costs_twice_the_instances():
    ways = costs("ways")
    assert ways["rolling-in-place"]["extra_instances"] == 0
    assert ways["rolling-in-place"]["extra_dollars"] == 0
    for way, waits_min in (("blue-green", 15), ("canary", 25), ("linear", 15 + 9 * 6)):
        # Forty tasks of half a vCPU: ten instances of two. Five minutes are starts and drains.
        assert ways[way]["extra_instances"] == 10
        assert waits_min < ways[way]["min"] < waits_min + 5
        assert ways[way]["extra_task_min"] == pytest.approx(40 * ways[way]["min"], rel=0.1)
    # Traffic on the new tasks: all of it while they bake and clean up (a minute's drain); before,
    # a canary's 5 % for ten minutes, a linear one's tenths for six minutes each.
    whole = 40 * 16
    assert ways["blue-green"]["at_risk_task_min"] == pytest.approx(whole, rel=0.01)
    assert ways["canary"]["at_risk_task_min"] == pytest.approx(whole + 2 * 10, rel=0.01)
    assert ways["linear"]["at_risk_task_min"] == pytest.approx(whole + 4 * 6 * 45, rel=0.01)


def test_a_bad_revision_risks_as_much_as_is_shifted_before_somebody_looks():
    risk = {way: each["at_risk_task_min"] for way, each in costs("bad_revision").items()}
    assert risk["tested-blue-green"] == 0
    assert risk["watched-canary"] == pytest.approx(20 * 0.05 * 5)
    assert risk["alarms"] > risk["rolling"], "that of the rollback is counted, too"


def test_blue_green_without_room_does_not_end_and_fewer_tasks_do():
    found = costs("no_room")
    assert {way: each["unfinished"] for way, each in found.items()} == {
        "blue-green": 1,
        "rolling": 0,
        "fewer-meanwhile": 0,
    }
    assert found["rolling"]["min"] < 5
    assert 15 < found["fewer-meanwhile"]["min"] < 20
