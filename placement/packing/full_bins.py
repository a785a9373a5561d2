"""The exact step for bins that must be full: prices from the middle of all that prove the bound.

Where the relaxation's value is the target itself, a packing into the target uses only patterns that
are worth a whole bin under all optimal prices. Prices at a corner, as the simplex method gives
them, leave a great many such patterns. Prices from the inside of the optimal face leave few, often
hardly more than there are kinds. Such prices let every pattern lack as much of a bin's value as can
be, up to a cap: a linear program over the known patterns, to which the pricing adds. It is solved
by its dual: a master in which one bin of each pattern comes at a discount.
Source: strict complementarity, Goldman & Tucker (1956), Theory of linear programming.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stowplan.placement.packing.decide import decide_cover
from stowplan.placement.packing.full_patterns import best_by_lead, patterns_worth, value_table
from stowplan.placement.packing.list_kernels import MOST_KINDS, as_rows, finish
from stowplan.placement.packing.problem import FloatArray, IntArray
from stowplan.placement.packing.state import PackingState
from stowplan.placement.packing.subproblem import most_per_bin

SCALE = 2**40  # finer than elsewhere: prices near those of the bound tell patterns apart
MOST_BINS = 2**20  # so that sums of values stay within 64 bits
MOST_CELLS = 8_000_000
TOLERANCE = 1e-8
DISCOUNT = 0.01  # of one bin of each pattern: the cap of the lack that counts
REACH = 0.01  # how far a price may move from where it was
ROUNDS = 30
PATTERNS_PER_KIND = 2  # to begin with
NEW_PATTERNS = 300  # of those that still qualify, in a round without better ones
MOST_PATTERNS = 5_000
DECISION_WORK = 5_000.0
ORDERS, ORDER_NODES = 30, 3_000  # of the patterns, tried before CP-SAT decides over them


def decide_full_bins(
    state: PackingState, patterns: IntArray, prices: FloatArray, target: int
) -> bool:
    """Decide whether `target` bins suffice where they leave next to no room.

    Args:
        patterns: (patterns, kinds) of the converged relaxation, whose duals are `prices`.
    Returns:
        Whether that is settled: a packing was offered, or it is proven that none exists.
    """
    problem = state.problem
    if problem.demand.shape[1] != 1 or target > MOST_BINS:
        return False
    sizes, counts, room = problem.demand[:, 0], problem.counts, int(problem.capacity[0])
    waste = target * room - int(sizes @ counts)
    if waste >= room or (len(sizes) + 1) * (room + 1) > MOST_CELLS:
        return False
    full = patterns[(patterns @ sizes >= room - waste) & (patterns <= counts).all(axis=1)]
    nearest = np.argsort(-(full @ prices), kind="stable")[: PATTERNS_PER_KIND * len(sizes)]
    master = _DiscountMaster(counts, prices, target)
    master.add(full[nearest])
    per_bin = most_per_bin(problem)
    for _ in range(ROUNDS):
        if state.budget.exhausted():
            return False
        state.budget.spend(60.0 * master.size)
        solved = master.solve()
        if solved is None:
            return False  # the relaxation is below the target
        values = np.floor(solved * SCALE).astype(np.int64)
        table = value_table(values, sizes, per_bin, room, waste)
        best = int(table[0, room])
        gap = target * best - int(values @ counts)
        if gap < 0:
            return True  # no fractional packing either
        left, complete, steps = patterns_worth(
            table, values, sizes, per_bin, best - gap, MOST_PATTERNS
        )
        state.budget.spend(table.size + 20.0 * steps)
        if complete:
            break
        better = best_by_lead(table, values, sizes, per_bin, int(SCALE * (1 + TOLERANCE)))
        if not master.add(better):
            master.add(state.rng.permutation(left)[:NEW_PATTERNS])
    else:
        return False
    cover = _cover(state, left, counts, target)
    if cover is not None:
        state.offer(cover)
        return True
    everything = np.ones(len(counts), dtype=np.bool_)
    decision = decide_cover(left, counts, target, everything, state.budget, DECISION_WORK)
    if decision.bins is not None:
        state.offer(decision.bins)
    return decision.bins is not None or decision.none_exists


def _cover(
    state: PackingState, patterns: IntArray, counts: IntArray, target: int
) -> IntArray | None:
    """A packing by these patterns, by short searches in random orders; None says nothing.

    Where there are many packings, one order in a few leads to one at once; CP-SAT takes seconds.
    """
    if len(counts) > MOST_KINDS or not len(patterns):
        return None
    rows = as_rows(patterns)
    wastes, room = np.zeros((len(rows), 1), dtype=np.int64), np.zeros(1, dtype=np.int64)
    for _ in range(ORDERS):
        order = state.rng.permutation(len(rows))
        chosen, found, nodes = finish(rows, wastes, order, counts, room, target, ORDER_NODES)
        state.budget.spend(10.0 * nodes * target)
        if found:
            return patterns[chosen]
    return None


class _DiscountMaster:
    """min sum of x + (1 - DISCOUNT) * y - target * t: x + y pack t times all items; y <= 1."""

    def __init__(self, counts: IntArray, prices: FloatArray, target: int) -> None:
        from ortools.linear_solver import pywraplp

        self._solver = pywraplp.Solver.CreateSolver("GLOP")
        self._solver.SetSolverSpecificParametersAsString("use_preprocessing: false")
        self._infinity = self._solver.infinity()
        self._rows = [self._solver.Constraint(0.0, 0.0) for _ in counts]
        self._objective = self._solver.Objective()
        self._objective.SetMinimization()
        self._known: set[bytes] = set()
        # the target a little lower, as the duals of a relaxation are only almost worth it
        self._column(-counts, -(target - 1e-9), self._infinity)
        for row, price in enumerate(prices.tolist()):  # prices stay within reach
            unit = np.zeros_like(counts)
            unit[row] = 1
            self._column(unit, price + REACH, self._infinity)
            self._column(-unit, REACH - price, self._infinity)

    @property
    def size(self) -> int:
        """Number of columns."""
        return 2 * (len(self._known) + len(self._rows)) + 1

    def add(self, patterns: IntArray) -> int:
        """Add the patterns not known yet; returns how many those were."""
        before = len(self._known)
        for pattern in patterns:
            if pattern.tobytes() not in self._known:
                self._known.add(pattern.tobytes())
                self._column(pattern, 1.0, self._infinity)
                self._column(pattern, 1.0 - DISCOUNT, 1.0)
        return len(self._known) - before

    def solve(self) -> FloatArray | None:
        """The prices of the items; None without an optimum."""
        if self._solver.Solve() != self._solver.OPTIMAL:
            return None
        return np.array([row.dual_value() for row in self._rows])

    def _column(self, entries: IntArray, cost: float, most: float) -> None:
        column: Any = self._solver.NumVar(0.0, most, "")
        self._objective.SetCoefficient(column, cost)
        for row in np.flatnonzero(entries).tolist():
            self._rows[row].SetCoefficient(column, float(entries[row]))
