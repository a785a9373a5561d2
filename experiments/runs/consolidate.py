"""A repack as a policy: at set times instances are planned to be freed, and drained as ECS drains.

It stands between the scheduler and the simulated world and speaks as a user of ECS's API would: it
sets instances DRAINING, upon which the scheduler moves their services' tasks within the limits of
each service, and ACTIVE again as soon as a task finds no room. So tasks go where their own
strategies send them, not where the plan had them. Standalone tasks are not moved, as ECS does not
move them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.result import RunResult, result_of, tee
from stowplan.experiments.record.usage import Usage
from stowplan.experiments.runs.simulate import uncollected, world
from stowplan.placement.driver import Driver
from stowplan.placement.loop import Attended, run_loop
from stowplan.placement.messages import (
    Command,
    Event,
    InstanceRegistered,
    RegisterTaskDefinition,
    Round,
    StopTasks,
    UpdateContainerInstancesState,
)
from stowplan.placement.optimal.repack import SpreadBy, keep_spread, trade_off
from stowplan.placement.optimal.repack_state import RepackState
from stowplan.placement.outlook import Running
from stowplan.placement.packing.problem import Limits
from stowplan.placement.scenario.scenario import Run
from stowplan.placement.scheduler.scheduler import Scheduler

SERVICE = "service:"


@dataclass(frozen=True)
class Policy:
    """When to repack, and what a move must be worth.

    Args:
        every_ms: between two plans; 0: never.
        move_cost: microdollars of one move; keep_hours: for so long a freed instance counts.
        work: units for each plan, so that runs repeat.
        spread_by: the attribute over which a kind stays spread in the plan.
    """

    every_ms: int
    move_cost: int
    keep_hours: float
    work: float
    spread_by: SpreadBy


@dataclass
class Told:
    """What the policy did.

    Args:
        plans: how many times it planned; proven: so many of them to the proof.
        drained: instances set DRAINING; recalled: set ACTIVE again since tasks had no room.
        moved: tasks stopped on them.
    """

    plans: int = 0
    proven: int = 0
    drained: int = 0
    recalled: int = 0
    moved: int = 0
    planned_moves: int = 0


@dataclass
class Consolidating:
    """A driver with the policy on top; see `placement.driver.Driver`."""

    inner: Driver
    scheduler: Scheduler
    policy: Policy
    told: Told = field(default_factory=Told)
    _next_ms: int = 0
    _drained: set[int] = field(default_factory=set)
    _to_move: set[int] = field(default_factory=set)
    _prices: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._next_ms = self.policy.every_ms

    def now_ms(self) -> int:
        """The world's time."""
        return self.inner.now_ms()

    def wait(self, deadline_ms: int | None) -> list[Event] | None:
        """The world's events; or the policy's, when it is time for them."""
        if self._drained and any(count for _, count in self.scheduler.outlook().wanted()):
            return self._recall()
        if not self.policy.every_ms:
            return self._seen(self.inner.wait(deadline_ms))
        until_ms = self._next_ms if deadline_ms is None else min(self._next_ms, deadline_ms)
        events = self._seen(self.inner.wait(until_ms))
        if events or self.inner.now_ms() < self._next_ms:
            return events
        self._next_ms += self.policy.every_ms
        return self._drain()

    def execute(self, command: Command) -> None:
        """Hand a command on."""
        if isinstance(command, StopTasks):
            moved = self._to_move.intersection(command.tasks)
            self.told.moved += len(moved)
            self._to_move -= moved
        self.inner.execute(command)

    def register(self, call: RegisterTaskDefinition) -> None:
        """Hand a task definition on."""
        self.inner.register(call)

    def close(self) -> None:
        """Let go of the world."""
        self.inner.close()

    def _seen(self, events: list[Event] | None) -> list[Event] | None:
        for event in events or ():
            if isinstance(event, InstanceRegistered):
                self._prices[event.instance] = event.price_microusd_hour
        return events

    def _recall(self) -> list[Event]:
        back = tuple(sorted(self._drained))
        self.told.recalled += len(back)
        self._drained.clear()
        self._to_move.clear()
        return [UpdateContainerInstancesState(back, "ACTIVE")]

    def _drain(self) -> list[Event]:
        """Plan, and drain what the plan frees; nothing while tasks lack room."""
        scheduler, policy = self.scheduler, self.policy
        outlook = scheduler.outlook()
        running = outlook.running()
        if not running or any(count for _, count in outlook.wanted()):
            return []
        size = scheduler.cluster.size
        hourly = np.array([self._prices.get(row, 0) for row in range(size)], dtype=np.float64)
        price = np.rint(hourly * policy.keep_hours).astype(np.int64)

        def made(spread_by: SpreadBy) -> RepackState:
            return RepackState(scheduler.engine, running, (), spread_by, _of_a_service)

        answer = keep_spread(
            made,
            lambda state: trade_off(state, price, policy.move_cost, Limits(work=policy.work)),
            policy.spread_by,
        )
        self.told.plans += 1
        self.told.proven += answer.status == "optimal"
        freed = () if answer.plan is None else answer.plan.freed
        if not freed:
            return []
        assert answer.plan is not None
        self.told.planned_moves += len(answer.plan.moves)
        self._drained.update(freed)
        self.told.drained += len(freed)
        self._to_move.update(t.task for t in running if t.row in set(freed) and not t.daemon)
        return [UpdateContainerInstancesState(tuple(freed), "DRAINING")]


def _of_a_service(task: Running) -> bool:
    return task.kind.group.startswith(SERVICE)


def consolidated(
    loaded: Loaded, run: Run, policy: Policy, also: Sequence[Callable[[Round], None]] = ()
) -> tuple[RunResult, Told]:
    """One run of a scenario under the policy, to the scenario's end; restarts are not played.

    Args:
        also: shown every round, in order.
    """
    until_ms = loaded.scenario.duration
    scheduler, attended = world(loaded, run, until_ms)
    recorder, usage = Recorder(), Usage()
    record = tee([recorder, usage, *also])
    through = Consolidating(attended.driver, scheduler, policy)
    with uncollected():
        run_loop(scheduler, Attended(through, attended.callers), record)
        if recorder.now_ms < until_ms:
            record(Round(until_ms, (), ()))
    return result_of(run, recorder, usage, until_ms, True), through.told
