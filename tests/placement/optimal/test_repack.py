"""Repacking: against brute force in small worlds, and step by step in those with rules."""

from __future__ import annotations

import itertools
import time
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.experiments.bench.plans import fragmented
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import InstanceStatus
from stowplan.placement.optimal.repack import free_instances, make_room, trade_off
from stowplan.placement.optimal.repack_order import BrokenPlanError, Move, check_moves, order_moves
from stowplan.placement.optimal.repack_state import RepackState
from stowplan.placement.outlook import Running
from stowplan.placement.packing.problem import Limits
from stowplan.placement.packing.repack.rounding import by_volume
from stowplan.placement.testing import add_instance, make_cluster, make_kind

LIMITS = Limits(work=2_000.0)


def state_of(cluster, on, waiting=(), daemons=()):
    """`on`: (kind, row) of every task, in order of their numbers; all are booked here."""
    running = []
    for number, (kind, row) in enumerate(on):
        cluster.reserve(kind, row)
        running.append(Running(number, kind, row, daemon=number in daemons))
    engine = Engine(cluster, np.random.default_rng(0), kernels=False)
    return RepackState(engine, running, waiting)


def steps(answer):
    return [(move.task, move.source, move.target) for move in answer.plan.moves]


# --- brute force ----------------------------------------------------------------------------------

SIZES = ((1, 2), (2, 1), (3, 3), (1, 0))  # cpu, memory; the last may not share an instance
ROOM = (4, 4)


def kind_of(size):
    alone = size == SIZES[-1]
    constraints = ("distinctInstance",) if alone else ()
    return make_kind(*size, group=f"service:{size}", constraints=constraints)


KINDS = [kind_of(size) for size in SIZES]


def fits(content, kind):
    if kind == 3 and 3 in content:
        return False
    together = [*content, kind]
    return all(sum(SIZES[k][d] for k in together) <= ROOM[d] for d in (0, 1))


@st.composite
def worlds(draw):
    """Contents of up to four instances, as tuples of kinds that fit."""
    contents = []
    for _ in range(draw(st.integers(2, 4))):
        content = []
        for kind in draw(st.lists(st.integers(0, 3), max_size=3)):
            if fits(content, kind):
                content.append(kind)
        contents.append(tuple(sorted(content)))
    return tuple(contents)


def least_steps(start, reached, waiting=()):
    """Fewest moves, one at a time and start before stop, to a state that is `reached`; or None."""
    first = (start, tuple(sorted(waiting)))
    seen, queue = {first: 0}, deque([first])
    while queue:
        here = queue.popleft()
        contents, left = here
        if reached(contents) and not left:
            return seen[here]
        for following, cost in successors(contents, left):
            if following not in seen or seen[following] > seen[here] + cost:
                seen[following] = seen[here] + cost
                (queue.append if cost else queue.appendleft)(following)
    return None


def successors(contents, left):
    for target, there in enumerate(contents):
        for source, here in enumerate(contents):
            for kind in set(here) if source != target and len(here) else ():
                if fits(there, kind):
                    after = [list(content) for content in contents]
                    after[source].remove(kind)
                    after[target].append(kind)
                    yield (tuple(tuple(sorted(c)) for c in after), left), 1
        for kind in set(left):
            if fits(there, kind):
                after, rest = [list(content) for content in contents], list(left)
                after[target].append(kind)
                rest.remove(kind)
                yield (tuple(tuple(sorted(c)) for c in after), tuple(rest)), 0


def made(contents, waiting=()):
    cluster = make_cluster()
    for _ in contents:
        add_instance(cluster, *ROOM)
    on = [(KINDS[kind], row) for row, content in enumerate(contents) for kind in content]
    return state_of(cluster, on, [KINDS[kind] for kind in waiting])


def fewest_instances(contents):
    """Instances that hold all, by brute force over every assignment."""
    items = sorted(itertools.chain(*contents))
    best = len(contents)

    def assign(rest, bins):
        nonlocal best
        if not rest:
            best = min(best, sum(map(bool, bins)))
            return
        for row in range(len(bins)):
            if fits(bins[row], rest[0]):
                assign(rest[1:], (*bins[:row], (*bins[row], rest[0]), *bins[row + 1 :]))
            if not bins[row]:
                break

    assign(items, ((),) * len(contents))
    return best


