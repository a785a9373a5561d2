"""From a task definition to Docker's create call. Pure: the same task gives the same call.

A task-level limit holds for all containers of a task together where an engine lets the cgroup of
one container hold those of others; elsewhere it is set on each, so that none can exceed it, but all
together can. Containers' `cpu` are shares, as in ECS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stowplan.placement.driver import DriverError
from stowplan.placement.model import ContainerDefinition, TaskDefinition
from stowplan.realdriver.docker import names

MIB = 1 << 20
_SHARES_MIN = 2  # the kernel's; ECS's agent uses it for cpu 0
_LOG_DRIVERS = ("json-file", "local", "none", "journald", "syslog", "fluentd", "gelf", "splunk")
_OWN_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}


@dataclass(frozen=True, slots=True)
class Placed:
    """A task on its instance: all that its containers are made from.

    `address` is where ports are published; `cpus` how many the engine has, which it allows as the
    most; `secrets` the values of what `secrets` in the definition name. `nests`: how the
    path of a container's cgroup begins, before its id, where one may hold others; "": none may.
    """

    cluster: str
    run: str
    number: int
    instance: str
    definition: TaskDefinition
    cpu: int | None = None
    memory: int | None = None
    address: str = ""
    cpus: int = 0
    secrets: Mapping[str, str] = field(default_factory=dict)
    stop_timeout_s: int = 30
    nests: str = ""

    @property
    def limits_all(self) -> bool:
        """Whether a pause container holds the limits of all its containers together."""
        limited = self.task_cpu is not None or self.task_memory is not None
        return bool(self.nests) and limited and len(self.definition.containers) > 1

    @property
    def shares(self) -> bool:
        """Whether its containers live in the network or in namespaces of one that holds them; they
        have none without it."""
        shared = "task" in (self.namespace("pidMode"), self.namespace("ipcMode"))
        return shared or self.definition.network_mode == "awsvpc"

    @property
    def is_held(self) -> bool:
        """Whether it has a container that only holds its network, namespaces or limits."""
        return self.limits_all or self.shares

    def namespace(self, field: str) -> str | None:
        """The task's `pidMode` or `ipcMode`: whose namespace its containers have, if it says so."""
        mode: str | None = self.definition.document.get(field)
        return mode

    @property
    def task_cpu(self) -> int | None:
        """The task-level CPU units, if it has any."""
        return self.definition.cpu if self.cpu is None else self.cpu

    @property
    def task_memory(self) -> int | None:
        """The task-level MiB, if it has any."""
        return self.definition.memory if self.memory is None else self.memory

    @property
    def of_cluster(self) -> dict[str, str]:
        """The labels of what all tasks of the run share."""
        return {names.CLUSTER: self.cluster, names.RUN: self.run}

    @property
    def labels(self) -> dict[str, str]:
        """The labels of every container and volume of the task."""
        return {
            **self.of_cluster,
            names.INSTANCE: self.instance,
            names.TASK: str(self.number),
            names.DEFINITION: self.definition.name,
        }

    def name(self, container: str) -> str:
        """The name of one of its containers."""
        return names.container_name(self.cluster, self.number, container)


def create_call(
    task: Placed, container: ContainerDefinition, holder: str | None = None
) -> dict[str, Any]:
    """The body of `POST /containers/create` for one container of a task.

    Args:
        holder: the id of the container that holds the task (`pause_call`), if it has one.
    Raises:
        DriverError: the definition asks for something that no engine can give (a secret that is
            not known here, an environment file in S3, an EFS volume).
    """
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
        "HostConfig": _given(host),
        "NetworkingConfig": endpoints,
    }
    return _given(call)


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
    if task.limits_all:
        own = sum(container.cpu for container in task.definition.containers)
        memory = task.task_memory
        limits["CpuShares"] = max(task.task_cpu or own, _SHARES_MIN)
        limits |= {"NanoCpus": _nano_cpus(task), "Memory": memory and memory * MIB}
    if task.namespace("ipcMode") == "task":
        limits["IpcMode"] = "shareable"  # an engine's default is private, which nobody may join
    return {
        "Image": names.PAUSE_IMAGE,
        "Labels": {**task.labels, names.CONTAINER: names.PAUSE},
        "ExposedPorts": {port: {} for port in bindings},
        "HostConfig": _given({"NetworkMode": network, "PortBindings": bindings, **limits}),
    }


def volumes(task: Placed) -> dict[str, str]:
    """Names of the volumes that the task brings, by the name that its definition gives them."""
    found = {}
    for volume in task.definition.document.get("volumes", ()):
        on_host = volume.get("host", {}).get("sourcePath")
        if not on_host and not _shared(volume) and not _elsewhere(volume):
            found[volume["name"]] = names.volume_name(task.cluster, task.number, volume["name"])
    return found


