"""Why a task fits nowhere, instance by instance: each reason alone and together, by hand; and
against the engine: what is said to fit is placed, and each change that is named places it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from stowplan.placement.constraints import CONSTRAINTS, Constraint
from stowplan.placement.engine.changes import COSTS, Offer
from stowplan.placement.engine.engine import Engine
from stowplan.placement.engine.explain import explain_kind
from stowplan.placement.engine.obstacles import Resident
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import InstanceStatus
from stowplan.placement.testing import add_instance, make_cluster, make_kind


class World:
    """A cluster whose tasks are known."""

    def __init__(self, cluster=None, **more):
        self.cluster = make_cluster() if cluster is None else cluster
        self.engine = Engine(self.cluster, np.random.default_rng(0), kernels=False, **more)
        self.there = {}
        self.tasks = 0

    def run(self, row, kind):
        """A task of `kind` on `row`, whether or not it would fit."""
        self.cluster.reserve(kind, row)
        self.there.setdefault(row, []).append(Resident(self.tasks, kind))
        self.tasks += 1

    def residents(self, row):
        return self.there.get(row, [])

    def explain(self, kind):
        found = explain_kind(self.engine, kind, self.residents)
        self.agrees(kind, found)
        return found

    def agrees(self, kind, found):
        """What `Engine` says of the same: where it fits, and what each instance is refused for."""
        assert list(found.fits) == np.flatnonzero(self.engine.allowed(kind)).tolist()
        for miss in found.misses:
            tried = self.engine.on(self.cluster.copy()).place_on(kind, miss.row)
            assert tried.failure is not None
            assert tried.failure.reason == miss.obstacles[0].reason
        if not found.fits:
            counts = {}
            for miss in found.misses:
                reason = miss.obstacles[0].reason
                counts[reason] = counts.get(reason, 0) + 1
            assert dict(self.engine.explain(kind).rejected) == counts
        version = self.cluster.version
        for change in found.changes:
            copy = self.cluster.copy()
            change.apply(copy)
            assert self.engine.on(copy).place([change.kind]).instances[0] >= 0, change
        assert self.cluster.version == version  # nothing was booked
        self.cluster.check()


def words(explanation, row=0):
    miss = next(miss for miss in explanation.misses if miss.row == row)
    return [obstacle.words for obstacle in miss.obstacles]


def first(explanation):
    return explanation.changes[0].sort, explanation.changes[0].words


# --- each reason alone ----------------------------------------------------------------------------


def test_memory_is_short_by_a_number_and_that_much_less_would_do():
    world = World(make_cluster(1, cpu=1024, memory=1024))
    world.run(0, make_kind(100, 400))
    found = world.explain(make_kind(200, 700))
    assert words(found) == ["memory short: 76 MiB (700 asked, 624 of 1024 free)"]
    assert found.changes[0].less == (("MEMORY", 76),)
    assert dict(found.changes[0].kind.resources) == {"CPU": 200, "MEMORY": 624}
    assert first(found) == (
        "smaller",
        "ask for 76 MiB of memory less (of 700), and it fits on {instance}",
    )
    assert found.changes[0].cost == pytest.approx(76 / 700)


def test_cpu_and_memory_together_are_one_smaller_task():
    found = World(make_cluster(1, cpu=1000, memory=1000)).explain(make_kind(1010, 1020))
    assert [o.short for o in found.nearest.obstacles] == [10, 20]
    assert found.changes[0].less == (("CPU", 10), ("MEMORY", 20))


def test_no_task_is_made_smaller_than_anything():
    # The GPU that is lacking cannot be asked for less of; neither can all of the memory.
    found = World(make_cluster(1)).explain(make_kind(1, 1, resources={"GPU": 1}))
    assert (words(found), found.changes) == (["GPU short: 1 (1 asked, 0 of 0 free)"], ())
    full = World(make_cluster(1, memory=100))
    full.run(0, make_kind(1, 97))
    assert [c.sort for c in full.explain(make_kind(1, 50)).changes] == ["instance"]


def test_a_port_is_held_by_a_task_that_is_named():
    world = World(make_cluster(1))
    world.run(0, make_kind(1, 1, group="service:other"))
    world.run(0, make_kind(1, 1, group="service:web", tcp=[8080], udp=[53]))
    found = world.explain(make_kind(1, 1, tcp=[8080]))
    assert words(found) == ["tcp port 8080 taken: held by task 1 of service:web"]
    assert [c.sort for c in found.changes] == ["dynamic port", "free port", "instance"]
    freed = found.changes[1]
    assert freed.task == 1
    assert freed.words == "free port tcp 8080 of {instance}: stop task 1 of service:web"
    # The same number of the other protocol is another port.
    assert world.explain(make_kind(1, 1, udp=[8080])).fits == (0,)


def test_a_port_that_a_task_of_the_same_group_holds_is_not_freed_for_another():
    world = World(make_cluster(1))
    kind = make_kind(1, 1, tcp=[80])
    world.run(0, kind)
    assert [c.sort for c in world.explain(kind).changes] == ["dynamic port", "instance"]


def test_a_port_is_freed_with_the_memory_of_its_task():
    world = World(make_cluster(1))
    world.run(0, make_kind(1, 600, group="web", tcp=[80]))
    found = world.explain(make_kind(1, 900, tcp=[80]))
    assert [o.reason for o in found.nearest.obstacles] == ["RESOURCE:MEMORY", "RESOURCE:PORTS"]
    assert first(found)[1] == "free port tcp 80 of {instance}: stop task 0 of web"


def test_two_ports_of_one_task_are_freed_together_and_of_two_tasks_not():
    world = World(make_cluster(1))
    world.run(0, make_kind(1, 1, group="a", tcp=[80, 81]))
    world.run(0, make_kind(1, 1, group="b", tcp=[82]))
    both = world.explain(make_kind(1, 1, tcp=[80, 81]))
    assert [c.sort for c in both.changes] == ["free port", "instance"]
    assert [c.sort for c in world.explain(make_kind(1, 1, tcp=[81, 82])).changes] == ["instance"]


def test_a_port_that_the_instance_reserves_cannot_be_freed_there_or_on_another_like_it():
    world = World(make_cluster(1, reserved_ports=[("tcp", 22)]))
    found = world.explain(make_kind(1, 1, tcp=[22]))
    assert words(found) == ["tcp port 22 taken: reserved by the instance"]
    assert [c.sort for c in found.changes] == ["dynamic port"]


def test_a_hundred_ports_are_a_resource_of_their_own():
    world = World(make_cluster(1))
    world.run(0, make_kind(1, 1, tcp=range(1000, 1100)))
    found = world.explain(make_kind(1, 1, tcp=[80]))
    assert words(found) == ["host ports short: 1 (1 asked, 0 of 100 free)"]
    assert [c.sort for c in found.changes] == ["instance"]


def test_a_clause_is_false_with_the_value_that_was_found():
    world = World(make_cluster(1, attributes={"stack": "dev"}))
    query = "memberOf:attribute:stack == prod and runningTasksCount < 1"
    found = world.explain(make_kind(1, 1, constraints=[query]))
    assert words(found) == ["`attribute:stack == prod` is false: stack is 'dev'"]
    assert first(found)[0] == "clause"
    assert first(found)[1] == "drop `attribute:stack == prod`, and it fits on {instance}"
    assert found.changes[0].kind.constraints[0].expression == "(runningTasksCount < 1)"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("attribute:gpu exists", "`attribute:gpu exists` is false: gpu is not there"),
        ("runningTasksCount < 1", "`runningTasksCount < 1` is false: runningTasksCount is 1"),
        ("task:group == db", "`task:group == db` is false: tasks there: 0 of db"),
        ("not task:group == web", "`not task:group == web` is false: tasks there: 1 of web"),
        ("ec2InstanceId == i-9", "`ec2InstanceId == i-9` is false: ec2InstanceId is 'i-0'"),
        ("agentConnected == false", "`agentConnected == false` is false: agentConnected is true"),
        (
            "registeredAt > 2000-01-01",
            "`registeredAt > 2000-01-01` is false: registeredAt is 1970-01-01T00:00:00Z",
        ),
        (
            "attribute:stack == prod or attribute:zone == b",
            "no alternative of `attribute:stack == prod or attribute:zone == b` is true: "
            "stack is 'dev', zone is not there",
        ),
    ],
)
def test_what_each_subject_of_a_query_says(expression, said):
    world = World(make_cluster(1, attributes={"stack": "dev"}))
    world.run(0, make_kind(1, 1, group="web"))
    found = world.explain(make_kind(1, 1, constraints=[f"memberOf:{expression}"]))
    assert words(found) == [said]


def test_a_required_attribute_is_missing_or_has_another_value():
    world = World(make_cluster(1, attributes={"os": "linux"}))
    lacking = world.explain(make_kind(1, 1, required_attributes=["ssd"]))
    other = world.explain(make_kind(1, 1, required_attributes=["os=windows"]))
    assert words(lacking) == ["attribute ssd missing"]
    assert words(other) == ["attribute os=windows missing: it is 'linux'"]
    assert [c.sort for c in lacking.changes] == ["attribute"]


def test_draining_and_disconnected():
    world = World(make_cluster(2))
    world.cluster.set_status(0, InstanceStatus.DRAINING)
    world.cluster.set_connected(1, False)
    found = world.explain(make_kind(1, 1))
    assert (words(found, 0), words(found, 1)) == (["DRAINING"], ["agent disconnected"])
    assert [c.sort for c in found.changes] == ["reconnect", "activate", "instance"]
    assert [c.row for c in found.changes[:2]] == [1, 0]


def test_instances_that_are_gone_are_no_misses():
    world = World(make_cluster(2))
    world.cluster.set_status(0, InstanceStatus.INACTIVE)
    world.cluster.set_status(1, InstanceStatus.INACTIVE)
    found = world.explain(make_kind(1, 1))
    assert (found.misses, found.nearest, found.groups()) == ((), None, [])
    assert [c.sort for c in found.changes] == ["instance"]  # like one that was there
    assert World(make_cluster(0)).explain(make_kind(1, 1)).changes == ()


def test_limits_name_the_tasks_that_are_there():
    world = World(make_cluster(2))
    for row in (0, 1, 1):
        world.run(row, make_kind(1, 1, group="web"))
    distinct = world.explain(make_kind(1, 1, group="web", constraints=["distinctInstance"]))
    assert words(distinct, 0) == ["distinctInstance: task 0 of web there"]
    assert words(distinct, 1) == ["distinctInstance: tasks 1, 2 of web there"]
    assert first(distinct) == (
        "limit",
        "allow 2 tasks on an instance in place of distinctInstance's 1",
    )
    two = world.explain(make_kind(1, 1, group="web", constraints=["maxPerInstance:1"]))
    assert [o.tasks for o in two.misses[1].obstacles] == [(1, 2)]


def test_another_zone_and_another_capacity_provider():
    world = World(make_cluster(1, ("b",), capacity_provider="spot"))
    zone = world.explain(make_kind(1, 1, zones=["a"]))
    assert words(zone) == ["not in a zone of the subnets (a): b"]
    assert first(zone) == ("zone", "add a subnet in zone b")
    other = world.explain(make_kind(1, 1, capacity_provider="demand"))
    assert words(other) == ["not of capacity provider demand: spot"]
    assert first(other)[1] == "use capacity provider spot instead of capacity provider demand"
    plain = World(make_cluster(1)).explain(make_kind(1, 1, capacity_provider="demand"))
    assert first(plain)[1] == "use launch type EC2 instead of capacity provider demand"


def test_devices():
    world = World(make_cluster(1, devices=[1000, 400]))
    found = world.explain(make_kind(1, 1, devices=2, device_milli=500))
    assert words(found) == ["too few devices with 0.5 of them left: 2 asked, 1 there"]
    assert found.changes == ()


def test_a_constraint_in_code_can_only_be_named():
    class Never(Constraint):
        def allows(self, task, cluster):
            return np.zeros(cluster.size, np.bool_)

    registry = {**CONSTRAINTS, "never": lambda _: Never()}
    found = World(make_cluster(1), constraints=registry).explain(
        make_kind(1, 1, constraints=["never"])
    )
    assert words(found) == ["constraint never"]
    assert found.changes == ()


def test_an_unknown_constraint_is_an_error():
    with pytest.raises(PlacementError, match="unknown placement constraint 'nothing'"):
        World(make_cluster(1)).explain(make_kind(1, 1, constraints=["nothing"]))


# --- together ---------------------------------------------------------------------------------


def test_all_that_is_in_the_way_is_said_in_the_order_of_the_engine():
    world = World(make_cluster(1, attributes={"stack": "dev"}, reserved_ports=[("tcp", 80)]))
    world.run(0, make_kind(1000, 1000, group="web"))
    world.cluster.set_status(0, InstanceStatus.DRAINING)
    world.cluster.set_connected(0, False)
    constraints = ["distinctInstance", "memberOf:attribute:stack == a and attribute:x exists"]
    kind = make_kind(
        *(100, 100),
        group="web",
        tcp=[80],
        zones=["z"],
        required_attributes=["r"],
        constraints=constraints,
        capacity_provider="c",
    )
    found = world.explain(kind)
    assert [o.what for o in found.nearest.obstacles] == [
        "DRAINING",
        "agent disconnected",
        "CPU short",
        "memory short",
        "tcp port 80 taken",
        "attribute r missing",
        "not in a zone of the subnets (z)",
        "not of capacity provider c",
        "`attribute:stack == a` is false",
        "`attribute:x exists` is false",
        "distinctInstance",
    ]
    assert found.changes == ()  # no single change would do


def test_the_nearest_miss_has_the_least_to_be_changed():
    cluster = make_cluster(0)
    for cpu, memory in ((1000, 100), (990, 990), (1000, 500)):
        add_instance(cluster, cpu, memory, zone="a")
    found = World(cluster).explain(make_kind(1000, 1000))
    # Two shortages of 1 % are less than one of half.
    assert found.nearest.row == 1
    assert [(g.best.row, g.rows) for g in found.groups()] == [(1, (1,)), (2, (0, 2))]


def test_three_hundred_alike_are_one_group():
    world = World(make_cluster(300, ("a", "b", "c")))
    found = world.explain(make_kind(2048, 10, zones=["a"]))
    assert [len(group.rows) for group in found.groups()] == [100, 200]


def test_the_cheapest_of_several_changes_comes_first():
    cluster = make_cluster(1, memory=1000)
    add_instance(cluster, 1024, 2000, zone="b")
    kind = {"memory": 1100, "cpu": 1, "zones": ["a"]}
    assert [c.sort for c in World(cluster).explain(make_kind(**kind)).changes] == [
        "smaller",
        "zone",
    ]
    half = make_kind(**{**kind, "memory": 1900})
    assert [c.sort for c in World(cluster).explain(half).changes] == ["zone", "smaller"]


def test_one_more_instance_is_the_smallest_on_which_the_task_fits():
    cluster = make_cluster(0)
    for size in (500, 1000, 4000, 1500):
        add_instance(cluster, size, size, attributes={"ecs.instance-type": f"t.{size}"})
    world = World(cluster)
    for row, size in enumerate((500, 1000, 4000, 1500)):
        world.run(row, make_kind(size, size))
    found = world.explain(make_kind(900, 900))
    more = next(c for c in found.changes if c.sort == "instance")
    assert more.words == "add one more instance of type t.1000"
    assert COSTS["instance"] <= more.cost < COSTS["instance"] + 0.01


def test_an_offer_is_named_with_its_price_where_nothing_like_what_is_there_would_do():
    world = World(make_cluster(1))
    offers = [
        Offer(name, {"CPU": size, "MEMORY": size}, {}, price, there=False)
        for name, size, price in (("dear", 4000, 200_000), ("fair", 3000, 100_000), ("no", 1, 1))
    ]
    found = explain_kind(world.engine, make_kind(2000, 2000), world.residents, offers)
    assert [c.words for c in found.changes if c.sort != "smaller"] == [
        "add one more instance of type fair ($0.1 an hour)"
    ]
    world.run(0, make_kind(1024, 1024))
    enough = explain_kind(world.engine, make_kind(1000, 1000), world.residents, offers)
    assert [c.sort for c in enough.changes] == ["instance"]


# --- at random --------------------------------------------------------------------------------

sizes = st.sampled_from([0, 100, 400, 900])
ports = st.lists(st.sampled_from([80, 81, 82]), max_size=2, unique=True)
queries = st.sampled_from(
    [
        "distinctInstance",
        "maxPerInstance:2",
        "memberOf:attribute:stack == dev",
        "memberOf:(attribute:stack == dev and runningTasksCount < 2) and attribute:r exists",
        "memberOf:attribute:stack == dev or not task:group == web",
    ]
)
kinds = st.builds(
    make_kind,
    cpu=sizes.map(lambda n: n + 1),
    memory=sizes.map(lambda n: n + 10),
    group=st.sampled_from(["web", "db"]),
    tcp=ports,
    udp=ports,
    required_attributes=st.lists(st.sampled_from(["r", "r=1"]), max_size=1),
    zones=st.lists(st.sampled_from(["a", "b"]), max_size=1),
    constraints=st.lists(queries, max_size=2, unique=True),
    capacity_provider=st.sampled_from([None, None, "cp"]),
    resources=st.sampled_from([{}, {}, {"GPU": 1}]),
    strategies=st.sampled_from([["random"], ["binpack:memory"], []]),
)
instances = st.fixed_dictionaries(
    {
        "cpu": st.sampled_from([500, 1000]),
        "memory": st.sampled_from([500, 1000]),
        "zone": st.sampled_from(["a", "b", None]),
        "attributes": st.sampled_from([{}, {"stack": "dev"}, {"r": "1"}, {"r": "2", "stack": "x"}]),
        "reserved_ports": st.sampled_from([[], [("tcp", 80)]]),
        "capacity_provider": st.sampled_from([None, "cp", "other"]),
        "resources": st.sampled_from([{}, {"GPU": 1}]),
    }
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(instances, max_size=5),
    st.lists(st.tuples(kinds, st.integers(0, 4)), max_size=8),
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["DRAINING", "INACTIVE", ""]))),
    kinds,
)
def test_it_agrees_with_the_engine_and_every_change_does_what_it_says(specs, running, hurt, kind):
    cluster = make_cluster(0)
    for spec in specs:
        add_instance(cluster, **spec)
    world = World(cluster)
    for each, row in running:
        if row < cluster.size and world.engine.allowed(each)[row]:
            world.run(row, each)
    for row, status in hurt:
        if row >= cluster.size:
            continue
        if status == "INACTIVE" and world.residents(row):
            continue  # nothing runs where nothing is
        if status:
            cluster.set_status(row, InstanceStatus(status))
        else:
            cluster.set_connected(row, False)
    found = world.explain(kind)
    event("fits" if found.fits else f"{found.changes[0].sort if found.changes else 'no change'}")
    copy = world.cluster.copy()
    assert (world.engine.on(copy).place([kind]).instances[0] >= 0) == bool(found.fits)
    costs = [change.cost for change in found.changes]
    assert costs == sorted(costs)
