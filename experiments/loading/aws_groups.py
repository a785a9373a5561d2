"""Capacity providers and their Auto Scaling groups, as far as a scenario can say them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from typing import Any

from stowplan.experiments.loading.aws_draft import Row
from stowplan.experiments.loading.aws_fleet import Machine
from stowplan.experiments.loading.aws_item import Item, Notes
from stowplan.experiments.loading.aws_mixed import Facts, mixed_of, weight_of
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
        facts = Facts(name, group, mine, notes)
        row = _row(facts, {*types, *instance_types()}, of_group)
        if row is not None:
            rows.append(row)
    known = {item.text("name") for item in output.all("capacity provider")}
    for each in sorted((listed | {machine.provider for machine in machines}) - {"", *FARGATE}):
        if each not in known:
            what = "capacity providers not found (aws ecs describe-capacity-providers): their "
            notes.add(what + "instances are a fleet of fixed size", each)
    return rows


def _row(facts: Facts, known: Collection[str], of_group: Item) -> Row | None:
    name, notes = facts.name, facts.notes
    types = _types(facts, known)
    managed = of_group.inner("managedScaling").text("status", "DISABLED") == "ENABLED"
    zones = facts.group.texts("AvailabilityZones") if facts.group else []
    zones = sorted(zones or {each.zone for each in facts.machines})
    low, desired, high = _sizes(facts, managed)
    if not types or not zones or high < 1:
        why = "no type is known" if not types else "no zone is known" if not zones else "MaxSize 0"
        notes.add(f"capacity providers left out, as of their groups {why}", name)
        return None
    if facts.machines and all(each.zone in zones for each in facts.machines):
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
    values |= mixed_of(facts, types, managed)
    if "requirements" in values.get("mixed", {}):
        del values["instance_types"]
    if common := _common(facts):
        values["attributes"] = common
    if facts.machines and all(each.trunking for each in facts.machines):
        values["awsvpc_trunking"] = True
    values |= _managed(of_group)
    values |= _there(facts, zones)
    return Row(values)


def _there(facts: Facts, zones: list[str]) -> dict[str, Any]:
    """The group's instances that tasks can run on, by name."""
    odd = [m.name for m in facts.machines if m.zone not in zones]
    if odd:
        what = "instances in zones that their groups have no longer: groups begin without "
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


def _types(facts: Facts, known: Collection[str]) -> list[str]:
    """The types in the order of the policy, then in that of how many run."""
    running = Counter(each.text("InstanceType") for each in facts.instances)
    running = running or Counter(each.type for each in facts.machines)
    listed = [each.text("InstanceType") for each in facts.overrides if "InstanceType" in each.body]
    there = list(dict.fromkeys([*listed, *(kind for kind, _ in running.most_common() if kind)]))
    if unknown := [kind for kind in there if kind not in known]:
        facts.notes.add("types of groups left out, as nothing says their size", *unknown)
    return [kind for kind in there if kind in known]


def _market(facts: Facts) -> str:
    """The market of a group without a policy: spot where all of its instances are."""
    every = {each.market for each in facts.machines}
    return "spot" if every == {"spot"} and not facts.policy.body else "on-demand"


def _sizes(facts: Facts, managed: bool) -> tuple[int, int, int]:
    """Instances at least, now, and at most; of a group with weights its sizes are divided."""
    there = len(facts.instances) or len(facts.machines)
    if not managed:
        there = sum(weight_of(each) for each in facts.instances) or there
    if facts.group is None:
        return 0, there, there
    unit = _unit(facts, managed)
    high = math.ceil(facts.group.whole("MaxSize", 0) / unit)
    low = min(math.ceil(facts.group.whole("MinSize", 0) / unit), high)
    desired = there or math.ceil(facts.group.whole("DesiredCapacity", 0) / unit)
    if not low <= desired <= high:
        what = "groups that are not of a size from MinSize to MaxSize now: the nearest counts"
        facts.notes.add(what, facts.name)
    return low, min(max(desired, low), high), high


def _unit(facts: Facts, managed: bool) -> float:
    """What an instance counts in the group's sizes: the mean weight of those there are, where the
    scenario cannot keep weights."""
    if not managed:
        return 1
    weights = [weight_of(each) for each in (facts.instances or facts.overrides)]
    if not weights or set(weights) == {1}:
        return 1
    what = "groups with weights, of which ECS has no managed scaling: their sizes are divided by "
    what += "the mean weight of what runs now"
    facts.notes.add(what, facts.name)
    return max(1, sum(weights) / len(weights))


def _common(facts: Facts) -> dict[str, str]:
    """The attributes that all instances of the group have."""
    if not facts.machines:
        return {}
    each = [set(machine.attributes) for machine in facts.machines]
    common = set.intersection(*each)
    if set.union(*each) != common:
        what = "capacity providers whose instances differ in attributes: what all have counts"
        facts.notes.add(what, facts.name)
    return dict(sorted(common))
