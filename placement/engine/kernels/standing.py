"""A standing index: forms and parts that live on between requests that come one at a time.

What Python books and frees meanwhile stands in the cluster's log, and is caught up with before the
next decision. So a single request costs a search, as in a batch, and not a look at every instance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stowplan.placement.cluster.cluster import LOG_ROWS, Cluster
from stowplan.placement.engine.kernels.batch import next_row
from stowplan.placement.engine.kernels.forms import make_forms
from stowplan.placement.engine.kernels.layout import RANDOM, Fresh, State, machine_code
from stowplan.placement.engine.kernels.plan import KindPlan
from stowplan.placement.model import TaskKind

if TYPE_CHECKING:
    from numpy.random import Generator


class Standing:
    """Places tasks of some kinds on one cluster, until an instance comes, goes or changes status.

    Args:
        plan, state: of `kinds`, made just now.
    """

    def __init__(
        self,
        cluster: Cluster,
        rng: Generator,
        kinds: Sequence[TaskKind],
        plan: KindPlan,
        state: State,
    ) -> None:
        self.kinds = tuple(kinds)
        self._number = {kind: number for number, kind in enumerate(self.kinds)}
        self._cluster, self._kinds, self._state = cluster, plan.kinds, state
        self._parts, self._blocks = make_forms(plan.kinds, state)
        self._group = plan.kinds.group.tolist()
        draws = (plan.kinds.links[:, :, 0] == RANDOM).any(axis=1).tolist()
        self._rngs = [rng if each else None for each in draws]
        freed = np.full(len(self.kinds), cluster.freed_version)
        self._fresh = Fresh(freed, self._parts.dead.copy(), self._parts.at.copy())
        self._version = cluster.version
        self._holds = self._made_of()
        self._codes: dict[bool, Callable[..., int]] = {}

    def takes(self, kind: TaskKind) -> bool:
        """Whether `place` can be asked: nothing has happened that the index cannot follow."""
        return (
            kind in self._number
            and self._cluster.version - self._version <= LOG_ROWS
            and self._holds == self._made_of()
        )

    def place(self, kind: TaskKind) -> int:
        """Choose an instance for one task of a kind that is taken, and book it; -1: none fits."""
        cluster, number = self._cluster, self._number[kind]
        self._state.slots[self._group[number]] = cluster.slot(kind.group)
        state, (counts, codes, totals) = self._state, cluster.group_tables
        if counts is not state.counts or totals is not state.totals:
            self._state = state = state._replace(counts=counts, codes=codes, totals=totals)
        state.version[0] = cluster.version
        rng = self._rngs[number]
        arguments = self._kinds, state, self._parts, self._blocks, self._fresh, rng, number
        # Without machine code it is a number of numpy's, which no message takes.
        row = int(self._code(rng, arguments)(*arguments, self._version, cluster.freed_version))
        cluster.booked_one(kind, row)
        self._version = cluster.version
        return row

    def _code(self, rng: Generator | None, arguments: tuple[Any, ...]) -> Callable[..., int]:
        """The machine code itself: to find out which it is costs ten times what it does."""
        draws = rng is not None
        if draws not in self._codes:
            self._codes[draws] = machine_code(next_row, (*arguments, 0, 0))
        return self._codes[draws]

    def _made_of(self) -> tuple[int, ...]:
        cluster = self._cluster
        return cluster.status_version, len(cluster.resources), cluster.port_words
