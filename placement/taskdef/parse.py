"""ECS task definitions: from JSON for RegisterTaskDefinition to a checked `TaskDefinition`.

What describe-task-definition prints is read too. Checks are elsewhere:
`placement.taskdef.api_model` for shapes, `placement.taskdef.rules` for ECS's rules. Callers read
the file; `placement.taskdef.forms` finds what is in it. Port ranges are checked but not kept: their
host ports are dynamic, which placement never sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stowplan.placement.errors import SpecError
from stowplan.placement.messages import ContainerOverride
from stowplan.placement.model import (
    CPU,
    CPU_ARCHITECTURE,
    ENI,
    GPU,
    MEMORY,
    PORTS,
    ContainerDefinition,
    ContainerDependency,
    HealthCheck,
    PlacementConstraint,
    PortMapping,
    RestartPolicy,
    TaskDefinition,
)
from stowplan.placement.taskdef.api_model import conform
from stowplan.placement.taskdef.overrides import overridden
from stowplan.placement.taskdef.port_rules import PORT_RANGE
from stowplan.placement.taskdef.rules import task_rules
from stowplan.placement.taskdef.sizes import parse_size

# AWS does not publish which feature asks for which attribute; the names are the agent's own.
_OLD, _NEW = "com.amazonaws.ecs.capability.", "ecs.capability."
_TASK_FEATURES = {
    "cpu": _NEW + "task-cpu-mem-limit",
    "memory": _NEW + "task-cpu-mem-limit",
    "pidMode": _NEW + "pid-ipc-namespace-sharing",
    "ipcMode": _NEW + "pid-ipc-namespace-sharing",
    "enableFaultInjection": _NEW + "fault-injection",
    "inferenceAccelerators": _NEW + "task-eia",
    "proxyConfiguration": _NEW + "aws-appmesh",
}
_CONTAINER_FEATURES = {
    "dependsOn": _NEW + "container-ordering",
    "environmentFiles": _NEW + "env-files.s3",
    "healthCheck": _NEW + "container-health-check",
    "privileged": _OLD + "privileged-container",
    "restartPolicy": _NEW + "container-restart-policy",
}
_VOLUME_FEATURES = {
    "configuredAtLaunch": _NEW + "storage.ebs-task-volume-attach",
    "efsVolumeConfiguration": _NEW + "efs",
}
# Task-level cpu was limited to 10 vCPU before agents announced a higher limit.
_CPU_MAX_OLD_AGENTS = 10 * 1024


@dataclass(frozen=True, slots=True)
class TaskOverride:
    """RunTask's `overrides`: cpu and memory of the task, and those of its containers.

    `resources` replaces or adds amounts of others by name: ours, not ECS's.
    """

    cpu: int | None = None
    memory: int | None = None
    resources: tuple[tuple[str, int], ...] = ()
    containers: tuple[ContainerOverride, ...] = ()


def parse_task_definition(
    document: Mapping[str, Any], place: str = "", revision: int = 1
) -> TaskDefinition:
    """A checked task definition; its `document` is the input of RegisterTaskDefinition.

    Of what only describe-task-definition adds, `compatibilities` counts, and the rest is passed
    over. Members that are null are not given, and not in `document`.

    Raises:
        SpecError: naming every problem, each as `place: containerDefinitions[1].memory`.
    """
    wrapped = isinstance(document, Mapping) and isinstance(document.get("taskDefinition"), Mapping)
    body = document["taskDefinition"] if wrapped else document
    task, problems = conform(body, "RegisterTaskDefinitionRequest")
    problems += () if task is None else task_rules(task, body.get("compatibilities"))
    if problems:
        prefix = "taskDefinition." if wrapped else ""
        raise SpecError([(_place(place, path and prefix + path), what) for path, what in problems])
    return _build(task, revision)


def _place(place: str, path: str) -> str:
    return ": ".join(filter(None, (place, path))) or "task definition"


def task_resources(
    definition: TaskDefinition, overrides: TaskOverride | None = None
) -> dict[str, int]:
    """What a task reserves on an instance (ecs-semantics 2.3), without the zeros.

    A task-level amount wins over the containers' sum, an override over both. A container's
    soft limit (memoryReservation) wins over its hard one.
    """
    override = overrides or TaskOverride()
    containers = definition.containers
    if override.containers:
        containers = overridden(definition, override.containers)
    cpu = definition.cpu if override.cpu is None else override.cpu
    memory = definition.memory if override.memory is None else override.memory
    soft = sum(each.memory_reservation or each.memory or 0 for each in containers)
    amounts = {
        CPU: sum(each.cpu for each in containers) if cpu is None else cpu,
        MEMORY: soft if memory is None else memory,
        PORTS: sum(map(len, host_ports(definition))),
        GPU: sum(each.gpus for each in containers),
        ENI: int(definition.network_mode == "awsvpc"),
        **dict(override.resources),
    }
    return {name: amount for name, amount in amounts.items() if amount}


def host_ports(definition: TaskDefinition) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The (tcp, udp) ports that a task reserves on its instance, sorted; none in awsvpc."""
    ports: dict[str, set[int]] = {"tcp": set(), "udp": set()}
    if definition.network_mode != "awsvpc":
        for container in definition.containers:
            for mapping in container.port_mappings:
                ports[mapping.protocol].add(mapping.host_port)
    return tuple(sorted(ports["tcp"] - {0})), tuple(sorted(ports["udp"] - {0}))


