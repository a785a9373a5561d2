"""What the recorder says of deployments, DAEMONs and the ends of tasks."""

from __future__ import annotations

import pytest

from stowplan.experiments.record.metrics import metrics_of
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.stops import Stop
from stowplan.placement import messages as m
from stowplan.placement.model import StopCode, TaskStatus
from tests.driving import Driven, definition, draining, instance, running
from tests.experiments.record.test_availability import recorded


def web(count, **fields):
    return m.CreateService("web", "app", count, **fields)


def failed(*tasks, reason="CannotPullContainerError: no such image"):
    return m.TasksChanged(TaskStatus.STOPPED, tasks, StopCode.TASK_FAILED_TO_START, reason)


def crashed(*tasks, code=1):
    why = StopCode.ESSENTIAL_CONTAINER_EXITED, "Essential container in task exited", code
    return m.TasksChanged(TaskStatus.STOPPED, tasks, *why)


def record_of(*rounds, end_ms=100_000):
    """The recorder of (ms, events)."""
    driven = Driven()
    for at_ms, *events in rounds:
        driven.round(*events, at_ms=at_ms)
    recorder = Recorder()
    for entry in driven.rounds:
        recorder(entry)
    recorder.finish(end_ms)
    return recorder


def said(recorder):
    return [(d.state, d.ended_ms, d.waits_for) for d in recorder.deployments.records]


def test_a_deployment_is_completed_once_all_its_tasks_run():
    recorder = record_of((0, definition(), instance(0), web(2)), (9_000, running(0, 1)))
    assert said(recorder) == [("COMPLETED", 9_000, "")]
    assert recorder.deployments.records[0].seconds(100_000) == 9
    assert metrics_of(recorder)["deployments_unfinished"] == 0


RENEWED = definition(), m.UpdateService("web", task_definition="app:2")


def test_a_deployment_without_room_says_which():
    recorder = record_of(
        (0, definition(cpu=512), instance(0), web(2)),
        (1_000, running(0, 1)),
        (10_000, definition(cpu=512), m.UpdateService("web", task_definition="app:2")),
    )
    stuck = ("IN_PROGRESS", None, "room for 2 tasks: RESOURCE:CPU")
    assert said(recorder) == [("COMPLETED", 1_000, ""), stuck]
    assert recorder.deployments.records[1].seconds(100_000) == 90
    assert metrics_of(recorder)["deployments_unfinished"] == 1


def test_a_deployment_that_its_percents_hold_up_says_so():
    call = web(2, maximum_percent=100)
    recorder = record_of(
        (0, definition(), instance(0), call), (1_000, running(0, 1)), (10_000, *RENEWED)
    )
    state, _, waits = said(recorder)[1]
    assert state == "IN_PROGRESS"
    assert "maximumPercent 100" in waits
    assert "minimumHealthyPercent 100" in waits


def test_a_deployment_whose_tasks_do_not_come_up_says_what_they_wait_for():
    recorder = record_of((0, definition(), instance(0), web(3)), (1_000, running(1)))
    assert said(recorder) == [("IN_PROGRESS", None, "2 tasks to be RUNNING")]
    recorder = record_of((0, definition(), instance(0), web(1)), (1_000, failed(0)))
    ((_, _, waits),) = said(recorder)
    assert waits == (
        "1 task to start, 1 task failed so far: CannotPullContainerError: no such image"
    )


def test_old_tasks_that_may_not_stop_yet_are_waited_for():
    recorder = record_of(
        (0, definition(), instance(0), web(1)),
        (1_000, running(0)),
        (10_000, *RENEWED),
        (11_000, running(1)),
        end_ms=12_000,
    )
    assert said(recorder)[1][2] == "1 task of earlier deployments to stop"


def test_a_deployment_that_another_one_overtakes_is_superseded():
    recorder = record_of(
        (0, definition(cpu=512), instance(0), web(3)),
        (10_000, definition(), m.UpdateService("web", task_definition="app:2")),
    )
    first, second = recorder.deployments.records
    assert (first.state, first.ended_ms) == ("SUPERSEDED", 10_000)
    assert first.waits_for == "room for 1 task: RESOURCE:CPU; 2 tasks to be RUNNING"
    assert (second.deployment, second.task_definition) == ("ecs-svc/2", "app:2")


def test_a_deployment_that_failed_says_why_and_the_one_before_comes_back():
    breaker = m.CircuitBreaker(rollback=True)
    recorder = record_of(
        (0, definition(), instance(0), web(1, circuit_breaker=breaker)),
        (1_000, running(0)),
        (10_000, *RENEWED),
        (20_000, failed(1)),
        (40_000,),
        (41_000, failed(2)),
        (80_000,),
        (81_000, failed(3)),
        (90_000,),
    )
    old, new, back = recorder.deployments.records
    assert (new.state, new.failed_tasks) == ("FAILED", 3)
    assert new.waits_for.startswith("3 tasks failed to start: CannotPullContainerError")
    assert (old.state, old.began_ms, old.ended_ms) == ("COMPLETED", 0, 1_000)
    assert (back.deployment, back.state, back.began_ms) == ("ecs-svc/1", "COMPLETED", 81_000)


LOGS = m.CreateService("logs", "agent", scheduling_strategy="DAEMON")


