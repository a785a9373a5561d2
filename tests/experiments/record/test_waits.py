"""Waits of services' tasks: by hand, and against a count from the rounds."""

from __future__ import annotations

import pytest

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.metrics import metrics_of
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.waits import ServiceWaits
from stowplan.experiments.runs.simulate import drive, world
from stowplan.placement import messages as m
from stowplan.placement.model import TaskStatus
from tests.driving import Driven, definition, gone, instance, run_task, running, stopped


def web(count=2, **fields):
    return m.CreateService("web", "app", count, **fields)


def recorded(driven):
    recorder = Recorder()
    for entry in driven.rounds:
        recorder(entry)
    return recorder


def waits(driven):
    found = recorded(driven).service_waits
    return found.waits_ms, found.asked


def test_jobs_and_services_are_apart():
    driven = Driven()
    driven.round(definition(), instance(0), web(1), run_task(0, count=1), at_ms=0)
    driven.round(running(0), at_ms=4_000)
    driven.round(running(1), at_ms=9_000)
    recorder = recorded(driven)
    assert (recorder.service_waits.waits_ms, recorder.waits_ms) == ([4_000], [9_000])
    row = metrics_of(recorder)
    assert (row["service_wait_p50_s"], row["service_wait_p99_s"]) == (4, 4)
    assert (row["wait_p50_s"], row["wait_p99_s"]) == (9, 9)
    assert (row["submitted"], row["service_asked"]) == (1, 1)


def test_a_service_waits_from_its_creation_its_scaling_and_its_losses():
    driven = Driven()
    driven.round(definition(), instance(0), web(1), at_ms=1_000)
    driven.round(running(0), at_ms=3_000)
    driven.round(m.UpdateService("web", 2), at_ms=10_000)
    driven.round(running(1), at_ms=15_000)
    driven.round(gone(0), instance(1), at_ms=20_000)
    driven.round(running(2, 3), at_ms=27_000)
    assert waits(driven) == ([2_000, 5_000, 7_000, 7_000], 4)


def test_one_without_room_waits_until_it_has_some():
    driven = Driven()
    driven.round(definition(cpu=1024), instance(0), web(2), at_ms=0)
    driven.round(running(0), at_ms=1_000)
    driven.round(instance(1), at_ms=60_000)
    driven.round(running(1), at_ms=62_000)
    assert waits(driven) == ([1_000, 62_000], 2)


def test_a_task_that_fails_to_start_leaves_the_wait_as_it_was():
    driven = Driven()
    driven.round(definition(), instance(0), web(1), at_ms=0)
    driven.round(stopped(0), at_ms=5_000)
    for at_ms in (30_000, 60_000):
        driven.round(at_ms=at_ms)
    driven.round(running(1), at_ms=70_000)
    assert waits(driven) == ([70_000], 1)


def test_what_is_scaled_in_is_no_longer_asked_for():
    driven = Driven()
    driven.round(definition(cpu=1024), instance(0), web(3), at_ms=0)
    driven.round(m.UpdateService("web", 1), running(0), at_ms=5_000)
    driven.round(instance(1), at_ms=9_000)
    assert waits(driven) == ([5_000], 1)


def test_a_deployment_beyond_the_desired_count_makes_up_for_nothing():
    """It starts before it stops: nothing is lacking. One that stops first lacks what it stops."""
    for lowest, expected in ((100, [1_000]), (0, [1_000, 3_000])):
        driven = Driven()
        create = web(1, minimum_healthy_percent=lowest, maximum_percent=200 if lowest else 100)
        driven.round(definition(), instance(0), create, at_ms=0)
        driven.round(running(0), at_ms=1_000)
        driven.round(m.UpdateService("web", force_new_deployment=True), at_ms=10_000)
        driven.round(*([stopped(0)] if not lowest else []), at_ms=10_001)
        started = driven.rounds[-1].commands + driven.rounds[-2].commands
        assert any(isinstance(command, m.StartTasks) for command in started)
        driven.round(running(1), at_ms=13_000)
        assert waits(driven)[0] == expected


def test_daemons_have_no_count_to_lack():
    driven = Driven()
    daemon = m.CreateService("agent", "app", scheduling_strategy="DAEMON")
    driven.round(definition(), instance(0), daemon, at_ms=0)
    driven.round(running(0), at_ms=5_000)
    driven.round(gone(0), at_ms=6_000)
    assert waits(driven) == ([], 0)


@pytest.mark.parametrize("name", ["small.toml", "deployments.toml"])
def test_what_lacks_at_any_time_is_what_services_lack(name):
    """As many are waited for as are short of their counts, less what was told to stop."""
    loaded = load_scenario(SCENARIOS / name)
    run = list(loaded.scenario.runs())[-1]
    recorder = Recorder()
    open_now = []

    def sink(entry):
        recorder(entry)
        services = recorder.service_waits._services.values()
        for each in services:
            assert len(each.lacking) == max(0, each.wanted - each.there)
        open_now.append(sum(len(each.lacking) for each in services))

    drive(loaded, run, *world(loaded, run, loaded.scenario.duration), sink)
    found = recorder.service_waits
    placed = [task for task in found._tasks.values() if task.since_ms is not None]
    assert found.asked == len(found.waits_ms) + open_now[-1] + len(placed)
    assert len(found.waits_ms) > sum(table.desired_count for table in loaded.scenario.service)


def test_tasks_that_go_with_their_instance_are_counted_when_all_are_gone():
    def start(task):
        return m.StartTasks("app", "service:web", (task,), (0,), service="web")

    waits = ServiceWaits()
    told = [
        (0, m.CreateService("web", "app", 1)),
        (1_000, start(0)),
        (2_000, start(1)),  # one beyond the count
        (9_000, m.InstancesGone((0,))),
        (10_000, m.StartTasks("app", "service:web", (2,), (1,), service="web")),
        (11_000, m.TasksChanged(TaskStatus.RUNNING, (2,))),
    ]
    for now_ms, message in told:
        waits.handlers[type(message)](message, now_ms)
    assert (waits.waits_ms, waits.asked) == ([11_000], 1)
