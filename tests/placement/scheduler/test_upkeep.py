"""Calls that end or mark parts of a cluster: what they do, and how ECS refuses them."""

from __future__ import annotations

import pytest

from stowplan.placement import messages as m
from stowplan.placement.journal import ReplayError, replay
from stowplan.placement.model import PlacementStrategy, StopCode
from stowplan.placement.scheduler.scheduler import Scheduler
from tests.driving import (
    Driven,
    definition,
    gone,
    instance,
    launched,
    member_of,
    of,
    on,
    provider,
    run_task,
    running,
    stopped,
)

WEB = m.CreateService("web", "app", 2)


def begun(*more: m.Event) -> Driven:
    """Two instances, a definition, and a service of two tasks that run."""
    world = Driven()
    world.round(definition(), instance(0), instance(1, zone="b"), WEB, *more)
    world.round(running(0, 1))
    return world


def refusal(world: Driven, call: m.Event) -> tuple[str, str]:
    """ECS's exception and its message; the call must change nothing."""
    before = world.scheduler.tasks.status.copy(), list(world.scheduler.services)
    (rejected,) = of(m.CallRejected, world.round(call))
    assert before == (world.scheduler.tasks.status, list(world.scheduler.services))
    return rejected.error, rejected.reason


def sound(world: Driven) -> Driven:
    """The journal replays, and breaks no rule."""
    replay(Scheduler(), world.rounds)
    assert world.violations() == []
    return world


# --- services ------------------------------------------------------------------------------------


def test_a_deleted_service_stops_its_tasks_and_is_draining_until_the_last_has_ended():
    world = begun()
    (stop,) = of(m.StopTasks, world.round(m.DeleteService("web", force=True)))
    assert (stop.tasks, stop.stop_code) == ((0, 1), StopCode.SERVICE_SCHEDULER_INITIATED)
    assert not world.scheduler.services
    assert refusal(world, m.UpdateService("web", 3))[0] == "ServiceNotActiveException"
    error, reason = refusal(world, WEB)
    assert (error, "still Draining" in reason) == ("InvalidParameterException", True)
    world.round(stopped(0, 1))
    assert refusal(world, m.UpdateService("web", 3))[0] == "ServiceNotFoundException"
    assert world.places(world.round(WEB)), "its name is free again"
    sound(world)


def test_a_service_with_a_count_is_deleted_by_force_only_and_a_daemon_without():
    world = begun()
    error, reason = refusal(world, m.DeleteService("web"))
    assert error == "InvalidParameterException"
    assert reason == "The service cannot be stopped while it is scaled above 0."
    world.round(m.CreateService("agent", "app", scheduling_strategy="DAEMON"))
    world.round(m.UpdateService("web", 0))
    world.round(m.DeleteService("web"), m.DeleteService("agent"))
    assert not world.scheduler.services
    assert refusal(world, m.DeleteService("web"))[0] == "ServiceNotActiveException"
    assert refusal(sound(world), m.DeleteService("none"))[0] == "ServiceNotFoundException"


def test_tasks_of_a_deleted_service_that_wait_for_capacity_are_stopped_too():
    world = Driven()
    strategy = m.CreateService("web", "app", 3, capacity_provider_strategy=on(cp=1))
    world.round(definition(), provider(), strategy)
    (found,) = of(m.TasksStopped, world.round(m.DeleteService("web", force=True)))
    assert found.tasks == (0, 1, 2)
    assert not world.scheduler.waiting
    world.round(at_ms=world.now_ms + 2_000_000)
    sound(world)


def test_what_is_heard_of_the_tasks_of_a_deleted_service_harms_nobody():
    world = begun()
    world.round(m.DeleteService("web", force=True))
    world.round(
        running(0), m.TasksHealthChanged(False, (0, 1)), m.AgentConnectionChanged((0,), False)
    )
    world.round(m.UpdateContainerInstancesState((1,), "DRAINING"), instance(1, zone="b"))
    world.round(gone(0, 1))
    sound(world)


def test_a_service_keeps_its_revision_when_the_family_gets_another():
    world = begun()
    world.round(definition(cpu=128))
    commands = world.round(m.UpdateService("web", 3))
    assert of(m.StartTasks, commands)[0].task_definition == "app:1"
    assert len(world.scheduler.services["web"].deployments) == 1
    sound(world)


# --- instances -----------------------------------------------------------------------------------


def test_an_instance_with_tasks_is_deregistered_by_force_and_its_service_starts_others():
    world = begun()
    row = world.scheduler.tasks.instance[0]
    error, reason = refusal(world, m.DeregisterContainerInstance(row))
    assert (error, reason) == ("InvalidParameterException", "Found running tasks on the instance.")
    commands = world.round(m.DeregisterContainerInstance(row, force=True))
    (stop,) = of(m.StopTasks, commands)
    assert (stop.tasks, stop.reason) == ((0,), "Container instance deregistration forced by user")
    assert world.places(commands) == [1 - row]
    assert refusal(world, m.DeregisterContainerInstance(row))[0] == "InvalidParameterException"
    assert refusal(world, m.DeregisterContainerInstance(9))[0] == "InvalidParameterException"
    world.round(m.AgentConnectionChanged((row,), True), stopped(0))
    sound(world)


