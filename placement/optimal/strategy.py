"""The optimal mode as a link of a chain: prefer the instances that the last plan chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from stowplan.placement.model import TaskKind

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import BoolArray, Cluster, IntArray
    from stowplan.placement.engine.engine import Engine
    from stowplan.placement.outlook import Outlook, Running

PLANNED, KEPT, USED, UNUSED = range(4)
EVERY_MS, WORK = 60_000, 2_000.0


class Optimal:
    """Prefer, in this order: instances where the plan wants a task of this group, those that the
    plan keeps, others in use, empty ones. What ties is for the next link of the chain to decide.

    Two plans are made, both with a limit on work rather than time, so that a run repeats. Every so
    many seconds: how the tasks that run would fit on the fewest instances with the fewest moves.
    ECS moves nothing, but what comes goes where it belongs, and what the plan empties is let run
    empty. And for every round in which more than one task is asked for: on which instances they go
    together, so that most are placed and fewest are begun. No task is held back for the sake of
    others: what fits is placed, as ECS does.

    Its `field` is `EVERY` or `EVERY/WORK`: `optimal:30s`, `optimal:5m/500`.
    """

    def __init__(self, field: str | None = None) -> None:
        """Raises ValueError for a field that is not a duration and a positive number of units."""
        from stowplan.placement.units import parse_duration_ms

        every, slash, work = (field or "").partition("/")
        self._every_ms = parse_duration_ms(every) if every else EVERY_MS
        if slash and (not work.isdecimal() or int(work) < 1):
            raise ValueError(f"expected a number of work units above 0, found {work!r}")
        self._work = float(work) if slash else WORK
        self._due_ms = 0
        self._version = -1
        self._kept: BoolArray = np.zeros(0, np.bool_)
        self._goals: dict[str, IntArray] = {}

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> IntArray:
        """0 to 3 by the order above; without a plan 2 for instances in use and 3 for others."""
        known = candidates < len(self._kept)
        rows = np.minimum(candidates, max(len(self._kept) - 1, 0))
        used = cluster.running_tasks_count[candidates] > 0
        keys = np.where(used, USED, UNUSED).astype(np.int64)
        if len(self._kept):
            keys[known & used & self._kept[rows]] = KEPT
        goal = self._goals.get(task.group)
        if goal is not None:
            keys[known & (cluster.group_count(task.group)[candidates] < goal[rows])] = PLANNED
        return keys

    def look_ahead(self, now_ms: int, outlook: Outlook, engine: Engine) -> None:
        """See `Planner`."""
        if now_ms >= self._due_ms and engine.cluster.version != self._version:
            self._due_ms = now_ms + self._every_ms
            self._version = engine.cluster.version
            self._plan_all(outlook.running(), engine)
        wanted = outlook.wanted()
        if sum(count for _, count in wanted) > 1:
            self._plan_batch(wanted, engine)

    def _plan_all(self, running: Sequence[Running], engine: Engine) -> None:
        from stowplan.placement.optimal.advice import kept_and_wanted

        self._kept, self._goals = kept_and_wanted(engine, running, self._work)

    def _plan_batch(self, wanted: Sequence[tuple[TaskKind, int]], engine: Engine) -> None:
        from stowplan.placement.optimal.advice import best_batch

        size = engine.cluster.size
        if len(self._kept) < size:
            # Instances that are new since the last plan of all were not said to be emptied.
            self._kept = np.append(self._kept, np.ones(size - len(self._kept), np.bool_))
            self._goals = {}
        self._goals |= best_batch(engine, wanted, self._work)
