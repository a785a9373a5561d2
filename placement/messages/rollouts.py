"""How a deployment goes on, stage by stage: what calls say of it, and what is told of it.

Names, limits and defaults are those of `deploymentConfiguration` in ECS's API model (botocore
1.44.5) and of ecs-2026, "Blue/green family". Shares of traffic are in thousandths, since ECS takes
multiples of a tenth of a per cent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import msgspec

from stowplan.placement.messages.base import Message
from stowplan.placement.times import default_ms

Stage = Literal[
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
]
STAGES: tuple[Stage, ...] = get_args(Stage)
TRAFFIC_STAGES = STAGES[4:9]  # what a service without a load balancer passes over
UNHOOKED: tuple[Stage, ...] = ("SCALE_UP", "BAKE_TIME", "CLEAN_UP")
UNPAUSED: tuple[Stage, ...] = ("TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")
HookTarget = Literal["AWS_LAMBDA", "PAUSE"]
HookAction = Literal["ROLLBACK", "CONTINUE"]
HookStatus = Literal["AWAITING_ACTION", "IN_PROGRESS", "SUCCEEDED", "FAILED", "TIMED_OUT"]
DeploymentStrategy = Literal["ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"]

WHOLE = 1000  # all traffic, in thousandths
BAKE_MOST_MINUTES = 1_440
HOOKS_MOST = 10  # of each target
PAUSE_MOST_MINUTES = 20_160
STEP_LEAST, CANARY_LEAST = 30, 1  # thousandths


class LifecycleHook(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is done at stages of a deployment, beside the stage's own work.

    A Lambda function runs for `takes_ms`, and then succeeds or `fails` (both ours: no function is
    called). A PAUSE lasts until ContinueServiceDeployment. One that has not ended after
    `timeout_ms` has TIMED_OUT, and `timeout_action` follows.
    """

    stages: tuple[Stage, ...]
    target: HookTarget = "AWS_LAMBDA"
    takes_ms: int = 0
    fails: bool = False
    timeout_ms: int = default_ms("hook timeout")
    timeout_action: HookAction = "ROLLBACK"
    arn: str = ""

    def problems(self) -> Iterator[str]:
        """What ECS refuses about it."""
        if not self.stages:
            yield "names no stage"
        barred = UNHOOKED + (UNPAUSED if self.target == "PAUSE" else ())
        for stage in self.stages:
            if stage in barred:
                yield f"{self.target} is not to be had at {stage}"
        if not 60_000 <= self.timeout_ms <= PAUSE_MOST_MINUTES * 60_000:
            yield f"its timeout must be from 1 to {PAUSE_MOST_MINUTES} minutes"


class TrafficShift(msgspec.Struct, frozen=True, omit_defaults=True):
    """A deployment that starts the new revision beside the old one, then moves the traffic.

    `bake_ms`: how long both run after all traffic has moved. A LINEAR one moves `step_permille` and
    waits `step_bake_ms` until all has moved, a CANARY one moves `canary_permille`, waits
    `canary_bake_ms`, and moves the rest. ROLLING: none of it holds. `service_connect`: traffic is
    shifted without a load balancer.
    """

    strategy: DeploymentStrategy = "BLUE_GREEN"
    bake_ms: int = 0
    step_permille: int = 100
    step_bake_ms: int = default_ms("linear bake")
    canary_permille: int = 50
    canary_bake_ms: int = default_ms("canary bake")
    hooks: tuple[LifecycleHook, ...] = ()
    service_connect: bool = False

    def steps(self) -> list[int]:
        """The shares of production traffic that the new revision gets, one after the other."""
        if self.strategy == "LINEAR":
            return [*range(self.step_permille, WHOLE, self.step_permille), WHOLE]
        first = [self.canary_permille] if self.strategy == "CANARY" else []
        return [each for each in first if each < WHOLE] + [WHOLE]

    @property
    def between_ms(self) -> int:
        """How long it waits after a step that is not the last."""
        return self.step_bake_ms if self.strategy == "LINEAR" else self.canary_bake_ms

    def problems(self) -> Iterator[tuple[str, str]]:
        """(member, what) of what ECS refuses."""
        for name in ("bake_ms", "step_bake_ms", "canary_bake_ms"):
            if not 0 <= getattr(self, name) <= BAKE_MOST_MINUTES * 60_000:
                yield name, f"must be from 0 to {BAKE_MOST_MINUTES} minutes"
        if not STEP_LEAST <= self.step_permille <= WHOLE:
            yield "step_permille", "must be from 3.0 to 100.0 per cent"
        if not CANARY_LEAST <= self.canary_permille <= WHOLE:
            yield "canary_permille", "must be from 0.1 to 100.0 per cent"
        for target in get_args(HookTarget):
            if sum(hook.target == target for hook in self.hooks) > HOOKS_MOST:
                yield "hooks", f"has more than {HOOKS_MOST} of {target}"
        for number, hook in enumerate(self.hooks):
            for what in hook.problems():
                yield f"hooks[{number}]", what


class DeploymentAlarms(msgspec.Struct, frozen=True, omit_defaults=True):
    """The CloudWatch alarms that a rolling deployment fails on, while it bakes at its end."""

    names: tuple[str, ...]
    rollback: bool = False
    bake_ms: int = default_ms("alarm bake")


class EarlySuccess(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rolling deployment is a success once so many of the desired count are healthy; BLOCKING:
    and the tasks of the others are gone."""

    healthy_percent: int
    cleanup: Literal["BLOCKING", "DEFERRED"] = "BLOCKING"


class ContinueServiceDeployment(Message, frozen=True):
    """End a PAUSE of a deployment: go on, or roll back."""

    service: str
    deployment: str
    hook: str
    action: HookAction = "CONTINUE"


class AlarmsChanged(Message, frozen=True):
    """These CloudWatch alarms are in ALARM from now on, or no longer."""

    names: tuple[str, ...]
    in_alarm: bool = True


class HookState(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a hook of the current stage is; `index` is its place among the hooks."""

    id: str
    index: int
    status: HookStatus
    expires_at_ms: int


class DeploymentStage(Message, frozen=True):
    """A deployment has come to a stage, moved traffic, or a hook of it has come further.

    `production`, `test`: the thousandths of traffic that its revision gets; `source` has the rest.
    """

    service: str
    deployment: str
    source: str
    stage: Stage
    production: int = 0
    test: int = 0
    hooks: tuple[HookState, ...] = ()
