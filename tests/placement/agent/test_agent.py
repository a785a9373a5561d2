"""The agent's rules, one by one: lives of containers, order, restarts, reasons, the line."""

from __future__ import annotations

import pytest

from stowplan.placement.agent import runtime as r
from stowplan.placement.agent.account import share_of
from stowplan.placement.agent.agent import Agent
from stowplan.placement.model import StopCode
from stowplan.placement.taskdef.parse import TaskOverride
from tests.placement.agent.rig import HEALTH, Rig, container, definition

SIDECAR = {"essential": False}

# --- one container --------------------------------------------------------------------------------


def test_a_container_is_pulled_created_started_and_its_task_runs_until_it_exits():
    rig = Rig()
    assert rig.start(0) == ["PullImage 0 c"]
    assert rig.said(r.ImagePulled, 0) == ["CreateContainer 0 c"]
    assert rig.said(r.Created, 0) == ["StartContainer 0 c"]
    assert rig.told() == []
    rig.said(r.Started, 0)
    assert rig.told() == ["running 0"]
    rig.said(r.Exited, 0, "c", 3)
    assert rig.end() == r.TaskStopped(
        0,
        StopCode.ESSENTIAL_CONTAINER_EXITED,
        "Essential container in task exited",
        (r.ContainerEnd("c", 3),),
        3,
    )


def test_a_stop_sends_a_signal_and_the_task_ends_when_the_container_does():
    rig = Rig(stop_timeout_s=7)
    rig.start(0)
    rig.up(0)
    output = rig.agent.stop(0, 0, StopCode.SERVICE_SCHEDULER_INITIATED, "scaling")
    assert output.actions == [r.StopContainer(0, "c", 7)]
    assert rig.stop(0) == [], "a second stop changes nothing"
    rig.said(r.Exited, 0, "c", 143)
    end = rig.end()
    assert (end.stop_code, end.reason) == (StopCode.SERVICE_SCHEDULER_INITIATED, "scaling")
    assert end.containers == (r.ContainerEnd("c", 143),)


def test_a_containers_own_stop_timeout_wins_even_if_it_is_zero():
    rig = Rig()
    rig.start(0, definition(container(stopTimeout=0)))
    rig.up(0)
    assert rig.agent.stop(0, 0).actions == [r.StopContainer(0, "c", 0)]


def test_starts_and_stops_may_be_repeated_and_come_in_any_order():
    rig = Rig()
    rig.start(0)
    assert rig.start(0) == []
    assert rig.stop(5) == []
    assert rig.told() == ["stopped 5"]
    assert rig.stop(5) == rig.start(5) == []
    assert rig.told() == ["stopped 5"], "it was stopped before its start came"
    rig.stop(0)
    assert rig.start(0) == []
    assert rig.told() == ["stopped 5", "stopped 0"]


def test_a_stop_while_pulling_ends_the_task_and_the_image_may_come_late():
    rig = Rig()
    rig.start(0)
    rig.stop(0)
    assert rig.told() == ["stopped 0"]
    assert rig.end().containers == (r.ContainerEnd("c"),)
    assert rig.said(r.ImagePulled, 0) == []


def test_a_stop_while_a_container_is_being_created_or_started_waits_for_the_outcome():
    rig = Rig()
    rig.start(0)
    rig.said(r.ImagePulled, 0)
    assert rig.stop(0) == []
    assert rig.told() == []
    assert rig.said(r.Created, 0) == []
    rig.start(1)
    rig.said(r.ImagePulled, 1)
    rig.said(r.Created, 1)
    assert rig.stop(1) == []
    assert rig.said(r.Started, 1) == ["StopContainer 1 c"]
    rig.said(r.Exited, 1, "c", 0)
    assert rig.told() == ["stopped 0", "stopped 1"], "RUNNING is not told of what is to stop"


