"""Service auto scaling in a whole run: it follows the load, replays, and checks its table."""

from __future__ import annotations

from itertools import pairwise

import pytest

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.journals import read_journal_file
from stowplan.experiments.record.result import scheduler_config
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.journal import replay
from stowplan.placement.scheduler.scheduler import Scheduler
from tests.experiments.scenarios import WEB, changed, load, problems_of, sound

SCENARIO = SCENARIOS / "autoscaling.toml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    loaded = load_scenario(SCENARIO)
    journal = tmp_path_factory.mktemp("run") / "run.jsonl.gz"
    result = simulate(loaded, next(loaded.scenario.runs()), journal)
    return loaded.scenario, result, journal, read_journal_file(journal)[1]


def counts(rounds):
    """(ms, desired count) of the scaled service."""
    calls = [(r.now_ms, e) for r in rounds for e in r.events if isinstance(e, m.UpdateService)]
    return [(now_ms, call.desired_count) for now_ms, call in calls if call.service == "scaled"]


def test_the_count_follows_the_load(run):
    scenario, _, _, rounds = run
    policy = scenario.service[0].autoscaling.policy()
    found = counts(rounds)
    assert len(found) > 20
    assert all(now_ms % 60_000 == 0 for now_ms, _ in found)
    at = dict.fromkeys(range(24), 6)
    for now_ms, count in found:
        at.update(dict.fromkeys(range(now_ms // 3_600_000 + 1, 24), count))
    for hour in (3, 9, 12, 16, 22):
        needed = policy.load.at(hour * 3_600_000) / policy.target
        # Behind on the way up by minutes, on the way down by a quarter of an hour and a cooldown.
        assert 0.85 * needed <= at[hour] <= 1.45 * needed + 1, hour


def test_a_sudden_event_is_answered_after_three_minutes(run):
    *_, rounds = run
    event = [(t, n) for t, n in counts(rounds) if 1_081 * 60_000 <= t < 1_140 * 60_000]
    # The load is high from 18:00:30 on; the third minute above the target ends at 18:03.
    assert event[0][0] == 1_083 * 60_000
    assert max(n for _, n in event) >= 34


def test_scaling_costs_task_hours_and_saves_most_of_them(run):
    *_, rounds = run
    steps = [(0, 6), *counts(rounds), (86_400_000, 0)]
    hours = sum(n * (b - a) for (a, n), (b, _) in pairwise(steps)) / 3_600_000
    assert 0.3 * 40 * 24 < hours < 0.55 * 40 * 24


def test_the_run_breaks_no_rule_and_replays_without_the_autoscaler(run):
    scenario, _, _, rounds = run
    assert check_rounds(rounds) == []
    assert replay(Scheduler(scheduler_config(scenario)), rounds) == len(rounds)


def test_the_same_seed_gives_the_same_journal(run, tmp_path):
    scenario, _, journal, _ = run
    simulate(load_scenario(SCENARIO), next(scenario.runs()), tmp_path / "again.jsonl.gz")
    assert (tmp_path / "again.jsonl.gz").read_bytes() == journal.read_bytes()


TABLE = {
    "load": [{"at": 0, "value": 1.0}, {"at": "1m", "value": 2}],
    "target": 0.5,
    "min_capacity": 1,
    "max_capacity": 9,
}


def test_a_table_is_read_with_the_defaults_of_aws(folder):
    document = changed((*WEB, "autoscaling"), TABLE)
    policy = load(document).scenario.service[0].autoscaling.policy()
    assert policy.load.points == ((0, 1.0), (60_000, 2.0))
    assert (policy.scale_out_cooldown_ms, policy.scale_in_cooldown_ms) == (300_000, 300_000)
    assert load(sound()).scenario.service[0].autoscaling is None


@pytest.mark.parametrize(
    ("change", "place", "says"),
    [
        ({"min_capacity": 10}, "autoscaling.min_capacity", "10 is above max_capacity, 9"),
        ({"target": 0}, "autoscaling.target", "greater than 0"),
        ({"load": []}, "autoscaling.load", "at least 1"),
        ({"repeat": "1m"}, "autoscaling.repeat", "not after the last point of load"),
        (
            {"load": [{"at": "1m", "value": 1}, {"at": 0, "value": 1}]},
            "autoscaling.load[1].at",
            "0 ms is not after the point before",
        ),
    ],
)
def test_what_makes_no_sense_is_named(folder, change, place, says):
    [(where, what)] = problems_of(changed((*WEB, "autoscaling"), TABLE | change))
    assert where == f"test.toml: service[0].{place}"
    assert says in what


def test_a_daemon_is_not_scaled(folder):
    service = {"name": "web", "task_definition": "web", "scheduling_strategy": "DAEMON"}
    [(where, what)] = problems_of(changed(WEB, service | {"autoscaling": TABLE}))
    assert where == "test.toml: service[0].autoscaling"
    assert "DAEMON" in what
