"""Column generation: the linear relaxation over all patterns, and the bound it proves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stowplan.placement.packing.cpsat import best_pattern
from stowplan.placement.packing.master import Master, MasterSolution
from stowplan.placement.packing.pricing import SCALE, Priced, Pricer
from stowplan.placement.packing.problem import IntArray
from stowplan.placement.packing.state import Budget

QUICK_NODES = 2_000  # search nodes per first kind while looking for columns
FEW_PATTERNS = 10  # when the quick search finds fewer, a thorough one is better use of time
PROOF_NODES = 2_000_000  # and while proving there are none
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Relaxation:
    """Where column generation ended.

    Args:
        solution: last optimum of the restricted master; None if it could not be solved.
        bound: proven lower bound on the bins, in integers, cuts included.
        values: (kinds,) int64 the scaled duals that prove it.
        best: no pattern is worth more than this under `values`.
        converged: no pattern improves the master any more.
    """

    solution: MasterSolution | None
    bound: int
    values: IntArray
    best: int
    converged: bool


def generate(
    master: Master,
    pricer: Pricer,
    counts: IntArray,
    budget: Budget,
    *,
    start: IntArray | None = None,
    stop_at: float = -1.0,
    prune_above: int | None = None,
    to_the_end: bool = False,
) -> Relaxation:
    """Add improving patterns to `master` until none exists or the rounded bound is known.

    Args:
        start: (kinds,) scaled duals to smooth towards at first; a good guess saves iterations.
        stop_at: stop as soon as the master's value is at most this.
        prune_above: stop as soon as the bound exceeds this.
        to_the_end: go on after the rounded bound is known, until no pattern improves.
    """
    bound = 0
    center = np.zeros(len(counts), dtype=np.int64) if start is None else start
    center_best = SCALE
    center_ratio = 0.0
    solution: MasterSolution | None = None
    smooth = True
    per_bin = np.minimum(pricer.per_bin, counts)
    while not budget.exhausted():
        solution = master.solve()
        budget.spend(60.0 * len(master.patterns))
        if solution is None:
            break
        if solution.value <= stop_at + TOLERANCE:
            break
        exact_values = np.floor(solution.duals * SCALE).astype(np.int64)
        values = (exact_values + center) // 2 if smooth and center.any() else exact_values
        priced = _price(pricer, values, per_bin, budget)
        if priced.complete:
            best = max(priced.best, 1)
            ratio = int(values @ counts) / best
            if ratio > center_ratio:
                center, center_best, center_ratio = values, best, ratio
                bound = max(bound, -(-int(values @ counts) // best))
            if prune_above is not None and bound > prune_above:
                break
            if not to_the_end and bound >= math.ceil(solution.value - TOLERANCE):
                break
        gains = priced.patterns @ solution.duals > 1 + 1e-7
        if gains.any():
            master.add(priced.patterns[gains])
            smooth = True
        elif smooth and values is not exact_values:
            smooth = False
        else:
            return Relaxation(solution, bound, center, center_best, priced.complete)
    return Relaxation(solution, bound, center, center_best, False)


def _price(pricer: Pricer, values: IntArray, per_bin: IntArray, budget: Budget) -> Priced:
    """Patterns worth more than a bin: quickly, thoroughly, and by CP-SAT where that fails."""
    priced = pricer.search(values, SCALE, QUICK_NODES, per_bin)
    budget.spend(priced.steps)
    if priced.complete or len(priced.patterns) >= FEW_PATTERNS:
        return priced
    priced = pricer.search(values, SCALE, PROOF_NODES, per_bin)
    budget.spend(priced.steps)
    if priced.complete or len(priced.patterns) or pricer.exclusive.size:
        return priced
    pattern, most = best_pattern(values, pricer.demand, per_bin, pricer.capacity, budget)
    found = [pattern] if int(pattern @ values) > SCALE else []
    patterns = np.array(found, dtype=np.int64).reshape(-1, len(values))
    return Priced(patterns, patterns @ values, max(most, SCALE), True, 0)
