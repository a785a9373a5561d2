"""Branch and bound over busy times: first the relaxation and its cuts, then dives, then branches.

A branch says how many instances are busy at a moment, or whether two tasks share one. Both only
forbid states or change what a moment costs, so every relaxation stays one pass over the states.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import count

import numpy as np

from stowplan.placement.packing.over_time.anneal import annealed
from stowplan.placement.packing.over_time.branches import Branch, Column
from stowplan.placement.packing.over_time.columns import Columns
from stowplan.placement.packing.over_time.deals import Deals
from stowplan.placement.packing.over_time.plan import OverTimePlan
from stowplan.placement.packing.over_time.problem import OverTimeProblem
from stowplan.placement.packing.over_time.rows import (
    NEAR,
    busy_instances,
    cut_counts,
    cut_trios,
    shared,
)
from stowplan.placement.packing.problem import IntArray
from stowplan.placement.packing.state import Budget

CUT_ROUNDS = 25
TRIOS_MOST = 600
DIVES = (0.7, 0.9, 0.99)  # how sure a pair must be
DIVE_ROUNDS = 8
WIDTHS = (1_000, 10_000, 100_000)  # of searches over deals
WIDER = 12.0  # times as long as one took, at most, the next may take
NODE_WIDTH = 3_000
COOL = 0.2  # of the temperature, for a plan that is good already
DEAREST = 1e7  # price of a task without a place, in times what it costs by itself
CHANGES, CHANGES_A_JOB = 6_000_000, 20_000  # of a plan, at most, by annealing

Found = Callable[[OverTimePlan], int]  # takes a plan, returns what the best so far costs


class Search:
    """One solve. `bound` is proven, in units of `columns.unit`."""

    def __init__(self, problem: OverTimeProblem, budget: Budget, found: Found) -> None:
        self.problem, self.budget, self._found = problem, budget, found
        self.columns = Columns(problem, budget)
        self.bound = 0
        self.best: int | None = None
        self._plan: OverTimePlan | None = None

    @property
    def usable(self) -> bool:
        """The problem is of a size that can be searched."""
        return self.columns.usable

    def start_from(self, plan: OverTimePlan) -> None:
        """Take the busy times of a plan for columns."""
        jobs = self.columns.jobs
        where = plan.instance[jobs.task]
        for instance in range(len(plan.types)):
            for path in busy_times(np.flatnonzero(where == instance), jobs.starts, jobs.ends):
                self.columns.add(int(plan.types[instance]), path)
        self._take(plan)

    def run(self) -> Iterator[int]:
        """Yield the bound whenever it may have risen; ends with a proof, or when time is over."""
        columns = self.columns
        self._anneal()
        for job in columns.jobs.first.tolist():
            for offer, states in enumerate(columns.states):
                if states.begin[job] >= 0:
                    columns.add(offer, [job])
        columns.enter(Branch(busy=self._limits()))
        yield from self._root()
        if self._proven() or self.budget.exhausted() or columns.lacks:
            return
        root = columns.branch
        if Deals.possible(columns):
            yield from self._deal()
            if self._proven() or self.budget.exhausted():
                return
        for sure in () if Deals.possible(columns) else DIVES:
            self._dive(root, sure)
            if self._proven() or self.budget.exhausted():
                return
        columns.enter(root)
        yield from self._branches()

    def _proven(self) -> bool:
        return self.best is not None and self.bound >= self.best

    def _take(self, plan: OverTimePlan) -> None:
        before, self.best = self.best, -(-self._found(plan) // self.columns.unit)
        if before is None or self.best < before:
            self._plan = plan

    def _limits(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Rows for types of which there are not as many as tasks run."""
        jobs = self.columns.jobs
        change = np.zeros(len(jobs.at_ms) + 1, dtype=np.int64)
        np.add.at(change, jobs.starts, 1)
        np.add.at(change, jobs.ends, -1)
        running = np.cumsum(change)[: len(jobs.at_ms) - 1]
        return {
            (t, moment): (0, offer.limit)
            for t, offer in enumerate(self.problem.types)
            if offer.limit
            for moment in np.flatnonzero(running > offer.limit).tolist()
        }

    # the root

    def _root(self) -> Iterator[int]:
        """The relaxation, with cuts as long as they raise it."""
        columns = self.columns
        while True:
            self.bound = max(self.bound, columns.solve(self.best))
            yield self.bound
            if not columns.lacks or self._proven() or self.budget.exhausted():
                break
            if columns.dear > DEAREST:
                return  # limits leave no room, as it seems
            columns.dearer_missing()
        counts = len(self.problem.types) == 1
        last = columns.objective
        for turn in range(CUT_ROUNDS):
            if self._proven() or self.budget.exhausted():
                return
            cut = cut_trios(columns)
            if counts and turn < 2:
                cut += cut_counts(columns)
            if not cut:
                return
            self.bound = max(self.bound, columns.solve(self.best))
            yield self.bound
            if turn > 3 and columns.objective < last * (1 + 2e-6):
                return
            last = columns.objective

    # plans

    def _anneal(self, heat: float = 1.0) -> None:
        """Change the best plan so far into a better one.

        Args:
            heat: a share of the temperature for a plan of a rule of thumb.
        """
        if self._plan is None:
            return
        jobs = self.columns.jobs
        changes = min(CHANGES, CHANGES_A_JOB * len(jobs.kind))
        plan = annealed(self.problem, jobs, self._plan, changes, self.budget.limits.seed, heat)
        self.budget.spend(float(changes))
        if plan is not None:
            self.start_from(plan)

    def _deal(self) -> Iterator[int]:
        """Deal the tasks out in order of time, ever wider: plans and bounds."""
        deals = Deals(self.columns)
        for width in WIDTHS:
            before, began = self.best, self.budget.seconds()
            self._raise(self._dealt(deals, width))
            yield self.bound
            if self.best != before:
                self._anneal(COOL)
            took = self.budget.seconds() - began
            if self._proven() or WIDER * took > self.budget.left_seconds():
                return

    def _dealt(self, deals: Deals, width: int) -> int:
        """Take the plan of one search over deals; its bound on all plans of the branch."""
        found = deals.search(width, self.columns.apart + 1 if self.best is None else self.best)
        if found.busy is not None:
            jobs = self.columns.jobs
            instance = np.full(len(self.problem.kind), -1, dtype=np.int64)
            for number, (_, held) in enumerate(found.busy):
                instance[jobs.task[held]] = number
            self._take(OverTimePlan(instance, np.array([t for t, _ in found.busy], np.int64)))
            for t, held in found.busy:
                self.columns.add(t, held)
        return found.bound

    def _dive(self, branch: Branch, sure: float) -> None:
        """Put pairs together that the solution has together, the surest first, until it is a plan.

        Args:
            sure: pairs with so much of the solution go together in one step.
        """
        columns = self.columns
        while not self.budget.exhausted():
            columns.enter(branch)
            columns.solve(self.best, DIVE_ROUNDS)
            if self.best is not None and columns.objective > self.best - 1:
                return  # also where tasks have no place, which is dear
            given = set(branch.together)
            pairs = [
                (x, pair)
                for pair, x in shared(columns)[0].items()
                if pair not in given and x > NEAR
            ]
            if all(x > 1 - 1e-3 for x, _ in pairs):
                self._is_plan(0)
                self._anneal(COOL)
                return
            pairs.sort(reverse=True)
            open_pairs = [pair for x, pair in pairs if x < 1 - 1e-3]
            taken = [pair for x, pair in pairs if x > sure] or open_pairs[:1]
            if open_pairs[0] not in taken:
                taken.append(open_pairs[0])
            branch = Branch(
                (*branch.together, *((a, b) for a, b in taken)), branch.apart, branch.busy
            )

    def _hand_in(self, chosen: list[Column]) -> None:
        """Make a plan of busy times that hold every task, some of them more than once."""
        jobs = self.columns.jobs
        left = jobs.size.copy()
        parts = []
        for column in sorted(chosen, key=lambda each: each.begins):
            path = []
            for job in column.jobs:
                if left[jobs.group[job]]:
                    left[jobs.group[job]] -= 1
                    path.append(job)
            parts.append((column.offer, path))
        if left.any():
            return
        copies = jobs.size.copy()
        instance = np.full(len(self.problem.kind), -1, dtype=np.int64)
        for number, (_, path) in enumerate(parts):
            for job in path:
                g = jobs.group[job]
                copies[g] -= 1
                instance[jobs.task[jobs.first[g] + copies[g]]] = number
        types = np.array([offer for offer, _ in parts], dtype=np.int64)
        self._take(OverTimePlan(instance, types))

    # the branches

    def _branches(self) -> Iterator[int]:
        """Down from the best bound until a part is settled, then from the next."""
        columns = self.columns
        number = count()
        open_parts = [(self.bound, next(number), columns.branch)]
        down: Branch | None = None
        while (open_parts or down) and not self.budget.exhausted():
            if down is None:
                bound, _, branch = heapq.heappop(open_parts)
            else:
                branch = down
            self._raise(min([bound, *(each[0] for each in open_parts[:1])]))
            yield self.bound
            if self._proven():
                return
            columns.enter(branch)
            bound = max(bound, self._settled_bound())
            down = None
            if self._worth_dealing(bound):
                bound = max(bound, self._dealt(Deals(columns), NODE_WIDTH))
            if self.budget.exhausted():
                return
            if self.best is not None and bound >= self.best:
                continue
            parts = self._parts(branch)
            if not parts and not self._is_plan(bound):
                return  # copies of tasks that no branch tells apart
            for part in parts[1:]:
                heapq.heappush(open_parts, (bound, next(number), part))
            down = parts[0] if parts else None
        if not self.budget.exhausted() and self.best is not None:
            self.bound = self.best
            yield self.bound

    def _raise(self, bound: int) -> None:
        self.bound = max(self.bound, bound if self.best is None else min(bound, self.best))

    def _worth_dealing(self, bound: int) -> bool:
        return (
            self.best is not None
            and bound < self.best
            and Deals.possible(self.columns)
            and not self.columns.lacks
            and not self.budget.exhausted()
        )

    def _settled_bound(self) -> int:
        """Of the branch that was entered, at a price at which no task need stay without place."""
        columns = self.columns
        bound = columns.solve(self.best)
        while columns.lacks and (self.best is None or bound < self.best):
            if self.budget.exhausted() or columns.dear > DEAREST:
                break
            columns.dearer_missing()
            bound = max(bound, columns.solve(self.best))
        open_still = self.best is None or bound < self.best
        if open_still and len(columns.trios) < TRIOS_MOST and cut_trios(columns):
            bound = max(bound, columns.solve(self.best))
        return bound

    def _is_plan(self, bound: int) -> bool:
        """Hand in a solution that no branch parts; whether it costs no more than the bound."""
        often = np.round(self.columns.x).astype(int)
        chosen = np.flatnonzero(often).tolist()
        self._hand_in([self.columns.all[n] for n in chosen for _ in range(often[n])])
        return self.best is not None and bound >= self.best

    def _parts(self, branch: Branch) -> tuple[Branch, ...]:
        """Two parts that together are the whole; none where the solution is a plan."""
        score, key, now = 0.0, (0, 0), 0.0
        for offer, price in enumerate(self.columns.prices):
            busy = busy_instances(self.columns, offer)
            away = np.abs(busy - np.round(busy)) * self.columns.lasts * price
            away[np.abs(busy - np.round(busy)) < 1e-3] = 0.0
            if len(away) and away.max() > score:
                moment = int(np.argmax(away))
                score, key, now = float(away[moment]), (offer, moment), float(busy[moment])
        if score:
            low, high = branch.busy.get(key, (0, len(self.columns.jobs.kind)))
            below = {**branch.busy, key: (low, int(np.floor(now)))}
            above = {**branch.busy, key: (int(np.ceil(now)), high)}
            parts = [Branch(branch.together, branch.apart, busy) for busy in (below, above)]
            return tuple(parts if now % 1 < 0.5 else parts[::-1])
        pairs, _ = shared(self.columns)
        open_pairs = [(abs(x - 0.5), pair) for pair, x in pairs.items() if 1e-3 < x < 1 - 1e-3]
        if not open_pairs:
            return ()
        _, pair = min(open_pairs)
        a, b = pair
        return (
            Branch((*branch.together, (a, b)), branch.apart, branch.busy),
            Branch(branch.together, (*branch.apart, (a, b)), branch.busy),
        )


def busy_times(tasks: IntArray, starts: IntArray, ends: IntArray) -> Iterator[list[int]]:
    """What an instance holds, in order of starts, parted where it is empty in between."""
    path: list[int] = []
    until = -1
    for job in tasks.tolist():
        if path and starts[job] >= until:
            yield path
            path = []
        path.append(job)
        until = max(until, int(ends[job]))
    if path:
        yield path
