"""The vocabulary: what a task asks for and what an instance offers: frozen, in integers.

CPU is in units of 1/1024 vCPU, memory in MiB, prices in millionths of a US dollar per hour. Nothing
here decides anything; the engine and the scheduler do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from stowplan.placement.errors import SpecError
from stowplan.placement.times import default_ms
from stowplan.placement.units import not_whole

CPU, MEMORY, PORTS, GPU, ENI = "CPU", "MEMORY", "PORTS", "GPU", "ENI"
# The order in which a shortage is reported where several resources are short; PORTS counts reserved
# host ports against ECS's limit of 100 per instance. Dimensions of the user's own come after these.
RESOURCES = (CPU, MEMORY, PORTS, GPU, ENI)
RESERVED_PORTS_MAX = 100
PORT_MAX = 65_535

NEVER = 2**62  # when a task that runs until it is stopped is expected to end, in ms

AVAILABILITY_ZONE = "ecs.availability-zone"
INSTANCE_TYPE = "ecs.instance-type"
CPU_ARCHITECTURE = "ecs.cpu-architecture"

NetworkMode = Literal["bridge", "host", "awsvpc", "none"]
Protocol = Literal["tcp", "udp"]


class InstanceStatus(StrEnum):
    """Status of a container instance (ecs-semantics 4.6)."""

    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    INACTIVE = "INACTIVE"


class TaskStatus(StrEnum):
    """lastStatus of a task, in the order in which tasks go through them (ecs-semantics 4.1)."""

    PROVISIONING = "PROVISIONING"
    PENDING = "PENDING"
    ACTIVATING = "ACTIVATING"
    RUNNING = "RUNNING"
    DEACTIVATING = "DEACTIVATING"
    STOPPING = "STOPPING"
    DEPROVISIONING = "DEPROVISIONING"
    STOPPED = "STOPPED"

    __hash__ = str.__hash__  # Enum's own is a Python function, and this one is asked for often


class StopCode(StrEnum):
    """Why a task stopped (ecs-semantics 4.2)."""

    __hash__ = str.__hash__  # as above

    TASK_FAILED_TO_START = "TaskFailedToStart"
    ESSENTIAL_CONTAINER_EXITED = "EssentialContainerExited"
    USER_INITIATED = "UserInitiated"
    SERVICE_SCHEDULER_INITIATED = "ServiceSchedulerInitiated"
    SPOT_INTERRUPTION = "SpotInterruption"
    TERMINATION_NOTICE = "TerminationNotice"
    INFRASTRUCTURE_HEALTH = "InfrastructureHealth"


@dataclass(frozen=True, slots=True)
class PlacementStrategy:
    """One link of a strategy chain, as RunTask and CreateService take it."""

    type: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class PlacementConstraint:
    """A binding condition on the instance; `expression` is cluster query language for memberOf."""

    type: str
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A container port and the host port it wants; `host_port` 0 means a dynamic one."""

    container_port: int
    host_port: int = 0
    protocol: Protocol = "tcp"


@dataclass(frozen=True, slots=True)
class ContainerDependency:
    """This container starts only when `container_name` has met `condition`."""

    container_name: str
    condition: Literal["START", "COMPLETE", "SUCCESS", "HEALTHY"]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A container's health check; times in seconds."""

    command: tuple[str, ...]
    interval: int = default_ms("container check") // 1000
    timeout: int = 5
    retries: int = 3
    start_period: int = 0


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """A container's restart policy, enabled: after an exit it is started again.

    Not after one of `ignored_exit_codes`, nor if it had not run for `restart_attempt_period` s.
    """

    ignored_exit_codes: tuple[int, ...] = ()
    restart_attempt_period: int = 300


