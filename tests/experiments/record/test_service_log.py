"""Availability and migrations, by hand and against a recount from the rounds."""

from __future__ import annotations

import pytest

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.service_log import ServiceLog
from stowplan.experiments.runs.simulate import world
from stowplan.placement import messages as m
from stowplan.placement.loop import run_loop
from stowplan.placement.model import TaskStatus
from stowplan.placement.scenario.scenario import Run
from tests.driving import Driven, definition, draining, gone, instance, running, stopped

DEPLOYMENTS = SCENARIOS / "deployments.toml"


def web(count=2, **fields):
    return m.CreateService("web", "app", count, **fields)


def logged(rounds, end_ms):
    log = ServiceLog()
    for entry in rounds:
        log(entry)
    log.finish(end_ms)
    return log


def shares(log, zone=""):
    up = log.up["web", zone]
    return up.at_desired_ms, up.at_floor_ms, up.settled_ms - up.since_ms


def test_the_time_at_desired_count_and_at_minimum_healthy():
    driven = Driven()
    driven.round(definition(), instance(0), web(minimum_healthy_percent=50), at_ms=0)
    driven.round(running(0), at_ms=1_000)
    driven.round(running(1), at_ms=3_000)
    driven.round(stopped(1), at_ms=5_000)
    log = logged(driven.rounds, 10_000)
    # Until 3 s it boots for the first time, which is no outage and is not watched.
    assert shares(log) == (2_000, 7_000, 7_000)
    assert shares(log, "a") == (2_000, 7_000, 7_000)


def test_a_zone_is_held_to_an_even_share_and_a_lost_one_is_not_available():
    driven = Driven()
    driven.round(definition(), instance(0), instance(1, zone="b"), web(3), at_ms=0)
    driven.round(running(0, 1, 2), at_ms=0)
    driven.round(gone(1), at_ms=4_000)
    log = logged(driven.rounds, 10_000)
    # Two in one zone, one in the other; a third of 3 over two zones, rounded down, is 1.
    assert {shares(log, zone)[0] for zone in "ab"} == {10_000, 4_000}
    assert shares(log, "b")[0] == 4_000
    assert shares(log)[0] == 4_000


def test_another_count_is_what_a_service_is_held_to_from_then_on():
    driven = Driven()
    driven.round(definition(), instance(0), web(1), at_ms=0)
    driven.round(running(0), at_ms=0)
    driven.round(m.UpdateService("web", 2), at_ms=5_000)
    assert shares(logged(driven.rounds, 10_000))[0] == 5_000


def test_daemons_have_no_count_to_keep():
    driven = Driven()
    driven.round(definition(), instance(0), web(0, scheduling_strategy="DAEMON"))
    driven.round(running(0))
    assert logged(driven.rounds, 9_000).up == {}


def test_scale_in_is_no_migration_but_a_drain_is():
    driven = Driven()
    driven.round(definition(), instance(0), instance(1), web(3))
    driven.round(running(0, 1, 2))
    driven.round(m.UpdateService("web", 2))
    assert logged(driven.rounds, 9_000).migrations == {}
    on = next(i for i in (0, 1) if driven.scheduler.tasks.on(i))
    driven.round(draining(on))
    driven.round(running(*range(3, len(driven.scheduler.tasks))))
    stops = [c for r in driven.rounds for c in r.commands if isinstance(c, m.StopTasks)]
    moved = sum(len(c.tasks) for c in stops) - 1
    assert moved >= 1
    assert logged(driven.rounds, 9_000).migrations == {"web": moved}


@pytest.fixture(scope="module")
def deployed():
    loaded = load_scenario(DEPLOYMENTS)
    scheduler, driver = world(loaded, Run("ecs-default", "shared", "spot-reclaim"), 2_400_000)
    rounds = []
    run_loop(scheduler, driver, rounds.append)
    return rounds


def test_the_log_of_a_run_is_what_a_recount_gives(deployed):
    log = logged(deployed, 2_400_000)
    counts, service, going = {}, {}, set()
    expected = dict.fromkeys(("web", "api", "worker"), 0)
    last_ms = 0
    for entry in [*deployed, m.Round(2_400_000, (), ())]:
        for name in expected:
            want = {"web": 48, "api": 40, "worker": 24}[name]
            expected[name] += (entry.now_ms - last_ms) * (counts.get(name, 0) >= want)
        last_ms = entry.now_ms
        for event in entry.events:
            if isinstance(event, m.TasksChanged):
                for task in event.tasks:
                    up = event.status is TaskStatus.RUNNING
                    if up != (task in going):
                        going ^= {task}
                        counts[service[task]] = counts.get(service[task], 0) + (1 if up else -1)
        for command in entry.commands:
            if isinstance(command, m.StartTasks):
                service.update(dict.fromkeys(command.tasks, command.service))
    assert {name: log.up[name, ""].at_desired_ms for name in expected} == expected


def test_the_deployment_that_its_circuit_breaker_ended_is_counted(deployed):
    assert +logged(deployed, 2_400_000).failed_deployments == {"worker": 1}


def test_a_rolling_update_replaces_every_task_once(deployed):
    moved = logged(deployed, 2_400_000).migrations
    # All of the first revision, and what the spot instances held besides.
    assert moved["web"] >= 48
    assert moved["api"] >= 40
    # No task of the third came up, so none of it was replaced before the spot instances went.
    assert moved["worker"] < 24
