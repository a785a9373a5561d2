"""Diving: fix patterns of the linear relaxation one after the other until a packing is complete."""

from __future__ import annotations

import numpy as np

from stowplan.placement.packing import heuristics
from stowplan.placement.packing.colgen import generate
from stowplan.placement.packing.master import Master
from stowplan.placement.packing.pricing import Pricer
from stowplan.placement.packing.problem import FloatArray, IntArray
from stowplan.placement.packing.state import PackingState
from stowplan.placement.packing.subproblem import Subproblem

CHOICES = 4  # a random dive picks among this many of the most used patterns
NOISE = 1e-4  # of a value above a target that the bound does not exceed


def dive(
    state: PackingState,
    node: Subproblem,
    master: Master,
    pricer: Pricer,
    target: int,
    *,
    random: bool,
) -> bool:
    """One dive for a packing into `target` bins; True if it found one (it is offered to `state`).

    Every step fixes the whole parts of the relaxation, or else its most used pattern (a random one
    of the `CHOICES` most used in a random dive), and improves the relaxation of what is left.
    """
    problem = node.problem
    left = problem.counts.copy()
    fixed: list[IntArray] = []
    found = False
    while not state.budget.exhausted():
        room = target - len(fixed)
        master.demand(left)
        master.allow(np.all(master.patterns <= left, axis=1))
        relaxation = generate(
            master, pricer, left, state.budget, stop_at=float(room), prune_above=room
        )
        if relaxation.solution is None or relaxation.solution.value > room + NOISE:
            break
        bins = _fix(state, master.patterns, relaxation.solution.amounts, left, random)
        fixed += bins
        left = left - np.sum(bins, axis=0)
        if _complete(state, node, fixed, left, target):
            found = True
            break
    master.demand(problem.counts)
    master.allow(np.ones(len(master.patterns), dtype=np.bool_))
    return found


def round_down(
    state: PackingState, node: Subproblem, patterns: IntArray, amounts: FloatArray, target: int
) -> bool:
    """Keep the whole parts of a relaxation and pack the rest by rule; True if `target` is met."""
    left = node.problem.counts.copy()
    fixed = _whole(patterns, amounts, left)
    return len(fixed) > 0 and _complete(state, node, fixed, left, target)


def _whole(patterns: IntArray, amounts: FloatArray, left: IntArray) -> list[IntArray]:
    """The whole parts of `amounts`, without what `left` no longer wants; reduces `left`."""
    bins: list[IntArray] = []
    whole = np.floor(amounts + 1e-6).astype(np.int64)
    for j in np.flatnonzero(whole).tolist():
        for _ in range(int(whole[j])):
            taken = np.minimum(patterns[j], left)
            if taken.any():
                bins.append(taken)
                left -= taken
    return bins


def _fix(
    state: PackingState, patterns: IntArray, amounts: FloatArray, left: IntArray, random: bool
) -> list[IntArray]:
    """The patterns to fix next, each within what is left after the ones before."""
    bins = _whole(patterns, amounts, left.copy())
    if bins:
        return bins
    top = np.argsort(-amounts, kind="stable")[: CHOICES if random else 1]
    top = top[amounts[top] > 1e-6]
    if not random:
        return [patterns[top[0]]]
    weights = amounts[top] / amounts[top].sum()
    return [patterns[state.rng.choice(top, p=weights)]]


def _complete(
    state: PackingState, node: Subproblem, fixed: list[IntArray], left: IntArray, target: int
) -> bool:
    """Pack what is left by rule; offer and report if that reaches `target` bins."""
    problem = node.problem
    for rest in heuristics.packings(problem.demand, left, problem.capacity, effort=1):
        state.budget.spend(rest.size)
        if len(fixed) + len(rest) <= target:
            state.offer(node.expand(np.vstack([np.array(fixed), rest])))
            return True
    return False
