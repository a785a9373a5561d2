"""From a task definition to Docker's create call. Pure: the same task gives the same call.

A task-level limit holds for all containers of a task together where an engine lets the cgroup of
one container hold those of others; elsewhere it is set on each, so that none can exceed it, but all
together can. Containers' `cpu` are shares, as in ECS.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stowplan.placement.driver import DriverError
from stowplan.placement.model import ContainerDefinition, TaskDefinition
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.members import refused
from stowplan.realdriver.docker.placed import Placed
from stowplan.realdriver.docker.volumes import binds, given

MIB = 1 << 20
# The kernel's; ECS's agent uses the least for cpu 0. More shares than the most mean no more time.
_SHARES_MIN, _SHARES_MAX = 2, 262_144
_ARCHITECTURES = {
    "x86_64": "X86_64",
    "amd64": "X86_64",
    "aarch64": "ARM64",
    "arm64": "ARM64",
}
# Ranges of ports lie in slots above those that Linux, and so the engine, gives out by itself.
_RANGES, _SLOT, _SLOTS = 61_000, 100, 45
_LOG_DRIVERS = ("json-file", "local", "none", "journald", "syslog", "fluentd", "gelf", "splunk")
_OWN_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}


def create_call(
    task: Placed, container: ContainerDefinition, holder: str | None = None
) -> dict[str, Any]:
    """The body of `POST /containers/create` for one container of a task.

    Args:
        holder: the id of the container that holds the task (`pause_call`), if it has one.
    Raises:
        DriverError: the definition asks for something that no engine can give (`members.refused`),
            or this one cannot (a secret that is not known here, another architecture).
    """
    check(task)
    raw = _document(task.definition, container.name)
    network, endpoints = _network(task, container, raw)
    host = {**_limits(task, container, raw), **_host(task, raw), **network}
    if task.limits_all:
        assert holder is not None, "the container that holds the task comes first"
        host["CgroupParent"] = f"{task.nests}{holder}"
    call: dict[str, Any] = {
        "Image": container.image,
        "Cmd": raw.get("command"),
        "Entrypoint": raw.get("entryPoint"),
        "Env": list(_environment(task, raw)),
        "User": raw.get("user"),
        "WorkingDir": raw.get("workingDirectory"),
        "Hostname": raw.get("hostname") if task.definition.network_mode == "bridge" else None,
        "Tty": raw.get("pseudoTerminal"),
        "OpenStdin": raw.get("interactive"),
        "Labels": {
            **raw.get("dockerLabels", {}),
            **task.labels,
            names.CONTAINER: container.name,
        },
        "StopTimeout": task.stop_timeout_s
        if container.stop_timeout is None
        else container.stop_timeout,
        "Healthcheck": _health_check(container),
        "ExposedPorts": {port: {} for port in network.get("PortBindings", ())},
        "HostConfig": given(host),
        "NetworkingConfig": endpoints,
    }
    return given(call)


def check(task: Placed) -> None:
    """Refuse what an engine cannot do, before anything of the task is made.

    Raises:
        DriverError: naming all of it.
    """
    found = refused(task.definition)
    platform = task.definition.document.get("runtimePlatform") or {}
    wanted, has = platform.get("cpuArchitecture"), _ARCHITECTURES.get(task.architecture)
    if wanted and has and wanted != has:
        found.append(f"runtimePlatform.cpuArchitecture: {wanted}, and the engine's is {has}")
    for container in task.definition.document["containerDefinitions"]:
        for each in container.get("resourceRequirements", ()):
            if (kind := each.get("type", "GPU")) != "GPU":
                found.append(f"resourceRequirements: {kind}; no accelerators but GPUs")
    if found:
        raise DriverError(f"not on a Docker engine: {'; '.join(found)}")


def pause_call(task: Placed) -> dict[str, Any]:
    """The create call of the container that holds a task: the network of an awsvpc task, the
    namespaces that its containers share, and the limits of several containers together, whose
    cgroups lie in its own.

    Every port of an awsvpc task's containers is published, each on a port of the engine's choice:
    the task's own address is known on its engine alone.
    """
    bindings: dict[str, list[dict[str, str]]] = {}
    network = "host"  # a program that only waits needs none of its own, and the host's is the
    # quickest
    if task.definition.network_mode == "awsvpc":
        network = names.network_name(task.cluster)
        for container in task.definition.containers:
            found = _bindings(task, _document(task.definition, container.name))
            bindings |= {port: [{**b[0], "HostPort": ""}] for port, b in found.items()}
    limits: dict[str, Any] = {}
    shared = _controls(task, *task.definition.document["containerDefinitions"])
    limits["Sysctls"] = {name: value for name, value in shared if _is_holders(task, name)}
    if task.limits_all:
        own = sum(container.cpu for container in task.definition.containers)
        memory = task.task_memory
        limits["CpuShares"] = _shares(task.task_cpu or own)
        limits |= {"NanoCpus": _nano_cpus(task), "Memory": memory and memory * MIB}
    if task.namespace("ipcMode") == "task":
        limits["IpcMode"] = "shareable"  # an engine's default is private, which nobody may join
    return {
        "Image": names.PAUSE_IMAGE,
        "Labels": {**task.labels, names.CONTAINER: names.PAUSE},
        "ExposedPorts": {port: {} for port in bindings},
        "HostConfig": given({"NetworkMode": network, "PortBindings": bindings, **limits}),
    }


def _document(definition: TaskDefinition, name: str) -> Mapping[str, Any]:
    containers: list[Mapping[str, Any]] = definition.document["containerDefinitions"]
    return next(each for each in containers if each["name"] == name)


def _environment(task: Placed, raw: Mapping[str, Any]) -> Iterator[str]:
    for variable in raw.get("environment", ()):
        yield f"{variable['name']}={variable.get('value', '')}"
    for name, value in _secrets(task, raw.get("secrets", ())):
        yield f"{name}={value}"


def _secrets(task: Placed, given: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    for secret in given:
        if secret["valueFrom"] not in task.secrets:
            what = f"unable to pull secret {secret['valueFrom']}: not in the engines file"
            raise DriverError(f"ResourceInitializationError: {what}")
        yield secret["name"], task.secrets[secret["valueFrom"]]


def _health_check(container: ContainerDefinition) -> dict[str, Any] | None:
    check = container.health_check
    if check is None:
        return None
    second = 1_000_000_000
    return {
        "Test": list(check.command),
        "Interval": check.interval * second,
        "Timeout": check.timeout * second,
        "Retries": check.retries,
        "StartPeriod": check.start_period * second,
    }


def _limits(task: Placed, container: ContainerDefinition, raw: Mapping[str, Any]) -> dict[str, Any]:
    hard = container.memory or (None if task.limits_all else task.task_memory)
    linux = raw.get("linuxParameters", {})
    swap = linux.get("maxSwap")
    return {
        "CpuShares": _shares(container.cpu),
        "NanoCpus": None if task.limits_all else _nano_cpus(task),
        "Memory": hard and hard * MIB,
        "MemoryReservation": container.memory_reservation and container.memory_reservation * MIB,
        "MemorySwap": None if swap is None or hard is None else (hard + swap) * MIB,
        "MemorySwappiness": None if swap is None else linux.get("swappiness"),
        "ShmSize": linux.get("sharedMemorySize", 0) * MIB or None,
        "Ulimits": [
            {"Name": each["name"], "Soft": each["softLimit"], "Hard": each["hardLimit"]}
            for each in raw.get("ulimits", ())
        ],
        "DeviceRequests": [{"Count": container.gpus, "Capabilities": [["gpu"]]}]
        if container.gpus
        else None,
    }


def _shares(cpu: int) -> int:
    return min(max(cpu, _SHARES_MIN), _SHARES_MAX)


def _nano_cpus(task: Placed) -> int | None:
    """The task-level CPU as Docker counts it. The engine refuses more than it has, and more would
    be no limit."""
    if task.task_cpu is None:
        return None
    nano = task.task_cpu * 1_000_000_000 // 1024
    return min(nano, task.cpus * 1_000_000_000) if task.cpus else nano


def _host(task: Placed, raw: Mapping[str, Any]) -> dict[str, Any]:
    linux = raw.get("linuxParameters", {})
    capabilities = linux.get("capabilities", {})
    return {
        "ReadonlyRootfs": raw.get("readonlyRootFilesystem"),
        "Privileged": raw.get("privileged"),
        "Init": linux.get("initProcessEnabled"),
        "CapAdd": capabilities.get("add"),
        "CapDrop": capabilities.get("drop"),
        "SecurityOpt": raw.get("dockerSecurityOptions"),
        "Sysctls": {k: v for k, v in _controls(task, raw) if not _is_holders(task, k)},
        "ExtraHosts": [f"{e['hostname']}:{e['ipAddress']}" for e in raw.get("extraHosts", ())],
        "Dns": raw.get("dnsServers"),
        "DnsSearch": raw.get("dnsSearchDomains"),
        "Tmpfs": {
            each["containerPath"]: ",".join(
                (f"size={each['size']}m", *each.get("mountOptions", ()))
            )
            for each in linux.get("tmpfs", ())
        },
        "Devices": [
            {
                "PathOnHost": each["hostPath"],
                "PathInContainer": each.get("containerPath", each["hostPath"]),
                "CgroupPermissions": "".join(p[0] for p in each.get("permissions", ())) or "rwm",
            }
            for each in linux.get("devices", ())
        ],
        "LogConfig": _log(task, raw.get("logConfiguration", {})),
        "Binds": list(binds(task, raw)),
        "VolumesFrom": [
            task.name(each["sourceContainer"]) + (":ro" if each.get("readOnly") else "")
            for each in raw.get("volumesFrom", ())
        ],
        "PidMode": _namespace(task, "pidMode"),
        "IpcMode": _namespace(task, "ipcMode"),
    }


def _namespace(task: Placed, field: str) -> str | None:
    """Docker's word for a namespace: `task` is that of the container which holds the task."""
    mode = task.namespace(field)
    return f"container:{task.name(names.PAUSE)}" if mode == "task" else mode


