"""Diving in a list: where bins must be nearly full, all patterns that may be used are written out.

A packing into `target` bins leaves a known total waste, and its patterns lack at most the gap of
the bound in value. Where bins hold few items, such patterns make a list of at most a few million.
On it, pricing is a scan, and patterns die out, for two reasons: items and waste are used up, and
patterns that lack more than the gap of the bins still open are of no use. So the relaxation of
every state is solved to the end; where it leaves few patterns, an exact search decides the state,
often with twenty bins open. A dead end leads back to some more open bins, not to the start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stowplan.placement.packing.colgen import Relaxation
from stowplan.placement.packing.diving import CHOICES
from stowplan.placement.packing.list_kernels import MOST_KINDS, finish, usable, worth
from stowplan.placement.packing.master import Master, MasterSolution
from stowplan.placement.packing.pricing import SCALE, Pricer
from stowplan.placement.packing.problem import FloatArray, IntArray, ShortArray
from stowplan.placement.packing.state import Budget, PackingState

MOST_ITEMS = 8  # in a listed pattern
MEAN_ITEMS = 5  # in a bin: beyond it most patterns would be longer than that
MOST_LISTED = 2_500_000
LIST_NODES = 20_000_000
FIRST_SHARE = 1 / 4  # of the gap, that a listed pattern may lack; doubled until the list is
ENOUGH_LISTED = 800_000  # this long, or halved until it is complete, but to no less than
LEAST_SHARE = 1 / 32
START = 3  # patterns a kind
NEW_PATTERNS = 150  # a round of pricing
FEW_ALIVE = 1_500  # patterns for the exact search
FINISH_NODES = 20_000
TRIES = 8  # from one state
BACK = 1.2  # times as many open bins as at the dead end
NOISE = 0.01  # bins; candidates whose bounds differ by less may come in any order
UNCOVERED = 10.0  # cost of an item that no pattern of the list covers
TOLERANCE = 1e-6  # of a relaxation, in bins
FINE = 1e9  # lacks of value as integers


@dataclass
class DiveState:
    """A packing in the making: items left, waste left, patterns still usable, patterns taken.

    `amounts` says how often the relaxation uses each pattern of the master, once it is solved;
    `tries` how often the dive came back to the state.
    """

    left: IntArray
    room: IntArray
    alive: IntArray
    taken: tuple[int, ...]
    amounts: FloatArray | None = None
    tries: int = 0


def dive_in_list(
    state: PackingState, pricer: Pricer, relaxation: Relaxation, target: int, budget: Budget
) -> bool:
    """Look for a packing into `target` bins; offers it to `state` and says whether there was one.

    Args:
        relaxation: of the whole problem, converged; its values select the patterns.
        budget: when to give up.
    """
    problem = state.problem
    waste = target * problem.capacity - problem.counts @ problem.demand
    kinds, items = len(problem.counts), int(problem.counts.sum())
    if problem.demand.shape[1] == 1:
        return False  # where plain dives do as well
    if items > MEAN_ITEMS * target or kinds > MOST_KINDS or (waste >= problem.capacity).any():
        return False
    gap = target * relaxation.best - int(relaxation.values @ problem.counts)
    listed = _listed(pricer, relaxation, gap, waste, budget)
    if listed is None:
        return False
    rows, wastes = listed
    found = _ListDive(state, rows, wastes, target, relaxation.values, budget).run(waste)
    if found is None:
        return False
    state.offer(_dense(rows[list(found)], len(problem.counts)))
    return True


def _listed(
    pricer: Pricer, relaxation: Relaxation, gap: int, waste: IntArray, budget: Budget
) -> tuple[ShortArray, IntArray] | None:
    """The patterns that lack least, with their wastes: enough of them, and none left out."""
    share, listed = FIRST_SHARE, None
    while not budget.exhausted() and share >= LEAST_SHARE:
        threshold = relaxation.best - int(share * gap) - 1
        rows, wastes, complete, steps = pricer.list_patterns(
            relaxation.values, threshold, waste, MOST_ITEMS, MOST_LISTED, LIST_NODES
        )
        budget.spend(steps)
        if complete:
            listed = rows, wastes
            if len(rows) > ENOUGH_LISTED or share >= 1:
                break
            share *= 2
        elif listed is not None:
            break
        else:
            share /= 2
    return listed if listed is not None and len(listed[0]) else None


class _ListDive:
    def __init__(
        self, state: PackingState, rows: ShortArray, wastes: IntArray, target: int,
        values: IntArray, budget: Budget,
    ) -> None:  # fmt: skip
        self.rows, self.wastes, self.target, self.budget = rows, wastes, target, budget
        self.rng, self.counts = state.rng, state.problem.counts
        kinds = len(self.counts)
        self._kinds = kinds
        self._master = Master(self.counts)
        self._master.add(np.eye(kinds, dtype=np.int64), cost=UNCOVERED)
        self._columns: list[int] = []  # the patterns in the master, after one for each kind
        self._known = np.zeros(len(rows), dtype=np.bool_)
        gains = worth(rows, np.arange(len(rows)), np.append(values / SCALE, 0.0))
        self._add(np.argsort(-gains, kind="stable")[: START * kinds])

    def run(self, waste: IntArray) -> tuple[int, ...] | None:
        """The patterns of a packing, or None: the budget is used up, or the list has none."""
        stack = [DiveState(self.counts, waste, np.arange(len(self.rows)), ())]
        while not self.budget.exhausted():
            state = stack[-1]
            dead = False
            if state.amounts is None:
                last, dead = self._settle(state)
                if last is not None:
                    return (*state.taken, *last)
            following = None if dead else self._step(state)
            if following is not None:
                stack.append(following)
            elif dead and len(stack) == 1:
                return None
            else:
                self._back(stack)
        return None

    def _settle(self, state: DiveState) -> tuple[list[int] | None, bool]:
        """Solve the relaxation of a state and, if that leaves few patterns, search them.

        Returns (the patterns that complete the packing, whether it is clear that none do).
        """
        lacks = self._relax(state)
        if lacks is None:
            return None, True
        return self._finish(state, *lacks) if len(state.alive) <= FEW_ALIVE else (None, False)

    def _back(self, stack: list[DiveState]) -> None:
        """Drop states until one has enough open bins, and was not tried too often."""
        bins = self._open(stack[-1])
        while True:
            bins = min(self.target, int(BACK * bins) + 1)
            while len(stack) > 1 and self._open(stack[-1]) < bins:
                stack.pop()
            stack[-1].tries += 1
            if stack[-1].tries <= TRIES or len(stack) == 1:
                return

    def _open(self, state: DiveState) -> int:
        return self.target - len(state.taken)

    def _finish(self, state: DiveState, lacks: IntArray, gap: int) -> tuple[list[int] | None, bool]:
        """Search the last bins exactly: (the patterns of a packing, whether that is decided)."""
        order = np.argsort(lacks, kind="stable")
        chosen = state.alive[order]
        wastes = np.column_stack([self.wastes[chosen], lacks[order]])
        last, found, nodes = finish(
            self.rows[chosen], wastes, np.arange(len(chosen)), state.left,
            np.append(state.room, gap), self._open(state), FINISH_NODES,
        )  # fmt: skip
        self.budget.spend(10.0 * nodes * len(chosen))
        return (chosen[last].tolist() if found else None), nodes <= FINISH_NODES

    def _step(self, state: DiveState) -> DiveState | None:
        """Take what the relaxation uses wholly, or what costs least of what it uses most."""
        assert state.amounts is not None
        columns = np.array(self._columns)
        whole = np.flatnonzero(state.amounts > 1 - 1e-6)
        if len(whole):
            return self._take(state, columns[whole])
        top = np.argsort(-state.amounts, kind="stable")[:CHOICES]
        best, least = None, float("inf")
        for column in top[state.amounts[top] > 1e-6]:
            following = self._take(state, columns[[column]])
            value = self._value(following)
            if value is not None and (value := value + NOISE * self.rng.random()) < least:
                best, least = following, value
        return best

    def _take(self, state: DiveState, patterns: IntArray) -> DiveState:
        """The state after these patterns, without those that no longer fit."""
        left, room, taken = state.left.copy(), state.room.copy(), list(state.taken)
        for p in patterns.tolist():
            pattern = np.array([p])
            if len(usable(self.rows, self.wastes, pattern, left, room)):
                left -= _dense(self.rows[pattern], self._kinds)[0]
                room -= self.wastes[p]
                taken.append(p)
        self.budget.spend(10.0 * len(state.alive))
        alive = usable(self.rows, self.wastes, state.alive, left, room)
        return DiveState(left, room, alive, tuple(taken))

    def _value(self, state: DiveState) -> float | None:
        """The relaxation of a state over the patterns in the master alone."""
        self._allow(state)
        solution = self._solve()
        return None if solution is None else solution.value

    def _relax(self, state: DiveState) -> tuple[IntArray, int] | None:
        """Solve the relaxation of a state; None if that shows its open bins to be too few.

        Notes the amounts, drops the patterns that lack more than the gap, and returns what the
        others lack, and the gap, both times `FINE`.
        """
        self._allow(state)
        bins = self._open(state)
        while len(state.alive) and not self.budget.exhausted():
            solution = self._solve()
            if solution is None:
                return None
            prices = np.append(solution.duals, 0.0)
            gains = worth(self.rows, state.alive, prices)
            most = max(float(gains.max()), 1e-9)
            gap = bins * most - float(solution.duals @ state.left)
            if gap < -TOLERANCE:
                return None
            number = min(NEW_PATTERNS, len(gains))
            best = np.argpartition(-gains, number - 1)[:number]
            if self._add(state.alive[best[gains[best] > 1 + 1e-7]]):
                continue
            if solution.value > bins + TOLERANCE:
                return None
            state.amounts = self._master.amounts()[self._kinds :]
            kept = most - gains <= gap + TOLERANCE
            state.alive = state.alive[kept]
            lacks = np.ceil((most - gains[kept]) * FINE).astype(np.int64)
            return lacks, int((gap + TOLERANCE) * FINE) + 1
        return None

    def _allow(self, state: DiveState) -> None:
        """Let the master pack what the state has left, with what is alive in it."""
        alive = np.zeros(len(self.rows), dtype=np.bool_)
        alive[state.alive] = True
        self._master.demand(state.left)
        uncovered = np.ones(self._kinds, dtype=np.bool_)
        self._master.allow(np.concatenate([uncovered, alive[self._columns]]))

    def _solve(self) -> MasterSolution | None:
        self.budget.spend(60.0 * len(self._columns))
        return self._master.solve(amounts=False)

    def _add(self, patterns: IntArray) -> int:
        """Add listed patterns to the master; how many of them are new."""
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
