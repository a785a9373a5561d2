"""Branch and price: decide whether `target` bins suffice, node by node.

A node is cut off when its bound exceeds the target. Otherwise a dive looks for a packing, and the
exact step tries to decide the node over its few good patterns. If both fail, the node is branched
on a pair of kinds that the relaxation puts together only in part.
"""

from __future__ import annotations

import heapq

import numpy as np

from stowplan.placement.packing.colgen import Relaxation, generate
from stowplan.placement.packing.decide import decide_node
from stowplan.placement.packing.diving import NOISE, dive, round_down
from stowplan.placement.packing.full_bins import decide_full_bins
from stowplan.placement.packing.list_dive import dive_in_list
from stowplan.placement.packing.master import Master
from stowplan.placement.packing.pricing import Pricer
from stowplan.placement.packing.problem import FloatArray, IntArray
from stowplan.placement.packing.state import PackingState
from stowplan.placement.packing.subproblem import Subproblem

COLUMNS_PER_KIND = 8  # patterns a new node starts with
RANDOM_DIVES = 2  # at the root
DIVE_EVERY = 4  # nodes
DECIDE_AGAIN = 4  # nodes without the exact step after it failed, doubled every time
ROOT_DECISION = (5_000, 600.0)  # most patterns and work of the exact step
NODE_DECISION = (1_000, 100.0)
LIST_SHARE, LIST_WORK = 0.9, 50_000.0  # of the work left, and at most, for dives in a list


