"""Availability is the truth, however late ECS hears of it; boots and scaling steps are none."""

from __future__ import annotations

import pytest

from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.availability import ALL, ServiceHistory, up_times
from stowplan.experiments.record.metrics import metrics_of
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.records import SAMPLE_FIELDS
from stowplan.experiments.record.service_log import ServiceLog
from stowplan.experiments.runs.simulate import drive, world
from stowplan.placement import messages as m
from stowplan.placement.model import StopCode, TaskStatus
from tests.driving import Driven, definition, instance, running, stopped

SIX = """
name = "six"
duration = "1000s"
[models]
start = { mean = "10s" }
[[fleet]]
name = "f"
instance_type = "m5.xlarge"
count = 6
zones = ["a", "b", "c"]
[task_definitions.t]
family = "t"
containerDefinitions = [{ name = "m", image = "x", cpu = 256, memory = 512 }]
[[service]]
name = "s"
task_definition = "t"
desired_count = 6
"""


def recorded(tmp_path, text):
    """The recorder of each run of a scenario, by its faults."""
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    loaded, found = load_scenario(path), {}
    for run in loaded.scenario.runs():
        scheduler, driver = world(loaded, run, loaded.scenario.duration)
        found[run.faults] = recorder = Recorder()
        drive(loaded, run, scheduler, driver, recorder)
        recorder.finish(loaded.scenario.duration)
    return found


@pytest.mark.parametrize("kind", ['kind = "zone-loss", zone = "a"', 'kind = "instance-loss", inst'])
def test_what_is_dead_does_not_count_however_late_ecs_hears_of_it(tmp_path, kind):
    if kind.endswith("inst"):
        kind += 'ances = "attribute:ecs.availability-zone == a"'
    losses = [f'd{s} = [{{ {kind}, at = "500s", detect = "{s}s" }}]' for s in (1, 60, 300)]
    found = recorded(tmp_path, "\n".join([SIX, "[faults]", *losses]))
    for detect_s in (1, 60, 300):
        recorder = found[f"d{detect_s}"]
        row, up = metrics_of(recorder), recorder.services_log.up["s", ""]
        # It boots for 10 s; two tasks are dead from 500 s until others run 10 s after the report.
        assert (up.since_ms, up.settled_ms) == (10_000, 1_000_000)
        assert up.at_floor_ms == up.at_desired_ms == 990_000 - 1000 * (detect_s + 10)
        assert up.believed_at_floor_ms == 980_000
        assert row["at_minimum_pct"] == pytest.approx(100 * up.at_floor_ms / 990_000)
        assert row["believed_at_minimum_pct"] == pytest.approx(100 * 98 / 99)
        assert row["services_short_pct"] == pytest.approx(100 - row["at_desired_pct"])
        assert (row["services_back_s"], row["services_back_heard_s"]) == (detect_s + 10, 10)


def test_the_timeline_has_the_truth_and_what_ecs_believed(tmp_path):
    loss = '[faults]\nf = [{ kind = "zone-loss", zone = "a", at = "500s", detect = "60s" }]'
    recorder = recorded(tmp_path, f"{SIX}\n{loss}")["f"]
    at = {ms: dict(zip(SAMPLE_FIELDS, rest, strict=True)) for ms, *rest in recorder.samples}

    def services(ms):
        return tuple(at[ms][f"services_{what}"] for what in ("wanted", "running", "believed"))

    assert services(0) == (6, 0, 0)
    assert services(490_000) == (6, 6, 6)
    assert services(500_000) == services(550_000) == (6, 4, 6)
    assert services(560_000) == (6, 4, 4)
    assert services(570_000) == (6, 6, 6)


def test_a_crash_behind_a_partition_counts_from_when_it_happened(tmp_path):
    crash = """
[behaviour.t.m]
crash_percent = 100
crash_after = { mean = "400s" }
[faults]
f = [{ kind = "partition", zone = "a", at = "300s", detect = "60s", until = "700s" }]
"""
    up = recorded(tmp_path, SIX + crash)["f"].services_log.up["s", "a"]
    belief = up.believed_at_desired_ms / (up.settled_ms - up.believed_since_ms)
    assert up.at_desired_ms / (up.settled_ms - up.since_ms) < belief - 0.2


def test_a_scheduler_that_is_gone_does_not_keep_the_dead_alive(tmp_path):
    faults = """
[faults]
f = [
  { kind = "zone-loss", zone = "a", at = "500s", detect = "1s" },
  { kind = "scheduler-restart", at = "450s", until = "650s" },
]
"""
    up = recorded(tmp_path, SIX + faults)["f"].services_log.up["s", ""]
    assert up.at_desired_ms == 990_000 - 160_000
    assert up.believed_at_desired_ms == 990_000 - 10_000


def up_of(*rounds, end_ms=100_000):
    """The availability of a service `web`, from (ms, events)."""
    driven = Driven()
    for at_ms, *events in rounds:
        driven.round(*events, at_ms=at_ms)
    log = ServiceLog()
    for entry in driven.rounds:
        log(entry)
    log.finish(end_ms)
    return log.up["web", ""]


def web(count, **fields):
    return m.CreateService("web", "app", count, **fields)


ROOM = definition(cpu=1, memory=8), instance(0)


