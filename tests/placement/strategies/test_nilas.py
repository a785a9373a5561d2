"""NILAS: what it knows of exits, and whom it prefers."""

from __future__ import annotations

import numpy as np
import pytest

from stowplan.placement.cluster.cluster import Cluster
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import NEVER, PlacementStrategy, TaskKind
from stowplan.placement.strategies.nilas import Nilas

RNG = np.random.default_rng(0)


def cluster(rows=3):
    made = Cluster()
    for row in range(rows):
        made.register(row, {"CPU": 1000}, {})
    return made


def kind(expected_ms, *strategies):
    chain = tuple(PlacementStrategy(name) for name in strategies)
    return TaskKind((("CPU", 10),), "g", strategies=chain, expected_ms=expected_ms)


def keys(made, task, rows=(0, 1, 2)):
    return Nilas().keys(task, made, np.array(rows), RNG).tolist()


def test_an_instance_is_kept_on_as_long_as_its_last_task_and_no_longer():
    made = cluster()
    short, long, endless = kind(5_000), kind(60_000), kind(None)
    made.now_ms = 1_000
    made.reserve(short, 0)
    made.reserve(long, 0)
    made.reserve(short, 1)
    made.reserve(endless, 2)
    assert made.expected_exit_ms.tolist() == [61_000, 6_000, NEVER]
    made.release(long, 0)
    assert made.expected_exit_ms[0] == 61_000  # bookings do not tell which task it was
    made.release(short, 0)
    assert made.expected_exit_ms[0] == 0


@pytest.mark.parametrize("kernels", [True, False])
def test_kernels_and_numpy_book_the_same_exits(kernels):
    made = cluster()
    made.now_ms = 7_000
    engine = Engine(made, np.random.default_rng(0), kernels=kernels)
    tasks = [kind(n * 1_000, "first_fit") for n in range(1, 41)]
    engine.place(tasks)
    assert made.expected_exit_ms.tolist() == [47_000, 0, 0]


def test_it_prefers_who_ends_later_then_who_is_kept_on_least_then_the_empty():
    made = cluster(4)
    made.reserve(kind(90_000), 0)
    made.reserve(kind(3_000), 1)
    made.reserve(kind(30_000), 2)
    task = kind(32_500)
    # adds nothing; 29.5 s; 2.5 s; all of 32.5 s
    assert keys(made, task, (0, 1, 2, 3)) == [0, 5, 2, 6]
    made.now_ms = 20_000  # the second is overdue: from now on it is kept on for the task alone
    assert keys(made, task, (0, 1, 2, 3)) == [0, 6, 5, 6]


def test_a_task_without_end_goes_where_another_stays_for_ever():
    made = cluster()
    made.reserve(kind(None), 1)
    first, second, third = keys(made, kind(None))
    assert second == 0 < first == third


def test_it_takes_no_field():
    with pytest.raises(ValueError, match="no field"):
        Nilas("cpu")