def required_attributes(document: Mapping[str, Any]) -> tuple[str, ...]:
    """What an instance must have to run this (valid) task definition, sorted.

    Agent capabilities by their NAME, and the processor as NAME=VALUE.
    """
    found = {name for field, name in _TASK_FEATURES.items() if document.get(field)}
    if architecture := document.get("runtimePlatform", {}).get("cpuArchitecture"):
        found.add(f"{CPU_ARCHITECTURE}={architecture.lower()}")
    host = document.get("networkMode") == "host"
    if document.get("networkMode") == "awsvpc":
        found.add(_NEW + "task-eni")
    if (parse_size(document.get("cpu", "0"), "cpu") or 0) > _CPU_MAX_OLD_AGENTS:
        found.add(_NEW + "increased-task-cpu-limit")
    if document.get("taskRoleArn"):
        found.add(_OLD + ("task-iam-role-network-host" if host else "task-iam-role"))
    for volume in document.get("volumes", ()):
        found |= {name for field, name in _VOLUME_FEATURES.items() if volume.get(field)}
        # Agents announce the driver of each plugin; `local` is Docker's own, and always there.
        driver = volume.get("dockerVolumeConfiguration", {}).get("driver") or "local"
        found |= set() if driver == "local" else {_NEW + f"docker-plugin.{driver}"}
    for container in document["containerDefinitions"]:
        found |= {name for field, name in _CONTAINER_FEATURES.items() if container.get(field)}
        found.update(_container_capabilities(container, bool(document.get("executionRoleArn"))))
    return tuple(sorted(found))


def _container_capabilities(container: Mapping[str, Any], execution_role: bool) -> Iterator[str]:
    """Capabilities whose names depend on a value, not only on a field being there."""
    if driver := container.get("logConfiguration", {}).get("logDriver"):
        yield _OLD + f"logging-driver.{driver}"
        if driver == "awslogs" and execution_role:
            yield _NEW + "execution-role-awslogs"
    if router := container.get("firelensConfiguration"):
        yield _NEW + f"firelens.{router['type']}"
        if source := router.get("options", {}).get("config-file-type"):
            yield _NEW + f"firelens.options.config.{source}"
    if ".dkr.ecr." in container["image"]:
        yield _NEW + "execution-role-ecr-pull" if execution_role else _OLD + "ecr-auth"
    for secret in container.get("secrets", ()):
        store = "asm" if ":secretsmanager:" in secret["valueFrom"] else "ssm"
        yield _NEW + f"secrets.{store}.environment-variables"
    if any(PORT_RANGE in mapping for mapping in container.get("portMappings", ())):
        yield _NEW + "network.container-port-range"


def _build(task: Mapping[str, Any], revision: int) -> TaskDefinition:
    mode = task.get("networkMode", "bridge")
    return TaskDefinition(
        family=task["family"],
        containers=tuple(_container(each, mode) for each in task["containerDefinitions"]),
        revision=revision,
        cpu=parse_size(task["cpu"], "cpu") if "cpu" in task else None,
        memory=parse_size(task["memory"], "memory") if "memory" in task else None,
        network_mode=mode,
        placement_constraints=tuple(
            PlacementConstraint(each["type"], each["expression"])
            for each in task.get("placementConstraints", ())
        ),
        requires_attributes=required_attributes(task),
        document=task,
    )


def _container(raw: Mapping[str, Any], mode: str) -> ContainerDefinition:
    # There ECS sets the host port to the container port, also where it is not given.
    same = mode in ("host", "awsvpc")
    return ContainerDefinition(
        name=raw["name"],
        image=raw["image"],
        cpu=raw.get("cpu", 0),
        memory=raw.get("memory"),
        memory_reservation=raw.get("memoryReservation"),
        essential=raw.get("essential", True),
        port_mappings=tuple(
            PortMapping(
                each["containerPort"],
                each["containerPort"] if same else each.get("hostPort", 0),
                each.get("protocol", "tcp"),
            )
            for each in raw.get("portMappings", ())
            if PORT_RANGE not in each
        ),
        depends_on=tuple(
            ContainerDependency(each["containerName"], each["condition"])
            for each in raw.get("dependsOn", ())
        ),
        links=tuple(raw.get("links", ())),
        health_check=_health_check(raw["healthCheck"]) if "healthCheck" in raw else None,
        gpus=sum(
            int(each["value"])
            for each in raw.get("resourceRequirements", ())
            if each["type"] == "GPU"
        ),
        start_timeout=raw.get("startTimeout"),
        stop_timeout=raw.get("stopTimeout"),
        restart_policy=_restart_policy(raw.get("restartPolicy", {})),
        volumes_from=tuple(
            each["sourceContainer"]
            for each in raw.get("volumesFrom", ())
            if each.get("sourceContainer")
        ),
    )


def _restart_policy(raw: Mapping[str, Any]) -> RestartPolicy | None:
    if not raw.get("enabled"):
        return None
    codes, period = raw.get("ignoredExitCodes", ()), raw.get("restartAttemptPeriod", 300)
    return RestartPolicy(tuple(codes), period)


def _health_check(raw: Mapping[str, Any]) -> HealthCheck:
    names = {"startPeriod": "start_period"}
    times = {names.get(key, key): value for key, value in raw.items() if key != "command"}
    return HealthCheck(command=tuple(raw["command"]), **times)
