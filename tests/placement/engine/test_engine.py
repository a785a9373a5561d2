"""The pipeline against a naive reference: ecs-semantics 2.3, 3 and 5.6 in plain dicts and loops.

`Naive` shares no code with the engine and keeps no counts: it looks through all its tasks each time
it is asked. `Twins` lets both live through the same history and compares every answer.
"""

from __future__ import annotations

import operator
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.placement.cluster import arrays as columns
from stowplan.placement.constraints import CONSTRAINTS
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import InstanceStatus, TaskKind
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.testing import add_instance, make_cluster, make_kind

UNPLACED = -1
ZONE = "ecs.availability-zone"
BY_ZONE = f"spread:attribute:{ZONE}"
both_ways = pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "numpy"])
COMPARE = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, ">=": operator.ge}


def engine_on(cluster, seed=0, **more):
    return Engine(cluster, np.random.default_rng(seed), **more)


# --- the naive reference --------------------------------------------------------------------------


def text(query):
    """A query in the cluster query language, from nested tuples."""
    match query:
        case ("not", inner):
            return f"not({text(inner)})"
        case ("and" | "or" as joint, left, right):
            return f"({text(left)}) {joint} ({text(right)})"
        case ("group", group):
            return f"task:group == {group}"
        case ("running", sign, number):
            return f"runningTasksCount {sign} {number}"
        case ("exists" | "!exists" as sign, name):
            return f"attribute:{name} {sign}"
        case ("in" | "!in" as sign, name, values):
            return f"attribute:{name} {sign} [{', '.join(values)}]"
        case (sign, name, value):
            return f"attribute:{name} {sign} {value}"


def holds(query, instance):
    """Whether an instance satisfies a query (ecs-semantics 3.5)."""
    match query:
        case ("not", inner):
            return not holds(inner, instance)
        case ("and", left, right):
            return holds(left, instance) and holds(right, instance)
        case ("or", left, right):
            return holds(left, instance) or holds(right, instance)
        case ("group", group):
            return any(task["group"] == group for task, _ in instance["tasks"])
        case ("running", sign, number):
            return COMPARE[sign](len(instance["tasks"]), number)
        case ("exists", name):
            return name in instance["attributes"]
        case ("!exists", name):
            return name not in instance["attributes"]
    sign, name, wanted = query
    if name not in instance["attributes"]:
        return False
    value = instance["attributes"][name]
    if sign == "=~":
        return re.fullmatch(wanted, value) is not None
    if sign in ("in", "!in"):
        return (value in wanted) == (sign == "in")
    return COMPARE[sign](value, wanted)