@settings(max_examples=60)
@given(worlds())
def test_the_most_instances_are_freed_with_the_fewest_moves(contents):
    answer = free_instances(made(contents), limits=LIMITS)
    fewest = fewest_instances(contents)

    assert answer.plan.used_at_least <= fewest <= answer.plan.used
    exact = least_steps(contents, lambda c: sum(map(bool, c)) <= answer.plan.used)
    assert answer.lower_bound <= exact <= answer.objective == len(answer.plan.moves)
    if answer.status == "optimal":
        assert (answer.plan.used, answer.objective) == (fewest, exact)


@settings(max_examples=60)
@given(worlds(), st.lists(st.integers(0, 3), min_size=1, max_size=2))
def test_waiting_tasks_are_made_room_for_with_the_fewest_moves(contents, waiting):
    answer = make_room(made(contents, waiting), LIMITS)
    exact = least_steps(contents, lambda c: True, waiting)

    if answer.plan is None:
        assert answer.status == "unknown" or exact is None
    else:
        started = [move for move in answer.plan.moves if move.task is None]
        assert len(started) == len(waiting)
        assert answer.objective == len(answer.plan.moves) - len(started)
        assert answer.lower_bound <= exact <= answer.objective
        assert answer.status != "optimal" or answer.objective == exact


def test_brute_force_and_solver_agree_in_nearly_all_worlds():
    """Bounds that are never tight, or orders that always park, would pass the tests above."""
    rng = np.random.default_rng(5)
    tight = 0
    for _ in range(40):
        contents = tuple(
            tuple(sorted(rng.choice([0, 1, 3], size=rng.integers(0, 3), replace=False).tolist()))
            for _ in range(4)
        )
        tight += free_instances(made(contents), limits=LIMITS).status == "optimal"
    assert tight >= 36


# --- rules, one at a time -------------------------------------------------------------------------

A, B = make_kind(4, group="service:a"), make_kind(3, group="service:b")
SWAP = [(A, 0), (B, 1)]


def four_cpus(count):
    cluster = make_cluster()
    for _ in range(count):
        add_instance(cluster, 4, 4)
    return cluster


def swapped(state):
    """What instances 0 and 1 hold, each on the other."""
    contents = state.problem().held.copy()
    contents[[0, 1]] = contents[[1, 0]]
    return contents


def test_a_swap_parks_one_task_where_there_is_room():
    state = state_of(four_cpus(3), SWAP)
    order = order_moves(state, swapped(state))
    assert not order.stuck
    assert [move.parking for move in order.moves].count(True) == 1
    assert len(order.moves) == 3


def test_a_swap_that_finds_no_parking_place_names_its_tasks():
    state = state_of(four_cpus(2), SWAP)
    order = order_moves(state, swapped(state))
    assert order.moves == ()
    assert sorted(order.stuck) == [0, 1]


@pytest.mark.parametrize(
    ("moves", "freed", "words"),
    [
        ([Move(0, A, 1, 2)], (0,), "task 0 is not on 1"),
        ([Move(0, A, 0, 1)], (0,), "does not fit instance 1: RESOURCE:CPU"),
        ([Move(2, B, 3, 2)], (3,), "task 2 is a daemon's"),
        ([Move(1, B, 1, 2), Move(None, A, None, 1)], (0,), r"instances \[0\] are not free"),
        ([Move(None, A, None, 2), Move(None, A, None, 2)], (), "nothing of service:a waits"),
        ([], (), "1 tasks still wait"),
    ],
)
def test_a_plan_broken_on_purpose_is_caught(moves, freed, words):
    state = state_of(four_cpus(4), [*SWAP, (B, 3)], [A], daemons={2})
    with pytest.raises(BrokenPlanError, match=words):
        check_moves(state.engine, state.running, state.waiting, tuple(moves), freed)


def test_a_daemon_stays_and_does_not_keep_an_instance_in_use():
    small = make_kind(1, group="service:small")
    state = state_of(four_cpus(2), [(small, 0), (small, 1), (B, 0), (B, 1)], daemons={2, 3})
    answer = free_instances(state)
    # Each instance has room for one small task beside the daemon, so nothing can be freed.
    assert answer.plan.freed == ()
    state = state_of(four_cpus(2), [(small, 0), (small, 1), (small, 0), (small, 1)], daemons={2, 3})
    assert len(free_instances(state).plan.freed) == 1


