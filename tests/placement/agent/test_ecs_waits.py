"""The waits that are amazon-ecs-agent's own, and a task that is taken up where it ran.

Times are those that a real agent took: data of our own runs, see `docs/default-times.md`.
"""

from __future__ import annotations

from stowplan.placement.agent import runtime as r
from stowplan.placement.agent.agent import Agent
from stowplan.placement.agent.settings import AgentConfig
from stowplan.placement.agent.task import GONE
from stowplan.placement.model import StopCode
from tests.placement.agent.rig import Rig, container, definition

ECS = "amazon-ecs-agent"


def ordered():
    """Main waits for init's success."""
    init = container("init", essential=False)
    return definition(init, container("main", after={"init": "SUCCESS"}))


def up_to_init(kind):
    """An agent whose task has its init container running since 660 ms."""
    rig = Rig(kind=kind)
    rig.start(0, ordered())
    rig.now_ms = 660
    rig.up(0, "init")
    return rig


def test_a_container_that_waits_for_others_is_looked_at_every_five_seconds():
    rig = up_to_init(ECS)
    rig.now_ms = 1000
    assert rig.said(r.Exited, 0, "init", 0) == []
    assert rig.wait(4659) == []
    assert rig.wait(1) == ["PullImage 0 main"]
    assert rig.now_ms == 5660


def test_the_dockers_own_agent_goes_on_at_once():
    rig = up_to_init("docker")
    assert rig.said(r.Exited, 0, "init", 0) == ["PullImage 0 main"]


def test_a_stop_of_a_task_that_is_looked_at_later_waits_for_the_look():
    rig = up_to_init(ECS)
    assert rig.stop(0) == []
    assert rig.wait(5000) == ["StopContainer 0 init"]


def test_two_looks_find_the_end_in_the_second():
    rig = up_to_init(ECS)
    assert rig.wait(5000) == []
    rig.now_ms += 1
    rig.said(r.Exited, 0, "init", 0)
    assert rig.wait(5000) == ["PullImage 0 main"]
    assert rig.now_ms == 660 + 10_000 + 1


def test_a_pull_that_fails_is_tried_again_for_28_s():
    rig = Rig(kind=ECS, pull_behavior="always")
    rig.start(0)
    tries = 0
    while not rig.told():
        rig.said(r.PullFailed, 0, "c", "manifest unknown")
        if rig.agent.deadline_ms is None:
            break
        step = rig.agent.deadline_ms - rig.now_ms
        assert rig.wait(step) == ["PullImage 0 c"]
        tries += 1
    assert rig.now_ms == 28_000
    assert tries == 8
    assert rig.end().reason == "CannotPullContainerError: manifest unknown"


def test_an_image_that_comes_meanwhile_is_taken():
    rig = Rig(kind=ECS)
    rig.start(0)
    rig.said(r.PullFailed, 0, "c", "down")
    assert rig.wait(1100) == ["PullImage 0 c"]
    assert rig.said(r.ImagePulled, 0) == ["CreateContainer 0 c"]


def test_a_stop_between_two_tries_ends_the_task():
    rig = Rig(kind=ECS)
    rig.start(0)
    rig.said(r.PullFailed, 0, "c", "down")
    rig.stop(0)
    assert rig.told() == ["stopped 0"]


def test_a_task_that_is_taken_up_starts_nothing_and_its_ends_are_unknown():
    agent = Agent({"CPU": 1000, "MEMORY": 1000}, AgentConfig())
    output = agent.resume(0, ordered(), 500, 900)
    assert output == ([], [])
    assert agent.account.free["CPU"] == 800
    assert agent.observe(r.Exited(0, "init", None), 900) == ([], [])
    (end,) = agent.observe(r.Exited(0, "main", None), 900).changes
    assert (end.stop_code, end.exit_code) == (StopCode.ESSENTIAL_CONTAINER_EXITED, None)
    assert end.full_reason.endswith(f"main, {GONE}")
    assert agent.start(0, ordered(), 1000) == ([], [])


def test_an_end_that_nobody_saw_is_not_followed_by_a_restart():
    policy = {"enabled": True, "restartAttemptPeriod": 60}
    flaky = definition(container(), container("flaky", essential=False, restartPolicy=policy))
    agent = Agent({"CPU": 1000, "MEMORY": 1000}, AgentConfig())
    agent.resume(0, flaky, 0, 0)
    assert agent.observe(r.Exited(0, "flaky", None), 100_000) == ([], [])
    agent.resume(1, flaky, 0, 100_000)
    (again,) = agent.observe(r.Exited(1, "flaky", 1), 100_000).actions
    assert again == r.StartContainer(1, "flaky")


def test_a_container_whose_volumes_another_has_is_made_first_and_need_not_outlive_it():
    data = container("data", essential=False)
    made = definition(container("app", volumesFrom=[{"sourceContainer": "data"}]), data)
    rig = Rig()
    assert rig.start(0, made) == ["PullImage 0 data"]
    assert rig.said(r.ImagePulled, 0, "data") == ["CreateContainer 0 data"]
    assert rig.said(r.Created, 0, "data") == ["StartContainer 0 data", "PullImage 0 app"]
    rig.up(0, "app")
    assert sorted(rig.stop(0)) == ["StopContainer 0 app"]
    assert rig.said(r.Started, 0, "data") == ["StopContainer 0 data"]