class Naive:
    """Instances are dicts; each holds its tasks, oldest first, with the devices they were given."""

    def __init__(self, seed):
        self.instances = []
        self.names = ["CPU", "MEMORY", "PORTS", "GPU", "ENI"]
        self.rng = np.random.default_rng(seed)

    def register(self, spec, row=None):
        self.names += [name for name in spec["resources"] if name not in self.names]
        tasks = self.instances[row]["tasks"] if row is not None else []
        instance = spec | {"status": "ACTIVE", "connected": True, "tasks": tasks}
        if row is None:
            self.instances.append(instance)
        else:
            self.instances[row] = instance

    def left(self, instance, name):
        limit = {"PORTS": 100 - len(instance["reserved"])} | instance["resources"]
        return limit.get(name, 0) - sum(t["demand"].get(name, 0) for t, _ in instance["tasks"])

    def devices_left(self, instance):
        used = Counter()
        for task, devices in instance["tasks"]:
            for device in devices:
                used[device] += task["milli"]
        return [milli - used[device] for device, milli in enumerate(instance["devices"])]

    def of_group(self, instance, group):
        return sum(task["group"] == group for task, _ in instance["tasks"])

    def steps(self, task, instance):
        """(reason, passes) of every check, in the order in which they rule out."""
        yield "DRAINING", instance["status"] == "ACTIVE"
        yield "AGENT", instance["connected"]
        taken = set(instance["reserved"]).union(*(t["ports"] for t, _ in instance["tasks"]))
        for name in self.names:
            fits = task["demand"].get(name, 0) <= self.left(instance, name)
            if name == "PORTS":
                fits = fits and not taken & set(task["ports"])
            yield f"RESOURCE:{name}", fits
        devices = [milli for milli in self.devices_left(instance) if milli >= task["milli"]]
        yield "RESOURCE:DEVICES", len(devices) >= task["devices"]
        yield "ATTRIBUTE", all(name in instance["attributes"] for name in task["required"])
        zone = instance["attributes"].get(ZONE)
        yield "LOCATION", not task["zones"] or zone in task["zones"]
        same = task["provider"] in (None, instance["provider"])
        yield "EMPTY CAPACITY PROVIDER", same
        for query in task["member_of"]:
            yield "MemberOf placement constraint unsatisfied.", holds(query, instance)
        there, most = self.of_group(instance, task["group"]), task["most"]
        if task["distinct"]:
            yield "DistinctInstance placement constraint unsatisfied.", there == 0
        yield "MaxPerInstance placement constraint unsatisfied.", most is None or there < most

    def place(self, task):
        """(row, devices), or (reason, rejected)."""
        self.names += [name for name in task["demand"] if name not in self.names]
        present = [i for i in self.instances if i["status"] != "INACTIVE"]
        verdicts = [list(self.steps(task, instance)) for instance in present]
        fitting = [id(i) for i, v in zip(present, verdicts, strict=True) if all(ok for _, ok in v)]
        if fitting:
            rows = [row for row, i in enumerate(self.instances) if id(i) in fitting]
            row = self.select(task, rows, False)
            left = self.devices_left(self.instances[row])
            order = sorted((milli, d) for d, milli in enumerate(left) if milli >= task["milli"])
            devices = tuple(sorted(device for _, device in order[: task["devices"]]))
            self.instances[row]["tasks"].append((task, devices))
            return row, devices
        first = Counter(next(n for n, (_, ok) in enumerate(v) if not ok) for v in verdicts)
        rejected = tuple((verdicts[0][n][0], first[n]) for n in sorted(first))
        return (rejected[-1][0] if rejected else "NO ACTIVE INSTANCES"), rejected

    def select(self, task, rows, reverse):
        """The chain narrows the rows; what is left at the end is up to the caller."""
        for kind, field in task["strategies"]:
            if kind == "random":
                drawn = self.draw(rows)
                rows = [rows[drawn - 1] if reverse else rows[drawn]]
                continue
            scores = [self.score(task, row, kind, field) for row in rows]
            best = max(scores) if reverse else min(scores)
            rows = [row for row, score in zip(rows, scores, strict=True) if score == best]
        return rows if reverse else rows[0]

    def draw(self, rows):
        """Position of a row, as likely as any: instances are drawn until it is one of them."""
        for _ in range(64):
            row = int(self.rng.random() * len(self.instances))
            if row in rows:
                return rows.index(row)
        return int(self.rng.random() * len(rows))

    def score(self, task, row, kind, field):
        instance = self.instances[row]
        if kind == "binpack":
            name = field.upper() if field.lower() in ("cpu", "memory") else field
            return self.left(instance, name) if name in self.names else 0
        if field in ("instanceId", "host"):
            return self.of_group(instance, task["group"])
        name = field.removeprefix("attribute:")
        value = instance["attributes"].get(name)
        same = [i for i in self.instances if i["attributes"].get(name) == value]
        return sum(self.of_group(i, task["group"]) for i in same)

    def scale_in(self, task, rows):
        """Position of the newest task on an instance that the reversed chain ends with."""
        worst = self.select(task, sorted(set(rows)), True)
        return max(position for position, row in enumerate(rows) if row in worst)


# --- both at once ---------------------------------------------------------------------------------


def kind_of(task):
    """What the engine is given for a task of the reference."""
    constraints = [f"memberOf:{text(query)}" for query in task["member_of"]]
    constraints += ["distinctInstance"] * task["distinct"]
    constraints += [f"maxPerInstance:{task['most']}"] * (task["most"] is not None)
    return make_kind(
        group=task["group"],
        strategies=[kind + f":{field}" * (field is not None) for kind, field in task["strategies"]],
        constraints=constraints,
        tcp=[port for protocol, port in task["ports"] if protocol == "tcp"],
        udp=[port for protocol, port in task["ports"] if protocol == "udp"],
        required_attributes=task["required"],
        zones=task["zones"],
        capacity_provider=task["provider"],
        devices=task["devices"],
        device_milli=task["milli"] * bool(task["devices"]),
        resources={name: n for name, n in task["demand"].items() if name != "PORTS"},
    )


