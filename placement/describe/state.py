"""The records of a cluster as ECS describes them; all of it can be written to bytes and read back.

Times are those of rounds, in ms. Things have our numbers; ARNs belong to who speaks the wire
format. `version` of a task or an instance rises with each change that ECS would send an event of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from stowplan.placement import messages as m
from stowplan.placement.model import InstanceStatus, StopCode, TaskStatus
from stowplan.placement.reasons import Failure

SNAPSHOT_FORMAT = 3  # goes up with every change of what is below: an older one is not read


class Used(msgspec.Struct, frozen=True):
    """What a task used when its agent last measured: CPU units and MiB, means of that interval.

    It comes from no round and is in no journal; nothing is decided on it.
    """

    cpu: float
    memory: float
    at_ms: int


class ContainerInstance(msgspec.Struct):
    """A container instance. `registered` and `remaining` are amounts by name, ports apart.

    `tcp`, `udp`: host ports in use or reserved, as PORTS and PORTS_UDP have them. `running` and
    `pending` count tasks whose desiredStatus is RUNNING. `gone_ms`: when it became INACTIVE.
    """

    number: int
    ec2_instance_id: str
    registered: dict[str, int]
    remaining: dict[str, int]
    attributes: dict[str, str]
    tcp: list[int]
    udp: list[int]
    registered_at_ms: int
    price_microusd_hour: int = 0
    capacity_provider: str | None = None
    devices: tuple[int, ...] = ()
    status: InstanceStatus = InstanceStatus.ACTIVE
    agent_connected: bool = True
    running: int = 0
    pending: int = 0
    gone_ms: int | None = None
    version: int = 1
    tags: dict[str, str] = {}
    tasks: dict[int, None] = {}  # not STOPPED, oldest first
    version_info: dict[str, str] = {}


class Task(msgspec.Struct):
    """A task, from its creation to an hour after its end.

    `amounts` and the ports are what it holds while its desiredStatus is RUNNING. `asked` is the
    call of a standalone task that waits for capacity, and of no other.
    """

    number: int
    task_definition: str
    group: str
    last_status: TaskStatus
    created_at_ms: int
    desired_status: TaskStatus = TaskStatus.RUNNING
    instance: int | None = None
    request: int | None = None
    service: str | None = None
    deployment: str | None = None
    capacity_provider: str | None = None
    started_by: str = ""
    cpu: int | None = None
    memory: int | None = None
    overrides: tuple[m.ContainerOverride, ...] = ()
    devices: tuple[int, ...] = ()
    amounts: dict[str, int] = {}
    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()
    healthy: bool | None = None
    started_at_ms: int | None = None
    stopping_at_ms: int | None = None
    stopped_at_ms: int | None = None
    stop_code: StopCode | None = None
    stopped_reason: str = ""
    exit_code: int | None = None
    waits_for: Failure | None = None
    asked: m.RunTask | None = None
    protected_until_ms: int | None = None
    version: int = 1
    tags: dict[str, str] = {}
    containers: dict[str, m.ContainerReport] = {}  # those of which an agent told something
    used: Used | None = None

    def hear(self, reports: tuple[m.ContainerReport, ...]) -> None:
        """Its agent tells of its containers; what it tells after the end is too late."""
        if self.last_status is not TaskStatus.STOPPED:
            for each in reports:
                self.containers[each.name] = each.after(self.containers.get(each.name))

    @property
    def gone_ms(self) -> int | None:
        """When it became STOPPED."""
        return self.stopped_at_ms


class Deployment(msgspec.Struct):
    """One generation of a service. `status`: PRIMARY, ACTIVE, or INACTIVE once it has no tasks.

    `finished_at_ms`: when its rollout was first COMPLETED, or it was given up. `rollback`: the
    deployment that came back in its place. `sources`: those that it replaced.
    """

    id: str
    task_definition: str
    created_at_ms: int
    updated_at_ms: int
    status: str = "PRIMARY"
    rollout_state: str = "IN_PROGRESS"
    rollout_reason: str = ""
    failed_tasks: int = 0
    running: int = 0
    pending: int = 0
    finished_at_ms: int | None = None
    outcome: str = ""  # SUCCESSFUL, STOPPED, FAILED
    rollback: str | None = None
    rolls_back: bool = False
    sources: tuple[str, ...] = ()
    desired_count: int = 0  # of the service, when it began


class ServiceLine(msgspec.Struct):
    """A line of a service's events."""

    number: int
    at_ms: int
    text: str
    failure: Failure | None = None


class Service(msgspec.Struct):
    """A service. `call` is its configuration; `deployments` the latest first; `events` too, 100."""

    name: str
    call: m.CreateService
    created_at_ms: int
    status: str = "ACTIVE"
    deployments: list[Deployment] = []
    events: list[ServiceLine] = []
    running: int = 0
    pending: int = 0
    completed: str | None = None  # the definition of the last deployment that was
    gone_ms: int | None = None
    tags: dict[str, str] = {}
    tasks: dict[int, None] = {}  # desiredStatus RUNNING
    past: list[Deployment] = []  # without tasks and no longer PRIMARY, the latest first
    created: m.CreateService | None = None  # its call, where that had a client token
    lines: int = 0  # of its events ever

    @property
    def daemon(self) -> bool:
        """One task on each instance instead of a count."""
        return self.call.scheduling_strategy == "DAEMON"