def test_an_exit_may_overtake_the_news_of_the_start():
    rig = Rig()
    rig.start(0)
    rig.said(r.ImagePulled, 0)
    rig.said(r.Created, 0)
    rig.said(r.Exited, 0, "c", 1)
    rig.said(r.Started, 0)
    assert rig.told() == ["running 0", "stopped 0"]


# --- why a task stops -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([(r.PullFailed, "no such tag")], "CannotPullContainerError: no such tag"),
        (
            [(r.ImagePulled,), (r.CreateFailed, "bad mount")],
            "CannotCreateContainerError: bad mount",
        ),
        (
            [(r.ImagePulled,), (r.Created,), (r.StartFailed, "no such file")],
            "CannotStartContainerError: no such file",
        ),
    ],
)
def test_what_cannot_start_stops_its_task_with_ecss_name_of_the_error(steps, reason):
    rig = Rig(pull_behavior="always")
    rig.start(0)
    for kind, *more in steps:
        rig.said(kind, 0, "c", *more)
    assert rig.end().stop_code == StopCode.TASK_FAILED_TO_START
    assert rig.end().reason == reason
    assert rig.end().containers == (r.ContainerEnd("c", None, reason),)


@pytest.mark.parametrize(
    ("steps", "waits_ms", "then", "what"),
    [
        ([], 7_200_000, [], "pulled; timed out after waiting 2h0m0s"),
        ([r.ImagePulled], 240_000, [], "created; timed out after waiting 4m0s"),
        (
            [r.ImagePulled, r.Created],
            180_000,
            ["StopContainer 0 c"],
            "running; timed out after waiting 3m0s",
        ),
    ],
)
def test_what_takes_too_long_is_given_up(steps, waits_ms, then, what):
    rig = Rig(pull_behavior="always", cleanup_wait_ms=None)
    rig.start(0)
    for kind in steps:
        rig.said(kind, 0)
    assert rig.wait(waits_ms - 1) == []
    assert rig.wait(1) == then
    if then:
        assert rig.told() == [], "it may have come up: it holds its share until it is gone"
        rig.said(r.Exited, 0, "c", 137)
    assert rig.end().reason == f"ContainerRuntimeTimeoutError: Could not transition to {what}"
    assert rig.agent.deadline_ms is None


def test_what_was_given_up_and_comes_late_is_removed():
    rig = Rig(create_timeout_ms=1000)
    rig.start(0)
    rig.said(r.ImagePulled, 0)
    rig.wait(1000)
    assert rig.told() == ["stopped 0"]
    assert rig.said(r.Created, 0) == ["RemoveContainer 0 c"]


@pytest.mark.parametrize(("code", "killed"), [(137, True), (137, False), (3, True)])
def test_out_of_memory_is_told_where_the_container_itself_was_killed(code, killed):
    rig = Rig()
    rig.start(0)
    rig.up(0)
    rig.said(r.Exited, 0, "c", code, killed)
    oom = code == 137 and killed
    reason = "OutOfMemoryError: Container killed due to memory usage" if oom else ""
    assert rig.end().containers == (r.ContainerEnd("c", code, reason),)
    assert rig.end().reason == "Essential container in task exited"


def test_a_task_that_the_empty_instance_could_not_hold_stops_at_once():
    rig = Rig(cpu=50)
    assert rig.start(0) == []
    assert rig.end().reason.startswith("ResourceInitializationError: the instance has not enough")
    assert "CPU" in rig.end().reason
    assert rig.start(1, override=TaskOverride(cpu=50)) == ["PullImage 1 c"]


# --- pulling --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behavior", "first", "second", "fatal"),
    [
        ("default", False, False, False),
        ("always", False, False, True),
        ("once", False, True, True),
        ("prefer-cached", True, True, False),
    ],
)
def test_pull_behaviours(behavior, first, second, fatal):
    rig = Rig(pull_behavior=behavior)
    (pull,) = rig.agent.start(0, definition(), 0).actions
    assert (pull.image, pull.unless_cached) == ("image-c", first)
    rig.said(r.ImagePulled, 0)
    (pull,) = rig.agent.start(1, definition(), 0).actions
    assert pull.unless_cached is second
    after = rig.said(r.PullFailed, 1, "c", "down")
    assert after == ([] if fatal else ["CreateContainer 1 c"])


