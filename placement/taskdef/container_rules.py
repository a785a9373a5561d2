"""Rules on one container for itself, other than on its ports and volumes (ecs-semantics 1.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from stowplan.placement.taskdef.api_model import shown, usable

Problems = Iterator[tuple[str, str]]

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
# The least memory that Docker 20.10 and later can give to a container.
MEMORY_MIN = 6
_ANY = 2**31 - 1
_RANGES: dict[str, tuple[int, int]] = {
    "cpu": (0, _ANY),
    "memory": (MEMORY_MIN, _ANY),
    "memoryReservation": (MEMORY_MIN, _ANY),
    "startTimeout": (0, _ANY),
    "stopTimeout": (0, _ANY),
    "healthCheck.interval": (5, 300),
    "healthCheck.timeout": (2, 60),
    "healthCheck.retries": (1, 10),
    "healthCheck.startPeriod": (0, 300),
    "restartPolicy.restartAttemptPeriod": (60, 1800),
    "linuxParameters.maxSwap": (0, _ANY),
    "linuxParameters.swappiness": (0, 100),
}
# Docker can give these to a container with a network of its own only.
_NOT_AWSVPC = ("hostname", "extraHosts", "dnsServers", "dnsSearchDomains")
_IPC_CONTROLS = re.compile(r"kernel\.(msgmax|msgmnb|msgmni|sem|shm(all|max|mni|_rmid_forced))")


def container_rules(container: Mapping[str, Any], path: str, task: Mapping[str, Any]) -> Problems:
    """Rules on one container for itself; of its task the mode of network and IPC counts."""
    for field in ("name", "image"):
        if container.get(field, "") == "":
            yield f"{path}.{field}", "missing, and required"
    if container.get("name") and not NAME.fullmatch(container["name"]):
        yield f"{path}.name", "must be 1 to 255 letters, digits, hyphens and underscores"
    for field, (lowest, highest) in _RANGES.items():
        outer, _, inner = field.rpartition(".")
        value = ((container.get(outer) or {}) if outer else container).get(inner)
        if value is not None and not lowest <= value <= highest:
            bounds = f"below {lowest}" if value < lowest else f"above {highest}"
            yield f"{path}.{field}", f"{value} is {bounds}"
    hard, soft = container.get("memory"), container.get("memoryReservation")
    if "memory" not in task and not {"memory", "memoryReservation"} & container.keys():
        yield f"{path}.memory", "missing: give memory, memoryReservation or the task's memory"
    if hard is not None and soft is not None and hard < soft:
        yield f"{path}.memory", f"{hard} is less than memoryReservation, {soft}"
    command = (container.get("healthCheck") or {}).get("command")
    if command is not None and (command[:1] not in (["CMD"], ["CMD-SHELL"]) or len(command) < 2):
        yield f"{path}.healthCheck.command", "must be CMD or CMD-SHELL, then what to run"
    codes = (container.get("restartPolicy") or {}).get("ignoredExitCodes") or ()
    if len(codes) > 50:
        yield f"{path}.restartPolicy.ignoredExitCodes", f"has {len(codes)} codes; the limit is 50"
    for field in _NOT_AWSVPC if task.get("networkMode") == "awsvpc" else ():
        if container.get(field):
            yield f"{path}.{field}", "is not to be had in network mode awsvpc"
    yield from _environment_rules(container, path, task)
    yield from _kernel_rules(container, path, task)


def _environment_rules(
    container: Mapping[str, Any], path: str, task: Mapping[str, Any]
) -> Problems:
    """Variables, secrets and files of variables: names that are there, and once."""
    named: set[str] = set()
    for i, variable in usable(container.get("environment")):
        name = variable.get("name", "")
        if name is not None and not name.strip():
            yield f"{path}.environment[{i}].name", "missing or blank, and required"
        named |= {name}
    secrets: set[str] = set()
    for i, secret in usable(container.get("secrets")):
        here, name = f"{path}.secrets[{i}]", secret.get("name")
        for field in ("name", "valueFrom"):
            if secret.get(field) == "":
                yield f"{here}.{field}", "is blank, and required"
        if name and name in secrets:
            yield f"{here}.name", f"another secret is already named {name}"
        elif name and name in named:
            yield f"{here}.name", f"a variable of environment is already named {name}"
        secrets |= {name}
    if container.get("secrets") and task.get("executionRoleArn", "") == "":
        yield f"{path}.secrets", "need the task's executionRoleArn, which is missing"
    files = container.get("environmentFiles") or ()
    if len(files) > 10:
        yield f"{path}.environmentFiles", f"has {len(files)} files; the limit is 10"
    for i, file in usable(files):
        if file.get("value") is not None and not file["value"].endswith(".env"):
            yield f"{path}.environmentFiles[{i}].value", "must name a file that ends in .env"


def _kernel_rules(container: Mapping[str, Any], path: str, task: Mapping[str, Any]) -> Problems:
    """Namespaced kernel parameters, and capabilities of Linux by their names."""
    mode, ipc = task.get("networkMode", "bridge"), task.get("ipcMode")
    for i, control in usable(container.get("systemControls")):
        here, name = f"{path}.systemControls[{i}]", control.get("namespace", "")
        for field in ("namespace", "value"):
            if control.get(field, "") == "":
                yield f"{here}.{field}", "missing, and required"
        if not name:
            continue
        network = name.startswith("net.")
        if not network and not name.startswith("fs.mqueue.") and not _IPC_CONTROLS.fullmatch(name):
            yield f"{here}.namespace", f"{shown(name)} is no parameter that a container has alone"
        elif network and mode == "host":
            yield f"{here}.namespace", "a net. parameter is not to be had in network mode host"
        elif not network and ipc == "host":
            yield f"{here}.namespace", "a parameter of IPC is not to be had with ipcMode host"
    given = (container.get("linuxParameters") or {}).get("capabilities") or {}
    for field in ("add", "drop"):
        for i, name in usable(given.get(field)):
            if name.startswith("CAP_"):
                here = f"{path}.linuxParameters.capabilities.{field}[{i}]"
                yield (
                    here,
                    f"write {name.removeprefix('CAP_')}: ECS names capabilities without CAP_",
                )
