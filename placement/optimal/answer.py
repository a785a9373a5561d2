"""What every goal of `optimize` answers with: one shape, whatever was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from stowplan.placement.packing.problem import Progress, Status

Plan = TypeVar("Plan")


@dataclass(frozen=True)
class Trial:
    """What came of trying a plan out on the engine.

    Args:
        left: tasks by owner that find no place where ECS places them by their own strategies, on
            the instances of the plan.
        refused: those that the engine does not take where the plan has them: none, or a bug.
        planned: those that the plan itself leaves out.
        used, plan_used: instances that hold a task, by the strategies and by the plan.
        cost, plan_cost: of busy time, for a plan over time.
        drained: for a plan of moves, what comes of draining the instances that it frees.
    """

    left: Mapping[str, int]
    refused: Mapping[str, int]
    planned: Mapping[str, int]
    used: int
    plan_used: int
    cost: int | None = None
    plan_cost: int | None = None
    drained: bool = False

    @property
    def more_left(self) -> int:
        """Tasks that ECS would leave without a place beyond those that the plan leaves out."""
        return sum(self.left.values()) - sum(self.planned.values())

    @property
    def reached(self) -> bool:
        """ECS, left alone, does as well: it places as many, on no more instances or money."""
        if self.more_left > 0 or self.used > self.plan_used:
            return False
        return self.cost is None or self.plan_cost is None or self.cost <= self.plan_cost

    @property
    def better(self) -> bool:
        """ECS, left alone, does better than the plan: one that is not proven least."""
        fewer = self.more_left < 0 or self.used < self.plan_used
        cheaper = None not in (self.cost, self.plan_cost) and self.cost < self.plan_cost  # type: ignore[operator]
        return self.reached and (fewer or cheaper)


@dataclass(frozen=True)
class Answer(Generic[Plan]):
    """A plan, and a proof of how much better any other could be.

    Args:
        goal: what was asked, as `stowplan optimize --goal` names it.
        unit: of `objective` and `lower_bound`: "instances", "microusd/h", "moves", ...
        objective: what the plan costs, less is better; None without a plan.
        lower_bound: no plan costs less; proven in integers.
        plan: checked by code that shares nothing with the solver; None where none was found.
        reasons: why there can be none (status "infeasible"), a sentence each, with names.
        seconds: wall clock where `Limits` had a clock, else 0.
        log: every improvement of bound or plan, in order.
        trial: what became of the plan on the engine.
        notes: what else is to be known of the plan, a sentence each.
    """

    goal: str
    unit: str
    status: Status
    objective: int | None
    lower_bound: int
    plan: Plan | None
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0
    interrupted: bool = False
    log: tuple[Progress, ...] = field(default=(), repr=False)
    trial: Trial | None = None
    notes: tuple[str, ...] = ()

    @property
    def gap(self) -> float | None:
        """(objective - lower_bound) / objective: 0 is a proof; None without a plan."""
        if self.objective is None:
            return None
        return (self.objective - self.lower_bound) / max(abs(self.objective), 1)
