"""What is handed in from Python and is no whole number, negative or unknown: refused, never cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stowplan.placement.cluster.cluster import Cluster
from stowplan.placement.engine.batch import TaskBatch
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.messages import (
    CallRejected,
    CreateCapacityProvider,
    CreateService,
    InstanceRegistered,
    LaunchTemplate,
    RegisterTaskDefinition,
    RunTask,
    UpdateService,
)
from stowplan.placement.model import PlacementStrategy, TaskKind
from stowplan.placement.packing.fleet.problem import BinType, FleetProblem
from stowplan.placement.packing.over_time.problem import OverTimeProblem
from stowplan.placement.packing.problem import PackingInputError, PackingProblem
from stowplan.placement.packing.repack.problem import RepackProblem
from stowplan.placement.scheduler.scheduler import Scheduler, SchedulerConfig
from stowplan.placement.testing import add_instance, make_cluster, make_kind

NAN = float("nan")

# --- kinds and instances --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"resources": (("CPU", -512),)}, "resources.CPU"),
        ({"resources": (("CPU", 0),)}, "resources.CPU"),
        ({"resources": (("CPU", 0.5),)}, "resources.CPU"),
        ({"resources": (("CPU", 4.0),)}, "resources.CPU"),
        ({"resources": (("CPU", NAN),)}, "resources.CPU"),
        ({"resources": (("CPU", True),)}, "resources.CPU"),
        ({"resources": (("CPU", 2**63),)}, "resources.CPU"),
        ({"resources": (("CPU", 1), ("CPU", 2))}, "named twice"),
        ({"resources": {"CPU": 1}}, "resources"),
        ({"resources": ("CPU", 1)}, r"resources\[0\]"),
        ({"tcp_ports": (80.5,)}, r"tcp_ports\[0\]"),
        ({"udp_ports": (70_000,)}, r"udp_ports\[0\]"),
        ({"tcp_ports": [80]}, "tcp_ports"),
        ({"devices": -1}, "devices"),
        ({"devices": 1, "device_milli": 0.5}, "device_milli"),
        ({"expected_ms": -1}, "expected_ms"),
        ({"expected_ms": 1.5}, "expected_ms"),
        ({"strategies": ("binpack",)}, r"strategies\[0\]"),
        ({"constraints": ("distinctInstance",)}, r"constraints\[0\]"),
        ({"zones": (1,)}, r"zones\[0\]"),
    ],
)
def test_a_kind_of_task_asks_in_whole_numbers_above_nothing(fields, place):
    with pytest.raises(SpecError, match=f"TaskKind.*{place}"):
        TaskKind(**{"resources": (), "group": "g"} | fields)


def test_all_that_is_wrong_with_a_kind_is_said_at_once():
    with pytest.raises(SpecError) as caught:
        TaskKind((("CPU", -1), ("MEMORY", 0.5)), "g", devices=-1)
    assert len(caught.value.problems) == 3


def test_integers_of_numpy_are_whole_numbers():
    assert TaskKind((("CPU", np.int64(5)),), "g") == TaskKind((("CPU", 5),), "g")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"cpu": 1.5}, "resources.CPU"),
        ({"memory": -1}, "resources.MEMORY"),
        ({"memory": NAN}, "resources.MEMORY"),
        ({"resources": {"GPU": 2**70}}, "resources.GPU"),
        ({"devices": (1000, 500.0)}, r"devices\[1\]"),
        ({"devices": (-1,)}, r"devices\[0\]"),
        ({"reserved_ports": (("tcp", -22),)}, r"reserved_ports\[0\]"),
        ({"reserved_ports": (("icmp", 1),)}, r"reserved_ports\[0\]"),
        ({"attributes": {"rack": 7}}, "attribute:rack"),
    ],
)
def test_an_instance_registers_whole_numbers_or_not_at_all(fields, place):
    cluster = make_cluster(1)
    with pytest.raises(SpecError, match=f"instance 1.*{place}"):
        add_instance(cluster, **fields)
    assert cluster.size == 1
    assert cluster.version == make_cluster(1).version


@pytest.mark.parametrize("index", [[0.7], [NAN], [[0]], [-1], [True]])
def test_the_kind_of_a_task_in_a_batch_is_a_whole_number(index):
    with pytest.raises(ValueError, match=r"whole numbers|within"):
        TaskBatch((make_kind(1),), np.array(index))


# --- fields of strategies -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strategy",
    ["binpack:colour", "best_fit:colour", "worst_fit:colour", "spread:attribute:nothing"],
)
@pytest.mark.parametrize("count", [1, 2, 50])
def test_a_field_that_nothing_has_is_refused_before_anything_is_booked(strategy, count):
    cluster = make_cluster(2)
    engine = Engine(cluster, np.random.default_rng(0))
    with pytest.raises(PlacementError, match=r"colour|nothing"):
        engine.place([make_kind(1, strategies=(strategy,))] * count)
    assert not cluster.booked
    # Once an instance has it, it may be read; that one goes away changes nothing.
    add_instance(cluster, attributes={"nothing": "here"}, resources={"colour": 1})
    engine.place([make_kind(1, strategies=(strategy,))] * count)
    assert sum(cluster.booked.values()) == count


@pytest.mark.parametrize("field", ["attribute:", "", None, "rack"])
def test_spread_over_nothing_is_refused(field):
    kind = replace(make_kind(1), strategies=(PlacementStrategy("spread", field),))
    with pytest.raises(PlacementError, match="spread needs a field"):
        Engine(make_cluster(1), np.random.default_rng(0)).place([kind])


def test_what_ecs_itself_knows_need_not_be_registered():
    cluster = Cluster()
    add_instance(cluster)
    kind = make_kind(1, strategies=("spread:attribute:ecs.availability-zone", "binpack:GPU"))
    assert Engine(cluster, np.random.default_rng(0)).place([kind]).instances.tolist() == [0]


# --- calls ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call", [RunTask(1, "a:1", n) for n in (1.5, NAN)] + [CreateService("s", "a:1", 1.5)]
)
def test_a_call_for_a_share_of_a_task_is_rejected(call):
    scheduler = Scheduler()
    container = {"name": "c", "image": "i", "memory": 6, "essential": True}
    scheduler.receive(RegisterTaskDefinition({"family": "a", "containerDefinitions": [container]}))
    scheduler.receive(call)
    (rejected,) = scheduler.decide(0)
    assert isinstance(rejected, CallRejected)
    assert "asked for" in rejected.reason or "desired count" in rejected.reason


WEB = {"name": "c", "image": "i", "memory": 6, "essential": True}
NOWHERE = (PlacementStrategy("spread", "attribute:rack"), PlacementStrategy("binpack", "colour"))


def told(world, *calls):
    """What a round answers: the reasons of calls that were rejected."""
    for call in calls:
        world.receive(call)
    return [c.reason for c in world.decide(world.now_ms + 1) if isinstance(c, CallRejected)]


def with_instance(**config):
    scheduler = Scheduler(SchedulerConfig(**config))
    scheduler.receive(RegisterTaskDefinition({"family": "a", "containerDefinitions": [WEB]}))
    scheduler.receive(InstanceRegistered(0, "i-0", {"CPU": 99, "MEMORY": 99}, {}))
    scheduler.decide(0)
    return scheduler


@pytest.mark.parametrize("link", NOWHERE, ids=lambda link: link.type)
def test_a_call_whose_strategy_reads_what_no_instance_has_is_rejected(link):
    scheduler = with_instance()
    calls = (
        RunTask(1, "a:1", 1, placement_strategy=(link,)),
        CreateService("s", "a:1", 1, placement_strategy=(link,)),
        CreateService("t", "a:1", 1),
        UpdateService("t", placement_strategy=(link,)),
    )
    said = told(scheduler, *calls)
    assert len(said) == 3
    assert all(reason.startswith("InvalidParameterException: placement str") for reason in said)
    assert list(scheduler.services) == ["t"]
    scheduler.receive(
        InstanceRegistered(1, "i-1", {"CPU": 9, "MEMORY": 9, "colour": 1}, {"rack": "r1"})
    )
    assert told(scheduler, *calls[:2], calls[3]) == []


def test_what_may_come_is_not_refused():
    """By a scenario's check, by a capacity provider, or since nothing is there yet."""
    calls = [CreateService(f"s{n}", "a:1", 1, placement_strategy=(n,)) for n in NOWHERE]
    assert told(with_instance(fields_checked=True), *calls) == []
    template = LaunchTemplate({"CPU": 9, "MEMORY": 9}, {"rack": "r"})
    provider = CreateCapacityProvider("later", (template,), ("a",), 1)
    assert told(with_instance(), provider, *calls) == []
    empty = Scheduler()
    empty.receive(RegisterTaskDefinition({"family": "a", "containerDefinitions": [WEB]}))
    assert told(empty, *calls) == []
    # Taken once, it stays: another count is no reason to look again.
    empty.receive(InstanceRegistered(0, "i-0", {"CPU": 99, "MEMORY": 99}, {}))
    assert told(empty, *(UpdateService(call.service, 2) for call in calls)) == []


