"""What ECS asks on top of a definition with requiresCompatibilities FARGATE.

Such a definition was registered under these rules, and may then run on EC2 instances too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stowplan.placement.taskdef.api_model import usable
from stowplan.placement.taskdef.sizes import parse_size

Problems = Iterator[tuple[str, str]]

_GIB = 1024
# CPU units -> the MiB that may go with them: first, last, step.
_SIZES = {
    512: (1 * _GIB, 4 * _GIB, _GIB),
    1024: (2 * _GIB, 8 * _GIB, _GIB),
    2048: (4 * _GIB, 16 * _GIB, _GIB),
    4096: (8 * _GIB, 30 * _GIB, _GIB),
    8192: (16 * _GIB, 60 * _GIB, 4 * _GIB),
    16384: (32 * _GIB, 120 * _GIB, 8 * _GIB),
}
_MEMORY = {256: (512, 1024, 2048)} | {
    cpu: tuple(range(first, last + 1, step)) for cpu, (first, last, step) in _SIZES.items()
}
_LOG_DRIVERS = ("awslogs", "splunk", "awsfirelens")
_NOT_OF_LINUX = ("devices", "sharedMemorySize", "maxSwap", "swappiness")
_TIMEOUT_MAX_S = 120


def fargate_rules(task: Mapping[str, Any], containers: Mapping[str, Any]) -> Problems:
    """Every rule that only Fargate has; EC2 would take what breaks them."""
    if task.get("networkMode", "bridge") not in ("awsvpc", None):
        yield "networkMode", "must be awsvpc for FARGATE"
    yield from _size_rules(task)
    if task.get("placementConstraints"):
        yield "placementConstraints", "are not to be had with FARGATE"
    if task.get("ipcMode"):
        yield "ipcMode", "is not to be had with FARGATE"
    if task.get("pidMode") == "host":
        yield "pidMode", "must be task for FARGATE"
    for i, volume in usable(task.get("volumes")):
        if (volume.get("host") or {}).get("sourcePath"):
            yield f"volumes[{i}].host.sourcePath", "is not to be had with FARGATE"
        if "dockerVolumeConfiguration" in volume:
            yield f"volumes[{i}].dockerVolumeConfiguration", "is not to be had with FARGATE"
    role = task.get("executionRoleArn", "")
    for path, container in containers.items():
        yield from _container_rules(container, path)
        driver = (container.get("logConfiguration") or {}).get("logDriver")
        if role == "" and driver == "awslogs":
            yield "executionRoleArn", f"missing: FARGATE needs it for the awslogs of {path}"
        elif role == "" and ".dkr.ecr." in (container.get("image") or ""):
            yield "executionRoleArn", f"missing: FARGATE needs it for the ECR image of {path}"
        else:
            continue
        role = None  # said once


def _size_rules(task: Mapping[str, Any]) -> Problems:
    """cpu and memory of the task are given, and are a size that Fargate has."""
    sizes = {}
    for field in ("cpu", "memory"):
        if task.get(field, "") == "":
            yield field, "missing: FARGATE needs it at the task level"
        elif task[field] is not None:
            sizes[field] = parse_size(task[field], field)
    cpu, memory = sizes.get("cpu"), sizes.get("memory")
    if cpu is not None and cpu not in _MEMORY:
        yield "cpu", f"{cpu} is no size of FARGATE: {', '.join(map(str, _MEMORY))}"
    elif cpu is not None and memory is not None and memory not in _MEMORY[cpu]:
        some = _MEMORY[cpu]
        what = f"{memory} does not go with {cpu} CPU units on FARGATE"
        yield "memory", f"{what}: {some[0]} to {some[-1]}, {len(some)} sizes"


def _container_rules(container: Mapping[str, Any], path: str) -> Problems:
    for field in ("privileged", "dockerSecurityOptions"):
        if container.get(field):
            yield f"{path}.{field}", "is not to be had with FARGATE"
    driver = (container.get("logConfiguration") or {}).get("logDriver")
    if driver is not None and driver not in _LOG_DRIVERS:
        what = f"{driver} is not to be had with FARGATE: {', '.join(_LOG_DRIVERS)}"
        yield f"{path}.logConfiguration.logDriver", what
    linux = container.get("linuxParameters") or {}
    for field in _NOT_OF_LINUX:
        if linux.get(field):
            yield f"{path}.linuxParameters.{field}", "is not to be had with FARGATE"
    for i, name in usable((linux.get("capabilities") or {}).get("add")):
        if name != "SYS_PTRACE":
            here = f"{path}.linuxParameters.capabilities.add[{i}]"
            yield here, "is not to be had with FARGATE: SYS_PTRACE alone"
    for field in ("startTimeout", "stopTimeout"):
        if (container.get(field) or 0) > _TIMEOUT_MAX_S:
            yield f"{path}.{field}", f"is above {_TIMEOUT_MAX_S}, the most on FARGATE"
