"""ECS's pipeline: resources -> constraints -> strategies -> select. One task or a batch of them.

`Engine.place` books what it decides; try things out on a copy of the cluster. The answer for a
batch is the answer for its tasks one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.random import Generator

from placement.cluster import BoolArray, Cluster, IntArray
from placement.constraints import (
    CONSTRAINTS,
    Constraint,
    ConstraintFactory,
    attribute_steps,
    devices_free,
    state_steps,
)
from placement.errors import PlacementError
from placement.model import TaskKind
from placement.reasons import NO_ACTIVE_INSTANCES, Failure
from placement.strategies import STRATEGIES, DeviceChooser, Strategy, StrategyFactory
from placement.strategies.devices import fullest_devices

UNPLACED = -1
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Decision:
    """Where each task of a batch goes.

    `instances` (m,) rows, -1 where `failures` says why not; `devices` of the tasks that asked for
    some, by position.
    """

    instances: IntArray
    failures: Mapping[int, Failure]
    devices: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


class Filled(NamedTuple):
    """Rows chosen for copies of one kind, in order, the devices of each (() for none), and the
    Failure of the rest; None where all were placed."""

    rows: list[int]
    devices: list[tuple[int, ...]]
    failure: Failure | None


class Engine:
    """Places tasks on a cluster by their own constraints and strategy chains.

    Args:
        cluster: the state to read and book on.
        rng: the only source of chance.
        strategies, constraints: factories by the type that a task names.
    """

    def __init__(
        self,
        cluster: Cluster,
        rng: Generator,
        strategies: Mapping[str, StrategyFactory] = STRATEGIES,
        constraints: Mapping[str, ConstraintFactory] = CONSTRAINTS,
    ) -> None:
        self.cluster, self.rng = cluster, rng
        self._strategies, self._constraints = strategies, constraints
        self._chains: dict[TaskKind, tuple[Strategy, ...]] = {}
        self._checks: dict[TaskKind, tuple[Constraint, ...]] = {}
        self._fixed: dict[object, tuple[int, BoolArray]] = {}
        # The last Failure of a kind, and the cluster's version then: nothing changed, same answer.
        self._failed: dict[TaskKind, tuple[int, Failure]] = {}

    def place(self, tasks: Sequence[TaskKind]) -> Decision:
        """Choose an instance for each task in turn and book it there.

        Returns:
            a row for every task, or -1 and a Failure; never both, never neither.
        Raises:
            PlacementError: a task names a strategy or constraint that is not known or makes no
                sense; nothing has been booked then.
        """
        for kind in dict.fromkeys(tasks):
            self.check(kind)
        rows = np.full(len(tasks), UNPLACED, np.int64)
        failures: dict[int, Failure] = {}
        devices: dict[int, tuple[int, ...]] = {}
        for position, kind in enumerate(tasks):
            placed = self._place_one(kind)
            if isinstance(placed, Failure):
                failures[position] = placed
                continue
            rows[position] = placed[0]
            if placed[1]:
                devices[position] = placed[1]
        return Decision(rows, failures, devices)

    def fill(self, kind: TaskKind, count: int) -> Filled:
        """Place up to `count` tasks of one kind; stop at the first that fits nowhere."""
        filled = Filled([], [], None)
        for _ in range(count):
            placed = self._place_one(kind)
            if isinstance(placed, Failure):
                return filled._replace(failure=placed)
            filled.rows.append(placed[0])
            filled.devices.append(placed[1])
        return filled

    def check(self, kind: TaskKind) -> None:
        """Raises PlacementError where `kind` names an unknown strategy or constraint."""
        self.chain(kind)
        self.checks(kind)

    def allowed(self, kind: TaskKind) -> BoolArray:
        """(size,) rows on which one more task of `kind` fits and may run."""
        cluster = self.cluster
        mask: BoolArray = cluster.active & cluster.agent_connected & self._fixed_mask(kind)
        mask &= (cluster.remaining >= cluster.demand(kind)).all(axis=1)
        if kind.tcp_ports or kind.udp_ports:
            mask &= cluster.ports_free(kind)
        if kind.devices:
            mask &= devices_free(kind, cluster)
        for check in self.checks(kind):
            if check.volatile:
                mask &= check.allows(kind, cluster)
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

    def scale_in(self, kind: TaskKind, rows: Sequence[int]) -> int:
        """Which of the tasks on `rows` to stop first: the chain of `kind` in reverse.

        Args:
            rows: (m,) the instance of each task that may be stopped, oldest task first; m >= 1.
        Returns:
            index into `rows`; among tasks that tie, the newest.
        """
        candidates = np.unique(np.asarray(rows, np.int64))
        for strategy in self.chain(kind):
            keys = strategy.keys(kind, self.cluster, candidates, self.rng)
            candidates = candidates[keys == keys.max()]
        hosts = set(candidates.tolist())
        return max(index for index, row in enumerate(rows) if row in hosts)

    def chain(self, kind: TaskKind) -> tuple[Strategy, ...]:
        """The strategies of `kind`, made once."""
        if kind not in self._chains:
            self._chains[kind] = tuple(
                _make(self._strategies, "strategy", s.type, s.field) for s in kind.strategies
            )
        return self._chains[kind]

    def checks(self, kind: TaskKind) -> tuple[Constraint, ...]:
        """The placement constraints of `kind`, made once, in the registry's order."""
        if kind not in self._checks:
            order = list(self._constraints)
            made = [
                (c.type, _make(self._constraints, "constraint", c.type, c.expression))
                for c in kind.constraints
            ]
            made.sort(key=lambda pair: order.index(pair[0]))
            self._checks[kind] = tuple(check for _, check in made)
        return self._checks[kind]

    def _place_one(self, kind: TaskKind) -> tuple[int, tuple[int, ...]] | Failure:
        failed = self._failed.get(kind)
        if failed is not None and failed[0] == self.cluster.version:
            return failed[1]
        candidates = np.flatnonzero(self.allowed(kind))
        if not len(candidates):
            failure = self.explain(kind)
            self._failed[kind] = (self.cluster.version, failure)
            return failure
        row = self._select(kind, candidates)
        devices = self._choose_devices(kind, row) if kind.devices else ()
        self.cluster.reserve(kind, row, devices)
        return row, devices

    def _select(self, kind: TaskKind, candidates: IntArray) -> int:
        for strategy in self.chain(kind):
            keys = strategy.keys(kind, self.cluster, candidates, self.rng)
            candidates = candidates[keys == keys.min()]
        return int(candidates[0])

    def _choose_devices(self, kind: TaskKind, row: int) -> tuple[int, ...]:
        """By the first strategy of the chain that cares, else the fullest that fit."""
        for strategy in self.chain(kind):
            if isinstance(strategy, DeviceChooser):
                return strategy.devices(kind, self.cluster, row, self.rng)
        return fullest_devices(kind, self.cluster, row)

    def _steps(self, kind: TaskKind) -> Iterator[tuple[str, BoolArray]]:
        yield from state_steps(kind, self.cluster)
        yield from attribute_steps(kind, self.cluster)
        for check in self.checks(kind):
            yield check.reason, check.allows(kind, self.cluster)

    def _fixed_mask(self, kind: TaskKind) -> BoolArray:
        """Rows allowed by everything that depends on attributes alone; kept until one changes."""
        key = (kind.required_attributes, kind.zones, kind.capacity_provider, kind.constraints)
        version, mask = self._fixed.get(key, (-1, None))
        if mask is None or version != self.cluster.attributes_version:
            mask = np.ones(self.cluster.size, np.bool_)
            for _, allows in attribute_steps(kind, self.cluster):
                mask &= allows
            for check in self.checks(kind):
                if not check.volatile:
                    mask &= check.allows(kind, self.cluster)
            self._fixed[key] = (self.cluster.attributes_version, mask)
        return mask


def _make(
    registry: Mapping[str, Callable[[str | None], _Made]], what: str, name: str, field: str | None
) -> _Made:
    if name not in registry:
        raise PlacementError(f"unknown placement {what} {name!r}; known: {', '.join(registry)}")
    try:
        return registry[name](field)
    except ValueError as error:
        raise PlacementError(f"placement {what} {name}: {error}") from error
