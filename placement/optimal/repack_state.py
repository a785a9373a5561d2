"""A cluster with its tasks as a `RepackProblem`, and back: which task goes where.

Host ports, PORTS, ENIs and GPUs are dimensions like CPU; so is "at most so many of this group".
What numbers cannot say (attributes, zones, queries) is a mask. Tasks stay where they are if they
hold shares of divisible devices, or have a constraint that depends on other tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from stowplan.placement.cluster.cluster import BoolArray, IntArray
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import TaskKind
from stowplan.placement.outlook import Running
from stowplan.placement.packing.repack.problem import RepackProblem


class RepackState:
    """What is to be repacked, in the terms of the engine and in those of the solver.

    Args:
        engine: with the cluster on which `running` are booked; it is read, not changed.
        running: every task that is booked.
        waiting: kinds that ask for room, one entry a task.
        spread_by: the attribute over whose values a kind is spread, as `attribute:NAME`; of each
            kind as many tasks stay with each value as are there now. None: it is not spread.
        moves: whether a task may be moved at all; the others stay where they are.
    """

    def __init__(
        self,
        engine: Engine,
        running: Sequence[Running],
        waiting: Sequence[TaskKind] = (),
        spread_by: Callable[[TaskKind], str | None] = lambda _: None,
        moves: Callable[[Running], bool] = lambda _: True,
    ) -> None:
        self.engine, self.running, self.waiting = engine, tuple(running), tuple(waiting)
        self.spread_by = spread_by
        self.movable = [t for t in running if not t.daemon and _may_move(engine, t.kind)]
        self.movable = [t for t in self.movable if moves(t)]
        cluster = engine.cluster
        for kind in dict.fromkeys([*(t.kind for t in self.movable), *waiting]):
            cluster.demand(kind)  # a name that is new to the cluster adds a column
        homes = [*((t.kind, self.home(t.kind, t.row)) for t in self.movable)]
        homes = list(dict.fromkeys([*homes, *((kind, None) for kind in waiting)]))
        kinds = [kind for kind, _ in homes]
        moving = set(self.movable)
        staying = [t for t in running if t not in moving]
        here = self._counted(self.movable, homes)
        demand, capacity = self._dimensions(kinds, here)
        usable = cluster.active & cluster.agent_connected
        masks = [usable & engine.fixed_mask(home[0]) & self._at_home(*home) for home in homes]
        allowed = np.array(masks, np.bool_).reshape(len(kinds), cluster.size)
        table = np.column_stack([demand, allowed]).astype(np.int64)
        _, first, shape = np.unique(table, axis=0, return_index=True, return_inverse=True)
        shape = shape.reshape(-1)
        self.shape_of = dict(zip(homes, shape.tolist(), strict=True))
        held = np.zeros((cluster.size, len(first)), np.int64)
        np.add.at(held.T, shape, here.T)
        counts = held.sum(axis=0)
        for kind in waiting:
            counts[self.shape(kind, None)] += 1
        demand = demand[first]
        self._base = (
            demand,
            counts,
            np.maximum(capacity, held @ demand),
            held,
            allowed[first].T.reshape(cluster.size, len(first)),
        )
        self.releasable = cluster.present.copy()
        self.releasable[[t.row for t in staying if not t.daemon]] = False

    def home(self, kind: TaskKind, row: int | None) -> str | None:
        """The value of the attribute over which a kind is spread, on this instance."""
        field = self.spread_by(kind)
        if field is None or row is None:
            return None
        codes, values = self.engine.cluster.column(field)
        return values[codes[row]] if codes[row] >= 0 else ""

    def shape(self, kind: TaskKind, row: int | None) -> int:
        """The shape of a task of this kind on this instance; None: of one that waits."""
        return self.shape_of[kind, self.home(kind, row)]

    def _at_home(self, kind: TaskKind, home: str | None) -> BoolArray:
        """(instances,) those with this value of the attribute over which a kind is spread."""
        cluster = self.engine.cluster
        field = self.spread_by(kind)
        if field is None or home is None:
            return np.ones(cluster.size, np.bool_)
        codes, values = cluster.column(field)
        here: BoolArray = codes == (values.index(home) if home in values else -1)
        return here

    def problem(
        self, *, free: int = 0, price: IntArray | None = None, move_cost: int = 1
    ) -> RepackProblem:
        """The problem in numbers; see there."""
        size = self.engine.cluster.size
        price = np.zeros(size, np.int64) if price is None else price
        return RepackProblem(*self._base, price, self.releasable, free, move_cost)

    def _counted(
        self, tasks: Iterable[Running], homes: Sequence[tuple[TaskKind, str | None]]
    ) -> IntArray:
        """(instances, kinds) tasks of each kind and home on each instance."""
        index = {home: k for k, home in enumerate(homes)}
        counts = np.zeros((self.engine.cluster.size, len(homes)), np.int64)
        for t in tasks:
            counts[t.row, index[t.kind, self.home(t.kind, t.row)]] += 1
        return counts

    def _dimensions(self, kinds: list[TaskKind], here: IntArray) -> tuple[IntArray, IntArray]:
        """(kinds, d) what each takes, and (instances, d) what there is for those that may move."""
        cluster = self.engine.cluster
        demand = np.array([cluster.demand(kind) for kind in kinds], np.int64)
        demand = demand.reshape(len(kinds), len(cluster.resources))
        columns = [demand]
        room = [cluster.remaining + here @ demand]
        for protocol, port in sorted({p for kind in kinds for p in _ports(kind)}):
            takes = np.array([(protocol, port) in _ports(kind) for kind in kinds], np.int64)
            tcp, udp = ((port,), ()) if protocol == "tcp" else ((), (port,))
            probe = TaskKind((), "", tcp, udp)
            free = cluster.ports_free(probe) | (here @ takes > 0)
            columns.append(takes[:, None])
            room.append(free[:, None].astype(np.int64))
        for group, most in sorted({limit for kind in kinds for limit in self._limits(kind)}):
            takes = np.array([(group, most) in self._limits(k) for k in kinds], np.int64)
            mine = np.array([k.group == group for k in kinds], np.int64)
            others = cluster.group_count(group) - here @ mine
            columns.append(takes[:, None])
            room.append(np.maximum(most - others, 0)[:, None].astype(np.int64))
        return np.hstack(columns), np.hstack(room)

    def _limits(self, kind: TaskKind) -> list[tuple[str, int]]:
        """(group, most on an instance) by its constraints."""
        checks = self.engine.checks(kind)
        return [(kind.group, check.most) for check in checks if check.most is not None]


def _ports(kind: TaskKind) -> frozenset[tuple[str, int]]:
    tcp = [("tcp", port) for port in kind.tcp_ports]
    return frozenset(tcp + [("udp", port) for port in kind.udp_ports])


def _may_move(engine: Engine, kind: TaskKind) -> bool:
    return not kind.devices and not any(check.opaque for check in engine.checks(kind))
