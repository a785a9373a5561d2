"""The checker, the formats, the bounds and the pricing, each alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.placement.packing import bounds, heuristics
from stowplan.placement.packing.fleet.problem import BinType, FleetBins, FleetProblem
from stowplan.placement.packing.formats import FormatError, parse_bpp, parse_vbp
from stowplan.placement.packing.master import Master
from stowplan.placement.packing.pricing import Pricer
from stowplan.placement.packing.problem import Limits, PackedBins, PackingProblem
from stowplan.placement.packing.solve import solve_packing
from stowplan.placement.packing.subproblem import Subproblem
from stowplan.placement.packing.verify import BrokenPackingError, check_fleet, check_packing

PROBLEM = PackingProblem(np.array([[6, 1], [4, 2]]), np.array([2, 3]), np.array([10, 4]))
GOOD = ([1, 1], 2), ([0, 1], 1)


def packed(*bins):
    return [PackedBins(np.array(contents), copies) for contents, copies in bins]


def test_a_right_packing_passes():
    check_packing(PROBLEM, packed(*GOOD), 3)


@pytest.mark.parametrize(
    ("bins", "complaint"),
    [
        ([([1, 1], 2)], "kind 1: 2 items placed, 3 wanted"),
        ([*GOOD, ([0, 1], 1)], "kind 1: 4 items placed, 3 wanted"),
        ([([2, 0], 1), ([0, 2], 1), ([0, 1], 1)], "bin 0 holds 12 of 10 in dimension 0"),
        ([([1, 1], 1), ([1, 0], 1), ([0, 3], 1)], "bin 2 holds 12 of 10"),
        ([([1, 1], 2), ([0, 2], 1), ([0, -1], 1)], "negative"),
        ([([1, 1], 2), ([0, 1], 1), ([0, 0], 0)], "no copies"),
        ([([1, 1, 0], 2)], "lists 3 of 2 kinds"),
    ],
)
def test_broken_packings_are_caught(bins, complaint):
    with pytest.raises(BrokenPackingError, match=complaint):
        check_packing(PROBLEM, packed(*bins))


def test_a_wrong_number_of_bins_is_caught():
    with pytest.raises(BrokenPackingError, match="3 bins packed, 2 reported"):
        check_packing(PROBLEM, packed(*GOOD), 2)


FLEET = FleetProblem(
    np.array([[3]]), np.array([4]),
    (BinType("a", np.array([6]), 7, 1), BinType("b", np.array([3]), 4)), 2,
)  # fmt: skip


def fleet(*bins):
    return [FleetBins(z, t, PackedBins(np.array([n]), c)) for z, t, n, c in bins]


@pytest.mark.parametrize(
    ("bins", "cost", "complaint"),
    [
        ([(0, 0, 2, 1), (1, 1, 1, 2)], 14, "the fleet costs 15, 14 reported"),
        ([(0, 0, 2, 1), (1, 0, 2, 1)], 14, "2 of 1 instances of a"),
        ([(0, 0, 2, 1), (1, 1, 1, 1)], 11, "zone 1: 1 of 4 items of kind 0"),
        ([(0, 0, 2, 1), (1, 1, 2, 1)], 11, "holds 6 of 3"),
        ([(0, 0, 2, 1), (1, 1, 1, 2), (2, 1, 1, 1)], 19, "no zone"),
    ],
)
def test_broken_fleets_are_caught(bins, cost, complaint):
    check_fleet(FLEET, fleet((0, 0, 2, 1), (1, 1, 1, 2)), 15)
    with pytest.raises(BrokenPackingError, match=complaint):
        check_fleet(FLEET, fleet(*bins), cost)


def test_the_classic_format_is_read():
    problem = parse_bpp("3\n100\n\n60\n50\n 40 \n")
    assert problem.demand.tolist() == [[60], [50], [40]]
    assert problem.capacity.tolist() == [100]


def test_the_vbp_format_is_read():
    problem = parse_vbp("2\n10 20\n2\n3 4 5\n6 7 1\n")
    assert problem.demand.tolist() == [[3, 4], [6, 7]]
    assert problem.counts.tolist() == [5, 1]
    assert problem.capacity.tolist() == [10, 20]


def test_a_cutting_stock_file_has_a_size_and_its_count_a_line():
    problem = parse_bpp("3\n5600\n1380 22\n1520 25\n\n2200 20\n")
    assert problem.demand.reshape(-1).tolist() == [1380, 1520, 2200]
    assert problem.counts.tolist() == [22, 25, 20]
    assert problem.capacity.tolist() == [5600]
    classic = parse_bpp("4\n10\n6\n6\n4\n4\n")
    stock = parse_bpp("2\n10\n6 2\n4 2\n")
    answers = [solve_packing(each, Limits(work=500)) for each in (classic, stock)]
    assert [(a.status, a.bins) for a in answers] == [("optimal", 2), ("optimal", 2)]


@pytest.mark.parametrize(
    ("parse", "text", "complaint"),
    [
        (parse_bpp, "", "line 1"),
        (parse_bpp, "2\n10\n5\n", "line 3: file ends after 1 of 2 sizes"),
        (parse_bpp, "1\n10\n5\n\n6\n", "line 5: more sizes than the 1 of the file's head"),
        (parse_bpp, "2\n10\n5\n6 1\n", "line 4: 1 number expected, got 2"),
        (parse_bpp, "2\n10\n5 1\n6\n", "line 4: 2 numbers expected, got 1"),
        (parse_bpp, "1\n10\n5 6 7\n", "line 3: 1 number expected, got 3"),
        (parse_bpp, "1 2\n10\n5\n", "line 1: 1 number expected, got 2"),
        (parse_bpp, "3\n10\n5 6\n", "line 3: file ends after 1 of 3 item kinds"),
        (parse_bpp, "1\n10\n-5\n", "line 3: whole numbers"),
        (parse_bpp, "1\n1e1\n5\n", "line 2: whole numbers"),
        (parse_vbp, "2\n10 20\n", "line 1"),
        (parse_vbp, "0\n10\n0\n", "line 1: at least one dimension"),
        (parse_vbp, "2\n10\n1\n3 4 5\n", "line 2: 2 numbers expected, got 1"),
        (parse_vbp, "2\n10 20\n1\n3 4\n", "line 4: 3 numbers expected, got 2"),
        (parse_vbp, "2\n10 20\n2\n3 4 5\n", "line 4: file ends after 1 of 2 item kinds"),
    ],
)
def test_format_errors_name_the_line(parse, text, complaint):
    with pytest.raises(FormatError, match=complaint):
        parse(text)


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=7)


@given(sizes, st.integers(40, 60))
def test_bounds_never_exceed_what_a_rule_of_thumb_reaches(items, capacity):
    problem = PackingProblem(
        np.array(items)[:, None], np.ones(len(items), dtype=int), np.array([capacity])
    )
    packings = heuristics.packings(problem.demand, problem.counts, problem.capacity)
    fewest = min(len(bins) for bins in packings)
    assert bounds.continuous_bound(problem) <= fewest
    assert bounds.dual_feasible_bound(problem, fewest + 1) <= fewest


def test_the_dual_feasible_bound_sees_that_large_items_do_not_pair():
    problem = PackingProblem(np.array([[51], [26]]), np.array([10, 10]), np.array([100]))
    assert bounds.continuous_bound(problem) == 8
    assert bounds.dual_feasible_bound(problem, 99) == 10


@st.composite
def prices(draw: st.DrawFn):
    d = draw(st.integers(1, 3))
    m = draw(st.integers(1, 5))
    demand = np.array(
        draw(st.lists(st.lists(st.integers(0, 9), min_size=d, max_size=d), min_size=m, max_size=m))
    )
    most = np.array(draw(st.lists(st.integers(0, 3), min_size=m, max_size=m)))
    values = np.array(draw(st.lists(st.integers(0, 50), min_size=m, max_size=m)))
    capacity = np.array(draw(st.lists(st.integers(9, 15), min_size=d, max_size=d)))
    exclusive = np.zeros((m, m), dtype=bool)
    for i, j in itertools.combinations(range(m), 2):
        exclusive[i, j] = exclusive[j, i] = draw(st.booleans())
    return demand, most, values, capacity, exclusive


@settings(max_examples=200)
@given(prices(), st.booleans())
def test_pricing_finds_the_best_pattern(instance, use_exclusive):
    demand, most, values, capacity, exclusive = instance
    if not use_exclusive:
        exclusive = np.zeros_like(exclusive)
    best = max(
        int(values @ p)
        for p in map(np.array, itertools.product(*(range(n + 1) for n in most)))
        if (p @ demand <= capacity).all() and not ((p > 0) @ exclusive)[p > 0].any()
    )
    priced = Pricer(demand, most, capacity, exclusive).search(values, 0, 10**6)
    assert priced.complete
    assert priced.best == best
    assert sorted(priced.values)[-1:] == ([best] if best else [])


@settings(max_examples=200)
@given(prices(), st.integers(0, 60))
def test_collecting_finds_every_maximal_pattern_above_the_threshold(instance, threshold):
    demand, most, values, capacity, _ = instance
    fitting = {
        p
        for p in itertools.product(*(range(n + 1) for n in most))
        if (np.array(p) @ demand <= capacity).all()
    }
    maximal = {
        p
        for p in fitting
        if values @ np.array(p) > threshold
        and not any((*p[:k], p[k] + 1, *p[k + 1 :]) in fitting for k in range(len(p)))
    }
    found, complete, _ = Pricer(demand, most, capacity).collect(values, threshold, 10**6, 10**4)
    assert complete
    assert {tuple(p) for p in found.tolist()} == maximal
    assert len(found) == len(maximal)


def test_joining_and_separating_split_a_problem_without_loss():
    problem = PackingProblem(np.array([[5], [3], [2]]), np.array([2, 1, 1]), np.array([10]))
    root = Subproblem.root(problem)
    joined = root.join(0, 1)
    assert joined.problem.demand.tolist() == [[5], [3], [2], [8]]
    assert joined.problem.counts.tolist() == [1, 0, 1, 1]
    assert joined.translate(np.array([[1, 1, 1]])).tolist() == [[0, 0, 1, 1]]
    assert joined.expand(np.array([[0, 0, 1, 1]])).tolist() == [[1, 1, 1]]
    apart = root.separate(0, 0).join(0, 2)
    assert apart.per_bin().tolist() == [1, 1, 0, 1]
    assert apart.exclusive[0, 3]


@pytest.mark.parametrize("seed", range(8))
def test_the_amounts_that_are_read_make_up_the_optimum(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, 12)
    master = Master(counts, (None, 6))
    master.add(np.eye(12, dtype=np.int64), cost=3.0)
    prices = np.full(12, 3.0)
    for group, cost in ((0, 2.0), (1, 1.0)):
        added = master.add(rng.integers(0, 3, (30, 12)), cost, group)
        prices = np.append(prices, np.full(added, cost))
    in_last_group = np.arange(len(prices)) >= len(prices) - added
    for forbidden in (0.0, 0.4):
        allowed = rng.random(len(prices)) >= forbidden
        allowed[:12] = True
        master.allow(allowed)
        solution = master.solve()
        assert solution is not None
        assert solution.amounts @ prices == pytest.approx(solution.value)
        assert (solution.amounts @ master.patterns >= counts - 1e-6).all()
        assert solution.amounts[in_last_group].sum() <= 6 + 1e-6
        assert not solution.amounts[~allowed].any()
