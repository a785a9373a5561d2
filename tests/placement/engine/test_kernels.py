"""The kernels against the numpy code of the engine: the same choices, Failures, state and chance.

Two engines live through the same history, one with kernels and one without. Small worlds come from
Hypothesis, so that what fails shrinks; large ones from a seed, so that blocks split and merge.
"""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.placement.cluster.cluster import LOG_ROWS
from stowplan.placement.engine import engine as engine_module
from stowplan.placement.engine.engine import Engine, TaskBatch
from stowplan.placement.engine.kernels import forms, runner
from stowplan.placement.engine.kernels.runner import Runner
from stowplan.placement.model import InstanceStatus
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.binpack import Binpack
from stowplan.placement.testing import add_instance, make_cluster, make_kind

ZONE = "attribute:ecs.availability-zone"
LINKS = (
    *("random", "binpack:cpu", "binpack:memory", "binpack:DISK", "binpack:no.such"),
    *("spread:instanceId", f"spread:{ZONE}", "spread:attribute:rack", "spread:attribute:no.such"),
    *("first_fit", "next_fit", "best_fit", "best_fit:cpu", "best_fit:no.such", "worst_fit"),
    *("worst_fit:memory", "norm_greedy", "dot_product"),
)
CONSTRAINTS = (
    *("distinctInstance", "maxPerInstance:2", "memberOf:attribute:rack in [r0, r1]"),
    *("memberOf:task:group == g0", "memberOf:runningTasksCount < 3"),
    "memberOf:attribute:ecs.availability-zone != a",
)
GROUPS = ("g0", "g1", "g2")


