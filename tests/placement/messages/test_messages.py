"""Messages: immutable values with a JSON form that reads back equal, each and all of them."""

from __future__ import annotations

import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stowplan.placement import messages as m
from stowplan.placement.model import PlacementConstraint, PlacementStrategy, StopCode, TaskStatus
from stowplan.placement.reasons import Failure

FAILURE = Failure("RESOURCE:CPU", (("AGENT", 1), ("RESOURCE:CPU", 2)))
STRATEGIES = (PlacementStrategy("spread", "instanceId"), PlacementStrategy("random"))
CONSTRAINTS = (PlacementConstraint("distinctInstance"), PlacementConstraint("memberOf", "x == y"))
ON = (m.CapacityProviderStrategyItem("cp", 1, 2),)
BALANCER = m.LoadBalancer(grace_period_ms=9)
BREAKER = m.CircuitBreaker(rollback=True, threshold_type="COUNT", threshold_value=4)
OVERRIDES = (m.ContainerOverride("c", ("ls", "-l"), (("A", "b"),), 5, 6, 4),)
TAGS = (("team", "blue"),)

EVENTS = [
    m.RegisterTaskDefinition({"family": "app", "containerDefinitions": [{"name": "c"}]}),
    m.RunTask(
        1,
        "app:2",
        3,
        "g",
        256,
        512,
        CONSTRAINTS,
        STRATEGIES,
        "cp",
        ("a", "b"),
        "me",
        (("DISK", 2),),
        9_000,
        ON,
        OVERRIDES,
        TAGS,
        "once",
    ),
    m.StartTask(
        *(2, "app", (0, 3), "g", 256, 512, ("a",), "me", OVERRIDES, TAGS),
        resources=(("FPGA", 1),),
    ),
    m.DeleteService("web", True),
    m.DeregisterContainerInstance(3, True),
    m.DeregisterTaskDefinition("app:1"),
    m.DeleteTaskDefinition("app:1"),
    m.PutAttributes((m.Attribute("rack", 0, "r1"),)),
    m.DeleteAttributes((m.Attribute("rack", 0),)),
    m.UpdateCapacityProvider("cp", m.ManagedScaling(90), False, False, True),
    m.DeleteCapacityProvider("cp"),
    m.TagResource("service", "web", TAGS),
    m.UntagResource("cluster", "", ("team",)),
    m.DeleteCluster(),
    m.StopTask((1, 2), "why"),
    m.CreateService(
        "web",
        "app",
        3,
        CONSTRAINTS,
        STRATEGIES,
        ("a",),
        "DAEMON",
        50,
        150,
        BREAKER,
        True,
        ON,
        BALANCER,
        "once",
        {"propagateTags": "SERVICE"},
    ),
    m.UpdateService(
        *("web", 0, "app:2", CONSTRAINTS, STRATEGIES, 50, 150, BREAKER, True, True, ON),
        {"propagateTags": "SERVICE"},
    ),
    m.UpdateTaskProtection((1,), False, 5),
    m.StopServiceDeployment("web", "ecs-svc/1", "ABORT"),
    m.TasksFound("web", (0, 0, 1)),
    m.CreateCapacityProvider(
        "cp",
        (m.LaunchTemplate({"CPU": 1024}, {"stack": "prod"}),),
        ("a", "b"),
        9,
        1,
        2,
        m.ManagedScaling(80, 2, 3, 60_000, 5),
        True,
        False,
        "arn:asg",
    ),
    m.PutClusterCapacityProviders(ON, ("cp",)),
    m.UpdateContainerInstancesState((0, 1), "DRAINING"),
    m.InstanceRegistered(
        *(0, "i-0", {"CPU": 1024}, {"stack": "prod"}, 5, (22,), (53,), "cp", (1000, 500)),
        version_info={"agentVersion": "1.105.1"},
    ),
    m.AgentConnectionChanged((1,), False),
    m.InstancesGone((0,), "stopped", StopCode.SPOT_INTERRUPTION, 800),
    m.TasksChanged(
        *(TaskStatus.STOPPED, (4,), StopCode.SPOT_INTERRUPTION, "reclaimed", 137, 900),
        containers=(
            m.ContainerReport("c", "STOPPED", 137, "why", "id", "sha256:0", (m.Binding(80, 81),)),
        ),
    ),
    m.TasksHealthChanged(True, (4,), 700),
    m.InstancesLaunched("cp", (m.LaunchedInstance("i-0", "m5.large", "a", 5),)),
    m.LaunchFailed("cp", 2, "InsufficientInstanceCapacity"),
    m.InstancesTerminating(("i-0",), "scale-in"),
    m.InstancesTerminated(("i-0",)),
    m.CallThrottled("RunTask", 3, 2, "me"),
]
COMMANDS = [
    m.StartTasks(
        *("app:1", "g", (1, 2), (0, 1), ((0,), (1,)), 7, "web", 256, 512, "ecs-svc/1", "cp"),
        *(True, OVERRIDES),
    ),
    m.StopTasks((1,), StopCode.USER_INITIATED, "why", 5),
    m.RunTaskFailed(1, 2, FAILURE, 3, "cp"),
    m.TasksProvisioning(1, (3,), FAILURE, "web", "cp"),
    m.TasksStopped((3,), StopCode.TASK_FAILED_TO_START, "why"),
    m.ServiceEvent("web", "text", FAILURE),
    m.SetDesiredCapacity("cp", 3),
    m.SetInstanceProtection("cp", ("i-0",), True),
    m.CompleteTermination(("i-0",)),
    m.CapacityProviderReservation("cp", 3, 2, 2, 150.0),
    *(m.CallRejected(3, event, "why", "SomeException") for event in EVENTS),
]


