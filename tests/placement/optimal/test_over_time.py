"""Bounds and plans over time: against brute force on small worlds, and each rule by itself."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.placement.callers.client import Arrival
from stowplan.placement.messages import (
    CreateService,
    RegisterTaskDefinition,
    RunTask,
    UpdateService,
)
from stowplan.placement.optimal.over_time import least_hours, least_over_time
from stowplan.placement.packing.cuts import cut
from stowplan.placement.packing.fleet.problem import BinType
from stowplan.placement.packing.over_time.bound import Bounds
from stowplan.placement.packing.over_time.plan import OverTimePlan
from stowplan.placement.packing.over_time.problem import ANY_NUMBER, OverTimeProblem
from stowplan.placement.packing.over_time.verify import check_over_time
from stowplan.placement.packing.problem import PackingInputError
from stowplan.placement.packing.verify import BrokenPackingError
from stowplan.placement.scenario.scenario import Scenario


def problem(demand, tasks, types, most=None):
    """Tasks are (kind, start, end), types (capacity, price, limit)."""
    kind, start_ms, end_ms = np.array(tasks, dtype=np.int64).reshape(-1, 3).T
    offers = tuple(
        BinType(f"t{n}", np.array(capacity), price, limit)
        for n, (capacity, price, limit) in enumerate(types)
    )
    rules = {} if most is None else {"most": np.array(most, dtype=np.int64)}
    return OverTimeProblem(np.array(demand), kind, start_ms, end_ms, offers, **rules)


def least_by_trying(world: OverTimeProblem) -> int | None:
    """The cost of the best plan, over every way to share tasks out; None where none keeps rules."""
    best = None
    tasks = len(world.kind)

    def share(task, instance):
        nonlocal best
        if task < tasks:
            for where in range(max(instance, default=-1) + 2):
                share(task + 1, [*instance, where])
            return
        instances = max(instance, default=-1) + 1
        for types in itertools.product(range(len(world.types)), repeat=instances):
            plan = OverTimePlan(np.array(instance, np.int64), np.array(types, np.int64))
            try:
                cost = check_over_time(world, plan)
            except BrokenPackingError:
                continue
            best = cost if best is None else min(best, cost)

    share(0, [])
    return best


@st.composite
def worlds(draw):
    dims = draw(st.integers(1, 2))
    amount = st.integers(1, 6)
    vector = st.lists(amount, min_size=dims, max_size=dims)
    demand = draw(st.lists(vector, min_size=1, max_size=3))
    time = st.tuples(st.integers(0, 6), st.integers(1, 5))
    tasks = [
        (draw(st.integers(0, len(demand) - 1)), start, start + length)
        for start, length in draw(st.lists(time, min_size=1, max_size=5))
    ]
    room = st.lists(st.integers(3, 9), min_size=dims, max_size=dims)
    limit = st.one_of(st.none(), st.integers(0, 3))
    types = draw(st.lists(st.tuples(room, st.integers(1, 9), limit), min_size=1, max_size=2))
    most = [[draw(st.sampled_from([ANY_NUMBER, ANY_NUMBER, 1, 0])) for _ in types] for _ in demand]
    return problem(demand, tasks, types, most)


@settings(max_examples=80)
@given(worlds())
def test_the_true_least_lies_between_bound_and_plan(world):
    best = least_by_trying(world)
    answer = least_over_time(world)
    if best is None:
        assert answer.objective is None
        return
    assert answer.status in ("optimal", "feasible", "unknown")
    assert answer.lower_bound <= best
    if answer.plan is not None:
        assert check_over_time(world, answer.plan) == answer.objective >= best
    else:
        assert any(offer.limit is not None for offer in world.types)


@settings(max_examples=30)
@given(worlds(), st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1))
def test_a_bound_of_one_moment_holds_at_every_other(world, others):
    bounds = Bounds([world])
    bounds.use_resource_prices()
    alone = [int(np.max(costs, initial=0)) for costs in bounds.costs]
    bounds.use_patterns(3)
    assert bounds.peaks() >= alone
    # what the relaxation of one run proves also holds where its tasks run at other times
    moved = replace(world, start_ms=world.start_ms * 2, end_ms=world.start_ms * 2 + 1)
    shared = Bounds([world, moved])
    shared.use_resource_prices()
    shared.use_patterns(3)
    best = least_by_trying(moved)
    assert best is None or shared.totals()[1] <= best


def test_whole_instances_are_counted_and_not_their_shares():
    # three tasks of 6 in bins of 10: resources alone ask for 2, whole items for 3
    world = problem([[6]], [(0, 0, 1000)] * 3, [([10], 1, None)])
    answer = least_over_time(world)
    assert (answer.status, answer.objective, answer.lower_bound) == ("optimal", 3000, 3000)
    assert answer.gap == 0


def test_whole_fleets_close_the_gap_that_shares_leave():
    types = [([10, 10], 10, None), ([20, 25], 19, None)]
    most = [[ANY_NUMBER] * 2, [1, 1]]
    tasks = [(0, 0, 9)] * 7 + [(1, 0, 9)] * 3
    world = problem([[4, 3], [7, 9]], tasks, types, most)
    bounds = Bounds([world])
    bounds.use_patterns(8)
    assert bounds.totals() == [51 * 9]
    bounds.use_fleets(8)
    assert bounds.totals() == [57 * 9]
    answer = least_over_time(world)
    assert (answer.status, answer.objective) == ("optimal", 57 * 9)


def test_a_limit_makes_the_dear_type_part_of_the_minimum():
    world = problem([[5]], [(0, 0, 10)] * 4, [([10], 1, 1), ([10], 7, None)])
    answer = least_over_time(world)
    assert (answer.objective, answer.lower_bound) == (80, 80)


def test_what_constraints_keep_apart_is_counted_apart():
    forbids = [[ANY_NUMBER, 0], [0, ANY_NUMBER]]
    tasks = [(0, 0, 10), (1, 0, 10)]
    types = [([10], 2, None), ([10], 3, None)]
    together = least_over_time(problem([[4], [4]], tasks, types))
    apart = least_over_time(problem([[4], [4]], tasks, types, forbids))
    assert (together.lower_bound, apart.lower_bound) == (20, 50)


def test_tasks_for_which_there_is_no_type_are_named():
    answer = least_over_time(problem([[11], [5]], [(0, 0, 5), (1, 0, 5)], [([10], 1, None)]))
    assert answer.status == "infeasible"
    assert answer.reasons == ("1 tasks that ask for [11] fit no type on offer",)


def test_an_instance_that_falls_idle_is_not_paid_for_meanwhile():
    world = problem([[5]], [(0, 0, 10), (0, 100, 110)], [([10], 3, 1)])
    assert least_over_time(world).objective == 60


@pytest.mark.parametrize(
    ("instance", "types", "complaint"),
    [
        ([0, 0, 0], [0], "holds 12 of 10"),
        ([0, 1, 2], [0, 0, 0], "3 of 2 t0"),
        ([0, 1, -1], [0, 0], "task 2 is on no instance"),
    ],
)
def test_the_checker_finds_what_is_wrong(instance, types, complaint):
    world = problem([[4]], [(0, 0, 10)] * 3, [([10], 1, 2)])
    plan = OverTimePlan(np.array(instance), np.array(types))
    with pytest.raises(BrokenPackingError, match=complaint):
        check_over_time(world, plan)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"end_ms": [1, 1]}, "ends before"),
        ({"kind": [0, 1]}, "not in demand"),
        ({"start_ms": [1]}, "one number a task"),
        ({"types": ()}, "kinds x types"),
        ({"types": (BinType("x", np.array([1, 2]), 1),)}, "one number a dimension"),
        ({"types": (BinType("x", np.array([1]), -1),)}, "negative"),
        ({"demand": [[-1]]}, "negative"),
    ],
)
def test_a_malformed_problem_is_refused(changes, complaint):
    fields = {"demand": [[1]], "kind": [0, 0], "start_ms": [0, 2], "end_ms": [5, 5]}
    fields |= {"types": (BinType("t", np.array([4]), 1),)} | changes
    with pytest.raises(PackingInputError, match=complaint):
        OverTimeProblem(**fields)


def test_a_cut_says_the_same_of_one_demand_and_of_many():
    # a content worth 40 eighths at a price of 1: either the values shrink to a fifth, and nine
    # items are worth 9 eighths, or each of two bins is charged 4
    found = cut(np.array([8]), [40], np.array([1]), [2], 3, np.array([9]))
    assert found.bound(np.array([9])) == 2
    assert found.bounds(found.values * np.array([9, 0, 8])).tolist() == [2, 0, 1]
    few = cut(np.array([8]), [40], np.array([1]), [2], 3, np.array([20]))
    assert few.bound(np.array([20])) == 12


def test_a_scenario_is_asked_for_what_its_calls_say():
    document = {
        "family": "t",
        "containerDefinitions": [{"name": "c", "image": "i", "cpu": 1024, "memory": 1024}],
    }
    types = {"big": {"cpu": 4096, "memory": 8192, "price_microusd_hour": 1000}}
    scenario = Scenario.model_validate(
        {
            "name": "s",
            "duration": 100.0,
            "instance_types": types,
            "fleet": [{"name": "f", "instance_type": "big", "count": 1, "zones": ["a"]}],
            "task_definitions": {"t": document},
        }
    )
    calls = [
        Arrival(0, RegisterTaskDefinition(document)),
        Arrival(0, CreateService("s", "t", 2)),
        Arrival(10_000, RunTask(0, "t", 4), run_ms=20_000),
        Arrival(50_000, UpdateService("s", 1)),
        Arrival(90_000, RunTask(1, "t", 8), run_ms=50_000),
    ]
    answer = least_hours(scenario, calls)
    # one instance throughout, a second from 10 s to 30 s, two more for the last 10 s
    assert answer.lower_bound == 1000 * (100_000 + 20_000 + 20_000)
    assert answer.objective == answer.lower_bound
    assert least_hours(scenario, []).objective == 0


def test_what_is_too_much_for_rules_of_thumb_is_still_proven(monkeypatch):
    world = problem([[7]], [(0, 0, 9)] * 4, [([10], 1, None)])
    monkeypatch.setattr("stowplan.placement.optimal.over_time.TRIED_MOST", 11)
    answer = least_over_time(world)
    assert (answer.status, answer.objective, answer.lower_bound) == ("optimal", 4 * 9, 4 * 9)


def tiny_world(seed: int) -> OverTimeProblem:
    """4 to 7 tasks of two or three sizes, in one or two dimensions, on one to three types."""
    rng = np.random.default_rng(seed)
    dims = int(rng.integers(1, 3))
    demand = rng.integers(1, 7, (int(rng.integers(2, 4)), dims))
    starts = rng.integers(0, 8, int(rng.integers(4, 8)))
    tasks = [
        (int(rng.integers(len(demand))), int(start), int(start + rng.integers(1, 7)))
        for start in starts
    ]
    types = [
        (rng.integers(6, 11, dims).tolist(), int(rng.integers(1, 10)), None)
        for _ in range(int(rng.integers(1, 4)))
    ]
    most = np.where(rng.random((len(demand), len(types))) < 0.2, 1, ANY_NUMBER)
    forbidden = rng.random(most.shape) < 0.15
    forbidden[:, 0] = False
    return problem(demand, tasks, types, np.where(forbidden, 0, most))


def least_by_sharing(world: OverTimeProblem) -> int:
    """The least cost without limits on types: the best of every way to part the tasks."""
    tasks = len(world.kind)
    alone = {}
    for held in range(1, 2**tasks):
        part = [task for task in range(tasks) if held >> task & 1]
        inside = replace(
            world, kind=world.kind[part], start_ms=world.start_ms[part], end_ms=world.end_ms[part]
        )
        for offer in range(len(world.types)):
            plan = OverTimePlan(np.zeros(len(part), np.int64), np.array([offer]))
            try:
                cost = check_over_time(inside, plan)
            except BrokenPackingError:
                continue
            alone[held] = min(cost, alone.get(held, cost))
    least = {0: 0}
    for held in range(1, 2**tasks):
        first = held & -held
        rest, best = held, None
        while rest:  # every part of `held` that has its first task
            if rest & first and rest in alone and (held ^ rest) in least:
                cost = alone[rest] + least[held ^ rest]
                best = cost if best is None else min(best, cost)
            rest = (rest - 1) & held
        if best is not None:
            least[held] = best
    return least[2**tasks - 1]


@pytest.mark.parametrize("seed", range(40))
def test_a_tiny_world_is_solved_to_the_proof(seed):
    world = tiny_world(seed)
    answer = least_over_time(world)
    assert answer.status == "optimal"
    assert answer.lower_bound == answer.objective == check_over_time(world, answer.plan)
    assert answer.objective == least_by_sharing(world)


@settings(max_examples=60)
@given(worlds())
def test_what_is_called_optimal_is_the_least_under_limits_on_types_too(world):
    answer = least_over_time(world)
    if answer.status == "optimal":
        assert answer.objective == least_by_trying(world)
