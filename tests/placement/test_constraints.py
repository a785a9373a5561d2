"""Each check by itself: which instances it allows, and the reason that it reports."""

from __future__ import annotations

import pytest

from stowplan.placement.constraints import (
    CONSTRAINTS,
    DistinctInstance,
    MaxPerInstance,
    MemberOf,
    attribute_steps,
    check_of,
    devices_free,
    state_steps,
)
from stowplan.placement.errors import QueryError
from stowplan.placement.model import InstanceStatus, PlacementConstraint
from stowplan.placement.reasons import constraint_of
from stowplan.placement.testing import add_instance, make_cluster, make_kind


def allowed(steps):
    """Steps as (reason, [1 where allowed]) pairs; steps that allow everything are left out."""
    return [(reason, mask.astype(int).tolist()) for reason, mask in steps if not mask.all()]


# --- placement constraints --------------------------------------------------------------------


def test_distinct_instance_looks_at_the_group_of_the_task_alone():
    cluster = make_cluster(3)
    cluster.reserve(make_kind(group="service:web"), 0)
    cluster.reserve(make_kind(group="service:db"), 1)
    web = make_kind(9, group="service:web")
    assert DistinctInstance().allows(web, cluster).tolist() == [False, True, True]
    cluster.release(make_kind(group="service:web"), 0)
    assert DistinctInstance().allows(web, cluster).all()


def test_distinct_instance_takes_no_expression():
    with pytest.raises(ValueError, match="no expression"):
        DistinctInstance("attribute:stack == prod")


def test_max_per_instance_allows_that_many_of_a_group():
    cluster, kind = make_cluster(3), make_kind(group="g")
    for row in (0, 0, 1):
        cluster.reserve(kind, row)
    assert MaxPerInstance("1").allows(kind, cluster).tolist() == [False, False, True]
    assert MaxPerInstance("2").allows(kind, cluster).tolist() == [False, True, True]
    assert MaxPerInstance("3").allows(kind, cluster).all()


@pytest.mark.parametrize("expression", [None, "", "0", "-1", "1.5", "two"])
def test_max_per_instance_takes_a_positive_whole_number_only(expression):
    with pytest.raises(ValueError, match="positive number"):
        MaxPerInstance(expression)


def test_member_of_is_its_query():
    cluster = make_cluster(2, zones="ab")
    query = MemberOf("attribute:ecs.availability-zone == b")
    assert query.allows(make_kind(), cluster).tolist() == [False, True]


def test_member_of_needs_an_expression_that_parses():
    with pytest.raises(ValueError, match="needs an expression"):
        MemberOf(None)
    with pytest.raises(QueryError):
        MemberOf("attribute:stack ==")


@pytest.mark.parametrize(
    ("expression", "volatile"),
    [
        ("attribute:stack == prod", False),
        ("registeredAt < 2030-01-01", False),
        ("runningTasksCount < 3", True),
        ("attribute:stack exists and not(task:group == g)", True),
        ("agentConnected == true", True),
    ],
)
def test_member_of_is_volatile_where_it_reads_what_placement_changes(expression, volatile):
    assert MemberOf(expression).volatile == volatile
    assert DistinctInstance().volatile
    assert MaxPerInstance("1").volatile


def test_every_registered_constraint_has_a_reason_that_says_its_name():
    for name, factory in CONSTRAINTS.items():
        check = check_of(PlacementConstraint(name, getattr(factory, "example", None)))
        assert check.reason.lower().startswith(name.lower())
        assert constraint_of(check.reason) == name


# --- what instances registered ----------------------------------------------------------------


def test_a_required_attribute_must_be_there_whatever_its_value():
    cluster = make_cluster()
    for attributes in ({"a": "x", "b": ""}, {"a": "y"}, {"b": "z"}, {}):
        add_instance(cluster, attributes=attributes)
    both = make_kind(required_attributes=("a", "b"))
    assert allowed(attribute_steps(both, cluster)) == [("ATTRIBUTE", [1, 0, 0, 0])]
    unheard = make_kind(required_attributes=("a", "never.seen"))
    assert allowed(attribute_steps(unheard, cluster)) == [("ATTRIBUTE", [0, 0, 0, 0])]


def test_zones_of_the_subnets_rule_out_others_and_instances_without_a_zone():
    cluster = make_cluster(3, zones="abc")
    add_instance(cluster)
    kind = make_kind(zones=("a", "c", "nowhere"))
    assert allowed(attribute_steps(kind, cluster)) == [("LOCATION", [1, 0, 1, 0])]
    assert allowed(attribute_steps(make_kind(zones=("x",)), cluster)) == [("LOCATION", [0] * 4)]
    assert allowed(attribute_steps(make_kind(), cluster)) == []


