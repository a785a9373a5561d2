"""From records of the describe layer to the structures of ECS's API."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from stowplan.placement.describe import ContainerInstance, Task, TaskDefinitionRecord
from stowplan.placement.messages import ContainerReport, Pairs
from stowplan.placement.model import CPU, GPU, MEMORY, TaskStatus
from stowplan.placement.taskdef.parse import parse_task_definition
from stowplan.placement.wire.arns import Account
from stowplan.placement.wire.world import Cluster, Document

ZONE = "ecs.availability-zone"
_CONTAINER_STATUS = {
    TaskStatus.RUNNING: "RUNNING",
    TaskStatus.DEACTIVATING: "RUNNING",
    TaskStatus.STOPPING: "RUNNING",
    TaskStatus.DEPROVISIONING: "STOPPED",
    TaskStatus.STOPPED: "STOPPED",
}
# What ECS writes into a container definition that does not say it.
_CONTAINER_DEFAULTS: dict[str, Any] = {
    "cpu": 0,
    "portMappings": [],
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "systemControls": [],
}


def without_none(document: Document) -> Document:
    """Members that are None are not given."""
    return {name: value for name, value in document.items() if value is not None}


def shown_tags(tags: Mapping[str, str]) -> list[Document]:
    """Tags as lists have them."""
    return [{"key": key, "value": value} for key, value in tags.items()]


# --- instances -----------------------------------------------------------------------------------


def _amount(name: str, amount: int) -> Document:
    return {
        "name": name,
        "type": "INTEGER",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": amount,
    }


def _set(name: str, values: Collection[object]) -> Document:
    return {
        "name": name,
        "type": "STRINGSET",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": 0,
        "stringSetValue": [str(value) for value in values],
    }


def _resources(amounts: Mapping[str, int], tcp: list[int], udp: list[int]) -> list[Document]:
    first = [_amount(name, amounts.get(name, 0)) for name in (CPU, MEMORY)]
    others = [
        _set(GPU, range(amount)) if name == GPU else _amount(name, amount)
        for name, amount in amounts.items()
        if name not in (CPU, MEMORY)
    ]
    return [*first, _set("PORTS", sorted(tcp)), _set("PORTS_UDP", sorted(udp)), *others]


def show_instance(
    cluster: Cluster, instance: ContainerInstance, include: Collection[str] = ()
) -> Document:
    """A ContainerInstance."""
    tasks = [cluster.state.tasks[number] for number in instance.tasks]
    held_tcp = {port for task in tasks for port in task.tcp}
    held_udp = {port for task in tasks for port in task.udp}
    document: Document = {
        "containerInstanceArn": cluster.ids.instance(instance.number),
        "ec2InstanceId": instance.ec2_instance_id,
        "capacityProviderName": instance.capacity_provider,
        "version": instance.version,
        "versionInfo": dict(instance.version_info),
        "remainingResources": _resources(instance.remaining, instance.tcp, instance.udp),
        "registeredResources": _resources(
            instance.registered,
            [port for port in instance.tcp if port not in held_tcp],
            [port for port in instance.udp if port not in held_udp],
        ),
        "status": str(instance.status),
        "agentConnected": instance.agent_connected,
        "runningTasksCount": instance.running,
        "pendingTasksCount": instance.pending,
        "attributes": [
            {"name": name, "value": value} if value else {"name": name}
            for name, value in instance.attributes.items()
        ],
        "registeredAt": cluster.seconds(instance.registered_at_ms),
        "attachments": [],
        "tags": shown_tags(instance.tags) if "TAGS" in include else None,
    }
    return without_none(document)


# --- tasks ---------------------------------------------------------------------------------------


def show_task(cluster: Cluster, task: Task, include: Collection[str] = ()) -> Document:
    """A Task."""
    record = cluster.state.definition(task.task_definition)
    assert record is not None, "a task is of a definition that was registered"
    instance = None if task.instance is None else cluster.state.instances.get(task.instance)
    amounts = task.amounts
    document: Document = {
        "taskArn": cluster.ids.task(task.number),
        "clusterArn": cluster.arn,
        "taskDefinitionArn": cluster.ids.account.task_definition(task.task_definition),
        "containerInstanceArn": (
            None if task.instance is None else cluster.ids.instance(task.instance)
        ),
        "availabilityZone": None if instance is None else instance.attributes.get(ZONE),
        "group": task.group,
        "lastStatus": str(task.last_status),
        "desiredStatus": str(task.desired_status),
        "healthStatus": _health(task.healthy),
        "cpu": str(amounts.get(CPU, 0)),
        "memory": str(amounts.get(MEMORY, 0)),
        "version": task.version,
        "startedBy": task.started_by or None,
        "stopCode": None if task.stop_code is None else str(task.stop_code),
        "stoppedReason": task.stopped_reason or None,
        "containers": _containers(cluster, task, record.document),
        "overrides": _overrides(task, record.document),
        "attachments": [],
        "attributes": [],
        "enableExecuteCommand": False,
        "tags": shown_tags(task.tags) if "TAGS" in include else None,
        **_launched_by(task.capacity_provider),
        **_times(cluster, task),
    }
    return without_none(document)


def _health(healthy: bool | None) -> str:
    return "UNKNOWN" if healthy is None else "HEALTHY" if healthy else "UNHEALTHY"


def _launched_by(capacity_provider: str | None) -> Document:
    if capacity_provider is None:
        return {"launchType": "EC2"}
    return {"launchType": "EC2", "capacityProviderName": capacity_provider}


def _times(cluster: Cluster, task: Task) -> Document:
    times = {
        "createdAt": task.created_at_ms,
        "startedAt": task.started_at_ms,
        "stoppingAt": task.stopping_at_ms,
        "stoppedAt": task.stopped_at_ms,
    }
    return {name: cluster.seconds(at) for name, at in times.items() if at is not None}


def _containers(cluster: Cluster, task: Task, document: Document) -> list[Document]:
    status = _CONTAINER_STATUS.get(task.last_status, "PENDING")
    shown = []
    for each in document["containerDefinitions"]:
        told = task.containers.get(each["name"]) or ContainerReport(each["name"])
        container: Document = {
            "containerArn": cluster.ids.container(task.number, each["name"]),
            "taskArn": cluster.ids.task(task.number),
            "name": each["name"],
            "image": each["image"],
            "lastStatus": "STOPPED" if told.status == "STOPPED" else status,
            "networkInterfaces": [],
            "networkBindings": _bindings(each, told, status),
            "healthStatus": _health(task.healthy),
            "cpu": str(each.get("cpu", 0)),
            "exitCode": told.exit_code,
            "reason": told.reason or None,
            "runtimeId": told.runtime_id or None,
            "imageDigest": told.image_digest or None,
        }
        for name in ("memory", "memoryReservation"):
            if name in each:
                container[name] = str(each[name])
        if status == "STOPPED" and each.get("essential", True) and told.exit_code is None:
            container["exitCode"] = task.exit_code
        shown.append(without_none(container))
    return shown


def _bindings(definition: Document, told: ContainerReport, status: str) -> list[Document]:
    """Those that an agent reported; else those of fixed host ports, as of dynamic ones only whoever
    runs the container knows."""
    if told.bindings and status != "PENDING":
        return [
            {
                "bindIP": each.bind_ip,
                "containerPort": each.container_port,
                "hostPort": each.host_port,
                "protocol": each.protocol,
            }
            for each in told.bindings
        ]
    if status != "RUNNING":
        return []
    return [
        {
            "bindIP": "0.0.0.0",
            "containerPort": each["containerPort"],
            "hostPort": each["hostPort"],
            "protocol": each.get("protocol", "tcp"),
        }
        for each in definition.get("portMappings", ())
        if each.get("hostPort")
    ]


def _overrides(task: Task, document: Document) -> Document:
    given = {each.name: each for each in task.overrides}
    shown = []
    for definition in document["containerDefinitions"]:
        override: Document = {"name": definition["name"]}
        each = given.get(definition["name"])
        if each is not None:
            override["command"] = None if each.command is None else list(each.command)
            if each.environment:
                override["environment"] = [
                    {"name": name, "value": value} for name, value in each.environment
                ]
            override["cpu"], override["memory"] = each.cpu, each.memory
            override["memoryReservation"] = each.memory_reservation
            override["resourceRequirements"] = _typed(each.resource_requirements)
            override["environmentFiles"] = _typed(each.environment_files)
        shown.append(without_none(override))
    sizes = {"cpu": task.cpu, "memory": task.memory}
    return {
        "containerOverrides": shown,
        "inferenceAcceleratorOverrides": [],
        **{name: str(size) for name, size in sizes.items() if size is not None},
    }


def _typed(pairs: Pairs | None) -> list[Document] | None:
    return None if pairs is None else [{"type": kind, "value": value} for kind, value in pairs]


# --- task definitions ----------------------------------------------------------------------------


def show_definition(account: Account, record: TaskDefinitionRecord, epoch_s: float) -> Document:
    """A TaskDefinition: as it was registered, and what ECS adds."""
    parsed = parse_task_definition(record.document, revision=record.revision)
    given = dict(parsed.document)
    network = given.get("networkMode")
    document: Document = {
        **given,
        "taskDefinitionArn": account.task_definition(record.name),
        "family": record.family,
        "revision": record.revision,
        "status": record.status,
        "containerDefinitions": [_container(each) for each in given["containerDefinitions"]],
        "volumes": [_volume(each) for each in given.get("volumes", ())],
        "placementConstraints": given.get("placementConstraints", []),
        "requiresAttributes": [{"name": name} for name in parsed.requires_attributes],
        "compatibilities": ["EXTERNAL", "EC2"] if network != "awsvpc" else ["EC2"],
        "registeredAt": epoch_s + record.registered_at_ms / 1000,
    }
    document.pop("tags", None)
    if network is None and "FARGATE" not in given.get("requiresCompatibilities", ()):
        windows = given.get("runtimePlatform", {}).get("operatingSystemFamily", "")
        if not windows.startswith("WINDOWS"):
            document["networkMode"] = "bridge"  # the default of Linux (RegisterTaskDefinition)
    if record.deregistered_at_ms is not None:
        document["deregisteredAt"] = epoch_s + record.deregistered_at_ms / 1000
    if record.delete_requested_at_ms is not None:
        document["deleteRequestedAt"] = epoch_s + record.delete_requested_at_ms / 1000
    return document


def _volume(given: Document) -> Document:
    efs = given.get("efsVolumeConfiguration")
    if efs is None:
        return given
    return given | {"efsVolumeConfiguration": {"rootDirectory": "/", **efs}}


def _container(given: Document) -> Document:
    document = {**_CONTAINER_DEFAULTS, **given}
    document["portMappings"] = [
        {"protocol": "tcp", **({} if "containerPortRange" in each else {"hostPort": 0}), **each}
        for each in document["portMappings"]
    ]
    return document