class TaskDefinitionRecord(msgspec.Struct):
    """A revision of a family; `document` as it was registered."""

    family: str
    revision: int
    document: dict[str, Any]
    registered_at_ms: int
    status: str = "ACTIVE"
    deregistered_at_ms: int | None = None
    delete_requested_at_ms: int | None = None
    tags: dict[str, str] = {}

    @property
    def name(self) -> str:
        """`family:revision`."""
        return f"{self.family}:{self.revision}"


class CapacityProvider(msgspec.Struct):
    """A capacity provider and the group behind it; `running`: EC2 ids that are up."""

    name: str
    call: m.CreateCapacityProvider
    desired_capacity: int
    running: dict[str, None] = {}
    metric: m.CapacityProviderReservation | None = None
    tags: dict[str, str] = {}


class TokenUse(msgspec.Struct):
    """A RunTask with a client token, and what came of it."""

    call: m.RunTask
    at_ms: int
    tasks: list[int] = []
    failures: list[m.RunTaskFailed] = []


class StoppedForGood(msgspec.Struct):
    """Something that was said lately of tasks or calls: for people, the latest last."""

    at_ms: int
    text: str


class State(msgspec.Struct):
    """A whole cluster. `rounds` were taken in so far, the last at `now_ms`.

    Gone tasks, instances and services are kept for an hour, so memory is bounded by what runs and
    by what ended in an hour. `failed`: by family, the last RunTask that was not placed whole.
    """

    rounds: int = 0
    now_ms: int = 0
    status: str = "ACTIVE"
    instances: dict[int, ContainerInstance] = {}
    tasks: dict[int, Task] = {}
    services: dict[str, Service] = {}
    task_definitions: dict[str, list[TaskDefinitionRecord]] = {}
    capacity_providers: dict[str, CapacityProvider] = {}
    default_capacity_provider_strategy: m.CapacityProviderStrategy = ()
    associated: tuple[str, ...] | None = None  # capacity providers that were put; None: all
    leaving: dict[str, None] = {}  # EC2 ids that their groups are getting rid of
    tags: dict[str, str] = {}
    tasks_ever: int = 0
    deployments_ever: int = 0
    failed: dict[str, tuple[m.RunTask, m.RunTaskFailed, int]] = {}
    said: list[StoppedForGood] = []
    tokens: dict[str, TokenUse] = {}  # of the last 24 h, the oldest first
    format: int = SNAPSHOT_FORMAT

    # --- lists ------------------------------------------------------------------------------------

    def definition(self, name: str) -> TaskDefinitionRecord | None:
        """The revision called `family:revision`; `family` alone is its latest ACTIVE one."""
        family, _, revision = name.partition(":")
        known = self.task_definitions.get(family, [])
        if not revision:
            return next((each for each in reversed(known) if each.status == "ACTIVE"), None)
        at = int(revision) - 1 if revision.isdecimal() else -1
        return known[at] if 0 <= at < len(known) else None

    def list_tasks(
        self,
        *,
        desired_status: TaskStatus = TaskStatus.RUNNING,
        instance: int | None = None,
        family: str | None = None,
        service: str | None = None,
        started_by: str | None = None,
    ) -> list[Task]:
        """What ListTasks lists, in the order of creation; all that is given must hold."""
        return [
            task
            for task in self.tasks.values()
            if task.desired_status is desired_status
            and instance in (None, task.instance)
            and family in (None, task.task_definition.partition(":")[0])
            and service in (None, task.service)
            and started_by in (None, task.started_by)
        ]

    def list_services(self, scheduling_strategy: str | None = None) -> list[Service]:
        """What ListServices lists: all that are not INACTIVE."""
        return [
            service
            for service in self.services.values()
            if service.status != "INACTIVE"
            and scheduling_strategy in (None, service.call.scheduling_strategy)
        ]

    def list_instances(self, status: InstanceStatus | None = None) -> list[ContainerInstance]:
        """What ListContainerInstances lists: without a status, all that are not INACTIVE."""
        if status is None:
            return [e for e in self.instances.values() if e.status is not InstanceStatus.INACTIVE]
        return [each for each in self.instances.values() if each.status is status]

    # --- counts of the cluster --------------------------------------------------------------------

    @property
    def running_tasks(self) -> int:
        """`runningTasksCount` of the cluster: lastStatus RUNNING."""
        return sum(task.last_status is TaskStatus.RUNNING for task in self.tasks.values())

    @property
    def pending_tasks(self) -> int:
        """`pendingTasksCount` of the cluster: not RUNNING yet."""
        before = (TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING)
        return sum(task.last_status in before for task in self.tasks.values())

    # --- snapshots --------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """All of it."""
        return msgspec.msgpack.encode(self)


def of_snapshot(body: bytes) -> State | None:
    """A state again; None where another version of this program wrote it."""
    try:
        state = _DECODER.decode(body)
    except msgspec.MsgspecError:
        return None
    return state if state.format == SNAPSHOT_FORMAT else None


_DECODER = msgspec.msgpack.Decoder(State)


def named(tasks: Sequence[int]) -> str:
    """`task 3`, `7 tasks (1, 2, 3, 4, 5, ...)`."""
    some = ", ".join(map(str, tasks[:5])) + (", ..." if len(tasks) > 5 else "")
    return f"task {some}" if len(tasks) == 1 else f"{len(tasks)} tasks ({some})"
