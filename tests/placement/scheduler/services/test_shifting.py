"""Deployments that shift traffic: stages, steps, bakes, hooks, and rollbacks without new tasks."""

from __future__ import annotations

import pytest

from stowplan.placement import messages as m
from stowplan.placement.describe.reader import Reader
from stowplan.placement.messages.rollouts import UNHOOKED
from stowplan.placement.scheduler.services.deployments import HEALTHY_AFTER_MS
from tests.driving import Driven, draining, of, running, stopped
from tests.placement.scheduler.services.test_deployments import (
    broken,
    driven,
    ended,
    revise,
    revisions,
    settled,
    started,
)

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
BALANCER = m.LoadBalancer(
    registration_ms=0, health_check_interval_ms=5_000, deregistration_delay_ms=0
)
LIMITS = 400  # rounds that a deployment may take


def shift(strategy: str = "BLUE_GREEN", **fields) -> m.TrafficShift:
    return m.TrafficShift(strategy, **{"bake_ms": 5 * MINUTE, **fields})


def served(config: m.TrafficShift, count: int = 4, zones: str = "aabb", **fields) -> Driven:
    """A service behind a load balancer whose first revision runs and is healthy."""
    fields = {"load_balancer": BALANCER, "shift": config, **fields}
    return settled(driven(zones), count, **fields)


def go(world: Driven, until=lambda commands: False, commands=(), most_ms: int | None = None):
    """Run all that starts at once, and round after round at the scheduler's own time.

    Ends when `until` says so of a round, when nothing is to come, or after `most_ms`.
    """
    end_ms = None if most_ms is None else world.now_ms + most_ms
    for _ in range(LIMITS):
        if until(commands):
            return commands
        if new := started(commands):
            commands = world.round(running(*new))
            continue
        due = world.scheduler.deadline_ms
        if due is None or (end_ms is not None and due > end_ms):
            return commands
        commands = world.round(at_ms=max(due, world.now_ms))
    raise AssertionError("no end")


def completed(commands) -> bool:
    return any("deployment completed" in e.text for e in of(m.ServiceEvent, commands))


def stages(world: Driven) -> list[m.DeploymentStage]:
    return [c for r in world.rounds for c in of(m.DeploymentStage, r.commands)]


def times(world: Driven) -> dict[str, int]:
    """When each stage began."""
    found: dict[str, int] = {}
    for each in world.rounds:
        for told in of(m.DeploymentStage, each.commands):
            found.setdefault(told.stage, each.now_ms)
    return found


def shares(world: Driven) -> list[tuple[int, int]]:
    """(ms since the stage began, thousandths) of each move of production traffic."""
    begin, last, moved = times(world)["PRODUCTION_TRAFFIC_SHIFT"], 0, []
    for each in world.rounds:
        for told in of(m.DeploymentStage, each.commands):
            if told.production != last:
                last = told.production
                moved.append((each.now_ms - begin, last))
    return moved


def described(world: Driven):
    reader = Reader()
    for each in world.rounds:
        reader(each)
    return reader.state.services["web"]


def test_all_stages_come_in_order_and_old_tasks_run_until_clean_up():
    world = served(shift())
    commands = revise(world)
    assert len(started(commands)) == 4
    assert revisions(world) == {"app:1": 4, "app:2": 4}
    go(world, lambda c: bool(ended(c)), commands)
    assert revisions(world) == {"app:2": 4}
    go(world, completed)
    assert list(times(world)) == list(m.STAGES)
    assert times(world)["CLEAN_UP"] - times(world)["BAKE_TIME"] == 5 * MINUTE
    assert shares(world) == [(0, 1000)]
    assert not world.violations()


def test_a_linear_one_moves_step_by_step_and_does_not_wait_after_the_last():
    world = served(shift("LINEAR", step_permille=300, step_bake_ms=6 * MINUTE))
    go(world, completed, revise(world))
    expected = [(0, 300), (6 * MINUTE, 600), (12 * MINUTE, 900), (18 * MINUTE, 1000)]
    assert shares(world) == expected
    assert times(world)["BAKE_TIME"] - times(world)["PRODUCTION_TRAFFIC_SHIFT"] == 18 * MINUTE
    assert not world.violations()


def test_a_canary_moves_its_share_and_then_the_rest():
    world = served(shift("CANARY", canary_permille=50, canary_bake_ms=10 * MINUTE))
    go(world, completed, revise(world))
    assert shares(world) == [(0, 50), (10 * MINUTE, 1000)]
    assert not world.violations()


def test_a_network_load_balancer_shifts_ten_minutes_later():
    config = m.LoadBalancer(0, 5_000, deregistration_delay_ms=0, network=True)
    world = served(shift(), load_balancer=config)
    go(world, completed, revise(world))
    assert shares(world) == [(10 * MINUTE, 1000)]
    assert not world.violations()


