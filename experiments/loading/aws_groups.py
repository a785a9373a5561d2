"""Capacity providers and their Auto Scaling groups, as far as a scenario can say them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from stowplan.experiments.loading.aws_draft import Row
from stowplan.experiments.loading.aws_fleet import Machine
from stowplan.experiments.loading.aws_item import Item, Notes
from stowplan.experiments.loading.aws_output import AwsOutput
from stowplan.experiments.loading.catalogue import instance_types

FARGATE = ("FARGATE", "FARGATE_SPOT")
_GONE = ("Terminating", "Terminated", "Detaching", "Detached")


def providers_of(
    output: AwsOutput, machines: list[Machine], types: Collection[str], notes: Notes
) -> list[Row]:
    """The capacity providers that a scenario can have; of the others it is noted why not.

    Args:
        types: instance types that are known beside those of the catalogue.
    """
    listed = {name for item in output.all("cluster") for name in item.texts("capacityProviders")}
    rows = []
    for item in output.all("capacity provider"):
        name, of_group = item.text("name"), item.inner("autoScalingGroupProvider")
        if name in FARGATE or (listed and name not in listed):
            continue
        if not of_group.body:
            notes.add("capacity providers left out, as they have no Auto Scaling group", name)
            continue
        group = output.found.get("group", {}).get(
            of_group.text("autoScalingGroupArn").rpartition("/")[2]
        )
        mine = [each for each in machines if each.provider == name]
        facts = _Facts(name, group, mine, notes)
        row = _row(facts, {*types, *instance_types()}, of_group)
        if row is not None:
            rows.append(row)
    known = {item.text("name") for item in output.all("capacity provider")}
    for each in sorted((listed | {machine.provider for machine in machines}) - {"", *FARGATE}):
        if each not in known:
            what = "capacity providers not found (aws ecs describe-capacity-providers): their "
            notes.add(what + "instances are a fleet of fixed size", each)
    return rows


@dataclass(frozen=True)
class _Facts:
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


def _row(facts: _Facts, known: Collection[str], of_group: Item) -> Row | None:
    name, notes = facts.name, facts.notes
    types = _types(facts, known)
    zones = facts.group.texts("AvailabilityZones") if facts.group else []
    zones = sorted(zones or {each.zone for each in facts.machines})
    low, desired, high = _sizes(facts)
    if not types or not zones or high < 1:
        why = "no type is known" if not types else "no zone is known" if not zones else "MaxSize 0"
        notes.add(f"capacity providers left out, as of their groups {why}", name)
        return None
    if facts.machines and all(each.type in types and each.zone in zones for each in facts.machines):
        desired, high = max(desired, len(facts.machines)), max(high, len(facts.machines))
    if facts.group is None:
        what = "capacity providers whose group was not found (aws autoscaling "
        what += "describe-auto-scaling-groups): max_size is what there is now, min_size 0"
        notes.add(what, name)
    values: dict[str, Any] = {"name": name, "instance_types": types, "zones": zones}
    values |= {"max_size": high, "min_size": low, "desired_size": desired}
    market = _market(facts)
    if market == "spot":
        values |= {"market": "spot", "discount_percent": 0}
        notes.add("spot prices are not in the files: discount_percent is 0", name)
    if common := _common(facts):
        values["attributes"] = common
    if facts.machines and all(each.trunking for each in facts.machines):
        values["awsvpc_trunking"] = True
    values |= _managed(of_group)
    values |= _there(facts, types, zones)
    return Row(values, _comments(facts))


def _there(facts: _Facts, types: list[str], zones: list[str]) -> dict[str, Any]:
    """The group's instances that tasks can run on, by name."""
    odd = [m.name for m in facts.machines if m.type not in types or m.zone not in zones]
    if odd:
        what = "instances of types or zones that their groups have no longer: groups begin without "
        facts.notes.add(what + "any by name, and tasks on them are placed anew", *odd)
        return {}
    rows = [
        {"ec2_instance_id": m.name, "instance_type": m.type, "zone": m.zone}
        | ({"market": m.market} if m.market == "spot" else {})
        for m in sorted(facts.machines, key=lambda machine: machine.name)
    ]
    return {"instances": rows} if rows else {}


def _managed(of_group: Item) -> dict[str, Any]:
    """Managed scaling, termination protection and draining."""
    scaling = of_group.inner("managedScaling")
    if scaling.text("status", "DISABLED") != "ENABLED":
        values: dict[str, Any] = {"managed_scaling": False}
    else:
        values = {
            "managed_scaling": {
                "target_capacity": scaling.whole("targetCapacity", 100, 1, 100),
                "minimum_scaling_step_size": scaling.whole("minimumScalingStepSize", 1, 1, 10_000),
                "maximum_scaling_step_size": scaling.whole(
                    "maximumScalingStepSize", 10_000, 1, 10_000
                ),
                "instance_warmup": f"{scaling.whole('instanceWarmupPeriod', 300, 0, 10_000)}s",
            }
        }
        if of_group.text("managedTerminationProtection") == "ENABLED":
            values["managed_termination_protection"] = True
    if of_group.text("managedDraining") == "DISABLED":
        values["managed_draining"] = False
    return values