def test_where_no_copy_is_there_either_the_failed_pull_is_the_reason():
    rig = Rig()
    rig.start(0)
    rig.said(r.PullFailed, 0, "c", "registry down")
    rig.said(r.CreateFailed, 0, "c", "no such image")
    assert rig.end().reason == "CannotPullContainerError: registry down"


def test_images_are_pulled_before_dependencies_hold_only_if_asked_for():
    made = definition(container("db"), container("app", after={"db": "START"}))
    assert Rig().start(0, made) == ["PullImage 0 db"]
    rig = Rig(pull_upfront=True)
    assert rig.start(0, made) == ["PullImage 0 db", "PullImage 0 app"]
    assert rig.said(r.ImagePulled, 0, "app") == []
    assert rig.up(0, "db") == ["CreateContainer 0 app"]


# --- several containers ---------------------------------------------------------------------------


def test_a_task_runs_when_all_containers_have_started_finished_ones_count():
    init = container("init", **SIDECAR)
    rig = Rig()
    rig.start(0, definition(init, container("app", after={"init": "SUCCESS"})))
    rig.up(0, "init")
    assert rig.told() == []
    assert rig.said(r.Exited, 0, "init", 0) == ["PullImage 0 app"]
    rig.up(0, "app")
    assert rig.told() == ["running 0"]


@pytest.mark.parametrize(
    ("condition", "code", "starts"),
    [("START", 0, True), ("COMPLETE", 9, True), ("SUCCESS", 0, True), ("SUCCESS", 9, False)],
)
def test_conditions_on_how_another_container_ended(condition, code, starts):
    rig = Rig()
    init = container("init", **SIDECAR)
    rig.start(0, definition(init, container("app", after={"init": condition})))
    after = rig.up(0, "init")
    assert after == (["PullImage 0 app"] if condition == "START" else [])
    after += rig.said(r.Exited, 0, "init", code)
    assert after == (["PullImage 0 app"] if starts else [])
    if not starts:
        assert rig.end().stop_code == StopCode.TASK_FAILED_TO_START
        assert rig.end().reason == (
            "TaskDependencyError: container app needs init to be SUCCESS, and it never will be"
        )


def test_healthy_is_waited_for_but_not_for_longer_than_start_timeout():
    made = definition(
        container("db", healthCheck=HEALTH, startTimeout=60),
        container("app", after={"db": "HEALTHY"}),
    )
    rig = Rig()
    rig.start(0, made)
    rig.up(0, "db")
    rig.wait(30_000)
    assert rig.said(r.HealthChanged, 0, "db", False) == []
    assert rig.said(r.HealthChanged, 0, "db", True) == ["PullImage 0 app"]
    rig.start(1, made)
    rig.up(1, "db")
    assert rig.wait(59_999) == []
    assert rig.wait(1) == ["StopContainer 1 db"]
    rig.said(r.Exited, 1, "db", 143)
    assert rig.end().reason.startswith("TaskDependencyError: container db did not meet")
    assert rig.end().task == 1, "the first had its condition in time"


def test_a_dependency_that_cannot_start_is_never_met():
    rig = Rig(pull_behavior="always")
    made = definition(container("log", **SIDECAR), container("app", after={"log": "START"}))
    rig.start(0, made)
    rig.said(r.PullFailed, 0, "log", "gone")
    assert rig.end().reason.startswith("TaskDependencyError: container app needs log")


def test_links_are_dependencies_too():
    rig = Rig()
    made = definition(container("app", links=["db:database"]), container("db"))
    assert rig.start(0, made) == ["PullImage 0 db"]
    assert rig.up(0, "db") == ["PullImage 0 app"]


