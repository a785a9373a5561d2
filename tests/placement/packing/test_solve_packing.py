"""The packing solver against brute force, known answers and interruptions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.experiments.bench.packing_recipes import KINDS, one_dimensional, petersen_core
from stowplan.placement.packing.problem import Limits, PackingInputError, PackingProblem
from stowplan.placement.packing.solve import solve_packing
from stowplan.placement.packing.verify import check_packing


def fewest_bins(items: list[tuple[int, ...]], capacity: tuple[int, ...]) -> int:
    """By trying every assignment; new bins open in order, so no bin is tried twice."""
    best = len(items)

    def place(k: int, bins: list[tuple[int, ...]]) -> None:
        nonlocal best
        if len(bins) >= best:
            return
        if k == len(items):
            best = len(bins)
            return
        for b, rest in enumerate(bins):
            left = tuple(r - x for r, x in zip(rest, items[k], strict=True))
            if min(left) >= 0:
                place(k + 1, [*bins[:b], left, *bins[b + 1 :]])
        place(k + 1, [*bins, tuple(c - x for c, x in zip(capacity, items[k], strict=True))])

    place(0, [])
    return best


@st.composite
def worlds(draw: st.DrawFn) -> PackingProblem:
    d = draw(st.integers(1, 3))
    capacity = draw(st.lists(st.integers(1, 30), min_size=d, max_size=d))
    kinds = draw(st.integers(0, 5))
    demand = [[draw(st.integers(0, c)) for c in capacity] for _ in range(kinds)]
    counts = [draw(st.integers(0, 2)) for _ in range(kinds)]
    return PackingProblem(
        np.array(demand, dtype=np.int64).reshape(kinds, d), np.array(counts, dtype=np.int64),
        np.array(capacity),
    )  # fmt: skip


@settings(max_examples=300)
@given(worlds())
def test_small_worlds_equal_brute_force(problem):
    items = [
        tuple(row)
        for row, n in zip(problem.demand.tolist(), problem.counts.tolist(), strict=True)
        for _ in range(n)
    ]
    result = solve_packing(problem)
    assert result.status == "optimal"
    assert result.bins == result.lower_bound == fewest_bins(items, tuple(problem.capacity.tolist()))
    check_packing(problem, result.packing, result.bins)


def exact_fit(seed: int, d: int) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Ten items that fill three bins of 60 exactly or nearly so: no rule of thumb decides them."""
    rng = np.random.default_rng([seed, d])
    items = []
    for n in (3, 3, 4):
        cuts = np.sort(np.array([rng.choice(np.arange(1, 60), n - 1, False) for _ in range(d)]))
        edges = np.hstack([np.zeros((d, 1), int), cuts, np.full((d, 1), 60)])
        items += [tuple(x) for x in np.diff(edges).T.tolist()]
    if seed % 2:
        items[0] = tuple(min(60, x + 1) for x in items[0])
    return items, (60,) * d


@pytest.mark.parametrize(("seed", "d"), list(itertools.product(range(30), (1, 2))))
def test_tight_worlds_equal_brute_force(seed, d):
    items, capacity = exact_fit(seed, d)
    problem = PackingProblem(np.array(items), np.ones(len(items), dtype=int), np.array(capacity))
    assert solve_packing(problem).bins == fewest_bins(items, capacity)


@pytest.mark.long
@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_thousand_tight_worlds_equal_brute_force(d):
    for seed in range(30, 1030):
        items, capacity = exact_fit(seed, d)
        ones = np.ones(len(items), dtype=int)
        result = solve_packing(PackingProblem(np.array(items), ones, np.array(capacity)))
        assert result.bins == result.lower_bound == fewest_bins(items, capacity), seed


@pytest.mark.parametrize("kind", [k for k in KINDS if k[:3] not in ("ai_", "ani", "ct9")])
def test_generated_sets_are_proven_optimal(kind):
    make, sizes = KINDS[kind]
    problem = make(np.random.default_rng(7), sizes[0])
    result = solve_packing(problem, Limits(work=20_000))
    assert result.status == "optimal"
    check_packing(problem, result.packing, result.bins)


@pytest.mark.parametrize("n", [60, 120, 249])
def test_triplets_need_exactly_a_third_as_many_bins(n):
    problem = KINDS["falkenauer_t"][0](np.random.default_rng(n), n)
    assert solve_packing(problem).bins == n // 3