def test_attributes_that_are_put_make_room_and_those_that_are_taken_end_daemons():
    world = Driven()
    constraints = member_of("attribute:rack == r1")
    world.round(
        definition(),
        instance(0),
        instance(1),
        m.CreateService("web", "app", 1, constraints),
        m.CreateService("agent", "app", 0, constraints, scheduling_strategy="DAEMON"),
    )
    assert not len(world.scheduler.tasks)
    rack = m.Attribute("rack", 1, "r1")
    assert sorted(world.places(world.round(m.PutAttributes((rack,))))) == [1, 1]
    world.round(running(0, 1))
    (stop,) = of(m.StopTasks, world.round(m.DeleteAttributes((rack,))))
    assert [world.scheduler.tasks.launch[task].service for task in stop.tasks] == ["agent"]
    sound(world)


def test_a_spread_over_an_attribute_counts_by_its_new_value():
    world = Driven()
    spread = (PlacementStrategy("spread", "attribute:rack"),)
    racks = [instance(n, attributes={"rack": "r0" if n < 2 else "r1"}) for n in range(3)]
    world.round(definition(), *racks)
    assert world.places(world.round(run_task(0, placement_strategy=spread))) == [0]
    world.round(m.PutAttributes((m.Attribute("rack", 0, "r1"),)))
    assert world.places(world.round(run_task(1, placement_strategy=spread))) == [1]
    sound(world)


@pytest.mark.parametrize(
    ("attribute", "error"),
    [
        (m.Attribute("rack", 7, "x"), "TargetNotFoundException"),
        (m.Attribute("ecs.instance-type", 0, "x"), "InvalidParameterException"),
        (m.Attribute("a b", 0, "x"), "InvalidParameterException"),
        (m.Attribute("rack", 0, "x" * 200), "InvalidParameterException"),
    ],
)
def test_attributes_that_ecs_refuses(attribute, error):
    assert refusal(begun(), m.PutAttributes((attribute,)))[0] == error


def test_an_instance_has_ten_custom_attributes_at_most():
    world = begun()
    world.round(m.PutAttributes(tuple(m.Attribute(f"a{n}", 0) for n in range(10))))
    more = m.PutAttributes((m.Attribute("a10", 0),))
    assert refusal(world, more)[0] == "AttributeLimitExceededException"
    world.round(m.DeleteAttributes((m.Attribute("a0", 0),)))
    assert not of(m.CallRejected, world.round(more))
    sound(world)


# --- task definitions ----------------------------------------------------------------------------


def test_an_inactive_revision_runs_on_and_no_call_may_name_it():
    world = begun(definition(cpu=128))
    world.round(m.DeregisterTaskDefinition("app:2"))
    for call in (run_task(0, family="app:2"), m.CreateService("x", "app:2", 1)):
        error, reason = refusal(world, call)
        assert (error, "inactive" in reason) == ("ClientException", True)
    (start,) = of(m.StartTasks, world.round(run_task(1)))
    assert start.task_definition == "app:1", "the family alone is its latest that is ACTIVE"
    world.round(m.DeregisterTaskDefinition("app:1"))
    (more,) = of(m.StartTasks, world.round(m.UpdateService("web", 3)))
    assert more.task_definition == "app:1", "a service keeps what it has"
    assert "unknown" in refusal(world, run_task(2))[1]
    for name in ("app", "app:9", "app:1"):
        assert refusal(world, m.DeregisterTaskDefinition(name))[0] == "ClientException"
    (again,) = of(m.StartTasks, world.round(definition(cpu=64), run_task(3)))
    assert again.task_definition == "app:3"
    sound(world)


# --- capacity providers --------------------------------------------------------------------------


def test_a_capacity_provider_is_updated_and_deleted_once_nothing_names_it():
    world = Driven()
    service = m.CreateService("web", "app", 1, capacity_provider_strategy=on(cp=1))
    world.round(definition(), provider(desired_capacity=1), service, launched(0))
    world.round(instance(0, capacity_provider="cp"))
    protect = m.UpdateCapacityProvider("cp", managed_termination_protection=True)
    (said,) = of(m.SetInstanceProtection, world.round(protect))
    assert (said.ec2_instance_ids, said.protected_from_scale_in) == (("i-0",), True)
    world.round(m.UpdateCapacityProvider("cp", m.ManagedScaling(50)))
    assert world.scheduler.providers.by_name["cp"].call.managed_scaling.target_capacity == 50
    bad = m.UpdateCapacityProvider("cp", m.ManagedScaling(0))
    assert refusal(world, bad)[0] == "ClientException"
    assert "web" in refusal(world, m.DeleteCapacityProvider("cp"))[1]
    world.round(m.PutClusterCapacityProviders(on(cp=1)), m.DeleteService("web", force=True))
    assert "default strategy" in refusal(world, m.DeleteCapacityProvider("cp"))[1]
    world.round(m.PutClusterCapacityProviders(()))
    world.round(m.DeleteCapacityProvider("cp"))
    assert refusal(world, m.DeleteCapacityProvider("cp"))[0] == "ClientException"
    world.round(gone(0), m.InstancesTerminated(("i-0",)), launched(1))  # its group goes on
    sound(world)


