"""The books of the cluster, against plain dicts: what is booked, freed, renewed and copied."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.placement.cluster.arrays import names
from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import AVAILABILITY_ZONE, CPU, GPU, MEMORY, PORTS, InstanceStatus
from stowplan.placement.testing import add_instance, make_cluster, make_kind

FPGA = "FPGA"
KINDS = (
    make_kind(2, 3, group="a"),
    make_kind(1, 0, group="a", tcp=(80, 443), udp=(53,)),
    make_kind(0, 1, group="b", tcp=(8080,), resources={FPGA: 1}),
    make_kind(0, 0, group="c"),
    make_kind(1, 1, group="d", devices=2, device_milli=300),
)


def remaining(cluster, row=0):
    """What is left on `row`, by name, without the zeros."""
    pairs = zip(cluster.resources, cluster.remaining[row].tolist(), strict=True)
    return {name: amount for name, amount in pairs if amount}


def readings(cluster):
    """All that can be read and depends on what is booked."""
    return {
        "remaining": [remaining(cluster, row) for row in range(cluster.size)],
        "devices": cluster.device_left.tolist(),
        "counts": {k.group: cluster.group_count(k.group).tolist() for k in KINDS},
        "tasks": cluster.running_tasks_count.tolist(),
        "ports": [cluster.ports_free(kind).tolist() for kind in KINDS],
    }


# --- registration -----------------------------------------------------------------------------


def test_a_cluster_without_instances_can_be_read():
    cluster = Cluster()
    assert cluster.size == 0
    assert cluster.remaining.shape == (0, 5)
    assert cluster.column("attribute:x").codes.shape == (0,)
    assert cluster.group_count("nobody").shape == (0,)
    assert cluster.ports_free(make_kind(tcp=(80,))).shape == (0,)
    cluster.check()


def test_a_new_instance_is_active_connected_and_empty():
    cluster = make_cluster()
    add_instance(cluster, 2048, 512, zone="a", resources={GPU: 2}, at_ms=7)
    assert remaining(cluster) == {CPU: 2048, MEMORY: 512, GPU: 2, PORTS: 100}
    assert cluster.active.tolist() == cluster.agent_connected.tolist() == [True]
    assert cluster.registered_at_ms.tolist() == [7]
    assert names(cluster.column(f"attribute:{AVAILABILITY_ZONE}"), [0]) == ["a"]
    assert cluster.running_tasks_count.tolist() == [0]


def test_rows_are_numbered_in_order_without_a_gap():
    cluster = make_cluster(2)
    with pytest.raises(PlacementError, match="2 is the next number"):
        add_instance(cluster, row=3)


def test_reserved_ports_count_against_the_limit_once_each_and_by_protocol():
    cluster = Cluster()
    add_instance(cluster, reserved_ports=[("tcp", 22), ("udp", 22), ("tcp", 22)])
    assert remaining(cluster)[PORTS] == 98
    assert not cluster.ports_free(make_kind(tcp=(22,)))[0]
    assert not cluster.ports_free(make_kind(udp=(22,)))[0]
    assert cluster.ports_free(make_kind(tcp=(23,), udp=(23,)))[0]


def test_a_resource_that_only_a_later_instance_has_is_zero_on_the_others():
    cluster = make_cluster(2, cpu=4, memory=4)
    add_instance(cluster, 4, 4, resources={FPGA: 3})
    assert cluster.resources[-1] == FPGA
    assert cluster.registered[:, -1].tolist() == [0, 0, 3]
    cluster.check()


def test_an_instance_that_registers_again_keeps_what_is_booked():
    cluster = make_cluster(1, cpu=10, memory=10)
    cluster.reserve(KINDS[0], 0)
    add_instance(cluster, 20, 5, zone="b", row=0, at_ms=9)
    assert remaining(cluster) == {CPU: 18, MEMORY: 2, PORTS: 100}
    assert cluster.size == 1
    assert cluster.group_count("a").tolist() == [1]
    assert names(cluster.column(f"attribute:{AVAILABILITY_ZONE}"), [0]) == ["b"]
    assert cluster.registered_at_ms.tolist() == [9]
    cluster.release(KINDS[0], 0)
    assert remaining(cluster) == {CPU: 20, MEMORY: 5, PORTS: 100}


def test_an_instance_that_registers_again_with_less_may_be_over_committed():
    cluster = make_cluster(1, cpu=10, memory=10, devices=(1000, 1000))
    cluster.reserve(KINDS[0], 0)
    cluster.reserve(KINDS[4], 0, (0, 1))
    add_instance(cluster, 1, 10, row=0, devices=(1000,))
    assert remaining(cluster)[CPU] == -2
    assert cluster.device_left[0, :2].tolist() == [700, -300]
    cluster.check()


def test_an_instance_that_registers_again_may_bring_a_new_resource():
    cluster = make_cluster(2)
    add_instance(cluster, row=0, resources={FPGA: 2})
    assert remaining(cluster)[FPGA] == 2
    assert remaining(cluster, 1).get(FPGA) is None


def test_an_instance_that_registers_again_reserves_other_ports():
    cluster, ssh, web = Cluster(), make_kind(tcp=(22,)), make_kind(tcp=(80,))
    add_instance(cluster, reserved_ports=[("tcp", 22)])
    cluster.reserve(web, 0)
    add_instance(cluster, row=0, reserved_ports=[("tcp", 80), ("tcp", 81)])
    assert cluster.ports_free(ssh)[0]
    assert remaining(cluster)[PORTS] == 97
    cluster.release(web, 0)
    assert not cluster.ports_free(web)[0], "80 is reserved now, whoever used it before"


def test_an_instance_that_was_gone_is_active_when_it_registers_again():
    cluster = make_cluster(1)
    cluster.set_connected(0, False)
    cluster.set_status(0, InstanceStatus.INACTIVE)
    assert not cluster.present.any()
    add_instance(cluster, row=0)
    assert cluster.active.all()
    assert cluster.agent_connected.all()


@pytest.mark.parametrize(
    ("status", "active", "present", "is_draining"),
    [("ACTIVE", True, True, False), ("DRAINING", False, True, True), ("INACTIVE",) + (False,) * 3],
)
def test_a_status_says_what_it_allows(status, active, present, is_draining):
    cluster = make_cluster(2)
    cluster.set_status(1, InstanceStatus(status))
    assert cluster.active.tolist() == [True, active]
    assert cluster.present.tolist() == [True, present]
    assert [cluster.is_draining(0), cluster.is_draining(1)] == [False, is_draining]


def test_capacity_providers_are_told_apart():
    cluster = Cluster()
    for provider in ("spot", None, "demand"):
        add_instance(cluster, capacity_provider=provider)
    assert cluster.in_capacity_provider("spot").tolist() == [True, False, False]
    assert not cluster.in_capacity_provider("unheard-of").any()


def test_an_instance_without_a_string_reads_as_empty():
    assert instance_strings("i-1", {"x": "y"}) == {"attribute:x": "y", "ec2InstanceId": "i-1"}
    cluster = Cluster()
    cluster.register(0, {}, {"attribute:x": "y"})
    cluster.register(1, {}, {})
    assert names(cluster.column("attribute:x"), [1, 0]) == ["", "y"]
    assert "1 ? ACTIVE" in cluster.dump()


# --- booking ----------------------------------------------------------------------------------


def test_a_resource_or_port_that_nobody_heard_of_can_be_booked():
    cluster = make_cluster(1)
    cluster.reserve(make_kind(1, resources={"WATTS": 5}), 0)
    assert remaining(cluster)["WATTS"] == -5
    cluster = make_cluster(1)
    many = make_kind(tcp=range(1, 100))  # more than one word of bits
    cluster.reserve(many, 0)
    assert not cluster.ports_free(make_kind(tcp=(99,)))[0]
    cluster.release(many, 0)
    assert cluster.ports_free(many)[0]


def test_ports_beyond_a_word_of_bits_do_not_disturb_those_before():
    cluster = make_cluster(2)
    kinds = [make_kind(tcp=(port,)) for port in range(1, 201)]
    for kind in kinds[::2]:
        cluster.reserve(kind, 1)
    for port, kind in enumerate(kinds):
        assert cluster.ports_free(kind).tolist() == [True, port % 2 == 1]


def test_many_groups_come_and_go_without_growing_the_table():
    cluster = make_cluster(1)
    for number in range(500):
        kind = make_kind(1, group=f"g{number}")
        assert cluster.group_count(kind.group).tolist() == [0]
        cluster.reserve(kind, 0)
        assert cluster.group_count(kind.group).tolist() == [1]
        cluster.release(kind, 0)
    assert len(cluster._group_counts) < 20
    cluster.check()


@settings(max_examples=150)
@given(st.data())
def test_the_books_equal_a_list_of_what_is_booked(data):
    cluster, booked, size = Cluster(), [], data.draw(st.integers(1, 4))
    for _ in range(size):
        add_instance(cluster, 50, 50, devices=(1000, 1000, 1000), reserved_ports=[("tcp", 22)])
    for _ in range(data.draw(st.integers(0, 20))):
        if booked and data.draw(st.booleans()):
            kind, row, devices = booked.pop(data.draw(st.integers(0, len(booked) - 1)))
            cluster.release(kind, row, devices)
        else:
            kind, row = data.draw(st.sampled_from(KINDS)), data.draw(st.integers(0, size - 1))
            taken = {p for k, r, _ in booked if r == row for p in k.tcp_ports}
            if taken & set(kind.tcp_ports):
                continue  # the caller checks that it fits
            devices = tuple(data.draw(st.permutations(range(3)))[: kind.devices])
            cluster.reserve(kind, row, devices)
            booked.append((kind, row, devices))
        cluster.check()
    for row in range(size):
        here = [(kind, devices) for kind, r, devices in booked if r == row]
        used = Counter()
        for kind, _ in here:
            used.update(dict(kind.resources))
        total = {CPU: 50, MEMORY: 50, PORTS: 99}
        expected = {n: total.get(n, 0) - used[n] for n in total | used}
        assert remaining(cluster, row) == {n: a for n, a in expected.items() if a}
        milli = Counter(d for kind, devices in here for d in devices for _ in range(300))
        assert cluster.device_left[row, :3].tolist() == [1000 - milli[d] for d in range(3)]
        assert cluster.running_tasks_count[row] == len(here)
        for kind in KINDS:
            same = [k for k, _ in here if k.group == kind.group]
            assert cluster.group_count(kind.group)[row] == len(same)
            ports = {p for k, _ in here for p in k.tcp_ports}
            assert cluster.ports_free(kind)[row] == ports.isdisjoint(kind.tcp_ports)


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from([KINDS[0], KINDS[3], KINDS[4]]), max_size=4),
    st.lists(st.sampled_from(KINDS), max_size=4, unique=True),
    st.randoms(use_true_random=False),
)
def test_release_undoes_reserve_in_any_order(before, kinds, random):
    cluster = make_cluster(2, cpu=50, memory=50, devices=(9000, 9000))
    for kind in before:
        cluster.reserve(kind, 0, range(kind.devices))
    for kind in KINDS:
        cluster.demand(kind)  # so that both readings name the same resources
    expected = readings(cluster)
    for kind in kinds:
        cluster.reserve(kind, 0, range(kind.devices))
    for kind in random.sample(kinds, len(kinds)):
        cluster.release(kind, 0, range(kind.devices))
    assert readings(cluster) == expected


def test_a_copy_and_its_original_do_not_see_each_other():
    cluster = make_cluster(3, cpu=50, memory=50, devices=(1000, 1000))
    cluster.reserve(KINDS[1], 1)
    expected = readings(cluster)
    for changed, kept in ((cluster.copy(), cluster), (cluster, cluster.copy())):
        for kind in (KINDS[0], KINDS[2], KINDS[4]):
            changed.reserve(kind, 0, range(kind.devices))
        changed.release(KINDS[1], 1)
        changed.set_status(2, InstanceStatus.DRAINING)
        changed.set_connected(2, False)
        add_instance(changed, row=1, attributes={"new": "x"}, resources={"WATTS": 1})
        add_instance(changed, zone="z")
        assert readings(kept) == expected
        assert kept.size == 3
        assert kept.active.all()
        assert kept.agent_connected.all()
        assert not kept.has_attribute("new")
        changed.check()
        kept.check()


def test_versions_tell_what_happened():
    cluster = make_cluster(1)
    kind = make_kind(1)

    def rises(action):
        before = np.array([cluster.version, cluster.freed_version, cluster.attributes_version])
        action()
        now = np.array([cluster.version, cluster.freed_version, cluster.attributes_version])
        return (now > before).tolist()

    assert rises(lambda: cluster.reserve(kind, 0)) == [True, False, False]
    assert rises(lambda: cluster.release(kind, 0)) == [True, True, False]
    assert rises(lambda: cluster.set_connected(0, True)) == [True, True, False]
    assert rises(lambda: cluster.set_status(0, InstanceStatus.DRAINING)) == [True, True, False]
    assert rises(lambda: add_instance(cluster)) == [True, True, True]
    assert rises(lambda: add_instance(cluster, row=0)) == [True, True, True]
    assert rises(lambda: (cluster.demand(kind), cluster.dump(), cluster.copy())) == [False] * 3


def test_check_finds_books_that_do_not_add_up_and_shows_them():
    for spoil in ("_tasks", "_remaining"):
        cluster = make_cluster(2)
        getattr(cluster, spoil)[1] += 1
        with pytest.raises(AssertionError, match="1 i-1 ACTIVE remaining"):
            cluster.check()


# --- kinds as keys ----------------------------------------------------------------------------


def test_kinds_are_equal_by_value_and_equal_after_a_copy():
    kind = make_kind(1, 2, tcp=(80,), strategies=("binpack:cpu",))
    again = make_kind(1, 2, tcp=(80,), strategies=("binpack:cpu",))
    assert kind == again
    assert hash(kind) == hash(again)
    assert pickle.loads(pickle.dumps(kind)) == kind
    assert kind != make_kind(1, 2, tcp=(80,), strategies=("binpack:memory",))


def test_a_kind_from_another_process_is_found_in_a_dictionary():
    code = (
        "import pickle; from stowplan.placement.testing import make_kind;"
        "print(pickle.dumps(make_kind(1, 2, group='g')).hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert pickle.loads(bytes.fromhex(done.stdout)) in {make_kind(1, 2, group="g"): "found"}
