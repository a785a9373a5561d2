"""Calls that end things, and that mark them, and parts of calls: beside those of `messages`.

Each is ECS's call of that name. Instances are named by our numbers. What makes no sense changes
nothing and is answered with CallRejected, whose `error` is the exception of ECS's API.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from stowplan.placement.messages.base import Message
from stowplan.placement.messages.capacity import CreateCapacityProvider, ManagedScaling
from stowplan.placement.times import default_ms

TOKEN_KEPT_MS = 24 * 3_600_000  # how long a client token stands for its call (ecs-semantics 8.3)
Pairs = tuple[tuple[str, str], ...]
TaggedKind = Literal[
    "cluster", "container-instance", "task", "service", "task-definition", "capacity-provider"
]


class ContainerOverride(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one container of a task has instead of its definition; None: as the definition says.

    `environment` are (name, value) pairs, added to the definition's or in place of them. Sizes are
    those of a container definition: CPU units, MiB. `resource_requirements` are (type, value)
    pairs, `environment_files` too; both replace those of the definition.
    """

    name: str
    command: tuple[str, ...] | None = None
    environment: Pairs = ()
    cpu: int | None = None
    memory: int | None = None
    memory_reservation: int | None = None
    resource_requirements: Pairs | None = None
    environment_files: Pairs | None = None


class CircuitBreaker(msgspec.Struct, frozen=True, omit_defaults=True):
    """ECS's `deploymentCircuitBreaker`, enabled: when a deployment has failed (ecs-semantics 5.4).

    `threshold_value`: tasks for COUNT, else per cent of the desired count.
    """

    rollback: bool = False
    reset_on_healthy_task: bool = True
    threshold_type: Literal["BOUNDED_PERCENT", "UNBOUNDED_PERCENT", "COUNT"] = "BOUNDED_PERCENT"
    threshold_value: int = 50


class LoadBalancer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The target group of a service, as far as it delays things; times in ms (ecs-semantics 5.3).

    A task's target is registered `registration_ms` after it is RUNNING. Its first check comes one
    `health_check_interval_ms` later. It passes from `ready_after_ms` after RUNNING on (ours; None:
    never). A new target must pass `initial_threshold`, one that has failed `unhealthy_threshold`
    must pass `healthy_threshold`. For `grace_period_ms` after RUNNING ECS ignores bad verdicts.
    `deregistration_delay_ms` lie between the end of a task's registration and its SIGTERM.
    """

    registration_ms: int = default_ms("registration")
    health_check_interval_ms: int = default_ms("target check")
    initial_threshold: int = default_ms("new target")
    healthy_threshold: int = default_ms("healthy threshold")
    unhealthy_threshold: int = default_ms("unhealthy threshold")
    grace_period_ms: int = default_ms("grace period")
    deregistration_delay_ms: int = default_ms("deregistration delay")
    ready_after_ms: int | None = 0


class UpdateTaskProtection(Message, frozen=True):
    """Service tasks are not to be stopped by scale-in or deployment, for so long or from now on
    again (ecs-semantics 5.6)."""

    tasks: tuple[int, ...]
    protection_enabled: bool = True
    expires_in_minutes: int = 120


class DeleteService(Message, frozen=True):
    """Stop a service's tasks and forget it; a REPLICA with a desired count above 0 needs `force`.

    It is DRAINING until the last of its tasks has stopped, then INACTIVE.
    """

    service: str
    force: bool = False


class StopServiceDeployment(Message, frozen=True):
    """End a rolling deployment that is IN_PROGRESS: leave tasks as they are, or roll back to what
    was last completed, whether a circuit breaker would or not (StopServiceDeployment)."""

    service: str
    deployment: str
    stop_type: Literal["ABORT", "ROLLBACK"] = "ROLLBACK"


class DeregisterContainerInstance(Message, frozen=True):
    """An instance leaves the cluster; with tasks that are to run only with `force`.

    These are stopped then, and services start others elsewhere. The machine itself goes on; its
    agent is given nothing more.
    """

    instance: int
    force: bool = False


class DeregisterTaskDefinition(Message, frozen=True):
    """A revision (`family:revision`) becomes INACTIVE: what runs of it goes on, services that have
    it keep it, and no other call may name it."""

    task_definition: str


class DeleteTaskDefinition(Message, frozen=True):
    """A revision that is INACTIVE is to be deleted: DELETE_IN_PROGRESS until nothing has it."""

    task_definition: str


class Attribute(msgspec.Struct, frozen=True, omit_defaults=True):
    """An attribute of a container instance; without a value it is only a name."""

    name: str
    instance: int
    value: str = ""


class PutAttributes(Message, frozen=True):
    """Add attributes to instances, or change their values; at most ten custom ones on each."""

    attributes: tuple[Attribute, ...]


class DeleteAttributes(Message, frozen=True):
    """Take attributes from instances, whatever their values."""

    attributes: tuple[Attribute, ...]


class UpdateCapacityProvider(Message, frozen=True):
    """Change what is given of a capacity provider; its group's sizes stay what they are.

    `without_scaling`: managed scaling is DISABLED.
    """

    capacity_provider: str
    managed_scaling: ManagedScaling | None = None
    managed_termination_protection: bool | None = None
    managed_draining: bool | None = None
    without_scaling: bool = False

    def applied_to(self, provider: CreateCapacityProvider) -> CreateCapacityProvider:
        """The configuration that a capacity provider has after this call."""
        scaling, protects = self.managed_scaling, self.managed_termination_protection
        if scaling is not None:
            provider = msgspec.structs.replace(provider, managed_scaling=scaling)
        if protects is not None:
            provider = msgspec.structs.replace(provider, managed_termination_protection=protects)
        if self.managed_draining is not None:
            provider = msgspec.structs.replace(provider, managed_draining=self.managed_draining)
        if self.without_scaling:
            provider = msgspec.structs.replace(provider, managed_scaling=None)
        return provider


class DeleteCapacityProvider(Message, frozen=True):
    """Forget a capacity provider that no strategy names; its group and instances stay."""

    capacity_provider: str


class TagResource(Message, frozen=True):
    """Add tags, (key, value) pairs, to a resource, or change their values.

    `name`: of an instance or a task its number, of the cluster "", of others their name.
    """

    kind: TaggedKind
    name: str
    tags: Pairs


class UntagResource(Message, frozen=True):
    """Take tags from a resource, by their keys."""

    kind: TaggedKind
    name: str
    keys: tuple[str, ...]


class DeleteCluster(Message, frozen=True):
    """The cluster becomes INACTIVE; it must hold no service, instance or task. Calls about it find
    no cluster from then on."""
