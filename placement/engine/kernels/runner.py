"""Between the engine and the kernels: arrays in, rows and Failures out, the cluster kept whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from stowplan.placement.cluster.arrays import Memo
from stowplan.placement.cluster.cluster import IntArray
from stowplan.placement.constraints import devices_free
from stowplan.placement.engine.batch import UNPLACED
from stowplan.placement.engine.eligibility import Eligibility
from stowplan.placement.engine.kernels.batch import candidate_rows, choose, free, place
from stowplan.placement.engine.kernels.failures import Explainer
from stowplan.placement.engine.kernels.forms import make_forms, no_forms
from stowplan.placement.engine.kernels.layout import SHIFT, Array, Freed, State, machine_code
from stowplan.placement.engine.kernels.packed import World
from stowplan.placement.engine.kernels.plan import (
    KindPlan,
    Link,
    chain_links,
    make_plan,
)
from stowplan.placement.engine.kernels.standing import UNKNOWN, Standing
from stowplan.placement.model import TaskKind
from stowplan.placement.reasons import Failure

PLANS_MAX = 4096
INDEX_TASKS_SHARE = 1 / 32  # an index made for a batch pays from so many tasks an instance on
STAND_AFTER = 16  # requests for which there is no index, and then one is made ...
KINDS_A_LOOK = 8  # ... or after one more for so many kinds that it is made for, ...
STAND_KINDS_MAX = 512  # ... for so many kinds


class Runner:
    """Places tasks of kinds that have a kernel form, for one engine.

    `standing`: the index that stands, or None; it is replaced by another now and then.
    """

    def __init__(self, engine: Eligibility, rng: Generator) -> None:
        self._engine, self._rng = engine, rng
        self._links: Memo[TaskKind, tuple[Link, ...] | None] = Memo()
        self._plans: dict[tuple[TaskKind, ...], tuple[object, KindPlan]] = {}
        self.standing: Standing | None = None
        self._asked: dict[TaskKind, None] = {}  # since the standing index was made, of late last
        self._misses = 0
        self._freed: Freed | None = None
        self._freed_world = World()
        self._free: Any = None
        self._rows = np.empty(0, np.int64)  # room for a list of candidates, made once: see State

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
        pays = len(index) >= cluster.size * INDEX_TASKS_SHARE
        parts, blocks = (make_forms if pays else no_forms)(plan.kinds, state)
        rng = self._rng if plan.draws else None
        rows = np.full(len(index), UNPLACED, np.int64)
        explainer, done = Explainer(engine, kinds), 0
        world = World(plan.kinds, state, parts, blocks)
        failures: dict[int, Failure] = {}
        while True:
            world.renew(explainer.why)
            done = int(place(world.address, rng, index, rows, done))
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
        world = self._world(plan, self._state(plan))
        row = choose(world.address, self._rng if plan.draws else None)
        self._engine.cluster.settle(kind.group)
        return int(row)

    def place_one(self, kind: TaskKind) -> int:
        """The instance for one task, where it is booked now; -1: none, UNKNOWN: no kernel form."""
        standing = self.standing
        if standing is not None:
            row = standing.place(kind)
            if row != UNKNOWN:
                return row
        if not self.takes(kind):
            return UNKNOWN
        standing = self._stand(kind)
        if standing is not None:
            return standing.place(kind)
        row = self.choose(kind)
        if row != UNPLACED:
            self._engine.cluster.reserve(kind, row)
        return row

    def failure(self, kind: TaskKind) -> Failure:
        """Why a kind fits nowhere, right after `place_one` said so."""
        standing = self.standing
        failure = None if standing is None else standing.failure(kind)
        if failure is None:
            failure = self._engine.failure(kind, self._engine.cluster.version)
        return failure

    def _stand(self, kind: TaskKind) -> Standing | None:
        """A new index for what is asked for of late, once that was asked for often enough.

        To make it costs what that many looks at every instance cost, so waiting for that many
        requests costs at most twice what would have been right.
        """
        cluster = self._engine.cluster
        self._asked.pop(kind, None)
        self._asked[kind] = None
        self._misses += 1
        too_large = cluster.largest.max(initial=0) >> (SHIFT - 1)
        known = self.standing.kinds if self.standing else ()
        worth = STAND_AFTER + len(known) // KINDS_A_LOOK
        if self._misses < worth or cluster.over_committed or too_large:
            return None
        before = [each for each in known if each not in self._asked]
        kinds = (*before, *self._asked)[-STAND_KINDS_MAX:]
        plan = self._plan(kinds)
        if self.standing is not None:
            self.standing.fall()
        self.standing = Standing(*(self._engine, self._rng, kinds, plan, self._state(plan)))
        for group in plan.groups:
            cluster.settle(group)
        self._asked, self._misses = {}, 0
        return self.standing

    def stands_for(self, kinds: Sequence[TaskKind], tasks: int) -> bool:
        """Whether there is an index for tasks of these kinds; made, once they came often enough."""
        if self.standing is not None and self.standing.knows(kinds):
            return True
        if not all(map(self.takes, kinds)):
            return False
        for kind in kinds:
            self._asked.pop(kind, None)
            self._asked[kind] = None
        self._misses += tasks - 1
        return self._stand(kinds[-1]) is not None

    def release(self, kind: TaskKind, rows: Sequence[int]) -> None:
        """`Cluster.release` on each of `rows` of a kind without devices, in machine code."""
        cluster = self._engine.cluster
        known = self._freed
        if known is None or not cluster.still_has(known):
            self._freed = known = Freed(*cluster.freed_columns())
            self._freed_world = World(known)
        demand, ports = cluster.demand(kind), cluster.port_mask(kind)
        slot = cluster.slot(kind.group)
        address = self._freed_world.address
        arguments = address, demand, ports, slot, np.array(rows, np.int64), cluster.version
        if self._free is None:
            self._free = machine_code(free, arguments)
        self._free(*arguments)
        cluster.freed_in_place(kind, len(rows))

    def candidates(self, kind: TaskKind) -> IntArray:
        """Ascending rows on which one more task of any `kind` fits, taken or not."""
        plan = self._plan((kind,))
        state = self._state(plan)
        cluster = self._engine.cluster
        masks = [devices_free(kind, cluster)] if kind.devices else []
        for check in self._engine.checks(kind):
            if check.opaque:
                masks.append(check.changing(kind, cluster))
        if masks:
            state = state._replace(allowed=np.logical_and.reduce([state.allowed[0], *masks])[None])
        world = self._world(plan, state)
        found: IntArray = state.rows[: candidate_rows(world.address)].copy()
        cluster.settle(kind.group)
        return found

    def _world(self, plan: KindPlan, state: State) -> World:
        """The plan's own, with this state."""
        if not plan.world:
            plan.world.append(World(plan.kinds))
        world: World = plan.world[0]
        world.renew(state)
        return world

    def _plan(self, kinds: tuple[TaskKind, ...]) -> KindPlan:
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

    def _state(self, plan: KindPlan) -> State:
        cluster = self._engine.cluster
        if cluster.over_committed:
            allowed = self._allowed(plan) & (cluster.remaining >= 0).all(axis=1)
        else:
            allowed = self._allowed(plan)
        version = np.array([cluster.version])
        if len(self._rows) != cluster.size:
            self._rows = np.empty(cluster.size, np.int64)
        columns: tuple[Any, ...] = (*cluster.columns(plan.groups), allowed, version, self._rows)
        return State(*columns)

    def _allowed(self, plan: KindPlan) -> Array:
        """The plan's masks, but for instances that take no task now; kept until one changes."""
        cluster = self._engine.cluster
        version, allowed = plan.allowed
        if version != cluster.status_version:
            allowed = plan.masks & (cluster.active & cluster.agent_connected)
            plan.allowed[:] = cluster.status_version, allowed
        return allowed
