"""Zones and spot shares of fleets: against brute force, and on a fleet as people ask for it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.placement.packing.fleet.problem import BinType, FleetBins, FleetProblem
from stowplan.placement.packing.fleet.solve import solve_fleet
from stowplan.placement.packing.problem import Limits, PackedBins, PackingInputError
from stowplan.placement.packing.verify import BrokenPackingError, check_fleet


def cheapest(problem: FleetProblem) -> int | None:
    """By trying every item in every bin, every bin in every zone and of every type."""
    items = [kind for kind, n in enumerate(problem.counts.tolist()) for _ in range(n)]
    demand, best = problem.demand.tolist(), None
    share = problem.counts if problem.on_spot is None else problem.on_spot

    def kept(bins, choice):
        for kind, count in enumerate(problem.counts.tolist()):
            zones = [0] * problem.zones
            spot = 0
            for content, (zone, t) in zip(bins, choice, strict=True):
                zones[zone] += content.count(kind)
                spot += content.count(kind) * problem.types[t].spot
            if max(zones) > -(-count // problem.zones) or min(zones) < count // problem.zones:
                return False
            if spot > share[kind]:
                return False
        bought = [sum(t == each for _, each in choice) for t in range(len(problem.types))]
        pairs = zip(problem.types, bought, strict=True)
        return all(kind.limit is None or n <= kind.limit for kind, n in pairs)

    def buy(bins):
        nonlocal best
        options = []
        for content in bins:
            load = [sum(column) for column in zip(*(demand[k] for k in content), strict=True)]
            fits = [
                t
                for t, kind in enumerate(problem.types)
                if all(x <= c for x, c in zip(load, kind.capacity.tolist(), strict=True))
            ]
            options.append(list(itertools.product(range(problem.zones), fits)))
        for choice in itertools.product(*options):
            cost = sum(problem.types[t].price for _, t in choice)
            if (best is None or cost < best) and kept(bins, choice):
                best = cost

    def place(number, bins):
        if number == len(items):
            buy(bins)
            return
        for b in range(len(bins)):
            place(number + 1, [*bins[:b], [*bins[b], items[number]], *bins[b + 1 :]])
        place(number + 1, [*bins, [items[number]]])

    place(0, [])
    return best


@st.composite
def shared_markets(draw: st.DrawFn) -> FleetProblem:
    kinds = draw(st.integers(1, 2))
    demand = [[draw(st.integers(1, 9)), draw(st.integers(1, 9))] for _ in range(kinds)]
    counts = [draw(st.integers(1, 4 // kinds)) for _ in range(kinds)]
    types = tuple(
        BinType(
            f"type{t}",
            np.array([draw(st.integers(5, 20)), draw(st.integers(5, 20))]),
            draw(st.integers(1, 30)),
            draw(st.one_of(st.none(), st.none(), st.integers(0, 2))),
            draw(st.booleans()),
        )
        for t in range(draw(st.integers(1, 3)))
    )
    on_spot = [draw(st.integers(0, n)) for n in counts]
    return FleetProblem(
        np.array(demand), np.array(counts), types, draw(st.integers(1, 3)), np.array(on_spot)
    )


@settings(max_examples=25, deadline=None)
@given(shared_markets())
def test_zones_and_spot_shares_are_solved_as_by_brute_force(problem):
    best = cheapest(problem)
    result = solve_fleet(problem)
    assert result.lower_bound <= (best if best is not None else result.lower_bound)
    if result.cost is None:
        assert best is None
        return
    check_fleet(problem, result.fleet, result.cost)
    assert result.cost == best


def test_one_zone_gets_all_odd_items_where_a_limit_leaves_one_bin():
    one = (BinType("one", np.array([5, 5]), 3, limit=1),)
    two_kinds = FleetProblem(np.array([[1, 1], [1, 1]]), np.array([1, 1]), one, 2)
    assert (solve_fleet(two_kinds).status, solve_fleet(two_kinds).cost) == ("optimal", 3)


def test_too_few_bins_for_the_zones_are_proven_infeasible():
    """Two items of one kind need a bin in each zone."""
    one = (BinType("one", np.array([5, 5]), 3, limit=1),)
    result = solve_fleet(FleetProblem(np.array([[1, 1]]), np.array([2]), one, 2))
    assert (result.status, result.unplaceable) == ("infeasible", (0,))


@settings(max_examples=12, deadline=None)
@given(shared_markets(), st.integers(1, 30))
def test_one_more_offer_is_never_dearer(problem, price):
    more = (*problem.types, BinType("more", np.array([12, 12]), price))
    wider = FleetProblem(problem.demand, problem.counts, more, problem.zones, problem.on_spot)
    before, after = solve_fleet(problem), solve_fleet(wider)
    assert before.cost is None or (after.cost is not None and after.cost <= before.cost)


# 40 services, 250 tasks: CPU units, MiB: tasks of each of the services of that size
SERVICES = {
    (256, 512): (8, 8),
    (256, 1024): (6, 12, 12, 3, 8),
    (256, 2048): (6, 4, 3, 12),
    (512, 512): (8, 3, 6),
    (512, 1024): (12, 12, 2),
    (512, 2048): (3, 4),
    (512, 4096): (6,),
    (512, 8192): (2, 6, 3),
    (1024, 512): (2, 4, 3),
    (1024, 1024): (8, 6, 2, 8, 12),
    (1024, 2048): (8, 4, 12),
    (1024, 4096): (4,),
    (1024, 6144): (4,),
    (1024, 8192): (12,),
    (2048, 1024): (6, 4),
    (2048, 2048): (2,),
}
XL = {
    "m5.xlarge": ((3968, 15064), 192_000),
    "c5.xlarge": ((3968, 7112), 170_000),
    "r5.xlarge": ((3968, 30453), 252_000),
}
TWO_XL = {
    "m5.2xlarge": ((8064, 30856), 384_000),
    "c5.2xlarge": ((8064, 14951), 340_000),
    "r5.xlarge": ((3968, 30453), 252_000),
}


def forty_services(offers, zones=3, percent=50) -> FleetProblem:
    """Each offer on demand and, 65 % off, on spot."""
    sizes = [size for size, owners in SERVICES.items() for _ in owners]
    counts = np.array([n for owners in SERVICES.values() for n in owners])
    types = [BinType(name, np.array(room), price) for name, (room, price) in offers.items()]
    types += [
        BinType(f"{name} spot", np.array(room), -(-price * 35 // 100), spot=True)
        for name, (room, price) in offers.items()
    ]
    on_spot = counts * percent // 100
    return FleetProblem(np.array(sizes), counts, tuple(types), zones, on_spot)


@pytest.mark.parametrize(
    ("offers", "greedy"), [(TWO_XL, 5_895_400), (XL, 5_900_500)], ids=["2xl", "xl"]
)
def test_forty_services_cost_less_than_by_greedy_rules(offers, greedy):
    """What a greedy rule pays after 150 tries at random; the first plan is there at once."""
    problem = forty_services(offers)
    assert problem.counts.sum() == 250
    result = solve_fleet(problem, Limits(work=700))
    check_fleet(problem, result.fleet, result.cost)
    assert result.cost <= 0.97 * greedy
    assert result.gap <= 0.035


@pytest.mark.long
def test_a_longer_solve_begins_as_a_shorter_one_does():
    problem = forty_services(XL)
    short, long = (solve_fleet(problem, Limits(work=work)) for work in (60, 250))
    assert long.cost <= short.cost
    assert long.lower_bound >= short.lower_bound
    plans = [entry.incumbent for entry in short.log if entry.incumbent is not None]
    there = [entry.incumbent for entry in long.log if entry.incumbent is not None]
    assert plans == there[: len(plans)]


@pytest.mark.long
def test_a_solve_ends_no_dearer_than_the_fleet_it_begins_with():
    problem = forty_services(XL)
    long = solve_fleet(problem, Limits(work=60))
    with_more = forty_services({**XL, "r5.large": ((1920, 15291), 126_000)})
    names = [kind.name for kind in with_more.types]
    moved = tuple(
        FleetBins(b.zone, names.index(problem.types[b.type].name), b.bins) for b in long.fleet
    )
    short = solve_fleet(with_more, Limits(work=1), known=[moved])
    alone = solve_fleet(with_more, Limits(work=1))
    assert short.cost <= long.cost < alone.cost
    broken = moved[1:]  # lacks items
    assert solve_fleet(with_more, Limits(work=1), known=[broken]).cost == alone.cost


def test_a_known_fleet_of_types_that_others_beat_counts():
    types = (BinType("a", np.array([4]), 9), BinType("b", np.array([8]), 9))
    problem = FleetProblem(np.array([[2]]), np.array([4]), types)
    known = (FleetBins(0, 0, PackedBins(np.array([2]), 2)),)
    result = solve_fleet(problem, Limits(work=0), known=[known])
    assert result.cost <= 18
    check_fleet(problem, result.fleet, result.cost)


def test_a_spot_share_that_is_not_kept_is_found():
    types = (BinType("a", np.array([4]), 9), BinType("b", np.array([4]), 3, spot=True))
    free = FleetProblem(np.array([[2]]), np.array([4]), types)
    half = FleetProblem(np.array([[2]]), np.array([4]), types, 1, np.array([2]))
    assert (solve_fleet(free).cost, solve_fleet(half).cost) == (6, 12)
    with pytest.raises(BrokenPackingError, match="4 items of kind 0 on spot, 2 allowed"):
        check_fleet(half, solve_fleet(free).fleet)


def test_a_spot_share_of_another_shape_is_refused():
    types = (BinType("a", np.array([4]), 9),)
    with pytest.raises(PackingInputError, match="on_spot"):
        FleetProblem(np.array([[2]]), np.array([4]), types, 1, np.array([2, 1]))
