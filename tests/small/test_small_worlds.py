"""Every world of up to 3 instances and 4 tasks of a few sizes, against brute force in plain loops.

All sequences of tasks are walked as a tree: a task is placed, what may follow it is tried, and it
is released again, so that the books are also proven to come back to where they were.
"""

from __future__ import annotations

import itertools
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from stowplan.placement.engine.engine import Engine
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.testing import add_instance, make_cluster, make_kind

INSTANCES_MAX, TASKS_MAX = 3, 4
UNPLACED = -1
SIZES = ((1, 1), (2, 2), (3, 1))  # cpu, memory
# cpu, memory, host port or 0, whether two may not share an instance (a group of their own)
TASKS = ((1, 1, 0, False), (2, 1, 0, False), (0, 2, 0, False), (1, 0, 80, False), (1, 0, 0, True))
ZONE = "spread:attribute:ecs.availability-zone"
CHAINS = (
    (),
    ("random",),
    ("binpack:cpu",),
    ("spread:instanceId",),
    (ZONE, "binpack:memory"),
)
OTHERS = sorted(STRATEGIES.keys() - {"random", "binpack", "spread"})


def fleets(sizes):
    """Every choice of up to 3 instances; which zone one is in depends on its place."""
    for count in range(1, INSTANCES_MAX + 1):
        yield from itertools.combinations_with_replacement(sizes, count)


def fits(size, here, task):
    """Whether an instance that holds the tasks `here` has room for one more, in plain terms."""
    together = [*here, task]
    if any(sum(t[n] for t in together) > size[n] for n in (0, 1)):
        return False
    ports = [port for _, _, port, _ in together if port]
    return len(ports) == len(set(ports)) and sum(alone for *_, alone in together) <= 1


@cache
def brute_force(fleet, tasks):
    """(most tasks that can be placed, fewest instances that hold all of them or None)."""
    best = {"placed": 0, "used": None}

    def assign(rest, held, placed):
        if not rest:
            best["placed"] = max(best["placed"], placed)
            if placed == len(tasks):
                used = sum(map(bool, held))
                best["used"] = used if best["used"] is None else min(best["used"], used)
            return
        for row, size in enumerate(fleet):
            if fits(size, held[row], rest[0]):
                more = (*held[:row], (*held[row], rest[0]), *held[row + 1 :])
                assign(rest[1:], more, placed + 1)
        assign(rest[1:], held, placed)

    assign(tasks, ((),) * len(fleet), 0)
    return best["placed"], best["used"]


def kind_of(task, chain):
    cpu, memory, port, alone = task
    return make_kind(
        cpu,
        memory,
        group="alone" if alone else "shared",
        tcp=(port,) if port else (),
        strategies=chain,
        constraints=("distinctInstance",) * alone,
    )


class Walk:
    """One fleet and one chain, all sequences of tasks. `worse` counts where greedy is not best."""

    def __init__(self, fleet, tasks, chain, make_engine=Engine):
        self.fleet, self.tasks, self.worlds, self.worse = fleet, tasks, 0, 0
        self.cluster = make_cluster()
        for (cpu, memory), zone in zip(fleet, "aab", strict=False):
            add_instance(self.cluster, cpu, memory, zone=zone)
        self.engine = make_engine(self.cluster, np.random.default_rng(0))
        self.kinds = {task: kind_of(task, chain) for task in tasks}
        self.held = [[] for _ in fleet]

    def go(self, sequence=()):
        """Try every task after `sequence`, and every sequence that follows from there."""
        for task in self.tasks if len(sequence) < TASKS_MAX else ():
            longer = (*sequence, task)
            row = int(self.engine.place([self.kinds[task]]).instances[0])
            fitting = [r for r, size in enumerate(self.fleet) if fits(size, self.held[r], task)]
            if row == UNPLACED:
                assert not fitting, f"failed, though it fits: {self.show(longer)}"
            else:
                assert row in fitting, f"on {row}, where it does not fit: {self.show(longer)}"
                self.held[row].append(task)
            self.compare(longer)
            self.go(longer)
            if row != UNPLACED:
                self.held[row].pop()
                self.cluster.release(self.kinds[task], row)
        return self

    def compare(self, sequence):
        """Greedy never places more than can be placed, nor what it places on fewer instances."""
        placed = tuple(sorted(itertools.chain(*self.held)))
        most, _ = brute_force(self.fleet, tuple(sorted(sequence)))
        assert len(placed) <= most, self.show(sequence)
        reachable, fewest = brute_force(self.fleet, placed)
        assert reachable == len(placed), self.show(sequence)
        used = sum(map(bool, self.held))
        assert used >= fewest, self.show(sequence)
        self.worlds += 1
        self.worse += len(placed) < most or used > fewest

    def show(self, sequence):
        """For messages: the tasks so far, and where they are."""
        return f"{sequence} on {self.fleet}\n{self.cluster.dump()}"


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: ", ".join(chain) or "no strategy")
def test_a_task_fails_only_where_nothing_fits_and_greedy_never_beats_the_optimum(chain):
    walks = [Walk(fleet, TASKS, chain).go() for fleet in fleets(SIZES)]
    worlds, worse = sum(w.worlds for w in walks), sum(w.worse for w in walks)
    sequences = sum(len(TASKS) ** n for n in range(1, TASKS_MAX + 1))
    assert worlds == len(walks) * sequences == 19 * 780
    assert 0 < worse < worlds, "in some worlds greedy is best, and not in others"


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_strategy_beats_the_optimum(name):
    for fleet in fleets(SIZES[:2]):
        Walk(fleet, TASKS[:3], (name,)).go()


def test_after_a_walk_the_books_are_empty():
    walk = Walk(SIZES, TASKS[:4], ("binpack:cpu",)).go()
    assert (walk.cluster.remaining == walk.cluster.registered).all()
    assert walk.cluster.running_tasks_count.sum() == 0
    walk.cluster.check()


def test_spread_is_further_from_the_optimum_than_binpack():
    def extra(chain):
        return sum(Walk(fleet, TASKS[:2], chain).go().worse for fleet in fleets(SIZES))

    assert extra(("binpack:cpu",)) < extra(("spread:instanceId",))


class Careless:
    """Broken on purpose: the first instance will do."""

    def __init__(self, cluster, rng):
        self.cluster = cluster

    def place(self, tasks):
        self.cluster.reserve(tasks[0], 0)
        return SimpleNamespace(instances=[0])


class Timid(Engine):
    """Broken on purpose: uses one instance only."""

    def place(self, tasks):
        decision = super().place(tasks)
        if decision.instances[0] > 0:
            self.cluster.release(tasks[0], int(decision.instances[0]))
            decision.instances[0] = UNPLACED
        return decision


@pytest.mark.parametrize(
    ("make_engine", "words"),
    [(Careless, "on 0, where it does not fit"), (Timid, "failed, though it fits")],
)
def test_an_engine_broken_on_purpose_is_caught(make_engine, words):
    with pytest.raises(AssertionError, match=words):
        Walk(SIZES, TASKS, (), make_engine).go()
