"""What goes into the scheduler and what comes out: events, commands and the round that holds both.

Every message is an immutable value with a JSON form, so that a journal of rounds is the whole truth
about a run. Messages are batched as ECS's own calls are (one StartTasks for a whole request): at
two million containers a message per task would cost more than the decision it carries.

Instances are numbered by the driver in the order in which they register, tasks by the scheduler in
the order in which it creates them; both count from 0 without gaps, so columns are indexed by them.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from stowplan.placement.messages.base import Message
from stowplan.placement.messages.capacity import (
    CallThrottled,
    CapacityProviderReservation,
    CapacityProviderStrategy,
    CompleteTermination,
    CreateCapacityProvider,
    InstancesLaunched,
    InstancesTerminated,
    InstancesTerminating,
    LaunchFailed,
    PutClusterCapacityProviders,
    SetDesiredCapacity,
    SetInstanceProtection,
)
from stowplan.placement.messages.containers import ContainerReport
from stowplan.placement.messages.notices import (
    RunTaskFailed,
    ServiceEvent,
    TasksProvisioning,
    TasksStopped,
)
from stowplan.placement.messages.upkeep import (
    CircuitBreaker,
    ContainerOverride,
    DeleteAttributes,
    DeleteCapacityProvider,
    DeleteCluster,
    DeleteService,
    DeleteTaskDefinition,
    DeregisterContainerInstance,
    DeregisterTaskDefinition,
    LoadBalancer,
    Pairs,
    PutAttributes,
    StopServiceDeployment,
    TagResource,
    UntagResource,
    UpdateCapacityProvider,
    UpdateTaskProtection,
)
from stowplan.placement.model import PlacementConstraint, PlacementStrategy, StopCode, TaskStatus

# --- events: API calls ---------------------------------------------------------------------------


class RegisterTaskDefinition(Message, frozen=True):
    """A task definition becomes known; `document` is the input of ECS's call of that name."""

    document: dict[str, Any]


class RunTask(Message, frozen=True):
    """Start `count` tasks. With `capacity_provider` they wait for room, else they fail at once.

    `request` is the caller's number for the job: a later RunTask with the same number asks for the
    rest of the same job (a retry). `cpu` and `memory` are ECS's task-level overrides; `resources`,
    (name, amount) pairs, override or add others: ours. `zones` are those of the subnets given for
    awsvpc; empty means any. `expected_ms` (ours, too) is how long the caller thinks that a task
    will run; None: until it is stopped. `capacity_provider_strategy` None is the cluster's default,
    () is launch type EC2; one `capacity_provider` stands for a strategy of that alone. A
    `client_token` that a call of the last 24 h had is refused (ecs-semantics 8.3).
    """

    request: int
    task_definition: str
    count: int
    group: str | None = None
    cpu: int | None = None
    memory: int | None = None
    placement_constraints: tuple[PlacementConstraint, ...] = ()
    placement_strategy: tuple[PlacementStrategy, ...] = ()
    capacity_provider: str | None = None
    zones: tuple[str, ...] = ()
    started_by: str = ""
    resources: tuple[tuple[str, int], ...] = ()
    expected_ms: int | None = None
    capacity_provider_strategy: CapacityProviderStrategy | None = None
    overrides: tuple[ContainerOverride, ...] = ()
    tags: Pairs = ()
    client_token: str = ""


class StartTask(Message, frozen=True):
    """Start one task on each named instance: the caller is the scheduler (ecs-semantics 9.1).

    No strategies; what the instance lacks is a failure, nothing waits.
    """

    request: int
    task_definition: str
    instances: tuple[int, ...]
    group: str | None = None
    cpu: int | None = None
    memory: int | None = None
    zones: tuple[str, ...] = ()
    started_by: str = ""
    overrides: tuple[ContainerOverride, ...] = ()
    tags: Pairs = ()
    resources: tuple[tuple[str, int], ...] = ()


class StopTask(Message, frozen=True):
    """The user stops tasks; their resources are free from this round on (ecs-semantics 2.4)."""

    tasks: tuple[int, ...]
    reason: str = "Task stopped by user"