def test_without_anything_to_shift_it_is_replaced_headless():
    world = served(shift(), load_balancer=None)
    go(world, completed, revise(world))
    assert list(times(world)) == [*m.STAGES[:4], "BAKE_TIME", "CLEAN_UP"]
    assert not any(told.production for told in stages(world))
    assert revisions(world) == {"app:2": 4}
    assert not world.violations()


@pytest.mark.parametrize("stage", m.STAGES[2:10])
def test_a_rollback_starts_no_task_where_the_old_ones_run(stage):
    network = m.LoadBalancer(0, 5_000, deregistration_delay_ms=0, network=True)
    hooks = (m.LifecycleHook((stage,), takes_ms=MINUTE),) if stage not in UNHOOKED else ()
    world = served(shift(hooks=hooks), load_balancer=network)
    go(world, lambda c: any(t.stage == stage for t in of(m.DeploymentStage, c)), revise(world))
    began = world.scheduler.services["web"].primary.id
    commands = world.round(m.StopServiceDeployment("web", began, "ROLLBACK"))
    assert not started(commands)
    assert of(m.DeploymentStage, commands)[-1].production == 0
    later = len(world.rounds)
    go(world, completed, commands, most_ms=DAY)
    assert not [t for r in world.rounds[later:] for t in started(r.commands)]
    assert revisions(world) == {"app:1": 4}
    assert not world.violations()
    ended_ = next(d for d in described(world).past if d.id == began)
    assert ended_.outcome == "ROLLBACK_SUCCESSFUL"


def test_a_hook_takes_its_time_and_a_failed_one_rolls_back():
    good = m.LifecycleHook(("POST_SCALE_UP",), takes_ms=3 * MINUTE)
    bad = m.LifecycleHook(("POST_TEST_TRAFFIC_SHIFT",), takes_ms=MINUTE, fails=True)
    world = served(shift(hooks=(good, bad)))
    go(world, completed, revise(world))
    took = times(world)["TEST_TRAFFIC_SHIFT"] - times(world)["POST_SCALE_UP"]
    assert took == 3 * MINUTE
    assert "PRE_PRODUCTION_TRAFFIC_SHIFT" not in times(world)
    assert revisions(world) == {"app:1": 4}
    texts = [e.text for r in world.rounds for e in of(m.ServiceEvent, r.commands)]
    assert any("deployment failed: the lifecycle hook POST_TEST" in text for text in texts)
    assert not world.violations()


def paused(**fields) -> Driven:
    hook = m.LifecycleHook(("PRE_PRODUCTION_TRAFFIC_SHIFT",), "PAUSE", **fields)
    world = served(shift(hooks=(hook,)))
    go(world, lambda c: "PRE_PRODUCTION_TRAFFIC_SHIFT" in times(world), revise(world))
    return world


def test_a_pause_lasts_until_it_is_continued():
    world = paused()
    [hook] = described(world).deployments[0].stage.hooks
    assert hook.status == "AWAITING_ACTION"
    primary = world.scheduler.services["web"].primary.id
    commands = world.round(
        m.ContinueServiceDeployment("web", primary, hook.id), at_ms=world.now_ms + 5 * MINUTE
    )
    assert of(m.DeploymentStage, commands)[-1].production == 1000
    assert not world.violations()


def test_a_pause_may_be_rolled_back():
    world = paused()
    [hook] = described(world).deployments[0].stage.hooks
    primary = world.scheduler.services["web"].primary.id
    commands = world.round(m.ContinueServiceDeployment("web", primary, hook.id, "ROLLBACK"))
    assert sorted(ended(commands)) == [4, 5, 6, 7]
    assert not world.violations()


@pytest.mark.parametrize(("action", "revision"), [("ROLLBACK", "app:1"), ("CONTINUE", "app:2")])
def test_a_pause_that_nobody_ends_times_out(action, revision):
    world = paused(timeout_ms=30 * MINUTE, timeout_action=action)
    go(world, completed)
    assert revisions(world) == {revision: 4}
    assert not world.violations()


def test_nobody_continues_what_awaits_nothing():
    world = paused()
    primary = world.scheduler.services["web"].primary.id
    for call in (
        m.ContinueServiceDeployment("web", primary, "PRE_SCALE_UP-0"),
        m.ContinueServiceDeployment("web", "ecs-svc/1", "PRE_PRODUCTION_TRAFFIC_SHIFT-0"),
    ):
        [refused] = of(m.CallRejected, world.round(call))
        assert refused.error == "InvalidParameterException"


def test_a_stage_that_does_not_end_fails_after_a_day():
    world = served(shift())
    commands = revise(world)
    world.round(broken(*started(commands)))
    began = times(world)["SCALE_UP"]
    while "rolling back" not in "".join(e.text for e in of(m.ServiceEvent, commands)):
        commands = world.round(
            *(broken(*new) for new in [started(commands)] if new),
            at_ms=max(world.now_ms, world.scheduler.deadline_ms),
        )
        assert world.now_ms <= began + DAY
    assert world.now_ms == began + DAY
    assert revisions(world)["app:1"] == 4
    assert not world.violations()


