"""Given instances of unequal size: what plain CP-SAT proves in a second, the goal proves too."""

from __future__ import annotations

import time

import numpy as np
import pytest

from stowplan.experiments.studies.uneven import (
    KINDS,
    PLACED,
    Uneven,
    main,
    make_uneven,
    ours,
    plain_cp_sat,
)
from stowplan.placement.packing.problem import Limits

WORK = 3_000.0  # units: all exact ways that come first, and a little
SECONDS = 20.0  # of the processor, where it is about one on an idle machine


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_problems_are_as_told_and_repeat(kind, dimensions):
    problem, again = (make_uneven(3, 30, 4, dimensions, kind) for _ in range(2))
    assert (problem.demand == again.demand).all()
    assert problem.capacity.shape == (4, dimensions)
    assert len({tuple(row) for row in problem.capacity.tolist()}) == 4
    load = problem.counts @ problem.demand
    assert 28 <= problem.counts.sum() <= 34
    if kind == "over":
        assert load[:2].max() > problem.capacity[:, :2].sum(axis=0).min() * 0.98
    else:
        assert (load <= problem.capacity.sum(axis=0)).all()
    assert make_uneven(4, 30, 4, dimensions, kind).capacity.tolist() != problem.capacity.tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("tasks", "instances", "dimensions"), [(12, 3, 3), (20, 4, 2), (30, 4, 4)])
def test_what_plain_cp_sat_proves_in_a_second_is_proven(tasks, instances, dimensions, kind):
    problem = make_uneven(1, tasks, instances, dimensions, kind)
    plain = plain_cp_sat(problem, 0.15)
    if not plain.proven:
        pytest.skip("plain CP-SAT proves nothing in about a second")
    mine = ours(problem, Limits(work=WORK))
    assert (mine.proven, mine.cost) == (True, plain.cost)
    assert mine.seconds < SECONDS
    if kind != "over":
        assert mine.cost < PLACED  # all fits by construction


@pytest.mark.long
def test_one_way_does_not_use_up_the_time_of_the_others():
    """30 tasks that all fit on 4 instances: one was left out after 60 s."""
    problem = make_uneven(0, 30, 4, 3, "snug")
    ticks = iter(np.arange(0.0, 1e6, 0.001))
    found = ours(problem, Limits(seconds=60.0, clock=lambda: float(next(ticks))))
    assert (found.proven, found.cost) == (True, 420)


def test_all_must_be_placed_and_cannot_be():
    capacity = np.array([[1000, 1000], [900, 1100]])
    problem = Uneven(capacity, np.zeros(2, int), np.array([[600, 500]]), np.array([3]))
    found = ours(problem, Limits(work=WORK))
    assert found.proven
    assert found.cost == PLACED + 2 * 100


def test_the_study_says_what_was_lost(capsys):
    begun = time.monotonic()
    assert main(["--sizes", "8x2", "--seeds", "0", "--limit", "30"]) == 0
    said = capsys.readouterr().out
    assert "proven: plain 9, ours 9, both 9; lost: none" in said, (said, time.monotonic() - begun)
