"""ECS's own rules on task definitions: what its API model does not state (ecs-semantics 1.2-1.5).

Each rule reads what `placement.taskdef.api_model` left of a document, where None is "given, but
unusable", and names a problem once; none decides what a sound definition means. Rules on parts are
in the files beside this one. `docs/taskdef-rules.md` lists all of them with their sources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from stowplan.placement.errors import QueryError
from stowplan.placement.model import CONSTRAINTS_MAX
from stowplan.placement.taskdef.api_model import shown, usable
from stowplan.placement.taskdef.container_rules import MEMORY_MIN, NAME, container_rules
from stowplan.placement.taskdef.fargate_rules import fargate_rules
from stowplan.placement.taskdef.link_rules import link_rules
from stowplan.placement.taskdef.log_rules import log_rules
from stowplan.placement.taskdef.port_rules import host_port_rules, port_rules
from stowplan.placement.taskdef.sizes import parse_size
from stowplan.placement.taskdef.volume_rules import mount_rules, volume_rules

Problems = Iterator[tuple[str, str]]

_SIZE_EXAMPLES = {"cpu": '"512" or "0.5 vCPU"', "memory": '"512" or "0.5GB"'}
# What stowplan can place: on EC2, and what was written for Fargate, since ECS lets it move there.
_PLACED_HERE = {"EC2", "FARGATE", None}


def task_rules(task: dict[str, Any], compatibilities: Any = None) -> Problems:
    """Every rule that the API model does not state, on what `conform` left.

    `compatibilities` is what ECS found that a definition can run on, where it was asked.
    """
    if task.get("family") is not None and not NAME.fullmatch(task["family"]):
        yield "family", "must be 1 to 255 letters, digits, hyphens and underscores"
    text = json.dumps(task, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > 64 * 1024:
        yield "", f"is {size} bytes as JSON; the limit is 64 KiB"
    yield from _platform_rules(task, compatibilities)
    yield from _constraint_rules(task.get("placementConstraints"))
    listed = task.get("containerDefinitions")
    if listed is not None and not 1 <= len(listed) <= 10:
        yield "containerDefinitions", f"has {len(listed)} containers; a task has 1 to 10"
    containers = {f"containerDefinitions[{i}]": each for i, each in usable(listed)}
    if containers and all(each.get("essential", True) is False for each in containers.values()):
        yield "containerDefinitions", "has no essential container; a task needs at least one"
    yield from _size_rules(task, containers.values())
    yield from volume_rules(task)
    mode = task.get("networkMode", "bridge")
    for path, container in containers.items():
        yield from container_rules(container, path, task)
        yield from _gpu_rules(container, path, task)
        yield from port_rules(container, path, mode)
        yield from mount_rules(container, path, task)
    yield from host_port_rules(containers, mode)
    yield from link_rules(containers, task)
    yield from log_rules(containers)
    if "FARGATE" in (task.get("requiresCompatibilities") or ()):
        yield from fargate_rules(task, containers)


def _platform_rules(task: Mapping[str, Any], compatibilities: Any) -> Problems:
    """Linux on EC2 instances, or what may be moved there."""
    required = set(task.get("requiresCompatibilities") or ["EC2"])
    if isinstance(compatibilities, list) and compatibilities and "EC2" not in compatibilities:
        yield "compatibilities", "lacks EC2: ECS says that it cannot run on EC2 instances"
    elif not _PLACED_HERE & required:
        what = "names neither EC2 nor FARGATE, and stowplan places on EC2 instances only"
        yield "requiresCompatibilities", what
    platform = (task.get("runtimePlatform") or {}).get("operatingSystemFamily") or "LINUX"
    if platform != "LINUX":
        yield "runtimePlatform.operatingSystemFamily", "stowplan places Linux containers only"
    if task.get("trustedExecutionConfiguration"):
        what = "needs Managed Instances, and stowplan places on EC2 instances of your own"
        yield "trustedExecutionConfiguration", what
    storage = (task.get("ephemeralStorage") or {}).get("sizeInGiB")
    if storage is not None and not 21 <= storage <= 200:
        yield "ephemeralStorage.sizeInGiB", f"{storage} is outside 21 to 200"
    keys = [tag.get("key") for _, tag in usable(task.get("tags"))]
    for i, key in enumerate(keys):
        if key is not None and key in keys[:i]:
            yield f"tags[{i}].key", f"{shown(key)} is given twice"


def _size_rules(task: Mapping[str, Any], containers: Collection[Mapping[str, Any]]) -> Problems:
    """Task-level cpu and memory: well written, in range, and enough for the containers."""
    for field, lowest, highest in (("cpu", 128, 196608), ("memory", MEMORY_MIN, 2**31 - 1)):
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
    for i, constraint in usable(constraints):
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


def _gpu_rules(container: Mapping[str, Any], path: str, task: Mapping[str, Any]) -> Problems:
    """Only whole GPUs by number: all else that ECS reserves has no amount before placement."""
    listed = task.get("inferenceAccelerators", ())
    devices = {each.get("deviceName") for _, each in usable(listed)}
    for i, requirement in usable(container.get("resourceRequirements")):
        here = f"{path}.resourceRequirements[{i}]"
        kind, value = requirement.get("type", "GPU"), requirement.get("value", "")
        if kind == "InferenceAccelerator":
            if value not in devices and value is not None and None not in (listed, *devices):
                what = f"no inference accelerator of the task is named {shown(value)}"
                yield f"{here}.value", what
        elif kind not in ("GPU", None):
            yield f"{here}.type", f"stowplan reserves GPU only, not {kind}"
        elif "sharingStrategy" in requirement:
            yield f"{here}.sharingStrategy", "stowplan reserves whole GPUs only; give a value"
        elif value == "ALL":
            yield f"{here}.value", "ALL depends on the instance; stowplan needs a number of GPUs"
        elif value is not None and not re.fullmatch(r"[1-9]\d{0,3}", value, re.ASCII):
            yield f"{here}.value", f'expected a number of GPUs such as "1", got {shown(value)}'
