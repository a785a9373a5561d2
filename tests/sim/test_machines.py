"""Starts and stops that share a machine, against closed forms of processor sharing."""

from functools import partial

import pytest

from stowplan.placement.scenario.models import Models
from stowplan.sim.machines import Machines, machines_of


def run(machines, begun):
    """When each ends, of name -> (instance, work_ms, now_ms, start or stop)."""
    found = {}
    for name, (instance, work_ms, now_ms, kind) in begun.items():
        machines.turn(now_ms)
        done = partial(found.__setitem__, name)
        if kind == "start":
            machines.start(instance, (work_ms,), now_ms, done)
        else:
            machines.stop(instance, work_ms, now_ms, done)
    while (at_ms := machines.next_ms) is not None:
        machines.turn(at_ms)
    return found


def test_alone_a_start_takes_its_own_time():
    assert run(Machines(2, 4, shared=True), {"a": (0, 300, 100, "start")}) == {"a": 400}


@pytest.mark.parametrize(("count", "expected"), [(2, 450), (3, 600), (5, 900)])
def test_beside_others_it_takes_as_much_longer_as_the_model_says(count, expected):
    begun = {n: (n, 300, 0, "start") for n in range(count)}
    assert run(Machines(2, 4, shared=True), begun) == dict.fromkeys(range(count), expected)


def test_what_is_left_goes_faster_once_others_have_ended():
    # Two at half again the time until the short one has done its 100 ms; then 200 ms alone.
    begun = {"short": (0, 100, 0, "start"), "long": (1, 300, 0, "start")}
    assert run(Machines(2, 4, shared=True), begun) == {"short": 150, "long": 350}


def test_one_that_comes_later_slows_down_only_from_then_on():
    # a: 100 ms alone, then both at 1.5; a ends at 100 + 300; b has 100 left, alone.
    begun = {"a": (0, 300, 0, "start"), "b": (1, 300, 100, "start")}
    assert run(Machines(2, 4, shared=True), begun) == {"a": 400, "b": 500}


def test_an_instance_makes_so_many_starts_at_a_time_and_stops_wait_for_nobody():
    begun = dict.fromkeys(range(3), (0, 100, 0, "start"))
    assert run(Machines(1e9, 1, shared=True), begun) == {0: 100, 1: 200, 2: 300}
    begun = dict.fromkeys(range(3), (0, 100, 0, "stop"))
    assert run(Machines(1e9, 1, shared=True), begun) == dict.fromkeys(range(3), 100)


def test_machines_that_are_not_shared_do_not_slow_each_other_down():
    begun = {n: (n % 2, 300, 0, "start") for n in range(4)}
    assert set(run(Machines(2, 4, shared=False), begun).values()) == {450}
    assert set(run(Machines(2, 4, shared=True), begun).values()) == {750}


def test_work_is_conserved_whatever_comes_when():
    """Fully shared (each of n runs at 1/n), the last of a busy period ends when all work is done:
    the sum of the work, in whatever order it came."""
    works = [120, 70, 333, 41, 250, 99]
    begun = {n: (n, work, 10 * n, "start") for n, work in enumerate(works)}
    found = run(Machines(1, None, shared=True), begun)
    assert abs(max(found.values()) - sum(works)) <= len(works)  # each end is a whole ms


def test_without_servers_there_is_no_such_model():
    assert machines_of(Models()) is None
    assert machines_of(Models(servers=2.0)) is not None