def _types(facts: _Facts, known: Collection[str]) -> list[str]:
    """The types in the order in which the scenario's group is to try them."""
    running = Counter(each.text("InstanceType") for each in facts.instances)
    running = running or Counter(each.type for each in facts.machines)
    listed = [each.text("InstanceType") for each in facts.overrides if "InstanceType" in each.body]
    if any("InstanceRequirements" in each.body for each in facts.overrides):
        what = "groups that choose types by attributes: those that run now count, the most first"
        facts.notes.add(what, facts.name)
    there = list(dict.fromkeys([*listed, *(kind for kind, _ in running.most_common() if kind)]))
    if unknown := [kind for kind in there if kind not in known]:
        facts.notes.add("types of groups left out, as nothing says their size", *unknown)
    there = [kind for kind in there if kind in known]
    if len(there) < 2:
        return there
    spot = _market(facts) == "spot"
    strategy = facts.distribution.text(
        "SpotAllocationStrategy" if spot else "OnDemandAllocationStrategy", "lowest-price"
    )
    what = f"groups of several types ({strategy}): one launches the first that is to be had, in "
    if "prioritized" in strategy:
        facts.notes.add(what + "the order of the policy", facts.name)
    elif strategy == "lowest-price" and all(kind in instance_types() for kind in there):
        facts.notes.add(what + "the order of the price on demand", facts.name)
        there.sort(key=lambda kind: instance_types()[kind].price_microusd_hour)
    else:
        facts.notes.add(what + "the order of how many run now", facts.name)
        there.sort(key=lambda kind: -running[kind])
    return there


def _market(facts: _Facts) -> str:
    """The market of most of what the group launches."""
    base = facts.distribution.whole("OnDemandBaseCapacity", 0)
    share = facts.distribution.whole("OnDemandPercentageAboveBaseCapacity", 100, 0, 100)
    if share == 0 and base == 0:
        return "spot"
    if share == 100 or facts.group is None:
        every = {each.market for each in facts.machines}
        return "spot" if every == {"spot"} else "on-demand"
    _, desired, _ = _sizes(facts)
    spot = (desired - base) * (100 - share)
    market = "spot" if spot * 2 > desired * 100 else "on-demand"
    what = "groups partly on spot: all that one launches counts as of the market of most"
    facts.notes.add(what, facts.name)
    return market


def _sizes(facts: _Facts) -> tuple[int, int, int]:
    """Instances at least, now, and at most; of a group with weights its sizes are divided."""
    there = len(facts.instances) or len(facts.machines)
    if facts.group is None:
        return 0, there, there
    unit = _unit(facts)
    high = math.ceil(facts.group.whole("MaxSize", 0) / unit)
    low = min(math.ceil(facts.group.whole("MinSize", 0) / unit), high)
    desired = there or math.ceil(facts.group.whole("DesiredCapacity", 0) / unit)
    if not low <= desired <= high:
        what = "groups that are not of a size from MinSize to MaxSize now: the nearest counts"
        facts.notes.add(what, facts.name)
    return low, min(max(desired, low), high), high


def _unit(facts: _Facts) -> float:
    """What an instance counts in the group's sizes: the mean weight of those there are."""
    weights = [_weight(each) for each in (facts.instances or facts.overrides)]
    if not weights or set(weights) == {1}:
        return 1
    what = "groups with weights: their sizes are divided by the mean weight of what runs now"
    facts.notes.add(what, facts.name)
    return max(1, sum(weights) / len(weights))


def _weight(item: Item) -> int:
    weight = item.text("WeightedCapacity", "1")
    if weight.isdecimal() and int(weight) > 0:
        return int(weight)
    item.wrong("WeightedCapacity", f"expected a whole number as text, found {weight!r}")
    return 1


def _common(facts: _Facts) -> dict[str, str]:
    """The attributes that all instances of the group have."""
    if not facts.machines:
        return {}
    each = [set(machine.attributes) for machine in facts.machines]
    common = set.intersection(*each)
    if set.union(*each) != common:
        what = "capacity providers whose instances differ in attributes: what all have counts"
        facts.notes.add(what, facts.name)
    return dict(sorted(common))


def _comments(facts: _Facts) -> tuple[str, ...]:
    """What the group's policy says and the scenario does not."""
    if not facts.policy.body:
        return ()
    said = [
        f"{key} {facts.distribution.body[key]}"
        for key in (
            "OnDemandBaseCapacity",
            "OnDemandPercentageAboveBaseCapacity",
            "OnDemandAllocationStrategy",
            "SpotAllocationStrategy",
        )
        if facts.distribution.body.get(key) is not None
    ]
    types = " ".join(
        f"{each.text('InstanceType', 'by attributes')}"
        + (f" (weight {each.text('WeightedCapacity')})" if "WeightedCapacity" in each.body else "")
        for each in facts.overrides
    )
    return ("The group's policy, of which a scenario keeps the order of types:", types, *said)