def again(value, kind):
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_reads_back_equal(event):
    assert again(event, m.Event) == event


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_command_reads_back_equal(command):
    assert again(command, m.Command) == command


def test_a_round_reads_back_equal():
    entry = m.Round(12, tuple(EVENTS), tuple(COMMANDS))
    assert again(entry, m.Round) == entry


def test_no_message_is_left_out_above():
    tested = {type(message) for message in EVENTS + COMMANDS}
    assert tested == set(typing.get_args(m.Event)) | set(typing.get_args(m.Command))
    assert tested == set(m.Message.__subclasses__())


def test_every_field_above_is_other_than_its_default():
    for message in EVENTS + COMMANDS:
        for field in msgspec.structs.fields(message):
            assert getattr(message, field.name) != field.default, (message, field.name)


def test_the_json_form_names_the_message_and_leaves_defaults_out():
    text = msgspec.json.encode(m.StopTask((1,)))
    assert text == b'{"message":"StopTask","tasks":[1]}'


@pytest.mark.parametrize("message", EVENTS + COMMANDS, ids=lambda message: type(message).__name__)
def test_a_message_cannot_be_changed(message):
    with pytest.raises(AttributeError):
        setattr(message, next(iter(message.__struct_fields__), "field"), None)


def test_a_command_is_not_taken_for_an_event():
    with pytest.raises(msgspec.ValidationError, match="Invalid value 'StopTasks'"):
        again(COMMANDS[1], m.Event)


@pytest.mark.parametrize(
    "text",
    [
        '{"message":"StopTask"}',
        '{"message":"StopTask","tasks":["one"]}',
        '{"message":"StopTask","tasks":[1.5]}',
        '{"tasks":[1]}',
        '{"message":"Nobody","tasks":[1]}',
        '{"message":"TasksChanged","status":"TIRED","tasks":[]}',
    ],
)
def test_json_that_is_no_message_is_refused(text):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=m.Event)


names = st.text(max_size=8)
numbers = st.integers(-(2**31), 2**31)


@given(
    names, numbers, numbers, st.none() | names, st.lists(st.tuples(names, st.none() | names)), names
)
def test_any_text_and_any_number_survive(definition, request, count, group, pairs, started_by):
    call = m.RunTask(
        request,
        definition,
        count,
        group,
        placement_constraints=tuple(PlacementConstraint(*pair) for pair in pairs),
        placement_strategy=tuple(PlacementStrategy(*pair) for pair in pairs),
        started_by=started_by,
    )
    assert again(call, m.Event) == call
