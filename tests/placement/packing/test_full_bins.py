"""Packings that leave next to no room: lists of patterns, prices inside the face, list dives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stowplan.experiments.bench.optimal import samples
from stowplan.experiments.bench.packing_recipes import (
    caprara_toth,
    nearly_full,
    one_dimensional,
    petersen_core,
)
from stowplan.placement.packing import full_bins, list_dive
from stowplan.placement.packing.colgen import Relaxation
from stowplan.placement.packing.full_patterns import best_by_lead, patterns_worth, value_table
from stowplan.placement.packing.pricing import SCALE, Pricer
from stowplan.placement.packing.problem import Limits, PackingProblem, group_equal
from stowplan.placement.packing.solve import solve_packing
from stowplan.placement.packing.state import Budget, PackingState
from stowplan.placement.packing.subproblem import most_per_bin
from stowplan.placement.packing.verify import check_packing


def patterns_of(demand, per_bin, capacity, waste):
    """Every pattern that leaves at most `waste`, by trying all."""
    for amounts in itertools.product(*(range(n + 1) for n in per_bin)):
        rest = capacity - np.array(amounts) @ demand
        if (rest >= 0).all() and (rest <= waste).all():
            yield amounts


def few_kinds(seed: int, d: int) -> PackingProblem:
    rng = np.random.default_rng([seed, d])
    problem = PackingProblem(rng.integers(2, 12, (6, d)), rng.integers(1, 4, 6), np.full(d, 20))
    return group_equal(problem).problem


@pytest.mark.parametrize("seed", range(12))
def test_full_patterns_and_their_best_equal_those_by_trying_all(seed):
    problem, waste = few_kinds(seed, 1), seed % 4
    per_bin, sizes = most_per_bin(problem), problem.demand[:, 0]
    values = np.random.default_rng(seed).integers(-20, 100, len(sizes))
    expected = set(patterns_of(problem.demand, per_bin, problem.capacity, waste))
    worths = {p: int(np.array(p) @ values) for p in expected}
    table = value_table(values, sizes, per_bin, 20, waste)
    assert table[0, 20] == max(worths.values(), default=table[0, 20])
    least = int(np.median(list(worths.values()) or [0]))
    found, complete, _ = patterns_worth(table, values, sizes, per_bin, least, 1_000)
    assert complete
    assert {tuple(p) for p in found.tolist()} == {p for p in expected if worths[p] >= least}
    for pattern in best_by_lead(table, values, sizes, per_bin, least):
        lead = int(np.flatnonzero(pattern)[0])
        rivals = [worths[p] for p in expected if np.flatnonzero(p)[0] == lead]
        assert pattern @ values == max(rivals) > least


@pytest.mark.parametrize("seed", range(12))
def test_listed_patterns_equal_those_by_trying_all(seed):
    problem, waste = few_kinds(seed, 2), np.array([6, 4])
    per_bin = most_per_bin(problem)
    values = np.random.default_rng(seed).integers(0, SCALE // 4, len(per_bin))
    expected = set(patterns_of(problem.demand, per_bin, problem.capacity, waste))
    worths = {p: int(np.array(p) @ values) for p in expected}
    least = int(np.median(list(worths.values()) or [0]))
    pricer = Pricer(problem.demand, per_bin, problem.capacity)
    rows, wastes, complete, _ = pricer.list_patterns(values, least, waste, 20, 1_000, 10_000)
    assert complete
    dense = list_dive._dense(rows, len(per_bin))
    assert {tuple(p) for p in dense.tolist()} == {p for p in expected if worths[p] > least}
    assert (wastes == problem.capacity - dense @ problem.demand).all()


def root_duals(problem: PackingProblem) -> tuple[PackingState, Relaxation, np.ndarray, np.ndarray]:
    from stowplan.placement.packing.colgen import generate
    from stowplan.placement.packing.master import Master

    state = PackingState(problem, Limits())
    per_bin = most_per_bin(problem)
    master = Master(problem.counts)
    master.add(np.diag(per_bin))
    pricer = Pricer(problem.demand, per_bin, problem.capacity)
    relaxation = generate(master, pricer, problem.counts, state.budget, to_the_end=True)
    assert relaxation.solution is not None
    return state, relaxation, master.patterns, relaxation.solution.duals


@pytest.mark.parametrize("seed", range(4))
def test_a_core_without_round_up_property_is_proven_by_its_full_patterns(seed):
    sizes = petersen_core(np.random.default_rng(seed), 1000)
    problem = group_equal(one_dimensional(sizes, 1000)).problem
    state, _, patterns, duals = root_duals(problem)
    assert full_bins.decide_full_bins(state, patterns, duals, 3)
    assert state.best is None  # settled, and not by a packing


def test_where_full_bins_exist_they_are_found():
    problem = group_equal(one_dimensional([6, 3, 1, 5, 4, 1, 7, 2, 1], 10)).problem
    state, _, patterns, duals = root_duals(problem)
    assert full_bins.decide_full_bins(state, patterns, duals, 3)
    assert state.incumbent == 3


@pytest.mark.parametrize("few", [20, 1_500])
def test_a_dive_in_a_list_finds_bins_that_are_nearly_full(few, monkeypatch):
    monkeypatch.setattr(list_dive, "FEW_ALIVE", few)
    problem = group_equal(nearly_full(np.random.default_rng(3), 12)).problem
    state, relaxation, _, _ = root_duals(problem)
    pricer = Pricer(problem.demand, most_per_bin(problem), problem.capacity)
    budget = Budget(Limits(work=5_000))
    assert list_dive.dive_in_list(state, pricer, relaxation, 12, budget)
    assert state.incumbent == 12


def test_a_dive_in_a_list_gives_up_where_no_packing_is():
    problem = group_equal(caprara_toth(np.random.default_rng(1), 9, 25)).problem
    state, relaxation, _, _ = root_duals(problem)
    pricer = Pricer(problem.demand, most_per_bin(problem), problem.capacity)
    target = relaxation.bound - 1
    assert not list_dive.dive_in_list(state, pricer, relaxation, target, Budget(Limits(work=50)))


def test_a_dive_in_a_list_ends_where_the_list_has_no_packing():
    sizes = np.array(petersen_core(np.random.default_rng(1), 1000))
    items, room = np.column_stack([sizes, sizes]), np.array([1000, 1000])
    problem = group_equal(PackingProblem(items, np.ones(15, dtype=int), room)).problem
    state, relaxation, _, _ = root_duals(problem)
    assert relaxation.bound == 3  # by the relaxation three bins do
    pricer = Pricer(problem.demand, most_per_bin(problem), problem.capacity)
    budget = Budget(Limits(work=50_000))
    assert not list_dive.dive_in_list(state, pricer, relaxation, 3, budget)
    assert budget.work < 100  # long before the budget is used up


@pytest.mark.parametrize("seed", range(5))
def test_a_cover_by_short_searches_holds_every_item_once(seed):
    rng = np.random.default_rng(seed)
    bins = rng.integers(0, 3, (5, 8))
    others = rng.integers(0, 3, (40, 8))
    counts = bins.sum(axis=0)
    problem = PackingProblem(np.ones((8, 1), dtype=int), counts, np.array([100]))
    state = PackingState(problem, Limits())
    cover = full_bins._cover(state, np.vstack([others, bins]), counts, 5)
    assert cover is not None
    assert len(cover) <= 5
    assert (cover.sum(axis=0) == counts).all()
    assert full_bins._cover(state, bins, counts, 4) is None  # five are needed


def test_a_published_instance_of_201_items_without_round_up_property_is_proven():
    (one,) = samples("ani/201_2500_NR_0.txt")
    result = solve_packing(one.problem, Limits(work=5_000))
    assert (result.status, result.bins) == ("optimal", one.optimum)
    check_packing(one.problem, result.packing, result.bins)
