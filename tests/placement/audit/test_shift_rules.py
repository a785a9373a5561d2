"""The rule on shifts of traffic: silent on a deployment that goes well, loud on what is planted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import CHECKERS, check_rounds
from stowplan.placement.model import StopCode
from tests.driving import of
from tests.placement.scheduler.services.test_deployments import revise
from tests.placement.scheduler.services.test_shifting import MINUTE, completed, go, served, shift

RULE = {"traffic shifts": CHECKERS["traffic shifts"]}
HOOK = m.LifecycleHook(("POST_SCALE_UP",), takes_ms=2 * MINUTE)
Change = Callable[[m.DeploymentStage], m.DeploymentStage | None]


def journal() -> list[m.Round]:
    """A canary's."""
    world = served(shift("CANARY", canary_permille=50, canary_bake_ms=10 * MINUTE, hooks=(HOOK,)))
    go(world, completed, revise(world))
    assert not world.violations()
    return world.rounds


def said(rounds: list[m.Round]) -> str:
    return "; ".join(each.what for each in check_rounds(rounds, RULE))


def told(rounds: list[m.Round], change: Change) -> list[m.Round]:
    """The rounds with other notices of stages; None: without one."""
    found = []
    for each in rounds:
        commands = [
            change(command) if isinstance(command, m.DeploymentStage) else command
            for command in each.commands
        ]
        found.append(replace(each, commands=tuple(c for c in commands if c is not None)))
    return found


def sooner(rounds: list[m.Round], stage: str, by_ms: int) -> list[m.Round]:
    """The rounds, of which all from that on in which a stage began come earlier."""
    at = next(
        n
        for n, r in enumerate(rounds)
        if any(t.stage == stage for t in of(m.DeploymentStage, r.commands))
    )
    return [replace(r, now_ms=r.now_ms - by_ms * (n >= at)) for n, r in enumerate(rounds)]


def without(stage: str) -> Change:
    return lambda notice: None if notice.stage == stage else notice


def with_share(share: int) -> Change:
    return lambda n: replace(n, production=share) if n.production == 50 else n


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(without("POST_TEST_TRAFFIC_SHIFT"), "goes from TEST", id="a stage left out"),
        pytest.param(without("RECONCILE_SERVICE"), "begins with PRE_SCALE_UP", id="no beginning"),
        pytest.param(with_share(60), "50 is next", id="too large a share"),
        pytest.param(
            lambda n: replace(n, test=0), "0 thousandths", id="no test traffic where it is due"
        ),
        pytest.param(
            lambda n: replace(n, production=50) if n.production else n,
            "leaves PRODUCTION_TRAFFIC_SHIFT with 50",
            id="not all traffic",
        ),
        pytest.param(
            lambda n: replace(n, production=0) if n.stage == "BAKE_TIME" else n,
            "goes on after its traffic was given back",
            id="goes on after a rollback",
        ),
        pytest.param(
            lambda n: None if n.stage not in m.STAGES[:2] else n,
            "starts tasks",
            id="starts before it scales up",
        ),
    ],
)
def test_a_notice_that_is_wrong_is_seen(change, words):
    assert words in said(told(journal(), change))


@pytest.mark.parametrize(
    ("stage", "by_ms", "words"),
    [
        ("TEST_TRAFFIC_SHIFT", 1, "before hook 0 has ended well"),
        ("POST_PRODUCTION_TRAFFIC_SHIFT", 1, "moves traffic at"),
        ("CLEAN_UP", 1, "leaves BAKE_TIME after"),
        ("POST_SCALE_UP", 1, "leaves SCALE_UP with 0 healthy tasks"),
    ],
)
def test_what_comes_too_early_is_seen(stage, by_ms, words):
    assert words in said(sooner(journal(), stage, by_ms))


def test_a_stage_that_lasts_too_long_is_seen():
    rounds = journal()
    at = next(n for n, r in enumerate(rounds) if "BAKE_TIME" in str(r.commands))
    day = 24 * 60 * MINUTE
    late = [replace(r, now_ms=r.now_ms + (day + MINUTE) * (n > at)) for n, r in enumerate(rounds)]
    kept = [
        *rounds[: at + 1],
        m.Round(rounds[at].now_ms + day + 6 * MINUTE, (), ()),
        *late[at + 1 :],
    ]
    assert "is in BAKE_TIME for" in said(kept)


def test_what_is_replaced_loses_no_task_before_clean_up():
    rounds = journal()
    at = next(n for n, r in enumerate(rounds) if "BAKE_TIME" in str(r.commands))
    stop = m.StopTasks((0,), StopCode.SERVICE_SCHEDULER_INITIATED, "Scaling activity")
    rounds[at] = replace(rounds[at], commands=(*rounds[at].commands, stop))
    assert "keeps 3 tasks of ecs-svc/1, which it replaces" in said(rounds)


def test_a_rollback_that_starts_tasks_is_seen():
    world = served(shift(bake_ms=60 * MINUTE))
    go(
        world,
        lambda c: any(t.stage == "BAKE_TIME" for t in of(m.DeploymentStage, c)),
        revise(world),
    )
    primary = world.scheduler.services["web"].primary.id
    world.round(m.StopServiceDeployment("web", primary))
    last = world.rounds[-1]
    more = m.StartTasks("app:1", "service:web", (8,), (0,), service="web", deployment="ecs-svc/1")
    world.rounds[-1] = replace(last, commands=(*last.commands, more))
    assert "ecs-svc/1 starts tasks (8,) beside 4 of 4" in said(world.rounds)
