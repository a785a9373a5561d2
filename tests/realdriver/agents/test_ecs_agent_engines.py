"""Agents on private engines join a control plane: the five steps of ECS, by the AWS CLI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.realdriver.agents.procs import Server
from tests.realdriver.agents.real import agent
from tests.realdriver.agents.rig import ADMIN, CONTAINER, until


@pytest.fixture
def server(may_boot, tmp_path):
    found = Server(tmp_path).start()
    yield found
    found.end()


@pytest.fixture
def fleet(server, boot, tmp_path):
    """Starts agents, each on an engine of its own; returns (agent, engine) pairs."""
    begun = []

    def make(count, cluster="default"):
        pairs = []
        for number in range(count):
            engine = boot("--live-restore")
            pairs.append((agent(server, engine, number, tmp_path / f"a{number}", cluster), engine))
            begun.append(pairs[-1][0])
        for each, _ in pairs:
            each.start()
        return pairs

    yield make
    for each in begun:
        each.end()


def aws(server, *words):
    """The AWS CLI: what it answers."""
    program = shutil.which("aws")
    if program is None:
        pytest.skip("the AWS CLI is not there")
    env = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": ADMIN.access_key,
        "AWS_SECRET_ACCESS_KEY": ADMIN.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    done = subprocess.run(
        [program, "--endpoint-url", server.url, "--output", "json", "ecs", *words],
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def uses(server, cluster):
    """What the tasks of a cluster use, as the endpoint says."""
    body = json.dumps({"cluster": cluster}).encode()
    headers = {"Content-Type": "application/json"}
    request = AWSRequest("POST", f"{server.url}/_stowplan/use", headers=headers, data=body)
    SigV4Auth(Credentials(*ADMIN), "ecs", "us-east-1").add_auth(request)
    asked = urllib.request.Request(request.url, body, dict(request.headers.items()))
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return json.load(answer)["tasks"]


def _ids(engines):
    return {each["Id"] for engine in engines for each in engine.containers()}


def test_the_five_steps_on_three_machines_by_the_cli(server, fleet):
    # 1: create a cluster
    assert aws(server, "create-cluster", "--cluster-name", "m17")["cluster"]["status"] == "ACTIVE"
    # 2: register task definitions
    web = CONTAINER | {"command": ["sh", "-c", "while true; do true; done"]}
    aws(server, "register-task-definition", "--family", "web", "--container-definitions",
        json.dumps([web]))  # fmt: skip
    # 3: launch and register instances
    pairs = fleet(3, "m17")
    engines = [engine for _, engine in pairs]
    until(lambda: len(_instances(server, "m17")) == 3, 60)
    # 4: run the desired number of copies
    aws(server, "create-service", "--cluster", "m17", "--service-name", "web",
        "--task-definition", "web", "--desired-count", "3")  # fmt: skip
    tasks = until(lambda: len(found := _running(server, "m17")) == 3 and found, 60)
    assert len({task["containerInstanceArn"] for task in tasks}) == 3  # over three zones
    first = _ids(engines)
    assert len(first) == 3
    # What is killed on the way comes back, and finds all as it was.
    for victim in (server, pairs[0][0], engines[1]):
        victim.kill()
        victim.start()
    until(lambda: all(_connected(server, "m17")), 60)
    until(lambda: len(_running(server, "m17")) == 3, 60)
    assert _ids(engines) == first
    # 5: watch utilisation and adjust
    measured = until(lambda: [u for u in uses(server, "m17") if u["cpu"]["used"] > 1], 60)
    assert measured[0]["cpu"]["held"] == 64
    aws(server, "update-service", "--cluster", "m17", "--service", "web", "--desired-count", "1")
    until(lambda: len(_running(server, "m17")) == 1, 60)
    aws(server, "delete-service", "--cluster", "m17", "--service", "web", "--force")
    until(lambda: not _ids(engines), 90)


def _instances(server, cluster):
    return server.client().list_container_instances(cluster=cluster)["containerInstanceArns"]


def _connected(server, cluster):
    arns = _instances(server, cluster)
    found = server.client().describe_container_instances(cluster=cluster, containerInstances=arns)
    return [each["agentConnected"] for each in found["containerInstances"]]


def _running(server, cluster):
    ecs = server.client()
    arns = ecs.list_tasks(cluster=cluster)["taskArns"]
    found = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    return [task for task in found if task["lastStatus"] == "RUNNING"]