def test_abort_leaves_both_where_they_are():
    world = served(shift("CANARY", canary_permille=50))
    go(world, lambda c: any(t.production == 50 for t in of(m.DeploymentStage, c)), revise(world))
    primary = world.scheduler.services["web"].primary.id
    commands = world.round(m.StopServiceDeployment("web", primary, "ABORT"))
    assert not ended(commands)
    go(world, commands=commands, most_ms=DAY)
    assert revisions(world) == {"app:1": 4, "app:2": 4}
    assert described(world).deployments[0].outcome == "STOPPED"
    assert described(world).traffic(primary) == (50, 1000)
    assert not world.violations()


def test_what_is_replaced_keeps_its_count_while_traffic_is_shifted():
    world = served(shift(bake_ms=60 * MINUTE), zones="aabbcc")
    go(world, lambda c: "BAKE_TIME" in times(world), revise(world))
    hosts = [world.scheduler.tasks.instance[t] for t in (0,)]
    commands = world.round(draining(*hosts))
    again = [s for s in of(m.StartTasks, commands) if s.task_definition == "app:1"]
    assert sum(len(s.tasks) for s in again) == sum(
        world.scheduler.tasks.instance[t] == hosts[0] for t in range(4)
    )
    go(world, completed, commands)
    assert revisions(world) == {"app:2": 4}
    assert not world.violations()


def test_both_follow_the_desired_count():
    world = served(shift(bake_ms=60 * MINUTE))
    go(world, lambda c: "BAKE_TIME" in times(world), revise(world))
    commands = world.round(m.UpdateService("web", 6))
    go(world, commands=commands, most_ms=5 * MINUTE)
    assert revisions(world) == {"app:1": 6, "app:2": 6}
    commands = world.round(m.UpdateService("web", 2))
    assert revisions(world) == {"app:1": 2, "app:2": 2}
    assert not world.violations()


def test_a_further_deployment_sends_traffic_back_and_begins_anew():
    world = served(shift("CANARY", canary_permille=50))
    go(world, lambda c: any(t.production == 50 for t in of(m.DeploymentStage, c)), revise(world))
    commands = revise(world)
    assert next(t.production for t in of(m.DeploymentStage, commands)) == 0
    go(world, completed, commands)
    assert revisions(world) == {"app:3": 4}
    assert not world.violations()


def test_a_service_without_tasks_is_through_at_once():
    world = served(shift(bake_ms=0), count=0)
    go(world, completed, revise(world))
    assert described(world).deployments[0].outcome == "SUCCESSFUL"
    assert not world.violations()


def test_alarms_are_watched_when_all_else_is_done():
    alarms = m.DeploymentAlarms(("errors", "slow"), rollback=True, bake_ms=4 * MINUTE)
    world = settled(driven(), 4, alarms=alarms)
    go(world, completed)
    world.round(m.AlarmsChanged(("slow",)))  # before the deployment: ignored
    go(world, lambda c: bool(ended(c)), revise(world))
    assert not completed(go(world, most_ms=3 * MINUTE))
    commands = world.round(m.AlarmsChanged(("errors",)))
    texts = [e.text for e in of(m.ServiceEvent, commands)]
    assert any("deployment failed: alarm detected." in text for text in texts)
    assert completed(go(world, completed, commands)), "the alarm is there when the rollback begins"
    assert revisions(world) == {"app:1": 4}
    assert not world.violations()


def test_an_alarm_that_was_there_before_is_ignored_until_it_has_been_ok():
    alarms = m.DeploymentAlarms(("slow",), rollback=True, bake_ms=4 * MINUTE)
    world = settled(driven(), 4, alarms=alarms)
    go(world, completed)
    world.round(m.AlarmsChanged(("slow",)))
    go(world, completed, revise(world))
    assert revisions(world) == {"app:2": 4}
    assert not world.violations()


@pytest.mark.parametrize("cleanup", ["BLOCKING", "DEFERRED"])
def test_early_success_needs_a_share_of_healthy_tasks(cleanup):
    early = m.EarlySuccess(50, cleanup)
    drains = m.LoadBalancer(0, 5_000, deregistration_delay_ms=MINUTE)
    fields = {"minimum_healthy_percent": 50, "maximum_percent": 100, "load_balancer": drains}
    world = settled(driven(), 4, early_success=early, **fields)
    old = ended(revise(world))
    assert len(old) == 2
    new = started(world.round(stopped(*old)))
    commands = go(world, lambda c: bool(ended(c)), world.round(running(*new)))
    assert completed(commands) is (cleanup == "DEFERRED")
    commands = world.round(stopped(*ended(commands)))
    assert completed(commands) is (cleanup == "BLOCKING")
    assert len(started(commands)) == 2
    assert revisions(world) == {"app:2": 4}
    assert not world.violations()


def test_healthy_after_is_what_scale_up_waits_for():
    world = served(shift(), load_balancer=None)
    new = started(revise(world))
    world.round(running(*new))
    ran = world.now_ms
    go(world, lambda c: "POST_SCALE_UP" in times(world))
    assert world.now_ms == ran + HEALTHY_AFTER_MS