# --- packing problems -----------------------------------------------------------------------------

TYPES = (BinType("t", np.array([4]), 1),)
PROBLEMS = {
    PackingProblem: {"demand": [[1]], "counts": [2], "capacity": [4]},
    FleetProblem: {"demand": [[1]], "counts": [2], "types": TYPES},
    OverTimeProblem: {
        "demand": [[1]],
        "kind": [0],
        "start_ms": [0],
        "end_ms": [5],
        "types": TYPES,
        "most": np.array([[1]]),
    },
    RepackProblem: {
        "demand": [[1]],
        "counts": [2],
        "capacity": [[4]],
        "held": [[2]],
        "allowed": np.array([[True]]),
        "price": [1],
        "releasable": np.array([True]),
        "free": 0,
        "move_cost": 1,
    },
}
NUMBERS = [
    (problem, name)
    for problem, fields in PROBLEMS.items()
    for name in fields
    if name not in ("types", "allowed", "releasable")
]


@pytest.mark.parametrize(("problem", "name"), NUMBERS)
@pytest.mark.parametrize("wrong", [1.5, 1.0, NAN, -1, 2**63, "1"])
def test_a_packing_problem_is_in_whole_numbers_that_are_not_negative(problem, name, wrong):
    fields = dict(PROBLEMS[problem])
    problem(**fields)
    shape = np.shape(fields[name])
    fields[name] = np.full(shape, wrong).tolist() if shape else wrong
    if name in ("start_ms", "end_ms") and wrong == -1:
        fields |= {"start_ms": [3], "end_ms": [-1]}
    with pytest.raises(PackingInputError):
        problem(**fields)