class Twins:
    """The engine and the reference, told and asked the same; `placed` are (task, row, devices)."""

    def __init__(self, specs, seed=0, kernels=True):
        self.naive, self.cluster = Naive(seed), make_cluster()
        self.engine = engine_on(self.cluster, seed, kernels=kernels)
        self.placed = []
        for spec in specs:
            self.register(spec)

    def register(self, spec, row=None):
        self.naive.register(spec, row)
        resources = dict(spec["resources"])
        add_instance(
            self.cluster,
            resources.pop("CPU"),
            resources.pop("MEMORY"),
            attributes=spec["attributes"],
            reserved_ports=spec["reserved"],
            devices=spec["devices"],
            capacity_provider=spec["provider"],
            resources=resources,
            row=row,
        )
        row = len(self.naive.instances) - 1 if row is None else row
        if spec["state"] == "disconnected":
            self.set_connected(row, False)
        elif spec["state"] != "ACTIVE":
            self.set_status(row, spec["state"])

    def place(self, tasks):
        """Both place a batch and must say the same, down to the counts of each failure."""
        decision = self.engine.place([kind_of(task) for task in tasks])
        assert len(decision.instances) == len(tasks)
        for position, task in enumerate(tasks):
            row, failure = int(decision.instances[position]), decision.failures.get(position)
            devices = decision.devices.get(position, ())
            assert (row == UNPLACED) == (failure is not None), "placed or failed, never both"
            answer = (row, devices) if failure is None else (failure.reason, failure.rejected)
            assert answer == self.naive.place(task), self.cluster.dump()
            if failure is None:
                self.placed.append((task, row, devices))
        self.cluster.check()

    def stop(self, index):
        task, row, devices = self.placed.pop(index)
        self.naive.instances[row]["tasks"].remove((task, devices))
        self.cluster.release(kind_of(task), row, devices)

    def gone(self, row):
        """The instance is deregistered: its tasks are stopped first."""
        for index in reversed([n for n, placed in enumerate(self.placed) if placed[1] == row]):
            self.stop(index)
        self.set_status(row, "INACTIVE")

    def set_status(self, row, status):
        self.naive.instances[row]["status"] = status
        self.cluster.set_status(row, InstanceStatus(status))

    def set_connected(self, row, connected):
        self.naive.instances[row]["connected"] = connected
        self.cluster.set_connected(row, connected)

    def scale_in(self, task):
        """Both choose among all tasks of the group; the one chosen stops."""
        indices = [n for n, (t, _, _) in enumerate(self.placed) if t["group"] == task["group"]]
        if indices:
            rows = [self.placed[n][1] for n in indices]
            chosen = self.engine.scale_in(kind_of(task), rows)
            assert chosen == self.naive.scale_in(task, rows), self.cluster.dump()
            self.stop(indices[chosen])


# --- random worlds --------------------------------------------------------------------------------

small = st.integers(0, 3)
nearly_100 = [tuple(("tcp", port) for port in range(1000, end)) for end in (1098, 1099, 1100)]
reserved_ports = st.sampled_from([(), (("tcp", 80),), (("tcp", 22), ("udp", 53)), *nearly_100])
specs = st.fixed_dictionaries(
    {
        "resources": st.fixed_dictionaries(
            {"CPU": st.integers(0, 8), "MEMORY": st.integers(0, 8)},
            optional={"GPU": small, "ENI": small, "FPGA": small, "WATTS": small},
        ),
        "attributes": st.fixed_dictionaries(
            {}, optional={ZONE: st.sampled_from("abc"), "stack": st.sampled_from(("prod", "dev"))}
        ),
        "reserved": reserved_ports,
        "devices": st.sampled_from([(), (), (1000,), (1000, 1000), (1000, 500, 1000)]),
        "provider": st.sampled_from([None, "spot"]),
        "state": st.sampled_from(["ACTIVE"] * 4 + ["DRAINING", "disconnected"]),
    }
)
queries = st.recursive(
    st.sampled_from(
        [
            ("==", "stack", "prod"),
            ("!=", "stack", "prod"),
            ("in", ZONE, ("a", "b")),
            ("!in", ZONE, ("a", "x")),
            ("=~", "stack", "p.*"),
            ("=~", "stack", "ro"),
            ("exists", "stack"),
            ("!exists", "stack"),
            ("group", "g"),
            ("group", "h"),
            ("running", "<", 2),
            ("running", ">=", 1),
            ("running", "==", 0),
        ]
    ),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner), st.tuples(st.sampled_from(("and", "or")), inner, inner)
    ),
    max_leaves=3,
)
chains = st.lists(
    st.sampled_from(
        [
            ("random", None),
            ("binpack", "cpu"),
            ("binpack", "MEMORY"),
            ("binpack", "FPGA"),
            ("spread", "instanceId"),
            ("spread", f"attribute:{ZONE}"),
            ("spread", "attribute:stack"),
            ("spread", "attribute:nobody.has.it"),
        ]
    ),
    max_size=3,
)
ports = st.lists(
    st.sampled_from([("tcp", 80), ("udp", 80), ("tcp", 443)]), max_size=2, unique=True
).map(tuple)


