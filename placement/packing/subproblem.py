"""A node of the branching tree: the packing problem after some pairs were joined or kept apart.

Every packing either has a bin that holds an item of kind i and one of kind j, or none has. In the
first case the two become one item of a new kind; in the second the kinds exclude each other. So a
node is again a packing problem, plus exclusions that only serve the search: its packings, expanded,
are packings of the original problem.
Source: Ryan & Foster (1981), An integer programming approach to scheduling; with joined items as
in Vance (1998), Branch-and-price algorithms for the one-dimensional cutting stock problem.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stowplan.placement.packing.problem import BoolArray, IntArray, PackingProblem


@dataclass(frozen=True)
class Subproblem:
    """One node.

    Args:
        problem: its kinds; the joined ones come last.
        parts: (kinds, original kinds) int64; what an item of each kind is made of.
        exclusive: (kinds, kinds) bool, symmetric; kinds that must not share a bin.
        single: (kinds,) bool; kinds of which a bin may hold one item at most.
        joins: (i, j) in the order they were joined; the k-th made kind `originals + k`.
    """

    problem: PackingProblem
    parts: IntArray
    exclusive: BoolArray
    single: BoolArray
    joins: tuple[tuple[int, int], ...] = ()
    right_turns: int = 0

    @classmethod
    def root(cls, problem: PackingProblem) -> Subproblem:
        """The whole problem, with nothing fixed or forbidden."""
        m = len(problem.counts)
        return cls(
            problem,
            np.eye(m, dtype=np.int64),
            np.zeros((m, m), dtype=np.bool_),
            np.zeros(m, dtype=np.bool_),
        )

    def per_bin(self) -> IntArray:
        """(kinds,) most items of each kind that one bin may hold."""
        most = most_per_bin(self.problem)
        return np.where(self.single, np.minimum(most, 1), most)

    def expand(self, bins: IntArray) -> IntArray:
        """Bins of this node's kinds in terms of the original kinds."""
        result: IntArray = bins @ self.parts
        return result

    def join(self, i: int, j: int) -> Subproblem:
        """Some bin holds an item of kind i and one of kind j: make them one item."""
        old = self.problem
        counts = np.append(old.counts, 1)
        counts[i] -= 1
        counts[j] -= 1
        demand = np.vstack([old.demand, old.demand[i] + old.demand[j]])
        m = len(old.counts)
        exclusive = np.zeros((m + 1, m + 1), dtype=np.bool_)
        exclusive[:m, :m] = self.exclusive
        exclusive[m, :m] = self.exclusive[i] | self.exclusive[j]
        exclusive[m, :m] |= self.single & np.isin(np.arange(m), (i, j))
        exclusive[:m, m] = exclusive[m, :m]
        return Subproblem(
            PackingProblem(demand, counts, old.capacity),
            np.vstack([self.parts, self.parts[i] + self.parts[j]]),
            exclusive,
            np.append(self.single, False),
            (*self.joins, (i, j)),
            self.right_turns,
        )

    def separate(self, i: int, j: int) -> Subproblem:
        """No bin holds an item of kind i and (another) one of kind j."""
        exclusive, single = self.exclusive.copy(), self.single.copy()
        if i == j:
            single[i] = True
        else:
            exclusive[i, j] = exclusive[j, i] = True
        return Subproblem(
            self.problem, self.parts, exclusive, single, self.joins, self.right_turns + 1
        )

    def translate(self, patterns: IntArray) -> IntArray:
        """Patterns of original kinds as patterns of this node; surplus and excluded items go."""
        originals = patterns.shape[1]
        table = np.zeros((len(self.problem.counts), len(patterns)), dtype=np.int64)
        table[:originals] = patterns.T
        for k, (i, j) in enumerate(self.joins):
            both = (table[i] >= 1) & (table[j] >= 1) if i != j else table[i] >= 2
            table[i] -= both
            table[j] -= both
            table[originals + k] += both
        np.minimum(table, self.per_bin()[:, None], out=table)
        for i, j in np.argwhere(np.triu(self.exclusive)).tolist():
            table[j][table[i] > 0] = 0
        return np.ascontiguousarray(table.T)


def most_per_bin(problem: PackingProblem) -> IntArray:
    """(kinds,) how many items of each kind one bin can hold, at most as many as there are."""
    room = problem.capacity // np.maximum(problem.demand, 1)
    fits = np.where(problem.demand > 0, room, np.iinfo(np.int64).max).min(axis=1)
    most: IntArray = np.minimum(fits, problem.counts)
    return most
