"""The simulated world by itself: it carries out commands and reports facts, each in its time."""

from __future__ import annotations

import pytest

from stowplan.placement import messages as m
from stowplan.placement.callers.autoscaling import Autoscaler, LoadCurve, TargetTracking
from stowplan.placement.callers.callers import Callers
from stowplan.placement.callers.client import RESUBMIT, RETRY, Arrival, RetryPolicy
from stowplan.placement.chance import stream
from stowplan.placement.loop import Attended, run_loop
from stowplan.placement.model import AVAILABILITY_ZONE, StopCode, TaskStatus
from stowplan.placement.reasons import Failure
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.scenario.models import Models
from stowplan.placement.scenario.scenario import InstanceSpec
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.sim.driver import SimDriver
from tests.driving import definition, run_task

RUNNING, STOPPED = TaskStatus.RUNNING, TaskStatus.STOPPED


def models(boot="0ms", start="100ms", stop="50ms") -> Models:
    """Constant times."""
    times = {"boot": boot, "start": start, "stop": stop}
    return Models.model_validate({name: {"mean": value} for name, value in times.items()})


def spec(number: int, zone: str = "a", at_ms: int = 0, **attributes) -> InstanceSpec:
    return InstanceSpec(
        f"i-{number}",
        at_ms,
        {"CPU": 1024, "MEMORY": 1024},
        {AVAILABILITY_ZONE: zone, **attributes},
        1,
        None,
    )


def driver(
    *arrivals: Arrival, fleet=(), until_ms=1_000_000, seed=1, autoscaler=None, **options
) -> Attended:
    """The world and its callers."""
    options.setdefault("models", models())
    world = SimDriver(
        fleet or [spec(0)],
        until_ms=until_ms,
        seed=seed,
        run_ms=lambda request: callers.run_ms(request),
        **options,
    )
    rng = stream(seed, "client")
    callers = Callers(arrivals, rng, autoscaler=autoscaler, admits=world.admits)
    return Attended(world, callers)


def job(request=0, at_ms=0, run_ms=None, **fields) -> Arrival:
    return Arrival(at_ms, run_task(request, count=fields.pop("count", 1)), run_ms, **fields)


def start(*tasks, request=0, on=0) -> m.StartTasks:
    return m.StartTasks("app:1", "g", tasks, (on,) * len(tasks), request=request)


def stop(*tasks) -> m.StopTasks:
    return m.StopTasks(tasks, StopCode.USER_INITIATED, "enough")


def news(world: Attended, until: type | None = None) -> list[tuple[int, m.Event]]:
    """(ms, event) of everything that happens when nobody acts."""
    log = []
    while (events := world.wait(None)) is not None:
        log += [(world.now_ms(), event) for event in events]
    return log


def changes(world: Attended) -> list[tuple[int, TaskStatus, tuple[int, ...]]]:
    return [(at, e.status, e.tasks) for at, e in news(world) if isinstance(e, m.TasksChanged)]


# --- time --------------------------------------------------------------------------------------


def test_what_happens_in_one_instant_is_told_at_once_and_the_clock_stands_there():
    world = driver(job(0, 5), job(1, 5), job(2, 9), fleet=[spec(0), spec(1), spec(2, at_ms=5)])
    batches = []
    while (events := world.wait(None)) is not None:
        batches.append((world.now_ms(), len(events)))
    assert batches == [(0, 2), (5, 3), (9, 1)]


def test_the_clock_stops_at_the_deadline_with_no_news():
    world = driver(job(0, 100))
    world.wait(None)
    assert world.wait(40) == []
    assert world.now_ms() == 40
    assert world.wait(40) == []
    assert [type(e) for e in world.wait(100)] == [m.RunTask]


def test_news_at_the_deadline_itself_is_told():
    world = driver(job(0, 100))
    world.wait(None)
    (event,) = world.wait(100)
    assert (world.now_ms(), event.request) == (100, 0)


def test_nothing_follows_when_all_is_told_or_when_the_run_is_over():
    world = driver(job(0, 100), until_ms=100)
    assert len(news(world)) == 2
    assert world.wait(None) is None
    early = driver(job(0, 100), until_ms=99)
    assert [type(e) for _, e in news(early)] == [m.InstanceRegistered]
    assert early.wait(500) is None, "a deadline after the end is never reached"


# --- instances ---------------------------------------------------------------------------------


