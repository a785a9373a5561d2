"""Services: kept at their count, spread by default, replaced where hosts drain or die."""

from __future__ import annotations

from collections import Counter

import pytest

from stowplan.placement import messages as m
from stowplan.placement.model import PlacementStrategy, StopCode, TaskStatus
from tests.driving import (
    BINPACK,
    DISTINCT,
    Driven,
    definition,
    draining,
    gone,
    instance,
    of,
    running,
    stopped,
)


def driven(zones: str = "aabb", cpu: int = 1024) -> Driven:
    """A scheduler with an instance in each of `zones`; a task takes 256 units."""
    world = Driven()
    world.round(definition(), *(instance(n, cpu, zone=zone) for n, zone in enumerate(zones)))
    return world


def create(count: int, **fields) -> m.CreateService:
    return m.CreateService("web", "app", count, **fields)


def texts(commands) -> list[str]:
    return [event.text for event in of(m.ServiceEvent, commands)]


def living(world: Driven) -> list[int]:
    return list(world.scheduler.services["web"].tasks)


def settle(world: Driven) -> tuple[m.Command, ...]:
    """Every task that was started runs."""
    table = world.scheduler.tasks
    pending = [t for t in table.living() if table.status[t] is TaskStatus.PENDING]
    return world.round(running(*pending))


def test_a_service_starts_its_tasks_over_zones_and_then_instances():
    world = driven("aab")
    (start,) = world.round(create(4))
    assert start.service == "web"
    assert Counter(start.instances) == {2: 2, 0: 1, 1: 1}


def test_a_service_takes_the_strategy_that_it_names():
    world = driven("aab")
    (start,) = world.round(create(3, placement_strategy=BINPACK))
    assert start.instances == (0, 0, 0)


def test_a_task_that_ends_is_replaced():
    world = driven()
    world.round(create(2))
    settle(world)
    (start,) = world.round(stopped(0))
    assert start.tasks == (2,)
    assert living(world) == [1, 2]


def test_tasks_that_die_with_their_instance_are_replaced_elsewhere_in_the_same_round():
    world = driven("ab")
    world.round(create(2))
    settle(world)
    lost, start = world.round(gone(0))
    assert lost.stop_code is StopCode.INFRASTRUCTURE_HEALTH
    assert start.instances == (1,)
    assert not world.violations()


def test_a_service_that_is_short_gets_its_task_as_soon_as_there_is_room():
    world = driven("a", cpu=256)
    start, complaint = world.round(create(2))
    assert start.instances == (0,)
    assert complaint.failure.reason == "RESOURCE:CPU"
    assert "unable to place a task" in complaint.text
    assert texts(settle(world)) == [], "the same complaint is not repeated"
    assert world.places(world.round(instance(1))) == [1]
    assert not world.violations()


def test_a_service_complains_again_when_the_reason_is_another():
    world = driven("a", cpu=256)
    world.round(create(2))
    assert texts(world.round(gone(0)))
    assert world.scheduler.services["web"].complaint == "NO ACTIVE INSTANCES"


def test_scaling_out_starts_what_is_missing():
    world = driven()
    world.round(create(1))
    (start,) = world.round(m.UpdateService("web", 3))
    assert start.tasks == (1, 2)


def test_scaling_in_by_spread_leaves_zones_and_instances_balanced():
    world = driven("aab")
    world.round(create(6))
    settle(world)
    assert Counter(world.scheduler.tasks.instance) == {2: 3, 0: 2, 1: 1}
    (stop,) = of(m.StopTasks, world.round(m.UpdateService("web", 3)))
    assert stop.stop_code is StopCode.SERVICE_SCHEDULER_INITIATED
    assert stop.reason == "Scaling activity initiated by (deployment ecs-svc/1)"
    # One task less in each zone by turns, and in zone a from the fuller instance first.
    left = Counter(world.scheduler.tasks.instance[task] for task in living(world))
    zones = Counter("aab"[number] for number in left.elements())
    assert sorted(zones.values()) == [1, 2]
    assert left[0] <= 1
    assert not world.violations()


def test_scaling_in_by_binpack_empties_the_instance_with_most_left():
    world = driven("ab")
    world.round(create(5, placement_strategy=BINPACK))
    settle(world)
    (stop,) = of(m.StopTasks, world.round(m.UpdateService("web", 4)))
    assert [world.scheduler.tasks.instance[task] for task in stop.tasks] == [1]


