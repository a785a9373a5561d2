"""A score of your own, a function of one instance that numba can compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind

Score = Callable[[Any, Any, Any], float]


class RowScore:
    """Prefer the candidate for which a function gives least.

    Parameters
    ----------
    score : function
        `score(demand, left, registered)` -> a number, never NaN: of one instance, arrays of whole
        numbers, one for each of `cluster.resources`, CPU units and MiB of memory first. What it
        answers must depend on nothing else. Numba has to be able to compile it; with or without
        `numba.njit` around it.

    Notes
    -----
    Large batches are decided in machine code, with what it gives for instances that changed alone.
    `keys` is the same in plain Python, and decides everywhere else.
    """

    def __init__(self, score: Score) -> None:
        self.score: Score = score
        self._compiled: Any = None

    def __deepcopy__(self, memo: object) -> RowScore:
        return self  # it remembers nothing of a run

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> NDArray[Any]:
        """What the function gives for each."""
        demand, left, registered = cluster.demand(task), cluster.remaining, cluster.registered
        score = self.score
        return np.array([float(score(demand, left[r], registered[r])) for r in candidates])

    def compiled(self) -> Any:
        """The function as kernels call it."""
        if self._compiled is None:
            import numba

            settings: Any = numba.config  # of which its hints know little
            function: Any = getattr(self.score, "py_func", self.score)
            if not settings.DISABLE_JIT:
                function = numba.cfunc("float64(int64[::1], int64[:], int64[::1])")(function)
            self._compiled = function
        return self._compiled