def test_what_cannot_move_stays_and_what_drains_is_no_target():
    fixed = make_kind(1, group="service:f", constraints=("memberOf:task:group == service:b",))
    cluster = four_cpus(3)
    state = state_of(cluster, [(fixed, 0), (make_kind(1), 1), (make_kind(1), 2)])
    cluster.set_status(1, InstanceStatus.DRAINING)
    answer = free_instances(state)
    assert answer.status == "optimal"
    assert answer.plan.freed == (1, 2)
    assert {move.target for move in answer.plan.moves} == {0}


def test_tasks_of_one_host_port_do_not_meet():
    port = make_kind(1, group="service:p", tcp=(80,))
    answer = free_instances(state_of(four_cpus(3), [(port, 0), (port, 1), (make_kind(1), 2)]))
    assert (answer.status, answer.plan.used, answer.objective) == ("optimal", 2, 1)
    where = {0: 0, 1: 1, 2: 2} | {move.task: move.target for move in answer.plan.moves}
    assert where[0] != where[1]


def test_more_instances_than_can_be_freed_and_room_that_cannot_be_made_are_infeasible():
    state = state_of(four_cpus(2), SWAP)
    assert free_instances(state, 1).status == "infeasible"
    assert free_instances(state, 1).reasons == ("at most 0 instances can be freed",)
    assert make_room(state_of(four_cpus(2), SWAP, [A])).status == "infeasible"


@pytest.mark.parametrize(("move_cost", "moves"), [(1, 2), (40, 1), (120, 0)])
def test_an_instance_is_freed_where_that_is_worth_the_moves(move_cost, moves):
    one = make_kind(1)
    state = state_of(four_cpus(3), [(one, 0), (one, 0), (one, 1), (one, 2)])
    prices = np.array([10, 100, 30])
    answer = trade_off(state, prices, move_cost)
    assert (answer.status, len(answer.plan.moves)) == ("optimal", moves)
    kept = [price for row, price in enumerate(prices) if row not in answer.plan.freed]
    assert answer.objective == sum(kept) + moves * move_cost


def test_without_a_clock_the_same_plan_comes_again():
    contents = ((0, 1), (1, 3), (0,), (3,), (1,))
    plans = [steps(free_instances(made(contents), limits=LIMITS)) for _ in range(2)]
    assert plans[0] == plans[1] != []


def test_a_middling_cluster_is_repacked_with_a_proof():
    answer = free_instances(fragmented(1, 24, 200, 8, (14_000, 45_000)), limits=LIMITS)
    assert answer.status == "optimal"
    assert answer.plan.used == answer.plan.used_at_least < 24


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_instances_with_a_thousand_tasks_are_within_two_percent(seed):
    limits = Limits(60.0, clock=time.perf_counter)
    answer = free_instances(fragmented(seed, 100, 1_000, 15, (14_000, 45_000)), limits=limits)
    assert answer.plan.used == answer.plan.used_at_least
    assert answer.gap <= 0.02


def test_ctrl_c_leaves_the_best_plan_so_far(monkeypatch):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("stowplan.placement.optimal.repack.improve", pressed)
    one = make_kind(1)
    answer = free_instances(state_of(four_cpus(3), [(one, 0), (one, 1), (one, 2)]))
    assert answer.interrupted
    assert len(answer.plan.freed) == len(answer.plan.moves) == 2


def test_volume_bounds_what_can_be_freed_without_any_time():
    full = state_of(
        make_cluster(2, "ab", 2048, 8192), [(make_kind(512, 1024), n % 2) for n in range(8)]
    )
    answer = free_instances(full, limits=Limits(work=0))
    assert (answer.status, answer.objective, answer.notes) == ("optimal", 0, ())
    assert by_volume(full.problem()) == 2


def test_an_answer_that_may_free_too_few_says_so(monkeypatch):
    monkeypatch.setattr("stowplan.placement.optimal.repack.fewest_used", lambda *_: 0)
    state = state_of(make_cluster(2, "ab", 2048, 8192), [(make_kind(512, 1024), 0)])
    answer = free_instances(state, limits=Limits(work=0))
    assert answer.status == "feasible"
    assert any("not proven" in note for note in answer.notes)
