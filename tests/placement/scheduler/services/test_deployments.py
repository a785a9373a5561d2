"""Deployments: rolling updates within their percents, circuit breaker, throttle, rebalancing."""

from __future__ import annotations

from collections import Counter

import pytest

from stowplan.placement import messages as m
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.scheduler.services.checks import breaker_threshold
from stowplan.placement.scheduler.services.deployments import (
    HEALTHY_AFTER_MS,
    THROTTLE_MOST_MS,
)
from tests.driving import BINPACK, Driven, definition, draining, gone, instance, of, running


def driven(zones: str = "aabb", cpu: int = 2048) -> Driven:
    """Instances in `zones`, and two revisions of a task of 256 units."""
    world = Driven()
    fleet = (instance(n, cpu, zone=zone) for n, zone in enumerate(zones))
    world.round(definition(), *fleet)
    return world


def create(count: int, **fields) -> m.CreateService:
    return m.CreateService("web", "app", count, **fields)


def revise(world: Driven, **fields) -> tuple[m.Command, ...]:
    """Another revision, rolled out."""
    return world.round(definition(), m.UpdateService("web", task_definition="app", **fields))


def broken(*tasks: int) -> m.TasksChanged:
    """The agents report tasks that never came to run."""
    reason = "CannotPullContainerError: not found"
    return m.TasksChanged(TaskStatus.STOPPED, tasks, StopCode.TASK_FAILED_TO_START, reason)


def started(commands) -> list[int]:
    return [task for start in of(m.StartTasks, commands) for task in start.tasks]


def ended(commands) -> list[int]:
    return [task for stop in of(m.StopTasks, commands) for task in stop.tasks]


def settled(world: Driven, count: int, **fields) -> Driven:
    """With a service that runs and has for long enough to be healthy."""
    world.round(running(*started(world.round(create(count, **fields)))))
    world.round(at_ms=world.now_ms + HEALTHY_AFTER_MS)
    return world


def revisions(world: Driven) -> Counter[str]:
    """Living tasks by task definition."""
    tasks = world.scheduler.services["web"].tasks
    return Counter(world.scheduler.tasks.launch[task].task_definition for task in tasks)


def test_by_default_all_are_started_anew_before_the_old_ones_stop():
    world = settled(driven(), 4)
    commands = revise(world)
    new = started(commands)
    assert len(new) == 4
    assert not ended(commands)
    assert not ended(world.round(running(*new))), "RUNNING is not healthy yet"
    assert world.scheduler.deadline_ms == world.now_ms + HEALTHY_AFTER_MS
    assert sorted(ended(world.round(at_ms=world.scheduler.deadline_ms))) == [0, 1, 2, 3]
    assert revisions(world) == {"app:2": 4}
    assert not world.violations()


def test_half_may_go_first_where_half_is_enough():
    world = settled(driven(), 4, minimum_healthy_percent=50, maximum_percent=100)
    commands = revise(world)
    assert len(ended(commands)) == 2
    assert len(started(commands)) == 2
    world.round(running(*started(commands)))
    commands = world.round(at_ms=world.scheduler.deadline_ms)
    assert len(ended(commands)) == 2
    assert len(started(commands)) == 2
    assert revisions(world) == {"app:2": 4}
    assert not world.violations()


@pytest.mark.parametrize(
    ("desired", "low", "high", "stopped", "new"),
    [(4, 50, 100, 2, 2), (2, 75, 100, 0, 0), (4, 100, 200, 0, 4), (3, 100, 125, 0, 0)],
    ids=["4 at 50", "2 at 75", "4 at 200", "3 at 125"],
)
def test_the_documented_arithmetic(desired, low, high, stopped, new):
    world = settled(driven(), desired, minimum_healthy_percent=low, maximum_percent=high)
    commands = revise(world)
    assert (len(ended(commands)), len(started(commands))) == (stopped, new)