@pytest.mark.parametrize("seed", range(3))
def test_an_instance_without_round_up_property_needs_one_bin_more(seed):
    sizes = petersen_core(np.random.default_rng(seed), 1000)
    result = solve_packing(one_dimensional(sizes, 1000))
    assert (sum(sizes), result.bins, result.lower_bound) == (3000, 4, 4)


def test_the_same_seed_and_work_give_the_same_packing():
    problem = KINDS["hard_like"][0](np.random.default_rng(3), 160)
    first, second = (solve_packing(problem, Limits(work=30, seed=5)) for _ in range(2))
    assert first.bins == second.bins
    assert first.work == second.work
    assert [(e.lower_bound, e.incumbent) for e in first.log] == [
        (e.lower_bound, e.incumbent) for e in second.log
    ]
    for a, b in zip(first.packing, second.packing, strict=True):
        assert a.copies == b.copies
        assert (a.contents == b.contents).all()


def test_no_time_at_all_still_gives_a_packing_and_a_bound():
    problem = KINDS["scholl3"][0](np.random.default_rng(0), 200)
    result = solve_packing(problem, Limits(work=0))
    assert result.status == "feasible"
    assert 0 < result.lower_bound < result.bins
    assert result.gap == (result.bins - result.lower_bound) / result.bins
    check_packing(problem, result.packing, result.bins)


def test_a_time_limit_is_read_from_the_clock_given():
    ticks = itertools.count()
    problem = KINDS["scholl3"][0](np.random.default_rng(0), 200)
    result = solve_packing(problem, Limits(seconds=20, clock=lambda: float(next(ticks))))
    assert result.status == "feasible"
    assert result.seconds >= 20


def test_an_interrupt_returns_the_best_so_far():
    def interrupt(entry):
        if entry.lower_bound >= 50:
            raise KeyboardInterrupt

    problem = KINDS["scholl3"][0](np.random.default_rng(0), 200)
    result = solve_packing(problem, progress=interrupt)
    assert result.interrupted
    assert result.status == "feasible"
    check_packing(problem, result.packing, result.bins)


def test_the_log_rises_to_the_result_and_reaches_the_callback():
    seen = []
    problem = KINDS["falkenauer_t"][0](np.random.default_rng(1), 60)
    result = solve_packing(problem, progress=seen.append)
    assert tuple(seen) == result.log
    assert seen[-1].lower_bound == seen[-1].incumbent == result.bins == 20
    bounds = [entry.lower_bound for entry in seen]
    assert bounds == sorted(bounds)


def test_items_that_fit_no_bin_are_named():
    problem = PackingProblem(np.array([[5], [11], [3], [11]]), np.array([1, 1, 1, 2]), [10])
    result = solve_packing(problem)
    assert result.status == "infeasible"
    assert result.unplaceable == (1, 3)


def test_many_equal_items_are_one_kind():
    problem = PackingProblem(np.array([[3, 2], [3, 2], [5, 1]]), [4000, 3000, 3000], [16, 9])
    result = solve_packing(problem)
    assert result.status == "optimal"
    assert result.seconds == 0.0
    check_packing(problem, result.packing, result.bins)


def test_nothing_to_pack_needs_no_bin():
    result = solve_packing(
        PackingProblem(np.zeros((0, 2), dtype=int), np.zeros(0, dtype=int), [1, 1])
    )
    assert (result.status, result.bins, result.packing) == ("optimal", 0, ())


@pytest.mark.parametrize(
    ("demand", "counts", "capacity"),
    [
        ([[1.5]], [1], [2]),
        ([[-1]], [1], [2]),
        ([[1]], [1, 2], [2]),
        ([[1]], [1], [2, 3]),
        ([1], [1], [2]),
        ([[2**40]], [2**20], [2**41]),
    ],
)
def test_malformed_problems_are_refused(demand, counts, capacity):
    with pytest.raises(PackingInputError):
        PackingProblem(np.array(demand), np.array(counts), np.array(capacity))


def test_a_limit_in_seconds_needs_a_clock():
    with pytest.raises(PackingInputError, match="clock"):
        Limits(seconds=1)


@pytest.mark.long
@pytest.mark.parametrize("kind", list(KINDS))
def test_whole_generated_sets_stay_within_one_bin(kind):
    make, sizes = KINDS[kind]
    for seed in range(6):
        n = sizes[seed % len(sizes)]
        result = solve_packing(make(np.random.default_rng([seed, n]), n), Limits(work=30_000))
        assert result.bins - result.lower_bound <= 1
