"""The least that instances must cost over time: a plan, and a bound on every plan.

To be compared with what an online run kept busy. Where few tasks fit an instance at once, a search
over what instances can do proves the least. Elsewhere the bound lets tasks move, which no plan
does, so a gap may remain that nobody can close.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stowplan.placement.callers.client import Arrival
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.asked import TaskSet
from stowplan.placement.optimal.asked_over_time import asked_over_time
from stowplan.placement.optimal.demand import empty_cluster, refuse_volatile
from stowplan.placement.optimal.over_time_demand import problem_and_rows
from stowplan.placement.packing.over_time.bound import Bounds
from stowplan.placement.packing.over_time.exact import Search
from stowplan.placement.packing.over_time.plan import OverTimePlan, plans
from stowplan.placement.packing.over_time.problem import UNIT, OverTimeProblem
from stowplan.placement.packing.over_time.verify import check_over_time
from stowplan.placement.packing.problem import Limits, Progress, ProgressCallback
from stowplan.placement.scenario.scenario import Scenario, instance_specs

GOAL = "hours"
PATTERN_SOLVES = 64  # moments at which columns are generated, at most

TRIED_MOST = 10**10  # tasks x busy instances, about ten seconds of a rule of thumb
FLEET_SOLVES = 16  # moments at which whole fleets are worked out, at most


def least_over_time(
    problem: OverTimeProblem,
    limits: Limits | None = None,
    progress: ProgressCallback | None = None,
) -> Answer[OverTimePlan]:
    """Keep instances busy at the least cost, and prove what the least could be.

    The plan is checked by `over_time_check` before it is returned. A KeyboardInterrupt ends the
    solve early with the best found so far.
    """
    solve = _Solve(problem, limits or Limits(), progress)
    reasons = _reasons(problem)
    interrupted = False
    try:
        if not reasons:
            solve.run()
    except KeyboardInterrupt:
        interrupted = True
    proven = solve.cost is not None and solve.cost <= solve.lower_bound
    known = "unknown" if solve.cost is None else "optimal" if proven else "feasible"
    return Answer(
        GOAL,
        UNIT,
        "infeasible" if reasons else known,  # type: ignore[arg-type]
        solve.cost,
        solve.lower_bound,
        solve.named_plan(),
        reasons,
        solve.bounds.budget.seconds(),
        interrupted,
        tuple(solve.log),
    )


class _Solve:
    """Best plan, bound and log of one solve."""

    def __init__(
        self, problem: OverTimeProblem, limits: Limits, progress: ProgressCallback | None
    ) -> None:
        self.problem, self._progress = problem, progress
        self.bounds = Bounds([problem], limits)
        self.plan: OverTimePlan | None = None
        self.cost: int | None = None
        self.lower_bound = 0
        self._proven = 0  # by the search
        self.log: list[Progress] = []

    def run(self) -> None:
        """The quick bound, the plans, then the slower bounds while there is time for them."""
        self.bounds.use_resource_prices()
        self._note(self.plan, self.cost)
        for plan in plans(self.problem) if self._can_try() else ():
            cost = check_over_time(self.problem, plan)
            if self.cost is None or cost < self.cost:
                self._note(plan, cost)
            if self._finished():
                return
        if not self._finished():
            self._search()
        solves = 1
        while solves <= PATTERN_SOLVES and not self._finished():
            self.bounds.use_patterns(solves)
            self._note(self.plan, self.cost)
            solves *= 2
        if not self._finished():
            self.bounds.use_fleets(FLEET_SOLVES)
            self._note(self.plan, self.cost)

    def _search(self) -> None:
        """Every busy time of an instance, where they are few enough: up to the proof."""
        search = Search(self.problem, self.bounds.budget, self._improve)
        if not search.usable:
            return
        if self.plan is not None:
            search.start_from(self.plan)
        for bound in search.run():
            self._proven = max(self._proven, bound * search.columns.unit)
            self._note(self.plan, self.cost)

    def _improve(self, plan: OverTimePlan) -> int:
        """Take a plan if it is the best so far; what the best costs."""
        cost = check_over_time(self.problem, plan)
        if self.cost is None or cost < self.cost:
            self._note(plan, cost)
        assert self.cost is not None
        return self.cost

    def _can_try(self) -> bool:
        """A rule of thumb looks at every busy instance for every task: not for weeks on end."""
        dearest = max(1, *(offer.price for offer in self.problem.types))
        return len(self.problem.kind) * self.bounds.peaks()[0] // dearest <= TRIED_MOST

    def named_plan(self) -> OverTimePlan | None:
        """The best plan, with what its readers know types and tasks by."""
        if self.plan is None:
            return None
        names = tuple(offer.name for offer in self.problem.types)
        times = (self.problem.start_ms, self.problem.end_ms)
        return replace(self.plan, type_names=names, times_ms=times)

    def _finished(self) -> bool:
        proven = self.cost is not None and self.cost <= self.lower_bound
        return proven or self.bounds.budget.exhausted()

    def _note(self, plan: OverTimePlan | None, cost: int | None) -> None:
        bound = max(self.bounds.totals()[0], self._proven)
        if (cost, bound) == (self.cost, self.lower_bound):
            return
        self.plan, self.cost, self.lower_bound = plan, cost, bound
        self.log.append(Progress(self.bounds.budget.seconds(), bound, cost))
        if self._progress:
            self._progress(self.log[-1])


def _reasons(problem: OverTimeProblem) -> tuple[str, ...]:
    """Why there can be no plan: tasks that no instance can hold."""
    capacities = np.array([offer.capacity for offer in problem.types], dtype=np.int64)
    open_types = np.array([offer.limit != 0 for offer in problem.types])
    fits = (problem.demand[:, None, :] <= capacities[None]).all(axis=2)
    fits &= (problem.most > 0) & open_types
    runs = np.bincount(
        problem.kind[problem.end_ms > problem.start_ms], minlength=len(problem.demand)
    )
    lost = np.flatnonzero(~fits.any(axis=1) & (runs > 0)).tolist()
    return tuple(
        f"{runs[k]} tasks that ask for {problem.demand[k].tolist()} fit no type on offer"
        for k in lost
    )


def least_hours(
    scenario: Scenario,
    calls: Sequence[Arrival],
    limits: Limits | None = None,
    progress: ProgressCallback | None = None,
) -> Answer[OverTimePlan]:
    """The same for what a scenario's calls ask for, were every task to start when it is asked for.

    Instances are of the fleet's types, any number of each: nothing waits, as it may in a run. A
    task of each daemon is on every instance, and keeps none busy by itself.
    """
    asked = asked_over_time(calls, scenario.duration, scenario.optimize.tasks)
    specs = instance_specs(scenario)
    refuse_volatile([TaskSet(kind, 1, kind.group, "") for kind in asked.kinds])
    refuse_volatile(asked.daemons)
    if not asked.ran:
        nothing = OverTimePlan(np.zeros(0, np.int64), np.zeros(0, np.int64))
        return Answer(GOAL, UNIT, "optimal", 0, 0, nothing)
    problem, _ = problem_and_rows(
        empty_cluster(specs),
        [spec.price_microusd_hour for spec in specs],
        asked.kinds,
        asked.ran,
        limited=False,
        daemons=asked.daemons,
    )
    answer = least_over_time(problem, limits, progress)
    if answer.plan is None:
        return answer
    groups = tuple(asked.kinds[number].group for number, _, _ in asked.ran)
    plan = replace(answer.plan, groups=groups, daemons=tuple(d.owner for d in asked.daemons))
    return replace(answer, plan=plan)
