"""What goes wrong between agents and their control plane: nothing is lost, nothing doubled."""

from __future__ import annotations

import json
import time

import pytest

from stowplan.realdriver.agents.played import Behaviour, PlayedBody
from tests.realdriver.agents.raw import Raw
from tests.realdriver.agents.rig import Plane, described, identity, register, until
from tests.realdriver.agents.test_ecs_agent_protocol import instance, joined, reaches, run


@pytest.fixture
def raw(plane):
    return Raw(plane).open()


def test_an_agent_that_is_silent_counts_as_disconnected_and_gets_no_tasks(plane, raw, ecs):
    register(ecs)
    assert instance(ecs, raw.arn)["agentConnected"]
    started = time.monotonic()
    assert raw.closed()  # it acknowledges no heartbeat
    assert 1.5 < time.monotonic() - started < 5
    until(lambda: not instance(ecs, raw.arn)["agentConnected"])
    answer = ecs.run_task(taskDefinition="app")
    assert [each["reason"] for each in answer["failures"]] == ["AGENT"]
    raw.open()
    until(lambda: instance(ecs, raw.arn)["agentConnected"])


def test_an_agent_that_registers_and_never_comes_counts_as_disconnected(plane, ecs):
    arn = Raw(plane).arn
    assert instance(ecs, arn)["agentConnected"]
    until(lambda: not instance(ecs, arn)["agentConnected"])


def test_a_payload_that_is_not_acknowledged_comes_again(raw, ecs):
    register(ecs)
    (arn,) = run(ecs)
    first = raw.hear("PayloadMessage")
    again = raw.hear("PayloadMessage")  # it, or its acknowledgement, was lost
    assert again["messageId"] == first["messageId"]
    assert again["seqNum"] > first["seqNum"]
    assert [t["arn"] for t in again["tasks"]] == [arn]
    raw.ack(again)
    with pytest.raises(TimeoutError):
        raw.hear("PayloadMessage", seconds=1.8)


def test_what_was_not_acknowledged_comes_with_the_next_connection(raw, ecs):
    register(ecs)
    arns = run(ecs, 3)
    raw.hear("PayloadMessage")
    raw.acs.close()
    ecs.stop_task(task=arns[0])
    raw.open()
    message = raw.hear("PayloadMessage")
    there = {task["arn"]: task["desiredStatus"] for task in message["tasks"]}
    assert there == {arns[0]: "STOPPED", arns[1]: "RUNNING", arns[2]: "RUNNING"}
    raw.ack(message)
    raw.acs.close()
    manifest = raw.open().hear("TaskManifestMessage")
    assert {t["taskArn"] for t in manifest["tasks"]} == set(arns)
    raw.report(arns[1], "RUNNING")
    with pytest.raises(TimeoutError):  # all of it was acknowledged
        raw.hear("PayloadMessage", seconds=0.6, beats=False)


def test_an_agent_may_say_no(raw, ecs):
    register(ecs)
    (arn,) = run(ecs)
    message = raw.hear("PayloadMessage")
    raw.say("NackRequest", messageId=message["messageId"], reason="no room on the disk")
    task = reaches(ecs, arn, "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", "no room on the disk")


def test_reports_may_come_twice_late_and_in_a_wrong_order(raw, ecs, plane):
    register(ecs)
    arn, other = run(ecs, 2)
    raw.report(arn, "STOPPED", containers=[{"containerName": "app", "exitCode": 3}])
    raw.report(arn, "RUNNING")  # overtaken
    raw.report(arn, "STOPPED")
    task = described(ecs, arn)
    assert (task["lastStatus"], task["containers"][0]["exitCode"]) == ("STOPPED", 3)
    raw.report(other, "RUNNING")
    raw.report(other, "RUNNING")
    assert described(ecs, other)["lastStatus"] == "RUNNING"
    raw.ecs.submit_container_state_change(
        task=other, containerName="app", status="RUNNING", runtimeId="abc"
    )
    assert described(ecs, other)["containers"][0]["runtimeId"] == "abc"


def test_what_is_no_frame_ends_the_websocket_alone(raw, ecs, plane):
    raw.acs.send("hello")
    assert raw.closed()
    raw.open()
    until(lambda: instance(ecs, raw.arn)["agentConnected"])
    raw.say("FutureMessage", value=1)
    raw.say("AckRequest", messageId="unknown")
    raw.open(telemetry=True)
    # The agent's telemetry client puts signed headers before what it sends.
    frame = {"type": "PublishMetricsRequest", "message": {"metadata": {}, "taskMetrics": [{}]}}
    raw.tcs.send(f"Authorization: x\r\nHost: y\r\n\r\n{json.dumps(frame)}")
    assert json.loads(raw.tcs.recv(timeout=5))["type"] == "AckPublishMetric"


