"""Tasks that come one by one, and somebody who decides where each goes: what `sp.gym` plays.

It knows nothing of gymnasium. Room is what the engine says is room, and bookings are the cluster's.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stowplan.placement.cluster.cluster import BoolArray, Cluster, IntArray
from stowplan.placement.engine.batch import TaskBatch
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import CPU, MEMORY, TaskKind

# Of an instance: CPU and memory left as shares of the most that any has, whether it holds a task;
# and the same two shares of what the task wants, equal for all.
FEATURES = ("cpu_left", "memory_left", "busy", "cpu_wanted", "memory_wanted")
Floats = NDArray[np.float32]
Policy = Callable[[Floats, BoolArray], Any]


@dataclass(slots=True)
class _Live:
    """What an episode is made of, all of it."""

    cluster: Cluster
    remaining: IntArray  # the cluster's own, and the tasks on each: looked at in every step
    tasks: NDArray[np.int32]
    index: list[int]  # (m,) the kind of each task
    arrive_s: list[float]
    stay_s: list[float]
    seen: Floats  # (features, n) what is observed, but for the task
    mask: BoolArray  # (n,) where the task whose turn it is has room
    position: int = 0  # whose turn it is
    now_s: float = 0.0
    busy: int = 0
    refused: int = 0
    cost: float = 0.0  # since the last decision
    ends: list[tuple[float, int, int]] = field(default_factory=list)  # when, kind, row


class Episode:
    """Tasks of a batch in an order that is drawn, on a cluster that is empty at first.

    Args:
        batch: the tasks. cluster: the instances; stays as it is.
        rate_per_s, mean_s: how often a task comes and how long it stays, both exponential; None:
            all come at once and stay.
        refusal: what a task without a place costs.
    """

    def __init__(
        self,
        batch: TaskBatch,
        cluster: Cluster,
        *,
        rate_per_s: float | None,
        mean_s: float | None,
        refusal: float,
    ) -> None:
        self._batch, self._empty, self._refusal = batch, cluster, refusal
        self._rate_per_s, self._mean_s = rate_per_s, mean_s
        # Asked about attributes alone, so one engine serves all copies of the cluster.
        self._engine = Engine(cluster, np.random.default_rng(0), kernels=False)
        for kind in batch.kinds:
            self._engine.check(kind)
            cluster.demand(kind)
        self._shares = shares_of(cluster)
        self._asks = [_Asks(kind, self._engine) for kind in batch.kinds]
        self._live: _Live | None = None

    @property
    def size(self) -> int:
        """How many instances there are."""
        return self._empty.size

    def begin(self, rng: Generator) -> tuple[Floats, dict[str, Any]]:
        """A new episode: the first observation and its info."""
        tasks = len(self._batch)
        arrive, stay = np.zeros(tasks), np.zeros(tasks)
        index = rng.permutation(self._batch.index)
        if self._rate_per_s is not None and self._mean_s is not None:
            arrive = np.cumsum(rng.exponential(1 / self._rate_per_s, tasks))
            stay = rng.exponential(self._mean_s, tasks)
        cluster = self._empty.copy()
        seen = np.ascontiguousarray(observed(cluster, None).T)
        mask = np.zeros(cluster.size, np.bool_)
        self._live = _Live(
            cluster,
            cluster.remaining,
            cluster.running_tasks_count,
            index.tolist(),
            arrive.tolist(),
            stay.tolist(),
            seen,
            mask,
        )
        self._seek(self._live)
        self._live.cost = 0.0
        return self._observation(self._live), self._info(self._live)

    def decide(self, action: int) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """The task whose turn it is goes to instance `action`; where it has no room it is refused.

        Returns:
            observation, reward, whether all tasks had their turn, False, info.
        """
        live = self._live
        assert live is not None, "an episode begins with reset"
        if live.position < len(live.index):
            if live.mask[action]:
                self._book(live, int(action))
            else:
                self._refuse(live)
            live.position += 1
            self._seek(live)
        reward, live.cost = -live.cost, 0.0
        done = live.position >= len(live.index)
        return self._observation(live), reward, done, False, self._info(live)

    def action_masks(self) -> BoolArray:
        """(n,) whether the task whose turn it is has room on each instance."""
        assert self._live is not None, "an episode begins with reset"
        return self._live.mask

    def snapshot(self) -> Any:
        """All of the episode as it is, for `restore`."""
        assert self._live is not None, "an episode begins with reset"
        return _copy(self._live)

    def restore(self, snapshot: Any) -> None:
        """Go on from a snapshot, which may be used again."""
        self._live = _copy(snapshot)

    # --- inside -----------------------------------------------------------------------------------

    def _seek(self, live: _Live) -> None:
        """Go on to the next task that has room anywhere; those before it are refused."""
        while live.position < len(live.index):
            self._pass_until(live, live.arrive_s[live.position])
            asks = self._asks[live.index[live.position]]
            live.mask = asks.room(live.cluster, live.remaining)
            live.mask.flags.writeable = False  # it is handed out
            if live.mask.any():
                return
            self._refuse(live)
            live.position += 1
        live.mask = np.zeros(self.size, np.bool_)
        live.mask.flags.writeable = False

    def _pass_until(self, live: _Live, at_s: float) -> None:
        """Tasks end, and instances that are busy cost."""
        while live.ends and live.ends[0][0] <= at_s:
            end_s, kind, row = heapq.heappop(live.ends)
            self._charge(live, end_s)
            live.cluster.release(self._batch.kinds[kind], row)
            self._changed(live, row)
            live.busy -= not live.tasks[row]
        self._charge(live, at_s)

    def _charge(self, live: _Live, at_s: float) -> None:
        if self._mean_s is not None:
            live.cost += live.busy * (at_s - live.now_s) / self._mean_s
        live.now_s = at_s

    def _refuse(self, live: _Live) -> None:
        live.refused += 1
        live.cost += self._refusal

    def _book(self, live: _Live, row: int) -> None:
        kind = int(live.index[live.position])
        opened = not live.tasks[row]
        live.cluster.reserve(self._batch.kinds[kind], row)
        self._changed(live, row)
        live.busy += opened
        if self._mean_s is None:
            live.cost += opened
        else:
            end_s = live.now_s + live.stay_s[live.position]
            heapq.heappush(live.ends, (end_s, kind, row))

    def _changed(self, live: _Live, row: int) -> None:
        remaining, seen = live.remaining, live.seen
        for at, (column, share) in enumerate(self._shares):
            seen[at, row] = min(max(remaining.item(row, column) * share, 0.0), 1.0)
        seen[2, row] = live.tasks.item(row) > 0

    def _observation(self, live: _Live) -> Floats:
        found = live.seen.copy()
        if live.position < len(live.index):
            found[3], found[4] = self._asks[live.index[live.position]].wanted
        return found.T

    def _info(self, live: _Live) -> dict[str, Any]:
        return {"action_mask": live.mask, "refused": live.refused, "busy": live.busy}


class _Asks:
    """What one kind of task asks for, ready to be asked of every state."""

    def __init__(self, kind: TaskKind, engine: Engine) -> None:
        cluster = engine.cluster
        demand = cluster.demand(kind)
        self.wanted = shares(demand, cluster).tolist()
        self._kind, self._engine = kind, engine
        self._columns = [(int(c), int(demand[c])) for c in np.flatnonzero(demand)]
        self._fixed = engine.fixed_mask(kind) & cluster.active & cluster.agent_connected
        ports = kind.tcp_ports or kind.udp_ports or kind.devices
        self._simple = not ports and not any(c.volatile for c in engine.checks(kind))

    def room(self, cluster: Cluster, remaining: IntArray) -> BoolArray:
        """(n,) where one more has room; the same as `Engine.allowed`."""
        if not self._simple:
            return self._engine.on(cluster).allowed(self._kind)
        mask = self._fixed
        for column, amount in self._columns:
            mask = mask & (remaining[:, column] >= amount)
        return mask


def shares(amounts: Any, cluster: Cluster) -> Any:
    """CPU and memory of (..., resources) amounts as shares of the most that an instance has."""
    (cpu, of_cpu), (memory, of_memory) = shares_of(cluster)
    found = np.stack([amounts[..., cpu] * of_cpu, amounts[..., memory] * of_memory], axis=-1)
    return np.clip(found, 0, 1).astype(np.float32)


def shares_of(cluster: Cluster) -> tuple[tuple[int, float], ...]:
    """Of CPU and memory: the column, and what share of the most that an instance has a unit is."""
    columns = (cluster.resources.index(name) for name in (CPU, MEMORY))
    return tuple((column, 1 / max(int(cluster.largest[column]), 1)) for column in columns)


def observed(cluster: Cluster, task: TaskKind | None) -> Floats:
    """(n, features) what is observed of a cluster and of a task, if there is one."""
    found = np.zeros((cluster.size, len(FEATURES)), np.float32)
    found[:, :2] = shares(cluster.remaining, cluster)
    found[:, 2] = cluster.running_tasks_count > 0
    if task is not None:
        found[:, 3:] = shares(cluster.demand(task), cluster)
    return found


def _copy(live: _Live) -> _Live:
    cluster = live.cluster.copy()
    return replace(
        live,
        cluster=cluster,
        remaining=cluster.remaining,
        tasks=cluster.running_tasks_count,
        seen=live.seen.copy(),
        ends=list(live.ends),
    )


class PolicyStrategy:
    """A policy as a strategy: the candidate that it scores highest."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> NDArray[Any]:
        """Minus the scores."""
        mask = np.zeros(cluster.size, np.bool_)
        mask[candidates] = True
        scores = np.asarray(self.policy(observed(cluster, task), mask), np.float64)
        return -scores[candidates]