class Twins:
    """One engine with kernels and one without, on clusters that see the same."""

    def __init__(self, cluster, seed=0, **more):
        self.engines = [
            Engine(c, np.random.default_rng(seed), kernels=kernels, **more)
            for c, kernels in ((cluster.copy(), True), (cluster.copy(), False))
        ]
        self.placed = []

    def do(self, action):
        for engine in self.engines:
            action(engine.cluster)

    def place(self, tasks):
        fast, slow = (engine.place(tasks) for engine in self.engines)
        assert fast.instances.tolist() == slow.instances.tolist()
        assert (fast.failures, fast.devices) == (slow.failures, slow.devices)
        for position, (kind, row) in enumerate(zip(tasks, fast.instances.tolist(), strict=True)):
            if row >= 0:
                self.placed.append((kind, row, fast.devices.get(position, ())))
        self.compare()
        return fast

    def fill(self, kind, count):
        fast, slow = (engine.fill(kind, count) for engine in self.engines)
        assert fast == slow
        rows = zip(fast.rows, fast.devices, strict=True)
        self.placed += [(kind, row, devices) for row, devices in rows]
        self.compare()

    def release(self, number):
        """Undo one booking, and with it up to three more of the same kind."""
        chosen = self.placed.pop(number % len(self.placed))
        more = [each for each in self.placed if each[0] is chosen[0]][: number // 8 % 4]
        for each in more:
            self.placed.remove(each)
        _, rows, devices = zip(chosen, *more, strict=True)
        for engine in self.engines:
            engine.release(chosen[0], rows, devices)

    def compare(self):
        fast, slow = (engine.cluster for engine in self.engines)
        for name in ("remaining", "running_tasks_count", "changed_at", "device_left"):
            assert (getattr(fast, name) == getattr(slow, name)).all(), name
        for name in ("version", "freed_version", "last_reserved", "booked", "resources"):
            assert getattr(fast, name) == getattr(slow, name), name
        for group in {kind.group for kind, _, _ in self.placed} | set(GROUPS):
            assert (fast.group_count(group) == slow.group_count(group)).all(), group
        for kind in {kind for kind, _, _ in self.placed}:
            assert (fast.ports_free(kind) == slow.ports_free(kind)).all(), kind
        states = [engine.rng.bit_generator.state for engine in self.engines]
        assert states[0] == states[1], "one engine drew more than the other"
        fast.check()


# --- small worlds ---------------------------------------------------------------------------------

few = st.integers(0, 3)
instances = st.fixed_dictionaries(
    {"cpu": st.integers(0, 8), "memory": st.integers(0, 8), "zone": st.sampled_from("abc")},
    optional={
        "attributes": st.fixed_dictionaries({"rack": st.sampled_from(["r0", "r1", "r2"])}),
        "reserved_ports": st.just((("tcp", 80),)),
        "devices": st.just((1000, 500)),
        "resources": st.fixed_dictionaries({"DISK": few}),
        "capacity_provider": st.just("spot"),
    },
)
kinds = st.builds(
    make_kind,
    few,
    few,
    group=st.sampled_from(GROUPS),
    strategies=st.lists(st.sampled_from(LINKS), max_size=4),
    constraints=st.one_of(st.just(()), st.lists(st.sampled_from(CONSTRAINTS), max_size=2)),
    tcp=st.sampled_from([(), (), (80,), (443, 80)]),
    udp=st.sampled_from([(), (), (53,)]),
    required_attributes=st.sampled_from([(), (), ("rack",)]),
    zones=st.sampled_from([(), (), ("a", "b")]),
    capacity_provider=st.sampled_from([None, None, "spot"]),
    resources=st.sampled_from([{}, {}, {"DISK": 1}, {"FPGA": 1}]),
)
with_devices = st.builds(
    make_kind, few, devices=st.just(1), device_milli=st.just(400), strategies=st.just(("random",))
)


@st.composite
def worlds(draw):
    cluster = make_cluster()
    for instance in draw(st.lists(instances, max_size=8)):
        add_instance(cluster, **instance)
    return cluster, draw(st.lists(st.one_of(kinds, kinds, kinds, with_devices), min_size=1))


def anything_else(twins, action, number):
    """Something happens to an instance or a task between two batches."""
    row = number % max(1, twins.engines[0].cluster.size)
    if not twins.engines[0].cluster.size:
        return
    match action:
        case "release" if twins.placed:
            twins.release(number)
        case "drain" | "activate":
            status = InstanceStatus.DRAINING if action == "drain" else InstanceStatus.ACTIVE
            twins.do(lambda cluster: cluster.set_status(row, status))
        case "connect" | "disconnect":
            twins.do(lambda cluster: cluster.set_connected(row, action == "connect"))
        case "renew":
            twins.do(lambda cluster: add_instance(cluster, number % 5, 4, zone="b", row=row))
        case "register":
            twins.do(lambda cluster: add_instance(cluster, number % 9, 5, zone="d"))


ACTIONS = ("place", "columns", "fill", "release", "drain", "activate", "connect", "disconnect")


@settings(max_examples=300)
@given(worlds(), st.integers(0, 3), st.sampled_from([1, 4, 1000]), few, st.data())
def test_kernels_decide_as_the_reference_through_any_history(world, seed, least, after, data):
    cluster, some = world
    twins = Twins(cluster, seed)
    with (
        patch.object(engine_module, "KERNEL_TASKS_MIN", least),
        patch.object(runner, "STAND_AFTER", after),
    ):
        for _ in range(data.draw(st.integers(1, 6))):
            action = data.draw(st.sampled_from((*ACTIONS, *ACTIONS[:3], "renew", "register")))
            index = st.lists(st.integers(0, len(some) - 1), max_size=25)
            match action:
                case "place":
                    twins.place([some[i] for i in data.draw(index)])
                case "columns":
                    twins.place(TaskBatch(tuple(some), np.array(data.draw(index), np.int32)))
                case "fill":
                    twins.fill(data.draw(st.sampled_from(some)), data.draw(st.integers(0, 12)))
                case _:
                    anything_else(twins, action, data.draw(st.integers(0, 99)))
        twins.place(some)


# --- large worlds ---------------------------------------------------------------------------------

CHAINS = (
    *((), ("random",), ("binpack:memory",), ("binpack:cpu",), ("spread:instanceId",)),
    *((f"spread:{ZONE}", "binpack:memory"), (f"spread:{ZONE}", "spread:instanceId")),
    *((f"spread:{ZONE}", "random"), (f"spread:{ZONE}", "spread:attribute:rack", "binpack:cpu")),
    *(("binpack:memory", "binpack:cpu"), ("spread:instanceId", "binpack:memory")),
    *(("binpack:cpu", "random", "random"), ("spread:attribute:rack",)),
    # what `ties = "random"` makes of chains
    *(("binpack:memory", "random"), ("spread:instanceId", "random")),
    (f"spread:{ZONE}", "binpack:memory", "random"),
    (f"spread:{ZONE}", "spread:instanceId", "random"),
    # heuristics, which have an order of their own
    *(("first_fit",), ("next_fit",), ("best_fit",), ("worst_fit",), ("norm_greedy",)),
    *(("dot_product",), ("worst_fit:cpu",), (f"spread:{ZONE}", "best_fit")),
    *((f"spread:{ZONE}", "dot_product"), (f"spread:{ZONE}", "next_fit"), ("best_fit", "random")),
    *(("norm_greedy", "spread:instanceId"), (f"spread:{ZONE}", "norm_greedy", "first_fit")),
)


def large_cluster(rng, size):
    cluster = make_cluster()
    for _ in range(size):
        cpu, memory = ((16, 64), (32, 64), (64, 512))[rng.integers(3)]
        add_instance(
            cluster,
            cpu,
            memory,
            zone="abc"[rng.integers(3)],
            attributes={"rack": f"r{rng.integers(9)}"} if rng.random() < 0.9 else {},
            reserved_ports=(("tcp", 80),) if rng.random() < 0.1 else (),
            resources={"GPU": int(rng.integers(1, 5))} if rng.random() < 0.2 else {},
        )
    for row in np.flatnonzero(rng.random(size) < 0.03):
        cluster.set_status(int(row), InstanceStatus.DRAINING)
    for row in np.flatnonzero(rng.random(size) < 0.03):
        cluster.set_connected(int(row), False)
    return cluster


def large_kinds(rng, chains, count=12):
    return tuple(
        make_kind(
            int(rng.integers(0, 9)),
            int(rng.integers(1, 40)),
            group=f"g{rng.integers(4)}",
            strategies=chains[number % len(chains)],
            constraints=[CONSTRAINTS[rng.integers(3)]] if rng.random() < 0.3 else (),
            tcp=(80,) if rng.random() < 0.15 else (),
            zones=("a", "b") if rng.random() < 0.2 else (),
            resources={"GPU": 1} if rng.random() < 0.2 else {},
        )
        for number in range(count)
    )


@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_large_batches_of_one_chain_equal_the_reference(chain):
    rng = np.random.default_rng(len(chain))
    twins = Twins(large_cluster(rng, 400), 1)
    for _ in range(2):
        some = large_kinds(rng, [chain])
        twins.place(TaskBatch(some, rng.integers(0, len(some), 1200)))
        for number in rng.integers(0, 1 << 30, 300):
            twins.release(int(number))


@pytest.mark.parametrize("seed", range(3))
def test_large_batches_of_mixed_chains_equal_the_reference(seed):
    rng = np.random.default_rng(seed)
    twins = Twins(large_cluster(rng, 700), seed)
    some = large_kinds(rng, CHAINS, 40)
    decision = twins.place(TaskBatch(some, rng.integers(0, len(some), 3000)))
    assert decision.failures, "the world is meant to fill up"
    twins.fill(some[1], 500)


@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_one_request_at_a_time_equals_the_reference_whatever_happens_between(chain):
    rng = np.random.default_rng(len(chain))
    twins = Twins(large_cluster(rng, 150), 1)
    some = large_kinds(rng, [chain])
    with patch.object(runner, "STAND_AFTER", 20), patch.object(runner, "STAND_KINDS_MAX", 9):
        for step in range(400):
            twins.place([some[rng.integers(len(some))]])
            if twins.placed and step > 200 and rng.random() < 0.7:
                twins.release(int(rng.integers(1 << 30)))
            if rng.random() < 0.02:
                action = ("drain", "activate", "register", "renew")[rng.integers(4)]
                anything_else(twins, action, int(rng.integers(150)))


def test_a_resource_that_a_later_kind_brings_does_not_shift_the_reasons():
    twins = Twins(large_cluster(np.random.default_rng(0), 150))
    first, lacking = make_kind(1, 1), make_kind(1, 1, required_attributes=("nowhere",))
    with patch.object(runner, "STAND_AFTER", 2):
        for kind in (first, lacking, first):
            twins.place([kind])
        twins.place([make_kind(1, 1, resources={"DISK": 1})])
        unknown = make_kind(1, 1, group="other", required_attributes=("nowhere",))
        for kind in (lacking, first, unknown, unknown, lacking):
            twins.place([kind])


def test_an_index_that_missed_more_than_the_log_holds_is_made_anew():
    twins, kind = Twins(large_cluster(np.random.default_rng(0), 150)), make_kind(1, 1)
    other = make_kind(2, 2, strategies=("random",))
    with patch.object(runner, "STAND_AFTER", 1):
        twins.place([kind])
        first = twins.engines[0]._runner.standing
        for _ in range(LOG_ROWS // 2):
            twins.do(lambda cluster: (cluster.reserve(other, 7), cluster.release(other, 7)))
        twins.place([kind])
        assert twins.engines[0]._runner.standing is first
        twins.do(lambda cluster: [cluster.reserve(other, 9) for _ in range(LOG_ROWS + 1)])
        twins.do(lambda cluster: [cluster.release(other, 9) for _ in range(LOG_ROWS + 1)])
        twins.place([kind])
        assert twins.engines[0]._runner.standing is not first


# --- the edges ------------------------------------------------------------------------------------


def test_limits_on_the_index_change_nothing():
    rng = np.random.default_rng(0)
    cluster, some = large_cluster(rng, 200), large_kinds(rng, CHAINS)
    index = rng.integers(0, len(some), 600)
    for name in ("CLASSES_MAX", "CURSORS_MAX", "SEEN_MAX"):
        with patch.object(forms, name, 0):
            Twins(cluster).place(TaskBatch(some, index))


def test_amounts_too_large_to_pack_are_compared_all_the_same():
    cluster = make_cluster(40, zones="ab")
    for row in range(40):
        add_instance(cluster, 8, 1 << (30 + row % 5), zone="ab"[row % 2], row=row)
    some = tuple(make_kind(1, 1 << 28, strategies=c) for c in (("binpack:memory",), CHAINS[5]))
    Twins(cluster).place(TaskBatch(some, np.arange(200) % 2))
    twins = Twins(cluster)
    with patch.object(runner, "STAND_AFTER", 0):
        for number in range(100):
            twins.place([some[number % 2]])


def test_a_class_derived_from_ours_is_no_kernel():
    class Mine(Binpack):
        def keys(self, task, cluster, candidates, rng):
            return -super().keys(task, cluster, candidates, rng)

    cluster = make_cluster(3)
    add_instance(cluster, memory=64)
    kind = make_kind(1, 1, strategies=("binpack:memory",))
    mine = Engine(cluster, np.random.default_rng(0), STRATEGIES | {"binpack": Mine})
    assert not Runner(mine, mine.rng).takes(kind)
    assert mine.fill(kind, 50).rows[0] == 0
    assert Engine(cluster, np.random.default_rng(0)).fill(kind, 50).rows[0] == 3


def test_what_has_no_kernel_form_is_told_apart():
    engine = Engine(make_cluster(1), np.random.default_rng(0))
    taken = Runner(engine, engine.rng).takes
    assert all(taken(make_kind(1, strategies=chain)) for chain in CHAINS)
    assert taken(make_kind(1, constraints=CONSTRAINTS[:3]))
    assert not taken(make_kind(1, constraints=CONSTRAINTS[3:4]))
    assert not taken(make_kind(1, constraints=CONSTRAINTS[4:5]))
    assert not taken(make_kind(1, devices=1, device_milli=1000))
    assert not taken(make_kind(1, strategies=("first_fit", "random")))  # which draws all the same
    assert not taken(make_kind(1, strategies=("nilas",)))


def test_a_task_batch_names_only_kinds_that_it_has():
    kind = make_kind(1)
    assert list(TaskBatch((kind,), np.array([0, 0]))) == [kind, kind]
    for wrong in ([1], [-1], [0, 7]):
        with pytest.raises(ValueError, match="not within"):
            TaskBatch((kind,), np.array(wrong))
    with pytest.raises(ValueError, match="not within"):
        TaskBatch((), np.array([0]))


def test_kinds_that_no_task_is_of_leave_no_trace():
    idle = make_kind(1, resources={"FPGA": 1}, strategies=("random",), tcp=(80,))
    kind = make_kind(1, strategies=("binpack:cpu",))
    twins = Twins(make_cluster(5))
    twins.place(TaskBatch((idle, kind), np.ones(100, np.int64)))
    assert "FPGA" not in twins.engines[0].cluster.resources


def test_an_index_that_stands_knows_the_attributes_of_now():
    """Requests that come one at a time share an index; attributes may change between them."""
    cluster = make_cluster()
    for rack in ("r0", "r1", "no"):
        add_instance(cluster, 1_000, 9_000, attributes={"rack": rack})
    kind = make_kind(1, 1, strategies=[LINKS[1]], constraints=[CONSTRAINTS[2]])
    twins = Twins(cluster)
    for _ in range(2 * runner.STAND_AFTER):
        twins.place([kind])

    def moved(row, rack):
        twins.do(lambda c: c.set_strings(row, c.strings_of(row) | {"attribute:rack": rack}))

    for row, rack in ((0, "no"), (2, "r0"), (1, "no"), (2, "no"), (0, "r1")):
        moved(row, rack)
        twins.place([kind])
        twins.place([kind])
