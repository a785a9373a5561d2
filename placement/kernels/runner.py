"""Between the engine and the kernels: arrays in, rows and Failures out, the cluster kept whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from placement.batch import UNPLACED
from placement.cluster import IntArray
from placement.columns import Kept
from placement.constraints import devices_free
from placement.kernels.batch import candidate_rows, choose, place
from placement.kernels.failures import Explainer
from placement.kernels.forms import make_forms
from placement.kernels.layout import Array, State
from placement.kernels.plan import COMPILED_CHECKS, Link, Plan, chain_links, make_plan
from placement.model import TaskKind
from placement.reasons import Failure

if TYPE_CHECKING:
    from placement.engine import Engine

PLANS_MAX = 4096


class Runner:
    """Places tasks of kinds that have a kernel form, for one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._links: Kept[TaskKind, tuple[Link, ...] | None] = Kept()
        self._plans: dict[tuple[TaskKind, ...], tuple[object, Plan]] = {}

    def takes(self, kind: TaskKind) -> bool:
        """Whether everything about `kind` has a kernel form."""
        if kind not in self._links:
            self._links[kind] = chain_links(self._engine, kind)
        return self._links[kind] is not None

    def place(
        self, kinds: tuple[TaskKind, ...], index: Array, *, stop: bool = False
    ) -> tuple[IntArray, dict[int, Failure]]:
        """Choose and book for each task in turn.

        Args:
            kinds: all taken, each used. index: (m,) int32, the kind of each task.
            stop: at the first task that fits nowhere.
        Returns:
            (m,) rows, and by position why a task has none; with `stop` at most one has not, and
            what comes after it was not tried.
        """
        cluster, engine = self._engine.cluster, self._engine
        plan = self._plan(kinds)
        state = self._state(plan)
        parts, blocks = make_forms(plan.kinds, state)
        rng = engine.rng if plan.draws else None
        rows = np.full(len(index), UNPLACED, np.int64)
        explainer, done = Explainer(engine, kinds), 0
        failures: dict[int, Failure] = {}
        while True:
            why = explainer.why
            done = place(plan.kinds, state, parts, blocks, why, rng, index, rows, done)
            if done == len(index):
                failures = explainer.failures(rows)
                break
            if stop:
                failures[done] = engine.failure(kinds[index[done]], int(state.version[0]))
                break
            explainer.make_room(index[done])
        cluster.booked_in_place(kinds, index, rows)
        return rows, failures

    def choose(self, kind: TaskKind) -> int:
        """The instance for one task of a kind that is taken, or -1; nothing is booked."""
        plan = self._plan((kind,))
        row = choose(plan.kinds, self._state(plan), self._engine.rng if plan.draws else None)
        self._engine.cluster.settle(kind.group)
        return int(row)

    def candidates(self, kind: TaskKind) -> IntArray:
        """Ascending rows on which one more task of any `kind` fits, taken or not."""
        plan = self._plan((kind,))
        state = self._state(plan)
        cluster = self._engine.cluster
        if kind.devices:
            state.allowed[0] &= devices_free(kind, cluster)
        for check in self._engine.checks(kind):
            if check.volatile and type(check) not in COMPILED_CHECKS:
                state.allowed[0] &= check.allows(kind, cluster)
        found: IntArray = state.rows[: candidate_rows(plan.kinds, state)]
        cluster.settle(kind.group)
        return found

    def _plan(self, kinds: tuple[TaskKind, ...]) -> Plan:
        cluster = self._engine.cluster
        for kind in kinds:
            cluster.demand(kind)
            width = cluster.port_mask(kind).shape
        holds = (cluster.attributes_version, len(cluster.resources), width, cluster.size)
        known = self._plans.get(kinds)
        if known is None or known[0] != holds:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            chains = [self._links.get(kind) or () for kind in kinds]
            plan = make_plan(self._engine, kinds, chains)
            known = self._plans[kinds] = holds, plan
        return known[1]

    def _state(self, plan: Plan) -> State:
        cluster = self._engine.cluster
        usable = cluster.active & cluster.agent_connected
        if cluster.over_committed:
            usable &= (cluster.remaining >= 0).all(axis=1)
        totals = np.empty((len(plan.codes), len(plan.groups), plan.values), np.int64)
        version = np.array([cluster.version])
        rows, keys = np.empty((2, cluster.size), np.int64)
        columns, allowed = cluster.columns(plan.groups), plan.masks & usable
        return State(*columns, allowed, plan.codes, totals, version, rows, keys)
