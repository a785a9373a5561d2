"""The relaxation over busy times: a column is what one instance does from its first task until it
is empty.

Columns are priced by a pass over all states (`states.py`), so a bound needs no tricks: values of
tasks are lowered until no busy time is worth more than it costs, in integers, and their sum is
proven. Rows: each task is held; of three tasks that run at one moment at most one instance holds
two or more; how many instances of a type are busy at a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

import numpy as np

from stowplan.placement.packing.over_time.branches import Branch, Column
from stowplan.placement.packing.over_time.problem import OverTimeProblem
from stowplan.placement.packing.over_time.states import (
    NONE,
    STATES_MOST,
    States,
    best_path,
    cheapest_rest,
    jobs_of,
    states_of,
)
from stowplan.placement.packing.problem import BoolArray, FloatArray, IntArray
from stowplan.placement.packing.state import Budget

VALUE_BITS = 58  # what all tasks together may be worth stays within so many
BITS_MOST = 24  # after the binary point
SMOOTH = (0.8, 0.4, 0.0)  # of the best values so far, in the values that are priced
SAME = 0.5  # of a column's tasks that others of the round have often enough already
OFTEN = 4
MISSING = 4.0  # cost of a task without a place, in times what it costs by itself
LEAST = 1e-6
GROUPS_MOST = 2_000
LP_STEPS = 1_000.0  # of one solve of the programme, for each row and column


class Columns:
    """A linear programme that grows; `solve` brings it to its end, under a branch.

    `usable` is False where the states are too many or the numbers too large: then nothing else is
    to be called.
    """

    def __init__(self, problem: OverTimeProblem, budget: Budget) -> None:
        self.problem, self.budget = problem, budget
        self.jobs = jobs_of(problem)
        self.prices = [offer.price for offer in problem.types]
        lasts = np.diff(self.jobs.at_ms)
        self.unit = gcd(*self.prices, 0) * gcd(*lasts.tolist(), 0) or 1
        self.lasts = lasts
        self.states: list[States] = []
        self.usable = self._make_states()
        if not self.usable:
            return
        alone = [self._alone(int(j)) for j in self.jobs.first]
        most = sum(c * n for c, n in zip(alone, self.jobs.size.tolist(), strict=True))
        self.apart = most  # cost of a plan in which no two tasks share, in units
        self.bits = min(BITS_MOST, VALUE_BITS - (int(MISSING) * max(most, 1)).bit_length())
        self.usable = self.bits >= 1
        self._alone_cost = np.array(alone, dtype=float)
        self.scale = float(np.median(self._alone_cost)) if len(alone) else 1.0
        self.all: list[Column] = []
        self._seen: set[tuple[int, tuple[int, ...]]] = set()
        self.objective, self.x, self.lacks = 0.0, np.zeros(0), True
        self.branch = Branch()
        self.trios: list[tuple[int, int, int]] = []
        self._tolls: list[list[IntArray]] = []
        self.counted: list[tuple[int, int]] = []
        self.dear = MISSING
        self._fixed: dict[int, float] = {}
        self._lp()
        self.centre = self._volume_values()
        self.centre_trios = np.zeros(0)
        self.centre_busy = np.zeros(0)

    def _make_states(self) -> bool:
        left = STATES_MOST
        if len(self.jobs.first) > GROUPS_MOST or len(self.jobs.kind) > 30_000:
            return False
        for offer in range(len(self.prices)):
            found = states_of(self.problem, self.jobs, offer, left)
            if found is None:
                return False
            left -= len(found.count)
            self.states.append(found)
        return True

    def _alone(self, job: int) -> int:
        """Least cost of an instance for the job alone, in units."""
        lasts = int(self.jobs.at_ms[self.jobs.ends[job]] - self.jobs.at_ms[self.jobs.starts[job]])
        fit = [p for p, s in zip(self.prices, self.states, strict=True) if s.begin[job] >= 0]
        return min(fit, default=0) * lasts // self.unit

    def _volume_values(self) -> FloatArray:
        """(groups,) values to begin with: each task's share of the resource that it needs most."""
        room = np.array([offer.capacity for offer in self.problem.types], dtype=float)
        share = self.problem.demand[:, None, :] / np.maximum(room[None], 1.0)
        fits = (share <= 1.0).all(axis=2)
        price = np.where(fits, share.max(axis=2) * np.array(self.prices, dtype=float), np.inf)
        least = price.min(axis=1)[self.jobs.kind[self.jobs.first]]
        spans = self.jobs.at_ms[self.jobs.ends] - self.jobs.at_ms[self.jobs.starts]
        worth: FloatArray = np.where(np.isfinite(least), least, 0.0) * spans[self.jobs.first]
        return worth / self.unit

    def cost(self, offer: int, begins: int, ends: int) -> int:
        """Of an instance that is busy between two moments, in units."""
        return (
            self.prices[offer] * int(self.jobs.at_ms[ends] - self.jobs.at_ms[begins]) // self.unit
        )

    # the linear programme

    def _lp(self) -> None:
        """A programme of what is known so far, from nothing."""
        from ortools.linear_solver import pywraplp

        self._optimal = pywraplp.Solver.OPTIMAL
        self._solver = pywraplp.Solver.CreateSolver("GLOP")
        infinity = self._solver.infinity()
        self._rows: list[Any] = []
        self._missing: list[Any] = []
        self._objective = self._solver.Objective()
        self._objective.SetMinimization()
        for n, alone in zip(self.jobs.size.tolist(), self._alone_cost, strict=True):
            row = self._solver.Constraint(float(n), infinity)
            x = self._solver.NumVar(0.0, infinity, "")
            row.SetCoefficient(x, 1.0)
            self._objective.SetCoefficient(x, self.dear * max(1.0, alone) / self.scale)
            self._rows.append(row)
            self._missing.append(x)
        self._trio_rows = [self._solver.Constraint(-infinity, 1.0) for _ in self.trios]
        self._busy_rows = [self._solver.Constraint(-infinity, infinity) for _ in self.counted]
        self._x: list[Any] = []
        self._closed: set[int] = set()
        for column in self.all:
            self._enter_column(column)

    def _run_lp(self) -> bool:
        """Solve the programme as it is; from nothing where the solver loses its way."""
        self.budget.spend(LP_STEPS * (len(self._x) + len(self._rows)))
        if self._solver.Solve() == self._optimal:
            return True
        self._lp()
        self.enter(self.branch)
        for number, least in self._fixed.items():
            self._x[number].SetLb(least)
        return bool(self._solver.Solve() == self._optimal)

    def dearer_missing(self) -> None:
        """Raise what a task without a place costs."""
        self.dear *= 10.0
        for x, alone in zip(self._missing, self._alone_cost, strict=True):
            self._objective.SetCoefficient(x, self.dear * max(1.0, alone) / self.scale)

    def add(self, offer: int, jobs: Sequence[int]) -> bool:
        """One more column; False where there is one like it."""
        key = (offer, tuple(jobs))
        if key in self._seen:
            return False
        self._seen.add(key)
        begins = int(self.jobs.starts[list(jobs)].min())
        ends = int(self.jobs.ends[list(jobs)].max())
        column = Column(offer, key[1], begins, ends, self.cost(offer, begins, ends))
        self.all.append(column)
        self._enter_column(column)
        return True

    def _enter_column(self, column: Column) -> None:
        """Make a column part of the programme, in the rows that there are."""
        x = self._solver.NumVar(0.0, self._solver.infinity(), "")
        self._objective.SetCoefficient(x, column.cost / self.scale)
        groups, often = np.unique(self.jobs.group[list(column.jobs)], return_counts=True)
        for g, n in zip(groups.tolist(), often.tolist(), strict=True):
            self._rows[g].SetCoefficient(x, float(n))
        held = set(column.jobs)
        for trio, row in zip(self.trios, self._trio_rows, strict=True):
            if len(held.intersection(trio)) >= 2:
                row.SetCoefficient(x, 1.0)
        for (t, moment), row in zip(self.counted, self._busy_rows, strict=True):
            if t == column.offer and column.begins <= moment < column.ends:
                row.SetCoefficient(x, 1.0)
        self._x.append(x)

    def add_trio(self, trio: tuple[int, int, int]) -> None:
        """At most one instance holds two or more of three jobs, each the only one of its group,
        that run at one moment."""
        row = self._solver.Constraint(-self._solver.infinity(), 1.0)
        for column, x in zip(self.all, self._x, strict=True):
            if len(set(trio).intersection(column.jobs)) >= 2:
                row.SetCoefficient(x, 1.0)
        tolls = []
        for states in self.states:
            where = []
            for job in trio[1:]:
                others = [states.holds(job, o).astype(np.int64) for o in trio if o < job]
                second = states.holds(job, job) & (np.sum(others, axis=0) == 1)
                where.append(states.layer[job] + np.flatnonzero(second))
            tolls.append(np.concatenate(where))
        self.trios.append(trio)
        self._tolls.append(tolls)
        self._trio_rows.append(row)
        self.centre_trios = np.append(self.centre_trios, 0.0)

    def _count(self, key: tuple[int, int]) -> int:
        """The row that counts busy instances of a type at a moment."""
        if key in self.counted:
            return self.counted.index(key)
        row = self._solver.Constraint(-self._solver.infinity(), self._solver.infinity())
        for column, x in zip(self.all, self._x, strict=True):
            if column.offer == key[0] and column.begins <= key[1] < column.ends:
                row.SetCoefficient(x, 1.0)
        self.counted.append(key)
        self._busy_rows.append(row)
        self.centre_busy = np.append(self.centre_busy, 0.0)
        return len(self.counted) - 1

    def enter(self, branch: Branch) -> None:
        """Make the programme that of a branch."""
        self.branch = branch
        for key in branch.busy:
            self._count(key)
        self._bounds = [branch.busy.get(key) for key in self.counted]
        infinity = self._solver.infinity()
        for row, bounds in zip(self._busy_rows, self._bounds, strict=True):
            low, high = bounds or (-infinity, infinity)
            row.SetBounds(float(low), float(high))
        for n, (column, x) in enumerate(zip(self.all, self._x, strict=True)):
            closed = not branch.allows(column, self.jobs)
            if closed != (n in self._closed):
                x.SetUb(0.0 if closed else infinity)
                (self._closed.add if closed else self._closed.discard)(n)
        self._banned = [self._bans(states) for states in self.states]

    def _bans(self, states: States) -> BoolArray:
        """(states,) the contents that break a pair of the branch."""
        banned = np.zeros(len(states.count), dtype=np.bool_)
        for pairs, wrong in ((self.branch.apart, True), (self.branch.together, False)):
            for pair in pairs:
                late = max(pair)
                both = states.holds(late, pair[0]) & states.holds(late, pair[1])
                one = states.holds(late, pair[0]) ^ states.holds(late, pair[1])
                part = slice(states.layer[late], states.layer[late + 1])
                banned[part] |= both if wrong else one
        return banned

    # prices and proofs

    def _priced(
        self, value: FloatArray, trios: FloatArray, busy: FloatArray, lower: bool
    ) -> tuple[IntArray, list[IntArray], list[IntArray], int]:
        """Whole values, tolls and rests by type under prices of rows; and what the rows charge."""
        whole = 2.0**self.bits
        values = np.floor(value * whole).astype(np.int64)
        toll = np.ceil(np.maximum(trios, 0.0) * whole).astype(np.int64)
        count = np.floor(busy * whole).astype(np.int64)
        charge = int(toll.sum())
        for worth, bounds in zip(count.tolist(), self._bounds, strict=True):
            if bounds:
                charge -= worth * bounds[0 if worth > 0 else 1]
        tolls, rests = [], []
        for offer, states in enumerate(self.states):
            paid = self.prices[offer] * self.lasts // self.unit << self.bits
            for (t, moment), worth, bounds in zip(self.counted, count, self._bounds, strict=True):
                if t == offer and bounds:
                    paid[moment] -= worth
            passed = np.concatenate([[0], np.cumsum(paid)])
            due = np.zeros(len(states.count), dtype=np.int64)
            for where, price in zip(self._tolls, toll.tolist(), strict=True):
                if price:
                    due[where[offer]] += price
            tolls.append(due)
            rest = np.empty(len(states.count), dtype=np.int64)
            self._pass(states, offer, due, passed, values, lower, rest)
            rests.append(rest)
        self.budget.spend(2.0 * sum(len(states.count) for states in self.states))
        return values, tolls, rests, charge

    def _pass(
        self, states: States, offer: int, due: IntArray, passed: IntArray, values: IntArray,
        lower: bool, rest: IntArray,
    ) -> None:  # fmt: skip
        jobs = self.jobs
        cheapest_rest(
            states.layer, states.keep, states.take, states.until, states.begin, jobs.starts,
            self._banned[offer], due, passed, values, jobs.group, jobs.first, lower, rest,
        )  # fmt: skip

    def _bound(
        self, value: FloatArray, trios: FloatArray, busy: FloatArray
    ) -> tuple[int, IntArray]:
        """A proven bound (x 2**bits units), and the values that prove it.

        Values lowered for a later type only make the busy times of an earlier one dearer.
        """
        values, _, _, charge = self._priced(value, trios, busy, lower=True)
        return int((values * self.jobs.size).sum()) - charge, values

    def _generate(self, value: FloatArray, trios: FloatArray, busy: FloatArray) -> int:
        """Add the best column that each job begins, as far as they are different: how many."""
        values, tolls, rests, _ = self._priced(value, trios, busy, lower=False)
        jobs, least = self.jobs, -LEAST * self.scale * 2.0**self.bits
        found = [
            (int(rest[begin]) - int(values[g]), offer, int(job), begin)
            for offer, (states, rest) in enumerate(zip(self.states, rests, strict=True))
            for g, job in enumerate(jobs.first.tolist())
            if (begin := int(states.begin[job])) != NONE and rest[begin] - values[g] < least
        ]
        often = np.zeros(len(jobs.first), dtype=np.int64)
        path = np.zeros(len(jobs.kind) + 1, dtype=np.int64)
        added = 0
        for _, offer, job, begin in sorted(found):
            states = self.states[offer]
            n = best_path(
                begin, job, states.keep, states.take, tolls[offer], values, jobs.group,
                rests[offer], path,
            )  # fmt: skip
            groups = jobs.group[path[:n]]
            if (often[groups] >= OFTEN).mean() > SAME:
                continue
            often[groups] += 1
            added += self.add(offer, path[:n].tolist())
        return added

    def solve(self, cutoff: int | None = None, rounds: int | None = None) -> int:
        """Bring the branch's programme to its end: its proven bound in whole units.

        Stops where the bound reaches `cutoff`, and where time or `rounds` are over. `x` has the
        values of the columns then, `objective` what they cost.
        """
        best = -(2**62)
        while True:
            rounds = None if rounds is None else rounds - 1
            if not self._run_lp():
                self.lacks, self.x = True, np.zeros(len(self.all))
                return -((-best) >> self.bits) if best > 0 else 0
            self.objective = self._objective.Value() * self.scale
            self.x = np.array([x.solution_value() for x in self._x])
            self.lacks = sum(x.solution_value() for x in self._missing) > LEAST
            value = np.array([row.dual_value() for row in self._rows]) * self.scale
            trios = np.array([-row.dual_value() for row in self._trio_rows]) * self.scale
            busy = np.array([row.dual_value() for row in self._busy_rows]) * self.scale
            added = 0
            for share in SMOOTH:
                mixed = (
                    share * self.centre + (1 - share) * value,
                    share * self.centre_trios + (1 - share) * trios,
                    share * self.centre_busy + (1 - share) * busy,
                )
                bound, values = self._bound(*mixed)
                if bound > best:
                    best = bound
                    self.centre = values / 2.0**self.bits
                    self.centre_trios, self.centre_busy = mixed[1], mixed[2]
                added = self._generate(*mixed)
                if added:
                    break
            whole = int(-((-best) >> self.bits))
            reached = cutoff is not None and whole >= cutoff
            if reached or not added or best / 2.0**self.bits > self.objective - 1e-3:
                return whole
            if self.budget.exhausted() or rounds == 0:
                return whole

    def fix(self, number: int, least: float) -> None:
        """Ask for at least so much of a column."""
        self._fixed[number] = least
        self._x[number].SetLb(least)
