"""Services of the controllers EXTERNAL and CODE_DEPLOY, and their task sets."""

import pytest

from stowplan.placement.wire.errors import WireError
from tests.placement.wire.direct import CONTAINER, Direct

ASKED = {"cluster": "default", "service": "s"}


@pytest.fixture
def ecs():
    ecs = Direct()
    tags = [{"key": "team", "value": "blue"}]
    ecs.call("RegisterTaskDefinition", family="web", containerDefinitions=[CONTAINER], tags=tags)
    ecs.call("RegisterTaskDefinition", family="web", containerDefinitions=[CONTAINER])
    ecs.launch(3)
    return ecs


def begun(ecs, controller="EXTERNAL", **fields):
    fields = {"desiredCount": 3} | fields
    ecs.call("CreateService", serviceName="s", deploymentController={"type": controller}, **fields)
    return ecs


def task_set(ecs, definition="web:1", scale=100.0, **fields):
    share = {"value": scale, "unit": "PERCENT"}
    fields = ASKED | {"taskDefinition": definition, "scale": share} | fields
    made = ecs.call("CreateTaskSet", **fields)["taskSet"]
    ecs.settle()
    return made


def service(ecs):
    (found,) = ecs.call("DescribeServices", services=["s"], include=["TAGS"])["services"]
    return found


def sets(ecs, **fields):
    return ecs.call("DescribeTaskSets", **ASKED, **fields)["taskSets"]


def refused(ecs, operation, **fields):
    with pytest.raises(WireError) as error:
        ecs.call(operation, **ASKED, **fields)
    return error.value.code


def test_a_set_runs_its_share_rounded_up(ecs):
    made = task_set(begun(ecs), scale=50.0)
    assert made["computedDesiredCount"] == 2
    assert made["stabilityStatus"] == "STABILIZING"
    (found,) = sets(ecs)
    assert (found["runningCount"], found["stabilityStatus"]) == (2, "STEADY_STATE")
    shown = service(ecs)
    assert (shown["desiredCount"], shown["runningCount"], shown["deployments"]) == (3, 2, [])
    assert shown["taskSets"] == [found]
    message = f"(service s, taskSet {made['id']}) has reached a steady state."
    assert shown["events"][0]["message"] == message
    arns = ecs.call("ListTasks", serviceName="s")["taskArns"]
    for task in ecs.call("DescribeTasks", tasks=arns)["tasks"]:
        assert (task["group"], task["startedBy"]) == ("service:s", made["id"])


def test_a_blue_set_gives_way_to_a_green_one(ecs):
    blue = task_set(begun(ecs))
    ecs.call("UpdateServicePrimaryTaskSet", **ASKED, primaryTaskSet=blue["taskSetArn"])
    green = task_set(ecs, "web:2", 34)
    assert [each["runningCount"] for each in sets(ecs)] == [3, 2]
    assert service(ecs)["taskDefinition"].endswith("web:1")
    ecs.call("UpdateServicePrimaryTaskSet", **ASKED, primaryTaskSet=green["id"])
    assert [each["status"] for each in sets(ecs)] == ["ACTIVE", "PRIMARY"]
    assert service(ecs)["taskDefinition"].endswith("web:2")
    ecs.call("UpdateTaskSet", **ASKED, taskSet=green["id"], scale={"value": 100.0})
    assert refused(ecs, "DeleteTaskSet", taskSet=blue["id"]) == "InvalidParameterException"
    gone = ecs.call("DeleteTaskSet", **ASKED, taskSet=blue["id"], force=True)["taskSet"]
    assert gone["status"] == "DRAINING"
    ecs.settle()
    (left,) = sets(ecs)
    assert (left["id"], left["runningCount"]) == (green["id"], 3)
    failures = ecs.call("DescribeTaskSets", **ASKED, taskSets=[blue["id"]])["failures"]
    assert failures == [{"arn": blue["taskSetArn"], "reason": "MISSING"}]
    assert refused(ecs, "UpdateTaskSet", taskSet=blue["id"], scale={}) == "TaskSetNotFoundException"


