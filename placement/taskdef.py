"""ECS task definitions: from JSON for RegisterTaskDefinition to a checked `TaskDefinition`.

What describe-task-definition prints is read too. The first half builds; the second, from `_check`
on, checks: against the API model that botocore ships, then against the rules (ecs-semantics 1.2,
1.3, 1.5) that the model leaves to the service. Callers read the file and parse the JSON.
Port ranges are checked but not kept: their host ports are dynamic, which placement never sees.
"""

from __future__ import annotations

import difflib
import gzip
import json
import pkgutil
import re
import reprlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import Any

from placement.errors import QueryError, SpecError
from placement.model import (
    CPU,
    ENI,
    GPU,
    MEMORY,
    PORTS,
    ContainerDefinition,
    ContainerDependency,
    HealthCheck,
    PlacementConstraint,
    PortMapping,
    TaskDefinition,
)

_RANGE = "containerPortRange"
# AWS does not publish which feature asks for which attribute; the names are the agent's own.
_OLD, _NEW = "com.amazonaws.ecs.capability.", "ecs.capability."
_TASK_FEATURES = {
    "cpu": _NEW + "task-cpu-mem-limit",
    "memory": _NEW + "task-cpu-mem-limit",
    "pidMode": _NEW + "pid-ipc-namespace-sharing",
    "ipcMode": _NEW + "pid-ipc-namespace-sharing",
    "enableFaultInjection": _NEW + "fault-injection",
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
    """Task-level part of RunTask's `overrides`: replaces the definition's own cpu or memory."""

    cpu: int | None = None
    memory: int | None = None


def parse_task_definition(
    document: Mapping[str, Any], place: str = "", revision: int = 1
) -> TaskDefinition:
    """A checked task definition; what only describe-task-definition adds is passed over.

    Raises:
        SpecError: naming every problem, each as `place: containerDefinitions[1].memory`.
    """
    wrapped = isinstance(document, Mapping) and isinstance(document.get("taskDefinition"), Mapping)
    body = document["taskDefinition"] if wrapped else document
    task, problems = _check(body)
    if problems:
        prefix = "taskDefinition." if wrapped else ""
        raise SpecError([(_place(place, path and prefix + path), what) for path, what in problems])
    return _build(task, body, revision)


def _place(place: str, path: str) -> str:
    return ": ".join(filter(None, (place, path))) or "task definition"


def task_resources(
    definition: TaskDefinition, overrides: TaskOverride | None = None
) -> dict[str, int]:
    """What a task reserves on an instance (ecs-semantics 2.3), without the zeros.

    A task-level amount wins over the containers' sum, an override over both. A container's
    soft limit (memoryReservation) wins over its hard one.
    """
    override, containers = overrides or TaskOverride(), definition.containers
    cpu = definition.cpu if override.cpu is None else override.cpu
    memory = definition.memory if override.memory is None else override.memory
    soft = sum(each.memory_reservation or each.memory or 0 for each in containers)
    amounts = {
        CPU: sum(each.cpu for each in containers) if cpu is None else cpu,
        MEMORY: soft if memory is None else memory,
        PORTS: sum(map(len, host_ports(definition))),
        GPU: sum(each.gpus for each in containers),
        ENI: int(definition.network_mode == "awsvpc"),
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
    """Agent capabilities that an instance must have to run this (valid) task definition, sorted."""
    found = {name for field, name in _TASK_FEATURES.items() if document.get(field)}
    host = document.get("networkMode") == "host"
    if document.get("networkMode") == "awsvpc":
        found.add(_NEW + "task-eni")
    if (_size(document.get("cpu", "0"), "cpu") or 0) > _CPU_MAX_OLD_AGENTS:
        found.add(_NEW + "increased-task-cpu-limit")
    if document.get("taskRoleArn"):
        found.add(_OLD + ("task-iam-role-network-host" if host else "task-iam-role"))
    for volume in document.get("volumes", ()):
        found |= {name for field, name in _VOLUME_FEATURES.items() if volume.get(field)}
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
    if ".dkr.ecr." in container["image"]:
        yield _NEW + "execution-role-ecr-pull" if execution_role else _OLD + "ecr-auth"
    for secret in container.get("secrets", ()):
        store = "asm" if ":secretsmanager:" in secret["valueFrom"] else "ssm"
        yield _NEW + f"secrets.{store}.environment-variables"
    if any(_RANGE in mapping for mapping in container.get("portMappings", ())):
        yield _NEW + "network.container-port-range"


def _build(task: Mapping[str, Any], document: Mapping[str, Any], revision: int) -> TaskDefinition:
    mode = task.get("networkMode", "bridge")
    return TaskDefinition(
        family=task["family"],
        containers=tuple(_container(each, mode) for each in task["containerDefinitions"]),
        revision=revision,
        cpu=_size(task["cpu"], "cpu") if "cpu" in task else None,
        memory=_size(task["memory"], "memory") if "memory" in task else None,
        network_mode=mode,
        placement_constraints=tuple(
            PlacementConstraint(each["type"], each["expression"])
            for each in task.get("placementConstraints", ())
        ),
        requires_attributes=required_attributes(task),
        document=document,
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
            if _RANGE not in each
        ),
        depends_on=tuple(
            ContainerDependency(each["containerName"], each["condition"])
            for each in raw.get("dependsOn", ())
        ),
        links=tuple(raw.get("links", ())),
        health_check=_health_check(raw["healthCheck"]) if "healthCheck" in raw else None,
        gpus=sum(int(each["value"]) for each in raw.get("resourceRequirements", ())),
        start_timeout=raw.get("startTimeout"),
        stop_timeout=raw.get("stopTimeout"),
    )


def _health_check(raw: Mapping[str, Any]) -> HealthCheck:
    names = {"startPeriod": "start_period"}
    times = {names.get(key, key): value for key, value in raw.items() if key != "command"}
    return HealthCheck(command=tuple(raw["command"]), **times)


Problems = Iterator[tuple[str, str]]

_JSON_TYPES: dict[str, tuple[Any, str]] = {
    "structure": (Mapping, "an object"),
    "map": (Mapping, "an object"),
    "list": ((list, tuple), "a list"),
    "string": (str, "a string"),
    "boolean": (bool, "true or false"),
    "integer": (int, "an integer"),
    "long": (int, "an integer"),
    "double": ((int, float), "a number"),
}
_SIZE_EXAMPLES = {"cpu": '"512" or "0.5 vCPU"', "memory": '"512" or "0.5GB"'}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
# The least memory that Docker 20.10 and later can give to a container.
_MEMORY_MIN = 6
_RANGES: dict[str, tuple[int, int]] = {
    "cpu": (0, 2**31 - 1),
    "memory": (_MEMORY_MIN, 2**31 - 1),
    "memoryReservation": (_MEMORY_MIN, 2**31 - 1),
    "startTimeout": (0, 2**31 - 1),
    "stopTimeout": (0, 2**31 - 1),
    "healthCheck.interval": (5, 300),
    "healthCheck.timeout": (2, 60),
    "healthCheck.retries": (1, 10),
    "healthCheck.startPeriod": (0, 300),
    "restartPolicy.restartAttemptPeriod": (60, 1800),
}


def _check(document: Any) -> tuple[Any, list[tuple[str, str]]]:
    """A copy to build from, sound if nothing is wrong; and a (path, what) for all that is."""
    problems: list[tuple[str, str]] = []
    task = _conform(document, "RegisterTaskDefinitionRequest", "", problems)
    problems += () if task is None else _task_rules(task)
    return task, problems


@cache
def _api_shapes() -> Any:
    """The shapes of AWS's own API model; by botocore's loader they would take ten times as long."""
    packed = pkgutil.get_data("botocore", "data/ecs/2014-11-13/service-2.json.gz")
    assert packed is not None, "botocore ships no model of ECS"
    return json.loads(gzip.decompress(packed))["shapes"]


def _conform(value: Any, shape_name: str, path: str, problems: list[tuple[str, str]]) -> Any:
    """A copy that the rules can read: what breaks the API model is reported and becomes None.

    None thus means "given, but unusable", and a missing key "not given".
    """
    shape: Any = _api_shapes()[shape_name]
    json_type, expected = _JSON_TYPES[shape["type"]]
    if not isinstance(value, json_type) or (isinstance(value, bool) and json_type is not bool):
        quote = f'; write "{value}"' if json_type is str and type(value) is int else ""
        problems.append((path, f"expected {expected}, got {_shown(value)}{quote}"))
    elif shape["type"] == "structure":
        return _conform_members(value, shape, path, problems)
    elif shape["type"] == "map":
        member = shape["value"]["shape"]
        return {str(k): _conform(v, member, f"{path}.{k}", problems) for k, v in value.items()}
    elif shape["type"] == "list":
        member = shape["member"]["shape"]
        return [_conform(v, member, f"{path}[{i}]", problems) for i, v in enumerate(value)]
    elif value not in shape.get("enum", (value,)):
        problems.append((path, f"{_shown(value)} is not one of {', '.join(shape['enum'])}"))
    elif json_type is int and not -(2**31) <= value < 2**31:
        problems.append((path, "does not fit in 32 bits"))
    else:
        return value
    return None


def _conform_members(
    value: Mapping[str, Any], shape: Any, path: str, problems: list[tuple[str, str]]
) -> dict[str, Any]:
    dot, members, clean = f"{path}." if path else "", shape["members"], {}
    described = () if path else _api_shapes()["TaskDefinition"]["members"]
    for key, item in value.items():
        if key in members:
            clean[key] = _conform(item, members[key]["shape"], f"{dot}{key}", problems)
        elif key not in described:
            near = difflib.get_close_matches(str(key), members, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append((f"{dot}{key}", f"unknown field{hint}"))
            # The field meant is not reported as missing on top.
            clean |= {name: None for name in near if name not in value}
    missing = [key for key in shape.get("required", ()) if key not in clean]
    problems += [(f"{dot}{key}", "missing, and required") for key in missing]
    return clean


def _shown(value: Any) -> str:
    literal = value is None or isinstance(value, bool)
    return json.dumps(value) if literal else reprlib.repr(value)


def _each(values: Any) -> Iterator[tuple[int, Any]]:
    """(index, value) of the usable values of a list that may itself be absent or unusable."""
    return ((i, value) for i, value in enumerate(values or ()) if value is not None)


def _task_rules(task: dict[str, Any]) -> Problems:
    """Every rule that the API model does not state, on what `_conform` left."""
    if task.get("family") is not None and not _NAME.fullmatch(task["family"]):
        yield "family", "must be 1 to 255 letters, digits, hyphens and underscores"
    text = json.dumps(task, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > 64 * 1024:
        yield "", f"is {size} bytes as JSON; the limit is 64 KiB"
    launch_types = task.get("requiresCompatibilities") or ["EC2"]
    if not {"EC2", None} & set(launch_types):
        yield "requiresCompatibilities", "lacks EC2, and stowplan places on EC2 instances only"
    platform = (task.get("runtimePlatform") or {}).get("operatingSystemFamily") or "LINUX"
    if platform != "LINUX":
        yield "runtimePlatform.operatingSystemFamily", "stowplan places Linux containers only"
    yield from _constraint_rules(task.get("placementConstraints"))
    listed = task.get("containerDefinitions")
    if listed is not None and not 1 <= len(listed) <= 10:
        yield "containerDefinitions", f"has {len(listed)} containers; a task has 1 to 10"
    containers = {f"containerDefinitions[{i}]": each for i, each in _each(listed)}
    if containers and all(each.get("essential", True) is False for each in containers.values()):
        yield "containerDefinitions", "has no essential container; a task needs at least one"
    yield from _size_rules(task, containers.values())
    for path, container in containers.items():
        yield from _container_rules(container, path, "memory" in task)
        yield from _gpu_rules(container, path)
        yield from _port_rules(container, path, task.get("networkMode", "bridge"))
    yield from _host_port_rules(containers, task.get("networkMode", "bridge"))
    yield from _dependency_rules(containers, task.get("networkMode", "bridge"))


def _size_rules(task: Mapping[str, Any], containers: Collection[Mapping[str, Any]]) -> Problems:
    """Task-level cpu and memory: well written, in range, and enough for the containers."""
    for field, lowest, highest in (("cpu", 128, 196608), ("memory", _MEMORY_MIN, 2**31 - 1)):
        if task.get(field) is None:
            continue
        size = _size(task[field], field)
        if size is None:
            yield field, f"cannot read {_shown(task[field])}; write it like {_SIZE_EXAMPLES[field]}"
        elif not lowest <= size <= highest:
            yield field, f"{size} is outside {lowest} to {highest}"
        else:
            used = sum(_reserved(container, field) for container in containers)
            if used > size:
                yield field, f"{size} is less than its containers' sum, {used}"


def _size(text: str, field: str) -> int | None:
    """CPU units of "512" or "0.5 vCPU", MiB of "512" or "0.5 GB"; None if it is neither."""
    unit = "vCPU" if field == "cpu" else "GB"
    match = re.fullmatch(
        rf"(\d{{1,9}})|(\d{{1,6}}|\d{{0,6}}\.\d{{1,9}}) ?{unit}", text, re.I | re.A
    )
    if match is None:
        return None
    amount = Decimal(match[1]) if match[1] else 1024 * Decimal(match[2])
    return int(amount) if amount == int(amount) else None


def _reserved(container: Mapping[str, Any], field: str) -> int:
    soft = container.get("memoryReservation") if field == "memory" else None
    return soft or container.get(field) or 0


def _constraint_rules(constraints: Any) -> Problems:
    if not constraints:
        return
    # Here, not above: it brings in numpy, which most definitions have no need of.
    from placement.query import parse_query

    if len(constraints) > 10:
        yield "placementConstraints", f"has {len(constraints)} constraints; the limit is 10"
    for i, constraint in _each(constraints):
        path = f"placementConstraints[{i}]"
        if "type" not in constraint:
            yield f"{path}.type", "missing, and required: memberOf"
        expression = constraint.get("expression", "")
        try:
            if expression:
                parse_query(expression)
        except QueryError as error:
            yield f"{path}.expression", str(error)
        if expression == "":
            yield f"{path}.expression", "missing, and required by memberOf"


def _container_rules(container: Mapping[str, Any], path: str, task_memory: bool) -> Problems:
    """Rules on one container for itself, other than on its ports and GPUs."""
    for field in ("name", "image"):
        if container.get(field, "") == "":
            yield f"{path}.{field}", "missing, and required"
    if container.get("name") and not _NAME.fullmatch(container["name"]):
        yield f"{path}.name", "must be 1 to 255 letters, digits, hyphens and underscores"
    for field, (lowest, highest) in _RANGES.items():
        outer, _, inner = field.rpartition(".")
        value = ((container.get(outer) or {}) if outer else container).get(inner)
        if value is not None and not lowest <= value <= highest:
            bounds = f"below {lowest}" if value < lowest else f"above {highest}"
            yield f"{path}.{field}", f"{value} is {bounds}"
    hard, soft = container.get("memory"), container.get("memoryReservation")
    if not task_memory and not {"memory", "memoryReservation"} & container.keys():
        yield f"{path}.memory", "missing: give memory, memoryReservation or the task's memory"
    if hard is not None and soft is not None and hard <= soft:
        yield f"{path}.memory", f"{hard} must be greater than memoryReservation, {soft}"
    command = (container.get("healthCheck") or {}).get("command")
    if command is not None and (command[:1] not in (["CMD"], ["CMD-SHELL"]) or len(command) < 2):
        yield f"{path}.healthCheck.command", "must be CMD or CMD-SHELL, then what to run"
    codes = (container.get("restartPolicy") or {}).get("ignoredExitCodes") or ()
    if len(codes) > 50:
        yield f"{path}.restartPolicy.ignoredExitCodes", f"has {len(codes)} codes; the limit is 50"


def _gpu_rules(container: Mapping[str, Any], path: str) -> Problems:
    """Only whole GPUs by number: all else that ECS reserves has no amount before placement."""
    for i, requirement in _each(container.get("resourceRequirements")):
        here = f"{path}.resourceRequirements[{i}]"
        value = requirement.get("value", "")
        if requirement.get("type", "GPU") not in ("GPU", None):
            yield f"{here}.type", f"stowplan reserves GPU only, not {requirement['type']}"
        elif "sharingStrategy" in requirement:
            yield f"{here}.sharingStrategy", "stowplan reserves whole GPUs only; give a value"
        elif value == "ALL":
            yield f"{here}.value", "ALL depends on the instance; stowplan needs a number of GPUs"
        elif value is not None and not re.fullmatch(r"[1-9]\d{0,3}", value, re.ASCII):
            yield f"{here}.value", f'expected a number of GPUs such as "1", got {_shown(value)}'


def _port_rules(container: Mapping[str, Any], path: str, mode: str | None) -> Problems:
    """Rules on the port mappings of one container (ecs-semantics 1.3)."""
    protocols: dict[int, str] = {}
    spans: list[tuple[int, int, bool]] = []
    for i, mapping in _each(container.get("portMappings")):
        here = f"{path}.portMappings[{i}]"
        port, host, ranged = (mapping.get(k) for k in ("containerPort", "hostPort", _RANGE))
        if mode == "none":
            yield here, "network mode none allows no port mappings"
        if _RANGE in mapping:
            yield from _range_rules(mapping, here, mode)
        elif "containerPort" not in mapping:
            yield f"{here}.containerPort", f"missing, and required unless {_RANGE} is given"
        if port is not None and not 1 <= port <= 65535:
            yield f"{here}.containerPort", f"{port} is outside 1 to 65535"
        if host is not None and not 0 <= host <= 65535:
            yield f"{here}.hostPort", f"{host} is outside 0 to 65535"
        elif None not in (host, port) and host != port and mode in ("host", "awsvpc"):
            yield f"{here}.hostPort", f"must be absent or {port}, the containerPort, in {mode} mode"
        protocol = mapping.get("protocol", "tcp")
        if port is not None and protocol and protocols.setdefault(port, protocol) != protocol:
            yield f"{here}.protocol", f"container port {port} has another protocol already"
        span = _span(ranged) if ranged else (port, port) if port else None
        if span and any((ranged or r) and span[0] <= b and a <= span[1] for a, b, r in spans):
            yield here, "overlaps another port mapping of this container"
        spans += [(*span, bool(ranged))] if span else []
    if sum(ranged for _, _, ranged in spans) > 100:
        yield f"{path}.portMappings", "has more than 100 port ranges"


def _range_rules(mapping: Mapping[str, Any], path: str, mode: str | None) -> Problems:
    if mapping[_RANGE] is not None and _span(mapping[_RANGE]) is None:
        yield f"{path}.{_RANGE}", "expected first-last, ascending, within 1 to 65535"
    if mode == "host":
        yield f"{path}.{_RANGE}", "needs network mode bridge or awsvpc"
    for field in [name for name in ("containerPort", "hostPort") if name in mapping]:
        yield f"{path}.{field}", f"cannot be given together with {_RANGE}"


def _span(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text, re.ASCII)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    return (first, last) if 1 <= first < last <= 65535 else None


def _host_port_rules(containers: Mapping[str, Mapping[str, Any]], mode: str | None) -> Problems:
    """A host port is taken once in a task: ECS says "is mapped multiple times in task"."""
    taken: dict[tuple[str, int], str] = {}
    for path, container in containers.items() if mode in ("bridge", "host") else ():
        for i, mapping in _each(container.get("portMappings")):
            here, protocol = f"{path}.portMappings[{i}]", mapping.get("protocol", "tcp")
            port = mapping.get("containerPort" if mode == "host" else "hostPort")
            first = taken.setdefault((protocol, port), here) if port and protocol else here
            if first != here:
                yield f"{here}.hostPort", f"{protocol} host port {port} is already taken by {first}"


def _dependency_rules(containers: Mapping[str, Mapping[str, Any]], mode: str | None) -> Problems:
    """Names that containers give themselves and each other; no dependency in a circle."""
    named: dict[str, Mapping[str, Any]] = {}
    graph: dict[str, list[str]] = {}
    for path, container in containers.items():
        name = container.get("name")
        if name and named.setdefault(name, container) is not container:
            yield f"{path}.name", f"another container is already named {name}"
    for path, container in containers.items():
        if container.get("links") and mode not in ("bridge", None):
            yield f"{path}.links", f"needs network mode bridge, not {mode}"
        for i, link in _each(container.get("links")):
            to = link.partition(":")[0]
            if to not in named or named[to] is container:
                yield f"{path}.links[{i}]", f"no other container is named {to}"
        for i, dependency in _each(container.get("dependsOn")):
            here, on = f"{path}.dependsOn[{i}]", dependency.get("containerName")
            condition = dependency.get("condition")
            if on is not None and on not in named:
                yield f"{here}.containerName", f"no container is named {on}"
            elif on is not None:
                graph.setdefault(container.get("name") or path, []).append(on)
                yield from _condition_rules(condition, on, named[on], here)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        yield "containerDefinitions", f"dependsOn goes in a circle: {circle}"


def _condition_rules(condition: Any, name: str, target: Mapping[str, Any], path: str) -> Problems:
    if condition == "HEALTHY" and "healthCheck" not in target:
        yield f"{path}.condition", f"HEALTHY needs a healthCheck in container {name}"
    if condition in ("COMPLETE", "SUCCESS") and target.get("essential", True):
        yield f"{path}.condition", f"{condition} needs container {name} to be essential: false"