def test_a_step_up_that_is_reached_is_no_outage():
    up = up_of(
        (0, *ROOM, web(2)),
        (1_000, running(0, 1)),
        (10_000, m.UpdateService("web", 3)),
        (20_000, m.UpdateService("web", 4)),  # another one before the first is reached
        (30_000, running(2)),
        (40_000, running(3)),
        (50_000, stopped(3)),
        (60_000, running(4)),
    )
    assert (up.since_ms, up.desired, up.running) == (1_000, 4, 4)
    assert up.at_desired_ms == 99_000 - 10_000


def test_during_a_step_up_a_service_is_held_to_the_count_before():
    up = up_of(
        (0, *ROOM, web(2)),
        (1_000, running(0, 1)),
        (10_000, m.UpdateService("web", 3)),
        (20_000, stopped(0)),
        (30_000, running(2, 3)),
    )
    # From the mishap on it is held to all three.
    assert up.at_desired_ms == 99_000 - 10_000


@pytest.mark.parametrize("taken_back", [False, True])
def test_a_step_up_that_is_never_reached_is_short_from_its_beginning(taken_back):
    back = [(50_000, m.UpdateService("web", 2))] if taken_back else []
    up = up_of(
        (0, *ROOM, web(2)),
        (1_000, running(0, 1)),
        (10_000, m.UpdateService("web", 9)),
        *back,
    )
    assert up.at_desired_ms == 99_000 - (40_000 if taken_back else 90_000)


def test_a_service_that_never_comes_up_was_never_available():
    up = up_of((0, *ROOM, web(2)), (1_000, running(0)))
    assert (up.since_ms, up.at_desired_ms, up.percent("desired")) == (0, 0, 0.0)
    assert up_of((0, *ROOM, web(0))).percent("desired") == 100.0


def test_a_mishap_ends_the_first_boot():
    lost = m.InstancesGone((0,), since_ms=2_000)
    up = up_of(
        (0, *ROOM, web(2)),
        (1_000, running(0)),
        (80_000, lost, instance(1)),
        (90_000, running(2, 3)),
    )
    assert (up.since_ms, up.at_desired_ms) == (2_000, 10_000)
    assert (up.believed_since_ms, up.believed_at_desired_ms) == (80_000, 10_000)


def test_a_task_that_is_unhealthy_does_not_count():
    up = up_of(
        (0, *ROOM, web(1, maximum_percent=100)),
        (1_000, running(0)),
        (10_000, m.TasksHealthChanged(False, (0,), since_ms=8_000)),
        (20_000, m.TasksHealthChanged(True, (0,))),
    )
    # Nothing takes its place, since there may be one task only and it must not stop.
    assert up.at_desired_ms == 99_000 - 12_000
    assert up.believed_at_desired_ms == 99_000 - 10_000


def test_stops_that_somebody_asked_for_are_counted_until_they_are_reported():
    end = m.TasksChanged(
        TaskStatus.STOPPED, (1,), StopCode.SERVICE_SCHEDULER_INITIATED, "", None, 15_000
    )
    up = up_of(
        (0, *ROOM, web(2)),
        (1_000, running(0, 1)),
        (10_000, m.UpdateService("web", 1)),
        (20_000, end),
    )
    assert up.at_desired_ms == 99_000


def test_a_stop_by_the_user_is_no_mishap_on_the_way_up():
    end = m.TasksChanged(TaskStatus.STOPPED, (1,), StopCode.USER_INITIATED)
    up = up_of(
        (0, *ROOM, web(2)),
        (1_000, running(0)),
        (2_000, m.StopTask((1,))),
        (3_000, end),
        (10_000, running(2)),
    )
    assert (up.since_ms, up.at_desired_ms) == (10_000, 90_000)


def test_nothing_is_up_before_it_was_placed():
    up = up_of(
        (1_000, *ROOM, web(1)), (9_000, m.TasksChanged(TaskStatus.RUNNING, (0,), since_ms=0))
    )
    assert (up.since_ms, up.at_desired_ms) == (1_000, 99_000)


def story(*changes):
    """A service that is to have 4 tasks, 2 at least, of (ms, tasks come or gone)."""
    history = ServiceHistory(0)
    history.wanted.append((0, 4, 50))
    for at_ms, change in changes:
        history.add(at_ms, at_ms, -2, change)
    return history


def test_the_worst_is_the_smallest_share_and_how_long_it_was_too_few():
    history = story((0, 4), (100, -1), (200, -2), (250, 1), (400, 2), (700, -3), (720, 3))
    worst = up_times(history, [], 1000)[ALL].worst
    assert (worst.at_ms, worst.running, worst.desired, worst.minimum) == (200, 1, 4, 2)
    assert (worst.for_ms, worst.since_ms) == (50, 200)
    assert (worst.below_desired_ms, worst.below_desired_longest_ms) == (320, 300)
    assert (worst.below_minimum_ms, worst.below_minimum_longest_ms) == (70, 50)


def test_a_boot_is_not_the_worst_but_one_that_never_ends_is():
    assert up_times(story((300, 4)), [], 1000)[ALL].worst is None
    worst = up_times(story((300, 3)), [], 1000)[ALL].worst
    assert (worst.at_ms, worst.running, worst.for_ms) == (0, 0, 300)
    assert (worst.below_desired_ms, worst.below_minimum_longest_ms) == (1000, 300)
