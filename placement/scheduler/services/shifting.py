"""How far a deployment is that shifts traffic: its stages, its steps and its hooks, by the clock.

What the page of ECS says stands in `docs/design/services.md`, and what is ours. Nothing is asked of
a load balancer or of a function: how long they take is in the service's configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from stowplan.placement import messages as m
from stowplan.placement.errors import CallError
from stowplan.placement.messages import STAGES, WHOLE, HookState, Stage, TrafficShift
from stowplan.placement.messages.rollouts import TRAFFIC_STAGES
from stowplan.placement.times import default_ms
from stowplan.placement.units import earliest

STAGE_MOST_MS = 24 * 3_600_000
DEPLOYMENT_MOST_MS = 30 * 24 * 3_600_000
_SCALED_UP = STAGES[2:]  # from here on the new revision has tasks
_HAS_TRAFFIC = STAGES[8:]  # from here on it has all traffic


@dataclass(slots=True)
class Rollout:
    """How far a deployment is; `source` is the id of the one that it replaces.

    `production`, `test`: the thousandths of traffic that its own tasks get. `shifted_ms`: when
    traffic last moved in this stage; `steps` are those still to be made. `notices` are to be told.
    """

    service: str
    deployment: str
    source: str
    shift: TrafficShift
    headless: bool
    extra_ms: int
    began_ms: int
    stage: Stage = "RECONCILE_SERVICE"
    since_ms: int = 0
    production: int = 0
    test: int = 0
    shifted_ms: int | None = None
    steps: list[int] = field(default_factory=list)
    hooks: list[HookState] = field(default_factory=list)
    refused: str = ""
    notices: list[m.DeploymentStage] = field(default_factory=list)

    @property
    def is_scaled_up(self) -> bool:
        """Whether its tasks are to run by now."""
        return self.stage in _SCALED_UP

    @property
    def has_traffic(self) -> bool:
        """Whether all traffic is its own by now."""
        return self.stage in _HAS_TRAFFIC

    def begin(self, now_ms: int) -> None:
        """The deployment begins."""
        self._enter("RECONCILE_SERVICE", now_ms)

    def advance(self, now_ms: int, *, reconciled: bool, healthy: bool) -> str:
        """Go as far as the clock allows. Returns why the deployment has failed, "" if it has not.

        Args:
            reconciled: whether no task of a third deployment is left.
            healthy: whether all tasks of the new revision run and are proven.
        """
        while True:
            if self.refused:
                return self.refused
            if now_ms >= self.began_ms + DEPLOYMENT_MOST_MS:
                return "it has lasted for 30 days"
            if why := self._run_hooks(now_ms):
                return why
            done = self._work(now_ms, reconciled=reconciled, healthy=healthy)
            if not done or any(_runs(hook) for hook in self.hooks):
                late = now_ms >= self.since_ms + self._most_ms
                return f"{self.stage} has lasted for too long" if late else ""
            if self.stage == "CLEAN_UP":
                return ""
            self._enter(self._following(), now_ms)

    def _following(self) -> Stage:
        rest = STAGES[STAGES.index(self.stage) + 1 :]
        return next(e for e in rest if not (self.headless and e in TRAFFIC_STAGES))

    def _enter(self, stage: Stage, now_ms: int) -> None:
        self.stage, self.since_ms, self.shifted_ms = stage, now_ms, None
        self.steps = self.shift.steps() if stage == "PRODUCTION_TRAFFIC_SHIFT" else []
        self.hooks = [
            HookState(
                f"{stage}-{index}",
                index,
                "AWAITING_ACTION" if hook.target == "PAUSE" else "IN_PROGRESS",
                now_ms + hook.timeout_ms,
            )
            for index, hook in enumerate(self.shift.hooks)
            if stage in hook.stages
        ]
        if stage == "BAKE_TIME":
            self.production = WHOLE  # of what has no traffic to shift, too
        self.note()

    # --- the stage's own work -------------------------------------------------------------------

    def _work(self, now_ms: int, *, reconciled: bool, healthy: bool) -> bool:
        """Do what can be done of it by now; returns whether that is all."""
        stage = self.stage
        if stage == "RECONCILE_SERVICE":
            return reconciled
        if stage == "SCALE_UP":
            return healthy
        if stage == "TEST_TRAFFIC_SHIFT":
            if self.shifted_ms is None and now_ms >= self.since_ms + self.extra_ms:
                self.test, self.shifted_ms = WHOLE, now_ms
                self.note()
            return self.shifted_ms is not None
        if stage == "PRODUCTION_TRAFFIC_SHIFT":
            while self.steps and now_ms >= self._step_ms():
                self.production, self.shifted_ms = self.steps.pop(0), now_ms
                self.note()
            return not self.steps
        return stage != "BAKE_TIME" or now_ms >= self.since_ms + self.shift.bake_ms

    def _step_ms(self) -> int:
        """When the next step of production traffic has been made."""
        if self.shifted_ms is None:
            return self.since_ms + self.extra_ms
        return self.shifted_ms + self.shift.between_ms + self.extra_ms

    @property
    def _most_ms(self) -> int:
        """How long the stage may take: 24 h, beside what is waited for on purpose (ours)."""
        pauses = [self.shift.hooks[e.index] for e in self.hooks]
        most = max([STAGE_MOST_MS, *(h.timeout_ms for h in pauses if h.target == "PAUSE")])
        if self.stage == "PRODUCTION_TRAFFIC_SHIFT":
            most += (len(self.shift.steps()) - 1) * self.shift.between_ms
        return most + (self.shift.bake_ms if self.stage == "BAKE_TIME" else 0)

    # --- hooks ----------------------------------------------------------------------------------

    def _run_hooks(self, now_ms: int) -> str:
        """Let hooks end whose time has come; returns why the deployment fails, if one says so."""
        for place, state in enumerate(self.hooks):
            if not _runs(state):
                continue
            hook = self.shift.hooks[state.index]
            ends_ms = None if hook.target == "PAUSE" else self.since_ms + hook.takes_ms
            if ends_ms is not None and ends_ms < state.expires_at_ms and now_ms >= ends_ms:
                self._set(place, "FAILED" if hook.fails else "SUCCEEDED")
                if hook.fails:
                    return f"the lifecycle hook {state.id} failed"
            elif now_ms >= state.expires_at_ms:
                self._set(place, "TIMED_OUT")
                if hook.timeout_action == "ROLLBACK":
                    return f"the lifecycle hook {state.id} timed out"
        return ""

    def _set(self, place: int, status: m.HookStatus) -> None:
        state = self.hooks[place]
        self.hooks[place] = HookState(state.id, state.index, status, state.expires_at_ms)
        self.note()

    def go_on(self, call: m.ContinueServiceDeployment) -> None:
        """A PAUSE ends. Raises CallError where none of that name awaits it."""
        for place, state in enumerate(self.hooks):
            if state.id == call.hook and state.status == "AWAITING_ACTION":
                self._set(place, "SUCCEEDED" if call.action == "CONTINUE" else "FAILED")
                if call.action == "ROLLBACK":
                    self.refused = "ContinueServiceDeployment asked for ROLLBACK"
                return
        raise CallError("InvalidParameterException", f"no hook {call.hook} awaits an action")

    # --- what is told, and when to look again ----------------------------------------------------

    def note(self) -> None:
        """Keep a notice of how far it is."""
        shares = (0, 0) if self.headless else (self.production, self.test)
        hooks = tuple(self.hooks)
        self.notices.append(
            m.DeploymentStage(
                self.service, self.deployment, self.source, self.stage, *shares, hooks
            )
        )

    def give_back(self) -> None:
        """All traffic goes to the source again, at once."""
        self.production = self.test = 0
        self.note()

    def wakes(self) -> Iterator[int]:
        """The times that this stage waits for."""
        yield self.began_ms + DEPLOYMENT_MOST_MS
        yield self.since_ms + self._most_ms
        for state in self.hooks:
            hook = self.shift.hooks[state.index]
            if _runs(state):
                yield state.expires_at_ms
                if hook.target != "PAUSE":
                    yield self.since_ms + hook.takes_ms
        if self.steps:
            yield self._step_ms()
        if self.stage == "TEST_TRAFFIC_SHIFT" and self.shifted_ms is None:
            yield self.since_ms + self.extra_ms
        if self.stage == "BAKE_TIME":
            yield self.since_ms + self.shift.bake_ms

    def wake_ms(self, now_ms: int) -> int | None:
        """When to look at it again."""
        return earliest(*(at_ms for at_ms in self.wakes() if at_ms > now_ms))


def _runs(state: HookState) -> bool:
    return state.status in ("IN_PROGRESS", "AWAITING_ACTION")


def rollout_of(call: m.CreateService, deployment: str, source: str, now_ms: int) -> Rollout | None:
    """How a deployment that begins now goes on; None: it is a rolling one."""
    if call.shift is None or not call.shifts:
        return None
    balancer = call.load_balancer
    extra_ms = default_ms("network shift") if balancer is not None and balancer.network else 0
    rollout = Rollout(
        *(call.service, deployment, source, call.shift, call.headless, extra_ms, now_ms)
    )
    rollout.begin(now_ms)
    return rollout
