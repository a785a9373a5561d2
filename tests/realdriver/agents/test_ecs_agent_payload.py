"""A task as it is sent to an agent, and as the agent reads it again."""

from __future__ import annotations

import json

from stowplan.placement.agentwire.payload import definition_document, task_message
from stowplan.placement.taskdef.parse import parse_task_definition
from tests.realdriver.agents.suite import cases

FULL = {
    "name": "main",
    "image": "i",
    "cpu": 128,
    "memory": 256,
    "memoryReservation": 128,
    "essential": True,
    "command": ["serve"],
    "entryPoint": ["sh", "-c"],
    "environment": [{"name": "A", "value": "b"}],
    "portMappings": [{"containerPort": 80, "hostPort": 8080, "protocol": "tcp"}],
    "mountPoints": [{"sourceVolume": "v", "containerPath": "/v", "readOnly": True}],
    "volumesFrom": [],
    "links": ["side:other"],
    "dependsOn": [{"containerName": "side", "condition": "HEALTHY"}],
    "startTimeout": 30,
    "stopTimeout": 5,
    "user": "1000",
    "workingDirectory": "/tmp",
    "hostname": "h",
    "privileged": False,
    "readonlyRootFilesystem": True,
    "dnsServers": ["1.1.1.1"],
    "dnsSearchDomains": ["local"],
    "extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.1"}],
    "ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 20}],
    "dockerLabels": {"a": "b"},
    "dockerSecurityOptions": ["no-new-privileges"],
    "systemControls": [{"namespace": "net.core.somaxconn", "value": "10"}],
    "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
    "linuxParameters": {
        "initProcessEnabled": True,
        "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
        "sharedMemorySize": 64,
        "tmpfs": [{"containerPath": "/t", "size": 5, "mountOptions": ["rw"]}],
        "devices": [{"hostPath": "/d", "containerPath": "/e", "permissions": ["read", "write"]}],
    },
}
SIDE = {
    "name": "side",
    "image": "i",
    "cpu": 0,
    "memory": 64,
    "essential": False,
    "environment": [],
    "portMappings": [],
    "mountPoints": [],
    "volumesFrom": [],
    "healthCheck": {"command": ["CMD", "true"], "interval": 5, "timeout": 2, "retries": 3},
}


def there_and_back(document):
    definition = parse_task_definition(document)
    message = task_message("arn:a/b", "arn:c", definition, "RUNNING")
    message = json.loads(json.dumps(message))  # as another process has it
    return message, definition_document(message, "again")


def test_all_that_a_container_is_survives_the_way_to_its_agent():
    document = {
        "family": "f",
        "networkMode": "bridge",
        "cpu": "512",
        "memory": "1024",
        "pidMode": "task",
        "containerDefinitions": [FULL, SIDE],
        "volumes": [{"name": "v", "host": {"sourcePath": "/srv"}}],
    }
    message, back = there_and_back(document)
    assert back == document | {"family": "again"}
    assert message["cpu"] == 0.5  # vCPU
    main, side = message["containers"]
    assert main["environment"] == {"A": "b"}
    assert main["overrides"] == message["overrides"] == "{}"
    host = json.loads(main["dockerConfig"]["hostConfig"])
    assert (host["NetworkMode"], host["MemoryReservation"]) == ("bridge", 128 << 20)
    assert side["healthCheckType"] == "docker"
    check = json.loads(side["dockerConfig"]["config"])["Healthcheck"]
    assert check["Interval"] == 5_000_000_000


def test_random_definitions_are_the_same_for_placement_after_the_way():
    for case in cases(50, seed=9):
        document = {"family": "f", "containerDefinitions": case.containers}
        _, back = there_and_back(document)
        before, after = parse_task_definition(document), parse_task_definition(back)
        assert after.containers == before.containers
