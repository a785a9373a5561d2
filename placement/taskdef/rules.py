"""ECS's own rules on task definitions: what its API model does not state (ecs-semantics 1.2-1.5).

Each rule reads what `placement.taskdef.api_model` left of a document, where None is "given, but
unusable", and names a problem once; none decides what a sound definition means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from typing import Any

from stowplan.placement.errors import QueryError
from stowplan.placement.model import CONSTRAINTS_MAX
from stowplan.placement.taskdef.api_model import shown

Problems = Iterator[tuple[str, str]]

PORT_RANGE = "containerPortRange"
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


def task_rules(task: dict[str, Any]) -> Problems:
    """Every rule that the API model does not state, on what `conform` left."""
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


def _each(values: Any) -> Iterator[tuple[int, Any]]:
    """(index, value) of the usable values of a list that may itself be absent or unusable."""
    return ((i, value) for i, value in enumerate(values or ()) if value is not None)


def _size_rules(task: Mapping[str, Any], containers: Collection[Mapping[str, Any]]) -> Problems:
    """Task-level cpu and memory: well written, in range, and enough for the containers."""
    for field, lowest, highest in (("cpu", 128, 196608), ("memory", _MEMORY_MIN, 2**31 - 1)):
        if task.get(field) is None:
            continue
        size = parse_size(task[field], field)
        if size is None:
            yield field, f"cannot read {shown(task[field])}; write it like {_SIZE_EXAMPLES[field]}"
        elif not lowest <= size <= highest:
            yield field, f"{size} is outside {lowest} to {highest}"
        else:
            used = sum(_reserved(container, field) for container in containers)
            if used > size:
                yield field, f"{size} is less than its containers' sum, {used}"


def parse_size(text: str, field: str) -> int | None:
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
    from stowplan.placement.query import parse_query

    if len(constraints) > CONSTRAINTS_MAX:
        what = f"has {len(constraints)} constraints; the limit is {CONSTRAINTS_MAX}"
        yield "placementConstraints", what
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
            yield f"{here}.value", f'expected a number of GPUs such as "1", got {shown(value)}'


def _port_rules(container: Mapping[str, Any], path: str, mode: str | None) -> Problems:
    """Rules on the port mappings of one container (ecs-semantics 1.3)."""
    protocols: dict[int, str] = {}
    spans: list[tuple[int, int, bool]] = []
    for i, mapping in _each(container.get("portMappings")):
        here = f"{path}.portMappings[{i}]"
        port, host, ranged = (mapping.get(k) for k in ("containerPort", "hostPort", PORT_RANGE))
        if mode == "none":
            yield here, "network mode none allows no port mappings"
        if PORT_RANGE in mapping:
            yield from _range_rules(mapping, here, mode)
        elif "containerPort" not in mapping:
            yield f"{here}.containerPort", f"missing, and required unless {PORT_RANGE} is given"
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
    if mapping[PORT_RANGE] is not None and _span(mapping[PORT_RANGE]) is None:
        yield f"{path}.{PORT_RANGE}", "expected first-last, ascending, within 1 to 65535"
    if mode == "host":
        yield f"{path}.{PORT_RANGE}", "needs network mode bridge or awsvpc"
    for field in [name for name in ("containerPort", "hostPort") if name in mapping]:
        yield f"{path}.{field}", f"cannot be given together with {PORT_RANGE}"


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
            else:
                graph.setdefault(container.get("name") or path, []).append(to)
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
        yield "containerDefinitions", f"dependsOn and links go in a circle: {circle}"


def _condition_rules(condition: Any, name: str, target: Mapping[str, Any], path: str) -> Problems:
    if condition == "HEALTHY" and "healthCheck" not in target:
        yield f"{path}.condition", f"HEALTHY needs a healthCheck in container {name}"
    if condition in ("COMPLETE", "SUCCESS") and target.get("essential", True):
        yield f"{path}.condition", f"{condition} needs container {name} to be essential: false"
