"""Next fit: go on with the instance used last, and never look back before the next round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numpy.random import Generator

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.model import TaskKind


class NextFit:
    """Prefer the instance that got the latest task, then those after it, round and round.

    The cluster knows which one that was (`last_reserved`), so the strategy keeps nothing. Where
    instances are a given set, the last is followed by the first (Knuth's "roving pointer").

    Source: Johnson (1973), Near-optimal bin packing algorithms, MIT, ch. 2; Knuth, TAOCP 1, 2.5.
    """

    def __init__(self, field: str | None = None) -> None:
        """Raises ValueError: next fit takes no field."""
        if field:
            raise ValueError("next_fit takes no field")

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> IntArray:
        """Steps from the instance used last, going up and around."""
        current = max(cluster.last_reserved, 0)
        keys: IntArray = (candidates - current) % cluster.size
        return keys