def test_sets_follow_the_count_of_their_service(ecs):
    task_set(begun(ecs), scale=50.0)
    ecs.call("UpdateService", service="s", desiredCount=5)
    ecs.settle()
    (found,) = sets(ecs)
    assert (found["computedDesiredCount"], found["runningCount"]) == (3, 3)


def test_a_set_brings_back_what_stops(ecs):
    task_set(begun(ecs))
    (first, *_) = ecs.call("ListTasks", serviceName="s")["taskArns"]
    ecs.call("StopTask", task=first)
    ecs.settle()
    assert sets(ecs)[0]["runningCount"] == 3


def test_a_service_with_sets_is_deleted_by_force(ecs):
    task_set(begun(ecs))
    with pytest.raises(WireError):
        ecs.call("DeleteService", service="s")
    with pytest.raises(WireError, match="Services are active"):
        ecs.call("DeleteCluster", cluster="default")
    assert ecs.call("DeleteService", service="s", force=True)["service"]["status"] == "INACTIVE"
    ecs.settle()
    assert ecs.call("ListTasks")["taskArns"] == []
    assert ecs.call("ListServices")["serviceArns"] == []
    assert refused(ecs, "DescribeTaskSets") == "ServiceNotActiveException"
    begun(ecs)
    assert sets(ecs) == []


def test_code_deploy_begins_with_a_primary_set(ecs):
    begun(ecs, "CODE_DEPLOY", taskDefinition="web:1")
    ecs.settle()
    (found,) = sets(ecs)
    assert (found["status"], found["runningCount"]) == ("PRIMARY", 3)
    assert refused(ecs, "CreateTaskSet", taskDefinition="web") == "InvalidParameterException"
    with pytest.raises(WireError, match="CODE_DEPLOY deployment controller"):
        ecs.call("UpdateService", service="s", taskDefinition="web:2")


def test_a_service_that_ecs_deploys_has_none(ecs):
    ecs.call("CreateService", serviceName="s", taskDefinition="web", desiredCount=1)
    assert refused(ecs, "CreateTaskSet", taskDefinition="web") == "InvalidParameterException"
    with pytest.raises(WireError, match="idempotent"):
        begun(ecs)
    with pytest.raises(WireError, match="service name"):
        ecs.call("CreateService", serviceName="s/1", taskDefinition="web", desiredCount=1)


def test_tags_of_the_set_of_the_service_and_of_tasks(ecs):
    own = [{"key": "of", "value": "service"}]
    begun(ecs, tags=own, propagateTags="TASK_DEFINITION")
    made = task_set(ecs, tags=[{"key": "a", "value": "b"}])
    ecs.call("TagResource", resourceArn=made["taskSetArn"], tags=[{"key": "c", "value": "d"}])
    ecs.call("UntagResource", resourceArn=made["taskSetArn"], tagKeys=["a"])
    assert sets(ecs, include=["TAGS"])[0]["tags"] == [{"key": "c", "value": "d"}]
    arn = service(ecs)["serviceArn"]
    ecs.call("TagResource", resourceArn=arn, tags=[{"key": "x", "value": "y"}])
    ecs.call("UntagResource", resourceArn=arn, tagKeys=["of"])
    assert service(ecs)["tags"] == [{"key": "x", "value": "y"}]
    (first, *_) = ecs.call("ListTasks", serviceName="s")["taskArns"]
    assert ecs.call("ListTagsForResource", resourceArn=first)["tags"] == [
        {"key": "team", "value": "blue"}
    ]


def test_a_token_makes_one_set(ecs):
    first = task_set(begun(ecs), clientToken="once")
    assert task_set(ecs, clientToken="once")["id"] == first["id"]
    assert len(sets(ecs)) == 1