class CreateService(Message, frozen=True):
    """Keep `desired_count` tasks of a definition running, from now on.

    A DAEMON runs one on every ACTIVE instance that meets its constraints; its count, percents and
    capacity providers are not asked. `capacity_provider_strategy` is that of RunTask. `described`:
    members of ECS's call that change nothing here and are described again.
    """

    service: str
    task_definition: str
    desired_count: int = 0
    placement_constraints: tuple[PlacementConstraint, ...] = ()
    placement_strategy: tuple[PlacementStrategy, ...] = ()
    zones: tuple[str, ...] = ()
    scheduling_strategy: Literal["REPLICA", "DAEMON"] = "REPLICA"
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    circuit_breaker: CircuitBreaker | None = None
    availability_zone_rebalancing: bool = False
    capacity_provider_strategy: CapacityProviderStrategy | None = None
    load_balancer: LoadBalancer | None = None
    client_token: str = ""
    described: dict[str, Any] = msgspec.field(default_factory=dict)


class UpdateService(Message, frozen=True):
    """Change what is given of a service; fields are those of CreateService.

    Another task definition begins a deployment, and so does `force_new_deployment`.
    """

    service: str
    desired_count: int | None = None
    task_definition: str | None = None
    placement_constraints: tuple[PlacementConstraint, ...] | None = None
    placement_strategy: tuple[PlacementStrategy, ...] | None = None
    minimum_healthy_percent: int | None = None
    maximum_percent: int | None = None
    circuit_breaker: CircuitBreaker | None = None
    availability_zone_rebalancing: bool | None = None
    force_new_deployment: bool = False
    capacity_provider_strategy: CapacityProviderStrategy | None = None
    described: dict[str, Any] = msgspec.field(default_factory=dict)

    def applied_to(self, service: CreateService) -> CreateService:
        """The configuration that a service has after this call."""
        given = {
            name: value
            for name in service.__struct_fields__
            if (value := getattr(self, name, None)) is not None
        }
        given["described"] = service.described | self.described
        return msgspec.structs.replace(service, **given)


class UpdateContainerInstancesState(Message, frozen=True):
    """Set instances DRAINING or back to ACTIVE."""

    instances: tuple[int, ...]
    status: str


# --- events: what the world reports --------------------------------------------------------------


class InstanceRegistered(Message, frozen=True):
    """An agent registered its instance. `instance` is the next free number, or a known one that
    registers again. `resources` as registered (CPU units, MiB, counts); reserved ports excluded.
    `devices` are divisible ones, in thousandths each. `version_info`: what its agent says of
    itself, as `versionInfo` has it."""

    instance: int
    ec2_instance_id: str
    resources: dict[str, int]
    attributes: dict[str, str]
    price_microusd_hour: int = 0
    reserved_tcp: tuple[int, ...] = (22, 2375, 2376, 51678, 51679)
    reserved_udp: tuple[int, ...] = ()
    capacity_provider: str | None = None
    devices: tuple[int, ...] = ()
    version_info: dict[str, str] = msgspec.field(default_factory=dict)


class AgentConnectionChanged(Message, frozen=True):
    """Agents connected or disconnected; a disconnected one gets no new tasks (AGENT)."""

    instances: tuple[int, ...]
    connected: bool


class InstancesGone(Message, frozen=True):
    """Instances were deregistered or terminated: their tasks are stopped in ECS's record.

    `since_ms`: from when on they were dead, where the driver knows that it was before this round:
    of a simulated loss its time, of a real engine the last that was heard of it.
    """

    instances: tuple[int, ...]
    reason: str = "terminated"
    stop_code: StopCode = StopCode.INFRASTRUCTURE_HEALTH
    since_ms: int | None = None


class TasksFound(Message, frozen=True):
    """Tasks of a service run already, one for each of these instances, oldest first: a cluster is
    taken over. The scheduler numbers them, and tells by StartTasks with `found` which they are."""

    service: str
    instances: tuple[int, ...]


class TasksChanged(Message, frozen=True):
    """The agents report a new lastStatus for these tasks; reports of the past are ignored.

    `exit_code` is that of the essential container whose exit ended them; None: not told.
    `since_ms`: when that came to be, where the driver knows that it was before this round. The
    scheduler goes by the round, as ECS does; who measures goes by what was true. `containers`: of
    each of these tasks, to be described; nothing is decided on it.
    """

    status: TaskStatus
    tasks: tuple[int, ...]
    stop_code: StopCode | None = None
    reason: str = ""
    exit_code: int | None = None
    since_ms: int | None = None
    containers: tuple[ContainerReport, ...] = ()