def test_a_deployment_that_can_never_move_says_so():
    world = settled(driven(), 2, minimum_healthy_percent=100, maximum_percent=100)
    (event,) = of(m.ServiceEvent, revise(world))
    assert "unable to stop or start tasks during a deployment" in event.text


def test_a_health_check_decides_instead_of_time():
    world = driven()
    document = definition().document
    container = {**document["containerDefinitions"][0], "healthCheck": {"command": ["CMD", "x"]}}
    checked = m.RegisterTaskDefinition({**document, "containerDefinitions": [container]})
    capability = {"ecs.capability.container-health-check": ""}
    world.round(instance(4, 4096, attributes=capability))
    world = settled(world, 1)
    new = started(world.round(checked, m.UpdateService("web", task_definition="app")))
    assert not ended(world.round(running(*new)))
    assert world.scheduler.deadline_ms is None
    assert ended(world.round(m.TasksHealthChanged(True, tuple(new)))) == [0]


def test_an_unhealthy_task_is_replaced_before_it_stops():
    world = settled(driven(), 2)
    new = started(world.round(m.TasksHealthChanged(False, (0,))))
    assert len(new) == 1
    assert not ended(world.round(running(*new)))
    assert ended(world.round(at_ms=world.scheduler.deadline_ms)) == [0]


def test_a_change_of_the_strategy_begins_no_deployment():
    world = settled(driven(), 2)
    assert not started(world.round(m.UpdateService("web", placement_strategy=BINPACK)))
    assert len(world.scheduler.services["web"].deployments) == 1


def test_force_new_deployment_replaces_tasks_of_the_same_revision():
    world = settled(driven(), 2)
    assert len(started(world.round(m.UpdateService("web", force_new_deployment=True)))) == 2


@pytest.mark.parametrize(("desired", "threshold"), [(1, 3), (25, 13), (400, 200), (800, 200)])
def test_the_documented_thresholds_of_the_circuit_breaker(desired, threshold):
    assert breaker_threshold(m.CircuitBreaker(), desired) == threshold


def test_a_failed_deployment_starts_no_more_tasks():
    world = settled(driven(), 3, circuit_breaker=m.CircuitBreaker())
    new = started(revise(world))
    commands = world.round(broken(*new))
    assert not started(commands)
    assert any("deployment failed" in e.text for e in of(m.ServiceEvent, commands))
    assert not started(world.round(at_ms=world.now_ms + THROTTLE_MOST_MS))
    assert revisions(world) == {"app:1": 3}


def test_a_failed_deployment_rolls_back_to_the_last_that_was_completed():
    world = settled(driven(), 3, circuit_breaker=m.CircuitBreaker(rollback=True))
    new = started(revise(world))
    commands = world.round(broken(*new))
    assert any(
        "rolling back to deployment ecs-svc/1" in e.text for e in of(m.ServiceEvent, commands)
    )
    assert revisions(world) == {"app:1": 3}
    assert [d.id for d in world.scheduler.services["web"].deployments] == ["ecs-svc/1"]
    assert world.scheduler.services["web"].call.task_definition == "app:1"
    assert not world.violations()


def test_a_task_that_ran_is_no_failure_of_the_first_stage():
    world = settled(driven(), 3, circuit_breaker=m.CircuitBreaker())
    new = started(revise(world))
    world.round(running(new[0]))
    world.round(broken(*new[1:]))
    assert world.scheduler.services["web"].primary.failed_tasks == 0


def test_tasks_that_never_run_are_tried_at_growing_intervals():
    world = driven()
    tasks, gaps = started(world.round(create(1))), []
    for _ in range(10):
        assert not started(world.round(broken(*tasks)))
        before, at_ms = world.now_ms, world.scheduler.deadline_ms
        assert not started(world.round(at_ms=at_ms - 1))
        tasks = started(world.round(at_ms=at_ms))
        gaps.append(at_ms - before)
    assert gaps == [min(10_000 << n, THROTTLE_MOST_MS) for n in range(10)]
    impaired = [e for r in world.rounds for e in of(m.ServiceEvent, r.commands)]
    assert sum("unable to consistently start" in event.text for event in impaired) == 1
    # An update clears it.
    commands = world.round(broken(*tasks), m.UpdateService("web", force_new_deployment=True))
    assert len(started(commands)) == 1


