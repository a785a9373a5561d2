"""Keys kept from one decision to the next: only rows that have changed are scored again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray


class KeptKeys:
    """Keys of one kind of task over the rows of one cluster.

    A key must depend on nothing but the row's own state and what was registered.
    """

    def __init__(self) -> None:
        self._cluster: ref[Cluster] | None = None
        self._attributes_version = -1
        self._keys: NDArray[Any] = np.zeros(0)
        self._scored_at: IntArray = np.zeros(0, np.int64)

    def get(
        self, cluster: Cluster, rows: IntArray, score: Callable[[IntArray], NDArray[Any]]
    ) -> NDArray[Any]:
        """(n,) keys of `rows`; `score(stale)` works out those that do not hold any more."""
        known = self._cluster() if self._cluster is not None else None
        if known is not cluster or self._attributes_version != cluster.attributes_version:
            self._cluster, self._attributes_version = ref(cluster), cluster.attributes_version
            self._keys = np.zeros(cluster.size)
            self._scored_at = np.full(cluster.size, -1, np.int64)
        stale = rows[self._scored_at[rows] < cluster.changed_at[rows]]
        if len(stale):
            self._keys[stale] = score(stale)
            self._scored_at[stale] = cluster.version
        return self._keys[rows]