def test_instances_register_when_they_have_booted_numbered_in_that_order():
    fleet = [spec(0, at_ms=500), spec(1), spec(2, at_ms=100)]
    world = driver(fleet=fleet, models=models(boot="2s"))
    told = [(at, e.instance, e.ec2_instance_id) for at, e in news(world)]
    assert told == [(0, 0, "i-1"), (2100, 1, "i-2"), (2500, 2, "i-0")], "the first one is up"


def test_a_registration_says_what_the_instance_is():
    world = driver(fleet=[InstanceSpec("i-7", 0, {"CPU": 5}, {"stack": "prod"}, 9, "cp")])
    ((_, event),) = news(world)
    assert event == m.InstanceRegistered(
        0, "i-7", {"CPU": 5}, {"stack": "prod"}, 9, capacity_provider="cp"
    )


def test_ecs_learns_of_a_lost_zone_only_when_it_is_detected():
    fault = Fault(kind="zone-loss", zone="b", at="1s", detect="60s")
    fleet = [spec(0, "a"), spec(1, "b"), spec(2, "b"), spec(3, "b", at_ms=30_000)]
    log = [
        x for x in news(driver(fleet=fleet, faults=[fault])) if isinstance(x[1], m.InstancesGone)
    ]
    # The one that was launched after the loss lives.
    assert log == [(61_000, m.InstancesGone((1, 2), since_ms=1_000))]


def test_tasks_on_a_dead_instance_say_nothing_more():
    fault = Fault(kind="zone-loss", zone="a", at="1s", detect="60s")
    world = driver(job(0, run_ms=5_000), faults=[fault])
    world.wait(None)
    world.execute(start(0))
    assert changes(world) == [(100, RUNNING, (0,))]


def test_a_drain_names_the_instances_that_match_and_live():
    faults = [
        Fault(kind="zone-loss", zone="b", at="1s", detect="0s"),
        Fault(kind="drain", instances="attribute:stack == old", at="2s"),
    ]
    fleet = [spec(0, "a"), spec(1, "a", stack="old"), spec(2, "b", stack="old")]
    log = news(driver(fleet=fleet, faults=faults))
    assert (2_000, m.UpdateContainerInstancesState((1,), "DRAINING")) in log


def test_a_drain_that_matches_nobody_is_not_told():
    fault = Fault(kind="drain", instances="attribute:stack == old", at="2s")
    assert len(news(driver(faults=[fault]))) == 1


# --- tasks -------------------------------------------------------------------------------------


def test_a_task_starts_runs_and_ends_after_the_time_of_its_workload():
    world = driver(job(0, run_ms=2_000))
    world.wait(None)
    world.execute(start(0))
    log = news(world)
    assert [(at, e.status) for at, e in log] == [(100, RUNNING), (2_100, STOPPED)]
    assert log[1][1].stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED
    assert log[1][1].reason == "Essential container in task exited"


def test_tasks_that_change_together_are_reported_together():
    world = driver(job(0, run_ms=2_000, count=2))
    world.wait(None)
    world.execute(start(0, 1))
    assert changes(world) == [(100, RUNNING, (0, 1)), (2_100, STOPPED, (0, 1))]


def test_a_task_without_a_run_time_and_a_task_of_a_service_run_until_they_are_stopped():
    world = driver(job(0))
    world.wait(None)
    world.execute(start(0))
    world.execute(m.StartTasks("app:1", "g", (1,), (0,), service="web"))
    assert changes(world) == [(100, RUNNING, (0, 1))]
    world.execute(stop(0, 1))
    assert changes(world) == [(150, STOPPED, (0, 1))]


def test_a_stopped_task_ends_with_the_reason_of_the_stop():
    world = driver(job(0, run_ms=9_000))
    world.wait(None)
    world.execute(start(0))
    world.wait(None)
    world.execute(stop(0))
    ((at, event),) = news(world)
    assert (at, event.stop_code, event.reason) == (150, StopCode.USER_INITIATED, "enough")


def test_a_task_that_is_stopped_before_it_runs_never_runs():
    world = driver(job(0, run_ms=1_000), models=models(start="100ms", stop="500ms"))
    world.wait(None)
    world.execute(start(0))
    world.execute(stop(0))
    assert changes(world) == [(500, STOPPED, (0,))]


def test_a_task_that_ends_by_itself_while_it_stops_ends_once():
    world = driver(job(0, run_ms=60), models=models(stop="1s"))
    world.wait(None)
    world.execute(start(0))
    world.wait(None)
    world.execute(stop(0))
    assert changes(world) == [(160, STOPPED, (0,))]


