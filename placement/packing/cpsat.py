"""CP-SAT within a budget, and with it the best pattern of a bin."""

from __future__ import annotations

import numpy as np

from stowplan.placement.packing.problem import IntArray
from stowplan.placement.packing.state import Budget

PRICING_WORK = 2_000.0  # work units of one exact pricing


def run_cp_sat(solver: object, model: object, budget: Budget, most_work: float) -> int:
    """Solve with one worker (so that runs repeat) within the budget; returns CP-SAT's status.

    CP-SAT swallows Ctrl-C and stops; a stop before any limit therefore is passed on.
    Raises: KeyboardInterrupt.
    """
    from ortools.sat.python import cp_model

    assert isinstance(solver, cp_model.CpSolver)
    assert isinstance(model, cp_model.CpModel)
    parameters = solver.parameters
    parameters.num_workers = 1
    parameters.random_seed = 0
    work = min(most_work, budget.left_work())
    parameters.max_deterministic_time = work / 1000
    seconds = max(0.01, budget.left_seconds())
    if seconds < float("inf"):
        parameters.max_time_in_seconds = seconds
    status = solver.solve(model)
    used = solver.response_proto.deterministic_time
    budget.spend(used * 1e9)
    unfinished = (cp_model.UNKNOWN, cp_model.FEASIBLE if model.has_objective() else None)
    # CP-SAT ends a little before a limit in seconds, the more so the busier the machine is
    at_limit = used >= 0.99 * work / 1000 or solver.wall_time >= 0.8 * seconds - 1.0
    if status in unfinished and not at_limit:
        raise KeyboardInterrupt
    return int(status)


def best_pattern(
    values: IntArray, demand: IntArray, per_bin: IntArray, capacity: IntArray, budget: Budget
) -> tuple[IntArray, int]:
    """The most valuable pattern of one type by CP-SAT, and a value that no pattern exceeds."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    amounts = [model.new_int_var(0, int(n), "") for n in per_bin]
    for k, room in enumerate(capacity.tolist()):
        model.add(cp_model.LinearExpr.weighted_sum(amounts, demand[:, k].tolist()) <= room)
    model.maximize(cp_model.LinearExpr.weighted_sum(amounts, values.tolist()))
    solver = cp_model.CpSolver()
    status = run_cp_sat(solver, model, budget, PRICING_WORK)
    trivial = sum(int(v) * int(n) for v, n in zip(values, per_bin, strict=True))
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return np.zeros(len(values), dtype=np.int64), trivial
    # the bound is a float of an integer below 2**53 here; one more makes rounding harmless
    most = min(trivial, int(np.ceil(solver.best_objective_bound)) + 1)
    return np.array([solver.value(x) for x in amounts]), most