def test_a_capacity_provider_rules_out_all_other_instances():
    cluster = make_cluster(1, capacity_provider="spot")
    add_instance(cluster)
    kind = make_kind(capacity_provider="spot")
    assert allowed(attribute_steps(kind, cluster)) == [("EMPTY CAPACITY PROVIDER", [1, 0])]
    nobody = make_kind(capacity_provider="nobody")
    assert allowed(attribute_steps(nobody, cluster)) == [("EMPTY CAPACITY PROVIDER", [0, 0])]


# --- what changes -----------------------------------------------------------------------------


def test_an_exact_fit_fits_and_one_unit_more_does_not():
    cluster = make_cluster(2, cpu=10, memory=10, resources={"GPU": 1, "ENI": 2, "DISK": 3})
    exact = {"GPU": 1, "ENI": 2, "DISK": 3}
    assert allowed(state_steps(make_kind(10, 10, resources=exact), cluster)) == []
    for name in ("CPU", "MEMORY", "GPU", "ENI", "DISK"):
        wanted = {"CPU": 10, "MEMORY": 10, **exact}
        wanted[name] += 1
        steps = state_steps(make_kind(resources=wanted), cluster)
        assert allowed(steps) == [(f"RESOURCE:{name}", [0, 0])]


def test_resources_are_reported_in_their_order_and_own_ones_last():
    cluster = make_cluster(1, cpu=1, memory=1, resources={"DISK": 1})
    kind = make_kind(2, 2, tcp=range(101), resources={"DISK": 2, "GPU": 1, "ENI": 1})
    reasons = [reason for reason, _ in allowed(state_steps(kind, cluster))]
    wanted = ("CPU", "MEMORY", "PORTS", "GPU", "ENI", "DISK")
    assert reasons == [f"RESOURCE:{name}" for name in wanted]


def test_status_comes_first_then_the_agent():
    cluster = make_cluster(4)
    cluster.set_status(0, InstanceStatus.DRAINING)
    cluster.set_status(1, InstanceStatus.INACTIVE)
    cluster.set_connected(2, False)
    steps = allowed(state_steps(make_kind(), cluster))
    assert steps == [("DRAINING", [0, 1, 1, 1]), ("AGENT", [1, 1, 0, 1])]


def test_a_host_port_in_use_or_reserved_is_no_room_and_another_protocol_is():
    cluster = make_cluster(2)
    add_instance(cluster, reserved_ports=[("tcp", 80)])
    cluster.reserve(make_kind(udp=(80,)), 0)
    tcp, udp = make_kind(tcp=(80,)), make_kind(udp=(80,))
    assert allowed(state_steps(tcp, cluster)) == [("RESOURCE:PORTS", [1, 1, 0])]
    assert allowed(state_steps(udp, cluster)) == [("RESOURCE:PORTS", [0, 1, 1])]


def test_at_most_100_host_ports_are_reserved_on_an_instance():
    cluster = make_cluster(1, reserved_ports=[("tcp", 22), ("udp", 22)])
    cluster.reserve(make_kind(tcp=range(1000, 1097)), 0)
    assert allowed(state_steps(make_kind(tcp=(80,)), cluster)) == []
    assert allowed(state_steps(make_kind(tcp=(80,), udp=(80,)), cluster)) == [
        ("RESOURCE:PORTS", [0])
    ]


def test_an_over_committed_instance_takes_nothing_not_even_a_task_that_asks_for_none_of_it():
    cluster = make_cluster(1, cpu=10, memory=10)
    cluster.reserve(make_kind(8), 0)
    add_instance(cluster, 7, 10, row=0)
    assert allowed(state_steps(make_kind(0, 1), cluster)) == [("RESOURCE:CPU", [0])]


def test_a_share_of_a_device_is_of_one_device():
    cluster = make_cluster(1, devices=(1000, 1000))
    add_instance(cluster, devices=(1000,))
    add_instance(cluster)
    for row, device in ((0, 0), (0, 1), (1, 0)):
        cluster.reserve(make_kind(devices=1, device_milli=600), row, (device,))

    def fits(devices, milli):
        kind = make_kind(devices=devices, device_milli=milli)
        assert allowed(state_steps(kind, cluster))[0][0] == "RESOURCE:DEVICES"
        return devices_free(kind, cluster).tolist()

    assert fits(1, 400) == [True, True, False]
    assert fits(2, 400) == [True, False, False]
    assert fits(1, 401) == [False, False, False], "0.4 + 0.4 left is not 0.8 of a device"
