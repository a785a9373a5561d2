"""The table that prices all types at once, against trying every content."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stowplan.placement.packing.fleet.grid import Grid
from stowplan.placement.packing.fleet.market import Market
from stowplan.placement.packing.fleet.prices import Prices
from stowplan.placement.packing.problem import Limits
from stowplan.placement.packing.state import Budget


def made(seed: int) -> tuple[Market, np.ndarray]:
    """Two resources in round numbers, a port that two kinds share, and a limit of one kind."""
    rng = np.random.default_rng(seed)
    kinds, types = 5, 4
    demand = np.zeros((kinds, 4), np.int64)
    demand[:, :2] = rng.integers(1, 6, (kinds, 2)) * [128, 512]
    demand[rng.choice(kinds, 2, replace=False), 2] = 1
    demand[rng.integers(kinds), 3] = 1
    capacities = np.column_stack(
        [rng.integers(100, 1500, types), rng.integers(400, 6000, types), *np.ones((2, types))]
    ).astype(np.int64)
    market = Market(
        demand, rng.integers(1, 5, kinds), capacities, rng.integers(1, 9, types), (None,) * types
    )
    return market, rng.integers(0, 1000, kinds)


def best(market: Market, values: np.ndarray, kind: int) -> int:
    """By trying every content."""
    most = market.per_bin(kind).tolist()
    return max(
        int(values @ content)
        for content in itertools.product(*(range(n + 1) for n in most))
        if (np.array(content) @ market.demand <= market.capacities[kind]).all()
    )


@pytest.mark.parametrize("seed", range(30))
def test_the_table_has_the_best_content_of_every_type(seed):
    market, values = made(seed)
    grid = Grid.of(market)
    assert grid is not None
    assert grid.held.all()
    grid.fill(values)
    for kind in range(len(market.prices)):
        wanted = best(market, values, kind)
        assert grid.ceilings()[kind] >= wanted
        found = grid.search(kind, 0, 4)
        assert found.complete
        assert found.best == wanted
        assert (found.patterns @ market.demand <= market.capacities[kind]).all()
        assert (found.patterns <= market.counts).all()
        worth = found.patterns @ values
        assert wanted == max(worth, default=0)
        assert (worth > 0).all()


@pytest.mark.parametrize("seed", range(30))
def test_what_volume_rules_out_is_worth_no_more(seed):
    market, values = made(seed)
    prices = Prices(market, Budget(Limits()))
    prices.held[:] = False
    wanted = np.array([best(market, values, kind) for kind in range(len(market.prices))])
    assert not prices.hopeless(values, wanted - 1).any()  # none of worth: not asked
    assert prices.hopeless(values, 100 * wanted + 100).all()


def test_a_grid_too_fine_is_none():
    market, _ = made(0)
    fine = Market(
        market.demand * 1009 + 1, market.counts * 10_000, market.capacities * 1009,
        market.prices, market.limits,
    )  # fmt: skip
    assert Grid.of(fine) is None
