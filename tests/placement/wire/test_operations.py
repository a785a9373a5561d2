"""Every operation that is carried out, answered as ECS's API model says (`Direct.call` checks)."""

import json

import pytest

from stowplan.placement.taskdef.api_model import operations
from stowplan.placement.wire.errors import WireError
from stowplan.placement.wire.front import CARRIED_OUT, REFUSED
from tests.placement.wire.direct import CONTAINER, Direct


@pytest.fixture
def ecs():
    ecs = Direct()
    ecs.call("RegisterTaskDefinition", family="web", containerDefinitions=[CONTAINER])
    ecs.launch(3)
    return ecs


def refused(ecs, operation, **params):
    with pytest.raises(WireError) as error:
        ecs.call(operation, **params)
    return error.value.code


def deploy(ecs, **params):
    ecs.call("CreateService", serviceName="s", taskDefinition="web", desiredCount=2, **params)
    ecs.settle()


def test_all_operations_answer_as_the_model_says(ecs, monkeypatch):
    called, call = set(), ecs.call

    def noted(operation, **params):
        called.add(operation)
        return call(operation, **params)

    monkeypatch.setattr(ecs, "call", noted)
    _around_clusters(ecs)
    _around_tasks(ecs)
    _around_services(ecs)
    _around_agents(ecs)
    assert called == set(CARRIED_OUT)


def _around_agents(ecs):
    ecs.real = True
    ecs.call("DiscoverPollEndpoint")
    ecs.call("RegisterContainerInstance", instanceIdentityDocument='{"instanceId": "i-real"}')
    ecs.call("RegisterTaskDefinition", family="joined", containerDefinitions=[CONTAINER])
    (task,) = ecs.call("RunTask", taskDefinition="joined")["tasks"]
    report = {"containerName": "app", "runtimeId": "abc", "status": "RUNNING"}
    ecs.call("SubmitContainerStateChange", task=task["taskArn"], **report)
    answer = ecs.call("SubmitTaskStateChange", task=task["taskArn"], status="RUNNING")
    assert answer == {"acknowledgment": "ok"}
    ecs.call("SubmitAttachmentStateChanges", attachments=[])


def _around_clusters(ecs):
    ecs.call("CreateCluster", clusterName="new", tags=[{"key": "a", "value": "b"}])
    ecs.call("UpdateCluster", cluster="new", settings=[])
    setting = {"name": "containerInsights", "value": "enabled"}
    ecs.call("UpdateClusterSettings", cluster="new", settings=[setting])
    include = ["TAGS", "SETTINGS", "STATISTICS", "CONFIGURATIONS", "ATTACHMENTS"]
    ecs.call("DescribeClusters", clusters=["new", "default", "none"], include=include)
    ecs.call("ListClusters")
    group = {"autoScalingGroupArn": "arn:aws:autoscaling:us-east-1:1:autoScalingGroup:1:x/a"}
    ecs.call("CreateCapacityProvider", name="cp", autoScalingGroupProvider=group)
    ecs.call("UpdateCapacityProvider", name="cp", autoScalingGroupProvider={})
    ecs.call("DescribeCapacityProviders", include=["TAGS"])
    ecs.call(
        "PutClusterCapacityProviders",
        cluster="new",
        capacityProviders=[],
        defaultCapacityProviderStrategy=[],
    )
    ecs.call("DeleteCapacityProvider", capacityProvider="cp")
    ecs.call("DeleteCluster", cluster="new")
    for each in ("PutAccountSetting", "PutAccountSettingDefault"):
        ecs.call(each, name="awsvpcTrunking", value="enabled")
    ecs.call("ListAccountSettings", effectiveSettings=True)
    ecs.call("DeleteAccountSetting", name="awsvpcTrunking")