def _controls(task: Placed, *raws: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Kernel parameters; one that lacks a name or a value asks for nothing."""
    for raw in raws:
        for each in raw.get("systemControls", ()):
            if each.get("namespace") and each.get("value") is not None:
                yield each["namespace"], each["value"]


def _is_holders(task: Placed, name: str) -> bool:
    """Whether a kernel parameter is of a namespace that a task's containers only join."""
    if name.startswith("net."):
        return task.definition.network_mode == "awsvpc"
    return task.namespace("ipcMode") == "task"  # the others that there are: kernel.*, fs.mqueue.*


def _log(task: Placed, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Logs that would go to AWS stay with the engine, where `stowplan logs` finds them."""
    if given.get("logDriver") not in _LOG_DRIVERS:
        return _OWN_LOG
    secret = dict(_secrets(task, given.get("secretOptions", ())))
    return {"Type": given["logDriver"], "Config": {**given.get("options", {}), **secret}}


def _bindings(task: Placed, raw: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """Docker's PortBindings; an empty HostPort is one of the engine's choice."""
    bindings: dict[str, list[dict[str, str]]] = {}
    slots = _slots(task)
    for mapping in raw.get("portMappings", ()):
        protocol = mapping.get("protocol", "tcp")
        first, _, last = str(mapping.get("containerPortRange", "")).partition("-")
        ports = range(int(first), int(last or first) + 1) if first else [mapping["containerPort"]]
        host = str(mapping.get("hostPort") or "")
        begins = next(slots) if first and task.definition.network_mode == "bridge" else None
        for n, port in enumerate(ports):
            host = host if begins is None else str(begins + n)
            # One port may be mapped to several of the host: each is bound.
            bound = bindings.setdefault(f"{port}/{protocol}", [])
            bound.append({"HostIp": task.address, "HostPort": host})
    return bindings


def _slots(task: Placed) -> Iterator[int]:
    """Where the ranges of host ports of a task's containers begin: each in a slot of its own, that
    of the task's number and of its place in the task."""
    for place in itertools.count(task.number):
        yield _RANGES + place % _SLOTS * _SLOT


def _network(
    task: Placed, container: ContainerDefinition, raw: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What HostConfig says of the network and its ports, and NetworkingConfig."""
    mode = task.definition.network_mode
    if mode == "none" or raw.get("disableNetworking"):
        return {"NetworkMode": "none"}, {}
    if mode == "host":
        return {"NetworkMode": "host"}, {}
    if mode == "awsvpc":
        return {"NetworkMode": f"container:{task.name(names.PAUSE)}"}, {}
    network = names.network_name(task.cluster)
    # Links, not aliases: an alias is the whole network's, and other tasks have an nginx, too.
    links = [link.partition(":") for link in container.links]
    linked = [f"{task.name(name)}:{alias or name}" for name, _, alias in links]
    ports = {"NetworkMode": network, "PortBindings": _bindings(task, raw)}
    return ports, {"EndpointsConfig": {network: {"Links": linked}}} if linked else {}
