"""Capacity provider strategies: which provider each task goes to, by base and weight."""

from __future__ import annotations

from collections.abc import Sequence

from stowplan.placement.errors import PlacementError
from stowplan.placement.messages.capacity import CapacityProviderStrategy

ITEMS_MAX, BASE_MAX, WEIGHT_MAX = 20, 100_000, 1_000


def check_strategy(strategy: CapacityProviderStrategy) -> None:
    """Raises PlacementError where ECS would refuse a strategy (ecs-semantics 6.6)."""
    if not strategy:
        return
    names = [item.capacity_provider for item in strategy]
    if len(strategy) > ITEMS_MAX:
        raise PlacementError(f"{len(strategy)} capacity providers, {ITEMS_MAX} allowed")
    if len(set(names)) < len(names):
        raise PlacementError(f"a capacity provider is named twice: {', '.join(names)}")
    if any(not (0 <= i.base <= BASE_MAX and 0 <= i.weight <= WEIGHT_MAX) for i in strategy):
        raise PlacementError(f"base 0 to {BASE_MAX} and weight 0 to {WEIGHT_MAX} expected")
    if sum(item.base > 0 for item in strategy) > 1:
        raise PlacementError("only one capacity provider may have a base")
    if len(strategy) > 1 and not any(item.weight for item in strategy):
        raise PlacementError("all capacity providers have weight 0")


def deal(strategy: CapacityProviderStrategy, count: int, have: Sequence[int]) -> list[int]:
    """How many of `count` more tasks go to each item of a strategy.

    The base comes first; then each task goes to the item that is furthest behind its share of all
    beyond the base, the first of those in the order of the strategy. AWS says no more than that
    tasks are split in the ratio of the weights (ecs-semantics 6.6).

    Args:
        have: the tasks that each item has already.
    """
    dealt = [0] * len(strategy)
    if len(strategy) == 1:
        return [count]
    beyond = [max(0, n - item.base) for n, item in zip(have, strategy, strict=True)]
    for index, item in enumerate(strategy):
        dealt[index] = min(count, max(0, item.base - have[index]))
        count -= dealt[index]
    weights = [item.weight for item in strategy]
    whole, total = sum(weights), sum(beyond)
    for _ in range(count):
        total += 1
        # Shares of `total`, times the sum of weights, so that all stays in integers.
        pairs = zip(weights, beyond, strict=True)
        behind = [w * total - b * whole if w else -1 << 62 for w, b in pairs]
        index = behind.index(max(behind))
        beyond[index] += 1
        dealt[index] += 1
    return dealt
