"""The state one solve shares among its stages: best packing, bound, budget and log."""

from __future__ import annotations

import numpy as np

from stowplan.placement.packing.problem import (
    IntArray,
    Limits,
    PackingProblem,
    Progress,
    ProgressCallback,
)


class Budget:
    """Counts work and time against `Limits`. `seconds()` is 0 without a clock."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._start = limits.clock() if limits.clock else 0.0
        self.work = 0.0

    def seconds(self) -> float:
        """Seconds since the start."""
        return self.limits.clock() - self._start if self.limits.clock else 0.0

    def spend(self, steps: float) -> None:
        """Account for `steps` elementary steps."""
        self.work += steps * 1e-6

    def left_seconds(self) -> float:
        """Seconds until the limit, at least 0; infinite without one."""
        if self.limits.seconds is None:
            return float("inf")
        return max(0.0, self.limits.seconds - self.seconds())

    def left_work(self) -> float:
        """Work units until the limit, negative beyond it; infinite without one."""
        return float("inf") if self.limits.work is None else self.limits.work - self.work

    def exhausted(self) -> bool:
        """A limit is reached."""
        return self.left_work() <= 0 or self.left_seconds() <= 0

    def part(self, share: float, most: float = float("inf")) -> Budget:
        """A budget with a share of what is left, and of `most` work at most.

        What it spends, `spend` here once it is used.
        """
        limits = self.limits
        seconds = None if limits.seconds is None else share * self.left_seconds()
        work: float | None = min(share * max(0.0, self.left_work()), most)
        work = None if work == float("inf") else work
        return Budget(Limits(seconds, work, limits.seed, limits.clock))


class Solve:
    """What every solve keeps beside its best answer: bound, budget and log."""

    def __init__(self, budget: Budget, progress: ProgressCallback | None = None) -> None:
        self.budget = budget
        self.lower_bound = 0
        self.log: list[Progress] = []
        self._progress = progress

    @property
    def incumbent(self) -> int | None:
        """What the best answer so far comes to; None: there is none."""
        raise NotImplementedError

    def proven(self) -> bool:
        """The best answer comes to no more than the bound."""
        incumbent = self.incumbent
        return incumbent is not None and incumbent <= self.lower_bound

    def finished(self) -> bool:
        """Nothing left to do: proven, or out of time or work."""
        return self.proven() or self.budget.exhausted()

    def raise_bound(self, bound: int) -> None:
        """Take a proven lower bound if it is higher than the last."""
        if bound > self.lower_bound:
            self.lower_bound = int(bound)  # a number of numpy's is none to JSON
            self.record()

    def record(self) -> None:
        """Note the time at which a bound or an answer became better."""
        entry = Progress(self.budget.seconds(), self.lower_bound, self.incumbent)
        self.log.append(entry)
        if self._progress:
            self._progress(entry)


class PackingState(Solve):
    """Best packing and bound of one grouped problem; every stage reads and improves it."""

    def __init__(
        self,
        problem: PackingProblem,
        limits: Limits,
        progress: ProgressCallback | None = None,
    ) -> None:
        super().__init__(Budget(limits), progress)
        self.problem = problem
        self.rng = np.random.default_rng(limits.seed)
        self.best: IntArray | None = None

    @property
    def incumbent(self) -> int | None:
        """Bins of the best packing."""
        return None if self.best is None else len(self.best)

    def offer(self, bins: IntArray) -> bool:
        """Take `bins` (bins, kinds), which must cover every item, if fewer than the best so far.

        Surplus items are taken out again, and bins left empty are dropped.
        """
        bins = trimmed(bins, self.problem.counts)
        if self.best is not None and len(bins) >= len(self.best):
            return False
        self.best = bins
        self.record()
        return True


def trimmed(bins: IntArray, counts: IntArray) -> IntArray:
    """Remove items packed more often than they exist, and empty bins; (bins, kinds) in and out."""
    before = np.cumsum(bins, axis=0) - bins
    kept = np.clip(counts - before, 0, bins)
    assert (kept.sum(axis=0) == counts).all(), "a packing leaves items out"
    result: IntArray = kept[kept.any(axis=1)]
    return result