def test_rebalancing_moves_a_task_to_the_emptiest_zone_once_it_is_healthy():
    world = driven("ab")
    world.round(gone(1))
    settled(world, 4, availability_zone_rebalancing=True)
    (new,) = started(world.round(instance(2, 2048, zone="b")))
    assert world.scheduler.tasks.instance[new] == 2
    assert not ended(world.round(running(new)))
    commands = world.round(at_ms=world.scheduler.deadline_ms)
    (stop,) = of(m.StopTasks, commands)
    assert stop.reason == "Availability-zone rebalancing initiated by (deployment ecs-svc/1)"
    assert world.scheduler.tasks.instance[stop.tasks[0]] == 0
    # The zones still differ by two: the next one follows.
    assert world.places(commands) == [2]


def test_rebalancing_ends_when_zones_differ_by_one():
    world = driven("ab")
    world.round(gone(1))
    settled(world, 5, availability_zone_rebalancing=True)
    commands = world.round(instance(2, 2048, zone="b"))
    moves = 0
    while new := started(commands):
        moves += 1
        assert moves <= 2, "with three tasks in one zone and two in the other it is done"
        world.round(running(*new))
        commands = world.round(at_ms=world.scheduler.deadline_ms)
    tasks = world.scheduler.services["web"].tasks
    assert sorted(Counter(world.scheduler.tasks.instance[t] for t in tasks).values()) == [2, 3]
    assert not world.violations()


@pytest.mark.parametrize(("maximum", "moves"), [(124, 0), (125, 1), (200, 1)])
def test_rebalancing_keeps_within_maximum_percent(maximum, moves):
    world = driven("ab")
    world.round(gone(1))
    settled(world, 4, availability_zone_rebalancing=True, maximum_percent=maximum)
    commands = world.round(instance(2, 2048, zone="b"))
    assert len(started(commands)) == moves
    assert not world.violations()


def test_without_rebalancing_tasks_stay_where_they_are():
    world = driven("ab")
    world.round(gone(1))
    settled(world, 4)
    assert not started(world.round(instance(2, 2048, zone="b")))


def test_a_daemon_takes_a_new_revision_one_for_one():
    world = driven("ab")
    daemon = m.CreateService("web", "app", scheduling_strategy="DAEMON")
    world.round(running(*started(world.round(daemon))))
    commands = revise(world)
    assert sorted(ended(commands)) == [0, 1]
    assert len(started(commands)) == 2
    assert revisions(world) == {"app:2": 2}


def test_draining_and_deploying_at_once_ends_with_the_new_revision_elsewhere():
    world = settled(driven("ab"), 4)
    commands = world.round(draining(0), definition(), m.UpdateService("web", task_definition="app"))
    for _ in range(10):
        new = started(commands)
        if new:
            world.round(running(*new))
        if world.scheduler.deadline_ms is None:
            break
        commands = world.round(at_ms=world.scheduler.deadline_ms)
    tasks = world.scheduler.services["web"].tasks
    assert revisions(world) == {"app:2": 4}
    assert {world.scheduler.tasks.instance[task] for task in tasks} == {1}
    assert not world.violations()


@pytest.mark.parametrize(
    "call",
    [
        create(1, minimum_healthy_percent=101),
        create(1, maximum_percent=99),
        create(1, maximum_percent=201),
    ],
)
def test_percents_that_make_no_sense_are_refused(call):
    (rejected,) = of(m.CallRejected, driven().round(call))
    assert "minimumHealthyPercent" in rejected.reason
