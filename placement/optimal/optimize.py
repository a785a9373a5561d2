"""The one call behind `stowplan optimize`: a scenario and a goal in, an `Answer` out.

To add a goal: a function of the shape `Goal` and a line in `GOALS`. Modules of goals are imported
when they are asked for, since solvers and compiled code take their time.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from stowplan.placement.callers.client import Arrival
from stowplan.placement.errors import PlacementError
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.keys import base, check_keys
from stowplan.placement.optimal.known import KnownFleet
from stowplan.placement.optimal.plan import Plan
from stowplan.placement.optimal.trial import try_over_time, try_plan
from stowplan.placement.packing.over_time.plan import OverTimePlan
from stowplan.placement.packing.problem import Limits, ProgressCallback
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import StrategyFactory

Goal = Callable[[Scenario, Sequence[Arrival], Limits, ProgressCallback | None], Answer[Any]]

# name -> (module, function of the shape `Goal`, what it seeks)
GOALS: Mapping[str, tuple[str, str, str]] = {
    "instances": (
        "stowplan.placement.optimal.buy",
        "fewest_instances",
        "fewest instances of one type",
    ),
    "fleet": (
        "stowplan.placement.optimal.buy",
        "cheapest_fleet",
        "cheapest mix of instances to buy",
    ),
    "placement": (
        "stowplan.placement.optimal.place",
        "best_placement",
        "best placement on the fleet",
    ),
    "hours": (
        "stowplan.placement.optimal.over_time",
        "least_hours",
        "least to keep busy over time",
    ),
}


def optimize(
    scenario: Scenario,
    calls: Sequence[Arrival],
    goal: str = "fleet",
    limits: Limits | None = None,
    progress: ProgressCallback | None = None,
    strategies: Mapping[str, StrategyFactory] = STRATEGIES,
    known: Sequence[KnownFleet] = (),
) -> Answer[Any]:
    """The best plan for a goal, with a proven bound on how much better any other could be.

    Args:
        scenario: fleet, types and the table `optimize`, which says what to prefer.
        calls: what its client does: task definitions, services and tasks, in order of time
            (`experiments.workloads.arrivals`).
        limits: when to stop with the best found so far; default: at the proof.
        progress: called with every improvement of bound or plan.
        strategies: by name, for the trial of the plan.
        known: for the goal fleet, fleets of earlier answers to begin with.
    Raises:
        SpecError: the scenario says something that the goal cannot keep; see `keys`.
        PlacementError: the goal is not known, or the scenario asks for what it cannot express.
    """
    if goal not in GOALS:
        raise PlacementError(f"unknown goal {goal!r}; known: {', '.join(GOALS)}")
    module, name, _ = GOALS[goal]
    function: Goal = getattr(importlib.import_module(module), name)
    if known and goal == "fleet":
        function = partial(getattr(importlib.import_module(module), name), known=known)
    check_keys(scenario, goal)
    answer = function(scenario, calls, limits or Limits(), progress)
    return tried(answer, scenario, calls, strategies)


def tried(
    answer: Answer[Any],
    scenario: Scenario,
    calls: Sequence[Arrival],
    strategies: Mapping[str, StrategyFactory],
) -> Answer[Any]:
    """The answer with what came of trying its plan out on the engine."""
    if isinstance(answer.plan, Plan):
        given = base(answer.goal) == "placement"
        trial = try_plan(answer.plan, scenario, calls, strategies, given=given)
        return replace(answer, trial=trial)
    if isinstance(answer.plan, OverTimePlan):
        return replace(answer, trial=try_over_time(answer.plan, scenario, calls, strategies))
    return answer
