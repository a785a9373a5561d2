"""The scheduler, round by round: what it answers to calls and facts, and what it then does."""

from __future__ import annotations

import pytest

from stowplan.placement import messages as m
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import PlacementConstraint, PlacementStrategy, StopCode
from stowplan.placement.reasons import PROVISIONING_QUOTA
from stowplan.placement.scheduler.scheduler import SchedulerConfig
from stowplan.placement.scheduler.waiting import WaitingTasks
from stowplan.placement.testing import make_kind
from tests.driving import (
    DISTINCT,
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

PROVIDER = {"capacity_provider": "cp"}


def driven(*instances: m.InstanceRegistered, **config) -> Driven:
    """A scheduler that knows a task of 256 units, and these instances."""
    world = Driven(SchedulerConfig(**config))
    world.round(definition(), *instances)
    return world


# --- single tasks ------------------------------------------------------------------------------


def test_no_queue_is_left_of_tasks_that_waited():
    waiting = WaitingTasks(quota=2, timeout_ms=None)
    waiting.add(make_kind(1), [0, 1], now_ms=0)
    waiting.add(make_kind(2), [], now_ms=0)
    assert waiting.counts() == [(make_kind(1), 2)]
    waiting.remove(make_kind(1), 1)
    assert waiting.counts() == [(make_kind(1), 1)]
    waiting.remove(make_kind(1), 0)
    assert waiting.counts() == []


def test_a_request_starts_as_many_tasks_as_fit_and_fails_for_the_rest():
    world = driven(instance(0, cpu=512))
    started, failed = world.round(run_task(7, count=3))
    assert (started.request, started.tasks, started.instances) == (7, (0, 1), (0, 0))
    assert (failed.request, failed.count) == (7, 1)
    assert (failed.failure.reason, failed.failure.rejected) == (
        "RESOURCE:CPU",
        (("RESOURCE:CPU", 1),),
    )
    assert not world.violations()


def test_a_failed_task_is_forgotten_and_not_started_when_room_appears():
    world = driven()
    assert of(m.RunTaskFailed, world.round(run_task()))
    assert world.round(instance(0)) == ()


def test_requests_of_a_round_are_served_in_the_order_of_the_calls():
    world = driven(instance(0, cpu=256))
    commands = world.round(run_task(1), run_task(2))
    assert [type(c).__name__ for c in commands] == ["StartTasks", "RunTaskFailed"]
    assert [c.request for c in commands] == [1, 2]


def test_facts_of_a_round_count_before_its_calls_whatever_their_order():
    world = driven()
    assert world.places(world.round(run_task(), instance(0))) == [0]


def test_room_is_free_as_soon_as_a_stop_is_issued():
    world = driven(instance(0, cpu=256))
    world.round(run_task(1))
    stop, start = world.round(m.StopTask((0,)), run_task(2))
    assert (stop.tasks, stop.stop_code) == ((0,), StopCode.USER_INITIATED)
    assert (start.tasks, start.instances) == ((1,), (0,))


def test_room_is_free_when_a_task_ends_by_itself():
    world = driven(instance(0, cpu=256))
    world.round(run_task(1))
    assert world.places(world.round(stopped(0), run_task(2))) == [0]


def test_a_stop_and_the_report_of_it_give_the_resources_back_once():
    world = driven(instance(0))
    world.round(run_task())
    world.round(m.StopTask((0, 0)))
    assert world.round(m.StopTask((0,))) == ()
    world.round(stopped(0), stopped(0))
    world.round(gone(0))
    assert not world.violations()


def test_reports_of_the_past_change_nothing():
    world = driven(instance(0))
    world.round(run_task())
    world.round(running(0))
    world.round(m.StopTask((0,)))
    world.round(stopped(0))
    assert world.round(running(0), stopped(0)) == ()


def test_tasks_of_an_instance_that_is_gone_are_stopped_with_the_reason_of_ecs():
    world = driven(instance(0), instance(1))
    world.round(run_task(count=2))
    (notice,) = world.round(gone(0))
    assert (notice.tasks, notice.stop_code) == ((0, 1), StopCode.INFRASTRUCTURE_HEALTH)
    assert notice.reason == "Host EC2 (instance i-0) terminated"
    assert world.places(world.round(run_task(1))) == [1]


def test_a_task_that_was_stopping_when_its_instance_went_is_not_reported_lost():
    world = driven(instance(0))
    world.round(run_task())
    world.round(m.StopTask((0,)))
    assert world.round(gone(0)) == ()


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (draining(0), "DRAINING"),
        (m.AgentConnectionChanged((0,), False), "AGENT"),
        (gone(0), "NO ACTIVE INSTANCES"),
    ],
)
def test_an_instance_that_drains_is_disconnected_or_gone_gets_no_task(event, reason):
    world = driven(instance(0))
    world.round(event)
    (failed,) = world.round(run_task())
    assert failed.failure.reason == reason