# --- tags and the cluster ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("cluster", ""),
        ("container-instance", "1"),
        ("task", "0"),
        ("service", "web"),
        ("task-definition", "app:1"),
        ("capacity-provider", "cp"),
    ],
)
def test_tags_on_what_is_there(kind, name):
    world = begun(provider())
    assert not of(m.CallRejected, world.round(m.TagResource(kind, name, (("team", "x"),))))
    assert not of(m.CallRejected, world.round(m.UntagResource(kind, name, ("team",))))
    absent = m.TagResource(kind, "none", (("team", "x"),))
    assert refusal(world, absent)[0] == "ResourceNotFoundException"
    own = m.TagResource(kind, name, (("aws:x", "x"),))
    assert refusal(world, own)[0] == "InvalidParameterException"
    many = tuple((f"k{n}", "") for n in range(50))
    world.round(m.TagResource(kind, name, many))
    one = m.TagResource(kind, name, (("one", ""),))
    assert refusal(sound(world), one)[0] == "InvalidParameterException"


def test_a_cluster_is_deleted_once_it_is_empty_and_is_not_found_from_then_on():
    world = begun()
    assert refusal(world, m.DeleteCluster())[0] == "ClusterContainsServicesException"
    world.round(m.DeleteService("web", force=True))
    world.round(stopped(0, 1))
    assert refusal(world, m.DeleteCluster())[0] == "ClusterContainsContainerInstancesException"
    world.round(m.DeregisterContainerInstance(0), m.DeregisterContainerInstance(1))
    waits = run_task(0, capacity_provider="cp")
    world.round(waits)
    assert refusal(world, m.DeleteCluster())[0] == "ClusterContainsTasksException"
    world.round(m.StopTask((2,)), m.DeleteCluster())
    for call in (run_task(1), WEB, m.DeleteCluster(), instance(2)):
        assert refusal(world, call) == ("ClusterNotFoundException", "Cluster not found.")
    assert not of(m.CallRejected, world.round(definition()))
    sound(world)


# --- overrides -----------------------------------------------------------------------------------


def test_overrides_of_containers_count_where_a_task_is_placed_and_go_with_it():
    world = Driven()
    override = m.ContainerOverride("c", ("ls",), (("A", "b"),), cpu=1000, memory=512)
    world.round(definition(cpu=256, memory=128), instance(0), instance(1, cpu=512))
    commands = world.round(run_task(0, count=2, overrides=(override,)))
    (start,) = of(m.StartTasks, commands)
    assert (start.instances, start.overrides) == ((0,), (override,))
    assert of(m.RunTaskFailed, commands)[0].failure.reason == "RESOURCE:CPU"
    left = world.scheduler.cluster.remaining[0].tolist()[:2]
    assert left == [24, 512]
    small = m.ContainerOverride("c", cpu=24, memory_reservation=64)
    (there,) = of(m.StartTasks, world.round(m.StartTask(1, "app", (0,), overrides=(small,))))
    assert there.overrides == (small,)
    sound(world)


@pytest.mark.parametrize(
    "override",
    [
        m.ContainerOverride("nobody"),
        m.ContainerOverride("c", cpu=-1),
        m.ContainerOverride("c", memory=0),
        m.ContainerOverride("c", memory_reservation=4096),
        m.ContainerOverride("c", command=("x" * 9_000,)),
    ],
)
def test_overrides_that_ecs_refuses(override):
    for call in (
        run_task(0, overrides=(override,)),
        m.StartTask(0, "app", (0,), overrides=(override,)),
    ):
        assert refusal(begun(), call)[0] == "InvalidParameterException"


def test_a_container_is_overridden_once():
    twice = (m.ContainerOverride("c", cpu=1), m.ContainerOverride("c", cpu=2))
    assert refusal(begun(), run_task(0, overrides=twice))[0] == "InvalidParameterException"


# --- older journals ------------------------------------------------------------------------------


def test_a_rejection_of_an_older_journal_which_has_no_code_replays():
    world = begun()
    world.round(m.UpdateService("none", 1))
    *before, last = world.rounds
    (rejected,) = of(m.CallRejected, last.commands)
    assert rejected.code == "ServiceNotFoundException"
    older = m.CallRejected(rejected.position, rejected.call, rejected.reason)
    assert replay(Scheduler(), [*before, m.Round(last.now_ms, last.events, (older,))]) == 3
    other = m.CallRejected(rejected.position, rejected.call, "something else")
    with pytest.raises(ReplayError):
        replay(Scheduler(), [*before, m.Round(last.now_ms, last.events, (other,))])
