"""Faults: what each does to the world, and when ECS hears of it."""

from __future__ import annotations

import pytest

from stowplan.placement import messages as m
from stowplan.placement.callers.client import RESUBMIT, Arrival
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.scenario.faults import Fault
from tests.driving import definition
from tests.sim.test_driver import driver, job, news, spec, start, stop


def fault(kind: str, **fields) -> Fault:
    return Fault.model_validate({"kind": kind, "at": "10s", **fields})


def after_start(world) -> list[tuple[int, m.Event]]:
    """Everything that happens once task 0 was started on instance 0, registrations left out."""
    world.wait(None)
    world.execute(start(0))
    return [(at, e) for at, e in news(world) if not isinstance(e, m.InstanceRegistered)]


def test_lost_instances_are_those_that_match_and_ecs_hears_of_it_later():
    lost = fault("instance-loss", instances="attribute:rack == 1", detect="5s")
    fleet = [spec(0, rack="1"), spec(1, rack="2"), spec(2, rack="1")]
    told = [(at, e.instances) for at, e in news(driver(fleet=fleet, faults=[lost]))[3:]]
    assert told == [(15_000, (0, 2))]


@pytest.mark.parametrize(("at", "run_ms"), [("50ms", 5_000), ("5s", 9_000), ("5s", 10_000_000)])
def test_nothing_is_heard_of_a_dead_instance_before_ecs_learns_of_the_loss(at, run_ms):
    """The task is lost before it would run (0.1 s), or before it would end."""
    lost = fault("zone-loss", zone="a", at=at, detect="60s")
    told = after_start(driver(job(run_ms=run_ms), faults=[lost]))
    gone_ms = 60_000 + lost.at
    expected = m.InstancesGone((0,), since_ms=lost.at)
    assert [(t, e) for t, e in told if t > lost.at] == [(gone_ms, expected)]


def test_a_task_that_is_started_or_stopped_on_a_dead_instance_is_never_heard_of():
    lost = fault("zone-loss", zone="a", at="50ms", detect="60s")
    world = driver(job(run_ms=5_000), faults=[lost])
    world.wait(None)
    world.execute(start(0))
    assert world.wait(1_000) == []
    world.execute(start(1))
    world.execute(stop(0))
    assert [type(e) for _, e in news(world)] == [m.InstancesGone]


def test_reclaimed_instances_drain_for_two_minutes_and_their_tasks_come_again():
    reclaim = fault("spot-reclaim", instances="attribute:market == spot")
    world = driver(job(run_ms=500_000), fleet=[spec(0, market="spot")], faults=[reclaim])
    drain, gone = after_start(world)[-2:]
    assert drain == (10_000, m.UpdateContainerInstancesState((0,), "DRAINING"))
    expected = m.InstancesGone((0,), "terminated", StopCode.SPOT_INTERRUPTION)
    assert gone == (130_000, expected)


def test_a_task_lost_to_a_reclaim_is_submitted_again():
    world = driver(job(run_ms=500_000))
    world.wait(None)
    world.execute(start(0))
    world.execute(m.TasksStopped((0,), StopCode.SPOT_INTERRUPTION, "reclaimed"))
    calls = [e for _, e in news(world) if isinstance(e, m.RunTask)]
    assert [call.started_by for call in calls] == [RESUBMIT]


def test_what_happens_behind_a_partition_is_told_when_it_is_over():
    cut = fault(
        "partition", instances="attribute:ecs.availability-zone == a", detect="2s", until="1m"
    )
    events = after_start(driver(job(run_ms=20_000), faults=[cut]))
    running, disconnected, connected, ended = events
    assert running[0] == 100
    assert disconnected == (12_000, m.AgentConnectionChanged((0,), False))
    assert connected == (60_000, m.AgentConnectionChanged((0,), True))
    assert ended[0] == 60_000
    assert ended[1].status is TaskStatus.STOPPED


def test_a_task_that_is_started_behind_a_partition_runs_when_it_is_over():
    cut = fault("partition", instances="attribute:ecs.availability-zone == a", at="0s", until="1m")
    events = after_start(driver(job(run_ms=20_000), faults=[cut]))
    changes = [(at, e.status) for at, e in events if isinstance(e, m.TasksChanged)]
    assert changes == [(60_000, TaskStatus.RUNNING), (80_000, TaskStatus.STOPPED)]


def test_tasks_of_a_broken_definition_stop_without_having_run_until_it_is_mended():
    broken = fault("start-failure", task_definition="app:1", at="0s", until="5s", reason="broken")
    world = driver(job(run_ms=1_000), faults=[broken])
    ((_, failed),) = [e for e in after_start(world) if isinstance(e[1], m.TasksChanged)]
    assert (failed.status, failed.stop_code) == (
        TaskStatus.STOPPED,
        StopCode.TASK_FAILED_TO_START,
    )
    assert failed.reason == "broken"


def test_health_checks_have_their_first_verdict_after_their_interval():
    document = definition().document
    check = {"command": ["CMD", "true"], "interval": 7}
    containers = [{**document["containerDefinitions"][0], "healthCheck": check}]
    register = m.RegisterTaskDefinition({**document, "containerDefinitions": containers})
    events = after_start(driver(Arrival(0, register), job(run_ms=60_000)))
    assert (7_100, m.TasksHealthChanged(True, (0,))) in events