@dataclass(frozen=True, slots=True)
class ContainerDefinition:
    """One container of a task definition: the fields that placement and simulation read.

    Fields that only a container runtime needs (environment, command, ulimits ...) stay in
    `TaskDefinition.document`, where the drivers find them.
    """

    name: str
    image: str
    cpu: int = 0
    memory: int | None = None
    memory_reservation: int | None = None
    essential: bool = True
    port_mappings: tuple[PortMapping, ...] = ()
    depends_on: tuple[ContainerDependency, ...] = ()
    links: tuple[str, ...] = ()
    health_check: HealthCheck | None = None
    gpus: int = 0
    start_timeout: int | None = None
    stop_timeout: int | None = None
    restart_policy: RestartPolicy | None = None
    volumes_from: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """An immutable revision of a family of tasks (input of RegisterTaskDefinition, validated).

    `requires_attributes` are NAMEs, or NAME=VALUE where the value counts. `document` is the JSON it
    was read from, unchanged; two definitions are equal by their fields.
    """

    family: str
    containers: tuple[ContainerDefinition, ...]
    revision: int = 1
    cpu: int | None = None
    memory: int | None = None
    network_mode: NetworkMode = "bridge"
    placement_constraints: tuple[PlacementConstraint, ...] = ()
    requires_attributes: tuple[str, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """`family:revision`, the way ECS's calls name it."""
        return f"{self.family}:{self.revision}"


@dataclass(frozen=True, slots=True)
class InstanceType:
    """An EC2 instance type as ECS sees it after registration.

    `cpu` in units (vCPU x 1024), `memory` the MiB that the agent registers (observed where
    that is published, else estimated), `eni_slots` awsvpc tasks it can hold, price on demand.
    """

    name: str
    cpu: int
    memory: int
    gpus: int
    eni_slots: int
    architecture: Literal["x86_64", "arm64"]
    price_microusd_hour: int


@dataclass(frozen=True, slots=True)
class TaskKind:
    """Everything that placement may know of a task; tasks of one kind are interchangeable.

    `resources` are (name, amount) pairs, each name once, amount > 0. `devices` asks for so
    many devices with at least `device_milli` thousandths of each left: whole ones (1000) or a
    share. `zones` are those of awsvpc subnets; empty means any. `strategies` is the resolved chain:
    defaults are filled in before a kind is made. `expected_ms` is how long the caller expects a
    task to run; None: until it is stopped.

    Raises:
        SpecError: naming every field that is not as said here. Numbers are whole, a float is none.
    """

    resources: tuple[tuple[str, int], ...]
    group: str
    tcp_ports: tuple[int, ...] = ()
    udp_ports: tuple[int, ...] = ()
    required_attributes: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    constraints: tuple[PlacementConstraint, ...] = ()
    strategies: tuple[PlacementStrategy, ...] = ()
    capacity_provider: str | None = None
    devices: int = 0
    device_milli: int = 0
    expected_ms: int | None = None
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once a kind: what takes kinds afterwards asks nothing of this again.
        problems = [(f"TaskKind.{place}", what) for place, what in _kind_problems(self)]
        if problems:
            raise SpecError(problems)
        # Kinds are dictionary keys on the path of every decision: hash their nested tuples once.
        values = tuple(getattr(self, name) for name in self.__slots__ if name != "_hash")
        object.__setattr__(self, "_hash", hash(values))

    def __hash__(self) -> int:
        return self._hash

    def exit_ms(self, now_ms: int) -> int:
        """When a task that starts now is expected to end; `NEVER` for one without an end."""
        return NEVER if self.expected_ms is None else now_ms + self.expected_ms

    def __deepcopy__(self, memo: object) -> TaskKind:
        return self  # nothing in it changes

    def __reduce__(self) -> tuple[type[TaskKind], tuple[Any, ...]]:
        # Strings hash differently in every process, so a copy or a pickle is hashed anew.
        return TaskKind, tuple(getattr(self, name) for name in self.__slots__ if name != "_hash")


_TUPLES: tuple[tuple[str, type | None], ...] = (
    *(("resources", None), ("tcp_ports", None), ("udp_ports", None)),
    *(("required_attributes", str), ("zones", str)),
    *(("constraints", PlacementConstraint), ("strategies", PlacementStrategy)),
)


def _kind_problems(kind: TaskKind) -> Iterator[tuple[str, str]]:
    """(field, what is wrong with it) of a kind."""
    wrong = set()
    for name, of in _TUPLES:
        value = getattr(kind, name)
        if type(value) is not tuple:
            wrong.add(name)
            yield name, f"expected a tuple, found {value!r}"
        elif of is not None:
            for index, item in enumerate(value):
                if not isinstance(item, of):
                    yield f"{name}[{index}]", f"expected a {of.__name__}, found {item!r}"
    if "resources" not in wrong:
        yield from _resource_problems(kind.resources)
    for name, ports in (("tcp_ports", kind.tcp_ports), ("udp_ports", kind.udp_ports)):
        for index, port in enumerate(() if name in wrong else ports):
            if what := not_whole(port, most=PORT_MAX):
                yield f"{name}[{index}]", what
    for name, number in (("devices", kind.devices), ("device_milli", kind.device_milli)):
        if what := not_whole(number):
            yield name, what
    if kind.expected_ms is not None and (what := not_whole(kind.expected_ms, most=NEVER)):
        yield "expected_ms", what


def _resource_problems(resources: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    seen = set()
    for index, pair in enumerate(resources):
        if type(pair) is not tuple or len(pair) != 2 or not isinstance(pair[0], str):
            yield f"resources[{index}]", f"expected a (name, amount) pair, found {pair!r}"
            continue
        name, amount = pair
        if what := not_whole(amount, 1):
            yield f"resources.{name}", what
        if name in seen:
            yield f"resources.{name}", "named twice"
        seen.add(name)


CONSTRAINTS_MAX, STRATEGIES_MAX = 10, 5  # of a task; a task definition has as many constraints
RUN_TASK_DEFAULT_STRATEGIES = (PlacementStrategy("random"),)
SERVICE_DEFAULT_STRATEGIES = (
    PlacementStrategy("spread", f"attribute:{AVAILABILITY_ZONE}"),
    PlacementStrategy("spread", "instanceId"),
)
