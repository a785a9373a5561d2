"""A standing index: forms and parts that live on between requests that come one at a time.

What Python books and frees meanwhile stands in the cluster's log, and is caught up with before the
next decision. So a single request costs a search, as in a batch, and not a look at every instance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stowplan.placement.engine.batch import UNPLACED
from stowplan.placement.engine.eligibility import Eligibility
from stowplan.placement.engine.kernels.batch import give_back, next_row, say_why
from stowplan.placement.engine.kernels.failures import Explainer
from stowplan.placement.engine.kernels.forms import make_forms
from stowplan.placement.engine.kernels.layout import RANDOM, Fresh, State, machine_code
from stowplan.placement.engine.kernels.packed import World
from stowplan.placement.engine.kernels.plan import KindPlan
from stowplan.placement.model import NEVER, TaskKind
from stowplan.placement.reasons import Failure

if TYPE_CHECKING:
    from numpy.random import Generator

UNKNOWN = -2
EXPLAINED_MOST = 1 << 20  # kinds that failed x instances of which it is kept why


class Ready(NamedTuple):
    """A kind of the index: its number, the slot of its group, what draws for it, and its code."""

    number: int
    slot: int
    rng: Generator | None
    code: Callable[..., int]
    expected_ms: int | None


class Standing:
    """Places tasks of some kinds on one cluster, until an instance comes, goes or changes status.

    Args:
        plan, state: of `kinds`, made just now.
    """

    def __init__(
        self,
        engine: Eligibility,
        rng: Generator,
        kinds: Sequence[TaskKind],
        plan: KindPlan,
        state: State,
    ) -> None:
        cluster = engine.cluster
        self.kinds, self._groups = tuple(kinds), plan.groups
        # Their slots are theirs as long as the index stands: `state` has them, and need not ask.
        slots = [cluster.keep_slot(group) for group in plan.groups]
        self._cluster, self._state = cluster, state
        parts, blocks = make_forms(plan.kinds, state, standing=True)
        freed = np.full(len(self.kinds), cluster.freed_version)
        fresh = Fresh(freed, parts.dead.copy(), parts.at.copy())
        self._explainer = Explainer(engine, self.kinds)
        self._world = World(plan.kinds, state, parts, blocks, fresh, self._explainer.why)
        self._address = self._world.address
        self._version, self._status = cluster.version, cluster.status_version
        self._counts, self._ports = cluster.kept()
        self._replaced = self._counts.replaced
        self._ready = self._readied(plan, rng, slots)
        self._free = machine_code(give_back, (self._address, 0, 0, 0, 0))
        self._why = machine_code(say_why, (self._address, 0, 0))

    def _readied(
        self, plan: KindPlan, rng: Generator, slots: Sequence[int]
    ) -> dict[TaskKind, Ready]:
        """The machine code itself: to find out which it is costs ten times what it does."""
        draws = (plan.kinds.links[:, :, 0] == RANDOM).any(axis=1).tolist()
        codes = {
            each: machine_code(next_row, (self._address, rng if each else None, *(0,) * 6))
            for each in set(draws)
        }
        of, kinds = plan.kinds.group.tolist(), enumerate(self.kinds)
        return {
            kind: Ready(
                *(number, slots[of[number]], rng if draws[number] else None),
                *(codes[draws[number]], kind.expected_ms),
            )
            for number, kind in kinds
        }

    def place(self, kind: TaskKind) -> int:
        """Choose an instance for one task and book it; -1: none fits, UNKNOWN: not for the index.

        It is not where the kind is none of its own, or something happened that it cannot follow.
        """
        ready = self._ready.get(kind)
        cluster = self._cluster
        if ready is None or cluster.status_version != self._status:
            return UNKNOWN
        if self._ports.used is not self._state.ports or (
            self._counts.replaced != self._replaced and not self._sees()
        ):
            return UNKNOWN
        number, slot, rng, code, expected_ms = ready
        exit_ms = NEVER if expected_ms is None else cluster.now_ms + expected_ms
        version, freed, last = cluster.version, cluster.freed_version, cluster.last_reserved
        row = code(self._address, rng, number, self._version, version, freed, last, exit_ms)
        if row >= 0:
            # Without machine code it is a number of numpy's, which no message takes.
            row = int(row)
            cluster.booked_one(kind, slot, row)
            self._version = version + 1
        elif row == UNPLACED:
            self._version = version
        return row

    def knows(self, kinds: Sequence[TaskKind]) -> bool:
        """Whether all of these kinds are its own, and no instance came, went or changed status."""
        ready = self._ready
        return self._cluster.status_version == self._status and all(k in ready for k in kinds)

    def release(self, kind: TaskKind, row: int) -> bool:
        """Undo a booking; False where it is not for the index, and nothing has changed."""
        ready = self._ready.get(kind)
        cluster = self._cluster
        if ready is None or cluster.status_version != self._status:
            return False
        if self._ports.used is not self._state.ports or (
            self._counts.replaced != self._replaced and not self._sees()
        ):
            return False
        version = cluster.version
        self._free(self._address, ready.number, row, self._version, version)
        cluster.freed_one(kind, ready.slot)
        if self._version == version:
            self._version = version + 1
        return True

    def failure(self, kind: TaskKind) -> Failure | None:
        """Why a kind fits nowhere, right after `place` said so; None: it did not."""
        ready, explainer = self._ready.get(kind), self._explainer
        if ready is None or self._version != self._cluster.version:
            return None
        number = ready.number
        if explainer.why.slot[number] < 0:
            slots, size = explainer.why.late.shape
            if (slots + 1) * size > EXPLAINED_MOST:
                return None
            explainer.make_room(number)
            self._world.renew(explainer.why)
        self._why(self._address, number, self._cluster.version)
        return explainer.failure_of(number)

    def fall(self) -> None:
        """The index stands no longer."""
        for group in self._groups:
            self._cluster.let_go_slot(group)

    def _sees(self) -> bool:
        """Have the kernels see the arrays that the cluster has now; False where they cannot."""
        counts, codes, totals = self._cluster.group_tables
        self._state = self._state._replace(counts=counts, codes=codes, totals=totals)
        self._world.renew(self._state)
        self._replaced = self._counts.replaced
        return self._ports.used is self._state.ports
