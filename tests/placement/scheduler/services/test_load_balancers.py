"""Load balancers: when a task counts as healthy, when it is replaced, and how it drains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stowplan.placement import messages as m
from stowplan.placement.audit.balancer_rules import target_state
from stowplan.placement.scheduler.services.targets import target_health
from tests.driving import Driven, definition, gone, instance, of, running, stopped

SECOND = 1000
BALANCER = m.LoadBalancer()


def web(count=2, definition_fields=None, **fields) -> Driven:
    """A service behind a load balancer whose tasks began to run at 0 s."""
    world = Driven()
    balancer = m.LoadBalancer(**fields.pop("balancer", {}))
    call = m.CreateService("web", "app", count, load_balancer=balancer, **fields)
    world.round(definition(), instance(0, 4096), instance(1, 4096))
    world.round(call)
    world.round(running(*range(count)))
    return world


def stops(commands) -> list[tuple[tuple[int, ...], int | None]]:
    return [(each.tasks, each.not_before_ms) for each in of(m.StopTasks, commands)]


# --- the verdict on a target ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "healthy_s", "unhealthy_s"),
    [
        ({}, 35, None),  # registered after 5 s, one check 30 s later
        ({"initial_threshold": 5}, 155, None),
        ({"ready_after_ms": 40 * SECOND}, 65, None),  # it fails one check, passes the second
        # It fails two, and needs five in a row to come back.
        ({"ready_after_ms": 90 * SECOND}, 5 + 7 * 30, 65),
        ({"ready_after_ms": None}, None, 65),
        ({"ready_after_ms": None, "grace_period_ms": 120 * SECOND}, None, 120),
        # Healthy before the grace period ends: nobody ever hears that it was not.
        ({"ready_after_ms": 90 * SECOND, "grace_period_ms": 600 * SECOND}, 215, None),
    ],
)
def test_a_target_is_healthy_after_the_checks_that_it_needs(fields, healthy_s, unhealthy_s):
    found = target_health(m.LoadBalancer(**fields))
    assert found.healthy_ms == (None if healthy_s is None else healthy_s * SECOND)
    assert found.unhealthy_ms == (None if unhealthy_s is None else unhealthy_s * SECOND)


@given(
    st.builds(
        m.LoadBalancer,
        registration_ms=st.integers(0, 20_000),
        health_check_interval_ms=st.integers(5_000, 40_000),
        initial_threshold=st.integers(1, 5),
        healthy_threshold=st.integers(2, 6),
        unhealthy_threshold=st.integers(2, 6),
        grace_period_ms=st.sampled_from([0, 30_000, 300_000]),
        ready_after_ms=st.one_of(st.none(), st.integers(0, 300_000)),
    ),
    st.integers(0, 900_000),
)
def test_the_audit_which_plays_check_by_check_agrees(balancer, age_ms):
    verdict = target_health(balancer)
    said = target_state(balancer, age_ms)
    healthy = verdict.healthy_ms is not None and age_ms >= verdict.healthy_ms
    sick = verdict.unhealthy_ms is not None and age_ms >= verdict.unhealthy_ms and not healthy
    if healthy:
        assert said is True or age_ms < balancer.grace_period_ms
    assert (said is False) == sick


# --- what the service makes of it -----------------------------------------------------------------


def test_a_deployment_waits_for_the_target_and_not_for_40_s():
    world = web(maximum_percent=150)
    world.round(at_ms=100 * SECOND)
    world.round(m.UpdateService("web", force_new_deployment=True))
    began = world.now_ms
    world.round(running(2))
    ran = world.now_ms
    assert world.scheduler.deadline_ms == ran + 35 * SECOND > began
    assert not stops(world.round(at_ms=ran + 35 * SECOND - 1))
    due = ran + 35 * SECOND
    assert stops(world.round(at_ms=due)) == [((0,), due + 300 * SECOND)]


def test_a_task_that_drains_counts_for_maximum_percent():
    world = web(maximum_percent=150)
    world.round(at_ms=100 * SECOND)
    world.round(m.UpdateService("web", force_new_deployment=True))
    world.round(running(2))
    commands = world.round(at_ms=world.now_ms + 35 * SECOND)
    assert stops(commands)
    assert not of(m.StartTasks, commands)
    assert [each.tasks for each in of(m.StartTasks, world.round(stopped(0)))] == [(3,)]


def test_a_steady_state_is_reached_when_the_last_target_has_drained():
    world = web()
    world.round(at_ms=100 * SECOND)
    world.round(m.UpdateService("web", 1))
    service = world.scheduler.services["web"]
    assert len(service.tasks) == 1
    assert not service.is_complete
    said = of(m.ServiceEvent, world.round(stopped(1)))
    assert any("steady state" in each.text for each in said)


def test_the_stop_of_a_task_that_never_ran_does_not_wait():
    world = Driven()
    world.round(definition(), instance(0))
    world.round(m.CreateService("web", "app", 1, load_balancer=BALANCER))
    assert stops(world.round(m.UpdateService("web", 0))) == [((0,), None)]


def test_the_stop_by_a_user_drains_as_well():
    world = web()
    assert stops(world.round(m.StopTask((0,)))) == [((0,), world.now_ms + 300 * SECOND)]


def test_a_task_that_drains_and_dies_with_its_instance_counts_no_longer():
    world = web()
    row = world.scheduler.tasks.instance[0]
    world.round(m.StopTask((0,)))
    assert world.scheduler.services["web"].leaving
    world.round(gone(row))
    assert not world.scheduler.services["web"].leaving


def test_a_task_whose_target_never_passes_is_replaced_after_the_grace_period():
    world = web(balancer={"ready_after_ms": None, "grace_period_ms": 120 * SECOND})
    ran = world.now_ms
    assert not of(m.StartTasks, world.round(at_ms=ran + 119 * SECOND))
    commands = world.round(at_ms=ran + 120 * SECOND)
    assert [each.tasks for each in of(m.StartTasks, commands)] == [(2, 3)]
    assert world.scheduler.services["web"].primary.failed_tasks == 2


def test_with_a_health_check_both_must_be_good():
    world = Driven()
    check = {"command": ["CMD", "true"]}
    container = {"name": "c", "image": "i", "cpu": 256, "memory": 128, "healthCheck": check}
    able = {"ecs.capability.container-health-check": ""}
    host = instance(0, 4096, attributes=able)
    world.round(definition(containerDefinitions=[container]), host)
    world.round(m.CreateService("web", "app", 1, load_balancer=BALANCER))
    world.round(running(0))
    service = world.scheduler.services["web"]
    world.round(m.TasksHealthChanged(True, (0,)))
    assert 0 in service.unproven
    world.round(at_ms=world.now_ms + 60 * SECOND)
    assert 0 not in service.unproven


@pytest.mark.parametrize("end", [stopped(0, 1), gone(0, 1)], ids=["stopped", "lost"])
def test_tasks_of_a_deleted_service_drain_to_their_end_and_its_name_is_free_then(end):
    world = web()
    assert stops(world.round(m.DeleteService("web", force=True)))
    world.round(end)
    assert "web" not in world.scheduler.services
    world.round(instance(2, 4096), m.CreateService("web", "app", 1))
    assert list(world.scheduler.services["web"].tasks) == [2]
    assert not world.violations()


def test_the_audit_takes_the_replacing_of_sick_targets_for_no_balancing_of_zones():
    sick = {"ready_after_ms": None, "grace_period_ms": 120 * SECOND}
    world = web(balancer=sick, availability_zone_rebalancing=True)
    ran = world.now_ms
    assert of(m.StartTasks, world.round(at_ms=ran + 120 * SECOND))
    assert not world.violations()
