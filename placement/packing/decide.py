"""The exact step: decide whether the lower bound itself can be reached.

Duals U with no pattern worth more than V prove a bound. A packing into T bins gives away
T * V - U @ counts of value over all its bins, so each of its patterns lacks at most that much of V.
Often few patterns are that good; CP-SAT decides over them, in integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stowplan.placement.packing.colgen import Relaxation
from stowplan.placement.packing.cpsat import run_cp_sat
from stowplan.placement.packing.pricing import Pricer
from stowplan.placement.packing.problem import BoolArray, IntArray
from stowplan.placement.packing.state import Budget, PackingState
from stowplan.placement.packing.subproblem import Subproblem

COLLECT_NODES = 3_000_000


@dataclass(frozen=True)
class CoverDecision:
    """`bins` is a packing (bins, kinds) or None; with `none_exists` it is proven that none is."""

    bins: IntArray | None
    none_exists: bool


def decide_node(
    state: PackingState,
    node: Subproblem,
    pricer: Pricer,
    relaxation: Relaxation,
    target: int,
    most: int,
    work: float,
) -> bool:
    """Decide `target` bins for a node; offers a packing found to `state`.

    Args:
        relaxation: converged; its duals select the patterns.
        most: give up when more patterns than this qualify.
        work: limit of the decision over the patterns, in work units.
    Returns:
        Whether it is settled: a packing was found, or it is proven that none exists.
    """
    counts = node.problem.counts
    gap = target * relaxation.best - int(relaxation.values @ counts)
    if gap < 0:
        return True
    patterns, complete, steps = pricer.collect(
        relaxation.values, relaxation.best - gap - 1, COLLECT_NODES, most
    )
    state.budget.spend(steps)
    if not complete:
        return False
    tight = relaxation.values > gap  # an item too many of these would cost more than the gap
    decision = decide_cover(patterns, counts, target, tight, state.budget, work)
    if decision.bins is not None:
        state.offer(node.expand(decision.bins))
    return decision.bins is not None or decision.none_exists


def decide_cover(
    patterns: IntArray,
    counts: IntArray,
    target: int,
    tight: BoolArray,
    budget: Budget,
    work: float,
) -> CoverDecision:
    """Choose at most `target` of `patterns`, with repetition, that cover `counts`.

    Args:
        tight: (kinds,) bool; kinds that must not be covered more than `counts`.
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    most = np.where(patterns > 0, -(-counts // np.maximum(patterns, 1)), 0).max(axis=1)
    amounts = [model.new_int_var(0, int(k), "") for k in np.minimum(most, target)]
    model.add(cp_model.LinearExpr.sum(amounts) <= target)
    for kind, count in enumerate(counts.tolist()):
        users = np.flatnonzero(patterns[:, kind])
        covered = cp_model.LinearExpr.weighted_sum(
            [amounts[p] for p in users.tolist()], patterns[users, kind].tolist()
        )
        model.add(covered == count) if tight[kind] else model.add(covered >= count)
    solver = cp_model.CpSolver()
    status = run_cp_sat(solver, model, budget, work)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        copies = np.array([solver.value(x) for x in amounts])
        return CoverDecision(np.repeat(patterns, copies, axis=0), False)
    return CoverDecision(None, status == cp_model.INFEASIBLE)
