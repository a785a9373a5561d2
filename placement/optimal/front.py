"""Savings against moves: what a given number of moves is worth, each point proven.

Where all instances in use cost the same, every number of instances that can be freed is a point,
with the fewest moves that free so many. Where prices differ, further points are those that some
price of a move makes best: between two neighbours the moves are weighed as the two weigh them,
until nothing lies beyond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from stowplan.placement.cluster.cluster import IntArray
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.repack import (
    RepackPlan,
    SpreadBy,
    free_instances,
    keep_spread,
    trade_off,
)
from stowplan.placement.optimal.repack_state import RepackState
from stowplan.placement.packing.problem import Limits

POINTS_MOST = 200
Solve = Callable[[RepackState], Answer[RepackPlan]]


@dataclass(frozen=True)
class FrontPoint:
    """So many moves, and what they save an hour.

    Args:
        moves: of tasks, in the plan of `answer`.
        saves: microdollars an hour, the price of the instances that the moves free.
        answer: of the question that led here; its status "optimal" says that it is proven.
    """

    moves: int
    saves: int
    answer: Answer[RepackPlan]

    @property
    def freed(self) -> int:
        """Instances that hold no task in the end and held one before."""
        return 0 if self.answer.plan is None else len(self.answer.plan.freed)


def savings_front(
    made: Callable[[SpreadBy], RepackState],
    prices: Sequence[int],
    limits: Callable[[], Limits],
    spread_by: SpreadBy,
) -> tuple[FrontPoint, ...]:
    """The front, from the fewest moves to the most; empty where nothing can be freed.

    Args:
        made: the state where kinds are spread by what a function says (see `keep_spread`).
        prices: (instances,) microdollars an hour.
        limits: of each question; they end all once there is no time left.
    """
    price = np.array(prices, dtype=np.int64)
    found: list[FrontPoint] = []
    for count in range(1, POINTS_MOST):
        answer = keep_spread(made, _free(count, limits), spread_by)
        if answer.plan is None or answer.interrupted:
            break
        found.append(_point(answer, price))
    if found and len({int(price[row]) for point in found for row in _freed(point)}) > 1:
        found += _between(made, price, limits, spread_by, FrontPoint(0, 0, found[0].answer), found)
    return undominated(found)


def _freed(point: FrontPoint) -> tuple[int, ...]:
    return () if point.answer.plan is None else point.answer.plan.freed


def _point(answer: Answer[RepackPlan], price: IntArray) -> FrontPoint:
    assert answer.plan is not None
    saves = int(price[list(answer.plan.freed)].sum())
    return FrontPoint(len(answer.plan.moves), saves, answer)


def _between(
    made: Callable[[SpreadBy], RepackState],
    price: IntArray,
    limits: Callable[[], Limits],
    spread_by: SpreadBy,
    origin: FrontPoint,
    found: Sequence[FrontPoint],
) -> list[FrontPoint]:
    """Points beyond the lines that join neighbours."""
    line = [origin, *undominated(found)]
    gaps = list(pairwise(line))
    more: list[FrontPoint] = []
    while gaps and len(more) < POINTS_MOST:
        low, high = gaps.pop()
        moves, saves = high.moves - low.moves, high.saves - low.saves
        if moves <= 0 or saves <= 0:
            continue
        answer = keep_spread(made, _weigh(price * moves, saves, limits), spread_by)
        if answer.plan is None or answer.interrupted:
            continue
        point = _point(answer, price)
        if (point.saves - low.saves) * moves > (point.moves - low.moves) * saves:
            more.append(point)
            gaps += [(low, point), (point, high)]
    return more


def _free(count: int, limits: Callable[[], Limits]) -> Solve:
    return lambda state: free_instances(state, count, limits())


def _weigh(price: IntArray, move_cost: int, limits: Callable[[], Limits]) -> Solve:
    return lambda state: trade_off(state, price, move_cost, limits())


def undominated(points: Sequence[FrontPoint]) -> tuple[FrontPoint, ...]:
    """Those that no other equals with fewer moves, or beats with as many; by moves."""
    kept: list[FrontPoint] = []
    for point in sorted(points, key=lambda each: (each.moves, -each.saves)):
        if point.saves > (kept[-1].saves if kept else 0):
            kept.append(point)
    return tuple(kept)