def _around_tasks(ecs):
    arn = ecs.call("ListContainerInstances")["containerInstanceArns"][0]
    tags = [{"key": "a", "value": "b"}]
    ran = ecs.call("RunTask", taskDefinition="web", tags=tags, enableExecuteCommand=True)
    ecs.call("StartTask", taskDefinition="web", containerInstances=[arn])
    ecs.settle()
    tasks = ecs.call("ListTasks")["taskArns"]
    assert len(tasks) == 2
    ecs.call("DescribeTasks", tasks=[*tasks, "0" * 32], include=["TAGS"])
    ecs.call("StopTask", task=ran["tasks"][0]["taskArn"])
    document = {"instanceId": "i-1", "instanceType": "m5.large", "availabilityZone": "us-east-1a"}
    gpu = {"name": "GPU", "type": "STRINGSET", "stringSetValue": ["0", "1"]}
    made = ecs.call(
        "RegisterContainerInstance",
        instanceIdentityDocument=json.dumps(document),
        totalResources=[gpu],
        tags=tags,
    )["containerInstance"]
    assert (made["ec2InstanceId"], made["tags"]) == ("i-1", tags)
    include = ["TAGS", "CONTAINER_INSTANCE_HEALTH"]
    ecs.call("DescribeContainerInstances", containerInstances=[arn, "0" * 32], include=include)
    attributes = [{"name": "rack", "value": "7", "targetId": arn}]
    ecs.call("PutAttributes", attributes=attributes)
    ecs.call("ListAttributes", targetType="container-instance")
    ecs.call("DeleteAttributes", attributes=attributes)
    ecs.call("UpdateContainerInstancesState", containerInstances=[arn], status="DRAINING")
    ecs.call("DeregisterContainerInstance", containerInstance=arn, force=True)
    ecs.call("TagResource", resourceArn=tasks[0], tags=tags)
    ecs.call("ListTagsForResource", resourceArn=tasks[0])
    ecs.call("UntagResource", resourceArn=tasks[0], tagKeys=["a"])
    ecs.call("RegisterTaskDefinition", family="old", containerDefinitions=[CONTAINER])
    ecs.call("ListTaskDefinitions")
    ecs.call("ListTaskDefinitionFamilies")
    ecs.call("DeregisterTaskDefinition", taskDefinition="old:1")
    ecs.call("DeleteTaskDefinitions", taskDefinitions=["old:1", "web:1", "none:1"])
    ecs.call("DescribeTaskDefinition", taskDefinition="old:1", include=["TAGS"])


def _around_services(ecs):
    balancers = [{"targetGroupArn": "arn:x", "containerName": "app", "containerPort": 80}]
    deploy(ecs, loadBalancers=balancers, healthCheckGracePeriodSeconds=10)
    ecs.call("UpdateService", service="s", forceNewDeployment=True)
    ecs.call("DescribeServices", services=["s", "none"], include=["TAGS"])
    ecs.call("ListServices")
    ecs.call("ListServicesByNamespace", namespace="ns")
    (task, *_) = ecs.call("ListTasks", serviceName="s")["taskArns"]
    protect = {"cluster": "default", "tasks": [task], "protectionEnabled": True}
    ecs.call("UpdateTaskProtection", **protect)
    ecs.call("GetTaskProtection", cluster="default")
    (found, *_) = ecs.call("ListServiceDeployments", service="s")["serviceDeployments"]
    arn = found["serviceDeploymentArn"]
    ecs.call("DescribeServiceDeployments", serviceDeploymentArns=[arn])
    arn = found["targetServiceRevisionArn"]
    ecs.call("DescribeServiceRevisions", serviceRevisionArns=[arn])
    ecs.settle()
    ecs.call("UpdateService", service="s", forceNewDeployment=True)
    (found, *_) = ecs.call("ListServiceDeployments", service="s")["serviceDeployments"]
    ecs.call("StopServiceDeployment", serviceDeploymentArn=found["serviceDeploymentArn"])
    ecs.call("DeleteService", service="s", force=True)


def test_no_operation_is_both_carried_out_and_refused():
    assert not set(CARRIED_OUT) & set(REFUSED)
    assert set(CARRIED_OUT) | set(REFUSED) <= set(operations())


def test_what_belongs_to_agents_is_refused_as_ecs_refuses(ecs):
    assert refused(ecs, "DiscoverPollEndpoint") == "AccessDeniedException"
    assert refused(ecs, "SubmitTaskStateChange", status="RUNNING") == "AccessDeniedException"
    (arn, *_) = ecs.call("ListContainerInstances")["containerInstanceArns"]
    update = {"containerInstance": arn}
    assert refused(ecs, "UpdateContainerAgent", **update) == "NoUpdateAvailableException"
    command = {"command": "sh", "interactive": True, "task": "0" * 32}
    assert refused(ecs, "ExecuteCommand", **command) == "InvalidParameterException"
    assert refused(ecs, "ListDaemons") == "UnsupportedFeatureException"


