"""Agents join an endpoint over real sockets: what they are told, and what is known of them."""

from __future__ import annotations

import botocore.exceptions
import pytest

from stowplan.realdriver.agents.line import Key
from stowplan.realdriver.agents.member import Deregistered
from stowplan.realdriver.agents.played import Behaviour, PlayedBody
from tests.realdriver.agents.rig import (
    AGENT,
    CONTAINER,
    Crew,
    Plane,
    described,
    identity,
    register,
    until,
)


def refused(code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code
    return error.value.response["Error"]["Message"]


def joined(crew, number=1, body=None, **more):
    """A played agent that is connected, and its body."""
    body = body or PlayedBody()
    member = crew.join(body, identity(number, **more))
    until(member.connected.is_set)
    return member, body


def instance(ecs, arn, **more):
    (found,) = ecs.describe_container_instances(containerInstances=[arn], **more)[
        "containerInstances"
    ]
    return found


def run(ecs, count=1, **fields):
    answer = ecs.run_task(taskDefinition="app", count=count, **fields)
    assert answer["failures"] == []
    return [task["taskArn"] for task in answer["tasks"]]


def reaches(ecs, arn, status):
    return until(lambda: (t := described(ecs, arn))["lastStatus"] == status and t)


# --- joining --------------------------------------------------------------------------------------


def test_what_an_agent_says_of_its_machine_is_described(crew, ecs):
    _, body = joined(crew, 1, cpu=4096, memory=7000, stack="prod")
    found = instance(ecs, body.arn)
    assert found["ec2InstanceId"] == "i-00000000000000001"
    assert found["agentConnected"] is True
    assert found["status"] == "ACTIVE"
    assert found["versionInfo"]["agentVersion"] == "1.105.1"
    attributes = {each["name"]: each.get("value") for each in found["attributes"]}
    assert attributes["ecs.capability.container-ordering"] is None  # echoed, without a value
    assert attributes["stack"] == "prod"
    assert attributes["ecs.availability-zone"] == "us-east-1b"
    amounts = {each["name"]: each for each in found["registeredResources"]}
    assert amounts["CPU"]["integerValue"] == 4096
    assert amounts["MEMORY"]["integerValue"] == 7000
    assert sorted(amounts["PORTS"]["stringSetValue"], key=int)[0] == "22"


def test_a_task_runs_where_an_agent_is_and_its_ports_are_told(crew, ecs):
    _, body = joined(crew)
    port = CONTAINER | {"portMappings": [{"containerPort": 80}], "command": ["serve"]}
    register(ecs, containerDefinitions=[port])
    (arn,) = run(ecs)
    task = reaches(ecs, arn, "RUNNING")
    (shown,) = task["containers"]
    (binding,) = shown["networkBindings"]
    assert (binding["containerPort"], binding["hostPort"]) == (80, 32768)
    (sent,) = body.known.values()
    assert sent.message["containers"][0]["command"] == ["serve"]
    assert sent.message["version"] == "1"
    ecs.stop_task(task=arn, reason="enough")
    task = reaches(ecs, arn, "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert task["containers"][0]["exitCode"] == 143


def test_why_a_task_stopped_is_said_as_ecs_says_it(crew, ecs):
    plans = {
        "short": Behaviour(lasts_s=0.05, exit_code=7),
        "never": Behaviour(reason="CannotPullContainerError: no such image"),
    }
    joined(crew, body=PlayedBody(lambda message: plans[message["family"]]))
    for family in plans:
        register(ecs, family)
    answers = [ecs.run_task(taskDefinition=family)["tasks"][0]["taskArn"] for family in plans]
    short, never = (reaches(ecs, arn, "STOPPED") for arn in answers)
    assert short["stopCode"] == "EssentialContainerExited"
    assert short["stoppedReason"] == "Essential container in task exited"
    assert short["containers"][0]["exitCode"] == 7
    assert never["stopCode"] == "TaskFailedToStart"
    assert never["stoppedReason"] == "CannotPullContainerError: no such image"
    assert "startedAt" not in never


def test_a_service_is_kept_on_agents_over_zones(crew, ecs):
    bodies = [joined(crew, number)[1] for number in range(3)]
    register(ecs)
    ecs.create_service(serviceName="web", taskDefinition="app", desiredCount=6)
    until(lambda: ecs.describe_services(services=["web"])["services"][0]["runningCount"] == 6)
    assert sorted(len(body.known) for body in bodies) == [2, 2, 2]
    first = next(iter(bodies[0].known))
    ecs.stop_task(task=first)
    until(lambda: sum(t.status == "RUNNING" for b in bodies for t in b.known.values()) == 6)
    assert all(task.starts == 1 for body in bodies for task in body.known.values())


def test_an_instance_is_chosen_by_who_schedules_himself(crew, ecs):
    bodies = [joined(crew, number)[1] for number in range(2)]
    register(ecs)
    ecs.start_task(taskDefinition="app", containerInstances=[bodies[1].arn])
    until(lambda: bodies[1].known)
    assert not bodies[0].known


def test_a_task_with_a_network_interface_of_its_own_finds_no_room(crew, ecs):
    joined(crew, **{"ecs.capability.task-eni": ""})
    register(ecs, networkMode="awsvpc")
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    answer = ecs.run_task(taskDefinition="app", networkConfiguration=network)
    assert [each["reason"] for each in answer["failures"]] == ["RESOURCE:ENI"]


# --- who may join ---------------------------------------------------------------------------------


def test_who_does_not_sign_with_a_known_key_does_not_join(plane):
    crew = Crew(plane.url, Key("AKIDOTHER", "guess"))
    try:
        member = crew.join(PlayedBody(), identity(1))
        error = until(lambda: crew.error(member))
        assert error.code == "UnrecognizedClientException"
    finally:
        crew.close()


def test_an_agents_key_is_for_what_agents_call(plane):
    theirs = plane.client(AGENT)
    assert "agent's" in refused("AccessDeniedException", theirs.list_tasks)
    assert theirs.discover_poll_endpoint()["endpoint"] == f"{plane.url}/agents/acs"


def test_a_websocket_needs_a_signature(plane, crew):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    _, body = joined(crew)
    url = plane.url.replace("http", "ws")
    for kind in ("acs", "tcs"):
        query = f"containerInstanceArn={body.arn}&containerInstance={body.arn}"
        with pytest.raises(InvalidStatus) as error:
            connect(f"{url}/agents/{kind}/ws?{query}", proxy=None)
        assert error.value.response.status_code == 403


def test_two_agents_are_not_one_instance(crew, ecs):
    _, body = joined(crew)
    twin = crew.join(PlayedBody(), _without_token(identity(1)))
    error = until(lambda: crew.error(twin))
    assert error.code == "ClientException"
    assert "its agent is connected" in str(error)
    other = crew.join(PlayedBody(arn=body.arn), identity(2))  # a copied disk
    assert "The container instance is i-00000000000000001" in str(until(lambda: crew.error(other)))
    assert ecs.list_container_instances()["containerInstanceArns"] == [body.arn]


def _without_token(who):
    who.token = ""
    return who


def test_of_two_sessions_the_later_one_counts(crew, ecs):
    first, body = joined(crew)
    again = crew.join(PlayedBody(arn=body.arn), identity(1))
    until(again.connected.is_set)
    until(lambda: first.sessions >= 2 or not first.connected.is_set())
    assert len(ecs.list_container_instances()["containerInstanceArns"]) == 1


def test_an_instance_that_is_another_now_is_refused(crew, ecs):
    member, body = joined(crew)
    crew.kill(member)
    grown = crew.join(body, identity(1, cpu=8192))
    assert "type changes are not supported" in str(until(lambda: crew.error(grown)))


def test_an_agent_that_learned_something_says_so_and_stays_drained(crew, ecs):
    member, body = joined(crew)
    ecs.update_container_instances_state(containerInstances=[body.arn], status="DRAINING")
    crew.kill(member)
    joined(crew, 1, body, **{"ecs.capability.new": ""})
    found = instance(ecs, body.arn)
    assert "ecs.capability.new" in [each["name"] for each in found["attributes"]]
    assert found["status"] == "DRAINING"


def test_an_instance_that_was_deregistered_does_not_come_back(crew, ecs):
    member, body = joined(crew)
    ecs.deregister_container_instance(containerInstance=body.arn)
    crew.kill(member)
    again = crew.join(body, identity(1))
    assert "is not ACTIVE" in str(until(lambda: crew.error(again)))
    body.arn = ""
    joined(crew, 1, body)
    assert len(ecs.list_container_instances()["containerInstanceArns"]) == 1


def test_a_connected_agent_whose_instance_was_deregistered_hears_so_when_it_comes_again(
    crew, ecs, plane
):
    member, body = joined(crew)
    ecs.deregister_container_instance(containerInstance=body.arn)
    with plane.host.attending("default") as (driver, _now_ms):
        driver.close()  # all websockets
    assert isinstance(until(lambda: crew.error(member)), Deregistered)


def test_what_is_not_known_is_refused(crew, ecs, plane):
    joined(crew)
    theirs = plane.client(AGENT)
    assert theirs.submit_task_state_change(task=_of(ecs), status="RUNNING")
    refused("InvalidParameterException", theirs.submit_task_state_change, task="f" * 32)
    change = [{"attachmentArn": "arn:aws:ecs:us-east-1:0:attachment/1", "status": "ATTACHED"}]
    say = theirs.submit_attachment_state_changes
    assert "no network interface" in refused("InvalidParameterException", say, attachments=change)
    refused("ClusterNotFoundException", theirs.discover_poll_endpoint, cluster="none")


def _of(ecs):
    register(ecs)
    return run(ecs)[0]


# --- what agents measure --------------------------------------------------------------------------


def test_health_and_use_of_tasks_are_part_of_the_state(crew, ecs, plane):
    joined(crew, cpu=2048)
    register(ecs, containerDefinitions=[CONTAINER | {"healthCheck": {"command": ["CMD", "true"]}}])
    (arn,) = run(ecs)
    until(lambda: described(ecs, arn)["healthStatus"] == "HEALTHY")
    (task,) = plane.state.tasks.values()
    used = until(lambda: task.used)
    assert used.cpu == pytest.approx(204.8)  # ten per cent of 2,048 units
    assert used.memory == 64


def test_a_role_comes_with_its_task_and_is_renewed(crew, ecs, plane):
    member, _body = joined(crew)
    register(ecs, taskRoleArn="arn:aws:iam::000000000000:role/app", executionRoleArn="execution")
    (arn,) = run(ecs)
    reaches(ecs, arn, "RUNNING")
    assert sorted(each["roleArn"] for each in member.credentials.values()) == [
        "arn:aws:iam::000000000000:role/app",
        "execution",
    ]
    before = {name: each["accessKeyId"] for name, each in member.credentials.items()}
    with plane.host.attending("default") as (driver, _):
        driver._control._renew_ms[0] = 0  # an hour has passed
    until(lambda: all(member.credentials[n]["accessKeyId"] != key for n, key in before.items()))


# --- state that lasts -----------------------------------------------------------------------------


def test_a_server_that_is_started_again_loses_and_doubles_nothing(tmp_path):
    plane = Plane(tmp_path)
    crew = Crew(plane.url)
    try:
        ecs = plane.client()
        slow = PlayedBody(lambda message: Behaviour(start_s=1.0))
        joined(crew, 1, slow)
        register(ecs)
        arns = run(ecs, 3)
        until(lambda: len(slow.known) == 3)
        ecs.stop_task(task=arns[2])
        plane.close()
        plane = Plane(tmp_path, port=plane.port)
        ecs = plane.client()
        ends = ["RUNNING", "RUNNING", "STOPPED"]
        until(lambda: [described(ecs, a)["lastStatus"] for a in arns] == ends)
        assert all(task.starts == 1 for task in slow.known.values())
        more = run(ecs, 2)
        for arn in more:
            reaches(ecs, arn, "RUNNING")
        assert len(slow.known) == 5
    finally:
        crew.close()
        plane.close()