def test_an_instance_set_active_or_connected_again_gets_tasks_again():
    world = driven(instance(0))
    world.round(draining(0), m.AgentConnectionChanged((0,), False))
    back = m.UpdateContainerInstancesState((0,), "ACTIVE")
    world.round(back, m.AgentConnectionChanged((0,), True))
    assert world.places(world.round(run_task())) == [0]


def test_an_instance_that_registers_again_keeps_what_is_booked_on_it():
    world = driven(instance(0, cpu=512))
    world.round(run_task())
    world.round(instance(0, cpu=512))
    assert len(world.places(world.round(run_task(1, count=2)))) == 1
    assert not world.violations()


def test_an_instance_that_registers_again_with_less_takes_no_task_until_it_has_room():
    world = driven(instance(0, cpu=512))
    world.round(definition("free", cpu=0), run_task(0, count=2))
    world.round(instance(0, cpu=256))
    (failed,) = world.round(run_task(1, family="free"))
    assert failed.failure.reason == "RESOURCE:CPU"
    assert world.places(world.round(stopped(0, 1), run_task(2, family="free"))) == [0]


# --- tasks that wait ---------------------------------------------------------------------------


def test_a_task_for_a_capacity_provider_waits_and_starts_when_its_instance_comes():
    world = driven(instance(0))
    (waits,) = world.round(run_task(3, count=2, **PROVIDER))
    assert (waits.request, waits.tasks) == (3, (0, 1))
    assert waits.failure.reason == "EMPTY CAPACITY PROVIDER"
    assert world.round(instance(1)) == ()
    (start,) = world.round(instance(2, **PROVIDER))
    assert (start.request, start.tasks, start.instances) == (3, (0, 1), (2, 2))
    assert not world.violations()


def test_waiting_tasks_start_in_the_order_in_which_they_began_to_wait():
    world = driven(definition("big", cpu=512), instance(0, cpu=512, **PROVIDER))
    world.round(run_task(0, family="big", **PROVIDER))
    for request in (1, 2, 3):
        world.round(run_task(request, family="app", **PROVIDER))
    assert [c.tasks for c in of(m.StartTasks, world.round(stopped(0)))] == [(1,), (2,)]
    assert [c.tasks for c in of(m.StartTasks, world.round(stopped(1)))] == [(3,)]


def test_a_waiting_task_that_does_not_fit_lets_smaller_ones_pass():
    world = driven(definition("big", cpu=512), instance(0, cpu=256, **PROVIDER))
    world.round(run_task(0, **PROVIDER))
    world.round(run_task(1, family="big", **PROVIDER), run_task(2, **PROVIDER))
    assert [c.request for c in of(m.StartTasks, world.round(stopped(0)))] == [2]


def test_waiting_tasks_come_before_new_requests():
    world = driven(instance(0, cpu=256, **PROVIDER))
    world.round(run_task(0))
    world.round(run_task(1, **PROVIDER))
    start, failed = world.round(stopped(0), run_task(2))
    assert (start.request, failed.request) == (1, 2)


def test_a_task_that_waited_too_long_is_stopped_with_the_reason_that_holds_then():
    world = driven(provisioning_timeout_ms=60_000)
    world.round(run_task(0, **PROVIDER), at_ms=2_000)
    assert world.scheduler.deadline_ms == 62_000
    assert world.round(at_ms=61_999) == ()
    (notice,) = world.round(instance(0), at_ms=62_000)
    assert (notice.tasks, notice.stop_code) == ((0,), StopCode.TASK_FAILED_TO_START)
    assert notice.reason == "TaskFailedToStart: EMPTY CAPACITY PROVIDER"
    assert world.scheduler.deadline_ms is None
    assert world.round(instance(1, **PROVIDER), at_ms=70_000) == ()
    assert not world.violations()


def test_a_task_that_is_placed_at_its_deadline_is_not_stopped():
    world = driven(provisioning_timeout_ms=60_000)
    world.round(run_task(0, **PROVIDER), at_ms=2_000)
    (start,) = world.round(instance(0, **PROVIDER), at_ms=62_000)
    assert start.tasks == (0,)
    assert world.scheduler.deadline_ms is None


def test_without_a_timeout_a_task_waits_for_ever():
    world = driven(provisioning_timeout_ms=None)
    world.round(run_task(0, **PROVIDER))
    assert world.scheduler.deadline_ms is None


def test_the_quota_bounds_how_many_wait():
    world = driven(provisioning_quota=2)
    waits, failed = world.round(run_task(0, count=3, **PROVIDER))
    assert (waits.tasks, failed.count, failed.failure.reason) == ((0, 1), 1, PROVISIONING_QUOTA)
    world.round(m.StopTask((0,)))
    assert of(m.TasksProvisioning, world.round(run_task(1, **PROVIDER)))[0].tasks == (2,)
    assert not world.violations()


