"""Messages about capacity: capacity providers, their Auto Scaling groups, calls that are throttled.

An Auto Scaling group knows EC2 instances by their ids, also before they register and after they
are gone, so these messages do too; what is of the container instance goes by its number.
"""

from __future__ import annotations

import msgspec

from stowplan.placement.messages.base import Message


class CapacityProviderStrategyItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item of a capacityProviderStrategy (ecs-semantics 6.6); `base` on one item only."""

    capacity_provider: str
    weight: int = 0
    base: int = 0


CapacityProviderStrategy = tuple[CapacityProviderStrategyItem, ...]


class ManagedScaling(msgspec.Struct, frozen=True, omit_defaults=True):
    """ECS's `managedScaling`, enabled; step sizes bound scale-out (ecs-semantics 6.1).

    `scale_in_minutes` is ours: how long the metric must be low, and how long after a scale-out it
    is not looked at. ECS has 15 for both, as a fixed value.
    """

    target_capacity: int = 100
    minimum_scaling_step_size: int = 1
    maximum_scaling_step_size: int = 10_000
    instance_warmup_ms: int = 300_000
    scale_in_minutes: int = 15


class LaunchTemplate(msgspec.Struct, frozen=True):
    """What an instance will register that an Auto Scaling group may launch, zone apart."""

    resources: dict[str, int]
    attributes: dict[str, str]


# --- events: API calls ---------------------------------------------------------------------------


class CreateCapacityProvider(Message, frozen=True):
    """A capacity provider and the Auto Scaling group that it wraps, as it is when it is wrapped.

    Without `managed_scaling` tasks do not wait for it, and ECS does not change its size. Of a group
    that nobody here knows there is its ARN, `auto_scaling_group`, and no templates, zones or sizes:
    tasks wait for it, and its size is left alone.
    """

    capacity_provider: str
    launch_templates: tuple[LaunchTemplate, ...]
    zones: tuple[str, ...]
    max_size: int
    min_size: int = 0
    desired_capacity: int = 0
    managed_scaling: ManagedScaling | None = None
    managed_termination_protection: bool = False
    managed_draining: bool = True
    auto_scaling_group: str = ""


class PutClusterCapacityProviders(Message, frozen=True):
    """The strategy of calls that name none; what exists is left as it is.

    `capacity_providers`: those that the cluster has from now on, only to be described; None: all
    that were created in it.
    """

    default_capacity_provider_strategy: CapacityProviderStrategy
    capacity_providers: tuple[str, ...] | None = None


# --- events: what the world reports --------------------------------------------------------------


ON_DEMAND, SPOT = "on-demand", "spot"


class LaunchedInstance(msgspec.Struct, frozen=True, omit_defaults=True):
    """An EC2 instance that is running, and paid for, from now on."""

    ec2_instance_id: str
    instance_type: str
    zone: str
    price_microusd_hour: int
    market: str = ON_DEMAND


class InstancesLaunched(Message, frozen=True):
    """The Auto Scaling group of a capacity provider launched these; they register later."""

    capacity_provider: str
    instances: tuple[LaunchedInstance, ...]


class LaunchFailed(Message, frozen=True):
    """So many launches came to nothing, by an error code of EC2; the group tries again itself."""

    capacity_provider: str
    count: int
    reason: str


class InstancesTerminating(Message, frozen=True):
    """The group wants to terminate these and waits for CompleteTermination: a lifecycle hook."""

    ec2_instance_ids: tuple[str, ...]
    reason: str


class InstancesTerminated(Message, frozen=True):
    """These EC2 instances of a group are gone, and paid for no longer."""

    ec2_instance_ids: tuple[str, ...]


class CallThrottled(Message, frozen=True):
    """A call was refused with ThrottlingException and changed nothing; its client tries again.

    Of a RunTask: its request, how many tasks, and whose.
    """

    action: str
    request: int | None = None
    count: int = 0
    started_by: str = ""


# --- commands ------------------------------------------------------------------------------------


class SetDesiredCapacity(Message, frozen=True):
    """The Auto Scaling group of a capacity provider shall have so many instances."""

    capacity_provider: str
    desired_capacity: int


class SetInstanceProtection(Message, frozen=True):
    """Protect instances of the group from scale-in, or no longer; new ones are protected."""

    capacity_provider: str
    ec2_instance_ids: tuple[str, ...]
    protected_from_scale_in: bool


class CompleteTermination(Message, frozen=True):
    """Nothing keeps these instances any more: the group may go on to terminate them."""

    ec2_instance_ids: tuple[str, ...]


class CapacityProviderReservation(Message, frozen=True):
    """A notice: the metric of a minute, M (`needed`) and N (`running`) (ecs-semantics 6.3)."""

    capacity_provider: str
    needed: int
    running: int
    desired_capacity: int
    percent: float
