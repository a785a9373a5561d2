"""First fit: the first instance that has room, in the order of registration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numpy.random import Generator

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind


class FirstFit:
    """Prefer the candidate that was registered first.

    Source: Garey, Graham & Ullman (1972), Worst-case analysis of memory allocation, STOC.
    """

    def __init__(self, field: str | None = None) -> None:
        """Raises ValueError: first fit takes no field."""
        if field:
            raise ValueError("first_fit takes no field")

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> IntArray:
        """The row itself."""
        return candidates