def test_a_container_that_is_not_essential_may_fail_or_exit():
    rig = Rig(pull_behavior="always")
    rig.start(0, definition(container("app"), container("log", **SIDECAR)))
    rig.said(r.PullFailed, 0, "log", "gone")
    rig.up(0, "app")
    assert rig.told() == ["running 0"]
    rig.start(1, definition(container("app"), container("log", **SIDECAR)))
    rig.up(1, "log")
    rig.up(1, "app")
    rig.said(r.Exited, 1, "log", 0)
    assert rig.told() == ["running 0", "running 1"]


def test_containers_stop_in_reversed_order():
    made = definition(
        container("db"), container("app", after={"db": "START"}), container("log", **SIDECAR)
    )
    rig = Rig()
    rig.start(0, made)
    for name in ("db", "app", "log"):
        rig.up(0, name)
    assert rig.stop(0) == ["StopContainer 0 app", "StopContainer 0 log"]
    assert rig.said(r.Exited, 0, "log", 0) == []
    assert rig.said(r.Exited, 0, "app", 0) == ["StopContainer 0 db"]
    assert rig.told() == ["running 0"]
    rig.said(r.Exited, 0, "db", 0)
    assert rig.told() == ["running 0", "stopped 0"]


def test_an_essential_exit_stops_the_others():
    rig = Rig()
    rig.start(0, definition(container("app"), container("log", **SIDECAR)))
    rig.up(0, "app")
    rig.up(0, "log")
    assert rig.said(r.Exited, 0, "app", 1) == ["StopContainer 0 log"]
    rig.stop(0)
    rig.said(r.Exited, 0, "log", 143)
    end = rig.end()
    assert end.stop_code == StopCode.ESSENTIAL_CONTAINER_EXITED, "the first reason is told"
    assert [each.exit_code for each in end.containers] == [1, 143]


# --- restarts -------------------------------------------------------------------------------------

RESTARTS = {"enabled": True, "ignoredExitCodes": [7], "restartAttemptPeriod": 60}


@pytest.mark.parametrize(
    ("ran_ms", "code", "restarts"),
    [(60_000, 1, True), (60_000, 0, True), (59_999, 1, False), (60_000, 7, False)],
)
def test_a_restart_policy_starts_a_container_again(ran_ms, code, restarts):
    rig = Rig()
    rig.start(0, definition(container(restartPolicy=RESTARTS)))
    rig.up(0)
    rig.wait(ran_ms)
    assert rig.said(r.Exited, 0, "c", code) == (["StartContainer 0 c"] if restarts else [])
    assert rig.told() == ["running 0"] + ["stopped 0"] * (not restarts)


def test_a_container_restarts_once_a_period_and_says_how_often():
    rig = Rig()
    rig.start(0, definition(container(restartPolicy=RESTARTS)))
    rig.up(0)
    for _ in range(2):
        rig.wait(60_000)
        rig.said(r.Exited, 0, "c", 1)
        rig.said(r.Started, 0)
    rig.said(r.Exited, 0, "c", 1)
    assert rig.end().containers == (r.ContainerEnd("c", 1, "", 2),)
    assert rig.told() == ["running 0", "stopped 0"]


def test_a_policy_that_is_not_enabled_and_a_task_that_stops_restart_nothing():
    rig = Rig()
    rig.start(0, definition(container(restartPolicy=RESTARTS | {"enabled": False})))
    rig.start(1, definition(container(restartPolicy=RESTARTS)))
    for task in (0, 1):
        rig.up(task)
    rig.wait(60_000)
    assert rig.said(r.Exited, 0, "c", 1) == []
    rig.stop(1)
    assert rig.said(r.Exited, 1, "c", 1) == []
    assert rig.told() == ["running 0", "running 1", "stopped 0", "stopped 1"]


# --- health ---------------------------------------------------------------------------------------


