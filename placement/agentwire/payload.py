"""A task as ACS sends it to an agent, and the task definition that an agent makes of it (ecs 9.4).

Overrides are applied before it is sent, so that a container has one description.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stowplan.placement.agentwire.docker_form import (
    CONFIG,
    HOST_CONFIG,
    in_docker_words,
    in_ecs_words,
)
from stowplan.placement.agentwire.frames import Document
from stowplan.placement.model import TaskDefinition

_DOCKER_API = "1.17"  # in whose form the configurations are; what ECS writes
# Members of a container that a message has as its definition does.
_AS_THEY_ARE = (
    *("name", "image", "links", "command", "entryPoint", "dependsOn", "startTimeout"),
    *("stopTimeout", "environmentFiles", "restartPolicy", "firelensConfiguration"),
)
_OF_TASK = ("pidMode", "ipcMode")


def task_message(
    arn: str,
    cluster_arn: str,
    definition: TaskDefinition,
    desired_status: str,
    *,
    cpu: int | None = None,
    memory: int | None = None,
    group: str = "",
    credentials: Mapping[str, Document] | None = None,
) -> Document:
    """A task of a PayloadMessage.

    Args:
        definition: with the overrides of the task in it.
        cpu, memory: the task-level overrides in CPU units and MiB, if there are any.
        credentials: `roleCredentials` and `executionRoleCredentials`, where it has roles.
    """
    document = definition.document
    cpu = definition.cpu if cpu is None else cpu
    memory = definition.memory if memory is None else memory
    mode = definition.network_mode
    message: Document = {
        "arn": arn,
        "taskClusterArn": cluster_arn,
        "family": definition.family,
        "version": str(definition.revision),
        "desiredStatus": desired_status,
        "overrides": "{}",
        "launchType": "EC2",
        "networkMode": mode,
        "group": group,
        "containers": [_container(each, mode) for each in document["containerDefinitions"]],
        "volumes": [_volume(each) for each in document.get("volumes", ())],
        **{name: document[name] for name in _OF_TASK if name in document},
        **(credentials or {}),
    }
    if cpu is not None:
        message["cpu"] = cpu / 1024
    if memory is not None:
        message["memory"] = memory
    return message


def _container(given: Mapping[str, Any], mode: str) -> Document:
    host = {"NetworkMode": mode, **in_docker_words(given, HOST_CONFIG)}
    config = in_docker_words(given, CONFIG)
    message: Document = {
        **{name: given[name] for name in _AS_THEY_ARE if name in given},
        "cpu": given.get("cpu", 0),
        "memory": given.get("memory", 0),
        "essential": given.get("essential", True),
        "environment": {e["name"]: e.get("value", "") for e in given.get("environment", ())},
        "portMappings": [_port(each) for each in given.get("portMappings", ())],
        "mountPoints": [{"readOnly": False, **each} for each in given.get("mountPoints", ())],
        "volumesFrom": [{"readOnly": False, **each} for each in given.get("volumesFrom", ())],
        "overrides": "{}",
        "dockerConfig": {
            "config": _text(config),
            "hostConfig": _text(host),
            "version": _DOCKER_API,
        },
    }
    if "healthCheck" in given:
        message["healthCheckType"] = "docker"
    if given.get("secrets"):
        message["secrets"] = [_secret(each) for each in given["secrets"]]
    return message


def _text(document: Document) -> str:
    return msgspec.json.encode(document).decode()


def _port(given: Mapping[str, Any]) -> Document:
    port = {"protocol": given.get("protocol", "tcp")}
    if "containerPortRange" in given:
        return port | {"containerPortRange": given["containerPortRange"]}
    return port | {
        "containerPort": given["containerPort"],
        "hostPort": given.get("hostPort", 0),
    }


def _secret(given: Mapping[str, Any]) -> Document:
    parts = given["valueFrom"].split(":")
    from_manager = len(parts) > 2 and parts[2] == "secretsmanager"
    return {
        "name": given["name"],
        "valueFrom": given["valueFrom"],
        "provider": "asm" if from_manager else "ssm",
        "type": "ENVIRONMENT_VARIABLE",
        "target": "CONTAINER",
        "region": parts[3] if len(parts) > 3 else "",
    }


def _volume(given: Mapping[str, Any]) -> Document:
    for member, type in (
        ("dockerVolumeConfiguration", "docker"),
        ("efsVolumeConfiguration", "efs"),
    ):
        if given.get(member):
            return {"name": given["name"], "type": type, member: given[member]}
    return {"name": given["name"], "type": "host", "host": given.get("host", {})}


# --- back -----------------------------------------------------------------------------------------


def definition_document(message: Document, family: str) -> Document:
    """The input of RegisterTaskDefinition that says what a task of a payload is.

    Args:
        family: by which its agent calls it.
    """
    document: Document = {
        "family": family,
        "networkMode": message.get("networkMode") or _mode(message),
        "containerDefinitions": [_defined(each) for each in message.get("containers", ())],
        "volumes": [_volume_back(each) for each in message.get("volumes", ())],
        **{name: message[name] for name in _OF_TASK if message.get(name)},
    }
    if message.get("cpu"):
        document["cpu"] = str(round(message["cpu"] * 1024))
    if message.get("memory"):
        document["memory"] = str(message["memory"])
    return document


def _docker(container: Document, name: str) -> Document:
    text = container.get("dockerConfig", {}).get(name) or "{}"
    found: Document = msgspec.json.decode(text)
    return found


def _mode(message: Document) -> str:
    """The network mode of a message that has it in Docker's words alone."""
    for container in message.get("containers", ()):
        mode: str = _docker(container, "hostConfig").get("NetworkMode") or "bridge"
        return mode
    return "bridge"


def _defined(given: Document) -> Document:
    own = msgspec.json.decode(given.get("overrides") or "{}") or {}
    container = {
        **in_ecs_words(_docker(given, "config"), CONFIG),
        **in_ecs_words(_docker(given, "hostConfig"), HOST_CONFIG),
        **{name: given[name] for name in _AS_THEY_ARE if given.get(name) is not None},
        "cpu": given.get("cpu", 0),
        "essential": given.get("essential", True),
        "environment": [
            {"name": name, "value": value} for name, value in given.get("environment", {}).items()
        ],
        "portMappings": [
            {key: value for key, value in each.items() if value}
            for each in given.get("portMappings", ())
        ],
        "mountPoints": given.get("mountPoints", []),
        "volumesFrom": given.get("volumesFrom", []),
    }
    if given.get("memory"):
        container["memory"] = given["memory"]
    elif "memoryReservation" not in container:
        container["memoryReservation"] = 6  # its task has the limit; a definition must say some
    if own.get("command"):
        container["command"] = own["command"]
    if given.get("secrets"):
        container["secrets"] = [
            {"name": each["name"], "valueFrom": each["valueFrom"]} for each in given["secrets"]
        ]
    return container


def _volume_back(given: Document) -> Document:
    kept = ("name", "host", "dockerVolumeConfiguration", "efsVolumeConfiguration")
    return {name: given[name] for name in kept if given.get(name)}
