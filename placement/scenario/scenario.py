"""The one scenario type: fleet, tasks, strategies, faults and seed of a run, simulated or real.

Pure: `experiments.loading.load` reads a file and the files that it names. Shapes are checked here,
meaning in `placement.scenario.checks`. Times are in ms; in a file `"250ms"`, `"90s"`, `"15m"`,
`"1.5h"`, `"2d"` or a number of seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from stowplan.placement.agent.settings import AgentKind, PullBehavior
from stowplan.placement.model import AVAILABILITY_ZONE, CPU_ARCHITECTURE, INSTANCE_TYPE
from stowplan.placement.scenario.autoscaling import AutoscalingTable
from stowplan.placement.scenario.capacity import (
    CapacityProviderTable,
    CapacityStrategy,
    GroupInstance,
    spot_price,
)
from stowplan.placement.scenario.containers import ContainerBehaviour, ImageTable, PullTable
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.scenario.fields import (
    Chain,
    Constraints,
    Count,
    Duration,
    DurationOrFalse,
    Percent,
    Positive,
    PositiveOrFalse,
    Table,
    Weight,
)
from stowplan.placement.scenario.load_balancer import LoadBalancerTable
from stowplan.placement.scenario.models import Models
from stowplan.placement.scenario.plain import InstanceSpec as InstanceSpec
from stowplan.placement.scenario.running import RunningTable
from stowplan.placement.taskdef.capabilities import AGENT_CAPABILITIES
from stowplan.placement.times import default_ms

TRUNK_ID, TRUNKING = "ecs.awsvpc-trunk-id", "ecs.capability.task-eni-trunking"


class InstanceTypeTable(Table):
    """An instance type as it registers: units, MiB, millionths of a dollar per hour.

    `eni_slots` awsvpc tasks without trunking, `eni_slots_trunk` with it; None: not supported.
    """

    cpu: Positive
    memory: Positive
    gpus: Count = 0
    eni_slots: Count = 0
    eni_slots_trunk: Count | None = None
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    price_microusd_hour: Count = 0
    resources: dict[str, Count] = {}


class FleetGroup(Table):
    """`count` instances of one type, dealt over `zones` in turn, launched at `at`.

    `awsvpc_trunking`: the account setting was on when they were launched (ecs-semantics 1.4).
    `image_pull_behavior` is their agents' setting (4.4); `cached_images` are there from the start.
    `ec2_instance_ids`: what they are called, for `running`; default: by number.
    """

    name: str
    instance_type: str
    count: Positive
    zones: Annotated[tuple[str, ...], Field(min_length=1)]
    attributes: dict[str, str] = {}
    resources: dict[str, Count] = {}
    capacity_provider: str | None = None
    awsvpc_trunking: bool = False
    at: Duration = 0
    image_pull_behavior: PullBehavior = "default"
    cached_images: tuple[str, ...] = ()
    ec2_instance_ids: tuple[str, ...] = ()


class ScaleStep(Table):
    """At `at`, the desired count becomes `desired_count`."""

    at: Duration
    desired_count: Count


class DeployStep(Table):
    """At `at`, the service is updated to `task_definition`, or its tasks are replaced as they are.

    Both are deployments. `task_definition` is a name of the scenario, as in the service itself.
    """

    at: Duration
    task_definition: str | None = None


class CircuitBreakerTable(Table):
    """The deployment circuit breaker, enabled; see `messages.CircuitBreaker`."""

    rollback: bool = False
    reset_on_healthy_task: bool = True
    threshold_type: Literal["BOUNDED_PERCENT", "UNBOUNDED_PERCENT", "COUNT"] = "BOUNDED_PERCENT"
    threshold_value: Positive = 50


class ServiceTable(Table):
    """A service, created at `at`; `scale` changes its desired count later, `deploy` its tasks.

    A DAEMON has no count and no percents. `availability_zone_rebalancing` None: on where ECS allows
    it. `capacity_provider_strategy` None: the cluster's default; empty: launch type EC2.
    """

    name: str
    task_definition: str
    desired_count: Count = 0
    constraints: Constraints = ()
    strategy: Chain | None = None
    zones: tuple[str, ...] = ()
    at: Duration = 0
    scale: tuple[ScaleStep, ...] = ()
    deploy: tuple[DeployStep, ...] = ()
    scheduling_strategy: Literal["REPLICA", "DAEMON"] = "REPLICA"
    minimum_healthy_percent: Annotated[int, Field(ge=0, le=100, strict=True)] = 100
    maximum_percent: Annotated[int, Field(ge=100, le=200, strict=True)] = 200
    circuit_breaker: CircuitBreakerTable | None = None
    availability_zone_rebalancing: bool | None = None
    autoscaling: AutoscalingTable | None = None
    capacity_provider_strategy: CapacityStrategy | None = None
    load_balancer: LoadBalancerTable | None = None
    health_check_grace_period: Duration = default_ms("grace period")


class WorkloadTable(Table):
    """Tasks that arrive over time: a trace (`kind` names its format) or synthetic.

    A task that finds no room is retried by its client after `retry` (doubled each time up to
    `retry_max`, with jitter); with a `capacity_provider` it waits inside ECS instead. A task that
    dies with its instance is submitted again after `resubmit` unless that is false. `expected` says
    what the scheduler is told of run times: nothing, the mean of earlier jobs of the same size that
    would have ended by then (`history`), or the truth, which no caller knows (`oracle`); or a name
    that a user gave a predictor of their own. `overrides` are those of RunTask, in AWS's JSON.
    """

    name: str
    task_definition: str
    kind: str
    file: str | None = None
    until: Duration | None = None
    constraints: Constraints = ()
    strategy: Chain | None = None
    zones: tuple[str, ...] = ()
    capacity_provider: str | None = None
    capacity_provider_strategy: CapacityStrategy | None = None
    group: str | None = None
    retry: Duration = 5_000
    retry_max: Duration = 60_000
    resubmit: DurationOrFalse = 5_000
    expected: str = "nothing"
    overrides: dict[str, Any] = {}
    options: dict[str, Any] = {}


class ClusterTable(Table):
    """Limits of the ECS cluster, `false` for none; see `SchedulerConfig`."""

    provisioning_quota: PositiveOrFalse = 500
    provisioning_timeout: DurationOrFalse = 1_800_000
    default_capacity_provider_strategy: CapacityStrategy = ()


class Offer(Table):
    """Instances that may be bought: `instance_type` on demand, up to `limit` of them.

    `spot_price_microusd_hour` or `spot_discount_percent` offers it on spot too, up to `spot_limit`.
    No `zones`: those of the fleet. Without a price the type's own counts.
    """

    instance_type: str
    limit: Count | None = None
    price_microusd_hour: Count | None = None
    spot_price_microusd_hour: Count | None = None
    spot_discount_percent: Percent | None = None
    spot_limit: Count | None = None
    zones: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    resources: dict[str, Count] = {}
    capacity_provider: str | None = None
    awsvpc_trunking: bool = False


# What the goal `placement` may weigh.
Objective = Literal["placed", "instances", "spread", "cost"]


class OptimizeTable(Table):
    """What `stowplan optimize` may buy and what it is to prefer.

    Args:
        instance_type: for the goal `instances`; default: the first of the fleet.
        tasks: "services": their desired counts alone; "all": the tasks of workloads too, all of
            them at once.
        offer: what the goal `fleet` may buy; default: each group of the fleet, without limit.
        spread_zones: every task definition is dealt evenly over the zones of the fleet.
        spot_percent_max: of each service's or job's tasks, at most this share on spot.
        hours: how long the fleet is paid for, for the report.
        objective: of the goal `placement`: what a task left out (`placed`), an instance in use
            (`instances`), a task too many in a zone (`spread`) and a millionth of a dollar per
            hour of instances in use (`cost`) cost. Without `placed` every task must be placed.
        weights: by service or workload, how many tasks one of its tasks is worth; default 1.
    """

    instance_type: str | None = None
    tasks: Literal["services", "all"] = "all"
    offer: tuple[Offer, ...] = ()
    spread_zones: bool = False
    spot_percent_max: Percent = 100
    hours: Positive = 1
    objective: dict[Objective, Weight] = {
        "placed": 100_000,
        "instances": 100,
        "spread": 1,
    }
    weights: dict[str, Weight] = {}


Ties = Literal["lowest", "random"]


class Scenario(Table):
    """All that a run needs. Strategies x layouts x faults x seeds are its runs.

    A `layout` adds constraints to services and workloads by name, so that one fleet can be shared
    or parted. `settings[STRATEGY][NAME]` are fields that the capacity provider, service or workload
    of that name has instead in runs of that strategy. `task_definitions` maps short names to
    RegisterTaskDefinition input, `behaviour` the same names, and then containers, to what they do.
    With `images` every pull takes its time. `agent`: whose own waits the agents have. `running`:
    tasks that are there at 0 s, and then all instances are. `ties`: which of the instances that tie
    after the last link of a chain gets the task (see `placement.scenario.ties`).
    """

    name: str
    question: str = ""
    seed: Count = 0
    duration: Duration
    cluster: ClusterTable = ClusterTable()
    instance_types: dict[str, InstanceTypeTable] = {}
    region: str = "us-east-1"
    prices: str | None = None
    fleet: tuple[FleetGroup, ...] = ()
    capacity_provider: tuple[CapacityProviderTable, ...] = ()
    task_definitions: dict[str, dict[str, Any]]
    service: tuple[ServiceTable, ...] = ()
    running: tuple[RunningTable, ...] = ()
    workload: tuple[WorkloadTable, ...] = ()
    strategies: Annotated[dict[str, Chain], Field(min_length=1)] = {"ecs-default": ()}
    ties: Ties = "lowest"
    settings: dict[str, dict[str, dict[str, Any]]] = {}
    layouts: dict[str, dict[str, Constraints]] = {"shared": {}}
    faults: dict[str, tuple[Fault, ...]] = {"none": ()}
    models: Models = Models()
    behaviour: dict[str, dict[str, ContainerBehaviour]] = {}
    images: dict[str, ImageTable] = {}
    pulls: PullTable = PullTable()
    agent: AgentKind = "amazon-ecs-agent"
    optimize: OptimizeTable = OptimizeTable()

    def runs(self) -> Iterator[Run]:
        """Every combination of strategy, layout and faults, in the order of the file."""
        for layout in self.layouts:
            for fault in self.faults:
                for strategy in self.strategies:
                    yield Run(strategy, layout, fault)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a scenario: which strategy, layout and faults, each by its name there.

    `ties`: a run is repeated with ties decided this way; None: as the scenario says. `draw` tells
    repetitions apart: the scheduler's chance differs, what arrives and how long it takes does not.
    """

    strategy: str
    layout: str
    faults: str
    ties: Ties | None = None
    draw: int = 0

    @property
    def id(self) -> str:
        """A name for files: `binpack__shared__none`, `binpack__shared__none__ties-random-0`."""
        again = () if self.ties is None else (f"ties-{self.ties}-{self.draw}",)
        return "__".join((self.strategy, self.layout, self.faults, *again)).replace("/", "-")