def volume_calls(task: Placed) -> Iterator[dict[str, Any]]:
    """The bodies of `POST /volumes/create`, before the first container of a task.

    What is shared and to be provisioned stays when the task ends, so it bears no label of ours.
    """
    own = volumes(task)
    for volume in task.definition.document.get("volumes", ()):
        docker, name = volume.get("dockerVolumeConfiguration", {}), volume["name"]
        if name in own or (_shared(volume) and docker.get("autoprovision")):
            labels = {**docker.get("labels", {}), **(task.labels if name in own else {})}
            options = {"Driver": docker.get("driver"), "DriverOpts": docker.get("driverOpts")}
            yield _given({"Name": own.get(name, name), "Labels": labels, **options})


def _document(definition: TaskDefinition, name: str) -> Mapping[str, Any]:
    containers: list[Mapping[str, Any]] = definition.document["containerDefinitions"]
    return next(each for each in containers if each["name"] == name)


def _given(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value not in (None, [], {})}


def _environment(task: Placed, raw: Mapping[str, Any]) -> Iterator[str]:
    if raw.get("environmentFiles"):
        raise DriverError("ResourceInitializationError: environment files in S3 cannot be read")
    for variable in raw.get("environment", ()):
        yield f"{variable['name']}={variable.get('value', '')}"
    for secret in raw.get("secrets", ()):
        if secret["valueFrom"] not in task.secrets:
            what = f"unable to pull secret {secret['valueFrom']}: not in the engines file"
            raise DriverError(f"ResourceInitializationError: {what}")
        yield f"{secret['name']}={task.secrets[secret['valueFrom']]}"


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
        "CpuShares": max(container.cpu, _SHARES_MIN),
        "NanoCpus": None if task.limits_all else _nano_cpus(task),
        "Memory": hard and hard * MIB,
        "MemoryReservation": container.memory_reservation and container.memory_reservation * MIB,
        "MemorySwap": None if swap is None or hard is None else (hard + swap) * MIB,
        "MemorySwappiness": linux.get("swappiness"),
        "ShmSize": linux.get("sharedMemorySize", 0) * MIB or None,
        "Ulimits": [
            {"Name": each["name"], "Soft": each["softLimit"], "Hard": each["hardLimit"]}
            for each in raw.get("ulimits", ())
        ],
        "DeviceRequests": [{"Count": container.gpus, "Capabilities": [["gpu"]]}]
        if container.gpus
        else None,
    }


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
        "Sysctls": {each["namespace"]: each["value"] for each in raw.get("systemControls", ())},
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
        "LogConfig": _log(raw.get("logConfiguration", {})),
        "Binds": list(_binds(task, raw)),
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


def _log(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Logs that would go to AWS stay with the engine, where `stowplan logs` finds them."""
    if given.get("logDriver") not in _LOG_DRIVERS:
        return _OWN_LOG
    return {"Type": given["logDriver"], "Config": given.get("options", {})}


def _binds(task: Placed, raw: Mapping[str, Any]) -> Iterator[str]:
    by_name = {each["name"]: each for each in task.definition.document.get("volumes", ())}
    own = volumes(task)
    for mount in raw.get("mountPoints", ()):
        volume = by_name[mount["sourceVolume"]]
        if _elsewhere(volume):
            what = f"volume {volume['name']} is not on the engine"
            raise DriverError(f"CannotCreateVolumeError: {what}")
        source = volume.get("host", {}).get("sourcePath") or own.get(volume["name"])
        options = ":ro" if mount.get("readOnly") else ""
        yield f"{source or volume['name']}:{mount['containerPath']}{options}"


def _elsewhere(volume: Mapping[str, Any]) -> bool:
    """Whether it is a file system of AWS's, or a disk that AWS would attach."""
    of_aws = ("efsVolumeConfiguration", "s3filesVolumeConfiguration", "configuredAtLaunch")
    return any(volume.get(field) for field in of_aws)


def _shared(volume: Mapping[str, Any]) -> bool:
    return bool(volume.get("dockerVolumeConfiguration", {}).get("scope") == "shared")


def _bindings(task: Placed, raw: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """Docker's PortBindings; an empty HostPort is one of the engine's choice."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for mapping in raw.get("portMappings", ()):
        protocol = mapping.get("protocol", "tcp")
        first, _, last = str(mapping.get("containerPortRange", "")).partition("-")
        ports = range(int(first), int(last or first) + 1) if first else [mapping["containerPort"]]
        host = str(mapping.get("hostPort") or "")
        for port in ports:
            # One port may be mapped to several of the host: each is bound.
            bound = bindings.setdefault(f"{port}/{protocol}", [])
            bound.append({"HostIp": task.address, "HostPort": host})
    return bindings


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
