"""The search over deals: against every assignment in small worlds, and what it proves when cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stowplan.placement.packing.fleet.problem import BinType
from stowplan.placement.packing.over_time.branches import Branch
from stowplan.placement.packing.over_time.columns import Columns
from stowplan.placement.packing.over_time.deal_kernels import kinds_of_state, most_held
from stowplan.placement.packing.over_time.deals import Deals
from stowplan.placement.packing.over_time.plan import OverTimePlan
from stowplan.placement.packing.over_time.problem import OverTimeProblem
from stowplan.placement.packing.over_time.verify import check_over_time
from stowplan.placement.packing.problem import Limits
from stowplan.placement.packing.state import Budget
from stowplan.placement.packing.verify import BrokenPackingError


def world(seed: int, tasks: int = 6) -> OverTimeProblem:
    """Two types, two dimensions, some kinds at most one an instance."""
    rng = np.random.default_rng(seed)
    kinds = int(rng.integers(2, 5))
    start = rng.integers(0, 12, tasks)
    most = np.where(rng.random((kinds, 1)) < 0.3, 1, 9) * np.ones((1, 2), dtype=np.int64)
    return OverTimeProblem(
        rng.integers(1, 6, (kinds, 2)),
        rng.integers(0, kinds, tasks),
        start,
        start + rng.integers(1, 9, tasks),
        (
            BinType("small", np.array([6, 6]), int(rng.integers(3, 6))),
            BinType("large", np.array([10, 9]), int(rng.integers(5, 9))),
        ),
        most.astype(np.int64),
    )


def least_by_trying(problem: OverTimeProblem) -> int:
    """Every assignment of tasks to as many instances as there are tasks, every type for each."""
    n, best = len(problem.kind), 2**62
    for instance in itertools.product(range(n), repeat=n):
        if any(i > max(instance[:at], default=-1) + 1 for at, i in enumerate(instance)):
            continue  # the same with other numbers
        total = 0
        for number in set(instance):
            mine = np.array([0 if i == number else -1 for i in instance])
            there = mine == 0
            part = OverTimeProblem(
                problem.demand, problem.kind[there], problem.start_ms[there],
                problem.end_ms[there], problem.types, problem.most,
            )  # fmt: skip
            costs = [_cost(part, t) for t in range(len(problem.types))]
            total += min(costs)
        best = min(best, total)
    return best


def _cost(part: OverTimeProblem, t: int) -> int:
    plan = OverTimePlan(np.zeros(len(part.kind), dtype=np.int64), np.array([t]))
    try:
        return check_over_time(part, plan)
    except BrokenPackingError:
        return 2**50


def columns_of(problem: OverTimeProblem, branch: Branch | None = None) -> Columns:
    columns = Columns(problem, Budget(Limits()))
    for job in range(len(problem.kind)):
        for offer, states in enumerate(columns.states):
            if states.begin[job] >= 0:
                columns.add(offer, [job])
    columns.enter(branch or Branch())
    columns.solve()
    return columns


def cost_of(columns: Columns, busy: list[tuple[int, list[int]]]) -> int:
    """What the plan costs by the checker, in units."""
    instance = np.full(len(columns.jobs.kind), -1, dtype=np.int64)
    for number, (_, held) in enumerate(busy):
        instance[columns.jobs.task[held]] = number
    plan = OverTimePlan(instance, np.array([t for t, _ in busy], dtype=np.int64))
    return check_over_time(columns.problem, plan) // columns.unit


@pytest.mark.parametrize("seed", range(12))
def test_all_deals_find_the_least_and_few_deals_bound_it(seed):
    problem = world(seed)
    least = least_by_trying(problem)
    columns = columns_of(problem)
    beyond = 10 * least // columns.unit
    deals = Deals(columns)
    found = deals.search(10_000, beyond)
    assert found.busy is not None
    assert found.bound * columns.unit == cost_of(columns, found.busy) * columns.unit == least
    assert deals.search(10_000, least // columns.unit).busy is None
    for width in (1, 3):
        few = deals.search(width, beyond)
        assert few.bound * columns.unit <= least
        assert few.busy is None or cost_of(columns, few.busy) * columns.unit >= least


@pytest.mark.parametrize("seed", range(12, 20))
def test_pairs_and_counts_of_a_branch_are_kept(seed):
    problem = world(seed, 5)
    whole = columns_of(problem)
    a, b = (int(each) for each in np.random.default_rng(seed).choice(5, 2, replace=False))
    parts = (Branch(together=((a, b),)), Branch(apart=((a, b),)))
    beyond = 10**6
    found = [Deals(columns_of(problem, part)).search(10_000, beyond) for part in parts]
    assert min(each.bound for each in found) == Deals(whole).search(10_000, beyond).bound
    apart = found[1].busy
    assert apart is not None
    together = whole.jobs.ends[min(a, b)] > whole.jobs.starts[max(a, b)]
    assert not together or not any({a, b} <= set(held) for _, held in apart)
    busy = {(t, 0): (0, 0) for t in range(2)}
    none = Deals(columns_of(problem, Branch(busy=busy))).search(10_000, beyond)
    assert none.busy is None, "a plan without instances at a moment with tasks"


def test_sums_of_sizes_say_what_room_is_of_use():
    reach = np.zeros(11, dtype=np.int64)
    most_held(np.array([3, 4, 20]), 10, reach)
    assert reach.tolist() == [0, 0, 0, 3, 4, 4, 4, 7, 7, 7, 7]


def test_contents_are_alike_where_all_that_can_follow_is_the_same():
    starts, ends = np.array([0, 0, 0, 1]), np.array([3, 3, 2, 3])
    demand = np.array([[5], [6], [5], [4]])  # job 3 has room beside 5 and 6; all three end later
    members = np.array([[0, -1], [1, -1], [2, -1]])
    count, none = np.ones(3, dtype=np.int64), np.zeros(4, dtype=np.int64)

    def kinds(capacity, marked=none):
        return kinds_of_state(
            2, members, count, starts, ends, demand, np.array([capacity]), marked, 100, 0
        ).tolist()  # fmt: skip

    first, second, third = kinds(10)
    assert first == second != third, "the third ends sooner"
    assert kinds(9)[0] != kinds(9)[1], "beside 6 there is no room for 4"
    assert kinds(10, np.array([1, 0, 0, 0]))[0] != second, "told apart by a branch"