def instance_specs(scenario: Scenario) -> list[InstanceSpec]:
    """The fleet, instance by instance, in the order of the file."""
    specs: list[InstanceSpec] = []
    for group in scenario.fleet:
        kind = scenario.instance_types[group.instance_type]
        for index in range(group.count):
            zone = group.zones[index % len(group.zones)]
            number = len(specs)
            spec = instance_spec(group, group.instance_type, kind, zone, number, group.at)
            if group.ec2_instance_ids:
                spec = replace(spec, name=group.ec2_instance_ids[index])
            specs.append(spec)
    return specs


def first_spec(
    group: CapacityProviderTable, each: GroupInstance, kind: InstanceTypeTable, number: int
) -> InstanceSpec:
    """An instance that a group has at 0 s."""
    market = each.market if group.mixed else None
    spec = instance_spec(group, each.instance_type, kind, each.zone, number, market=market)
    return replace(spec, name=each.ec2_instance_id)


def named_specs(scenario: Scenario) -> Iterator[InstanceSpec]:
    """The instances that have names of their own and whose types are known."""
    types = scenario.instance_types
    for group in scenario.fleet:
        if group.instance_type in types and len(group.ec2_instance_ids) == group.count:
            yield from instance_specs(scenario.model_copy(update={"fleet": (group,)}))
    for table in scenario.capacity_provider:
        for each in table.instances:
            if each.instance_type in types:
                yield first_spec(table, each, types[each.instance_type], 0)