class Tree:
    """The search for `target` bins; `run` ends with a packing, a proof of none, or the budget."""

    def __init__(self, state: PackingState, target: int, known_patterns: IntArray) -> None:
        self.state = state
        self.target = target
        self.known_patterns = known_patterns
        self.nodes = 0
        self.unsettled = 0  # nodes dropped without proof
        self._skip_decisions = 0
        self._patience = DECIDE_AGAIN

    def run(self, root: Subproblem, values: IntArray) -> None:
        """Explore from `root`, whose scaled duals are about `values`."""
        queue: list[tuple[int, int, int, Subproblem, IntArray]] = [(0, 0, 0, root, values)]
        order = 0
        while queue and not self.state.budget.exhausted():
            _, _, _, node, values = heapq.heappop(queue)
            pair, values = self._process(node, values)
            if self.state.incumbent is not None and self.state.incumbent <= self.target:
                return
            if pair is None:
                continue
            i, j = pair
            joined = node.join(i, j)
            for child, hint in (
                (joined, np.append(values, values[i] + values[j])),
                (node.separate(i, j), values),
            ):
                order += 1
                key = (child.right_turns, -len(child.joins), order)
                heapq.heappush(queue, (*key, child, hint))
        if not queue and not self.unsettled and not self.state.budget.exhausted():
            self.state.raise_bound(self.target + 1)

    def _process(self, node: Subproblem, hint: IntArray) -> tuple[tuple[int, int] | None, IntArray]:
        """Settle the node (None) or name the pair to branch on; also the duals for children."""
        self.nodes += 1
        counts = node.problem.counts
        if (node.problem.demand > node.problem.capacity).any():
            return None, hint
        pricer = Pricer(node.problem.demand, node.per_bin(), node.problem.capacity, node.exclusive)
        master = Master(counts)
        master.add(np.diag(node.per_bin())[counts > 0])
        master.add(self._columns(node, hint))
        known = len(master.patterns)
        relaxation = generate(
            master, pricer, counts, self.state.budget,
            start=hint, stop_at=float(self.target), prune_above=self.target,
        )  # fmt: skip
        known = self._remember(node, master, known)
        if relaxation.bound > self.target:
            return None, hint
        if relaxation.solution is None or relaxation.solution.value > self.target + NOISE:
            self.unsettled += 1  # neither a proof nor a relaxation to branch on
            return None, hint
        if round_down(self.state, node, master.patterns, relaxation.solution.amounts, self.target):
            return None, hint
        pair = choose_pair(master.patterns, relaxation.solution.amounts, node)
        if self._try_harder(node, master, pricer, relaxation):
            return None, hint
        self._remember(node, master, known)
        self.unsettled += pair is None
        return pair, relaxation.values if relaxation.values.any() else hint

    def _try_harder(
        self, node: Subproblem, master: Master, pricer: Pricer, relaxation: Relaxation
    ) -> bool:
        """Dives and the exact step; whether they settled the node. The root gets more of both."""
        if self.nodes == 1:
            return self._try_root(node, master, pricer, relaxation)
        if self.nodes % DIVE_EVERY == 0 and dive(
            self.state, node, master, pricer, self.target, random=True
        ):
            return True
        if self._skip_decisions > 0:
            self._skip_decisions -= 1
            return False
        converged = self._converge(node, master, pricer, relaxation)
        if not converged.converged:
            return converged.bound > self.target
        if decide_node(self.state, node, pricer, converged, self.target, *NODE_DECISION):
            self._patience = DECIDE_AGAIN
            return True
        self._skip_decisions = self._patience
        self._patience *= 2
        return False

    def _try_root(
        self, node: Subproblem, master: Master, pricer: Pricer, relaxation: Relaxation
    ) -> bool:
        """Every step that may make the tree needless; whether one did."""
        if (self.state.incumbent or 0) > self.target + 1:  # near the target is easy
            dive(self.state, node, master, pricer, self.target + 1, random=False)
        if dive(self.state, node, master, pricer, self.target, random=False):
            return True
        if self._full(master):
            return True
        converged = self._converge(node, master, pricer, relaxation)
        if converged.bound > self.target:
            return True
        if converged.converged:
            if decide_node(self.state, node, pricer, converged, self.target, *ROOT_DECISION):
                return True
            part = self.state.budget.part(LIST_SHARE, LIST_WORK)
            found = dive_in_list(self.state, pricer, converged, self.target, part)
            self.state.budget.spend(1e6 * part.work)
            if found:
                return True
            self._skip_decisions = self._patience
            self._patience *= 2
        return any(
            dive(self.state, node, master, pricer, self.target, random=True)
            for _ in range(RANDOM_DIVES)
        )

    def _converge(
        self, node: Subproblem, master: Master, pricer: Pricer, relaxation: Relaxation
    ) -> Relaxation:
        """The node's relaxation, to the end."""
        return generate(
            master, pricer, node.problem.counts, self.state.budget,
            start=relaxation.values, to_the_end=True,
        )  # fmt: skip

    def _full(self, master: Master) -> bool:
        """At the root: the exact step for bins without waste; whether it settled the node."""
        solution = master.solve()
        if solution is None:
            return False
        return decide_full_bins(self.state, master.patterns, solution.duals, self.target)

    def _columns(self, node: Subproblem, values: IntArray) -> IntArray:
        """The patterns of `known_patterns` worth most under `values`."""
        patterns = node.translate(self.known_patterns)
        most = COLUMNS_PER_KIND * patterns.shape[1]
        best = np.argsort(-(patterns @ values), kind="stable")[:most]
        return patterns[best]

    def _remember(self, node: Subproblem, master: Master, known: int) -> int:
        """Add the master's patterns from `known` on; returns how many it has."""
        self.known_patterns = np.vstack([self.known_patterns, node.expand(master.patterns[known:])])
        return len(master.patterns)


def choose_pair(
    patterns: IntArray, amounts: FloatArray, node: Subproblem
) -> tuple[int, int] | None:
    """The pair of kinds to branch on: most nearly together, but in part; large items first."""
    used = np.flatnonzero((amounts > 1e-6) & (np.abs(amounts - np.round(amounts)) > 1e-6))
    if not len(used):
        return None
    inside = patterns[used].astype(float)
    together = (inside * amounts[used, None]).T @ inside
    own = ((inside * (inside - 1)) * amounts[used, None]).sum(axis=0) / 2
    np.fill_diagonal(together, own)
    fraction = together - np.floor(together + 1e-6)
    size = (node.problem.demand / np.maximum(node.problem.capacity, 1)).sum(axis=1)
    score = fraction + 0.2 * np.minimum(1, size[:, None] + size[None, :])
    score = np.where(fraction > 1e-6, score, 1e-3)  # a whole number splits too, but weakly
    score = np.triu(np.where(together > 1e-6, score, 0.0))
    i, j = np.unravel_index(int(np.argmax(score)), score.shape)
    return (int(i), int(j)) if score[i, j] > 0 else None
