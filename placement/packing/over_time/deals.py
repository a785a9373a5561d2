"""Plans by dealing out the tasks in order of time, and proofs by having tried every deal.

A deal says which of the tasks that run share an instance. What follows depends on nothing else. So
two ways to the same deal are one, the cheaper; and what the rest costs at least is what the
relaxation says of each content (`states.py`), added up. Deals that cannot lead below the best plan
are dropped. Where no more than `width` are left at any time, the search ends with the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stowplan.placement.packing.over_time.columns import Columns
from stowplan.placement.packing.over_time.deal_kernels import (
    OPENED,
    Layer,
    Step,
    kinds_of_state,
    next_deals,
    room_for,
)
from stowplan.placement.packing.over_time.problem import ANY_NUMBER
from stowplan.placement.packing.over_time.states import FAR, NONE
from stowplan.placement.packing.problem import IntArray

TRIOS_A_JOB = 63  # rows of three jobs that end with one job, of which the deals keep count
RESOLUTION = 2_048  # capacities up to which all sums of sizes are worked out
RULES_MOST = 8  # kinds with a limit of their own, each another dimension of what makes states alike
NOTHING = np.zeros((0, 0), dtype=np.int32)
DEALS_KEPT = 40_000_000  # in all steps together: parents are remembered


@dataclass(frozen=True)
class Dealt:
    """What one search found.

    Args:
        busy: (type, jobs) of each busy time of the plan; None: none below the limit.
        bound: proven least cost in units, of any plan below the limit that the search was given.
    """

    busy: list[tuple[int, list[int]]] | None
    bound: int


class Deals:
    """Tables for the search under the best prices that `columns` has proven, and its branch.

    Only for problems in which every task is told from every other, and types have no limit.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._kinds: list[IntArray] = []
        self._alike()
        self.reprice()

    @staticmethod
    def possible(columns: Columns) -> bool:
        """Whether the search knows problems of this kind."""
        free = all(offer.limit is None for offer in columns.problem.types)
        return free and len(columns.jobs.kind) > 1 and bool((columns.jobs.size == 1).all())

    def _alike(self) -> None:
        """Number the states of each job by what can follow."""
        columns = self.columns
        jobs, problem = columns.jobs, columns.problem
        marked = np.zeros(len(jobs.kind), dtype=np.int64)
        for pair in (*columns.branch.together, *columns.branch.apart):
            marked[list(pair)] = 1
        ruled = np.flatnonzero((problem.most < ANY_NUMBER).any(axis=1))
        ruled = ruled[np.isin(ruled, jobs.kind)]
        single = len(ruled) > RULES_MOST
        marks = (jobs.kind[:, None] == ruled).astype(np.int64)
        demand = np.hstack([problem.demand[jobs.kind], marks])
        for job in range(len(jobs.kind)):
            keys = []
            for offer, states in enumerate(columns.states):
                a, b = int(states.layer[job]), int(states.layer[job + 1])
                if single:
                    keys.append(np.arange(b - a) * len(columns.states) + offer)
                    continue
                capacity = np.asarray(problem.types[offer].capacity, dtype=np.int64)
                room = np.concatenate([capacity, problem.most[ruled, offer]])
                keys.append(
                    kinds_of_state(
                        job, states.members[a:b], states.count[a:b], jobs.starts, jobs.ends,
                        demand, room, marked, RESOLUTION, offer,
                    )
                )  # fmt: skip
            self._kinds.append(
                np.unique(np.concatenate(keys), return_inverse=True)[1].astype(np.int32)
            )

    def reprice(self) -> None:
        """Take the best prices that are proven by now."""
        columns = self.columns
        centre = (columns.centre, columns.centre_trios, columns.centre_busy)
        _, values = columns._bound(*centre)
        self._priced = columns._priced(values / 2.0**columns.bits, *centre[1:], lower=False)
        self._one = int(1 << columns.bits)
        self.base = int(self._priced[0].sum()) - self._priced[3]
        self._steps = [self._step(job) for job in range(len(columns.jobs.kind))]

    def _step(self, job: int) -> Step:
        """The table of what the start of the job after `job` does, or the end of all."""
        columns, jobs = self.columns, self.columns.jobs
        values, tolls, rests, _ = self._priced
        last = job == len(jobs.kind) - 1
        now = int(jobs.starts[job])
        then = len(columns.lasts) if last else int(jobs.starts[job + 1])
        parts: list[list[IntArray]] = [[] for _ in range(7)]
        opened, open_more = [], []
        before = 0  # states of the next job, of types that were looked at
        for offer, states in enumerate(columns.states):
            part = slice(int(states.layer[job]), int(states.layer[job + 1]))
            rest, until = rests[offer], states.until[part].astype(np.int64)
            fee = self._cost(offer, now, until)
            scaled = fee << columns.bits
            keep, take = (each[part].astype(np.int64) for each in (states.keep, states.take))
            more = scaled + np.where(keep >= 0, rest[keep], 0) - rest[part]
            keep_more = np.where((keep >= 0) & (rest[keep] >= FAR), FAR, more)
            taken = rest[take] + tolls[offer][take] - (0 if last else values[jobs.group[job + 1]])
            take_more = np.where((take < 0) | (rest[take] >= FAR), FAR, scaled + taken - rest[part])
            first = 0 if last else int(states.layer[job + 1])
            moved = [np.where(each >= 0, each - first + before, NONE) for each in (keep, take)]
            which = np.full(len(keep), offer, dtype=np.int64)
            for table, found in zip(
                parts, (*moved, keep_more, take_more, fee, until, which), strict=True
            ):
                table.append(found)
            if not last:
                begin = int(states.begin[job + 1])
                opened.append(begin - first + before if begin >= 0 else NONE)
                due = int(rest[begin]) - int(values[jobs.group[job + 1]]) if begin >= 0 else FAR
                open_more.append(min(int(FAR), due))
                before += int(states.layer[job + 2] - states.layer[job + 1])
        keep, take, keep_more, take_more, fee, until, which = map(np.concatenate, parts)
        constant, counted = self._rows(now, then)
        pairs, refund = (
            (np.zeros(0, np.uint64), np.zeros(0, np.int64)) if last else self._trios(job + 1)
        )
        return Step(
            keep, take, keep_more, take_more, fee, until, which,
            np.array(opened, dtype=np.int64), np.array(open_more, dtype=np.int64),
            self._kinds[min(job + 1, len(jobs.kind) - 1)], pairs, refund, constant, counted,
        )  # fmt: skip

    def _cost(self, offer: int, begin: int, until: IntArray) -> IntArray:
        """(states,) in units, of being busy from one moment to others."""
        columns = self.columns
        lasts = columns.jobs.at_ms[until] - columns.jobs.at_ms[begin]
        cost: IntArray = columns.prices[offer] * lasts // columns.unit
        return cost

    def _rows(self, now: int, then: int) -> tuple[int, IntArray]:
        """Of the rows that count instances at moments in [now, then): what their prices give back,
        and the rows of the branch."""
        columns = self.columns
        worth = np.floor(columns.centre_busy * float(self._one)).astype(np.int64).tolist()
        constant, counted = 0, []
        rows = zip(columns.counted, worth, columns._bounds, strict=True)
        for (offer, moment), price, bounds in rows:
            if bounds and now <= moment < then:
                constant -= price * bounds[0 if price > 0 else 1]
                counted.append((moment, offer, *bounds))
        return constant, np.array(counted, dtype=np.int64).reshape(-1, 4)

    def _trios(self, job: int) -> tuple[NDArray[np.uint64], IntArray]:
        """Of the rows of three jobs of which `job` starts last: which states satisfy them, and what
        they give back where none does."""
        columns = self.columns
        if job == len(columns.jobs.kind):
            return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)
        tolls = np.ceil(np.maximum(columns.centre_trios, 0.0) * float(self._one)).astype(np.int64)
        ends = [(toll, trio) for toll, trio in zip(tolls.tolist(), columns.trios, strict=True)]
        ends = sorted((each for each in ends if each[0] and max(each[1]) == job), reverse=True)
        ends = ends[:TRIOS_A_JOB]
        found = []
        for states in columns.states:
            pairs = np.zeros(int(states.layer[job + 1] - states.layer[job]), dtype=np.uint64)
            for bit, (_, trio) in enumerate(ends):
                held = np.sum([states.holds(job, each) for each in trio], axis=0) >= 2
                pairs[held] |= np.uint64(1 << bit)
            found.append(pairs)
        return np.concatenate(found), np.array([toll for toll, _ in ends], dtype=np.int64)

    def search(self, width: int, best: int) -> Dealt:
        """The cheapest plan that costs less than `best` units, as far as `width` deals reach."""
        limit = best * self._one - 1
        table = np.empty(1 << (2 * width + 2).bit_length(), dtype=np.int64)
        out = room_for(width + 1, self._most_instances())
        layers = [self._first(limit)]
        lost, kept = int(FAR), 0
        for step in self._steps[:-1]:
            used, least = next_deals(step, layers[-1], limit, self.base, out, table)
            self.columns.budget.spend(float(out.deals.shape[1] * len(layers[-1].bounds)))
            layers[-1] = layers[-1]._replace(deals=NOTHING)
            layers.append(out.first(used))
            lost, kept = min(lost, int(least)), kept + used
            if not used:
                break
            if self.columns.budget.exhausted() or kept > DEALS_KEPT:
                lost = min(lost, int(out.bounds[:used].min()))
                return Dealt(None, self._units(lost, best))
        busy, cost = None, best
        totals = self._totals(layers[-1]) if len(layers[-1].bounds) else np.zeros(0, np.int64)
        if len(totals) and totals.min() <= limit:
            cost = self._units(int(totals.min()), best)
            busy = self._traced(int(totals.argmin()), layers)
        return Dealt(busy, min(cost, self._units(lost, best)))

    def _totals(self, layer: Layer) -> IntArray:
        """(deals,) what whole plans cost, scaled."""
        end = self._steps[-1]
        rest = np.where(layer.deals >= 0, end.keep_more[np.maximum(layer.deals, 0)], 0)
        totals: IntArray = layer.bounds + end.constant + rest.sum(axis=1)
        return totals

    def _units(self, scaled: int, best: int) -> int:
        return min(best, -(-int(scaled) // self._one))

    def _most_instances(self) -> int:
        jobs = self.columns.jobs
        change = np.zeros(len(jobs.at_ms) + 1, dtype=np.int64)
        np.add.at(change, jobs.starts, 1)
        np.add.at(change, jobs.ends, -1)
        return int(np.cumsum(change).max())

    def _first(self, limit: int) -> Layer:
        """The first job on an instance of each type."""
        layer = room_for(len(self.columns.states), self._most_instances())
        value, before, n = int(self._priced[0][self.columns.jobs.group[0]]), 0, 0
        layer.deals[:] = NONE
        for offer, states in enumerate(self.columns.states):
            begin = int(states.begin[0])
            cost = FAR if begin < 0 else self.base + int(self._priced[2][offer][begin]) - value
            if cost <= limit:
                layer.deals[n, 0], layer.bounds[n] = before + begin, cost
                layer.choice[n] = OPENED + offer
                n += 1
            before += int(states.layer[1])
        return layer.first(n)

    def _traced(self, last: int, layers: list[Layer]) -> list[tuple[int, list[int]]]:
        """The busy times of the plan that ends with deal `last`."""
        choices = []
        for layer in reversed(layers):
            choices.append(int(layer.choice[last]))
            last = int(layer.parent[last])
        offer = choices.pop() - OPENED
        before = sum(int(states.layer[1]) for states in self.columns.states[:offer])
        deal = [(before + int(self.columns.states[offer].begin[0]), 0)]  # (state, number in `busy`)
        busy = [(offer, [0])]
        for job, chosen in enumerate(reversed(choices)):
            step = self._steps[job]
            after = [
                (int(step.keep[state]), number)
                for at, (state, number) in enumerate(deal)
                if at != chosen and step.keep[state] >= 0
            ]
            if chosen < OPENED:
                state, number = deal[chosen]
                busy[number][1].append(job + 1)
                after.append((int(step.take[state]), number))
            else:
                busy.append((chosen - OPENED, [job + 1]))
                after.append((int(step.opened[chosen - OPENED]), len(busy) - 1))
            deal = sorted(after, key=lambda each: int(step.kind[each[0]]))  # as the kernel does
        return busy
