"""Repacking: against brute force in small worlds, and step by step in those with rules."""

from __future__ import annotations

import itertools
from collections import deque

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.engine import Engine
from placement.optimal.problem import Limits
from placement.optimal.repack import free_instances, make_room
from placement.optimal.repack_state import RepackState
from placement.outlook import Running
from placement.testing import add_instance, make_cluster, make_kind

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


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_the_most_instances_are_freed_with_the_fewest_moves(contents):
    answer = free_instances(made(contents), limits=LIMITS)
    fewest = fewest_instances(contents)

    assert answer.plan.used_at_least <= fewest <= answer.plan.used
    exact = least_steps(contents, lambda c: sum(map(bool, c)) <= answer.plan.used)
    assert answer.lower_bound <= exact <= answer.objective == len(answer.plan.moves)
    if answer.status == "optimal":
        assert (answer.plan.used, answer.objective) == (fewest, exact)


@settings(max_examples=60, deadline=None)
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
