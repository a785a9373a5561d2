"""Where a task may run: the filter of ECS's pipeline, resources and constraints, and why not.

`Eligibility` answers questions and books nothing. It is all that kernels and planners need to know
of the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from stowplan.placement.cluster.arrays import Memo
from stowplan.placement.cluster.cluster import BoolArray, Cluster
from stowplan.placement.constraints import (
    CONSTRAINTS,
    Check,
    ConstraintFactory,
    attribute_steps,
    check_of,
    devices_free,
    state_steps,
    without_code,
)
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import PlacementStrategy, TaskKind
from stowplan.placement.reasons import INACTIVE, MISSING, NO_ACTIVE_INSTANCES, Failure
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import (
    Planner,
    ReadsField,
    Strategy,
    StrategyFactory,
    make_strategy,
)


class Eligibility:
    """Which instances of a cluster a task may run on, by its own constraints and the registries.

    Args:
        cluster: the state to read.
        strategies, constraints: factories by the type that a task names.
    """

    def __init__(
        self,
        cluster: Cluster,
        strategies: Mapping[str, StrategyFactory] = STRATEGIES,
        constraints: Mapping[str, ConstraintFactory] = CONSTRAINTS,
    ) -> None:
        self.cluster = cluster
        self.awaits_more = False  # instances may register that have what none has yet
        self._strategies, self._constraints = strategies, constraints
        self._chains: Memo[TaskKind, tuple[Strategy, ...]] = Memo()
        # One object for every task that names it alike: its state is that of the run.
        self._links: dict[PlacementStrategy, Strategy] = {}
        self._planners: dict[PlacementStrategy, Planner] = {}  # those of them that look ahead
        self._read: Memo[TaskKind, bool] = Memo()  # what its strategies read is there
        self._checks: Memo[TaskKind, tuple[Check, ...]] = Memo()
        self._fixed: Memo[object, tuple[int, BoolArray]] = Memo()
        # The last Failure of a kind, and the cluster's version then: nothing changed, same answer.
        self._failed: Memo[TaskKind, tuple[int, Failure]] = Memo()

    def check(self, kind: TaskKind) -> None:
        """Raises PlacementError where `kind` names an unknown strategy or constraint."""
        self.chain(kind)
        self.checks(kind)

    def check_call(self, kind: TaskKind) -> None:
        """As `check` and, unless it `awaits_more` instances, `check_fields`, in ECS's words.

        Raises:
            PlacementError: InvalidParameterException, and what is wrong.
        """
        try:
            self.check(kind)
            if not self.awaits_more:
                self.check_fields(kind)
        except PlacementError as error:
            raise PlacementError(f"InvalidParameterException: {error}") from error

    def check_fields(self, kind: TaskKind) -> None:
        """Raises PlacementError where a strategy of `kind` reads what no instance ever had.

        It would tie all candidates, and so have no effect, in silence. Of a cluster without
        instances nothing can be said yet.
        """
        if kind in self._read or not self.cluster.size:
            return
        for link, strategy in zip(kind.strategies, self.chain(kind), strict=True):
            what = strategy.missing(self.cluster) if isinstance(strategy, ReadsField) else None
            if what is not None:
                raise PlacementError(f"placement strategy {link.type}:{link.field}: {what}")
        self._read[kind] = True

    def allowed(self, kind: TaskKind) -> BoolArray:
        """(size,) rows on which one more task of `kind` fits and may run."""
        cluster = self.cluster
        demand = cluster.demand(kind)  # first: a name that is new to the cluster adds a column
        mask: BoolArray = cluster.active & cluster.agent_connected & self.fixed_mask(kind)
        mask &= (cluster.remaining >= demand).all(axis=1)
        if kind.tcp_ports or kind.udp_ports:
            mask &= cluster.ports_free(kind)
        if kind.devices:
            mask &= devices_free(kind, cluster)
        for check in self.checks(kind):
            if check.volatile:
                mask &= check.changing(kind, cluster)
        return mask

    def explain(self, kind: TaskKind) -> Failure:
        """Why `kind` fits nowhere: the step that left no candidate, and what each step removed."""
        left = self.cluster.present
        reason, rejected = NO_ACTIVE_INSTANCES, []
        for step, allows in self._steps(kind):
            removed = int((left & ~allows).sum())
            if removed:
                left = left & allows
                rejected.append((step, removed))
                reason = step
        assert not left.any(), f"explain was asked about a task that fits\n{self.cluster.dump()}"
        return Failure(reason, tuple(rejected))

    def _refusal(self, kind: TaskKind, row: int) -> Failure | None:
        if not 0 <= row < self.cluster.size:
            return Failure(MISSING)
        if not self.cluster.present[row]:
            return Failure(INACTIVE)
        reasons = (reason for reason, allows in self._steps(kind) if not allows[row])
        reason = next(reasons, None)
        return None if reason is None else Failure(reason, ((reason, 1),))

    def chain(self, kind: TaskKind) -> tuple[Strategy, ...]:
        """The strategies of `kind`; one object for all kinds that name it with the same field."""
        if kind not in self._chains:
            self._chains[kind] = tuple(map(self._strategy, kind.strategies))
        return self._chains[kind]

    def checks(self, kind: TaskKind) -> tuple[Check, ...]:
        """The placement constraints of `kind`, made once, in the registry's order."""
        if kind not in self._checks:
            order = list(self._constraints)
            made = [check_of(c, self._constraints) for c in kind.constraints]
            made.sort(key=lambda check: order.index(check.name))
            self._checks[kind] = tuple(made)
        return self._checks[kind]

    def stated(self, kind: TaskKind) -> TaskKind:
        """The kind without constraints in code, to ask about instances that stand for others."""
        return without_code(kind, self._constraints)

    def fixed_mask(self, kind: TaskKind) -> BoolArray:
        """Rows allowed by everything that depends on attributes alone; kept until one changes."""
        checks = self.checks(kind)
        key: object = kind  # code may read anything of it
        if all(check.code is None for check in checks):
            key = (kind.required_attributes, kind.zones, kind.capacity_provider, kind.constraints)
        version, mask = self._fixed.get(key, (-1, None))
        if mask is None or version != self.cluster.attributes_version:
            mask = np.ones(self.cluster.size, np.bool_)
            for _, allows in attribute_steps(kind, self.cluster):
                mask &= allows
            for check in checks:
                mask &= check.fixed(kind, self.cluster)
            mask.flags.writeable = False
            self._fixed[key] = (self.cluster.attributes_version, mask)
        return mask

    def failure(self, kind: TaskKind, version: int) -> Failure:
        """Why `kind` fits nowhere at this `version` of the cluster; looked into once."""
        failed = self._failed.get(kind)
        if failed is None or failed[0] != version:
            failed = self._failed[kind] = version, self.explain(kind)
        return failed[1]

    def _strategy(self, link: PlacementStrategy) -> Strategy:
        made = self._links.get(link)
        if made is None:
            made = self._links[link] = _make(self._strategies, link.type, link.field)
            if isinstance(made, Planner):
                self._planners[link] = made
        return made

    def _steps(self, kind: TaskKind) -> Iterator[tuple[str, BoolArray]]:
        yield from state_steps(kind, self.cluster)
        yield from attribute_steps(kind, self.cluster)
        for check in self.checks(kind):
            yield check.reason, check.allows(kind, self.cluster)


def _make(registry: Mapping[str, StrategyFactory], name: str, field: str | None) -> Strategy:
    if name not in registry:
        raise PlacementError(f"unknown placement strategy {name!r}; known: {', '.join(registry)}")
    try:
        return make_strategy(registry[name], field)
    except ValueError as error:
        raise PlacementError(f"placement strategy {name}: {error}") from error