@pytest.mark.parametrize(("problem", "name"), NUMBERS)
def test_a_packing_problem_of_another_shape_is_refused(problem, name):
    shape = np.shape(PROBLEMS[problem][name])
    wrong = np.ones((2, *shape), np.int64)
    with pytest.raises(PackingInputError):
        problem(**PROBLEMS[problem] | {name: wrong})
    ragged = [[1, 2], [3]]
    with pytest.raises(PackingInputError):
        problem(**PROBLEMS[problem] | {name: ragged})


@pytest.mark.parametrize("problem", [FleetProblem, OverTimeProblem])
@pytest.mark.parametrize(
    "wrong",
    [
        *({"capacity": [1.5]}, {"capacity": [-1]}, {"capacity": [1, 2]}, {"price": 0.5}),
        *({"price": NAN}, {"price": -1}, {"limit": 1.5}, {"limit": -1}),
    ],
)
def test_a_type_to_buy_is_in_whole_numbers(problem, wrong):
    types = (BinType(**{"name": "big", "capacity": [4], "price": 1} | wrong),)
    with pytest.raises(PackingInputError, match="type big"):
        problem(**PROBLEMS[problem] | {"types": types})


def test_zones_are_counted_whole():
    with pytest.raises(PackingInputError, match="zones"):
        FleetProblem(**PROBLEMS[FleetProblem], zones=1.5)


@pytest.mark.parametrize("wrong", [{"allowed": [[1]]}, {"releasable": [0.5]}])
def test_whether_is_said_in_truth_values(wrong):
    with pytest.raises(PackingInputError, match="truth values"):
        RepackProblem(**PROBLEMS[RepackProblem] | wrong)


def test_an_instance_that_holds_more_than_it_can_is_refused():
    with pytest.raises(PackingInputError, match="more than its capacity"):
        RepackProblem(**PROBLEMS[RepackProblem] | {"held": [[5]]})