def test_protection_is_described_until_it_ends(ecs):
    deploy(ecs)
    one, two = ecs.call("ListTasks")["taskArns"]
    protect = {"cluster": "default", "tasks": [one], "protectionEnabled": True}
    ecs.call("UpdateTaskProtection", **protect, expiresInMinutes=60)
    (found,) = ecs.call("GetTaskProtection", cluster="default")["protectedTasks"]
    assert (found["taskArn"], found["protectionEnabled"]) == (one, True)
    alone = ecs.call("RunTask", taskDefinition="web")["tasks"][0]["taskArn"]
    answer = ecs.call("GetTaskProtection", cluster="default", tasks=[one, two, alone])
    assert [each["protectionEnabled"] for each in answer["protectedTasks"]] == [True, False]
    assert answer["failures"] == [{"arn": alone, "reason": "TASK_NOT_VALID"}]
    ecs.now_ms += 3_600_000
    ecs.turn()
    assert ecs.call("GetTaskProtection", cluster="default")["protectedTasks"] == []
    wrong = protect | {"expiresInMinutes": 2_881}
    assert refused(ecs, "UpdateTaskProtection", **wrong) == "InvalidParameterException"


def test_task_definitions_are_deleted_once_they_are_inactive(ecs):
    answer = ecs.call("DeleteTaskDefinitions", taskDefinitions=["web:1", "web:9"])
    assert answer["taskDefinitions"] == []
    assert "ACTIVE status" in answer["failures"][0]["reason"]
    assert "does not exist" in answer["failures"][1]["reason"]
    ecs.call("DeregisterTaskDefinition", taskDefinition="web:1")
    ecs.call("DeleteTaskDefinitions", taskDefinitions=["web:1"])
    found = ecs.call("DescribeTaskDefinition", taskDefinition="web:1")["taskDefinition"]
    assert found["status"] == "DELETE_IN_PROGRESS"
    listed = ecs.call("ListTaskDefinitions", status="DELETE_IN_PROGRESS")
    assert len(listed["taskDefinitionArns"]) == 1
    ecs.call("CreateCluster", clusterName="later")
    assert ecs.clusters["later"].state.task_definitions["web"][0].status == "DELETE_IN_PROGRESS"


def statuses(ecs):
    listed = ecs.call("ListServiceDeployments", service="s")["serviceDeployments"]
    return [each["status"] for each in listed]


def test_a_deployment_from_its_call_to_its_end(ecs):
    deploy(ecs)
    assert statuses(ecs) == ["SUCCESSFUL"]
    ecs.call("RegisterTaskDefinition", family="web", containerDefinitions=[CONTAINER])
    ecs.call("UpdateService", service="s", taskDefinition="web:2")
    assert statuses(ecs) == ["IN_PROGRESS", "SUCCESSFUL"]
    new, old = ecs.call("ListServiceDeployments", service="s")["serviceDeployments"]
    (found,) = ecs.call(
        "DescribeServiceDeployments", serviceDeploymentArns=[new["serviceDeploymentArn"]]
    )["serviceDeployments"]
    assert found["sourceServiceRevisions"][0]["arn"] == old["targetServiceRevisionArn"]
    stop = {"serviceDeploymentArn": new["serviceDeploymentArn"]}
    ecs.settle()
    assert refused(ecs, "StopServiceDeployment", **stop) == "ConflictException"
    assert statuses(ecs) == ["SUCCESSFUL", "SUCCESSFUL"]
    arns = [each["targetServiceRevisionArn"] for each in (new, old)]
    revisions = ecs.call("DescribeServiceRevisions", serviceRevisionArns=arns)["serviceRevisions"]
    assert [e["taskDefinition"].rpartition("/")[2] for e in revisions] == ["web:2", "web:1"]
    stop = {"serviceDeploymentArn": new["serviceDeploymentArn"][:-1] + "x"}
    assert refused(ecs, "StopServiceDeployment", **stop) == "ServiceDeploymentNotFoundException"


@pytest.mark.parametrize("stop_type", ["ROLLBACK", "ABORT"])
def test_a_deployment_is_stopped_by_a_call(ecs, stop_type):
    deploy(ecs)
    ecs.call("RegisterTaskDefinition", family="web", containerDefinitions=[CONTAINER])
    ecs.call("UpdateService", service="s", taskDefinition="web:2")
    (new, _) = ecs.call("ListServiceDeployments", service="s")["serviceDeployments"]
    arn = new["serviceDeploymentArn"]
    ecs.call("StopServiceDeployment", serviceDeploymentArn=arn, stopType=stop_type)
    rolled = stop_type == "ROLLBACK"
    ecs.settle()  # no task of the old revision had been stopped yet
    assert statuses(ecs)[0] == ("ROLLBACK_SUCCESSFUL" if rolled else "STOPPED")
    (service,) = ecs.call("DescribeServices", services=["s"])["services"]
    assert service["taskDefinition"].endswith("web:1" if rolled else "web:2")
    tasks = ecs.call("DescribeTasks", tasks=ecs.call("ListTasks")["taskArns"])["tasks"]
    of = [task["taskDefinitionArn"].rpartition(":")[2] for task in tasks]
    assert len(of) >= 2
    assert "1" in of or not rolled
    assert refused(ecs, "StopServiceDeployment", serviceDeploymentArn=arn) == "ConflictException"


