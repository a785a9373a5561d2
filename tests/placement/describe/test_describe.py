"""The described state: what ECS's describe and list calls would answer, from rounds alone."""

from __future__ import annotations

import msgspec
import pytest

from stowplan.placement import messages as m
from stowplan.placement.describe import Reader
from stowplan.placement.describe.state import SNAPSHOT_FORMAT, State, of_snapshot
from stowplan.placement.model import InstanceStatus, StopCode, TaskStatus
from tests.driving import Driven, definition, draining, gone, instance, run_task, running, stopped

HOUR_MS = 3_600_000


def described(world: Driven) -> State:
    reader = Reader()
    for entry in world.rounds:
        reader(entry)
    return reader.state


def begun() -> Driven:
    """A service of two tasks, and two tasks of a user, one of which has ended."""
    world = Driven()
    web = m.CreateService("web", "app", 2)
    port = definition("job", cpu=100, host_port=8080)
    world.round(definition(), port, instance(0), instance(1), web)
    tags = (("team", "x"),)
    world.round(run_task(0, 2, "job", started_by="me", tags=tags), running(0, 1))
    world.round(running(2, 3), m.UpdateService("web", force_new_deployment=True))
    world.round(stopped(3), at_ms=60_000)
    return world


def test_tasks_say_whose_they_are_when_they_changed_and_why_they_ended():
    state = described(begun())
    ran, ended = state.tasks[2], state.tasks[3]
    assert (ran.started_by, ran.tags, ran.group) == ("me", {"team": "x"}, "family:job")
    assert (ran.created_at_ms, ran.started_at_ms, ran.stopped_at_ms) == (2_000, 3_000, None)
    assert (ended.last_status, ended.desired_status) == (TaskStatus.STOPPED, TaskStatus.STOPPED)
    assert (ended.stop_code, ended.stopped_reason) == (StopCode.ESSENTIAL_CONTAINER_EXITED, "done")
    assert ended.stopped_at_ms == 60_000


def test_an_instance_says_what_is_left_and_which_ports_are_taken():
    world = begun()
    before, after = described(Driven()), described(world)
    assert not before.instances
    left = [(each.remaining["CPU"], sorted(each.tcp)) for each in after.instances.values()]
    cluster = world.scheduler.cluster
    assert [cpu for cpu, _ in left] == cluster.remaining[:, 0].tolist()
    own = [22, 2375, 2376, 51678, 51679]
    assert sorted(len(ports) - len(own) for _, ports in left) == [0, 1]


def test_a_deployment_gives_way_to_another_and_events_are_kept_latest_first():
    world = begun()
    world.round(at_ms=120_000)
    (new, old) = described(world).services["web"].deployments
    assert (new.status, old.status, new.rollout_state) == ("PRIMARY", "ACTIVE", "IN_PROGRESS")
    assert new.pending + new.running == 2
    fresh = world.scheduler.services["web"].primary.tasks
    world.round(running(*fresh), at_ms=121_000)
    world.round(at_ms=170_000)
    service = described(world).services["web"]
    assert [each.id for each in service.deployments] == [new.id]
    assert service.deployments[0].rollout_state == "COMPLETED"
    assert "steady state" in service.events[0].text
    assert [each.number for each in service.events] == list(range(service.lines, 0, -1))


def test_what_has_ended_is_shown_for_an_hour_and_no_longer():
    world = begun()
    world.round(gone(1), m.DeleteService("web", force=True), at_ms=70_000)
    world.round(*[stopped(task) for task in range(len(world.scheduler.tasks))], at_ms=80_000)
    shown = described(world)
    assert shown.instances[1].status is InstanceStatus.INACTIVE
    assert shown.services["web"].status == "INACTIVE"
    assert all(task.last_status is TaskStatus.STOPPED for task in shown.tasks.values())
    world.round(at_ms=80_000 + HOUR_MS)
    later = described(world)
    assert (list(later.instances), later.services, later.tasks) == ([0], {}, {})
    assert later.tasks_ever == shown.tasks_ever


