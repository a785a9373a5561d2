"""Capacity providers in a scenario: Auto Scaling groups, their scaling, strategies over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from stowplan.placement import messages as m
from stowplan.placement.agent.settings import PullBehavior
from stowplan.placement.model import AVAILABILITY_ZONE
from stowplan.placement.scenario.fields import Count, Duration, Percent, Positive, Table
from stowplan.placement.scenario.mixed import MixedInstancesTable


class StrategyItem(Table):
    """An item of a capacity provider strategy; `base` on one item only."""

    capacity_provider: str
    weight: Annotated[int, Field(ge=0, le=1_000, strict=True)] = 1
    base: Annotated[int, Field(ge=0, le=100_000, strict=True)] = 0


CapacityStrategy = tuple[StrategyItem, ...]


class ManagedScalingTable(Table):
    """Managed scaling, enabled; see `messages.ManagedScaling`. `scale_in_minutes` is ours."""

    target_capacity: Annotated[int, Field(ge=1, le=100, strict=True)] = 100
    minimum_scaling_step_size: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 1
    maximum_scaling_step_size: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 10_000
    instance_warmup: Duration = 300_000
    scale_in_minutes: Annotated[int, Field(ge=1, le=1_440, strict=True)] = 15


class GroupInstance(Table):
    """An instance that a group has at 0 s."""

    ec2_instance_id: str
    instance_type: str
    zone: str
    market: Literal["on-demand", "spot"] = "on-demand"


class CapacityProviderTable(Table):
    """A capacity provider and its Auto Scaling group.

    Args:
        instance_types: the group launches the first of these that EC2 has.
        zones: the group keeps them even.
        desired_size: what it begins with; default: `min_size`, or as many as there are `instances`.
        instances: of `desired_size`, those that are there at 0 s, by their EC2 ids.
        mixed: how it chooses among the types and both markets; default: as `instance_types` says.
        market: spot instances cost `discount_percent` less than the type's price.
        managed_scaling: false: tasks do not wait for it, and it stays as it is.
    """

    name: str
    instance_types: Annotated[tuple[str, ...], Field(min_length=1)]
    zones: Annotated[tuple[str, ...], Field(min_length=1)]
    max_size: Positive
    min_size: Count = 0
    desired_size: Count | None = None
    instances: tuple[GroupInstance, ...] = ()
    market: Literal["on-demand", "spot"] = "on-demand"
    discount_percent: Percent = 0
    mixed: MixedInstancesTable | None = None
    attributes: dict[str, str] = {}
    resources: dict[str, Count] = {}
    awsvpc_trunking: bool = False
    image_pull_behavior: PullBehavior = "default"
    cached_images: tuple[str, ...] = ()
    managed_scaling: ManagedScalingTable | Literal[False] = ManagedScalingTable()
    managed_termination_protection: bool = False
    managed_draining: bool = True

    @property
    def first_size(self) -> int:
        """How many instances the group begins with."""
        if self.desired_size is not None:
            return self.desired_size
        return len(self.instances) or self.min_size


def spot_price(table: CapacityProviderTable, instance_type: str, price: int) -> int:
    """What an instance costs on spot, of its price on demand."""
    discounts: Mapping[str, int] = table.mixed.spot_discounts if table.mixed else {}
    return price * (100 - discounts.get(instance_type, table.discount_percent)) // 100


def strategy_of(items: CapacityStrategy | None) -> m.CapacityProviderStrategy | None:
    """A strategy as calls carry it; None stands for the cluster's default."""
    if items is None:
        return None
    return tuple(
        m.CapacityProviderStrategyItem(item.capacity_provider, item.weight, item.base)
        for item in items
    )


def creation(
    table: CapacityProviderTable,
    registers: Iterable[tuple[Mapping[str, int], Mapping[str, str]]],
) -> m.CreateCapacityProvider:
    """The call that creates a capacity provider.

    Args:
        registers: resources and attributes of an instance of each of its types.
    """
    templates = []
    for resources, attributes in registers:
        plain = {key: value for key, value in attributes.items() if key != AVAILABILITY_ZONE}
        templates.append(m.LaunchTemplate(dict(resources), plain))
    managed = table.managed_scaling
    scaling = None
    if managed is not False:
        scaling = m.ManagedScaling(
            managed.target_capacity,
            managed.minimum_scaling_step_size,
            managed.maximum_scaling_step_size,
            managed.instance_warmup,
            managed.scale_in_minutes,
        )
    return m.CreateCapacityProvider(
        table.name,
        tuple(templates),
        table.zones,
        table.max_size,
        table.min_size,
        table.first_size,
        scaling,
        table.managed_termination_protection,
        table.managed_draining,
    )