def seldom(values, otherwise):
    return st.one_of(st.just(otherwise), st.just(otherwise), st.sampled_from(values))


@st.composite
def tasks(draw):
    demand = draw(
        st.fixed_dictionaries(
            {"CPU": small, "MEMORY": small},
            optional={"GPU": st.just(1), "ENI": st.just(1), "FPGA": small, "WATTS": st.just(1)},
        )
    )
    task = {
        "group": draw(st.sampled_from(["g", "h"])),
        "ports": draw(st.one_of(st.just(()), ports)),
        "zones": draw(seldom([("a",), ("b", "c"), ("x",)], ())),
        "required": draw(seldom([("stack",), ("stack", ZONE), ("no.such",)], ())),
        "provider": draw(seldom(["spot", "other"], None)),
        "member_of": draw(st.one_of(st.just([]), st.lists(queries, max_size=2))),
        "distinct": draw(seldom([True], False)),
        "most": draw(seldom([1, 2], None)),
        "strategies": draw(chains),
        "devices": (devices := draw(seldom([1, 2], 0))),
        "milli": draw(st.sampled_from([300, 500, 1000])) if devices else 0,
    }
    demand = {name: amount for name, amount in demand.items() if amount}
    return task | {"demand": demand | ({"PORTS": len(task["ports"])} if task["ports"] else {})}


@settings(max_examples=250)
@given(st.lists(specs, max_size=6), st.lists(tasks(), min_size=1, max_size=4), st.data())
def test_the_engine_equals_the_reference_through_any_history(instances, kinds, data):
    twins = Twins(instances, data.draw(st.integers(0, 3)), data.draw(st.booleans()))
    some = st.lists(st.sampled_from(kinds), min_size=1, max_size=5)
    for _ in range(data.draw(st.integers(1, 8))):
        size, count = len(twins.naive.instances), len(twins.placed)
        actions = ["place"] * 6 + ["register"]
        actions += ["drain", "activate", "connect", "disconnect", "gone", "renew"] * (size > 0)
        actions += ["stop", "scale in", "scale in"] * (count > 0)
        action = data.draw(st.sampled_from(actions))
        row = data.draw(st.integers(0, size - 1)) if size else 0
        match action:
            case "place":
                twins.place(data.draw(some))
            case "register" | "renew":
                twins.register(data.draw(specs), row if action == "renew" else None)
            case "drain" | "activate":
                twins.set_status(row, "DRAINING" if action == "drain" else "ACTIVE")
            case "connect" | "disconnect":
                twins.set_connected(row, action == "connect")
            case "gone":
                twins.gone(row)
            case "stop":
                twins.stop(data.draw(st.integers(0, count - 1)))
            case "scale in":
                twins.scale_in(data.draw(st.sampled_from(kinds)))
    twins.place(kinds)


