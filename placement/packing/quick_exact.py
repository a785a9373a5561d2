"""Small problems to the end: the relaxation over patterns, and packings of whole bins by it.

As `colgen` and `decide`, for a hundred items and in Python's own integers. Its solvers come without
numpy: GLOP for the relaxation, CBC for whole bins. CBC only finds packings. What is proven is
proven in integers, by values of the kinds and a search for the best pattern. Where a search grows
beyond its limits nothing is said, and `solve` goes on with larger means.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

from stowplan.placement.packing.quick import Bins, Known, Small
from stowplan.placement.packing.quick_patterns import Pattern, Patterns, TooManyError

SCALE = 1 << 20  # the value of a whole bin in integers
BEST_STEPS, ENOUGH_STEPS, LISTING_STEPS = 20_000, 1000, 80_000
ROUNDS_MOST = 300
FULL = 4  # bins have to be full where all together may waste no more than such a part of one
PATTERNS_MOST = 1_000  # from which CBC chooses
CBC_MS = 400
NEARLY = 1e-6


class _Relaxed(NamedTuple):
    """Values of the kinds, such that no pattern is worth more than `best`."""

    values: list[int]
    best: int
    patterns: list[Pattern]


def finish(small: Small, known: Known) -> Known:
    """Go on from what rules of thumb say; not settled where that takes more than is here."""
    assert known.bins is not None
    patterns = Patterns(small)
    try:
        bins = _full_bins(small, patterns, known.bound)
        if bins is not None:
            return Known(bins, known.bound)
        relaxed = _relax(small, patterns, known)
    except TooManyError:
        return known
    return _rounded(small, relaxed, known._replace(bound=max(known.bound, _bound(small, relaxed))))


def _bound(small: Small, relaxed: _Relaxed) -> int:
    return -(-_worth(relaxed.values, small.counts) // relaxed.best)


def _worth(values: Sequence[int], counts: Sequence[int]) -> int:
    return sum(value * n for value, n in zip(values, counts, strict=True))


def _full_bins(small: Small, patterns: Patterns, target: int) -> Bins | None:
    """A packing by patterns that waste next to nothing of the tightest dimension, or None."""
    totals = [
        sum(row[d] * n for row, n in zip(small.demand, small.counts, strict=True))
        for d in range(len(small.capacity))
    ]
    waste = [target * room - total for room, total in zip(small.capacity, totals, strict=True)]
    tightest = min(range(len(waste)), key=lambda d: waste[d] / max(small.capacity[d], 1))
    if not 0 <= waste[tightest] * FULL < small.capacity[tightest]:
        return None
    waste = [min(w, room) for w, room in zip(waste, small.capacity, strict=True)]
    try:
        found = patterns.full(tightest, waste, PATTERNS_MOST, LISTING_STEPS)
    except TooManyError:
        return None
    return _cover(small, found, target)


def _relax(small: Small, patterns: Patterns, known: Known) -> _Relaxed:
    """Column generation. Raises TooManyError."""
    from ortools.linear_solver import pywraplp

    solver = pywraplp.Solver.CreateSolver("GLOP")
    solver.SetSolverSpecificParametersAsString("use_preprocessing: false")
    infinity, objective = solver.infinity(), solver.Objective()
    rows = [solver.Constraint(float(n), infinity) for n in small.counts]
    columns: dict[Pattern, Any] = {}
    assert known.bins is not None
    new = [tuple(held.get(kind, 0) for kind in range(len(rows))) for held in known.bins]
    objective.SetMinimization()
    for _ in range(ROUNDS_MOST):
        for pattern in new:
            if pattern not in columns:
                columns[pattern] = column = solver.NumVar(0.0, infinity, "")
                objective.SetCoefficient(column, 1.0)
                for kind, n in enumerate(pattern):
                    if n:
                        rows[kind].SetCoefficient(column, float(n))
        solver.Solve()
        values = [max(0, int(row.dual_value() * SCALE)) for row in rows]
        best, new, whole = patterns.best(values, SCALE, BEST_STEPS, ENOUGH_STEPS)
        if not whole:
            continue
        least = min(ceil(objective.Value() - NEARLY), len(known.bins))  # no bound says more
        if -(-_worth(values, small.counts) // best) >= least or best <= SCALE + len(rows):
            return _Relaxed(values, best, list(columns))
    raise TooManyError


def _rounded(small: Small, relaxed: _Relaxed, known: Known) -> Known:
    """Whole bins of the relaxation's patterns: by rules of thumb for what is left, then by CBC."""
    if known.settled:
        return known
    bins = _cover(small, relaxed.patterns, known.bound)
    return known if bins is None else Known(bins, known.bound)


def _cover(small: Small, patterns: Sequence[Pattern], target: int) -> Bins | None:
    """At most `target` of the patterns that cover all items, or None where CBC finds none."""
    from ortools.linear_solver import pywraplp

    solver = pywraplp.Solver.CreateSolver("CBC")
    solver.SetTimeLimit(CBC_MS)
    columns = [solver.IntVar(0, target, "") for _ in patterns]
    rows = [solver.Constraint(n, solver.infinity()) for n in small.counts]
    bins = solver.Constraint(0, target)
    objective = solver.Objective()
    objective.SetMinimization()
    for column, pattern in zip(columns, patterns, strict=True):
        bins.SetCoefficient(column, 1)
        objective.SetCoefficient(column, 1)
        for kind, n in enumerate(pattern):
            if n:
                rows[kind].SetCoefficient(column, n)
    if solver.Solve() not in (solver.OPTIMAL, solver.FEASIBLE):
        return None
    chosen: Bins = []
    left = list(small.counts)
    for column, pattern in zip(columns, patterns, strict=True):
        for _ in range(round(column.solution_value())):
            held = {kind: min(n, left[kind]) for kind, n in enumerate(pattern) if n and left[kind]}
            for kind, n in held.items():
                left[kind] -= n
            chosen.append(held)
    chosen = [held for held in chosen if held]
    return None if any(left) or len(chosen) > target else chosen
