"""Fewest identical bins, with a proof: the pipeline from rules of thumb to the exact step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stowplan.placement.packing import bounds, heuristics, lazy
from stowplan.placement.packing.problem import (
    IntArray,
    Limits,
    PackedBins,
    PackingProblem,
    PackingResult,
    ProgressCallback,
    group_equal,
    spread_contents,
)
from stowplan.placement.packing.state import PackingState
from stowplan.placement.packing.verify import check_packing

if TYPE_CHECKING:
    from stowplan.placement.packing.colgen import Relaxation
    from stowplan.placement.packing.master import Master
    from stowplan.placement.packing.pricing import Pricer


def solve_packing(
    problem: PackingProblem,
    limits: Limits | None = None,
    progress: ProgressCallback | None = None,
) -> PackingResult:
    """Pack every item into as few bins as can be, and prove how few that is.

    The packing is checked by `verify.check_packing` before it is returned. A KeyboardInterrupt
    ends the solve early with the best found so far.

    Args:
        limits: when to stop; the default is to run until the proof is complete.
        progress: called with every improvement of the bound or the packing.
    """
    grouped = group_equal(problem)
    state = PackingState(grouped.problem, limits or Limits(), progress)
    misfits = (grouped.problem.demand > grouped.problem.capacity).any(axis=1)
    if misfits.any():
        kinds = [k for g in np.flatnonzero(misfits).tolist() for k in grouped.members[g]]
        return _infeasible(state, tuple(sorted(kinds)))
    interrupted = False
    try:
        _run(state)
    except KeyboardInterrupt:
        interrupted = True
    bins = [] if state.best is None else _collapse(state.best)
    packing = spread_contents(bins, grouped.members, problem.counts)
    if state.best is not None:
        check_packing(problem, packing)
    return _result(state, packing, interrupted)


def _run(state: PackingState) -> None:
    problem = state.problem
    for bins in heuristics.packings(problem.demand, problem.counts, problem.capacity):
        state.budget.spend(10.0 * bins.size)
        state.offer(bins)
        state.raise_bound(bounds.continuous_bound(problem))
        if state.finished():
            return
    assert state.incumbent is not None
    state.raise_bound(bounds.dual_feasible_bound(problem, state.incumbent))
    if state.finished():
        return
    _improve(state)


def _improve(state: PackingState) -> None:
    """Linear relaxation, then branch and price at the bound, and at the next as often as needed."""
    # Imported here, with a solver and machine code behind them: most problems are settled before.
    lazy.load()
    from stowplan.placement.packing.branch import Tree
    from stowplan.placement.packing.master import Master
    from stowplan.placement.packing.pricing import Pricer
    from stowplan.placement.packing.subproblem import Subproblem

    root = Subproblem.root(state.problem)
    pricer = Pricer(state.problem.demand, root.per_bin(), state.problem.capacity)
    master = Master(state.problem.counts)
    assert state.best is not None
    master.add(np.diag(root.per_bin()))
    master.add(state.best)
    relaxation = _relax(state, master, pricer)
    state.raise_bound(relaxation.bound)
    known_patterns, values = master.patterns.copy(), relaxation.values
    while not state.finished():
        target = state.lower_bound
        tree = Tree(state, target, known_patterns)
        tree.run(root, values)
        known_patterns = tree.known_patterns
        if state.lower_bound == target:
            return


def _relax(state: PackingState, master: Master, pricer: Pricer) -> Relaxation:
    """The root relaxation: first with exchanges between dominating kinds, then without."""
    from stowplan.placement.packing.colgen import generate
    from stowplan.placement.packing.pricing import SCALE

    problem = state.problem
    relative = problem.demand / np.maximum(problem.capacity, 1)
    scarce = int(np.argmax(problem.counts @ relative))
    start = np.floor(relative[:, scarce] * SCALE).astype(np.int64)
    master.add_exchanges(dominations(problem.demand))
    first = generate(master, pricer, problem.counts, state.budget, start=start)
    state.raise_bound(first.bound)
    master.allow_exchanges(False)
    return generate(
        master,
        pricer,
        problem.counts,
        state.budget,
        start=first.values,
        stop_at=float(state.lower_bound),
    )


def dominations(demand: IntArray) -> IntArray:
    """(pairs, 2): each kind with the first later kind that needs no more in any dimension."""
    pairs = []
    for i in range(len(demand) - 1):
        fits = np.flatnonzero((demand[i + 1 :] <= demand[i]).all(axis=1))
        if len(fits):
            pairs.append((i, i + 1 + int(fits[0])))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _collapse(bins: IntArray) -> list[PackedBins]:
    contents, copies = np.unique(bins, axis=0, return_counts=True)
    return [PackedBins(row, int(n)) for row, n in zip(contents[::-1], copies[::-1], strict=True)]


def _infeasible(state: PackingState, unplaceable: tuple[int, ...]) -> PackingResult:
    return PackingResult(
        "infeasible", None, 0, None, (), state.budget.seconds(), 0.0, unplaceable=unplaceable
    )


def _result(
    state: PackingState, packing: tuple[PackedBins, ...], interrupted: bool
) -> PackingResult:
    bins = state.incumbent
    gap = None if bins is None else (bins - state.lower_bound) / max(bins, 1)
    return PackingResult(
        status="unknown" if bins is None else "optimal" if state.proven() else "feasible",
        bins=bins,
        lower_bound=state.lower_bound,
        gap=gap,
        packing=packing,
        seconds=state.budget.seconds(),
        work=state.budget.work,
        interrupted=interrupted,
        log=tuple(state.log),
    )
