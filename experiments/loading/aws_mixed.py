"""The MixedInstancesPolicy of an Auto Scaling group, in the words of a scenario."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from stowplan.experiments.loading.aws_fleet import Machine
from stowplan.experiments.loading.aws_item import Item, Notes
from stowplan.placement.scenario.mixed import MixedInstancesTable

_GONE = ("Terminating", "Terminated", "Detaching", "Detached")
_STRATEGIES = {
    f"{key}_allocation_strategy": get_args(
        MixedInstancesTable.model_fields[f"{key}_allocation_strategy"].annotation
    )
    for key in ("on_demand", "spot")
}
# Of EC2's InstanceRequirements, the names that are no plain CamelCase.
_SPELT = {
    "VCpuCount": "vcpu_count",
    "MemoryMiB": "memory_mib",
    "MemoryGiBPerVCpu": "memory_gib_per_vcpu",
    "TotalLocalStorageGB": "total_local_storage_gb",
    "AcceleratorTotalMemoryMiB": "accelerator_total_memory_mib",
}


@dataclass(frozen=True)
class Facts:
    """A capacity provider, its Auto Scaling group, and the instances that ECS knows of it."""

    name: str
    group: Item | None
    machines: list[Machine]
    notes: Notes

    @property
    def instances(self) -> list[Item]:
        """The instances of the group, without those that go."""
        listed = self.group.items("Instances") if self.group else ()
        return [i for i in listed if not i.text("LifecycleState").startswith(_GONE)]

    @property
    def policy(self) -> Item:
        """The group's MixedInstancesPolicy; empty where it has none."""
        blank = Item({}, "", [])
        return self.group.inner("MixedInstancesPolicy") if self.group else blank

    @property
    def distribution(self) -> Item:
        """Shares on demand and on spot, and how types are chosen."""
        return self.policy.inner("InstancesDistribution")

    @property
    def overrides(self) -> list[Item]:
        """The types of the policy."""
        return list(self.policy.inner("LaunchTemplate").items("Overrides"))


def mixed_of(facts: Facts, types: list[str], managed: bool) -> dict[str, Any]:
    """`mixed` of the capacity provider; nothing where the group has no policy.

    Args:
        types: those of the group that are known.
        managed: by ECS, which has no managed scaling for groups with weights.
    """
    if not facts.policy.body:
        return {}
    by_attributes = [each for each in facts.overrides if "InstanceRequirements" in each.body]
    default = "lowest-price" if by_attributes else "prioritized"
    of = facts.distribution
    share = of.whole("OnDemandPercentageAboveBaseCapacity", 100, 0, 100)
    values: dict[str, Any] = {
        "on_demand_base_capacity": of.whole("OnDemandBaseCapacity", 0),
        "on_demand_percentage_above_base_capacity": share,
        "on_demand_allocation_strategy": of.text("OnDemandAllocationStrategy", default),
        "spot_allocation_strategy": of.text("SpotAllocationStrategy", "lowest-price"),
    }
    for key, known in _STRATEGIES.items():
        if values[key] not in known:
            what = f"allocation strategies that a scenario does not have: {known[0]} in their place"
            facts.notes.add(what, f"{facts.name} ({values[key]})")
            values[key] = known[0]
    if pools := of.whole("SpotInstancePools", 0):
        values["spot_instance_pools"] = pools
    weights = {each.text("InstanceType"): weight_of(each) for each in facts.overrides}
    weights = {kind: n for kind, n in weights.items() if kind in types and n != 1}
    if weights and not managed:
        values["weights"] = weights
    if share < 100:
        what = "spot prices are not in the files: discount_percent is 0; write yours there, or by "
        facts.notes.add(what + "type in spot_discounts", facts.name)
        if "capacity" in str(values["spot_allocation_strategy"]):
            what = "how much EC2 has to spare nobody knows: spot goes by `spare`, as if that were "
            facts.notes.add(what + "the same of each type", facts.name)
    if by_attributes:
        values["requirements"] = _requirements(by_attributes[0].inner("InstanceRequirements"))
        facts.notes.add(
            "groups that choose types by attributes: those of the architecture of most instances",
            facts.name,
        )
        arms = sum(each.architecture == "arm64" for each in facts.machines)
        if arms * 2 > len(facts.machines):
            values["requirements"]["architecture"] = "arm64"
        if len(by_attributes) > 1:
            facts.notes.add("groups of several requirements: the first count", facts.name)
    return {"mixed": values}


def _requirements(item: Item) -> dict[str, Any]:
    """InstanceRequirements by our names: `VCpuCount` is `vcpu_count`, `Min` is `min`."""
    found: dict[str, Any] = {}
    for key, value in item.body.items():
        name = _SPELT.get(key) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()
        found[name] = value
        if isinstance(value, Mapping):
            found[name] = {inner.lower(): float(number) for inner, number in value.items()}
    return found


def weight_of(item: Item) -> int:
    """What an instance, or one of an override's type, counts in the sizes of its group."""
    weight = item.text("WeightedCapacity", "1")
    if weight.isdecimal() and int(weight) > 0:
        return int(weight)
    item.wrong("WeightedCapacity", f"expected a whole number as text, found {weight!r}")
    return 1
