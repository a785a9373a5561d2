"""The exact step of repacking: CP-SAT over all contents at once, from the best known ones on."""

from __future__ import annotations

from typing import Any

import numpy as np

from stowplan.placement.packing.cpsat import run_cp_sat
from stowplan.placement.packing.problem import IntArray
from stowplan.placement.packing.repack.problem import RepackProblem
from stowplan.placement.packing.state import Budget


def solve_by_cp_sat(
    problem: RepackProblem, bound: int, known: IntArray | None, budget: Budget
) -> tuple[int, IntArray | None, bool]:
    """Better contents than the `known` within the budget, if there are any.

    Returns:
        a bound on the cost (proven, in integers, at least `bound`), contents or None, and whether
        it is proven that there are none at all.
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    amounts, objective = _model(model, problem)
    model.add(objective >= bound)
    model.minimize(objective)
    if known is not None:
        for (i, k), variable in amounts.items():
            model.add_hint(variable, int(known[i, k]))
    solver = cp_model.CpSolver()
    status = run_cp_sat(solver, model, budget, float("inf"))
    if status == cp_model.INFEASIBLE:
        return bound, None, True
    # A whole number, handed over as a float.
    bound = max(bound, round(solver.best_objective_bound))
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return bound, None, False
    contents = np.zeros_like(problem.held)
    for (i, k), variable in amounts.items():
        contents[i, k] = solver.value(variable)
    assert problem.holds(contents), "CP-SAT's contents break a rule"
    return bound, contents, False


def _model(model: Any, problem: RepackProblem) -> tuple[dict[tuple[int, int], Any], Any]:
    """How many of each shape on each instance, and the cost as an expression."""
    instances, shapes = problem.held.shape
    amounts: dict[tuple[int, int], Any] = {}
    cost: list[Any] = []
    empty = []
    for i in range(instances):
        held, room = problem.held[i].tolist(), problem.room_for(i).tolist()
        used = model.new_bool_var("")
        mine = []
        for k in range(shapes):
            most = max(held[k], room[k])
            if not most:
                continue
            x = amounts[i, k] = model.new_int_var(0, most, "")
            model.add(x <= most * used)
            mine.append((k, x))
            if most > held[k] and problem.move_cost:
                brought = model.new_int_var(0, most - held[k], "")
                model.add(brought >= x - held[k])
                cost.append(problem.move_cost * brought)
        for d, capacity in enumerate(problem.capacity[i].tolist()):
            load = sum(int(problem.demand[k, d]) * x for k, x in mine)
            model.add(load <= capacity * used)
        cost.append(int(problem.price[i]) * used)
        if problem.releasable[i]:
            empty.append(used.negated())
    for k, count in enumerate(problem.counts.tolist()):
        model.add(sum(amounts[i, k] for i in range(instances) if (i, k) in amounts) == count)
    model.add(sum(empty) >= problem.free)
    return amounts, sum(cost)
