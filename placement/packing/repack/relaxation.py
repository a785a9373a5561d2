"""Column generation for repacking: a column is a new content of an instance, and what it costs.

What an instance holds already stays there for nothing, so to the pricing of an instance every shape
is two kinds of item: its own, and those that would have to be brought. That an instance is empty is
an item as well, one that fills it: so many of those are asked for as instances are to be freed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stowplan.placement.packing.cpsat import best_pattern
from stowplan.placement.packing.master import Master, MasterSolution
from stowplan.placement.packing.pricing import Pricer
from stowplan.placement.packing.problem import FloatArray, IntArray
from stowplan.placement.packing.repack.problem import RepackProblem
from stowplan.placement.packing.state import Budget

QUICK_NODES = 100  # search nodes per first kind
EXACT_NODES = 20_000
SHORTAGE_COSTS = (3.0, 30.0, 1e3, 1e6)  # of leaving an item out, in dearest moves or instances
SHORT = 1e-6
VALUE_BITS = 44  # the cost of leaving an item out as a scaled integer
CLOSE = 1e-6  # relative distance of bound and relaxation at which to stop


@dataclass(frozen=True)
class RepackColumns:
    """Contents (n, shapes), the class (n,) each is for, and how much of it (n,) is taken."""

    contents: IntArray
    of_class: IntArray
    amounts: FloatArray


class RepackRelaxation:
    """The linear program over all contents of all classes of instances; `bound` is proven.

    `bound` is a whole number that no new contents can cost less than, computed from scaled duals
    in integers.

    Items may be left out at a cost, so that the program always has a solution. A high cost makes it
    slow, so it is raised only where items do stay out.
    """

    def __init__(self, problem: RepackProblem, budget: Budget) -> None:
        self.problem, self.budget, self.bound = problem, budget, 0
        unit = max(problem.move_cost, int(problem.price.max(initial=0)), 1)
        self._shortage_costs = [unit * n for n in SHORTAGE_COSTS]
        self.classes = problem.classes()
        self._one = [int(members[0]) for members in self.classes]
        limits = [len(members) for members in self.classes]
        shapes = len(problem.counts)
        counts = np.append(problem.counts, problem.free)
        self._master = Master(counts, (*limits, None))
        self._scale = 2.0**VALUE_BITS / self._shortage_costs[-1]
        self._of_class: list[int] = []
        self._master.add(np.eye(shapes + 1, dtype=np.int64), self._shortage_costs[0], len(limits))
        self._of_class += [-1] * (shapes + 1)
        for c, i in enumerate(self._one):
            if problem.releasable[i]:
                empty = np.zeros(shapes + 1, dtype=np.int64)
                empty[-1] = 1
                self._of_class += [c] * self._master.add(empty[None], 0.0, c)
            self.add(problem.held[i][None], c)

    def add(self, contents: IntArray, c: int) -> int:
        """Add contents (new, shapes) for a class; returns how many were new."""
        problem, i, new = self.problem, self._one[c], 0
        for content in contents:
            if not content.any():
                continue
            brought = int(np.maximum(content - problem.held[i], 0).sum())
            cost = int(problem.price[i]) + problem.move_cost * brought
            row = np.append(content, 0)[None]
            new += self._master.add(row, float(cost), c)
        self._of_class += [c] * new
        return new

    def add_all(self, contents: IntArray) -> None:
        """Add the contents (instances, shapes) of every instance for its class."""
        for c, members in enumerate(self.classes):
            self.add(contents[members], c)

    def solve(self) -> MasterSolution | None:
        """Generate columns until none helps or the bound is close; raises `bound` on the way."""
        while True:
            solution = self._master.solve()
            self.budget.spend(60.0 * len(self._of_class))
            if solution is None or self.budget.exhausted():
                return solution
            if self._round(solution, QUICK_NODES, exact=False):
                continue
            if self.shortage(solution) > SHORT and self._raise_shortage_cost():
                continue
            new = self._round(solution, EXACT_NODES, exact=True)
            if not new or self.bound >= solution.value - CLOSE * max(1.0, solution.value):
                return solution

    def columns(self, solution: MasterSolution) -> RepackColumns:
        """The columns of real instances, with their amounts in `solution`."""
        of_class = np.array(self._of_class[: len(solution.amounts)])
        real = np.flatnonzero(of_class >= 0)
        contents = self._master.patterns[real][:, :-1]
        return RepackColumns(contents, of_class[real], solution.amounts[real])

    def costs(self, columns: RepackColumns) -> IntArray:
        """(n,) what each of the columns costs."""
        own = np.array(self._one)[columns.of_class]
        brought = np.maximum(columns.contents - self.problem.held[own], 0).sum(axis=1)
        used = columns.contents.any(axis=1)
        costs: IntArray = self.problem.price[own] * used + self.problem.move_cost * brought
        return costs

    def shortage(self, solution: MasterSolution) -> float:
        """Items left out in `solution`."""
        known = np.array(self._of_class[: len(solution.amounts)])
        left_out: float = solution.amounts[known < 0].sum()
        return left_out

    def _raise_shortage_cost(self) -> bool:
        """The next higher one, if there is one."""
        if len(self._shortage_costs) == 1:
            return False
        del self._shortage_costs[0]
        self._master.reprice(range(len(self.problem.counts) + 1), self._shortage_costs[0])
        return True

    def _round(self, solution: MasterSolution, nodes: int, *, exact: bool) -> int:
        """Price every class; returns how many columns were new. An exact round raises `bound`."""
        duals = np.minimum(solution.duals, self._shortage_costs[0])
        values = np.floor(duals * self._scale).astype(np.int64)
        best, new = [], 0
        for c, i in enumerate(self._one):
            price = float(self.problem.price[i])
            worth = price + max(0.0, float(solution.shadow_prices[c]))
            contents, most = self._price(c, values, worth, nodes, exact)
            best.append(most - int(np.floor(price * self._scale)))
            if self.problem.releasable[i]:
                best[-1] = max(best[-1], int(values[-1]))
            new += self.add(contents, c)
        if exact:
            self._raise_bound(values, best)
        return new

    def _price(
        self, c: int, values: IntArray, worth: float, nodes: int, exact: bool
    ) -> tuple[IntArray, int]:
        """Contents worth more than `worth`, and if exact a scaled value that none exceeds."""
        problem, i = self.problem, self._one[c]
        shapes = len(problem.counts)
        cost = int(np.ceil(problem.move_cost * self._scale))
        own, foreign = problem.held[i], problem.room_for(i)
        worths = np.stack([values[:-1], values[:-1] - cost], axis=1).ravel()
        per_bin = np.stack([own, foreign], axis=1).ravel()
        used = np.flatnonzero((worths > 0) & (per_bin > 0))
        if not len(used):
            return np.zeros((0, shapes), dtype=np.int64), 0
        demand = np.repeat(problem.demand, 2, axis=0)[used]
        scarce = per_bin[used] @ demand > problem.capacity[i]
        if not scarce.any():
            scarce[0] = True
        demand, capacity = demand[:, scarce], problem.capacity[i][scarce]
        pricer = Pricer(demand, per_bin[used], capacity, cells=1)
        threshold = int(worth * self._scale)
        found = pricer.search(worths[used], threshold, nodes)
        self.budget.spend(found.steps)
        patterns, most = found.patterns, max(found.best, threshold)
        if exact and not found.complete:
            pattern, most = best_pattern(worths[used], demand, per_bin[used], capacity, self.budget)
            patterns = np.vstack([patterns, pattern[None]])
        contents = np.zeros((len(patterns), 2 * shapes), dtype=np.int64)
        contents[:, used] = patterns
        return contents.reshape(len(patterns), shapes, 2).sum(axis=2), most

    def _raise_bound(self, values: IntArray, best: list[int]) -> None:
        counts = [*self.problem.counts.tolist(), self.problem.free]
        value = sum(v * n for v, n in zip(values.tolist(), counts, strict=True))
        surplus = sum(
            len(members) * max(0, b) for members, b in zip(self.classes, best, strict=True)
        )
        scale = int(self._scale) + 1
        self.bound = max(self.bound, -(-(value - surplus) // scale))
