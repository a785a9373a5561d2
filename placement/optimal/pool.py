"""Diving in a list: where bins must be nearly full, all patterns that may be used are written out.

A packing into `target` bins leaves a known total waste, and its patterns lack at most the gap of
the bound in value. Where bins hold few items, such patterns make a list of at most some hundred
thousand. On it, pricing is a scan, patterns die out as items and waste are used up, and the last
bins are left to an exact search. A dead end leads back to half as many bins again, not to the
start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.optimal.colgen import Relaxation
from placement.optimal.diving import CHOICES
from placement.optimal.master import Master
from placement.optimal.pool_kernels import finish, usable, worth
from placement.optimal.pricing import SCALE, Pricer
from placement.optimal.problem import FloatArray, IntArray, ShortArray
from placement.optimal.search import Budget, Search

MOST_ITEMS = 8  # in a listed pattern
MEAN_ITEMS = 5  # in a bin: beyond it most patterns would be longer than that
MOST_LISTED = 1_500_000
LIST_NODES = 12_000_000
MOST_KINDS = 2**15 - 1  # a row of a list has short integers
FIRST_SHARE = 1 / 4  # of the gap, that a listed pattern may lack; doubled until the list is
ENOUGH_LISTED = 300_000  # this long
START = 3  # patterns a kind
NEW_PATTERNS = 150  # a round of pricing
LAST_BINS = 14  # left to the exact search
LAST_NODES = 100_000
TRIES = 8  # from one state
BACK = 1.5  # times as many open bins as at the dead end
UNCOVERED = 10.0  # cost of an item that no pattern of the list covers


@dataclass(frozen=True)
class State:
    """A packing in the making: items left, waste left, patterns still usable, patterns taken."""

    left: IntArray
    room: IntArray
    alive: IntArray
    taken: tuple[int, ...]


def dive_in_list(
    search: Search, pricer: Pricer, relaxation: Relaxation, target: int, budget: Budget
) -> bool:
    """Look for a packing into `target` bins; offers it to `search` and says whether there was one.

    Args:
        relaxation: of the whole problem, converged; its values select the patterns.
        budget: when to give up.
    """
    problem = search.problem
    waste = target * problem.capacity - problem.counts @ problem.demand
    kinds, items = len(problem.counts), int(problem.counts.sum())
    if problem.demand.shape[1] == 1:
        return False  # where plain dives do as well
    if items > MEAN_ITEMS * target or kinds > MOST_KINDS or (waste >= problem.capacity).any():
        return False
    gap = target * relaxation.best - int(relaxation.values @ problem.counts)
    share = FIRST_SHARE
    while True:
        threshold = relaxation.best - int(share * gap) - 1
        rows, wastes, complete, steps = pricer.list_patterns(
            relaxation.values, threshold, waste, MOST_ITEMS, MOST_LISTED, LIST_NODES
        )
        budget.spend(steps)
        if not complete or len(rows) > ENOUGH_LISTED or share >= 1 or budget.exhausted():
            break
        share *= 2
    if not len(rows):
        return False
    found = _ListDive(search, rows, wastes, target, relaxation.values, budget).run(waste)
    if found is None:
        return False
    search.offer(_dense(rows[list(found)], len(problem.counts)))
    return True


class _ListDive:
    def __init__(
        self, search: Search, rows: ShortArray, wastes: IntArray, target: int, values: IntArray,
        budget: Budget,
    ) -> None:  # fmt: skip
        self.rows, self.wastes, self.target, self.budget = rows, wastes, target, budget
        self.rng, self.counts = search.rng, search.problem.counts
        kinds = len(self.counts)
        self._kinds = kinds
        self._master = Master(self.counts)
        self._master.add(np.eye(kinds, dtype=np.int64), cost=UNCOVERED)
        self._columns: list[int] = []  # the patterns in the master, after one for each kind
        self._known = np.zeros(len(rows), dtype=np.bool_)
        self._center = np.append(values / SCALE, 0.0)
        gains = worth(rows, np.arange(len(rows)), self._center)
        self._add(np.argsort(-gains, kind="stable")[: START * kinds])

    def run(self, waste: IntArray) -> tuple[int, ...] | None:
        """The patterns of a packing, or None when the budget is used up."""
        everything = np.arange(len(self.rows))
        stack, tries = [State(self.counts, waste, everything, ())], [0]
        while not self.budget.exhausted():
            state = stack[-1]
            bins = self.target - len(state.taken)
            if bins <= LAST_BINS:
                last, found, nodes = finish(
                    self.rows, self.wastes, state.alive, state.left, state.room, bins, LAST_NODES
                )
                self.budget.spend(10.0 * nodes * len(state.alive))
                if found:
                    return (*state.taken, *last.tolist())
                following = None
            else:
                following = self._step(state, bins)
            if following is not None:
                stack.append(following)
                tries.append(0)
            else:
                self._back(stack, tries, bins)
        return None

    def _back(self, stack: list[State], tries: list[int], bins: int) -> None:
        """Drop states until one has enough open bins, and was not tried too often."""
        while True:
            bins = min(self.target, int(BACK * bins) + 1)
            while len(stack) > 1 and self.target - len(stack[-1].taken) < bins:
                stack.pop()
                tries.pop()
            tries[-1] += 1
            if tries[-1] <= TRIES or len(stack) == 1:
                return

    def _step(self, state: State, bins: int) -> State | None:
        """Take the patterns that the relaxation uses wholly, or one of those it uses most."""
        amounts = self._relax(state, bins)
        if amounts is None:
            return None
        chosen = np.flatnonzero(amounts > 1 - 1e-6)
        if not len(chosen):
            top = np.argsort(-amounts, kind="stable")[:CHOICES]
            top = top[amounts[top] > 1e-6]
            if not len(top):
                return None
            chosen = self.rng.choice(top, 1, p=amounts[top] / amounts[top].sum())
        left, room, taken = state.left.copy(), state.room.copy(), list(state.taken)
        for column in chosen.tolist():
            pattern = np.array([self._columns[column]])
            if len(usable(self.rows, self.wastes, pattern, left, room)):
                left -= _dense(self.rows[pattern], self._kinds)[0]
                room -= self.wastes[pattern[0]]
                taken.append(int(pattern[0]))
        self.budget.spend(10.0 * len(state.alive))
        alive = usable(self.rows, self.wastes, state.alive, left, room)
        return State(left, room, alive, tuple(taken))

    def _relax(self, state: State, bins: int) -> FloatArray | None:
        """How often the relaxation uses each pattern of the master; None if `bins` are too few."""
        alive = np.zeros(len(self.rows), dtype=np.bool_)
        alive[state.alive] = True
        allowed = [np.ones(self._kinds, dtype=np.bool_), alive[self._columns]]
        self._master.demand(state.left)
        self._master.allow(np.concatenate(allowed))
        while not self.budget.exhausted():
            solution = self._master.solve(amounts=False)
            self.budget.spend(60.0 * len(self._columns) + 20.0 * len(state.alive))
            if solution is None:
                return None
            if solution.value <= bins + 1e-6:
                amounts = self._master.amounts()[self._kinds :]
                return np.where(alive[self._columns], amounts, 0.0)
            duals = np.append(solution.duals, 0.0)
            if not any(
                self._price(state, prices, duals, bins)
                for prices in ((duals + self._center) / 2, duals)
            ):
                return None
        return None

    def _price(self, state: State, prices: FloatArray, duals: FloatArray, bins: int) -> int:
        """Add the best patterns by `prices` that improve by `duals`; how many are new.

        None is where the prices show that the items left need more than `bins`.
        """
        if not len(state.alive):
            return 0
        gains = worth(self.rows, state.alive, prices)
        self._center = prices
        if prices[:-1] @ state.left > (bins + 1e-6) * max(gains.max(), 1e-9):
            return 0
        most = min(NEW_PATTERNS, len(gains)) - 1
        best = state.alive[np.argpartition(-gains, most)[: most + 1]]
        return self._add(best[worth(self.rows, best, duals) > 1 + 1e-7])

    def _add(self, patterns: IntArray) -> int:
        new = patterns[~self._known[patterns]]
        self._known[new] = True
        self._columns += new.tolist()
        self._master.add(_dense(self.rows[new], self._kinds))
        return len(new)


def _dense(rows: ShortArray, kinds: int) -> IntArray:
    """Listed patterns as (patterns, kinds) counts."""
    result = np.zeros((len(rows), kinds + 1), dtype=np.int64)
    np.add.at(result, (np.arange(len(rows))[:, None], rows), 1)
    return result[:, :kinds]
