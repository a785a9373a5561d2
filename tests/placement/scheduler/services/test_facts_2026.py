"""What ECS documents of deployments in 2026, number by number: each fact is a test of that name.

Sources: ECS's API model (botocore 1.44.5), CreateService, and the ECS developer guide.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from stowplan.placement import messages as m
from stowplan.placement.messages.rollouts import UNHOOKED, UNPAUSED
from tests.driving import Driven, of, running
from tests.placement.scheduler.services.test_deployments import (
    broken,
    create,
    driven,
    ended,
    revise,
    revisions,
    settled,
    started,
)
from tests.placement.scheduler.services.test_shifting import (
    DAY,
    MINUTE,
    completed,
    described,
    go,
    paused,
    served,
    shares,
    shift,
    times,
)

Fact = Callable[[], None]
FACTS: dict[str, Fact] = {}
NETWORK = m.LoadBalancer(0, 5_000, deregistration_delay_ms=0, network=True)
HOOKED = [stage for stage in m.STAGES if stage not in UNHOOKED]
DEFAULTS = {"bake_ms": MINUTE}


def fact(name: str) -> Callable[[Fact], Fact]:
    """A function that holds the program to what is documented."""

    def note(test: Fact) -> Fact:
        FACTS[name] = test
        return test

    return note


def is_taken(config: m.TrafficShift | None = None, **fields) -> bool:
    """Whether the scheduler takes a service that is configured like this."""
    return not of(m.CallRejected, driven().round(create(1, shift=config, **fields)))


def holds(config: m.TrafficShift, taken: bool) -> None:
    assert is_taken(config) is taken


def ran(config: m.TrafficShift, **fields) -> Driven:
    """A service of which a second revision was deployed, to its end."""
    world = served(config, **fields)
    go(world, completed, revise(world))
    assert not world.violations()
    return world


def outcome(world: Driven, deployment: str = "ecs-svc/2") -> str:
    service = described(world)
    every = (*service.deployments, *service.past)
    return next(each.outcome for each in every if each.id == deployment)


# --- limits: what is taken at the border, and refused beyond -------------------------------------

LIMITS = {
    "stepPercent 3.0": (shift("LINEAR", step_permille=30), True),
    "stepPercent 2.9": (shift("LINEAR", step_permille=29), False),
    "stepPercent 100.0": (shift("LINEAR", step_permille=1000), True),
    "stepPercent 100.1": (shift("LINEAR", step_permille=1001), False),
    "stepBakeTimeInMinutes 0": (shift("LINEAR", step_bake_ms=0), True),
    "stepBakeTimeInMinutes 1440": (shift("LINEAR", step_bake_ms=1440 * MINUTE), True),
    "stepBakeTimeInMinutes 1441": (shift("LINEAR", step_bake_ms=1441 * MINUTE), False),
    "canaryPercent 0.1": (shift("CANARY", canary_permille=1), True),
    "canaryPercent 0.0": (shift("CANARY", canary_permille=0), False),
    "canaryPercent 100.0": (shift("CANARY", canary_permille=1000), True),
    "canaryPercent 100.1": (shift("CANARY", canary_permille=1001), False),
    "canaryBakeTimeInMinutes 0": (shift("CANARY", canary_bake_ms=0), True),
    "canaryBakeTimeInMinutes 1440": (shift("CANARY", canary_bake_ms=1440 * MINUTE), True),
    "canaryBakeTimeInMinutes 1441": (shift("CANARY", canary_bake_ms=1441 * MINUTE), False),
}


def hooks(lambdas: int = 0, pauses: int = 0, **fields) -> m.TrafficShift:
    made = [m.LifecycleHook(("PRE_SCALE_UP",), **fields)] * lambdas
    made += [m.LifecycleHook(("PRE_SCALE_UP",), "PAUSE", **fields)] * pauses
    return shift(hooks=tuple(made))


LIMITS |= {
    "10 hooks of AWS_LAMBDA": (hooks(10), True),
    "11 hooks of AWS_LAMBDA": (hooks(11), False),
    "10 hooks of PAUSE": (hooks(0, 10), True),
    "11 hooks of PAUSE": (hooks(0, 11), False),
    "10 and 10 hooks": (hooks(10, 10), True),
    "a PAUSE of 1 minute": (hooks(0, 1, timeout_ms=MINUTE), True),
    "a PAUSE of 0 minutes": (hooks(0, 1, timeout_ms=0), False),
    "a PAUSE of 20160 minutes": (hooks(0, 1, timeout_ms=20_160 * MINUTE), True),
    "a PAUSE of 20161 minutes": (hooks(0, 1, timeout_ms=20_161 * MINUTE), False),
}
for _stage in m.STAGES:
    for _target, _barred in (("AWS_LAMBDA", UNHOOKED), ("PAUSE", UNHOOKED + UNPAUSED)):
        _hook = m.LifecycleHook((_stage,), _target)
        LIMITS[f"{_target} at {_stage}"] = (shift(hooks=(_hook,)), _stage not in _barred)
FACTS |= {f"limit: {name}": partial(holds, *limit) for name, limit in LIMITS.items()}


# --- stages --------------------------------------------------------------------------------------


def _stage_is(place: int, name: str) -> None:
    assert list(times(ran(shift())))[place] == name


for _place, _name in enumerate(m.STAGES):
    FACTS[f"stage {_place + 1} is {_name}"] = partial(_stage_is, _place, _name)


def _hook_delays(stage: m.Stage) -> None:
    """The stage lasts for as long as its hook."""
    world = ran(shift(hooks=(m.LifecycleHook((stage,), takes_ms=7 * MINUTE),)))
    began = times(world)
    following = list(began)[list(began).index(stage) + 1]
    assert began[following] - began[stage] == 7 * MINUTE


for _stage in HOOKED:
    FACTS[f"a hook at {_stage} delays it"] = partial(_hook_delays, _stage)


@fact("a stage lasts 24 h at most")
def _a_stage_lasts_a_day() -> None:
    world = served(shift())
    new = started(revise(world))
    world.round(running(*new[:3]))  # the fourth stays PENDING
    began = times(world)["SCALE_UP"]
    commands = go(world, lambda c: "rolling back" in str(c))
    assert "SCALE_UP has lasted for too long" in str(commands)
    assert world.now_ms == began + DAY


@fact("a deployment lasts 30 days at most")
def _a_deployment_lasts_30_days() -> None:
    slow = {"step_permille": 30, "step_bake_ms": 1440 * MINUTE}
    world = served(shift("LINEAR", **slow))
    began = world.now_ms + 1000
    commands = go(world, lambda c: "rolling back" in str(c), revise(world))
    assert "30 days" in str(commands)
    assert world.now_ms == began + 30 * DAY


# --- defaults ------------------------------------------------------------------------------------


@fact("default: stepPercent 10.0, stepBakeTimeInMinutes 6, none after 100 %")
def _linear_defaults() -> None:
    world = ran(m.TrafficShift("LINEAR", **DEFAULTS))
    assert shares(world) == [(6 * MINUTE * n, 100 * (n + 1)) for n in range(10)]
    began = times(world)
    assert began["BAKE_TIME"] - began["PRODUCTION_TRAFFIC_SHIFT"] == 9 * 6 * MINUTE


@fact("default: canaryPercent 5.0, canaryBakeTimeInMinutes 10")
def _canary_defaults() -> None:
    assert shares(ran(m.TrafficShift("CANARY", **DEFAULTS))) == [(0, 50), (10 * MINUTE, 1000)]


@fact("default: a PAUSE times out after 1440 minutes, with ROLLBACK")
def _pause_defaults() -> None:
    world = paused()
    began = times(world)["PRE_PRODUCTION_TRAFFIC_SHIFT"]
    go(world, lambda c: "rolling back" in str(c))
    assert world.now_ms == began + 1440 * MINUTE


@fact("a PAUSE may time out with CONTINUE")
def _pause_goes_on() -> None:
    world = paused(timeout_ms=MINUTE, timeout_action="CONTINUE")
    go(world, completed)
    assert outcome(world) == "SUCCESSFUL"


@fact("default: ContinueServiceDeployment continues")
def _continue_continues() -> None:
    world = paused()
    world.round(m.ContinueServiceDeployment("web", "ecs-svc/2", "PRE_PRODUCTION_TRAFFIC_SHIFT-0"))
    assert "BAKE_TIME" in times(world)


# --- what runs meanwhile -------------------------------------------------------------------------


@fact("both run until CLEAN_UP: 2 x desired")
def _both_run() -> None:
    world = served(shift())
    go(world, lambda c: "BAKE_TIME" in times(world), revise(world))
    assert revisions(world) == {"app:1": 4, "app:2": 4}


@fact("never more than 2 x desired, whatever maximumPercent")
def _never_more() -> None:
    world = served(shift(), maximum_percent=150)
    commands, most = revise(world), 0
    while not completed(commands):
        most = max(most, revisions(world).total())
        new = started(commands)
        due = world.scheduler.deadline_ms
        commands = world.round(running(*new)) if new else world.round(at_ms=max(due, world.now_ms))
    assert most == 8


@fact("green is scaled up whole before any traffic moves")
def _whole_before_traffic() -> None:
    world = served(shift("CANARY"))
    new = started(revise(world))
    go(world, commands=world.round(running(*new[:3])), most_ms=60 * MINUTE)
    assert list(times(world))[-1] == "SCALE_UP"
    go(world, completed, world.round(running(new[3])))
    assert shares(world)[0][1] == 50


@fact("bakeTimeInMinutes begins after the whole shift")
def _bake_after_the_shift() -> None:
    world = ran(shift("CANARY", bake_ms=25 * MINUTE))
    last = times(world)["PRODUCTION_TRAFFIC_SHIFT"] + shares(world)[-1][0]
    assert times(world)["CLEAN_UP"] == last + 25 * MINUTE


@fact("a rollback in BAKE_TIME launches no task")
def _no_launch_in_bake() -> None:
    world = served(shift())
    go(world, lambda c: "BAKE_TIME" in times(world), revise(world))
    rounds = len(world.rounds)
    go(world, completed, world.round(m.StopServiceDeployment("web", "ecs-svc/2")))
    assert not [t for r in world.rounds[rounds:] for t in started(r.commands)]


@fact("a Network Load Balancer shifts 10 minutes later")
def _network() -> None:
    began = times(ran(shift(), load_balancer=NETWORK))
    for stage, following in (
        ("TEST_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT"),
        ("PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT"),
    ):
        assert began[following] - began[stage] == 10 * MINUTE


@fact("headless: without a load balancer it replaces without shifting")
def _headless() -> None:
    world = ran(shift(), load_balancer=None)
    assert not [t for t in times(world) if "TRAFFIC" in t]
    assert revisions(world) == {"app:2": 4}


@fact("Service Connect shifts without a load balancer")
def _service_connect() -> None:
    world = ran(shift("CANARY", service_connect=True), load_balancer=None)
    assert [share for _, share in shares(world)] == [50, 1000]


@fact("the circuit breaker is for rolling deployments alone")
def _no_breaker() -> None:
    breaker = m.CircuitBreaker(rollback=True, threshold_type="COUNT", threshold_value=1)
    world = served(shift(), circuit_breaker=breaker)
    world.round(broken(*started(revise(world))))
    assert world.scheduler.services["web"].primary.rollout_state == "IN_PROGRESS"


@fact("deployment alarms are for rolling deployments alone")
def _no_alarms() -> None:
    world = served(shift(bake_ms=30 * MINUTE), alarms=m.DeploymentAlarms(("errors",), True))
    go(world, lambda c: "BAKE_TIME" in times(world), revise(world))
    go(world, completed, world.round(m.AlarmsChanged(("errors",))))
    assert outcome(world) == "SUCCESSFUL"


# --- StopServiceDeployment and its states ---------------------------------------------------------


def _stopped(stop_type: str, expected: str, back: bool) -> None:
    world = served(shift())
    go(world, lambda c: "BAKE_TIME" in times(world), revise(world))
    commands = world.round(m.StopServiceDeployment("web", "ecs-svc/2", stop_type))
    go(world, completed, commands, most_ms=DAY)
    assert outcome(world) == expected
    assert revisions(world) == ({"app:1": 4} if back else {"app:1": 4, "app:2": 4})


FACTS["StopServiceDeployment ABORT: STOPPED, tasks stay"] = partial(
    _stopped, "ABORT", "STOPPED", False
)
FACTS["StopServiceDeployment ROLLBACK: ROLLBACK_SUCCESSFUL, whatever was configured"] = partial(
    _stopped, "ROLLBACK", "ROLLBACK_SUCCESSFUL", True
)


@fact("a rollback that another deployment ends: ROLLBACK_FAILED")
def _rollback_failed() -> None:
    world = settled(driven(), 4, minimum_healthy_percent=50, maximum_percent=100)
    go(world, completed)
    go(world, lambda c: len(ended(c)) == 2, revise(world))
    world.round(m.StopServiceDeployment("web", "ecs-svc/2"))
    revise(world)
    assert outcome(world) == "ROLLBACK_FAILED"


@fact("one that came through: SUCCESSFUL")
def _successful() -> None:
    assert outcome(ran(shift())) == "SUCCESSFUL"


@fact("one that another replaces: STOPPED")
def _replaced() -> None:
    world = served(shift())
    revise(world)
    revise(world)
    assert outcome(world) == "STOPPED"


@fact("a deployment that was stopped cannot be stopped again")
def _twice() -> None:
    world = served(shift())
    revise(world)
    world.round(m.StopServiceDeployment("web", "ecs-svc/2", "ABORT"))
    [refused] = of(m.CallRejected, world.round(m.StopServiceDeployment("web", "ecs-svc/2")))
    assert refused.error == "ConflictException"


# --- alarms and early success ---------------------------------------------------------------------


def _alarmed(**fields) -> Driven:
    alarms = m.DeploymentAlarms(("errors",), rollback=True)
    world = settled(driven(), 4, alarms=alarms, **fields)
    go(world, completed)
    return world


@fact("alarms: watched for under 5 minutes once the old tasks are gone")
def _alarm_bake() -> None:
    world = _alarmed()
    go(world, lambda c: bool(ended(c)), revise(world))
    gone = world.now_ms
    go(world, completed)
    assert 0 < world.now_ms - gone < 5 * MINUTE


@fact("alarms: not watched before")
def _alarm_before() -> None:
    world = _alarmed()
    new = started(revise(world))
    world.round(m.AlarmsChanged(("errors",)))
    world.round(m.AlarmsChanged(("errors",), False))
    go(world, completed, world.round(running(*new)))
    assert revisions(world) == {"app:2": 4}


@fact("alarms: ignored if in ALARM when the deployment starts")
def _alarm_ignored() -> None:
    world = _alarmed()
    world.round(m.AlarmsChanged(("errors",)))
    go(world, completed, revise(world))
    assert revisions(world) == {"app:2": 4}


@fact("alarms: one that was OK in between counts again")
def _alarm_again() -> None:
    world = _alarmed()
    world.round(m.AlarmsChanged(("errors",)))
    go(world, lambda c: bool(ended(c)), revise(world))
    world.round(m.AlarmsChanged(("errors",), False))
    go(world, completed, world.round(m.AlarmsChanged(("errors",))))
    assert revisions(world) == {"app:1": 4}


@fact("alarms: without rollback the deployment fails and tasks stay")
def _alarm_stays() -> None:
    alarms = m.DeploymentAlarms(("errors",))
    world = settled(driven(), 4, alarms=alarms)
    go(world, completed)
    go(world, lambda c: bool(ended(c)), revise(world))
    world.round(m.AlarmsChanged(("errors",)))
    assert (outcome(world), revisions(world)) == ("STOPPED", {"app:2": 4})


@fact("the first of breaker and alarm wins: the breaker")
def _breaker_first() -> None:
    breaker = m.CircuitBreaker(rollback=True, threshold_type="COUNT", threshold_value=1)
    world = _alarmed(circuit_breaker=breaker)
    world.round(m.AlarmsChanged(("errors",)))
    commands = world.round(broken(*started(revise(world))))
    assert "tasks failed to start" in str(commands)


def _early_border(percent: int, taken: bool) -> None:
    early = m.EarlySuccess(percent)
    assert is_taken(None, early_success=early, minimum_healthy_percent=50) is taken


FACTS["earlySuccess: healthyPercent 50 with minimumHealthyPercent 50"] = partial(
    _early_border, 50, True
)
FACTS["earlySuccess: healthyPercent 49 with minimumHealthyPercent 50"] = partial(
    _early_border, 49, False
)
FACTS["earlySuccess: healthyPercent 101"] = partial(_early_border, 101, False)


@fact("earlySuccess is for rolling deployments alone")
def _early_rolling() -> None:
    assert not is_taken(shift(), early_success=m.EarlySuccess(100))


# --- protection of tasks --------------------------------------------------------------------------


def _protects(taken: bool, tasks: int = 1, **fields) -> None:
    world = settled(driven("aabbaabb"), 12)
    call = m.UpdateTaskProtection(tuple(range(tasks)), **fields)
    assert bool(of(m.CallRejected, world.round(call))) is not taken


for _name, _taken, _tasks, _minutes in (
    ("10 tasks a call", True, 10, 120),
    ("11 tasks a call", False, 11, 120),
    ("1 minute", True, 1, 1),
    ("0 minutes", False, 1, 0),
    ("2880 minutes", True, 1, 2_880),
    ("2881 minutes", False, 1, 2_881),
):
    FACTS[f"protection: {_name}"] = partial(_protects, _taken, _tasks, expires_in_minutes=_minutes)


@fact("protection: 2 h by default, from scale-in")
def _protected_two_hours() -> None:
    world = settled(driven(), 2)
    world.round(m.UpdateTaskProtection((0, 1)))
    began = world.now_ms
    assert not ended(world.round(m.UpdateService("web", 0)))
    assert len(ended(go(world, lambda c: bool(ended(c))))) == 2
    assert world.now_ms == began + 120 * MINUTE


@fact("protection: from a rolling deployment")
def _protected_from_rolling() -> None:
    world = settled(driven(), 4)
    world.round(m.UpdateTaskProtection((0,)))
    go(world, commands=revise(world), most_ms=60 * MINUTE)
    assert revisions(world) == {"app:1": 1, "app:2": 4}


@fact("protection: from CLEAN_UP, which waits")
def _protected_from_clean_up() -> None:
    world = served(shift())
    world.round(m.UpdateTaskProtection((0,)))
    protected = world.now_ms
    go(world, completed, revise(world))
    assert world.now_ms == protected + 120 * MINUTE
    assert revisions(world) == {"app:2": 4}


@pytest.mark.parametrize("name", FACTS)
def test_fact(name):
    FACTS[name]()


def test_there_are_eighty_of_them():
    assert len(FACTS) >= 80
