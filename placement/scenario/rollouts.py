"""How a service's deployments go on in a scenario; names as in ECS's `deploymentConfiguration`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from stowplan.placement import messages as m
from stowplan.placement.messages.rollouts import DeploymentStrategy, HookAction, HookTarget
from stowplan.placement.scenario.fields import Duration, Number, Percent, Table
from stowplan.placement.times import default_ms

_KEYS = {
    "bake_ms": "bake_time",
    "step_bake_ms": "step_bake_time",
    "canary_bake_ms": "canary_bake_time",
    "step_permille": "step_percent",
    "canary_permille": "canary_percent",
}


class HookTable(Table):
    """A lifecycle hook; see `messages.LifecycleHook`."""

    stages: Annotated[tuple[m.Stage, ...], Field(min_length=1)]
    target: HookTarget = "AWS_LAMBDA"
    takes: Duration = 0
    fails: bool = False
    timeout: Duration = default_ms("hook timeout")
    timeout_action: HookAction = "ROLLBACK"


class DeploymentTable(Table):
    """How deployments of a service move traffic; see `messages.TrafficShift`."""

    strategy: DeploymentStrategy = "ROLLING"
    bake_time: Duration = default_ms("bake")
    step_percent: Annotated[Number, Field(ge=3, le=100)] = 10.0
    step_bake_time: Duration = default_ms("linear bake")
    canary_percent: Annotated[Number, Field(ge=0.1, le=100)] = 5.0
    canary_bake_time: Duration = default_ms("canary bake")
    service_connect: bool = False
    hook: tuple[HookTable, ...] = ()

    def said(self) -> m.TrafficShift | None:
        """As CreateService has it."""
        if self.strategy == "ROLLING":
            return None
        hooks = [
            m.LifecycleHook(
                *(hook.stages, hook.target, hook.takes, hook.fails),
                *(hook.timeout, hook.timeout_action),
            )
            for hook in self.hook
        ]
        return m.TrafficShift(
            *(self.strategy, self.bake_time, round(self.step_percent * 10), self.step_bake_time),
            *(round(self.canary_percent * 10), self.canary_bake_time, tuple(hooks)),
            self.service_connect,
        )

    def problems(self) -> Iterator[tuple[str, str]]:
        """(key, what) of values that ECS refuses."""
        for key in ("step_percent", "canary_percent"):
            tenths = getattr(self, key) * 10
            if abs(tenths - round(tenths)) > 1e-6:
                yield key, "must be a multiple of 0.1"
        shift = self.said()
        for member, what in shift.problems() if shift is not None else ():
            name = _KEYS.get(member, member.replace("hooks", "hook"))
            yield name, what


class AlarmsTable(Table):
    """The alarms that a rolling deployment fails on; see `messages.DeploymentAlarms`."""

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    rollback: bool = False
    bake_time: Duration = default_ms("alarm bake")

    def said(self) -> m.DeploymentAlarms:
        """As CreateService has it."""
        return m.DeploymentAlarms(self.names, self.rollback, self.bake_time)


class EarlySuccessTable(Table):
    """When a rolling deployment is a success before its end; see `messages.EarlySuccess`."""

    healthy_percent: Percent
    cleanup: Literal["BLOCKING", "DEFERRED"] = "BLOCKING"

    def said(self) -> m.EarlySuccess:
        """As CreateService has it."""
        return m.EarlySuccess(self.healthy_percent, self.cleanup)
