"""DAEMON services: one task on every eligible instance, first to start and last to stop."""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.placement.scheduler.services import services
from stowplan.placement.scheduler.services.daemons import plan_daemon
from tests.driving import (
    Driven,
    definition,
    draining,
    gone,
    instance,
    member_of,
    of,
    run_task,
    running,
    stopped,
)

DAEMON = m.CreateService("agent", "log", scheduling_strategy="DAEMON")


def driven(*instances: m.InstanceRegistered) -> Driven:
    world = Driven()
    world.round(definition(), definition("log", cpu=512), *instances)
    return world


def hosts(world: Driven) -> list[int]:
    table = world.scheduler.tasks
    return sorted(table.instance[task] for task in world.scheduler.services["agent"].tasks)


def test_a_daemon_runs_one_task_on_every_instance():
    world = driven(instance(0), instance(1), instance(2))
    assert world.places(world.round(DAEMON)) == [0, 1, 2]
    assert world.places(world.round()) == []
    assert world.violations() == []


def test_a_daemon_keeps_to_instances_that_meet_its_constraints():
    world = driven(instance(0, zone="a"), instance(1, zone="b"))
    only_b = member_of("attribute:ecs.availability-zone == b")
    world.round(
        m.CreateService("agent", "log", placement_constraints=only_b, scheduling_strategy="DAEMON")
    )
    assert hosts(world) == [1]


def test_a_new_instance_gets_its_daemon_before_any_other_task():
    world = driven(instance(0))
    world.round(DAEMON)
    # 1024 units: with the daemon's 512 there is room for two of the four tasks of 256.
    commands = world.round(run_task(count=6), instance(1))
    starts = of(m.StartTasks, commands)
    assert [start.service for start in starts] == ["agent", None]
    assert len(starts[1].tasks) == 4
    assert world.scheduler.cluster.remaining[:, 0].tolist() == [0, 0]


def test_a_daemon_task_that_ends_is_replaced_where_it_was():
    world = driven(instance(0), instance(1))
    world.round(DAEMON)
    world.round(running(0, 1))
    assert world.places(world.round(stopped(0))) == [0]


def test_a_daemon_on_a_draining_instance_stops_last():
    world = driven(instance(0))
    world.round(DAEMON)
    world.round(run_task())
    world.round(running(0, 1))
    assert of(m.StopTasks, world.round(draining(0))) == []
    (stop,) = of(m.StopTasks, world.round(stopped(1)))
    assert stop.tasks == (0,)
    assert world.places(world.round()) == []


def test_two_daemons_do_not_wait_for_each_other_to_leave():
    world = driven(instance(0))
    world.round(DAEMON, m.CreateService("second", "app", scheduling_strategy="DAEMON"))
    world.round(running(0, 1))
    stops = of(m.StopTasks, world.round(draining(0)))
    assert sorted(task for stop in stops for task in stop.tasks) == [0, 1]


def test_a_daemon_task_leaves_an_instance_that_no_longer_meets_the_constraints():
    stack = member_of("attribute:stack == prod")
    world = driven(instance(0, attributes={"stack": "prod"}))
    world.round(
        m.CreateService("agent", "log", placement_constraints=stack, scheduling_strategy="DAEMON")
    )
    world.round(running(0))
    (stop,) = of(m.StopTasks, world.round(instance(0, attributes={"stack": "test"})))
    assert stop.tasks == (0,)


def test_a_daemon_that_finds_no_room_on_an_instance_says_why():
    world = driven(instance(0), instance(1, cpu=256))
    (event,) = of(m.ServiceEvent, world.round(DAEMON))
    assert event.failure is not None
    assert event.failure.reason == "RESOURCE:CPU"
    assert hosts(world) == [0]


def test_a_daemon_starts_nothing_where_the_agent_is_away_and_loses_nothing_there():
    world = driven(instance(0), instance(1))
    world.round(m.AgentConnectionChanged((1,), False))
    world.round(DAEMON)
    assert hosts(world) == [0]
    world.round(m.AgentConnectionChanged((0, 1), True))
    assert hosts(world) == [0, 1]
    world.round(gone(1))
    assert hosts(world) == [0]


def test_a_daemon_is_steady_when_every_eligible_instance_runs_it():
    world = driven(instance(0), instance(1))
    world.round(DAEMON)
    (_, event) = of(m.ServiceEvent, world.round(running(0, 1)))
    assert event.text == "(service agent) has reached a steady state."


def test_a_daemon_starts_as_soon_as_another_task_makes_room():
    world = driven(instance(0))
    world.round(run_task(count=3))
    world.round(running(0, 1, 2))
    assert world.places(world.round(DAEMON)) == []
    assert world.places(world.round(stopped(0))) == [0]


def test_daemons_are_not_planned_anew_for_what_others_do(monkeypatch):
    world, plans = driven(instance(0), instance(1)), []
    world.round(DAEMON)
    world.round(running(0, 1))
    monkeypatch.setattr(services, "plan_daemon", lambda *a: plans.append(a) or plan_daemon(*a))
    world.round(run_task(count=2))
    world.round(running(2, 3))
    world.round(stopped(2))
    assert plans == []
    world.round(draining(1))
    assert len(plans) == 1
