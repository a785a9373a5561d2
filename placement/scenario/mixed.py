"""An Auto Scaling group of several types and both markets: its MixedInstancesPolicy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stowplan.placement.scenario.fields import Count, Number, Percent, Positive, Table

Choice = Literal["included", "excluded", "required"]
Amount = Annotated[Number, Field(ge=0)]


class Range(Table):
    """A number of at least `min`, and of at most `max` if that is given."""

    min: Amount = 0.0
    max: Amount | None = None

    def holds(self, value: float) -> bool:
        """Whether a value lies in it."""
        return self.min <= value and (self.max is None or value <= self.max)


class RequirementsTable(Table):
    """EC2's InstanceRequirements: the group may launch every type of EC2 that has all of it.

    Defaults are EC2's, but for `architecture`, which EC2 takes from the machine image. The last two
    are its price protection: how much dearer than the cheapest type of a current c, m or r.
    """

    vcpu_count: Range
    memory_mib: Range
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    memory_gib_per_vcpu: Range = Range()
    cpu_manufacturers: tuple[Literal["intel", "amd", "amazon-web-services"], ...] = ()
    allowed_instance_types: tuple[str, ...] = ()
    excluded_instance_types: tuple[str, ...] = ()
    instance_generations: tuple[Literal["current", "previous"], ...] = ()
    bare_metal: Choice = "excluded"
    burstable_performance: Choice = "excluded"
    require_hibernate_support: bool = False
    local_storage: Choice = "included"
    local_storage_types: tuple[Literal["hdd", "ssd"], ...] = ()
    total_local_storage_gb: Range = Range()
    baseline_ebs_bandwidth_mbps: Range = Range()
    network_bandwidth_gbps: Range = Range()
    network_interface_count: Range = Range()
    accelerator_types: tuple[Literal["gpu", "fpga", "inference"], ...] = ()
    accelerator_count: Range | None = None
    accelerator_manufacturers: tuple[str, ...] = ()
    accelerator_names: tuple[str, ...] = ()
    accelerator_total_memory_mib: Range = Range()
    on_demand_max_price_percentage_over_lowest_price: Count = 20
    spot_max_price_percentage_over_lowest_price: Count = 100


class MixedInstancesTable(Table):
    """How a group of several types chooses (EC2's InstancesDistribution, and its overrides).

    Args:
        weights: by type, what an instance counts in the group's sizes; default 1.
        spot_discounts: by type, per cent; default: the group's `discount_percent`.
        spare: by type, how many spot instances EC2 has to spare in a zone: ours, as AWS tells
            nobody. What the two capacity strategies go by; the same of each by default.
        requirements: in place of `instance_types`.
    """

    on_demand_base_capacity: Count = 0
    on_demand_percentage_above_base_capacity: Percent = 100
    on_demand_allocation_strategy: Literal["prioritized", "lowest-price"] = "prioritized"
    spot_allocation_strategy: Literal[
        "lowest-price",
        "price-capacity-optimized",
        "capacity-optimized",
        "capacity-optimized-prioritized",
    ] = "lowest-price"
    spot_instance_pools: Positive = 2
    weights: dict[str, Positive] = {}
    spot_discounts: dict[str, Percent] = {}
    spare: dict[str, Count] = {}
    requirements: RequirementsTable | None = None

    def weight(self, instance_type: str) -> int:
        """What an instance of a type counts."""
        return self.weights.get(instance_type, 1)

    def on_demand_of(self, capacity: int) -> int:
        """How much of a capacity is on demand: the base, and the share above it, rounded up."""
        above = max(0, capacity - self.on_demand_base_capacity)
        share = -(-above * self.on_demand_percentage_above_base_capacity // 100)
        return min(capacity, self.on_demand_base_capacity) + share