def test_lists_filter_as_ecs_does():
    world = begun()
    world.round(draining(1))
    state = described(world)
    numbers = [task.number for task in state.list_tasks(started_by="me")]
    assert numbers == [2]
    ended = state.list_tasks(desired_status=TaskStatus.STOPPED, family="job")
    assert [task.number for task in ended] == [3]
    assert [each.number for each in state.list_instances(InstanceStatus.DRAINING)] == [1]
    assert len(state.list_instances()) == 2
    assert [each.name for each in state.list_services("REPLICA")] == ["web"]
    assert state.list_services("DAEMON") == []
    assert state.definition("job").name == "job:1"
    assert state.definition("job:2") is None


@pytest.mark.parametrize("after", range(5))
def test_a_snapshot_goes_on_as_if_nothing_had_been(after):
    world = begun()
    world.round(gone(1), at_ms=70_000)
    world.round(at_ms=80_000 + HOUR_MS)
    first = Reader()
    for entry in world.rounds[:after]:
        first(entry)
    again = Reader(of_snapshot(first.state.snapshot()))
    for entry in world.rounds[after:]:
        again(entry)
    assert again.state == described(world)


def test_a_snapshot_of_another_version_is_not_read():
    state = described(begun())
    state.format = SNAPSHOT_FORMAT + 1
    assert of_snapshot(state.snapshot()) is None
    assert of_snapshot(msgspec.msgpack.encode({"rounds": "many"})) is None


def test_tags_and_attributes_and_what_was_deregistered_are_told():
    world = begun()
    world.round(
        m.TagResource("service", "web", (("a", "b"), ("c", "d"))),
        m.UntagResource("service", "web", ("a",)),
        m.TagResource("cluster", "", (("own", "er"),)),
        m.PutAttributes((m.Attribute("rack", 0, "r1"),)),
        m.DeregisterTaskDefinition("job:1"),
    )
    state = described(world)
    assert state.services["web"].tags == {"c": "d"}
    assert state.tags == {"own": "er"}
    assert state.instances[0].attributes["rack"] == "r1"
    record = state.definition("job:1")
    assert (record.status, record.deregistered_at_ms) == ("INACTIVE", world.now_ms)
    assert state.definition("job") is None


def test_a_provisioning_task_says_what_it_waits_for():
    world = Driven()
    world.round(definition(), instance(0, cpu=64))
    world.round(run_task(0, capacity_provider="cp"))
    (task,) = described(world).tasks.values()
    assert task.last_status is TaskStatus.PROVISIONING
    assert task.waits_for is not None
    assert task.asked.request == 0
    world.round(instance(1, capacity_provider="cp"))
    (task,) = described(world).tasks.values()
    assert (task.instance, task.asked, task.waits_for) == (1, None, None)


def test_a_task_that_was_to_stop_ends_with_its_instance_though_nobody_tells_of_it():
    world = begun()
    row = world.scheduler.tasks.instance[0]
    world.round(m.StopTask((0,), "Task stopped by user"))
    world.round(gone(row))
    ended = described(world).tasks[0]
    assert (ended.last_status, ended.stopped_at_ms) == (TaskStatus.STOPPED, world.now_ms)
    assert (ended.stop_code, ended.stopped_reason) == (
        StopCode.USER_INITIATED,
        "Task stopped by user",
    )
    # In the same round, too.
    other = begun()
    other.round(m.StopTask((0,), "now"), gone(row))
    assert described(other).tasks[0].last_status is TaskStatus.STOPPED


def test_a_roll_back_is_to_what_the_service_has_from_then_on():
    world, reader = Driven(), Reader()
    world.round(definition(cpu=10), definition("bad", cpu=10), instance(0))
    breaker = m.CircuitBreaker(rollback=True)
    world.round(m.CreateService("web", "app", 1, circuit_breaker=breaker))
    world.round(running(0))
    world.round(m.UpdateService("web", task_definition="bad"), at_ms=100_000)
    for task in (1, 2, 3):
        world.round(stopped(task), at_ms=200_000 * task)
        world.round(at_ms=200_000 * task + 100_000)
    world.round(m.UpdateService("web", 2), at_ms=2_000_000)
    for entry in world.rounds:
        reader(entry)
    service = reader.state.services["web"]
    assert service.call.task_definition == "app:1"
    assert [each.id for each in service.deployments] == ["ecs-svc/1"]
    assert reader.state.deployments_ever == 2
