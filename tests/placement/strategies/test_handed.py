"""What a strategy or a constraint is handed, and how long what it remembers lives."""

from __future__ import annotations

import numpy as np
import pytest

from stowplan.experiments.examples.my_strategy import Align
from stowplan.placement.constraints import CONSTRAINTS, Constraint
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import PlacementError
from stowplan.placement.outlook import Outlook
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.testing import add_instance, check_strategy, make_cluster, make_kind

ARRAYS = {
    "remaining": lambda c, k, rows: c.remaining,
    "registered": lambda c, k, rows: c.registered,
    "running_tasks_count": lambda c, k, rows: c.running_tasks_count,
    "changed_at": lambda c, k, rows: c.changed_at,
    "registered_at_ms": lambda c, k, rows: c.registered_at_ms,
    "expected_exit_ms": lambda c, k, rows: c.expected_exit_ms,
    "device_capacity": lambda c, k, rows: c.device_capacity,
    "device_left": lambda c, k, rows: c.device_left,
    "agent_connected": lambda c, k, rows: c.agent_connected,
    "group_count": lambda c, k, rows: c.group_count(k.group),
    "column": lambda c, k, rows: c.column("ec2InstanceId").codes,
    "demand": lambda c, k, rows: c.demand(k),
    "candidates": lambda c, k, rows: rows,
}


def world():
    cluster = make_cluster()
    for _ in range(3):
        add_instance(cluster, 8, 8, devices=(1000,))
    cluster.reserve(make_kind(1, group="g"), 0)
    return cluster


def engine_with(strategy, cluster=None, constraint=None):
    strategies = {**STRATEGIES, "mine": strategy}
    constraints = {**CONSTRAINTS, **({"mine": constraint} if constraint else {})}
    return Engine(cluster or world(), np.random.default_rng(0), strategies, constraints)


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("name", list(ARRAYS))
def test_a_strategy_cannot_write_to_what_it_is_handed(name, copied):
    class Writes:
        def keys(self, task, cluster, candidates, rng):
            array = ARRAYS[name](cluster, task, candidates)
            assert np.shares_memory(array, ARRAYS[name](cluster, task, candidates))
            array[...] = 1
            return candidates

    cluster = world()
    kind = make_kind(1, group="g", strategies=("mine",))
    cluster.demand(kind)
    cluster = cluster.copy() if copied else cluster
    before = cluster.dump()
    with pytest.raises(ValueError, match="read-only"):
        engine_with(Writes, cluster).place([kind])
    assert cluster.dump() == before


@pytest.mark.parametrize("method", ["keys", "devices", "look_ahead"])
def test_a_strategy_that_books_is_told_that_it_may_only_read(method):
    class Books:
        def keys(self, task, cluster, candidates, rng):
            self.ask("keys", cluster)
            return candidates

        def devices(self, task, cluster, row, rng):
            self.ask("devices", cluster)
            return (0,)

        def look_ahead(self, now_ms, outlook, engine):
            self.ask("look_ahead", engine.cluster)

        def ask(self, name, cluster):
            if name == method:
                cluster.reserve(make_kind(1), 0)

    engine = engine_with(Books)
    kind = make_kind(1, strategies=("mine",), devices=1, device_milli=1)
    engine.check(kind)

    def asks():
        engine.look_ahead(0, lambda: Outlook(list, list))
        engine.place([kind])

    with pytest.raises(PlacementError, match="strategy mine: changed the cluster"):
        asks()


# What it would have to call or set, and what it is told.
WRITES = {
    "counter": lambda c: setattr(c, "now_ms", 5),
    "size": lambda c: setattr(c, "size", 1),
    "version": lambda c: setattr(c, "version", 0),
    "resources": lambda c: c.resources.append("mine"),
    "resources set": lambda c: setattr(c, "resources", []),
    "booked": lambda c: c.booked.clear(),
    "booked set": lambda c: c.booked.__setitem__(make_kind(1), 9),
    "ports": lambda c: c.port_mask(make_kind(1, tcp=(80,))).fill(0),
    "host ports": lambda c: c.host_ports.used.fill(0),
    "values": lambda c: c.column("ec2InstanceId").values.append("i-mine"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_nothing_else_of_a_cluster_can_be_written_to(write):
    class Writes:
        def keys(self, task, cluster, candidates, rng):
            write(cluster)
            return candidates

    cluster = world()
    told = (AttributeError, TypeError, ValueError, PlacementError)
    with pytest.raises(told, match=r"read-only|may only read|no setter|attribute|item assignment"):
        engine_with(Writes, cluster).place([make_kind(1, strategies=("mine",))])
    assert cluster.booked == {make_kind(1, group="g"): 1}
    assert "mine" not in cluster.resources


def test_a_constraint_may_only_read_too():
    class Writes(Constraint):
        def __init__(self, expression=None):
            pass

        def allows(self, task, cluster):
            cluster.remaining[:] = 9
            return cluster.active

    class Books(Writes):
        def allows(self, task, cluster):
            cluster.set_connected(0, False)
            return cluster.active

    kind = make_kind(1, constraints=("mine",))
    for made, error in ((Writes, ValueError), (Books, PlacementError)):
        with pytest.raises(error, match=r"read-only|may only read"):
            engine_with(Align, constraint=made).place([kind])


def test_one_object_serves_all_kinds_that_name_it_with_the_same_field():
    made = []

    class Remembers:
        def __init__(self, field=None):
            made.append(field)
            self.asked = 0

        def keys(self, task, cluster, candidates, rng):
            self.asked += 1
            return (candidates + self.asked) % 3

    engine = engine_with(Remembers)
    kinds = [make_kind(1, group=g, strategies=("mine",)) for g in "abc"]
    assert engine.place(kinds).instances.tolist() == [2, 1, 0]
    engine.place([make_kind(1, strategies=("mine:x",)), make_kind(2, strategies=("mine:x",))])
    assert made == [None, "x"]


def test_fragmentation_gradient_descent_keeps_keys_of_several_kinds_apart():
    tasks = [(make_kind(1, devices=1, device_milli=500), 1.0)]
    one = {**STRATEGIES, "fgd": lambda field: STRATEGIES["fgd"](field, tasks=tasks)}
    kinds = [
        make_kind(n, strategies=("fgd",), devices=1, device_milli=m)
        for n, m in ((1, 500), (2, 300), (1, 1000), (1, 200))
    ]

    def rows(engines):
        return [next(engines)._select(kind, np.arange(3)) for kind in kinds * 2]

    cluster = world()
    cluster.reserve(make_kind(1, devices=1, device_milli=400), 1, (0,))
    shared = Engine(cluster, np.random.default_rng(0), one)
    fresh = (Engine(cluster, np.random.default_rng(0), one) for _ in range(99))
    assert rows(iter([shared] * 99)) == rows(fresh)


def test_the_example_of_the_readme_keeps_the_contract_and_may_join_the_registry():
    check_strategy(Align)
    kind = make_kind(1, strategies=("mine",))
    assert not engine_with(Align).place([kind]).failures
    with pytest.raises(PlacementError, match="takes no field"):
        engine_with(Align).place([make_kind(1, strategies=("mine:cpu",))])
