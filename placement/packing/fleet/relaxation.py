"""Column generation over several bin types, and the safe bound on cost it proves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stowplan.placement.packing.cuts import Cut, cut
from stowplan.placement.packing.fleet.market import Market, fair_prices
from stowplan.placement.packing.fleet.prices import MANY_TYPES, MOST_TRIED, Content, Prices
from stowplan.placement.packing.master import Master, MasterSolution
from stowplan.placement.packing.problem import FloatArray, IntArray
from stowplan.placement.packing.state import Budget

QUICK_NODES = 200_000  # search nodes of a quick round and type, over all first kinds
QUICK_TOTAL, LEAST_NODES = 2_000_000, 200  # of all types together; per first kind at least
SCALED_PRICE_BITS = 30  # the dearest type's price as a scaled integer
BELOW = 1e-3  # the price: where an exact search stops to tell patterns apart
EXACT_EVERY = 25  # quick rounds after which to price exactly, for a bound on the way
FEW_PATTERNS = 2  # a type; when a quick round finds fewer, an exact one is worth its time
FLEETS_SHARE = 0.25  # of time and work, not to be used up by the linear program
PROOF_ROUNDS = 12  # of such a proof, at most
ALL_ROUNDS = 4  # in the first rounds, all types are tried
NEAR = 0.2  # by what part of its price a type's best column may cost too much
CLOSE = 1e-6  # relative distance of bound and relaxation at which to stop


@dataclass(frozen=True)
class FleetColumns:
    """Patterns with their types: patterns (n, kinds), types (n,), amounts (n,) in the optimum.

    `covers` (n, rows) is what a pattern counts for in the rows of the program; see `Market`.
    """

    patterns: IntArray
    covers: IntArray
    types: IntArray
    amounts: FloatArray


class FleetRelaxation:
    """The linear program over all patterns of all types.

    Args:
        shortage_cost: cost of leaving one item out, so that the program always has a solution.
    """

    def __init__(
        self, market: Market, prices: IntArray, shortage_cost: float, budget: Budget
    ) -> None:
        self.market = market
        self.prices = prices
        self.budget = budget
        self.bound = 0
        self.done = False  # the last `solve` came to its end
        self.proof: Cut | None = None
        self.proofs: list[Cut] = []
        self.values = np.zeros(len(market.rows), dtype=np.int64)
        dearest = max(float(prices.max()), shortage_cost / 2**10, 1.0)
        self._bits = SCALED_PRICE_BITS - math.ceil(math.log2(dearest))
        self._scale = 2.0**self._bits
        self._shortage_cost = shortage_cost
        fair = np.zeros(len(market.rows))
        fair[: len(market.counts)] = fair_prices(market, prices)
        self._smooth = np.floor(fair * self._scale).astype(np.int64)
        self._types: list[int] = []
        self._turn = 0
        self._seconds, self._work = budget.left_seconds(), budget.left_work()
        self._master = Master(market.rows, (*market.limits, None))
        self._shortage = len(prices)
        self._priced = Prices(market, budget)
        self.add(np.eye(len(market.counts), dtype=np.int64), self._shortage, shortage_cost)
        for t, most in enumerate(self._priced.per_bin):
            self.add(np.diag(most)[most > 0], t)

    def add(self, patterns: IntArray, kind: int, cost: float | None = None) -> int:
        """Add patterns (new, kinds) of one type; returns how many were new."""
        price = float(self.prices[kind]) if cost is None else cost
        new = self._master.add(self.market.covers(patterns, kind), price, kind)
        self._types += [kind] * new
        return new

    def solve(
        self, counts: IntArray | None = None, exact: bool = True, most: float = float("inf"),
        rounds: int | None = None,
    ) -> MasterSolution | None:  # fmt: skip
        """Generate columns until none helps (or the bound is close); raises `bound`.

        A part of the time or work that is left is kept for making fleets of the columns.

        Args:
            counts: (rows,) what to cover instead of all items; then no bound is derived.
            exact: prove the end by exact pricing; otherwise stop when the quick search fails.
            most: work after which to come back with what there is, `done` being False; another
                call goes on from there.
            rounds: of quick pricing, at most.
        """
        self._master.demand(self.market.rows if counts is None else counts)
        seconds = FLEETS_SHARE * (self._seconds if exact else self.budget.left_seconds())
        work = FLEETS_SHARE * (self._work if exact else self.budget.left_work())
        self.done, end = False, self.budget.work + most
        last = None if rounds is None else self._turn + rounds
        while True:
            self._turn += 1
            solution = self._master.solve()
            self.budget.spend(60.0 * len(self._types))
            if solution is None or self.budget.exhausted():
                self.done = True
                return solution
            if self.budget.work > end or self._turn == last:
                return solution
            late = self.budget.left_seconds() < seconds or self.budget.left_work() < work
            found = self._quick(solution)
            enough = self._turn % EXACT_EVERY and found > FEW_PATTERNS * len(self.prices)
            if found and not late and (enough or not exact):
                continue
            if not exact:
                self.done = True
                # late with new columns: the amounts of the old solution know nothing of them
                return self._master.solve() if found else solution
            new = self._prove(solution, self._smooth, counts is None)
            if not new:
                new = self._prove(solution, self.scaled(solution.duals), counts is None)
            if late or not (new or found) or self.bound >= solution.value * (1 - CLOSE):
                self.done = True
                return self._master.solve() if new or found else solution

    def prove(self, counts: IntArray) -> Cut:
        """What the relaxation for `counts` proves of the cost of any counts.

        The last step of column generation can take long for little, so this settles for a worth
        close above the price that is soon proven to be beyond any pattern.
        """
        proof = None
        for _ in range(PROOF_ROUNDS):
            solution = self.solve(counts, exact=False)
            if solution is None:
                break
            new, best = self._nearly_exact(solution)
            found = cut(self.values, best, self.prices, self.market.limits, self._bits, counts)
            if proof is None or found.bound(counts) > proof.bound(counts):
                proof = found
            if not new or self.budget.exhausted():
                break
        assert proof is not None, "the shortage columns make the program feasible"
        return proof

    def columns(self, solution: MasterSolution) -> FleetColumns:
        """The columns of real types, with their amounts in `solution`, which may know fewer."""
        types = np.array(self._types[: len(solution.amounts)])
        real = np.flatnonzero(types < self._shortage)
        covers = self._master.patterns[real]
        patterns = covers[:, : len(self.market.counts)]
        return FleetColumns(patterns, covers, types[real], solution.amounts[real])

    def shortage(self, solution: MasterSolution) -> float:
        """Items left out in `solution`."""
        known = np.array(self._types[: len(solution.amounts)])
        left_out: float = solution.amounts[known == self._shortage].sum()
        return left_out

    def _quick(self, solution: MasterSolution) -> int:
        """Add what the depth-first search finds within a few nodes.

        First by duals half way to the last ones, which swing less, then by those of the solution.
        Source: Wentges (1997), Weighted Dantzig-Wolfe decomposition for linear mixed-integer
        programming, Int. Trans. Operational Research 4:151-162.
        """
        exact = self.scaled(solution.duals)
        middle = (self._smooth + exact) // 2
        self._smooth = middle
        return self._search(solution, middle) or self._search(solution, exact)

    def _search(self, solution: MasterSolution, values: IntArray) -> int:
        """Add the best patterns by `values` that the solution's duals find good as well."""
        new, worths = 0, self._worths(solution)
        for t, content in self._priced.in_grid(values, worths).items():
            new += self._add_good(content.patterns, solution, t)
        if new:
            return new
        tried = self._tried(solution)
        nodes = self._quick_nodes(len(tried))
        for t in tried:
            found = self._priced.quick(values, t, int(worths[t]), nodes)
            new += self._add_good(found, solution, t)
        return new

    def quick(self, values: IntArray, thresholds: IntArray) -> list[tuple[int, IntArray]]:
        """Types and patterns of them worth more than (types,) thresholds, by a short search."""
        found = self._priced.in_grid(values, thresholds)
        some = [(t, each.patterns) for t, each in found.items()]
        if any(len(patterns) for _, patterns in some):
            return some
        others = np.flatnonzero(~self._priced.held).tolist()
        nodes = self._quick_nodes(len(others))
        return [(t, self._priced.quick(values, t, int(thresholds[t]), nodes)) for t in others]

    def exact(self, values: IntArray, thresholds: IntArray) -> list[Content]:
        """The best patterns of every type by values, exactly; see `Prices.exact`."""
        return self._priced.exact(values, thresholds)

    def scaled(self, duals: FloatArray) -> IntArray:
        """Values of items as integers, as the searches take them."""
        return np.floor(np.minimum(duals, self._shortage_cost) * self._scale).astype(np.int64)

    def worth(self, price: float) -> int:
        """A price in the unit of `scaled`."""
        return int(price * self._scale)

    def promise(self, solution: MasterSolution) -> FloatArray:
        """(types,) what the best known column of each type costs above its worth, in its price."""
        known = self.known()
        lacks = self.prices[known.types] - known.covers @ solution.duals
        best = np.full(len(self.prices), np.inf)
        np.minimum.at(best, known.types, lacks / np.maximum(self.prices[known.types], 1))
        return best

    def known(self) -> FleetColumns:
        """All columns of real types; the amounts are of no meaning."""
        count = len(self._types)
        return self.columns(MasterSolution(0.0, np.zeros(count), np.zeros(0), np.zeros(0)))

    def _quick_nodes(self, types: int) -> int:
        """Search nodes per first kind of a quick round over so many types."""
        share = min(QUICK_NODES, QUICK_TOTAL // max(1, types))
        return max(LEAST_NODES, share // len(self.market.counts))

    def _tried(self, solution: MasterSolution) -> list[int]:
        """Types that a quick round tries: where they are many, those with a column near the best.

        An exact round tries all of them.
        """
        others = np.flatnonzero(~self._priced.held)
        if len(others) <= MANY_TYPES or self._turn < ALL_ROUNDS:
            return others.tolist()
        promise = self.promise(solution)
        near = others[np.argsort(promise[others], kind="stable")][:MOST_TRIED]
        return [int(t) for t in near if promise[t] < NEAR]

    def _add_good(self, patterns: IntArray, solution: MasterSolution, kind: int) -> int:
        """Add those patterns that the solution's duals find worth more than their price."""
        worth = self._worth(solution, kind) * (1 + 1e-7) + 1e-7
        good = patterns @ self.market.worths(solution.duals, kind) > worth
        return self.add(patterns[good], kind)

    def _prove(self, solution: MasterSolution, values: IntArray, bound: bool) -> int:
        """Price every type exactly by `values`: new columns, and a bound if that is wanted."""
        self.values = values
        thresholds = (self._worths(solution) * (1 - BELOW)).astype(np.int64)
        found = self.exact(values, thresholds)
        if bound:
            self._raise_bound([each.best for each in found])
        return sum(self._add_good(each.patterns, solution, t) for t, each in enumerate(found))

    def _nearly_exact(self, solution: MasterSolution) -> tuple[int, list[int]]:
        """As `_prove`, but with a value a little above the best pattern's, in short time."""
        self.values = self.scaled(solution.duals)
        found = self._priced.nearly(self.values, self._worths(solution))
        new = sum(self.add(each.patterns, t) for t, each in enumerate(found))
        return new, [each.best for each in found]

    def _worths(self, solution: MasterSolution) -> IntArray:
        """(types,) what a pattern must be worth to enter, in the unit of `scaled`."""
        return np.array(
            [int(self._worth(solution, t) * self._scale) for t in range(self._shortage)]
        )

    def _worth(self, solution: MasterSolution, kind: int) -> float:
        """What a pattern of this type must be worth to enter."""
        return float(self.prices[kind]) + max(0.0, float(solution.shadow_prices[kind]))

    def _raise_bound(self, best: list[int]) -> None:
        """Cost bound from the scaled duals; `best[t]` is at least any pattern's value in type t."""
        market = self.market
        found = cut(self.values, best, self.prices, market.limits, self._bits, market.rows)
        bound = found.bound(market.rows)
        if bound > 0:
            self.proofs.append(found)
        if self.proof is None or bound > self.bound:
            self.bound, self.proof = max(self.bound, bound), found


def short_of_room(market: Market, budget: Budget) -> IntArray | None:
    """Kinds that prove the limits on types too low; None if there is no such proof.

    Bounds from below how many items must stay out when bins are free: kinds that fit a type
    without limit never do, so only the others and the limited types matter.
    """
    every = range(len(market.prices))
    limited = [t for t in every if market.limits[t] is not None]
    fits = np.array([(market.demand <= room).all(axis=1) for room in market.capacities])
    unlimited = np.array([market.limits[t] is None for t in every])
    counts = np.where(fits[unlimited].any(axis=0), 0, market.counts)
    if market.spot is not None and market.off_spot is not None:
        ever = fits[unlimited & ~market.spot].any(axis=0)
        counts = np.maximum(counts, np.where(ever, 0, market.off_spot))
    kinds = np.flatnonzero(counts)
    if not limited or not len(kinds):
        return None
    free = Market(
        market.demand[kinds],
        counts[kinds],
        market.capacities[limited],
        np.zeros(len(limited), dtype=np.int64),
        tuple(market.limits[t] for t in limited),
        spot=None if market.spot is None else market.spot[limited],
        off_spot=None if market.off_spot is None else market.off_spot[kinds],
    )
    relaxation = FleetRelaxation(free, free.prices, 1.0, budget)
    relaxation.solve()
    if relaxation.bound <= 0:
        return None
    worth = relaxation.values.reshape(-1, len(kinds))
    return kinds[(worth > 0).any(axis=0)]