def test_scaling_in_frees_the_room_for_others_in_the_same_round():
    world = driven("a", cpu=512)
    world.round(create(2))
    commands = world.round(m.UpdateService("web", 1), m.RunTask(0, "app", 1))
    assert [type(c).__name__ for c in commands] == ["StopTasks", "StartTasks"]
    assert not world.violations()


def test_scaling_to_nothing_stops_everything():
    world = driven()
    world.round(create(3))
    settle(world)
    (stop,) = of(m.StopTasks, world.round(m.UpdateService("web", 0)))
    assert sorted(stop.tasks) == [0, 1, 2]
    assert living(world) == []


def test_a_running_task_on_a_draining_instance_stops_only_when_its_replacement_runs():
    world = driven("ab")
    world.round(create(2))
    settle(world)
    (start,) = world.round(draining(0))
    assert start.instances == (1,)
    (stop, *_) = world.round(running(*start.tasks))
    assert stop.tasks == (0,)
    assert len(living(world)) == 2
    assert not world.violations()


def test_a_pending_task_on_a_draining_instance_stops_at_once():
    world = driven("ab")
    world.round(create(2))
    commands = world.round(draining(0))
    assert of(m.StopTasks, commands)[0].tasks == (0,)
    assert world.places(commands) == [1]


def test_draining_everything_leaves_the_running_tasks_where_they_are():
    world = driven("ab")
    world.round(create(2))
    settle(world)
    commands = world.round(draining(0, 1))
    assert not of(m.StopTasks, commands)
    assert len(living(world)) == 2


def test_instances_set_active_again_leave_no_more_tasks_than_desired():
    world = driven("abc")
    world.round(create(3))
    settle(world)
    world.round(draining(0))
    world.round(m.UpdateContainerInstancesState((0,), "ACTIVE"))
    assert len(living(world)) == 3
    assert not world.violations()


def test_an_instance_that_drains_and_registers_again_leaves_no_more_tasks_than_desired():
    world = driven("abc")
    world.round(create(3))
    settle(world)
    world.round(draining(0))
    world.round(instance(0, zone="a"))
    assert len(living(world)) == 3
    assert not world.violations()


def test_a_drain_never_takes_a_service_over_twice_its_count():
    world = driven("abcd")
    world.round(create(4))
    settle(world)
    world.round(draining(0, 1, 2))
    assert len(living(world)) == 7
    world.round(m.UpdateService("web", 2))
    assert len(living(world)) <= 4
    assert not world.violations()


def test_the_steady_state_is_told_once():
    world = driven()
    world.round(create(2))
    steady = "(service web) has reached a steady state."
    assert texts(world.round(running(0))) == []
    completed = "(service web) (deployment ecs-svc/1) deployment completed."
    assert texts(world.round(running(1))) == [completed, steady]
    assert texts(world.round(instance(4))) == []
    start = of(m.StartTasks, world.round(stopped(0)))[0]
    assert texts(world.round(running(*start.tasks))) == [steady]


def test_distinct_instances_hold_within_a_service_and_not_between_two():
    world = driven("ab")
    start, complaint = world.round(create(3, placement_constraints=DISTINCT))
    assert sorted(start.instances) == [0, 1]
    assert complaint.failure.reason.startswith("DistinctInstance")
    other = m.CreateService("api", "app", 2, placement_constraints=DISTINCT)
    assert sorted(world.places(world.round(other))) == [0, 1]
    assert not world.violations()


def test_a_stopping_task_of_a_group_is_no_longer_counted_for_distinct_instance():
    world = driven("a")
    world.round(create(1, placement_constraints=DISTINCT))
    settle(world)
    stop, start = world.round(m.StopTask((0,)))
    assert (stop.tasks, start.instances) == ((0,), (0,))


@pytest.mark.parametrize("strategy", ["random", "spread:instanceId", "binpack:memory"])
def test_every_strategy_keeps_the_count_through_scaling(strategy):
    kind, _, field = strategy.partition(":")
    world = driven("aabbc")
    world.round(create(2, placement_strategy=(PlacementStrategy(kind, field or None),)))
    for count in (9, 4, 0, 20, 1):
        world.round(m.UpdateService("web", count))
        assert len(living(world)) == count
    assert not world.violations()