def test_a_daemon_that_lacks_room_is_covered_in_part():
    recorder = record_of(
        (0, definition(cpu=1000), instance(0), instance(1), instance(2), web(2)),
        (50_000, definition("agent", cpu=100), LOGS),
        (60_000, running(2)),
    )
    (logs,) = recorder.daemons.coverages()
    assert (logs.eligible, logs.running, logs.lacking) == (3, 1, 2)
    assert logs.percent == pytest.approx(100 * 40 / 150)
    assert said(recorder)[1] == ("IN_PROGRESS", None, "room for 2 tasks: RESOURCE:CPU")
    row = metrics_of(recorder)
    assert (row["waiting"], row["daemons_lacking"]) == (2, 2)


def test_a_daemon_is_asked_of_active_instances_that_meet_its_constraints():
    recorder = record_of(
        (
            0,
            instance(0, attributes={"log": "y"}),
            instance(1),
            instance(2, attributes={"log": "y"}),
        ),
        (
            0,
            definition(
                "agent",
                placementConstraints=[{"type": "memberOf", "expression": "attribute:log == y"}],
            ),
            LOGS,
        ),
        (0, running(0, 1)),
        (50_000, draining(2)),
    )
    (logs,) = recorder.daemons.coverages()
    assert (logs.eligible, logs.running, logs.lacking, logs.percent) == (1, 1, 0, 100)


def test_a_dead_instance_was_not_covered_until_ecs_heard_of_it():
    recorder = record_of(
        (0, definition("agent"), instance(0), instance(1), LOGS),
        (0, running(0)),
        (60_000, m.InstancesGone((0,), since_ms=10_000)),
    )
    (logs,) = recorder.daemons.coverages()
    assert (logs.eligible_ms, logs.running_ms) == (10_000 + 100_000, 10_000)


def test_tasks_are_counted_by_how_they_ended():
    recorder = record_of(
        (0, definition(), instance(0), m.RunTask(0, "app", 4, started_by="jobs")),
        (1_000, running(0, 1, 2)),
        (2_000, crashed(0, code=0), crashed(1, code=137), failed(3)),
        (3_000, m.InstancesGone((0,))),
    )
    exited = "EssentialContainerExited", "Essential container in task exited"
    counts = {stop: (n.tasks, n.never_ran) for stop, n in recorder.stops.counts.items()}
    pull = "TaskFailedToStart", "CannotPullContainerError: no such image"
    assert counts == {
        Stop("jobs", False, *exited, 0): (1, 0),
        Stop("jobs", False, *exited, 137): (1, 0),
        Stop("jobs", False, *pull, None): (1, 1),
        Stop("jobs", False, "InfrastructureHealth", "Host EC2 terminated", None): (1, 0),
    }
    row = metrics_of(recorder)
    assert (row["finished"], row["crashed"], row["failed_to_start"]) == (1, 1, 1)
    assert [stop.failed for stop in counts] == [False, True, True, True]


def test_a_service_whose_tasks_keep_ending_is_in_a_crash_loop():
    rounds = [(0, definition(), instance(0), web(1))]
    for task in range(3):
        rounds += [(1000 * task + 100, running(task)), (1000 * task + 500, crashed(task))]
    assert record_of(*rounds).crash_loops() == {"web": (3, 1)}
    assert record_of(*rounds[:-1]).crash_loops() == {}
    # One that held out for more than ten minutes is no sign of a loop.
    assert record_of(rounds[0], (100, running(0)), (700_000, crashed(0))).stops.short == {}


FAILING = """
name = "failing"
duration = "30m"
[[fleet]]
name = "two"
instance_type = "m5.large"
count = 2
zones = ["z1"]
[task_definitions.nightly]
family = "nightly"
containerDefinitions = [
  { name = "prepare", image = "prepare", memory = 64, essential = false },
  { name = "main", image = "main", memory = 64, dependsOn = [
    { containerName = "prepare", condition = "SUCCESS" },
  ] },
]
[task_definitions.loop]
family = "loop"
containerDefinitions = [{ name = "loop", image = "loop", memory = 64 }]
[task_definitions.big]
family = "big"
containerDefinitions = [{ name = "big", image = "big", memory = 64 }]
[behaviour.nightly.prepare]
run = { mean = "10s" }
exit_code = 1
[behaviour.loop.loop]
crash_percent = 100
crash_after = { mean = "5s" }
[behaviour.big.big]
crash_percent = 100
crash_after = { mean = "20m" }
out_of_memory = true
[[workload]]
name = "nightly"
task_definition = "nightly"
kind = "burst"
options = { count = 3, run = { mean = "30s" } }
[[service]]
name = "loop"
task_definition = "loop"
desired_count = 3
[[service]]
name = "big"
task_definition = "big"
desired_count = 1
"""


def test_in_simulation_crashes_are_told_with_their_exit_codes(tmp_path):
    recorder = recorded(tmp_path, FAILING)["none"]
    found = {(s.owner, s.stop_code, s.exit_code): n for s, n in recorder.stops.counts.items()}
    assert found.keys() == {
        ("loop", "EssentialContainerExited", 1),
        ("nightly", "TaskFailedToStart", None),
        ("big", "EssentialContainerExited", 137),
    }
    assert found["nightly", "TaskFailedToStart", None].never_ran == 3
    (big,) = [stop for stop in recorder.stops.counts if stop.owner == "big"]
    assert "OutOfMemoryError" in big.reason
    loops = recorder.crash_loops()
    assert loops.keys() == {"loop"}
    assert loops["loop"][0] > 900
    assert metrics_of(recorder)["finished"] == 0
