"""The calls that configure services: CreateService and UpdateService."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from stowplan.placement.messages.base import Message
from stowplan.placement.messages.capacity import CapacityProviderStrategy
from stowplan.placement.messages.rollouts import DeploymentAlarms, EarlySuccess, TrafficShift
from stowplan.placement.messages.upkeep import CircuitBreaker, LoadBalancer
from stowplan.placement.model import PlacementConstraint, PlacementStrategy


class CreateService(Message, frozen=True):
    """Keep `desired_count` tasks of a definition running, from now on.

    A DAEMON runs one on every ACTIVE instance that meets its constraints; its count, percents and
    capacity providers are not asked. `capacity_provider_strategy` is that of RunTask. `described`:
    members of ECS's call that change nothing here and are described again. `shift`, `alarms`,
    `early_success`: how its deployments go on and when they end; without them they are rolling.
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
    shift: TrafficShift | None = None
    alarms: DeploymentAlarms | None = None
    early_success: EarlySuccess | None = None

    @property
    def shifts(self) -> bool:
        """Whether its deployments move traffic from one revision to another: no ROLLING ones."""
        return self.shift is not None and self.shift.strategy != "ROLLING"

    @property
    def headless(self) -> bool:
        """Whether there is nothing that traffic could be moved by."""
        connected = self.shift is not None and self.shift.service_connect
        return self.load_balancer is None and not connected


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
    shift: TrafficShift | None = None
    alarms: DeploymentAlarms | None = None
    early_success: EarlySuccess | None = None

    def applied_to(self, service: CreateService) -> CreateService:
        """The configuration that a service has after this call."""
        given = {
            name: value
            for name in service.__struct_fields__
            if (value := getattr(self, name, None)) is not None
        }
        given["described"] = service.described | self.described
        return msgspec.structs.replace(service, **given)
