"""`stowplan serve` before clients that others wrote: all waiters and paginators of boto3,
ecs-deploy, AWS's SDK for JavaScript. Each in an environment of its own, from its registry."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import venv
from collections import Counter

import pytest

from stowplan.experiments.cli.main import main
from tests.debian import need
from tests.experiments.cli.test_serve import CONTAINER, client, served, wait
from tests.house import ROOT

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
PAGED = {
    "list_account_settings": ({"effectiveSettings": True}, "settings"),
    "list_attributes": ({"targetType": "container-instance"}, "attributes"),
    "list_clusters": ({}, "clusterArns"),
    "list_container_instances": ({}, "containerInstanceArns"),
    "list_services": ({}, "serviceArns"),
    "list_services_by_namespace": ({"namespace": "ns"}, "serviceArns"),
    "list_task_definition_families": ({}, "families"),
    "list_task_definitions": ({}, "taskDefinitionArns"),
    "list_tasks": ({}, "taskArns"),
}


def environment(url):
    """What a client of the endpoint has in its environment."""
    return os.environ | KEYS | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}


@pytest.fixture
def ecs_and_url():
    with served("--clock", "600") as url:
        assert main(["launch", "m5.large", "4", "--endpoint-url", url]) == 0
        ecs = client(url)
        while len(ecs.list_container_instances()["containerInstanceArns"]) < 4:
            time.sleep(0.05)
        ecs.register_task_definition(family="web", containerDefinitions=[CONTAINER])
        yield ecs, url


def test_every_waiter_and_paginator_of_boto3(ecs_and_url):
    ecs, _ = ecs_and_url
    connect = {"enabled": True, "namespace": "ns"}
    for number in range(3):
        ecs.create_cluster(clusterName=f"c{number}")
        ecs.register_task_definition(family=f"f{number}", containerDefinitions=[CONTAINER])
        ecs.create_service(
            serviceName=f"s{number}",
            taskDefinition="web",
            desiredCount=1,
            serviceConnectConfiguration=connect,
        )
    services = ["s0", "s1", "s2"]
    wait(ecs, "services_stable", services=services)
    tasks = ecs.list_tasks()["taskArns"]
    wait(ecs, "tasks_running", tasks=tasks)
    paged = {name for name in dir(ecs) if name.startswith("list_") and ecs.can_paginate(name)}
    of_daemons = {name for name in paged if "daemon" in name or "gateway" in name}
    assert paged - of_daemons == set(PAGED)
    for name, (asked, member) in PAGED.items():
        pages = ecs.get_paginator(name).paginate(**asked, PaginationConfig={"PageSize": 2})
        shown = [str(each) for page in pages for each in page[member]]
        assert len(shown) >= 3, name
        assert max(Counter(shown).values()) == 1, name
    for service in services:
        ecs.delete_service(service=service, force=True)
    wait(ecs, "services_inactive", services=services)
    wait(ecs, "tasks_stopped", tasks=tasks)
    known = {name for name in ecs.waiter_names if "daemon" not in name}
    assert known == {"services_stable", "services_inactive", "tasks_running", "tasks_stopped"}


@pytest.mark.long
def test_ecs_deploy_rolls_a_service_out_and_scales_it(ecs_and_url, tmp_path):
    ecs, url = ecs_and_url
    made = tmp_path / "env"
    venv.create(made, with_pip=True)
    subprocess.run([made / "bin/pip", "install", "-q", "ecs-deploy==1.17.0"], check=True)
    ecs.create_service(serviceName="s", taskDefinition="web", desiredCount=2)
    wait(ecs, "services_stable", services=["s"])

    def ecs_deploy(*arguments):
        command = [made / "bin/ecs", *arguments, "--region", "us-east-1"]
        done = subprocess.run(command, env=environment(url), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "success" in ecs_deploy("deploy", "default", "s", "--image", "app", "nginx:2").lower()
    (service,) = ecs.describe_services(services=["s"])["services"]
    assert service["taskDefinition"].endswith("web:2")
    ecs_deploy("scale", "default", "s", "3")
    wait(ecs, "services_stable", services=["s"])
    assert len(ecs.list_tasks(serviceName="s")["taskArns"]) == 3
    assert "success" in ecs_deploy("run", "default", "web", "1").lower()


@pytest.mark.long
def test_a_scheduler_in_javascript_keeps_tasks_running_by_events(ecs_and_url, tmp_path):
    need(["node", "npm"], ["nodejs", "npm"])
    ecs, url = ecs_and_url
    subprocess.run(["npm", "install", "--silent", "@aws-sdk/client-ecs"], cwd=tmp_path, check=True)
    shutil.copy(ROOT / "experiments/examples/scheduler.mjs", tmp_path)
    command = ["node", "scheduler.mjs", "web", "5"]

    def living():
        return set(ecs.list_tasks(startedBy="node-web")["taskArns"])

    def until(holds):
        for _ in range(600):
            if holds():
                return
            time.sleep(0.05)
        pytest.fail("it did not come to that")

    with subprocess.Popen(command, cwd=tmp_path, env=environment(url)) as process:
        try:
            until(lambda: len(living()) == 5)
            tasks = ecs.describe_tasks(tasks=list(living()))["tasks"]
            # Where most memory is left: two on one instance, one on each other.
            assert sorted(Counter(t["containerInstanceArn"] for t in tasks).values()) == [
                1,
                1,
                1,
                2,
            ]
            gone = next(iter(living()))
            ecs.stop_task(task=gone)
            until(lambda: len(living()) == 5 and gone not in living())
            (drained, *_) = {task["containerInstanceArn"] for task in tasks}
            ecs.update_container_instances_state(containerInstances=[drained], status="DRAINING")
            for task in ecs.list_tasks(containerInstance=drained)["taskArns"]:
                ecs.stop_task(task=task)
            until(lambda: len(living()) == 5)
            on = {
                t["containerInstanceArn"] for t in ecs.describe_tasks(tasks=list(living()))["tasks"]
            }
            assert drained not in on
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGTERM)
