"""What every goal of `optimize` answers with: one shape, whatever was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from stowplan.placement.packing.problem import Progress, Status

Plan = TypeVar("Plan")


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

    @property
    def gap(self) -> float | None:
        """(objective - lower_bound) / objective: 0 is a proof; None without a plan."""
        if self.objective is None:
            return None
        return (self.objective - self.lower_bound) / max(abs(self.objective), 1)