def test_without_a_quota_any_number_waits():
    world = driven(provisioning_quota=None)
    (waits,) = world.round(run_task(0, count=1_000, **PROVIDER))
    assert len(waits.tasks) == 1_000


def test_a_waiting_task_that_the_user_stops_is_stopped_at_once():
    world = driven()
    world.round(run_task(0, **PROVIDER))
    (notice,) = world.round(m.StopTask((0,), "enough"))
    assert (notice.tasks, notice.stop_code, notice.reason) == (
        (0,),
        StopCode.USER_INITIATED,
        "enough",
    )
    assert world.round(instance(0, **PROVIDER)) == ()


def test_a_waiting_task_starts_beside_the_neighbour_that_was_placed_in_the_same_round():
    world = driven(provisioning_timeout_ms=60_000)
    near = member_of("task:group == family:host")
    world.round(definition("host"), run_task(0, placement_constraints=near, **PROVIDER), at_ms=2000)
    world.round(run_task(1, family="host", **PROVIDER), at_ms=3_000)
    # At the very deadline: were it not tried again, it would be stopped for a reason that is gone.
    start = world.round(instance(0, **PROVIDER), at_ms=62_000)
    assert [c.request for c in start] == [1, 0]
    assert not world.violations()


# --- what makes no sense -----------------------------------------------------------------------

BAD_CALLS = {
    "a task definition that is none": m.RegisterTaskDefinition({"family": "x"}),
    "a task of an unknown definition": m.RunTask(0, "nobody", 1),
    "a revision that does not exist": m.RunTask(0, "app:2", 1),
    "no tasks at all": m.RunTask(0, "app", 0),
    "an unknown strategy": run_task(placement_strategy=(PlacementStrategy("luck"),)),
    "a strategy without its field": run_task(placement_strategy=(PlacementStrategy("binpack"),)),
    "six strategies": run_task(placement_strategy=(PlacementStrategy("random"),) * 6),
    "a query that does not parse": run_task(placement_constraints=member_of("attribute:x ==")),
    "eleven constraints": run_task(placement_constraints=DISTINCT * 11),
    "a stop of an unknown task": m.StopTask((99,)),
    "a stop of a task before the first": m.StopTask((-1,)),
    "a service that exists": m.CreateService("web", "app", 1),
    "a service of an unknown definition": m.CreateService("new", "nobody", 1),
    "a service with less than no tasks": m.CreateService("new", "app", -1),
    "a scale of an unknown service": m.UpdateService("nobody", 1),
    "a scale to less than no tasks": m.UpdateService("web", -1),
    "a drain of an unknown instance": draining(0, 7),
    "a drain of an instance that is gone": draining(1),
    "a status that is none": m.UpdateContainerInstancesState((0,), "TIRED"),
    "a status that is not for users": m.UpdateContainerInstancesState((0,), "INACTIVE"),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_call_that_makes_no_sense_is_rejected_and_changes_nothing(call):
    world = driven(instance(0), instance(1))
    world.round(gone(1), m.CreateService("web", "app", 1))
    world.round(running(0))
    before = world.scheduler.cluster.dump()
    (rejected,) = world.round(call)
    assert isinstance(rejected, m.CallRejected)
    assert rejected.call == call
    assert rejected.reason
    assert world.scheduler.cluster.dump() == before
    assert len(world.scheduler.tasks) == 1
    assert not world.violations()


def test_time_must_not_go_back():
    world = driven()
    with pytest.raises(AssertionError, match="time went back"):
        world.round(at_ms=0)


def test_a_strategy_and_a_constraint_of_the_users_own_are_found_by_name():
    class Last:
        def __init__(self, field):
            pass

        def keys(self, task, cluster, candidates, rng):
            return -candidates

    class Even:
        reason, volatile = "ODD", False

        def __init__(self, expression):
            pass

        def allows(self, task, cluster):
            return [row % 2 == 0 for row in range(cluster.size)]

    world = Driven(strategies={"last": Last}, constraints={"even": Even})
    world.round(definition(), *(instance(n) for n in range(4)))
    call = run_task(
        placement_strategy=(PlacementStrategy("last"),),
        placement_constraints=(PlacementConstraint("even"),),
    )
    assert world.places(world.round(call)) == [2]


def test_chance_comes_from_the_seed_alone():
    def places(seed):
        world = driven(*(instance(n) for n in range(8)), seed=seed)
        return world.places(world.round(m.RunTask(0, "app", 12)))

    assert places(1) == places(1)
    assert len({tuple(places(seed)) for seed in range(8)}) > 4


def test_an_error_of_a_call_is_an_error_that_a_user_can_cure():
    with pytest.raises(PlacementError, match="unknown task definition"):
        driven().scheduler.launches.definition("nobody")
