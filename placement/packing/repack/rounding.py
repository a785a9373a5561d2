"""New contents at least cost: a rule of thumb, the relaxation's bound, then exact choices."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stowplan.placement.packing.master import MasterSolution
from stowplan.placement.packing.problem import IntArray
from stowplan.placement.packing.repack.cpsat import solve_by_cp_sat
from stowplan.placement.packing.repack.problem import RepackProblem
from stowplan.placement.packing.repack.relaxation import RepackRelaxation
from stowplan.placement.packing.state import Budget

MIP_COLUMNS = 3_000  # the most promising, of which whole contents are chosen
MIP_NODES = 2_000
# Of the budget that is left each, in a small problem; the last exact way, which gets nowhere in a
# large one, has the rest.
FIRST_SHARE, FIRST_WORK = 0.1, 300.0  # for a first exact try
RELAXATION_SHARE, CHOICE_SHARE = 0.5, 0.5
SMALL = 1_000  # instances times shapes


@dataclass
class Solved:
    """What one solve found: contents (instances, shapes), cheapest last, and what it proved.

    Args:
        bound: no contents cost less. infeasible: proven that there are none.
    """

    bound: int
    found: list[IntArray] = field(default_factory=list)
    infeasible: bool = False

    def offer(self, problem: RepackProblem, contents: IntArray | None) -> None:
        """Take contents that are a solution, and cheaper than the last."""
        if contents is not None and problem.holds(contents):
            cost = problem.cost(contents)
            if not self.found or cost < problem.cost(self.found[-1]):
                self.found.append(contents)

    def proven(self, problem: RepackProblem) -> bool:
        """The cheapest contents cost no more than the bound."""
        return bool(self.found) and problem.cost(self.found[-1]) <= self.bound


def solve_repack(problem: RepackProblem, budget: Budget) -> Solved:
    """The cheapest new contents within the budget, and a bound on their cost."""
    solved = Solved(least_moves(problem))
    improve(solved, problem, budget)
    return solved


def improve(solved: Solved, problem: RepackProblem, budget: Budget) -> None:
    """Raise the bound of `solved` and add what is found, in place: nothing is lost by Ctrl-C."""
    quick = evacuate(problem)
    solved.offer(problem, quick)
    if solved.proven(problem):
        return
    small = problem.held.size <= SMALL
    if small:
        _decide(solved, problem, budget, FIRST_SHARE, FIRST_WORK)
        if solved.infeasible or solved.proven(problem):
            return
    part = budget.part(RELAXATION_SHARE if small else 1.0)
    relaxation = RepackRelaxation(problem, part)
    relaxation.add_all(quick)
    solution = relaxation.solve()
    budget.spend(1e6 * part.work)
    solved.bound = max(solved.bound, relaxation.bound)
    most = problem.move_cost * int(problem.counts.sum()) + int(problem.price.sum())
    solved.infeasible = solved.bound > most
    if solution is None or solved.infeasible or solved.proven(problem):
        return
    part = budget.part(CHOICE_SHARE if small else 1.0)
    solved.offer(problem, choose(relaxation, solution, part))
    budget.spend(1e6 * part.work)
    if not solved.proven(problem):
        _decide(solved, problem, budget)


def _decide(
    solved: Solved,
    problem: RepackProblem,
    budget: Budget,
    share: float = 1.0,
    most: float = float("inf"),
) -> None:
    """By CP-SAT, within a share of what is left and so many units of work."""
    if budget.exhausted():
        return
    part = budget.part(share, most)
    best = solved.found[-1] if solved.found else None
    try:
        solved.bound, better, none = solve_by_cp_sat(problem, solved.bound, best, part)
    finally:
        budget.spend(1e6 * part.work)
    solved.infeasible = none
    solved.offer(problem, better)


def fewest_used(problem: RepackProblem, budget: Budget) -> int:
    """No contents use fewer releasable instances than this, whatever is moved (proven).

    What the volume of all items says is there whatever the budget.
    """
    anywhere = replace(
        problem,
        held=np.zeros_like(problem.held),
        allowed=problem.allowed | (problem.held > 0),
        price=problem.releasable.astype(np.int64),
        free=0,
        move_cost=0,
    )
    relaxation = RepackRelaxation(anywhere, budget)
    relaxation.solve()
    return min(max(relaxation.bound, by_volume(problem)), int(problem.releasable.sum()))


def by_volume(problem: RepackProblem) -> int:
    """Of the releasable instances, so many must hold items: the largest would else be too small."""
    wanted = problem.counts @ problem.demand - problem.capacity[~problem.releasable].sum(axis=0)
    largest = -np.sort(-problem.capacity[problem.releasable], axis=0)
    held = np.cumsum(largest, axis=0)
    least = [int(np.searchsorted(room, want)) + 1 for room, want in zip(held.T, wanted, strict=True)
             if want > 0]  # fmt: skip
    return max(least, default=0)


def least_moves(problem: RepackProblem) -> int:
    """At least what is on the emptiest instances has to move, and what waits be brought."""
    items = np.sort(problem.held[problem.releasable].sum(axis=1))
    waiting = int(problem.counts.sum() - problem.held.sum())
    return problem.move_cost * (int(items[: problem.free].sum()) + waiting)


def evacuate(problem: RepackProblem) -> IntArray:
    """Contents after a rule of thumb: empty the instances of fewest items, one after the other.

    An instance is emptied if all it holds finds room, by best fit, on others that hold something
    (or on any, for items that wait). Stops at `problem.free`; may not get that far, or may leave
    waiting items out: see `RepackProblem.holds`.
    """
    contents = problem.held.copy()
    waiting = problem.counts - contents.sum(axis=0)
    placed = _brought(problem, contents, waiting, contents.any(axis=1))
    if placed is None:
        placed = _brought(problem, contents, waiting, np.ones(len(contents), np.bool_))
    contents = contents if placed is None else placed
    order = np.argsort(contents.sum(axis=1), kind="stable").tolist()
    for i in order:
        if (problem.releasable & ~contents.any(axis=1)).sum() >= problem.free:
            break
        if not problem.releasable[i] or not contents[i].any():
            continue
        rest = contents.copy()
        rest[i] = 0
        targets = rest.any(axis=1) | ~problem.releasable
        moved = _brought(problem, rest, contents[i], targets)
        contents = contents if moved is None else moved
    return contents


def _brought(
    problem: RepackProblem, contents: IntArray, items: IntArray, targets: Any
) -> IntArray | None:
    """`contents` with `items` (shapes,) brought to `targets` by best fit, or None."""
    contents = contents.copy()
    left = problem.capacity - contents @ problem.demand
    largest = np.maximum(problem.capacity.max(axis=0, initial=0), 1)
    relative = problem.demand / largest
    for k in np.argsort(-relative.sum(axis=1), kind="stable").tolist():
        for _ in range(int(items[k])):
            fits = targets & problem.allowed[:, k] & (left >= problem.demand[k]).all(axis=1)
            rows = np.flatnonzero(fits)
            if not len(rows):
                return None
            slack = ((left[rows] - problem.demand[k]) / largest).sum(axis=1)
            # Back to where it came from costs nothing.
            slack -= 1e3 * (contents[rows, k] < problem.held[rows, k])
            i = int(rows[np.argmin(slack)])
            contents[i, k] += 1
            left[i] -= problem.demand[k]
    return contents


def choose(
    relaxation: RepackRelaxation, solution: MasterSolution, budget: Budget
) -> IntArray | None:
    """Whole contents (instances, shapes) from the columns of a relaxation, by SCIP; None if none.

    Nothing rests on SCIP's floats: what it chooses is tried in integers.
    """
    problem = relaxation.problem
    columns = relaxation.columns(solution)
    costs = relaxation.costs(columns)
    empty = ~columns.contents.any(axis=1)
    reduced = costs - columns.contents @ solution.duals[:-1] - empty * solution.duals[-1]
    reduced += solution.shadow_prices[columns.of_class]
    best = np.argsort(reduced, kind="stable")[:MIP_COLUMNS]
    solver, x = _model(relaxation, columns.contents[best], columns.of_class[best], costs[best])
    solver.SetSolverSpecificParametersAsString(
        f"limits/totalnodes = {MIP_NODES}\nmisc/catchctrlc = FALSE\n"
    )
    if budget.left_seconds() < float("inf"):
        solver.SetTimeLimit(int(1000 * budget.left_seconds()) + 1)
    status = solver.Solve()
    budget.spend(1000.0 * solver.iterations() * len(problem.counts))
    if status not in (solver.OPTIMAL, solver.FEASIBLE):
        return None
    contents = np.zeros_like(problem.held)
    free = [members.tolist() for members in relaxation.classes]
    for j, variable in zip(best.tolist(), x, strict=True):
        for _ in range(round(variable.solution_value())):
            contents[free[columns.of_class[j]].pop()] = columns.contents[j]
    return without_surplus(problem, contents)


def without_surplus(problem: RepackProblem, contents: IntArray) -> IntArray:
    """Take out what is held more often than it exists, first what was brought."""
    contents = contents.copy()
    for k in np.flatnonzero(contents.sum(axis=0) > problem.counts).tolist():
        surplus = int(contents[:, k].sum() - problem.counts[k])
        brought = np.maximum(contents[:, k] - problem.held[:, k], 0)
        for part in (brought, contents[:, k]):
            for i in np.flatnonzero(part).tolist():
                taken = min(surplus, int(part[i]))
                contents[i, k] -= taken
                surplus -= taken
    return contents


def _model(
    relaxation: RepackRelaxation, contents: IntArray, of_class: IntArray, costs: IntArray
) -> tuple[Any, list[Any]]:
    """Choose columns so that all is covered, no class is used too often, enough is free."""
    from ortools.linear_solver import pywraplp

    problem = relaxation.problem
    solver = pywraplp.Solver.CreateSolver("SCIP")
    copies = np.array([len(members) for members in relaxation.classes])[of_class]
    x = [solver.IntVar(0, float(n), "") for n in copies]
    rows = [solver.Constraint(float(n), solver.infinity()) for n in problem.counts.tolist()]
    freed = solver.Constraint(float(problem.free), solver.infinity())
    limits = [solver.Constraint(0.0, float(len(m))) for m in relaxation.classes]
    for j, variable in enumerate(x):
        for k in np.flatnonzero(contents[j]).tolist():
            rows[k].SetCoefficient(variable, float(contents[j, k]))
        if not contents[j].any():
            freed.SetCoefficient(variable, 1.0)
        limits[of_class[j]].SetCoefficient(variable, 1.0)
        solver.Objective().SetCoefficient(variable, float(costs[j]))
    return solver, x