def instance_spec(
    group: FleetGroup | CapacityProviderTable,
    type_name: str,
    kind: InstanceTypeTable,
    zone: str,
    number: int,
    at_ms: int = 0,
    market: str | None = None,
) -> InstanceSpec:
    """An instance of a group; its name follows from `number`, so give each its own.

    Args:
        market: of an instance of a group of both; None: the group's own.
    """
    trunked = group.awsvpc_trunking and kind.eni_slots_trunk is not None
    amounts = {
        "CPU": kind.cpu,
        "MEMORY": kind.memory,
        "GPU": kind.gpus,
        "ENI": kind.eni_slots_trunk if trunked else kind.eni_slots,
        **kind.resources,
        **group.resources,
    }
    attributes = {
        AVAILABILITY_ZONE: zone,
        INSTANCE_TYPE: type_name,
        CPU_ARCHITECTURE: kind.architecture,
        "ecs.os-type": "linux",
        **AGENT_CAPABILITIES,
        **group.attributes,
    }
    if trunked:
        attributes |= {TRUNK_ID: f"eni-{number:017x}", TRUNKING: ""}
    price = kind.price_microusd_hour
    if isinstance(group, CapacityProviderTable):
        provider: str | None = group.name
        if (market or group.market) == "spot":
            price = spot_price(group, type_name, price)
    else:
        provider = group.capacity_provider
    resources = {name: amount for name, amount in amounts.items() if amount}
    return InstanceSpec(
        *(f"i-{number:017x}", at_ms, resources, attributes, price, provider),
        image_pull_behavior=group.image_pull_behavior,
        cached_images=group.cached_images,
        market=(market or "") if isinstance(group, CapacityProviderTable) and group.mixed else "",
    )
