"""Cheapest fleets against brute force, and their zones, limits and infeasible cases."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.experiments.bench.fleets import twenty_definitions
from stowplan.placement.packing.fleet.coarse import TIGHTEST, shared_limits
from stowplan.placement.packing.fleet.market import Market
from stowplan.placement.packing.fleet.problem import BinType, FleetProblem
from stowplan.placement.packing.fleet.shares import split_evenly
from stowplan.placement.packing.fleet.solve import solve_fleet
from stowplan.placement.packing.fleet.volume import mixed_bound, volume_bound
from stowplan.placement.packing.problem import Limits
from stowplan.placement.packing.verify import check_fleet


def cheapest(problem: FleetProblem) -> int | None:
    """By trying every assignment of items to bins and of types to bins; None if none fits."""
    items = [
        row
        for row, n in zip(problem.demand.tolist(), problem.counts.tolist(), strict=True)
        for _ in range(n)
    ]
    best: int | None = None

    def buy(loads: list[list[int]]) -> None:
        nonlocal best
        fitting = [
            [
                t
                for t, kind in enumerate(problem.types)
                if all(x <= c for x, c in zip(load, kind.capacity.tolist(), strict=True))
            ]
            for load in loads
        ]
        for types in itertools.product(*fitting):
            bought = [types.count(t) for t in range(len(problem.types))]
            over = any(
                kind.limit is not None and n > kind.limit
                for kind, n in zip(problem.types, bought, strict=True)
            )
            cost = sum(kind.price * n for kind, n in zip(problem.types, bought, strict=True))
            if not over and (best is None or cost < best):
                best = cost

    def place(k: int, loads: list[list[int]]) -> None:
        if k == len(items):
            buy(loads)
            return
        for b in range(len(loads)):
            more = [x + y for x, y in zip(loads[b], items[k], strict=True)]
            place(k + 1, [*loads[:b], more, *loads[b + 1 :]])
        place(k + 1, [*loads, items[k]])

    place(0, [])
    return best


@st.composite
def markets(draw: st.DrawFn) -> FleetProblem:
    d = draw(st.integers(1, 2))
    types = tuple(
        BinType(
            f"type{t}",
            np.array(draw(st.lists(st.integers(1, 20), min_size=d, max_size=d))),
            draw(st.integers(0, 50)),
            draw(st.one_of(st.none(), st.integers(0, 2))),
        )
        for t in range(draw(st.integers(1, 3)))
    )
    kinds = draw(st.integers(1, 3))
    demand = draw(
        st.lists(
            st.lists(st.integers(0, 12), min_size=d, max_size=d), min_size=kinds, max_size=kinds
        )
    )
    counts = draw(st.lists(st.integers(0, 2), min_size=kinds, max_size=kinds))
    return FleetProblem(np.array(demand), np.array(counts), types)


@settings(max_examples=100)
@given(markets())
def test_small_markets_are_solved_as_by_brute_force(problem):
    best = cheapest(problem)
    result = solve_fleet(problem)
    if result.status == "infeasible":
        assert best is None
        return
    check_fleet(problem, result.fleet, result.cost)
    assert (result.status, result.cost, result.lower_bound) == ("optimal", best, best)


def services(zones: int = 1, limit: int | None = None) -> FleetProblem:
    rng = np.random.default_rng(0)
    demand = np.column_stack([rng.integers(1, 17, 8) * 128, rng.integers(1, 33, 8) * 128])
    types = (
        BinType("large", np.array([2048, 7800]), 96_000, limit),
        BinType("xlarge", np.array([4096, 15700]), 192_000, limit),
        BinType("compute", np.array([4096, 7800]), 170_000, limit),
    )
    return FleetProblem(demand, rng.integers(50, 150, 8), types, zones)


@pytest.mark.parametrize(("zones", "most"), [(1, 0.003), (3, 0.02)])
def test_a_thousand_tasks_come_close_to_the_bound(zones, most):
    problem = services(zones)
    result = solve_fleet(problem, Limits(work=500))
    check_fleet(problem, result.fleet, result.cost)
    assert result.lower_bound <= result.cost
    assert result.gap <= most


@pytest.mark.long
def test_the_same_seed_and_work_give_the_same_fleet():
    first, second = (solve_fleet(services(), Limits(work=500, seed=2)) for _ in range(2))
    assert (first.cost, first.lower_bound, first.work) == (
        second.cost, second.lower_bound, second.work,
    )  # fmt: skip


@pytest.mark.long
def test_limits_on_types_are_kept():
    free = solve_fleet(services(), Limits(work=500))
    bought = [sum(b.bins.copies for b in free.fleet if b.type == t) for t in range(3)]
    tight = services(limit=int(max(bought) * 0.8))
    limited = solve_fleet(tight, Limits(work=1_000))
    check_fleet(tight, limited.fleet, limited.cost)
    assert limited.cost > free.cost


def test_items_that_fit_no_type_are_named():
    types = (BinType("small", np.array([4]), 1), BinType("sold out", np.array([9]), 1, 0))
    result = solve_fleet(FleetProblem(np.array([[3], [7]]), np.array([1, 1]), types))
    assert (result.status, result.unplaceable) == ("infeasible", (1,))
    assert "kinds 1 fit no type" in result.reason


def test_limits_too_low_name_the_items_that_find_no_room():
    types = (BinType("small", np.array([4]), 1), BinType("big", np.array([9]), 5, 2))
    result = solve_fleet(FleetProblem(np.array([[3], [7]]), np.array([4, 3]), types))
    assert (result.status, result.unplaceable) == ("infeasible", (1,))
    assert "limits" in result.reason


def test_an_interrupt_returns_the_best_so_far():
    def interrupt(entry):
        if entry.incumbent is not None:
            raise KeyboardInterrupt

    result = solve_fleet(services(), progress=interrupt)
    assert result.interrupted
    check_fleet(services(), result.fleet, result.cost)


def test_no_tasks_need_no_fleet():
    problem = FleetProblem(np.array([[1]]), np.array([0]), (BinType("a", np.array([1]), 5),))
    result = solve_fleet(problem)
    assert (result.status, result.cost, result.fleet) == ("optimal", 0, ())


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(1, 5))
def test_even_shares_differ_by_one_at_most(counts, zones):
    shares = split_evenly(np.array(counts), zones)
    assert (shares.sum(axis=0) == counts).all()
    assert (shares.max(axis=0) - shares.min(axis=0) <= 1).all()
    assert np.ptp(shares.sum(axis=1)) <= 1


@pytest.mark.long
@pytest.mark.parametrize(("zones", "most"), [(1, 0.0002), (3, 0.001)])
def test_ten_thousand_tasks_meet_their_bars(zones, most):
    problem = twenty_definitions(np.random.default_rng(0), zones)
    result = solve_fleet(problem, Limits(work=60_000))
    assert result.gap <= most


def test_many_groups_with_limits_are_solved_coarsely_and_the_limits_kept():
    """120 groups of three sizes, at most two of a group on an instance; also in two zones."""
    rng = np.random.default_rng(0)
    sizes = np.array([[300, 200], [500, 900], [1000, 700]])[rng.integers(0, 3, 120)]
    demand = np.hstack([sizes, np.eye(120, dtype=np.int64)])
    types = tuple(
        BinType(name, np.append([cpu, memory], np.full(120, 2)), price)
        for name, cpu, memory, price in (("l", 2048, 2000, 50), ("xl", 4096, 4000, 98))
    )
    for zones in (1, 2):
        problem = FleetProblem(demand, rng.integers(1, 30, 120), types, zones)
        assert shared_limits(problem).sum() == 120 - TIGHTEST
        result = solve_fleet(problem, Limits(work=300))
        check_fleet(problem, result.fleet, result.cost)
        assert result.gap <= 0.03


def test_a_group_that_needs_most_bins_is_not_solved_coarsely():
    """Its limit decides: 400 small tasks, one on an instance, though a hundred would fit."""
    demand = np.hstack([np.full((120, 1), 10), np.eye(120, dtype=np.int64)])
    types = (BinType("one", np.append([1000], np.ones(120, dtype=np.int64)), 7),)
    counts = np.full(120, 5)
    counts[50] = 400
    result = solve_fleet(FleetProblem(demand, counts, types), Limits(work=300))
    assert (result.status, result.cost) == ("optimal", 400 * 7)


def test_a_bound_by_volume_is_there_at_once():
    demand, counts = np.array([[2, 1], [1, 5]]), np.array([10, 4])
    capacities, prices = np.array([[8, 4], [4, 16]]), np.array([10, 7])
    market = Market(demand, counts, capacities, prices, (None, None))
    # 24 units at 10/8, 30 units at 7/16.
    assert volume_bound(market) == 30
    kept = replace(market, spot=np.array([True, False]), off_spot=np.array([3, 0]))
    # Of 24 units 6 are off spot, at 7/4, and 18 at 10/8.
    assert volume_bound(kept) == 33
    # 2 5/14 of the first type and 1 2/7 of the second: both dimensions are full, at 32.57
    assert mixed_bound(market) == 33
    # one of the second at most: 3.5 of the first have the other 14 units of the second dimension
    assert mixed_bound(replace(market, limits=(None, 1))) == 42
    types = tuple(BinType(f"{t}", capacities[t], int(prices[t])) for t in (0, 1))
    found = solve_fleet(FleetProblem(demand, counts, types))
    assert found.log[0].lower_bound >= 30
    assert found.cost >= 30
