"""Events as EventBridge would send them, of a cluster's life."""

from collections import Counter

import pytest

from stowplan.placement.taskdef.api_model import conform
from stowplan.placement.wire.events import ACTION, DEPLOYMENT, INSTANCE, TASK, Events
from tests.placement.wire.direct import CONTAINER, Direct


@pytest.fixture
def ecs():
    ecs = Direct()
    ecs.told = []
    events = Events(ecs.clusters["default"])
    ecs.heard.append(lambda entry: ecs.told.extend(events(entry)))
    ecs.call("RegisterTaskDefinition", family="web", containerDefinitions=[CONTAINER])
    ecs.launch(2)
    return ecs


def of(ecs, kind):
    return [each["detail"] for each in ecs.told if each["detail-type"] == kind]


def names(ecs, kind):
    return [each["eventName"] for each in of(ecs, kind)]


def test_a_task_is_told_of_from_its_start_to_its_end(ecs):
    arn = ecs.call("RunTask", taskDefinition="web")["tasks"][0]["taskArn"]
    ecs.settle()
    ecs.call("StopTask", task=arn)
    ecs.settle()
    tasks = of(ecs, TASK)
    assert [task["lastStatus"] for task in tasks] == ["PENDING", "RUNNING", "RUNNING", "STOPPED"]
    versions = [task["version"] for task in tasks]
    assert versions == sorted(set(versions))
    assert "healthStatus" not in tasks[0]
    assert tasks[-1]["stoppedAt"].endswith("Z")
    shown = ecs.call("DescribeTasks", tasks=[arn])["tasks"][0]
    assert shown["version"] == versions[-1]
    (instance,) = {each["containerInstanceArn"] for each in tasks}
    told = [e for e in of(ecs, INSTANCE) if e["containerInstanceArn"] == instance]
    rising = [each["version"] for each in told]
    assert rising == sorted(set(rising))
    free = [
        next(r["integerValue"] for r in each["remainingResources"] if r["name"] == "CPU")
        for each in told
    ]
    assert (free[0], min(free), free[-1]) == (2048, 2048 - 256, 2048)


def test_the_state_can_be_kept_from_events_alone(ecs):
    """As Blox's cluster-state-service does: the latest version of each thing is the state."""
    ecs.call("CreateService", serviceName="s", taskDefinition="web", desiredCount=3)
    ecs.settle()
    ecs.call("UpdateService", service="s", desiredCount=1)
    ecs.settle()
    kept = {}
    for each in ecs.told:
        if each["detail-type"] == TASK:
            detail = each["detail"]
            before = kept.get(detail["taskArn"], {"version": 0})
            kept[detail["taskArn"]] = max(before, detail, key=lambda task: task["version"])
    lasting = {arn for arn, task in kept.items() if task["desiredStatus"] == "RUNNING"}
    assert lasting == set(ecs.call("ListTasks")["taskArns"])


def test_services_and_deployments_say_what_becomes_of_them(ecs):
    ecs.call("CreateService", serviceName="s", taskDefinition="web", desiredCount=2)
    ecs.settle()
    assert names(ecs, DEPLOYMENT) == [
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "SERVICE_DEPLOYMENT_COMPLETED",
    ]
    assert "SERVICE_STEADY_STATE" in names(ecs, ACTION)
    ecs.call("UpdateService", service="s", desiredCount=500)
    assert names(ecs, ACTION)[-2:] == [
        "SERVICE_DESIRED_COUNT_UPDATED",
        "SERVICE_TASK_PLACEMENT_FAILURE",
    ]
    assert of(ecs, ACTION)[-1]["reason"].startswith("RESOURCE:")


def test_envelopes_are_those_of_eventbridge(ecs):
    ecs.call("RunTask", taskDefinition="web", count=2)
    ecs.settle()
    (arn, _) = ecs.call("ListContainerInstances")["containerInstanceArns"]
    ecs.call("UpdateContainerInstancesState", containerInstances=[arn], status="DRAINING")
    assert {each["source"] for each in ecs.told} == {"aws.ecs"}
    assert max(Counter(each["id"] for each in ecs.told).values()) == 1
    assert all(each["resources"] and each["time"].endswith("Z") for each in ecs.told)
    assert [e["status"] for e in of(ecs, INSTANCE) if e["containerInstanceArn"] == arn][-1] == (
        "DRAINING"
    )
    times = {"createdAt", "startedAt", "stoppedAt", "stoppingAt", "updatedAt"}
    for task in of(ecs, TASK):
        plain = {name: of for name, of in task.items() if name not in times}
        assert conform(plain, "Task")[1] == []
