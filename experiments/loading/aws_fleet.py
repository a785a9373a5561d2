"""The container instances of a cluster: from describe's output to groups of a scenario's fleet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stowplan.experiments.loading.aws_draft import Row
from stowplan.experiments.loading.aws_item import Item, Notes
from stowplan.experiments.loading.aws_output import AwsOutput
from stowplan.experiments.loading.catalogue import instance_types
from stowplan.placement.model import AVAILABILITY_ZONE, CPU_ARCHITECTURE, INSTANCE_TYPE
from stowplan.placement.scenario.scenario import TRUNK_ID, InstanceTypeTable
from stowplan.placement.taskdef.capabilities import AGENT_CAPABILITIES

OS_TYPE = "ecs.os-type"
ENI_SLOTS_LEAST = 2  # of the smallest types that AWS lists, without trunking
_OF_AWS = ("ecs.", "com.amazonaws.")
_SAID_ELSEWHERE = {AVAILABILITY_ZONE, INSTANCE_TYPE, CPU_ARCHITECTURE, TRUNK_ID}


@dataclass(frozen=True)
class Machine:
    """A container instance that can be given tasks; `attributes` are those to keep."""

    name: str
    type: str
    zone: str
    subnet: str
    provider: str
    market: str
    amounts: tuple[tuple[str, int], ...]
    attributes: tuple[tuple[str, str], ...]
    architecture: str
    trunking: bool


def machines_of(output: AwsOutput, wanted: Collection[str], notes: Notes) -> list[Machine]:
    """The instances that ECS would place on now; of others it is noted that they are left out.

    Args:
        wanted: attributes of AWS's own that constraints, strategies or definitions ask for.
    """
    ec2 = {item.text("InstanceId"): item for item in output.all("instance")}
    groups = _providers_of(output)
    found = []
    for item in output.all("container instance"):
        name = name_of(item)
        status = item.text("status", "ACTIVE")
        if status != "ACTIVE":
            notes.add(f"instances left out, as they are {status}", name)
        elif not item.flag("agentConnected", True):
            notes.add("instances left out, as their agents are not connected", name)
        else:
            blank = Item({}, item.place, item.problems)
            found.append(_machine(item, ec2.get(name, blank), groups.get(name, ""), wanted, notes))
    if not found:
        notes.add("no container instances found (aws ecs describe-container-instances)")
    elif not ec2:
        what = "no EC2 instances found (aws ec2 describe-instances): all count as on demand, "
        notes.add(what + "unless their group says spot")
    strangers = ec2.keys() - {
        item.text("ec2InstanceId") for item in output.all("container instance")
    }
    if strangers and found:
        notes.add(
            "EC2 instances passed over, as they are no container instances", *sorted(strangers)
        )
    return found


def name_of(item: Item) -> str:
    """What a container instance is called: its EC2 id, else its own."""
    return item.text("ec2InstanceId") or item.text("containerInstanceArn").rpartition("/")[2]


def _providers_of(output: AwsOutput) -> dict[str, str]:
    """The capacity provider of each EC2 instance, by the group that it is in."""
    found = {}
    for provider in output.all("capacity provider"):
        arn = provider.inner("autoScalingGroupProvider").text("autoScalingGroupArn")
        group = output.found.get("group", {}).get(arn.rpartition("/")[2])
        for instance in group.items("Instances") if group else ():
            found[instance.text("InstanceId")] = provider.text("name")
    return found


def _machine(
    item: Item, ec2: Item, provider: str, wanted: Collection[str], notes: Notes
) -> Machine:
    all_attributes = {each.text("name"): each.text("value") for each in item.items("attributes")}
    amounts = dict(_amounts(item))
    for needed in ("CPU", "MEMORY"):
        if not amounts.get(needed):
            item.wrong("registeredResources", f"has no {needed}")
    size = f"{amounts.get('CPU', 0)}-cpu-{amounts.get('MEMORY', 0)}-mib"
    name = name_of(item)
    kind = all_attributes.get(INSTANCE_TYPE) or ec2.text("InstanceType")
    zone = all_attributes.get(AVAILABILITY_ZONE)
    zone = zone or ec2.inner("Placement").text("AvailabilityZone")
    if not kind:
        notes.add("instances of a type that nothing says; named by their size", name)
    if not zone:
        notes.add("instances in a zone that nothing says; taken for one, `unknown`", name)
    kept = {key: value for key, value in all_attributes.items() if _kept(key, value, wanted)}
    return Machine(
        name,
        kind or size,
        zone or "unknown",
        all_attributes.get("ecs.subnet-id") or ec2.text("SubnetId"),
        item.text("capacityProviderName") or provider,
        "spot" if ec2.text("InstanceLifecycle") == "spot" else "on-demand",
        tuple(sorted(amounts.items())),
        tuple(sorted(kept.items())),
        all_attributes.get(CPU_ARCHITECTURE, "x86_64"),
        TRUNK_ID in all_attributes,
    )


def _kept(name: str, value: str, wanted: Collection[str]) -> bool:
    if name in _SAID_ELSEWHERE or name in AGENT_CAPABILITIES:
        return False
    if name == OS_TYPE:
        return value != "linux"
    return not name.startswith(_OF_AWS) or name in wanted


def _amounts(item: Item) -> Iterator[tuple[str, int]]:
    for each in item.items("registeredResources"):
        name = each.text("name")
        if name in ("CPU", "MEMORY"):
            yield name, each.whole("integerValue", 0)
        elif name == "GPU":
            yield name, len(each.texts("stringSetValue")) or each.whole("integerValue", 0)


def types_of(
    machines: list[Machine], enis: Mapping[str, int], region: str, notes: Notes
) -> dict[str, Row]:
    """What instances of each type register here, where the catalogue says otherwise or nothing.

    Args:
        enis: tasks in network mode awsvpc that ran on an instance at most, by its type.
    """
    rows = {}
    for name in sorted({each.type for each in machines}):
        same = [each for each in machines if each.type == name]
        amounts, known = _usual(same), instance_types(region).get(name)
        if known is None:
            slots = max(ENI_SLOTS_LEAST, enis.get(name, 0))
            rows[name] = Row(
                {**_sizes(amounts), "eni_slots": slots, "architecture": same[0].architecture},
                ("Not in the catalogue: eni_slots is a guess, and there is no price.",),
            )
            what = "types that the catalogue does not have: price 0, eni_slots guessed; write both "
            notes.add(what + "under [instance_types]", name)
        elif (known.cpu, known.memory, known.gpus) != tuple(_sizes(amounts).values()):
            rows[name] = _as_registered(known, amounts)
            notes.add("types whose instances register another size here; theirs counts", name)
    if machines:
        notes.add(f"prices: on demand, Linux, as `stowplan types --region {region}` has them")
    return rows


def _usual(same: list[Machine]) -> dict[str, int]:
    """What most instances of a type register."""
    return dict(Counter(each.amounts for each in same).most_common(1)[0][0])


def _sizes(amounts: Mapping[str, int]) -> dict[str, int]:
    return {
        "cpu": amounts.get("CPU", 0),
        "memory": amounts.get("MEMORY", 0),
        "gpus": amounts.get("GPU", 0),
    }


def _as_registered(known: InstanceTypeTable, amounts: Mapping[str, int]) -> Row:
    values = known.model_dump(exclude_none=True, exclude={"resources"}) | _sizes(amounts)
    return Row(values, ("As these instances register; the rest is the catalogue's.",))


def fleet_of(machines: list[Machine], providers: Collection[str], notes: Notes) -> list[Row]:
    """Groups of equal instances, without those that a provider of the scenario launches."""
    groups: dict[tuple[Any, ...], list[Machine]] = {}
    for each in machines:
        if each.provider not in providers:
            key = (each.type, each.provider, each.market, each.attributes, each.trunking)
            groups.setdefault((*key, each.amounts), []).append(each)
    rows: list[Row] = []
    names: Counter[str] = Counter()
    for _, same in sorted(groups.items()):
        kind = same[0].type
        names[kind] += 1
        name = kind if names[kind] == 1 else f"{kind}-{names[kind]}"
        usual = _usual([each for each in machines if each.type == kind])
        for zone in sorted({each.zone for each in same}):
            names_there = [each.name for each in same if each.zone == zone]
            rows.append(_group(f"{name}-{zone}", same[0], zone, names_there, usual))
        if same[0].market == "spot":
            what = "instances on spot outside of a capacity provider: at the price on demand"
            notes.add(what, *(each.name for each in same))
    return rows


def _group(name: str, like: Machine, zone: str, ids: list[str], usual: Mapping[str, int]) -> Row:
    values: dict[str, Any] = {"name": name, "instance_type": like.type, "count": len(ids)}
    values |= {"zones": [zone], "ec2_instance_ids": ids}
    if like.attributes:
        values["attributes"] = dict(like.attributes)
    if other := {key: n for key, n in like.amounts if n != usual.get(key)}:
        values["resources"] = other
    if like.provider:
        values["capacity_provider"] = like.provider
    if like.trunking:
        values["awsvpc_trunking"] = True
    return Row(values, ("on spot, at the price on demand",) if like.market == "spot" else ())