@settings(max_examples=40)
@given(st.lists(specs, max_size=6), st.lists(tasks(), min_size=1, max_size=3), st.data())
def test_large_batches_equal_the_reference(instances, kinds, data):
    # Large enough for compiled kernels to take over; little fits, so most of it are failures.
    twins = Twins(instances, seed=data.draw(st.integers(0, 3)))
    twins.place(kinds * 12)
    for _ in range(data.draw(st.integers(0, 4))):
        if twins.placed:
            twins.stop(data.draw(st.integers(0, len(twins.placed) - 1)))
    order = data.draw(st.permutations(kinds))
    twins.place([task for task in order for _ in range(40 // len(kinds))])


@settings(max_examples=100)
@given(st.lists(specs, min_size=1, max_size=6), tasks(), st.integers(1, 15), st.booleans())
def test_scale_in_takes_tasks_away_as_the_reversed_reference_does(instances, task, count, kernels):
    twins = Twins(instances, kernels=kernels)
    twins.place([task] * count)
    for _ in range(count):
        twins.scale_in(task)
    assert not twins.placed


# --- properties -----------------------------------------------------------------------------------


def check_nothing_is_broken(specs, placed):
    """From the records alone: no dimension over-committed, no port twice, no constraint broken."""
    for row, spec in enumerate(specs):
        here = [(task, devices) for task, r, devices in placed if r == row]
        assert not here or spec["state"] == "ACTIVE", row
        used = Counter()
        for task, _ in here:
            used.update(task["demand"])
        assert all(n <= spec["resources"].get(name, 100) for name, n in used.items()), row
        assert all(name in spec["resources"] or name == "PORTS" for name in used), row
        every_port = [*spec["reserved"], *(port for task, _ in here for port in task["ports"])]
        assert len(every_port) == len(set(every_port)) <= 100, row
        milli = Counter(d for task, devices in here for d in devices for _ in range(task["milli"]))
        assert all(milli[d] <= spec["devices"][d] for d in milli), row
        for number, (task, devices) in enumerate(here):
            assert len(set(devices)) == task["devices"]
            # What counts is who was there when the task came.
            earlier = [t for t, _ in here[:number] if t["group"] == task["group"]]
            assert len(earlier) < (1 if task["distinct"] else task["most"] or 99), row
            then = spec | {"tasks": here[:number]}
            assert all(holds(query, then) for query in task["member_of"]), row
            assert task["provider"] in (None, spec["provider"]), row
            assert not task["zones"] or spec["attributes"].get(ZONE) in task["zones"], row
            assert all(name in spec["attributes"] for name in task["required"]), row


worlds = st.tuples(
    st.lists(specs, min_size=1, max_size=6),
    st.lists(tasks(), min_size=1, max_size=4).flatmap(
        lambda kinds: st.lists(st.sampled_from(kinds), min_size=1, max_size=12)
    ),
)


@settings(max_examples=150)
@given(worlds, st.booleans())
def test_every_task_is_placed_or_failed_and_nothing_is_broken(world, kernels):
    instances, batch = world
    twins = Twins(instances, kernels=kernels)
    decision = twins.engine.place([kind_of(task) for task in batch])
    placed = [
        (task, row, decision.devices.get(n, ()))
        for n, (task, row) in enumerate(zip(batch, decision.instances.tolist(), strict=True))
        if row != UNPLACED
    ]
    failed = {n for n, row in enumerate(decision.instances.tolist()) if row == UNPLACED}
    assert failed == set(decision.failures)
    assert len(placed) + len(failed) == len(batch)
    check_nothing_is_broken(instances, placed)
    assert twins.cluster.running_tasks_count.sum() == len(placed)
    for failure in decision.failures.values():
        assert sum(count for _, count in failure.rejected) == len(instances)
        assert all(count > 0 for _, count in failure.rejected)
        assert failure.reason == failure.rejected[-1][0]


@settings(max_examples=100)
@given(worlds, st.integers(0, 3), st.booleans(), st.booleans())
def test_a_batch_is_its_tasks_one_at_a_time(world, seed, kernels, other_kernels):
    instances, batch = world
    kinds = [kind_of(task) for task in batch]
    whole = Twins(instances, seed, kernels).engine.place(kinds)
    engine = Twins(instances, seed, other_kernels).engine
    single = [engine.place([kind]) for kind in kinds]
    assert whole.instances.tolist() == [int(d.instances[0]) for d in single]
    assert whole.failures == {n: d.failures[0] for n, d in enumerate(single) if d.failures}
    assert whole.devices == {n: d.devices[0] for n, d in enumerate(single) if d.devices}


@settings(max_examples=100)
@given(st.lists(specs, max_size=5), tasks(), st.integers(0, 12), st.booleans(), st.booleans())
def test_fill_is_place_up_to_the_first_failure(instances, task, count, kernels, other_kernels):
    kind = kind_of(task)
    decision = Twins(instances, 0, kernels).engine.place([kind] * count)
    filled = Twins(instances, 0, other_kernels).engine.fill(kind, count)
    placed = int((decision.instances != UNPLACED).sum())
    assert filled.rows == decision.instances[:placed].tolist()
    assert filled.devices == [decision.devices.get(n, ()) for n in range(placed)]
    assert filled.failure == (decision.failures[placed] if placed < count else None)


@settings(max_examples=50)
@given(worlds)
def test_a_copy_of_the_cluster_leads_to_the_same_decision(world):
    instances, batch = world
    twins = Twins(instances)
    twins.engine.place([kind_of(task) for task in batch[:4]])
    copy = twins.cluster.copy()
    kinds = [kind_of(task) for task in batch]
    on_copy = engine_on(copy, 9).place(kinds)
    decision = engine_on(twins.cluster, 9).place(kinds)
    assert on_copy.instances.tolist() == decision.instances.tolist()
    assert on_copy.failures == decision.failures


# --- strategies in a chain ------------------------------------------------------------------------


def placed_on(cluster, kind, count=1, seed=0):
    return engine_on(cluster, seed).fill(kind, count).rows


def test_a_full_instance_is_never_chosen():
    cluster = make_cluster(2, cpu=2)
    kind = make_kind(1, strategies=("binpack:cpu",))
    assert placed_on(cluster, kind, 9) == [0, 0, 1, 1]


def test_spread_over_zones_then_binpack_fills_one_instance_of_each_zone():
    cluster = make_cluster(6, zones="ab", cpu=4, memory=4)
    cluster.reserve(make_kind(0, 1, group="other"), 4)
    kind = make_kind(1, 1, strategies=(BY_ZONE, "binpack:memory"))
    assert placed_on(cluster, kind, 6) == [4, 1, 4, 1, 4, 1]


def test_the_order_of_a_chain_matters():
    def rows(*strategies):
        cluster = make_cluster(4, zones="aab", cpu=4)
        cluster.reserve(make_kind(1), 0)
        cluster.reserve(make_kind(2, group="other"), 1)
        return placed_on(cluster, make_kind(1, strategies=strategies))

    assert rows(BY_ZONE, "binpack:cpu") == [2]
    assert rows("binpack:cpu", BY_ZONE) == [1]


def test_a_zone_without_room_does_not_block_a_spread():
    cluster = make_cluster(1, zones="a", cpu=8)
    add_instance(cluster, 1, zone="b")
    kind = make_kind(1, strategies=(BY_ZONE,))
    assert placed_on(cluster, kind, 5) == [0, 1, 0, 0, 0]


def test_without_a_strategy_the_first_instance_that_fits_is_chosen():
    cluster = make_cluster(3, cpu=2)
    assert placed_on(cluster, make_kind(1), 6) == [0, 0, 1, 1, 2, 2]


def test_random_places_evenly_and_repeats_with_its_seed():
    kind = make_kind(1, strategies=("random",))
    rows = placed_on(make_cluster(4, cpu=10_000), kind, 2000)
    assert min(Counter(rows).values()) > 425
    assert rows == placed_on(make_cluster(4, cpu=10_000), kind, 2000)
    assert rows != placed_on(make_cluster(4, cpu=10_000), kind, 2000, seed=1)


def test_a_group_at_home_nowhere_cannot_place_its_first_task_next_to_itself():
    kind = make_kind(1, group="g", constraints=("memberOf:task:group == g",))
    failure = engine_on(make_cluster(3)).fill(kind, 1).failure
    assert failure.rejected == (("MemberOf placement constraint unsatisfied.", 3),)


# --- failures -------------------------------------------------------------------------------------


@both_ways
def test_a_failure_counts_what_each_step_removed(kernels):
    cluster = make_cluster(7, zones="ab", cpu=4, memory=4)
    cluster.set_status(0, InstanceStatus.DRAINING)
    cluster.set_connected(1, False)
    cluster.reserve(make_kind(4, group="other"), 2)
    cluster.reserve(make_kind(0, 4, group="other"), 3)
    cluster.reserve(make_kind(group="g"), 5)
    cluster.set_status(6, InstanceStatus.INACTIVE)
    wanted = ("distinctInstance", f"memberOf:attribute:{ZONE} == b")
    engine = engine_on(cluster, kernels=kernels)
    failure = engine.fill(make_kind(1, 1, group="g", constraints=wanted), 1).failure
    assert failure.rejected == (
        ("DRAINING", 1),
        ("AGENT", 1),
        ("RESOURCE:CPU", 1),
        ("RESOURCE:MEMORY", 1),
        ("MemberOf placement constraint unsatisfied.", 1),
        ("DistinctInstance placement constraint unsatisfied.", 1),
    )
    assert failure.reason == "DistinctInstance placement constraint unsatisfied."


def test_a_cluster_without_instances_fails_for_that_reason():
    cluster = make_cluster()
    assert engine_on(cluster).fill(make_kind(1), 1).failure.reason == "NO ACTIVE INSTANCES"
    add_instance(cluster)
    cluster.set_status(0, InstanceStatus.INACTIVE)
    failure = engine_on(cluster).fill(make_kind(1), 1).failure
    assert (failure.reason, failure.rejected) == ("NO ACTIVE INSTANCES", ())


@both_ways
def test_a_task_that_failed_is_placed_once_there_is_room(kernels):
    cluster, kind = make_cluster(1, cpu=2), make_kind(2)
    engine = engine_on(cluster, kernels=kernels)
    assert engine.fill(kind, 2).failure.reason == "RESOURCE:CPU"
    cluster.release(kind, 0)
    assert engine.fill(kind, 1).rows == [0]
    assert engine.fill(kind, 1).failure.reason == "RESOURCE:CPU"
    add_instance(cluster, 2)
    assert engine.fill(kind, 1).rows == [1]


@both_ways
@pytest.mark.parametrize("constraint", ["distinctInstance", "memberOf:not(task:group == g)"])
def test_what_other_tasks_rule_out_is_read_anew_each_time(constraint, kernels):
    cluster, kind = make_cluster(1), make_kind(1, group="g", constraints=(constraint,))
    cluster.reserve(kind, 0)
    engine = engine_on(cluster, kernels=kernels)
    assert engine.fill(kind, 1).rows == []
    cluster.release(kind, 0)
    assert engine.fill(kind, 1).rows == [0]


@both_ways
def test_kinds_that_differ_in_constraints_alone_are_told_apart(kernels):
    engine = engine_on(make_cluster(2, zones="ab"), kernels=kernels)
    for zone, row in (("b", 1), ("a", 0), ("b", 1)):
        kind = make_kind(1, constraints=(f"memberOf:attribute:{ZONE} == {zone}",))
        assert engine.fill(kind, 1).rows == [row]


@both_ways
@pytest.mark.parametrize("state", ["disconnected", "DRAINING", "INACTIVE"])
def test_an_instance_that_may_take_no_tasks_is_passed_over(state, kernels):
    cluster = make_cluster(2)
    if state == "disconnected":
        cluster.set_connected(0, False)
    else:
        cluster.set_status(0, InstanceStatus(state))
    assert engine_on(cluster, kernels=kernels).fill(make_kind(1), 2).rows == [1, 1]


@both_ways
def test_attributes_are_read_anew_when_an_instance_registers_again(kernels):
    cluster = make_cluster(1, attributes={"stack": "dev"})
    engine = engine_on(cluster, kernels=kernels)
    kind = make_kind(1, constraints=("memberOf:attribute:stack == prod",))
    assert engine.fill(kind, 1).rows == []
    add_instance(cluster, row=0, attributes={"stack": "prod"})
    assert engine.fill(kind, 1).rows == [0]


def test_a_task_that_fits_has_nothing_to_explain():
    with pytest.raises(AssertionError, match="a task that fits"):
        engine_on(make_cluster(1)).explain(make_kind(1))


def test_asking_what_is_allowed_books_nothing():
    cluster = make_cluster(2)
    engine = engine_on(cluster)
    assert engine.allowed(make_kind(1, tcp=(80,))).tolist() == [True, True]
    assert cluster.running_tasks_count.tolist() == [0, 0]


def test_an_instance_over_committed_by_registering_again_takes_nothing_and_says_why():
    cluster = make_cluster(1, cpu=4, memory=4)
    engine = engine_on(cluster)
    assert engine.fill(make_kind(4), 1).rows == [0]
    add_instance(cluster, 2, 4, row=0)
    failure = engine.fill(make_kind(0, 1), 1).failure
    assert failure.rejected == (("RESOURCE:CPU", 1),)


# --- registries -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategies", "constraints", "words"),
    [
        (("fifo",), (), "unknown placement strategy 'fifo'; known: random, binpack, spread"),
        (("binpack",), (), "placement strategy binpack: binpack needs a field"),
        (("spread:zone",), (), "placement strategy spread: spread needs a field"),
        ((), ("nearby",), "unknown placement constraint 'nearby'; known: memberOf"),
        ((), ("memberOf",), "placement constraint memberOf: memberOf needs an expression"),
        ((), ("distinctInstance:x",), "distinctInstance takes no expression"),
        ((), ("memberOf:attribute:a =",), "an operator of attribute:a"),
    ],
)
def test_a_wrong_strategy_or_constraint_is_named_and_nothing_is_booked(
    strategies, constraints, words
):
    cluster = make_cluster(1)
    wrong = make_kind(1, strategies=strategies, constraints=constraints)
    with pytest.raises(PlacementError, match=re.escape(words)):
        engine_on(cluster).place([make_kind(1), wrong])
    assert cluster.running_tasks_count.tolist() == [0]


def test_of_several_wrong_tasks_the_first_is_named():
    wrong = [make_kind(1, strategies=(f"s{n}",)) for n in range(20)]
    with pytest.raises(PlacementError, match="'s0'"):
        engine_on(make_cluster(1)).place(wrong)


def test_a_strategy_and_a_constraint_of_ones_own_are_used_by_name():
    class Last:
        """The highest row."""

        def keys(self, task, cluster, candidates, rng):
            return -candidates

    class EvenRows:
        """Every other instance."""

        reason, volatile = "ODD", False

        def allows(self, task, cluster):
            return np.arange(cluster.size) % 2 == 0

    engine = engine_on(
        make_cluster(4, cpu=1),
        strategies=STRATEGIES | {"last": lambda field: Last()},
        constraints=CONSTRAINTS | {"even": lambda expression: EvenRows()},
    )
    kind = make_kind(1, strategies=("last",), constraints=("even",))
    filled = engine.fill(kind, 3)
    assert filled.rows == [2, 0]
    assert filled.failure.rejected == (("RESOURCE:CPU", 2), ("ODD", 2))


def test_constraints_are_reported_in_the_order_of_the_registry():
    kind = make_kind(constraints=("distinctInstance", "memberOf:attribute:a exists"))
    checks = engine_on(make_cluster(1)).checks(kind)
    assert [check.name for check in checks] == ["memberOf", "distinctInstance"]


# --- scale-in -------------------------------------------------------------------------------------


def test_scale_in_keeps_the_best_spread():
    cluster = make_cluster(3, zones="abc", cpu=9)
    kind = make_kind(1, strategies=(BY_ZONE,))
    rows = [0, 1, 1, 2, 2]
    for row in rows:
        cluster.reserve(kind, row)
    assert engine_on(cluster).scale_in(kind, rows) in (2, 4)  # ecs-semantics 12.1: A1 B2 C2


def test_scale_in_of_binpack_leaves_the_most_room():
    cluster = make_cluster(2, cpu=9)
    kind = make_kind(1, strategies=("binpack:cpu",))
    for row in (0, 0, 1):
        cluster.reserve(kind, row)
    assert engine_on(cluster).scale_in(kind, [0, 0, 1]) == 2


def test_scale_in_of_ties_stops_the_newest():
    cluster, kind = make_cluster(2), make_kind(1)
    assert engine_on(cluster).scale_in(kind, [1, 0, 0, 1]) == 3
    assert engine_on(cluster).scale_in(kind, [1]) == 0


def test_scale_in_of_random_takes_any_instance_as_often():
    cluster, kind = make_cluster(4), make_kind(1, strategies=("random",))
    engine = engine_on(cluster)
    chosen = Counter(engine.scale_in(kind, [0, 1, 2, 3]) for _ in range(2000))
    assert min(chosen.values()) > 425


@pytest.mark.parametrize(
    "keys",
    [
        lambda rows: np.full(len(rows), np.nan),
        lambda rows: np.zeros(len(rows) + 1),
        lambda rows: np.zeros((len(rows), 1)),
    ],
)
@pytest.mark.parametrize("chain", [("odd",), ("odd", "first_fit")])
def test_keys_that_are_none_are_an_error_that_names_the_strategy(keys, chain):
    class Odd:
        def keys(self, task, cluster, candidates, rng):
            return keys(candidates)

    engine = Engine(
        make_cluster(3), np.random.default_rng(0), STRATEGIES | {"odd": lambda field: Odd()}
    )
    kind = make_kind(1, strategies=chain)
    with pytest.raises(PlacementError, match="placement strategy odd: keys: expected 3 numbers"):
        engine.place([kind])
    with pytest.raises(PlacementError, match="placement strategy odd"):
        engine.scale_in(kind, [0, 1])


def test_host_ports_count_against_the_limit_though_their_number_is_not_given():
    cluster = make_cluster(1)
    engine = Engine(cluster, np.random.default_rng(0))
    first = TaskKind((), "a", tcp_ports=tuple(range(1000, 1060)))
    second = TaskKind((), "b", udp_ports=tuple(range(2000, 2060)))
    decision = engine.place([first, second])
    assert decision.instances.tolist() == [0, -1]
    assert decision.failures[1].reason == "RESOURCE:PORTS"


def test_kinds_that_come_once_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(columns, "MEMO_MAX", 50)
    cluster = make_cluster(1)
    engine = Engine(cluster, np.random.default_rng(0), kernels=False)
    for number in range(200):
        kind = make_kind(1, group=f"job:{number}", tcp=(number + 100,))
        assert engine.place([kind]).instances.tolist() == [0]
        cluster.release(kind, 0)
        engine.place([make_kind(10_000, group=f"job:{number}")])
    caches = (
        engine._chains,
        engine._checks,
        engine._failed,
        cluster._demands,
        cluster._host_ports._masks,
    )
    assert [len(cache) <= 50 for cache in caches] == [True] * 5