def test_the_health_of_a_task_is_the_worst_of_its_essential_containers_with_a_check():
    rig = Rig()
    made = definition(
        container("a", healthCheck=HEALTH),
        container("b", healthCheck=HEALTH),
        container("log", healthCheck=HEALTH, **SIDECAR),
        container("plain"),
    )
    rig.start(0, made)
    rig.up(0, "a")
    rig.said(r.HealthChanged, 0, "a", True)
    for name in ("b", "log", "plain"):
        rig.up(0, name)
    assert rig.told() == ["running 0"], "b is not known yet"
    rig.said(r.HealthChanged, 0, "log", False)
    rig.said(r.HealthChanged, 0, "b", True)
    rig.said(r.HealthChanged, 0, "b", True)
    rig.said(r.HealthChanged, 0, "a", False)
    rig.said(r.HealthChanged, 0, "a", True)
    assert rig.told() == ["running 0", "healthy 0", "unhealthy 0", "healthy 0"]


def test_health_that_was_known_before_running_is_told_after_it():
    rig = Rig()
    rig.start(0, definition(container("a", healthCheck=HEALTH), container("b")))
    rig.up(0, "a")
    rig.said(r.HealthChanged, 0, "a", True)
    rig.up(0, "b")
    assert rig.told() == ["running 0", "healthy 0"]


# --- the line -------------------------------------------------------------------------------------


def test_a_task_waits_until_the_stopping_one_is_gone_and_none_overtakes_it():
    rig = Rig(cpu=200)
    small, big = definition(container()), definition(container(cpu=200))
    rig.start(0, big)
    rig.up(0)
    rig.stop(0)
    assert rig.start(1, big) == rig.start(2, small) == rig.start(3, small) == []
    assert list(rig.agent.account.line) == [1, 2, 3]
    assert rig.said(r.Exited, 0, "c", 143) == ["PullImage 1 c"]
    rig.stop(2)
    assert rig.told() == ["running 0", "stopped 0", "stopped 2"], "it stops from the line"
    assert rig.stop(1) == ["PullImage 3 c"]


def test_the_head_blocks_though_a_later_one_would_fit():
    rig = Rig(cpu=200)
    rig.start(0)
    rig.up(0)
    assert rig.start(1, definition(container(cpu=200))) == []
    assert rig.start(2) == [], "there is room for it, but it is not its turn"
    assert rig.stop(1) == ["PullImage 2 c"]


def test_ports_are_free_when_their_holder_is_gone():
    web = definition(container(portMappings=[{"containerPort": 80, "hostPort": 80}]))
    dns = definition(
        container(portMappings=[{"containerPort": 80, "hostPort": 80, "protocol": "udp"}])
    )
    rig = Rig()
    rig.start(0, web)
    rig.up(0)
    rig.stop(0)
    assert rig.start(1, dns) == ["PullImage 1 c"]
    assert rig.start(2, web) == []
    assert rig.said(r.Exited, 0, "c", 143) == ["PullImage 2 c"]


def test_tasks_that_others_play_stand_in_the_same_line():
    agent = Agent({"CPU": 100, "MEMORY": 100})
    share = share_of(definition())
    assert agent.hold(0, share)
    assert agent.start(1, definition(), 0).actions == []
    assert not agent.hold(2, share)
    assert agent.release(0, 0).actions == [r.PullImage(1, "c", "image-c")]
    assert agent.stop(1, 0).changes[1:] == [r.TaskAdmitted(2)]
    assert agent.release(2, 0).changes == []
    assert agent.account.free == {"CPU": 100, "MEMORY": 100}


# --- cleaning up ----------------------------------------------------------------------------------


def test_stopped_containers_are_removed_after_a_while():
    rig = Rig(cleanup_wait_ms=1000)
    rig.start(0, definition(container("app"), container("log", **SIDECAR)))
    rig.up(0, "app")
    rig.said(r.Exited, 0, "app", 0)
    assert rig.told()[-1] == "stopped 0"
    assert rig.wait(999) == []
    assert rig.wait(1) == ["RemoveContainer 0 app"], "log was never created"
    assert rig.agent.deadline_ms is None
