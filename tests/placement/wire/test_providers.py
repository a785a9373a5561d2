"""Capacity providers of the account, put to clusters."""

import pytest

from stowplan.placement.wire.errors import WireError
from tests.placement.wire.direct import CONTAINER, Direct

GROUP = {
    "autoScalingGroupArn": "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1:"
    "autoScalingGroupName/asg",
    "managedScaling": {"status": "ENABLED", "targetCapacity": 80},
}


@pytest.fixture
def ecs():
    ecs = Direct()
    ecs.call("RegisterTaskDefinition", family="web", containerDefinitions=[CONTAINER])
    ecs.call("CreateCapacityProvider", name="cp", autoScalingGroupProvider=GROUP)
    return ecs


def put(ecs, *names, weights=()):
    strategy = [{"capacityProvider": n, "weight": w} for n, w in zip(names, weights, strict=False)]
    return ecs.call(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=list(names),
        defaultCapacityProviderStrategy=strategy,
    )["cluster"]


def refused(ecs, operation, **params):
    with pytest.raises(WireError) as error:
        ecs.call(operation, **params)
    return error.value.code


def test_all_are_described_with_those_of_fargate(ecs):
    found = ecs.call("DescribeCapacityProviders")["capacityProviders"]
    assert [each["name"] for each in found] == ["FARGATE", "FARGATE_SPOT", "cp"]
    group = found[2]["autoScalingGroupProvider"]
    assert group["autoScalingGroupArn"] == GROUP["autoScalingGroupArn"]
    assert group["managedScaling"] == {
        "status": "ENABLED",
        "targetCapacity": 80,
        "minimumScalingStepSize": 1,
        "maximumScalingStepSize": 10_000,
        "instanceWarmupPeriod": 300,
    }
    answer = ecs.call("DescribeCapacityProviders", capacityProviders=["cp", "none"])
    assert [each["name"] for each in answer["capacityProviders"]] == ["cp"]
    assert answer["failures"][0]["reason"] == "MISSING"


def test_tasks_wait_for_a_group_that_is_not_known_and_start_when_it_has_instances(ecs):
    ecs.launch()
    assert put(ecs, "cp", "FARGATE", weights=[1])["capacityProviders"] == ["cp", "FARGATE"]
    answer = ecs.call("RunTask", taskDefinition="web", count=2)
    assert [task["lastStatus"] for task in answer["tasks"]] == ["PROVISIONING"] * 2
    ecs.launch(capacity_provider="cp")
    arns = [task["taskArn"] for task in answer["tasks"]]
    tasks = ecs.call("DescribeTasks", tasks=arns)["tasks"]
    assert {task["lastStatus"] for task in tasks} == {"PENDING"}
    assert {task["capacityProviderName"] for task in tasks} == {"cp"}


def test_a_change_reaches_the_account_and_the_clusters_that_have_it(ecs):
    put(ecs, "cp")
    changed = ecs.call(
        "UpdateCapacityProvider",
        name="cp",
        autoScalingGroupProvider={
            "managedScaling": {"instanceWarmupPeriod": 0},
            "managedTerminationProtection": "ENABLED",
        },
    )["capacityProvider"]["autoScalingGroupProvider"]
    assert changed["managedScaling"]["targetCapacity"] == 80
    assert changed["managedScaling"]["instanceWarmupPeriod"] == 0
    state = ecs.clusters["default"].state.capacity_providers["cp"]
    assert state.call == ecs.registry.state.capacity_providers["cp"].call
    off = {"managedScaling": {"status": "DISABLED"}}
    wrong = {"name": "cp", "autoScalingGroupProvider": off}
    assert refused(ecs, "UpdateCapacityProvider", **wrong) == "InvalidParameterException"


def test_what_is_in_use_stays(ecs):
    put(ecs, "cp", weights=[1])
    assert refused(ecs, "DeleteCapacityProvider", capacityProvider="cp") == "ClientException"
    ecs.call("CreateService", serviceName="s", taskDefinition="web", desiredCount=1)
    with pytest.raises(WireError) as error:
        put(ecs)
    assert error.value.code == "ResourceInUseException"
    ecs.call("DeleteService", service="s", force=True)
    ecs.settle()
    assert put(ecs)["capacityProviders"] == []
    gone = ecs.call("DeleteCapacityProvider", capacityProvider="cp")["capacityProvider"]
    assert gone["status"] == "INACTIVE"
    assert len(ecs.call("DescribeCapacityProviders")["capacityProviders"]) == 2


def test_what_makes_no_sense_is_refused(ecs):
    again = {"name": "cp", "autoScalingGroupProvider": GROUP}
    assert refused(ecs, "CreateCapacityProvider", **again) == "InvalidParameterException"
    assert refused(ecs, "CreateCapacityProvider", name="awsome") == "InvalidParameterException"
    fargate = [{"capacityProvider": "FARGATE", "weight": 1}]
    asked = {"taskDefinition": "web", "capacityProviderStrategy": fargate}
    assert refused(ecs, "RunTask", **asked) == "InvalidParameterException"
    asked["capacityProviderStrategy"] = [{"capacityProvider": "cp", "weight": 1}]
    assert refused(ecs, "RunTask", **asked) == "InvalidParameterException"
    unknown = {"clusterName": "new", "capacityProviders": ["nothing"]}
    assert refused(ecs, "CreateCluster", **unknown) == "InvalidParameterException"
    assert list(ecs.clusters) == ["default"]


def test_a_cluster_is_made_with_its_providers(ecs):
    cluster = ecs.call(
        "CreateCluster",
        clusterName="new",
        capacityProviders=["cp"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}],
    )["cluster"]
    assert cluster["capacityProviders"] == ["cp"]
    assert cluster["defaultCapacityProviderStrategy"][0]["weight"] == 1
