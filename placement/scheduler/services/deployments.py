"""A service, its deployments, and the arithmetic of replacing one by another (ecs-semantics 5).

All counts are kept as tasks come and go, so that a change costs the same however many tasks a
service has.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from stowplan.placement.errors import PlacementError
from stowplan.placement.messages import CircuitBreaker, CreateService, UpdateTaskProtection
from stowplan.placement.scheduler.services.targets import TargetHealth
from stowplan.placement.scheduler.tasks import Launch
from stowplan.placement.times import default_ms
from stowplan.placement.units import not_whole

RolloutState = Literal["IN_PROGRESS", "COMPLETED", "FAILED"]
Judge = Literal["check", "target"]
# RUNNING for so long counts as healthy where there is no health check.
HEALTHY_AFTER_MS = default_ms("healthy after")
# The gap after a failed attempt, doubled each time: the cap is AWS's, the steps are not published.
THROTTLE_FIRST_MS, THROTTLE_MOST_MS = 10_000, 27 * 60_000
PROTECTED_MOST_MINUTES = 2_880  # of UpdateTaskProtection
IMPAIRED_ATTEMPTS = 3  # failed attempts in a row after which the service says so


@dataclass(slots=True)
class Deployment:
    """One generation of a service: its launch, and its living tasks, oldest first.

    `failed_tasks` counts as the circuit breaker does; `reached_running` once any task ran.
    """

    id: str
    launch: Launch
    rollout_state: RolloutState = "IN_PROGRESS"
    failed_tasks: int = 0
    reached_running: bool = False
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
        """Tasks that there may be at most while some replace others: maximumPercent."""
        return self.desired_count * self.call.maximum_percent // 100

    def staying(self) -> list[int]:
        """Tasks of the PRIMARY deployment that need no replacement, oldest first."""
        gone = self.draining.keys() | self.unhealthy.keys()
        return [task for task in self.primary.tasks if task not in gone]

    @property
    def staying_count(self) -> int:
        """How many those are."""
        gone = self.draining.keys() | self.unhealthy.keys()
        return len(self.primary.tasks) - sum(task in self.primary.tasks for task in gone)

    @property
    def is_replacing(self) -> bool:
        """Whether any task is to be replaced by another."""
        return len(self.tasks) > len(self.primary.tasks) or bool(self.draining or self.unhealthy)

    # --- what happens to tasks ------------------------------------------------------------------

    def add(self, task: int) -> None:
        """A task of the PRIMARY deployment was started."""
        self.tasks[task] = self.primary.tasks[task] = None

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
        awaited = self.is_replacing or self.extra is not None or self.target is not None
        return [*times, proves_ms] if proves_ms is not None and awaited else times

    # --- what to do -----------------------------------------------------------------------------

    def missing(self, now_ms: int) -> int:
        """How many tasks to start now."""
        if self.primary.rollout_state == "FAILED" or now_ms < self.not_before_ms:
            return 0
        room = self.ceiling - len(self.tasks) - len(self.leaving)
        return max(0, min(self.desired_count - self.staying_count, room))

    def replaced(self) -> list[int]:
        """The tasks to stop now, because others took their place or may take it.

        A task that shall not stay and is not yet RUNNING stops at once. A running task needs a
        healthy one too many: proven healthy where a deployment replaces another, RUNNING where an
        instance drains (ecs-semantics 4.6, 5.3).
        """
        if not self.is_replacing:
            return []
        old = [t for each in self.deployments[:0:-1] for t in each.tasks if t not in self.protected]
        if self.primary.rollout_state == "FAILED":
            old = []  # without a rollback, running tasks are left alone
        stop: list[int] = []
        up = len(self.running) - len(self.unhealthy)
        healthy = up - len(self.unproven)
        candidates = dict.fromkeys([*self.unhealthy, *self.draining, *old])
        for task in sorted(candidates, key=lambda t: t in self.running):
            if task not in self.running:
                stop.append(task)
                continue
            sick, drains = task in self.unhealthy, task in self.draining
            proven = not sick and task not in self.unproven
            level = up if drains and not sick else healthy
            counts = 0 if sick else 1 if drains else int(proven)
            if level - counts >= self.floor:
                stop.append(task)
                up -= not sick
                healthy -= proven
        return stop

    @property
    def is_complete(self) -> bool:
        """Nothing is missing, nothing is to be replaced, everything runs, and no target drains."""
        return (
            len(self.primary.tasks) == self.desired_count == len(self.running)
            and not self.is_replacing
            and not self.leaving
        )


def check_service(call: CreateService) -> None:
    """Raises PlacementError where the configuration of a service makes no sense."""
    if not_whole(call.desired_count):
        raise PlacementError(f"desired count {call.desired_count}, at least 0 expected")
    low, high = call.minimum_healthy_percent, call.maximum_percent
    if call.scheduling_strategy == "DAEMON":
        return
    if not 0 <= low <= 100 <= high <= 200:
        raise PlacementError(
            f"minimumHealthyPercent {low} and maximumPercent {high}: expected 0 to 100, 100 to 200"
        )


def check_protection(call: UpdateTaskProtection, is_protectable: Callable[[int], bool]) -> None:
    """Raises PlacementError where a task belongs to no service, or the time makes no sense."""
    if not 1 <= call.expires_in_minutes <= PROTECTED_MOST_MINUTES:
        raise PlacementError(f"expires in 1 to {PROTECTED_MOST_MINUTES} minutes expected")
    wrong = [task for task in call.tasks if not is_protectable(task)]
    if wrong:
        raise PlacementError(f"TASK_NOT_VALID: tasks {wrong} are no living tasks of a service")


def breaker_threshold(breaker: CircuitBreaker, desired_count: int) -> int:
    """Failed tasks at which a deployment has failed (ecs-semantics 5.4)."""
    if breaker.threshold_type == "COUNT":
        return breaker.threshold_value
    share = -(-breaker.threshold_value * desired_count // 100)
    return share if breaker.threshold_type == "UNBOUNDED_PERCENT" else min(max(share, 3), 200)


class Alarms:
    """When services must be looked at again although no event names them."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._set: set[tuple[int, str]] = set()

    def set(self, at_ms: int, service: str) -> None:
        """Look at a service at this time; the same twice is once."""
        if (at_ms, service) not in self._set:
            self._set.add((at_ms, service))
            heapq.heappush(self._heap, (at_ms, service))

    def drop(self, service: str) -> None:
        """A service is gone: nothing is to be looked at."""
        self._heap = [entry for entry in self._heap if entry[1] != service]
        heapq.heapify(self._heap)
        self._set = set(self._heap)

    @property
    def next_ms(self) -> int | None:
        """The earliest."""
        return self._heap[0][0] if self._heap else None

    def due(self, now_ms: int) -> Iterable[str]:
        """The services whose time has come, each time taken off."""
        while self._heap and self._heap[0][0] <= now_ms:
            entry = heapq.heappop(self._heap)
            self._set.remove(entry)
            yield entry[1]
