"""The restricted master: the linear program over the patterns known so far, solved by GLOP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stowplan.placement.packing.problem import BoolArray, FloatArray, IntArray

REDUCED_COST = 1e-5  # above it a column is not in the basis; GLOP's tolerance is 1e-6


@dataclass(frozen=True)
class MasterSolution:
    """Optimum of the restricted master.

    Args:
        value: objective.
        amounts: (patterns,) how often each pattern is used.
        duals: (kinds,) >= 0.
        shadow_prices: (groups,) >= 0, what one more bin of a limited group would save.
    """

    value: float
    amounts: FloatArray
    duals: FloatArray
    shadow_prices: FloatArray


class Master:
    """min sum of cost * x, patterns @ x >= counts, sum of x in a group <= its limit, x >= 0.

    Warm starts itself between solves: GLOP keeps its basis while columns are added or the
    right-hand side changes.
    """

    def __init__(self, counts: IntArray, limits: Sequence[int | None] = (None,)) -> None:
        from ortools.linear_solver import pywraplp

        self._solver = pywraplp.Solver.CreateSolver("GLOP")
        self._solver.SetSolverSpecificParametersAsString("use_preprocessing: false")
        self._infinity = self._solver.infinity()
        self._rows = [self._solver.Constraint(float(b), self._infinity) for b in counts.tolist()]
        self._groups = [
            None if n is None else self._solver.Constraint(-self._infinity, float(n))
            for n in limits
        ]
        self._columns: list[Any] = []
        self._objective = self._solver.Objective()
        self._objective.SetMinimization()
        self._exchanges: list[Any] = []
        self._forbidden: set[int] = set()
        self._known: set[tuple[int, bytes]] = set()
        self._stored: IntArray = np.zeros((256, len(counts)), dtype=np.int64)
        self._costs: list[float] = []
        self._group_of: list[int] = []
        self._duals, self._group_duals = np.zeros(len(counts)), np.zeros(len(limits))

    @property
    def patterns(self) -> IntArray:
        """(patterns, kinds) int64, in the order of `MasterSolution.amounts`."""
        return self._stored[: len(self._columns)]

    def add(self, patterns: IntArray, cost: float = 1.0, group: int = 0) -> int:
        """Add the patterns (new, kinds) not known in their group; returns how many those were."""
        before = len(self._columns)
        for pattern, kinds in zip(patterns, _nonzero(patterns), strict=True):
            key = (group, pattern.tobytes())
            if key in self._known:
                continue
            self._known.add(key)
            column = self._solver.NumVar(0.0, self._infinity, "")
            self._objective.SetCoefficient(column, cost)
            for kind in kinds:
                self._rows[kind].SetCoefficient(column, float(pattern[kind]))
            row = self._groups[group]
            if row is not None:
                row.SetCoefficient(column, 1.0)
            if len(self._columns) == len(self._stored):
                self._stored = np.vstack([self._stored, np.zeros_like(self._stored)])
            self._stored[len(self._columns)] = pattern
            self._columns.append(column)
            self._costs.append(cost)
            self._group_of.append(group)
        return len(self._columns) - before

    def reprice(self, columns: Iterable[int], cost: float) -> None:
        """Change what the columns of these numbers cost."""
        for j in columns:
            self._objective.SetCoefficient(self._columns[j], cost)
            self._costs[j] = cost

    def add_exchanges(self, pairs: IntArray) -> None:
        """For each (i, j) of `pairs`, let an item i stand for an item j that needs no more room.

        This forces dual j <= dual i, which some optimal duals satisfy anyway, and saves
        iterations. `allow_exchanges(False)` brings the plain linear program back.
        Source: Ben Amor, Desrosiers & Valerio de Carvalho (2006), Dual-optimal inequalities for
        stabilized column generation, Operations Research 54:454-463.
        """
        for larger, smaller in pairs.tolist():
            column = self._solver.NumVar(0.0, self._infinity, "")
            self._rows[larger].SetCoefficient(column, -1.0)
            self._rows[smaller].SetCoefficient(column, 1.0)
            self._exchanges.append(column)

    def allow_exchanges(self, allowed: bool) -> None:
        """Let the exchange columns be used, or fix them at zero."""
        for column in self._exchanges:
            column.SetUb(self._infinity if allowed else 0.0)

    def add_spare(self, group: int, cost: float) -> None:
        """Let a limited group have more bins than its limit, at this cost each."""
        row = self._groups[group]
        assert row is not None, "a group without limit needs no spare"
        column = self._solver.NumVar(0.0, self._infinity, "")
        self._objective.SetCoefficient(column, cost)
        row.SetCoefficient(column, -1.0)

    def limit(self, limits: IntArray) -> None:
        """Change the (groups,) limits of groups that have one."""
        for row, most in zip(self._groups, limits.tolist(), strict=True):
            if row is not None:
                row.SetUb(float(most))

    def demand(self, counts: IntArray) -> None:
        """Change how many items of each kind must be covered."""
        for row, count in zip(self._rows, counts.tolist(), strict=True):
            row.SetLb(float(count))

    def allow(self, allowed: BoolArray) -> None:
        """Forbid (x = 0) the patterns (patterns,) bool marks False; allow the others."""
        was = np.ones(len(allowed), dtype=np.bool_)
        was[list(self._forbidden)] = False
        for j in np.flatnonzero(was != allowed).tolist():
            self._columns[j].SetUb(self._infinity if allowed[j] else 0.0)
        self._forbidden = set(np.flatnonzero(~allowed).tolist())

    def amounts(self) -> FloatArray:
        """(patterns,) how often the optimum last found uses each pattern.

        GLOP is asked only for those that cost no more than their duals: the others are at zero,
        and asking takes longer than solving where there are thousands.
        """
        prices = self._group_duals[self._group_of]
        reduced = np.array(self._costs) - self.patterns @ self._duals - prices
        result = np.zeros(len(self._columns))
        for j in np.flatnonzero(reduced < REDUCED_COST).tolist():
            result[j] = self._columns[j].solution_value()
        return result

    def solve(self, *, amounts: bool = True) -> MasterSolution | None:
        """The optimum; None if GLOP finds none (infeasible, or numerical trouble).

        Without `amounts`, which take a while to read, those of the solution are left empty.
        """
        status = self._solver.Solve()
        if status != self._solver.OPTIMAL:
            return None
        self._duals = np.array([row.dual_value() for row in self._rows])
        self._group_duals = np.array(
            [0.0 if row is None else row.dual_value() for row in self._groups]
        )
        return MasterSolution(
            self._objective.Value(),
            self.amounts() if amounts else np.zeros(0),
            np.maximum(self._duals, 0.0),
            -self._group_duals,
        )


def _nonzero(patterns: IntArray) -> list[list[int]]:
    """The kinds in each pattern, all patterns at once."""
    rows, kinds = np.nonzero(patterns)
    ends = np.searchsorted(rows, np.arange(1, max(1, len(patterns))))
    return [part.tolist() for part in np.split(kinds, ends)][: len(patterns)]
