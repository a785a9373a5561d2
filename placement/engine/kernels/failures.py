"""From what kernels count to Failures: which step each number belongs to, kind by kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stowplan.placement.cluster.arrays import Memo
from stowplan.placement.constraints import attribute_steps
from stowplan.placement.engine.eligibility import Eligibility
from stowplan.placement.engine.kernels.layout import (
    ABSENT,
    AGENT_STEP,
    DRAINING_STEP,
    RESOURCE_STEP,
    UNLIMITED,
    Array,
    Why,
)
from stowplan.placement.engine.kernels.plan import limit_of
from stowplan.placement.model import TaskKind
from stowplan.placement.reasons import (
    AGENT,
    DRAINING,
    NO_ACTIVE_INSTANCES,
    Failure,
    resource_reason,
)

LOG_ENTRIES_MIN = 64


class Explainer:
    """Makes `why` know the kinds that turn out to fit nowhere, and reads its log at the end."""

    def __init__(self, engine: Eligibility, kinds: Sequence[TaskKind]) -> None:
        cluster = engine.cluster
        self._engine, self._kinds = engine, kinds
        self._names: list[tuple[str, ...]] = []
        self._made: Memo[tuple[int, bytes], Failure] = Memo()
        early = np.where(cluster.agent_connected, RESOURCE_STEP, AGENT_STEP)
        early[~cluster.active] = DRAINING_STEP
        early[~cluster.present] = ABSENT
        # As kernels number steps: a kind that comes later may bring a resource more.
        self._early = (DRAINING, AGENT, *map(resource_reason, cluster.resources))
        steps = len(self._early)
        none, size = np.zeros(0, np.int64), cluster.size
        self.why = Why(
            slot=np.full(len(kinds), -1, np.int64),
            early=early,
            late=np.zeros((0, size), np.int64),
            limit_step=np.zeros((0, 0), np.int64),
            limit=np.zeros((0, 0), np.int64),
            step=np.zeros((0, size), np.int64),
            counts=np.zeros((0, steps), np.int64),
            seen=none,
            version=none,
            entry=none,
            log=np.zeros((0, steps), np.int64),
            log_slot=none,
            logged=np.zeros(1, np.int64),
        )

    def make_room(self, kind: int) -> None:
        """Mend the cause for which the kernel stopped: a kind it does not know, or a full log."""
        if self.why.slot[kind] < 0:
            self._add(kind)
        entries = int(self.why.logged[0])
        if entries == len(self.why.log):
            more = max(LOG_ENTRIES_MIN, 2 * entries)
            self.why = self.why._replace(
                log=_padded(self.why.log, more, self.why.log.shape[1], 0),
                log_slot=_padded(self.why.log_slot[:, None], more, 1, 0)[:, 0].copy(),
            )

    def failures(self, rows: Array) -> dict[int, Failure]:
        """Failures by position; `rows` is -1 there afterwards."""
        failed = np.flatnonzero(rows < 0)
        entries = (-2 - rows[failed]).tolist()
        rows[failed] = -1
        found = [self._failure(entry) for entry in range(int(self.why.logged[0]))]
        return {at: found[entry] for at, entry in zip(failed.tolist(), entries, strict=True)}

    def failure_of(self, kind: int) -> Failure:
        """Why a kind that it knows fits nowhere, as `counts` has it now."""
        slot = int(self.why.slot[kind])
        counts = self.why.counts[slot]
        key = slot, counts.tobytes()
        failure = self._made.get(key)
        if failure is None:
            failure = self._made[key] = self._named(slot, counts.tolist())
        return failure

    def _failure(self, entry: int) -> Failure:
        return self._named(int(self.why.log_slot[entry]), self.why.log[entry].tolist())

    def _named(self, slot: int, counts: list[int]) -> Failure:
        names = self._names[slot]
        rejected = tuple((names[step], count) for step, count in enumerate(counts) if count)
        return Failure(rejected[-1][0] if rejected else NO_ACTIVE_INSTANCES, rejected)

    def _add(self, number: int) -> None:
        """A slot for a kind, with its late steps."""
        engine, kind, why = self._engine, self._kinds[number], self.why
        slots, size = why.late.shape[0] + 1, len(why.early)
        names = list(self._early)
        first_late = len(names)
        late, limits = np.full(size, np.iinfo(np.int64).max), []
        steps = [(name, mask, UNLIMITED) for name, mask in attribute_steps(kind, engine.cluster)]
        for check in engine.checks(kind):
            steps.append((check.reason, check.fixed(kind, engine.cluster), limit_of(check)))
        for name, mask, limit in steps:
            step = len(names) - first_late
            names.append(name)
            late[~mask] = np.minimum(late[~mask], step)
            if limit != UNLIMITED:
                limits.append((step, limit))
        self._names.append(tuple(names))
        most = max(len(limits), why.limit.shape[1])
        padded = np.array(limits + [(0, UNLIMITED)] * (most - len(limits)), np.int64)
        self.why = why._replace(
            late=np.vstack((why.late, late)),
            limit_step=_with_row(why.limit_step, padded.reshape(most, 2)[:, 0], 0),
            limit=_with_row(why.limit, padded.reshape(most, 2)[:, 1], UNLIMITED),
            step=np.vstack((why.step, np.full(size, -1))),
            counts=_padded(why.counts, slots, max(why.counts.shape[1], len(names)), 0),
            log=_padded(why.log, len(why.log), max(why.log.shape[1], len(names)), 0),
            seen=np.append(why.seen, -1),
            version=np.append(why.version, -1),
            entry=np.append(why.entry, -1),
        )
        self.why.slot[number] = slots - 1


def _padded(array: Array, rows: int, columns: int, fill: int) -> Array:
    """(rows, columns) with `array` in its corner."""
    larger = np.full((rows, columns), fill, np.int64)
    larger[: array.shape[0], : array.shape[1]] = array
    return larger


def _with_row(array: Array, row: Array, fill: int) -> Array:
    """`array` with a row more, which may be longer than the others."""
    larger = _padded(array, array.shape[0] + 1, len(row), fill)
    larger[-1] = row
    return larger
