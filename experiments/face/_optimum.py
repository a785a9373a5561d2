"""Proven optima from a notebook: the best fleet or placement for a scenario, the fewest bins."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stowplan._scenario import Scenario
from stowplan._values import Problems, check, is_missing, whole
from stowplan.experiments.cli.optimize import answer_scenario
from stowplan.experiments.cli.packing_solved import packing_lines, packing_summary
from stowplan.experiments.cli.repack import repack
from stowplan.experiments.report.optimize import plan_json, summary
from stowplan.experiments.runs.compiling import say_when_compiling
from stowplan.placement.errors import SpecError
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.optimize import GOALS
from stowplan.placement.packing.problem import (
    Limits,
    PackingInputError,
    PackingProblem,
    PackingResult,
)
from stowplan.placement.packing.solve import solve_packing
from stowplan.placement.scenario.words import unknown
from stowplan.placement.units import parse_duration_ms


@dataclass(frozen=True, repr=False)
class Optimum:
    """The best plan for a goal, and a proof of how much better any other could be.

    Made by `optimize`.

    Attributes
    ----------
    scenario : Scenario
        For which it is.
    answer : Answer
        As the toolkit has it: the plan as an object, reasons, the log of improvements.
    """

    scenario: Scenario
    answer: Answer[Any]

    @property
    def status(self) -> str:
        """`optimal` (proven), `feasible` (see `gap`), `infeasible` (proven), `unknown`."""
        return self.answer.status

    @property
    def objective(self) -> int | None:
        """What the plan costs, in `unit`, less is better; None without a plan."""
        return self.answer.objective

    @property
    def unit(self) -> str:
        """Of `objective` and `lower_bound`: `instances`, `microusd/h`, `moves`, ..."""
        return self.answer.unit

    @property
    def lower_bound(self) -> int:
        """No plan costs less; proven in integers."""
        return self.answer.lower_bound

    @property
    def gap(self) -> float | None:
        """(objective - lower_bound) / objective: 0 is a proof; None without a plan."""
        return self.answer.gap

    @property
    def seconds(self) -> float:
        """How long it took, by the clock on the wall."""
        return self.answer.seconds

    @property
    def plan(self) -> dict[str, Any] | None:
        """The plan as `stowplan optimize --json` has it; None without one."""
        return None if self.answer.plan is None else dict(plan_json(self.answer.plan))

    @property
    def frame(self) -> pd.DataFrame:
        """The plan as a table: a row per kind of instance, task over time, or move."""
        plan = self.plan or {}
        rows: Any = next((plan[key] for key in ("lines", "moves", "tasks") if key in plan), [])
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return f"<Optimum {summary(self.answer, self.scenario.tables)}>"

    def _repr_html_(self) -> str:
        text = summary(self.answer, self.scenario.tables)
        return f"<pre>{text}</pre>{self.frame._repr_html_()}"


def optimize(
    scenario: Scenario,
    goal: str = "fleet",
    *,
    time_limit: float = 60.0,
    seed: int = 0,
    layout: str | None = None,
    free: int | None = None,
    waiting: bool = False,
    at: str | float | None = None,
) -> Optimum:
    """The best plan for a scenario, with a proof; what to buy or prefer is its table `optimize`.

    Parameters
    ----------
    scenario : Scenario
        What `scenario` or `load` made; without a fleet where instances are to be bought.
    goal : str
        `fleet`: the cheapest mix of instances to buy; `instances`: the fewest of one type;
        `placement`: the best placement on the fleet; `hours`: the least to keep busy over time;
        `repack`: the fewest moves of running tasks that free instances.
    time_limit : float
        Seconds after which the best found so far is the answer, with its gap.
    seed : int
        Of the search.
    layout : str, optional
        By its name in the scenario; its first.
    free, waiting, at : optional
        Of `repack`: so many instances to free (as many as can be), or make room for tasks that
        wait; in the state at that time of a run (its end), such as `"15m"`.

    Returns
    -------
    Optimum
        `status`, `objective`, `lower_bound`, `gap`; `frame` is the plan.

    Raises
    ------
    SpecError
        No such goal or layout, or an option that this goal does not read.
    PlacementError
        The scenario asks for what the goal cannot express.

    Examples
    --------
    >>> import stowplan as sp
    >>> best = sp.optimize(sp.load("small"), "instances", time_limit=20)
    >>> best.status, best.unit, best.objective == best.lower_bound
    ('optimal', 'instances', True)
    """
    problems: Problems = []
    goals = (*GOALS, "repack")
    if goal not in goals:
        problems.append(("goal", unknown("goal", goal, goals)))
    if not isinstance(scenario, Scenario):
        problems.append(("scenario", f"expected what sp.scenario(...) makes, found {scenario!r}"))
    for name, value in (("free", free), ("waiting", waiting or None), ("at", at)):
        if value is not None and goal != "repack":
            problems.append((name, f"is for the goal repack, not for {goal}"))
    limits = _limits(time_limit, seed, problems)
    at_ms = None
    try:
        at_ms = None if at is None else parse_duration_ms(at)
    except ValueError as error:
        problems.append(("at", str(error)))
    check(problems)
    say_when_compiling()
    try:
        if goal == "repack":
            state = {"at": at_ms, "journal": None, "layout": layout, "strategy": None}
            wish = {"free": free, "waiting": waiting, "move_cost": None, "hours": None}
            return Optimum(scenario, repack(scenario.loaded, Namespace(**state, **wish), limits))
        found = answer_scenario(scenario.tables, goal, limits, None, layout)
        return Optimum(scenario, found)
    except PackingInputError as error:
        raise SpecError([(scenario.name, str(error))]) from error


@dataclass(frozen=True, repr=False)
class Packing:
    """Items in the fewest bins, with a proof. Made by `pack`.

    Attributes
    ----------
    problem, result : PackingProblem, PackingResult
        As the toolkit has them.
    """

    problem: PackingProblem
    result: PackingResult

    @property
    def status(self) -> str:
        """`optimal` (proven), `feasible`, `infeasible` (an item fits no bin), `unknown`."""
        return self.result.status

    @property
    def bins(self) -> int | None:
        """How many bins; None without a packing. The same as `objective`."""
        return self.result.bins

    @property
    def objective(self) -> int | None:
        """How many bins, less is better; None without a packing."""
        return self.result.bins

    @property
    def unit(self) -> str:
        """Of `objective` and `lower_bound`: `bins`."""
        return "bins"

    @property
    def gap(self) -> float | None:
        """(objective - lower_bound) / objective: 0 is a proof; None without a packing."""
        return self.result.gap

    @property
    def seconds(self) -> float:
        """How long it took, by the clock on the wall."""
        return self.result.seconds

    @property
    def lower_bound(self) -> int:
        """No packing needs fewer."""
        return self.result.lower_bound

    @property
    def frame(self) -> pd.DataFrame:
        """A row per kind of bin: `copies` of it, then items of each kind in one, from `item 0`."""
        contents = [[bins.copies, *bins.contents.tolist()] for bins in self.result.packing]
        names = [f"item {n}" for n in range(len(self.problem.counts))]
        return pd.DataFrame(contents, columns=["copies", *names])

    def __repr__(self) -> str:
        return f"<Packing {packing_summary(self.problem, self.result)}>"

    def _repr_html_(self) -> str:
        lines = [packing_summary(self.problem, self.result), *packing_lines(self.result)]
        return "<pre>" + "\n".join(lines) + "</pre>"


def pack(
    sizes: Any,
    capacity: int | Sequence[int],
    counts: Sequence[int] | None = None,
    *,
    time_limit: float = 60.0,
    seed: int = 0,
) -> Packing:
    """The fewest equal bins that hold all items, in any number of dimensions, with a proof.

    Parameters
    ----------
    sizes : array_like, (items,) or (items, dimensions)
        Whole numbers from 0, what an item of each kind takes; a DataFrame will do.
    capacity : int or sequence of int, (dimensions,)
        What a bin holds.
    counts : sequence of int, (items,), optional
        How many items of each kind there are; one of each.
    time_limit : float
        Seconds after which the best found so far is the answer, with its gap.
    seed : int
        Of the search.

    Returns
    -------
    Packing
        `status`, `objective` (bins), `lower_bound`, `gap`; `frame` has a row per kind of bin.

    Raises
    ------
    SpecError
        Naming every size that is no whole number from 0, and shapes that do not fit.

    Examples
    --------
    >>> import stowplan as sp
    >>> packing = sp.pack([[512, 1024], [1024, 4096]], [2048, 7680], counts=[6, 4])
    >>> packing.status, packing.bins, packing.lower_bound
    ('optimal', 4, 4)
    """
    problems: Problems = []
    table = np.asarray(sizes, dtype=object)
    table = table.reshape(-1, 1) if table.ndim == 1 else table
    if table.ndim != 2:
        raise SpecError([("sizes", f"expected items x dimensions, found shape {table.shape}")])
    holds = np.atleast_1d(np.asarray(capacity, dtype=object))
    many = np.ones(len(table), object) if counts is None else np.asarray(counts, dtype=object)
    limits = _limits(time_limit, seed, problems)
    arrays = [
        _whole_array(name, array, problems)
        for name, array in (("sizes", table), ("counts", many), ("capacity", holds))
    ]
    check(problems)
    say_when_compiling()
    try:
        problem = PackingProblem(*arrays)
        return Packing(problem, solve_packing(problem, limits))
    except PackingInputError as error:
        raise SpecError([("pack", str(error))]) from error


def _whole_array(name: str, array: Any, problems: Problems) -> Any:
    found = np.zeros(array.shape, np.int64)
    for at in np.ndindex(array.shape):
        place = name + "".join(f"[{n}]" for n in at)
        found[at] = whole(array[at], place, problems)
    return found


def _limits(time_limit: float, seed: int, problems: Problems) -> Limits:
    number = isinstance(time_limit, int | float) and not is_missing(time_limit)
    if not number or time_limit < 0:
        problems.append(("time_limit", f"expected seconds from 0, found {time_limit!r}"))
        time_limit = 0.0
    whole(seed, "seed", problems)
    return Limits(float(time_limit), seed=seed, clock=time.perf_counter)
