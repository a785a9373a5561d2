"""Plans for the strategy `optimal`: where tasks should go that nobody can move any more.

A goal is a number of tasks of a group on an instance: what is there, and what the plan adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stowplan.placement.cluster.cluster import BoolArray, IntArray
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import TaskKind
from stowplan.placement.optimal.repack_state import RepackState
from stowplan.placement.outlook import Running
from stowplan.placement.packing.problem import Limits
from stowplan.placement.packing.repack.problem import RepackProblem
from stowplan.placement.packing.repack.rounding import evacuate, fewest_used, solve_repack
from stowplan.placement.packing.state import Budget


def kept_and_wanted(
    engine: Engine, running: Sequence[Running], work: float
) -> tuple[BoolArray, dict[str, IntArray]]:
    """The fewest instances for all that runs, reached with the fewest moves.

    Returns:
        (size,) instances that hold something in the plan, and by group (size,) how many tasks of it
        the plan has on each.
    """
    state = RepackState(engine, running)
    budget = Budget(Limits(work=work))
    fewest = fewest_used(state.problem(), budget)
    problem = state.problem(free=int(state.releasable.sum()) - fewest)
    solved = solve_repack(problem, budget)
    contents = solved.found[-1] if solved.found else evacuate(problem)
    goals: dict[str, IntArray] = {}
    more = np.maximum(contents - problem.held, 0)
    for (kind, _), shape in state.shape_of.items():
        if more[:, shape].any():
            _raise_goal(goals, engine, kind, more[:, shape])
    return contents.any(axis=1) | ~state.releasable, goals


def best_batch(
    engine: Engine, wanted: Sequence[tuple[TaskKind, int]], work: float
) -> dict[str, IntArray]:
    """Where tasks go that are asked for together: most placed, then fewest instances begun.

    Returns:
        by group, (size,) how many tasks of it the plan has on each instance.
    """
    state = RepackState(engine, (), [kind for kind, count in wanted for _ in range(count)])
    size = engine.cluster.size
    begun = engine.cluster.running_tasks_count == 0
    problem = _with_nowhere(state.problem(price=begun.astype(np.int64), move_cost=0))
    solved = solve_repack(problem, Budget(Limits(work=work)))
    if not solved.found:
        return {}
    left = solved.found[-1][:size].copy()
    goals: dict[str, IntArray] = {}
    for kind, count in wanted:
        column = left[:, state.shape(kind, None)]
        before = np.cumsum(column) - column
        mine = np.clip(count - before, 0, column)
        column -= mine
        _raise_goal(goals, engine, kind, mine)
    return goals


def _raise_goal(goals: dict[str, IntArray], engine: Engine, kind: TaskKind, more: IntArray) -> None:
    if kind.group not in goals:
        goals[kind.group] = engine.cluster.group_count(kind.group).astype(np.int64)
    goals[kind.group] = goals[kind.group] + more


def _with_nowhere(problem: RepackProblem) -> RepackProblem:
    """The same with places for what fits nowhere: one task each, dearer than all instances."""
    size, count = len(problem.capacity), int(problem.counts.sum())
    room = np.append(problem.demand.max(axis=0, initial=0), 1)
    demand = np.column_stack([problem.demand, np.ones(len(problem.demand), np.int64)])
    capacity = np.column_stack([problem.capacity, np.full(size, count)])
    shapes = len(problem.counts)
    return replace(
        problem,
        demand=demand,
        capacity=np.vstack([capacity, np.tile(room, (count, 1))]),
        held=np.vstack([problem.held, np.zeros((count, shapes), np.int64)]),
        allowed=np.vstack([problem.allowed, np.ones((count, shapes), np.bool_)]),
        price=np.append(problem.price, np.full(count, size + 1)),
        releasable=np.append(problem.releasable, np.zeros(count, np.bool_)),
    )