def test_a_task_that_the_control_plane_has_not_is_asked_about_and_stopped(raw, ecs):
    manifest = raw.hear("TaskManifestMessage")
    raw.ack(manifest)
    register(ecs)
    (kept,) = run(ecs)
    strange = f"arn:aws:ecs:us-east-1:000000000000:task/default/{'e' * 32}"
    raw.say(
        "TaskStopVerificationMessage",
        messageId=manifest["messageId"],
        stopCandidates=[{"taskArn": kept}, {"taskArn": strange}],
    )
    answer = raw.hear("TaskStopVerificationAck")
    assert [each["taskArn"] for each in answer["stopTasks"]] == [strange]


def test_an_agent_that_vanishes_and_returns_is_the_same_and_its_tasks_go_on(crew, ecs):
    member, body = joined(crew)
    register(ecs)
    arns = run(ecs, 3)
    for arn in arns:
        reaches(ecs, arn, "RUNNING")
    crew.kill(member)
    until(lambda: not instance(ecs, body.arn)["agentConnected"])
    assert instance(ecs, body.arn)["runningTasksCount"] == 3  # they are not touched (ecs 4.5)
    arn = body.arn
    joined(crew, 1, body)
    assert body.arn == arn
    until(lambda: instance(ecs, arn)["agentConnected"])
    assert [described(ecs, a)["lastStatus"] for a in arns] == ["RUNNING"] * 3
    assert all(task.starts == 1 for task in body.known.values())


def test_an_agent_that_lost_its_memory_is_a_new_instance(crew, ecs):
    member, body = joined(crew)
    register(ecs)
    (arn,) = run(ecs)
    reaches(ecs, arn, "RUNNING")
    crew.kill(member)
    until(lambda: not instance(ecs, body.arn)["agentConnected"])
    who = identity(1)
    who.token = "another"
    fresh = PlayedBody()
    until(crew.join(fresh, who).connected.is_set)
    assert fresh.arn != body.arn
    assert ecs.list_container_instances()["containerInstanceArns"] == [fresh.arn]
    task = described(ecs, arn)
    assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "InfrastructureHealth")


def test_an_answer_to_a_registration_that_was_lost_is_given_again(crew, ecs):
    member, body = joined(crew)
    crew.kill(member)
    twin = PlayedBody()
    until(crew.join(twin, identity(1)).connected.is_set)  # with the same client token
    assert twin.arn == body.arn


def test_tasks_that_are_stopped_before_their_agent_hears_of_them_never_start(raw, crew, ecs):
    register(ecs)
    (arn,) = run(ecs)
    ecs.stop_task(task=arn)
    raw.acs.close()
    _, body = joined(crew, 1, PlayedBody(arn=raw.arn))
    reaches(ecs, arn, "STOPPED")
    assert not body.known


def test_a_server_that_is_killed_at_any_time_loses_no_report(tmp_path):
    """Reports are acknowledged when they are written down, and not before."""
    plane = Plane(tmp_path)
    try:
        raw = Raw(plane).open()
        ecs = plane.client()
        register(ecs)
        arns = run(ecs, 4)
        raw.report(arns[0], "RUNNING")
        raw.report(arns[1], "STOPPED", reason="CannotPullContainerError: x")
        plane.close()
        plane = Plane(tmp_path)
        ecs = plane.client()
        assert [described(ecs, arn)["lastStatus"] for arn in arns[:2]] == ["RUNNING", "STOPPED"]
        raw = Raw(plane, arn=raw.arn).open()
        message = raw.hear("PayloadMessage")
        assert {task["arn"] for task in message["tasks"]} == set(arns[2:])
    finally:
        plane.close()


def test_many_orders_come_in_messages_of_ten(raw, ecs):
    register(ecs)
    run(ecs, 10)
    assert len(raw.hear("PayloadMessage")["tasks"]) == 10
    raw.acs.close()
    run_more = [run(ecs, 10) for _ in range(1)] if instance(ecs, raw.arn)["agentConnected"] else []
    raw.open()
    sizes = [len(raw.hear("PayloadMessage")["tasks"]) for _ in range(1 + len(run_more))]
    assert sizes == [10] * (1 + len(run_more))


def test_a_behaviour_that_lasts_ends_by_itself_also_after_its_agent_was_away(crew, ecs):
    body = PlayedBody(lambda message: Behaviour(lasts_s=0.6, exit_code=4))
    member, _ = joined(crew, 1, body)
    register(ecs)
    (arn,) = run(ecs)
    reaches(ecs, arn, "RUNNING")
    crew.kill(member)
    time.sleep(1.0)
    joined(crew, 1, body)
    assert reaches(ecs, arn, "STOPPED")["containers"][0]["exitCode"] == 4
