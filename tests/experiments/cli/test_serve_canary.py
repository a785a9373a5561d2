"""A canary deployment of an hour, driven by boto3 at `stowplan serve`, whose clock runs fast."""

from __future__ import annotations

import time

from stowplan.experiments.cli.main import main
from tests.experiments.cli.test_serve import CONTAINER, client, served, wait

HOUR_S = 3_600
BALANCERS = [{"targetGroupArn": "arn:x", "containerName": "c", "containerPort": 80}]
CANARY = {
    "strategy": "CANARY",
    "bakeTimeInMinutes": 15,
    "canaryConfiguration": {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 45},
    "lifecycleHooks": [{"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"]}],
}


def described(ecs, arn):
    (found,) = ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    return found


def followed(ecs, arn, until, most_s=60):
    """What is described of a deployment, again and again, until a condition holds of it."""
    seen, end = [], time.monotonic() + most_s
    while time.monotonic() < end:
        found = described(ecs, arn)
        seen.append(found)
        if until(found):
            return seen
        time.sleep(0.02)
    raise AssertionError(f"{seen[-1]['status']} in {seen[-1].get('lifecycleStage')}")


def paused(found):
    return any(hook["status"] == "AWAITING_ACTION" for hook in found["lifecycleHookDetails"])


def test_a_canary_of_an_hour_in_seconds():
    begun = time.monotonic()
    with served("--clock", "2400") as url:
        assert main(["launch", "m5.large", "4", "--endpoint-url", url]) == 0
        ecs = client(url)
        while len(ecs.list_container_instances()["containerInstanceArns"]) < 4:
            time.sleep(0.05)
        container = CONTAINER | {"name": "c"}
        ecs.register_task_definition(family="web", containerDefinitions=[container])
        new = {"serviceName": "s", "taskDefinition": "web", "desiredCount": 2}
        ecs.create_service(**new, loadBalancers=BALANCERS, deploymentConfiguration=CANARY)
        wait(ecs, "services_stable", services=["s"])
        while ecs.list_service_deployments(service="s", status=["IN_PROGRESS"])[
            "serviceDeployments"
        ]:
            time.sleep(0.05)
        ecs.register_task_definition(family="web", containerDefinitions=[container])
        ecs.update_service(service="s", taskDefinition="web:2")
        arn = ecs.list_service_deployments(service="s")["serviceDeployments"][0][
            "serviceDeploymentArn"
        ]
        hook = followed(ecs, arn, paused)[-1]["lifecycleHookDetails"][0]
        ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook["hookId"])
        seen = followed(ecs, arn, lambda found: found["status"] != "IN_PROGRESS")
        target = "targetServiceRevision"
        weights = [found[target]["requestedProductionTrafficWeight"] for found in seen]
        assert seen[-1]["status"] == "SUCCESSFUL"
        assert sorted(set(weights) - {0.0}) == [10.0, 100.0]
        assert weights == sorted(weights)
        took = seen[-1]["finishedAt"] - seen[-1]["startedAt"]
        assert took.total_seconds() > HOUR_S
        tasks = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName="s")["taskArns"])["tasks"]
        assert {task["taskDefinitionArn"].rpartition(":")[2] for task in tasks} == {"2"}
    assert time.monotonic() - begun < HOUR_S / 20
