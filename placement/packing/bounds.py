"""Lower bounds that need no linear program: continuous and by dual-feasible functions."""

from __future__ import annotations

import numpy as np

from stowplan.placement.packing.lazy import lazily_compiled, paying
from stowplan.placement.packing.problem import IntArray, PackingProblem

MAX_K = 100
MAX_STEPS = 20_000_000  # of the dual-feasible functions; keeps the bound in the milliseconds


def continuous_bound(problem: PackingProblem) -> int:
    """Largest over dimensions of ceil(total demand / capacity); every item must fit a bin.

    Source: Martello & Toth (1990), bound L1, Discrete Applied Math. 28:59-70; per dimension.
    """
    total = problem.counts @ problem.demand
    cap = problem.capacity
    per_dimension = [-(-int(t) // int(c)) for t, c in zip(total, cap, strict=True) if t]
    return max([0, *per_dimension, int(problem.counts.any())])


def dual_feasible_bound(problem: PackingProblem, target: int) -> int:
    """Best bound by the functions u(k) o U(eps), each dimension alone; stops at `target`.

    k = 1 alone is Martello and Toth's L2.
    Source: Fekete & Schepers (2001), New classes of fast lower bounds for bin packing problems,
    Math. Programming 91:11-31.
    """
    best = 0
    for dimension, capacity in enumerate(problem.capacity.tolist()):
        if best >= target or capacity == 0:
            continue
        sizes = problem.demand[:, dimension]
        thresholds = np.unique(np.append(sizes[2 * sizes <= capacity], 0))
        per_k = max(1, len(thresholds) * len(sizes))
        k_max = max(1, min(MAX_K, MAX_STEPS // per_k, (2**62 // MAX_K) // max(1, capacity)))
        paying(k_max * per_k / 8)  # it ends at the target, which is mostly soon
        best = max(best, _dff_bound(sizes, problem.counts, capacity, thresholds, k_max, target))
    return best


@lazily_compiled
def _dff_bound(
    sizes: IntArray,
    counts: IntArray,
    capacity: int,
    thresholds: IntArray,
    k_max: int,
    target: int,
) -> int:
    """Maximise over k and eps; u(k) maps size x of capacity C to integers of k * C * C."""
    best = 0
    for k in range(1, k_max + 1):
        for eps in thresholds:
            total = 0
            for i in range(len(sizes)):
                size = sizes[i]
                if size > capacity - eps:
                    size = capacity
                elif size < eps:
                    continue
                if ((k + 1) * size) % capacity == 0:
                    total += counts[i] * size * k
                else:
                    total += counts[i] * ((k + 1) * size // capacity) * capacity
            bound = -(-total // (k * capacity))
            if bound > best:
                best = bound
                if best >= target:
                    return best
    return best
