"""Goal `repack` keeps the spread of services over zones, or says that it gives it up."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from stowplan.placement.engine.engine import Engine
from stowplan.placement.optimal.repack import free_instances, keep_spread, make_room, spread_field
from stowplan.placement.optimal.repack_order import BrokenPlanError, Move, check_homes
from stowplan.placement.optimal.repack_state import RepackState
from stowplan.placement.outlook import Running
from stowplan.placement.packing.problem import Limits
from stowplan.placement.testing import add_instance, make_cluster, make_kind

LIMITS = Limits(work=500.0)
ZONES = "spread:attribute:ecs.availability-zone"


def kind(cpu, name, chain=(ZONES, "binpack:memory")):
    return make_kind(cpu, cpu, group=f"service:{name}", strategies=chain)


def built(boxes, on, waiting=()):
    """`boxes`: the zone of each, of 1000 units; `on`: (kind, row) of each task."""
    cluster = make_cluster()
    for zone in boxes:
        add_instance(cluster, 1000, 1000, zone=zone)
    running = []
    for number, (each, row) in enumerate(on):
        cluster.reserve(each, row)
        running.append(Running(number, each, row))
    engine = Engine(cluster, np.random.default_rng(0), kernels=False)
    return running, lambda spread_by: RepackState(engine, running, waiting, spread_by)


def by_zone(boxes, running, moves=()):
    """Tasks by group and zone, counted from the plan alone."""
    where = {t.task: (t.kind.group, t.row) for t in running}
    for move in moves:
        if move.task is not None:
            where[move.task] = (move.kind.group, move.target)
    return Counter((group, boxes[row]) for group, row in where.values())


def freed(made, count):
    return keep_spread(made, lambda state: free_instances(state, count, LIMITS))


def test_a_task_goes_where_its_zone_is_though_another_is_as_good():
    web = kind(400, "web")
    boxes = ["a", "b", "b", "a"]
    running, made = built(boxes, [(web, 0), (web, 1), (web, 3)])
    found = freed(made, 1)
    assert found.objective == 1
    assert by_zone(boxes, running, found.plan.moves) == by_zone(boxes, running)
    assert found.plan.zones == tuple(boxes)
    assert "spread kept" in found.notes[0]


def test_where_it_cannot_be_kept_that_is_said_with_the_change_and_the_cost():
    web, lone = kind(300, "web"), kind(300, "lone", ("binpack:memory",))
    boxes = ["a", "b", "c"]
    running, made = built(boxes, [(web, 0), (web, 1), (lone, 2)])
    found = freed(made, 2)
    assert found.objective == 2
    why, change = found.notes
    assert why == "spread given up: were it kept, at most 1 instances can be freed"
    assert change.startswith("service:web: a 1, b 1")
    assert by_zone(boxes, running, found.plan.moves) != by_zone(boxes, running)


def test_what_is_not_spread_over_zones_moves_anywhere():
    lone = kind(400, "lone", ("binpack:memory", ZONES))
    _, made = built(["a", "b"], [(lone, 0), (lone, 1)])
    found = freed(made, 1)
    assert (found.objective, found.notes) == (1, ())


def test_any_attribute_may_be_the_one_that_tasks_are_spread_over():
    assert spread_field(kind(1, "x", ("spread:attribute:rack",))) == "attribute:rack"
    assert spread_field(kind(1, "x", ("spread:instanceId",))) is None
    assert spread_field(kind(1, "x", ())) is None


@pytest.mark.parametrize("seed", range(12))
def test_random_clusters_keep_their_spread_and_never_move_less(seed):
    rng = np.random.default_rng(seed)
    boxes = [str(z) for z in rng.choice(list("abc"), 9)]
    kinds = [kind(int(size), f"s{n}") for n, size in enumerate(rng.integers(2, 6, 5) * 90)]
    left, on = [1000] * len(boxes), []
    for _ in range(16):
        each, row = kinds[rng.integers(5)], int(rng.integers(9))
        size = dict(each.resources)["CPU"]
        if left[row] >= size:
            left[row] -= size
            on.append((each, row))
    running, made = built(boxes, on)
    state = made(spread_field)
    kept = free_instances(state, 1, LIMITS)
    anyhow = free_instances(made(lambda _: None), 1, LIMITS)
    if kept.plan is not None:
        assert by_zone(boxes, running, kept.plan.moves) == by_zone(boxes, running)
        assert kept.objective >= anyhow.lower_bound
        check_homes(state, kept.plan.moves)
    elif anyhow.plan is not None and kept.status == "infeasible":
        assert by_zone(boxes, running, anyhow.plan.moves) != by_zone(boxes, running)


def test_room_is_made_within_zones():
    web, wide = kind(500, "web"), kind(1000, "wide", ("binpack:memory",))
    boxes = ["a", "a", "b", "b"]
    running, made = built(boxes, [(web, 0), (web, 1), (web, 2)], [wide, wide])
    found = keep_spread(made, lambda state: make_room(state, LIMITS))
    assert found.objective == 1
    assert by_zone(boxes, running, found.plan.moves) == by_zone(boxes, running)


def test_a_plan_that_changes_the_spread_is_found_out():
    web = kind(400, "web")
    _, made = built(["a", "b"], [(web, 0), (web, 1)])
    with pytest.raises(BrokenPlanError, match="service:web: the plan changes the spread"):
        check_homes(made(spread_field), (Move(0, web, 0, 1),))