def test_no_time_at_all_still_means_running_before_stopped():
    world = driver(job(0, run_ms=0), models=models(start="0ms"))
    world.wait(None)
    world.execute(start(0))
    assert changes(world) == [(0, RUNNING, (0,)), (0, STOPPED, (0,))]


@pytest.mark.parametrize("twice", [start(0), stop(0)], ids=["start", "stop"])
def test_the_same_command_again_changes_nothing(twice):
    def run(times):
        world = driver(job(0, run_ms=2_000))
        world.wait(None)
        world.execute(start(0))
        for _ in range(times):
            world.execute(twice)
        return changes(world)

    assert run(2) == run(1)


def test_a_start_repeated_after_the_end_changes_nothing():
    world = driver(job(0, run_ms=10))
    world.wait(None)
    world.execute(start(0))
    assert len(changes(world)) == 2
    world.execute(start(0))
    assert changes(world) == []


def test_a_stop_of_a_task_that_has_ended_is_ignored():
    world = driver(job(0, run_ms=10))
    world.wait(None)
    world.execute(start(0))
    news(world)
    world.execute(stop(0))
    assert news(world) == []


# --- the client --------------------------------------------------------------------------------


def test_a_failed_request_is_made_again_by_the_client():
    world = driver(job(0, count=3, retry=RetryPolicy(first_ms=1_000)))
    world.wait(None)
    world.execute(m.RunTaskFailed(0, 2, Failure("RESOURCE:CPU")))
    ((at, call),) = news(world)
    assert 500 <= at <= 1_000
    assert (call.request, call.count, call.started_by) == (0, 2, RETRY)


def test_tasks_lost_with_their_instance_are_submitted_again_by_the_client():
    world = driver(job(0, run_ms=9_000, count=2, retry=RetryPolicy(resubmit_ms=700)))
    world.wait(None)
    world.execute(start(0, 1))
    world.wait(None)
    world.execute(m.TasksStopped((0, 1), StopCode.INFRASTRUCTURE_HEALTH, ""))
    ((at, call),) = news(world)
    assert (at, call.count, call.started_by) == (800, 2, RESUBMIT)


def test_tasks_of_a_service_are_no_business_of_the_client():
    world = driver()
    world.wait(None)
    world.execute(m.StartTasks("app:1", "g", (0,), (0,), service="web"))
    world.execute(m.TasksStopped((0,), StopCode.INFRASTRUCTURE_HEALTH, ""))
    assert news(world) == []


# --- the same luck for everybody ---------------------------------------------------------------


def test_start_times_depend_on_the_seed_and_not_on_other_chance():
    def starts(seed, fails):
        world = driver(job(0, count=9), until_ms=9_999, seed=seed, models=Models())
        world.wait(None)
        if fails:
            world.execute(m.RunTaskFailed(0, 1, Failure("RESOURCE:CPU")))
        world.execute(start(*range(9)))
        return [(at, e.tasks) for at, e in news(world) if isinstance(e, m.TasksChanged)]

    assert starts(1, False) == starts(1, True)
    assert starts(1, False) != starts(2, False)


def test_the_loop_runs_a_small_world_to_its_end():
    rounds: list[m.Round] = []
    arrivals = [Arrival(0, definition(cpu=1024)), job(0, run_ms=1_000, count=2)]
    scheduler = Scheduler()
    run_loop(scheduler, driver(*arrivals), rounds.append)
    assert [entry.now_ms for entry in rounds] == sorted({entry.now_ms for entry in rounds})
    # One instance for two tasks that need it whole: one after the other, by a retry.
    assert [scheduler.tasks.status[task] for task in range(2)] == [STOPPED, STOPPED]
    assert scheduler.cluster.remaining[0, 0] == 1024


# --- auto scaling of services -------------------------------------------------------------------


def test_the_autoscaler_is_asked_in_its_time_and_its_calls_are_news():
    load = LoadCurve(((0, 80.0),))
    policy = TargetTracking(load, target=10.0, min_capacity=1, max_capacity=100)
    create = Arrival(0, m.CreateService("web", "app", 4))
    world = driver(create, autoscaler=Autoscaler({"web": policy}))
    world.wait(None)
    world.execute(m.StartTasks("app:1", "g", (0, 1, 2, 3), (0,) * 4, service="web"))
    done = "(service web) (deployment 1) deployment completed."
    world.execute(m.ServiceEvent("web", done))
    calls = [(at, e) for at, e in news(world) if isinstance(e, m.UpdateService)]
    # Three minutes of twice the target; it asks for the same until tasks come.
    assert calls[0] == (180_000, m.UpdateService("web", desired_count=8))