def test_a_first_deployment_has_nothing_to_roll_back_to(ecs):
    ecs.call("CreateService", serviceName="s", taskDefinition="web", desiredCount=2)
    (only,) = ecs.call("ListServiceDeployments", service="s")["serviceDeployments"]
    arn = only["serviceDeploymentArn"]
    stop = {"serviceDeploymentArn": arn, "stopType": "ROLLBACK"}
    assert refused(ecs, "StopServiceDeployment", **stop) == "InvalidParameterException"
    ecs.call("StopServiceDeployment", serviceDeploymentArn=arn, stopType="ABORT")
    assert statuses(ecs) == ["STOPPED"]


def test_one_that_is_replaced_before_its_end_is_stopped(ecs):
    deploy(ecs)
    ecs.call("UpdateService", service="s", forceNewDeployment=True)
    ecs.call("UpdateService", service="s", forceNewDeployment=True)
    assert statuses(ecs) == ["IN_PROGRESS", "STOPPED", "SUCCESSFUL"]


def test_what_changes_nothing_is_described_again(ecs):
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    ecs.call(
        "RegisterTaskDefinition",
        family="own",
        networkMode="awsvpc",
        containerDefinitions=[CONTAINER],
    )
    made = {"serviceName": "s", "taskDefinition": "own", "desiredCount": 1}
    assert refused(ecs, "CreateService", **made) == "InvalidParameterException"
    made["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": []}}
    assert refused(ecs, "CreateService", **made) == "InvalidParameterException"
    ran = {"taskDefinition": "web", "networkConfiguration": network}
    assert refused(ecs, "RunTask", **ran) == "InvalidParameterException"
    made |= {"networkConfiguration": network, "propagateTags": "SERVICE"}
    ecs.call("CreateService", **made)
    ecs.call("UpdateService", service="s", enableExecuteCommand=True)
    (service,) = ecs.call("DescribeServices", services=["s"])["services"]
    assert service["networkConfiguration"] == network
    assert (service["propagateTags"], service["enableExecuteCommand"]) == ("SERVICE", True)
    connect = {"enabled": True, "namespace": "ns"}
    ecs.call("UpdateService", service="s", serviceConnectConfiguration=connect)
    listed = ecs.call("ListServicesByNamespace", namespace="ns")["serviceArns"]
    assert listed == [service["serviceArn"]]


def test_instances_are_listed_by_status_and_by_the_query_language(ecs):
    def listed(**params):
        return ecs.call("ListContainerInstances", **params)["containerInstanceArns"]

    every = listed()
    zone = "attribute:ecs.availability-zone == us-east-1b"
    assert listed(filter=zone) == [every[1]]
    ecs.call("StartTask", taskDefinition="web", containerInstances=[every[2]])
    assert listed(filter="runningTasksCount > 0") == [every[2]]
    assert listed(filter="task:group == family:web") == [every[2]]
    assert listed(filter="agentConnected == true", status="ACTIVE") == every
    assert listed(filter="attribute:rack == 7") == []
    assert listed(status="REGISTERING") == []
    wrong = {"filter": "attribute:rack ="}
    assert refused(ecs, "ListContainerInstances", **wrong) == "InvalidParameterException"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"name": None}, "Container.name should not be null or empty."),
        ({"image": None}, "Container.image should not be null or empty."),
        ({"memory": None}, "Invalid setting for container 'app'. At least one of 'memory' or "),
    ],
)
def test_a_wrong_task_definition_is_refused_in_the_words_of_ecs(ecs, changed, says):
    with pytest.raises(WireError) as error:
        ecs.call("RegisterTaskDefinition", family="f", containerDefinitions=[CONTAINER | changed])
    assert error.value.code == "ClientException"
    assert error.value.message.startswith(says)


def test_a_revision_must_be_there_and_be_a_number(ecs):
    for name, says in [("web", "Revision is missing."), ("web:x", "Invalid revision number.")]:
        with pytest.raises(WireError) as error:
            ecs.call("DeregisterTaskDefinition", taskDefinition=name)
        assert error.value.message.startswith(says)