class TasksHealthChanged(Message, frozen=True):
    """Container health checks of these running tasks came to a verdict (ecs-semantics 4.2).

    `since_ms` is that of `TasksChanged`.
    """

    healthy: bool
    tasks: tuple[int, ...]
    since_ms: int | None = None


Event = (
    RegisterTaskDefinition
    | RunTask
    | StartTask
    | StopTask
    | UpdateTaskProtection
    | CreateCapacityProvider
    | PutClusterCapacityProviders
    | CreateService
    | UpdateService
    | UpdateContainerInstancesState
    | DeleteService
    | StopServiceDeployment
    | DeregisterContainerInstance
    | DeregisterTaskDefinition
    | DeleteTaskDefinition
    | PutAttributes
    | DeleteAttributes
    | UpdateCapacityProvider
    | DeleteCapacityProvider
    | TagResource
    | UntagResource
    | DeleteCluster
    | InstanceRegistered
    | AgentConnectionChanged
    | InstancesGone
    | TasksFound
    | TasksChanged
    | TasksHealthChanged
    | InstancesLaunched
    | LaunchFailed
    | InstancesTerminating
    | InstancesTerminated
    | CallThrottled
)

# The events that are calls of somebody; the others are facts, which the world reports.
CALLS = (
    *(RegisterTaskDefinition, RunTask, StartTask, StopTask, CreateService, UpdateService),
    *(DeleteService, UpdateContainerInstancesState, UpdateTaskProtection, DeleteCluster),
    *(CreateCapacityProvider, UpdateCapacityProvider, DeleteCapacityProvider),
    *(PutClusterCapacityProviders, DeregisterContainerInstance, DeregisterTaskDefinition),
    *(PutAttributes, DeleteAttributes, TagResource, UntagResource, DeleteTaskDefinition),
    StopServiceDeployment,
)

# --- commands: what the driver must do ------------------------------------------------------------


class StartTasks(Message, frozen=True):
    """Start task `tasks[i]` on instance `instances[i]`; all are copies of one definition.

    `devices[i]` are the divisible devices that task i was given; empty where none ask for any.
    `found`: they run already (`TasksFound`), and there is nothing to start.
    """

    task_definition: str
    group: str
    tasks: tuple[int, ...]
    instances: tuple[int, ...]
    devices: tuple[tuple[int, ...], ...] = ()
    request: int | None = None
    service: str | None = None
    cpu: int | None = None
    memory: int | None = None
    deployment: str | None = None
    capacity_provider: str | None = None
    found: bool = False
    overrides: tuple[ContainerOverride, ...] = ()


class StopTasks(Message, frozen=True):
    """Stop these tasks: SIGTERM, stopTimeout, SIGKILL.

    `not_before_ms`: their targets drain until then, and nothing is sent before; None: at once.
    """

    tasks: tuple[int, ...]
    stop_code: StopCode
    reason: str
    not_before_ms: int | None = None


# --- notices: commands that only tell the caller --------------------------------------------------


class CallRejected(Message, frozen=True):
    """A call made no sense (ECS's ClientException), or a report named unknown tasks or
    instances. It changed nothing.

    `position` is its place among the events of the round, `code` ECS's exception where it is not
    the most common one.
    """

    position: int
    call: Event
    reason: str
    code: str = ""

    @property
    def error(self) -> str:
        """The exception that ECS's API would answer with."""
        return self.code or "ClientException"


Notice = (
    RunTaskFailed
    | TasksProvisioning
    | TasksStopped
    | ServiceEvent
    | CallRejected
    | CapacityProviderReservation
)
Order = SetDesiredCapacity | SetInstanceProtection | CompleteTermination  # to EC2 Auto Scaling
Command = StartTasks | StopTasks | Order | Notice


class Round(msgspec.Struct, frozen=True):
    """One turn of the loop: what was known at `now_ms`, and what was decided on it."""

    now_ms: int
    events: tuple[Event, ...]
    commands: tuple[Command, ...]

    def accepted(self) -> tuple[Event, ...]:
        """The events without the calls that were rejected: those changed nothing."""
        rejected = [c.position for c in self.commands if type(c) is CallRejected]
        if not rejected:  # as nearly always
            return self.events
        return tuple(event for n, event in enumerate(self.events) if n not in rejected)
