"""A service, its deployments, and the arithmetic of replacing one by another (ecs-semantics 5).

All counts are kept as tasks come and go, so that a change costs the same however many tasks a
service has.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Literal

from stowplan.placement.messages import CreateService, UpdateTaskProtection
from stowplan.placement.scheduler.services.shifting import Rollout
from stowplan.placement.scheduler.services.targets import TargetHealth
from stowplan.placement.scheduler.tasks import Launch
from stowplan.placement.times import default_ms

RolloutState = Literal["IN_PROGRESS", "COMPLETED", "FAILED"]
Judge = Literal["check", "target"]
# RUNNING for so long counts as healthy where there is no health check.
HEALTHY_AFTER_MS = default_ms("healthy after")
# The gap after a failed attempt, doubled each time: the cap is AWS's, the steps are not published.
THROTTLE_FIRST_MS, THROTTLE_MOST_MS = 10_000, 27 * 60_000
IMPAIRED_ATTEMPTS = 3  # failed attempts in a row after which the service says so


@dataclass(slots=True)
class Deployment:
    """One generation of a service: its launch, and its living tasks, oldest first.

    `failed_tasks` counts as the circuit breaker does; `reached_running` once any task ran.
    `rollout`: how far it is, if it shifts traffic; `bakes_until_ms`: when a rolling one that has
    done all else is complete; `ignored`: alarms that were in ALARM when it began, and still are.
    """

    id: str
    launch: Launch
    rollout_state: RolloutState = "IN_PROGRESS"
    failed_tasks: int = 0
    reached_running: bool = False
    rollout: Rollout | None = None
    bakes_until_ms: int | None = None
    ignored: set[str] = field(default_factory=set)
    tasks: dict[int, None] = field(default_factory=dict)
    _launches: dict[tuple[Launch, str], Launch] = field(default_factory=dict)

    def launch_on(self, capacity_provider: str) -> Launch:
        """What a new task is started with on a capacity provider: each time the same."""
        key = (self.launch, capacity_provider)
        if key not in self._launches:
            self._launches[key] = self.launch.on(capacity_provider)
        return self._launches[key]


@dataclass(slots=True)
class Service:
    """A service and its living tasks. `deployments[0]` is PRIMARY, the others are being replaced.

    `call` is its configuration; a daemon's `desired_count` is that of its instances. `draining`,
    `unhealthy`: tasks to be replaced one by one. `unproven`: running tasks that do not count as
    healthy yet, with the time from which they do, earliest first; None: when a health check says
    so. `extra` is a task beyond the count, of a rebalancing. `protected`: until when scale-in and
    deployments leave a task alone. `leaving`: stopped tasks whose targets drain, until they are
    gone.

    With a load balancer, `target` says when it judges a task. `verdicts` are those to come, each a
    time, a task, and whether it is good; `awaits` whose good word each task still needs: that of
    its health check, its target, or both.
    """

    call: CreateService
    deployments: list[Deployment]
    desired_count: int
    tasks: dict[int, None] = field(default_factory=dict)
    running: dict[int, None] = field(default_factory=dict)
    draining: dict[int, None] = field(default_factory=dict)
    unhealthy: dict[int, None] = field(default_factory=dict)
    unproven: dict[int, int | None] = field(default_factory=dict)
    protected: dict[int, int] = field(default_factory=dict)
    leaving: dict[int, None] = field(default_factory=dict)
    target: TargetHealth | None = None
    verdicts: list[tuple[int, int, bool]] = field(default_factory=list)
    awaits: dict[int, set[Judge]] = field(default_factory=dict)
    extra: int | None = None
    attempts: int = 0
    not_before_ms: int = 0
    completed: Launch | None = None
    steady: bool = False
    complaint: str = ""
    stuck: bool = False
    held: bool = False

    @property
    def name(self) -> str:
        """Unique in the cluster."""
        return self.call.service

    @property
    def daemon(self) -> bool:
        """One task on each instance instead of a count."""
        return self.call.scheduling_strategy == "DAEMON"

    @property
    def primary(self) -> Deployment:
        """The deployment that new tasks belong to."""
        return self.deployments[0]

    @property
    def launch(self) -> Launch:
        """What a new task is started with."""
        return self.primary.launch

    @property
    def floor(self) -> int:
        """Healthy tasks that must remain when the scheduler stops some: minimumHealthyPercent."""
        return -(-self.desired_count * self.call.minimum_healthy_percent // 100)

    @property
    def ceiling(self) -> int:
        """Tasks that there may be at most while some replace others: maximumPercent; twice the
        desired count where traffic is shifted."""
        if self.call.shifts and len(self.deployments) > 1:
            return 2 * self.desired_count
        return self.desired_count * self.call.maximum_percent // 100

    @property
    def rollout(self) -> Rollout | None:
        """How far the PRIMARY deployment is, while it goes on and shifts traffic."""
        return self.primary.rollout if self.primary.rollout_state == "IN_PROGRESS" else None

    @property
    def source(self) -> Deployment | None:
        """The deployment whose tasks are all kept beside those of the PRIMARY one, until it is
        cleaned up."""
        rollout = self.rollout
        if rollout is None or rollout.stage == "CLEAN_UP":
            return None
        return next((each for each in self.deployments if each.id == rollout.source), None)

    def staying(self, deployment: Deployment | None = None) -> list[int]:
        """Tasks of a deployment, by default the PRIMARY one, that need no replacement, oldest
        first."""
        gone = self.draining.keys() | self.unhealthy.keys()
        return [task for task in (deployment or self.primary).tasks if task not in gone]

    @property
    def staying_count(self) -> int:
        """How many those are of the PRIMARY deployment."""
        return self.stay_count(self.primary)

    def stay_count(self, deployment: Deployment) -> int:
        """How many tasks of a deployment need no replacement."""
        gone = self.draining.keys() | self.unhealthy.keys()
        return len(deployment.tasks) - sum(task in deployment.tasks for task in gone)

    def healthy_count(self, deployment: Deployment) -> int:
        """How many tasks of a deployment run and are proven."""
        return sum(task in self.running and self.is_proven(task) for task in deployment.tasks)

    def is_proven(self, task: int) -> bool:
        """Whether a running task counts as healthy."""
        return task not in self.unhealthy and task not in self.unproven

    @property
    def is_replacing(self) -> bool:
        """Whether any task is to be replaced by another."""
        return len(self.tasks) > len(self.primary.tasks) or bool(self.draining or self.unhealthy)

    # --- what happens to tasks ------------------------------------------------------------------

    def add(self, task: int, deployment: Deployment | None = None) -> None:
        """A task was started; by default of the PRIMARY deployment."""
        self.tasks[task] = (deployment or self.primary).tasks[task] = None

    def deployment_of(self, task: int) -> Deployment:
        """The deployment of a living task."""
        if task in self.primary.tasks:  # as nearly always
            return self.primary
        return next(each for each in self.deployments if task in each.tasks)

    def ran(self, task: int, now_ms: int) -> None:
        """A living task is RUNNING: no reason to hold back any more."""
        deployment = self.deployment_of(task)
        deployment.reached_running = True
        self.running[task] = None
        self.attempts = self.not_before_ms = 0
        checked = deployment.launch.health_checked
        if self.target is not None:
            self._await_target(task, self.target, checked, now_ms)
        self.unproven[task] = None if checked or self.target else now_ms + HEALTHY_AFTER_MS

    def _await_target(self, task: int, target: TargetHealth, checked: bool, now_ms: int) -> None:
        self.awaits[task] = {"check", "target"} if checked else {"target"}
        for after_ms, healthy in ((target.healthy_ms, True), (target.unhealthy_ms, False)):
            if after_ms is not None:
                heapq.heappush(self.verdicts, (now_ms + after_ms, task, healthy))

    def judged(self, task: int, healthy: bool, judge: Judge = "check") -> None:
        """A health check or the load balancer has a verdict on a living task; a first bad one
        counts as a failure, a good one for as much as the others that it needs allow."""
        deployment = self.deployment_of(task)
        needs = self.awaits.get(task)
        if needs is not None:
            (needs.discard if healthy else needs.add)(judge)
            if healthy and needs:
                return
        self.unproven.pop(task, None)
        if healthy:
            self.unhealthy.pop(task, None)
            self._proved(deployment)
        elif task not in self.unhealthy:
            self.unhealthy[task] = None
            deployment.failed_tasks += 1

    def prove(self, now_ms: int) -> None:
        """Count tasks as healthy that ran for long enough and have no health check; hear what the
        load balancer says by now."""
        while self.verdicts and self.verdicts[0][0] <= now_ms:
            _, task, healthy = heapq.heappop(self.verdicts)
            if task in self.awaits:
                self.judged(task, healthy, "target")
        ready = []
        for task, at_ms in self.unproven.items():
            if at_ms is not None:
                if at_ms > now_ms:
                    break
                ready.append(task)
        for task in ready:
            del self.unproven[task]
            self._proved(self.deployment_of(task))

    def proves_ms(self) -> int | None:
        """When the next task counts as healthy by itself, or is judged by the load balancer."""
        if self.verdicts:
            return self.verdicts[0][0]
        return next((at_ms for at_ms in self.unproven.values() if at_ms is not None), None)

    def _proved(self, deployment: Deployment) -> None:
        breaker = self.call.circuit_breaker
        if breaker is None or breaker.reset_on_healthy_task:
            deployment.failed_tasks = 0

    def remove(self, task: int) -> None:
        """A task shall not run any more."""
        del self.tasks[task], self.deployment_of(task).tasks[task]
        for each in (self.running, self.draining, self.unhealthy, self.unproven, self.protected):
            each.pop(task, None)
        self.awaits.pop(task, None)
        if self.extra == task:
            self.extra = None

    def protect(self, task: int, call: UpdateTaskProtection, now_ms: int) -> int | None:
        """Protect a task, or end that; returns until when it is protected."""
        self.protected.pop(task, None)
        if not call.protection_enabled:
            return None
        self.protected[task] = now_ms + call.expires_in_minutes * 60_000
        return self.protected[task]

    def unprotect(self, now_ms: int) -> None:
        """Forget protections that have expired."""
        for task in [t for t, until in self.protected.items() if until <= now_ms]:
            del self.protected[task]

    def failed_to_start(self, task: int, now_ms: int) -> None:
        """A living task stopped by itself without ever running; tasks that fail at once are one
        try."""
        deployment = self.deployment_of(task)
        if not deployment.reached_running:
            deployment.failed_tasks += 1
        if now_ms >= self.not_before_ms:
            gap = THROTTLE_FIRST_MS << min(self.attempts, 20)
            self.not_before_ms = now_ms + min(gap, THROTTLE_MOST_MS)
            self.attempts += 1

    def wakes(self, now_ms: int) -> list[int]:
        """When to look at the service again although no event names it."""
        times = [self.not_before_ms] if self.not_before_ms > now_ms else []
        proves_ms = self.proves_ms()
        shifts, early = self.rollout is not None, self.call.early_success is not None
        awaited = self.is_replacing or self.extra is not None or self.target is not None
        if proves_ms is not None and (awaited or shifts or early):
            times.append(proves_ms)
        if self.rollout is not None and (at_ms := self.rollout.wake_ms(now_ms)) is not None:
            times.append(at_ms)
        bakes_ms = self.primary.bakes_until_ms
        return [*times, bakes_ms] if bakes_ms is not None and bakes_ms > now_ms else times

    # --- what to do -----------------------------------------------------------------------------

    def missing(self, now_ms: int) -> int:
        """How many tasks of the PRIMARY deployment to start now."""
        if self.primary.rollout_state == "FAILED" or now_ms < self.not_before_ms:
            return 0
        lacks = self.desired_count - self.staying_count
        rollout = self.rollout
        if rollout is not None and self.source is not None:
            return max(0, lacks) if rollout.is_scaled_up else 0
        return max(0, min(lacks, self.ceiling - len(self.tasks) - len(self.leaving)))

    def lacking(self, now_ms: int) -> list[tuple[Deployment, int]]:
        """How many tasks of which deployments to start now: what is replaced while traffic is
        shifted keeps its count, too, and has it first."""
        lacks = [(self.primary, self.missing(now_ms))]
        source = self.source
        if source is not None and now_ms >= self.not_before_ms:
            lacks.insert(0, (source, self.desired_count - self.stay_count(source)))
        return [(each, count) for each, count in lacks if count > 0]

    def replaced(self) -> list[int]:
        """The tasks to stop now, because others took their place or may take it.

        A task that shall not stay and is not yet RUNNING stops at once. A running task needs a
        healthy one too many: proven healthy where a deployment replaces another, RUNNING where an
        instance drains (ecs-semantics 4.6, 5.3). While traffic is shifted, each of the two
        deployments is held to that by itself, and what is sick makes room at once.
        """
        if not self.is_replacing:
            return []
        source = self.source
        if source is not None:
            own = self._replaced(self.primary.tasks, [])
            rest = [t for each in self.deployments if each is not self.primary for t in each.tasks]
            old = [t for t in rest if t not in source.tasks and t not in self.protected]
            return own + self._replaced(dict.fromkeys(rest), old)
        old = [t for each in self.deployments[:0:-1] for t in each.tasks if t not in self.protected]
        if self.primary.rollout_state == "FAILED":
            old = []  # without a rollback, running tasks are left alone
        return self._replaced(self.tasks, old)

    def _replaced(self, among: dict[int, None], old: list[int]) -> list[int]:
        """Those of some tasks to stop; `old`: the healthy ones that shall not stay."""
        stop: list[int] = []
        pool = self.running if among is self.tasks else among.keys() & self.running.keys()
        up = len(pool) - sum(task in pool for task in self.unhealthy)
        healthy = up - sum(task in pool for task in self.unproven)
        sick = [task for task in self.unhealthy if task in among]
        candidates = dict.fromkeys([*sick, *(t for t in self.draining if t in among), *old])
        for task in sorted(candidates, key=lambda t: t in self.running):
            is_sick, drains = task in self.unhealthy, task in self.draining
            if task not in self.running or (is_sick and self.source is not None):
                stop.append(task)
                continue
            proven = not is_sick and task not in self.unproven
            level = up if drains and not is_sick else healthy
            counts = 0 if is_sick else 1 if drains else int(proven)
            if level - counts >= self.floor:
                stop.append(task)
                up -= not is_sick
                healthy -= proven
        return stop

    @property
    def is_complete(self) -> bool:
        """Nothing is missing, nothing is to be replaced, everything runs, and no target drains."""
        return (
            len(self.primary.tasks) == self.desired_count == len(self.running)
            and not self.is_replacing
            and not self.leaving
            and self.source is None
        )
