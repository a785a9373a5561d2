"""Attribute-based selection: the types of EC2 that have what a group's requirements ask for."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from pydantic import ValidationError

from stowplan.experiments.loading.aws_item import Problems
from stowplan.experiments.loading.catalogue import Listed, is_offered, listed_types
from stowplan.placement.scenario.mixed import Choice, RequirementsTable

# EC2's price protection compares with the cheapest of these.
_GENERAL = ("c", "m", "r")
_MAKERS = {"intel": "Intel", "amd": "AMD", "amazon-web-services": "AWS"}
_MIB = 1024


def types_of_requirements(
    requirements: RequirementsTable, region: str, on_spot: bool
) -> tuple[str, ...]:
    """The types on offer in a region, by price; those without a known price are left out.

    Args:
        on_spot: whether the group launches on spot, of which the price protection is wider.
    """
    kinds = [each for each in listed_types(region) if each.priced and is_offered(each, region)]
    found = [each for each in kinds if _fits(requirements, each)]
    prices = [_price(each) for each in found if each.klass in _GENERAL and each.current]
    over = requirements.on_demand_max_price_percentage_over_lowest_price
    if on_spot:
        over = max(over, requirements.spot_max_price_percentage_over_lowest_price)
    if prices:
        found = [each for each in found if _price(each) * 100 <= min(prices) * (100 + over)]
    return tuple(each.name for each in sorted(found, key=lambda each: (_price(each), each.name)))


def _price(each: Listed) -> int:
    return each.registers.price_microusd_hour


def _fits(asked: RequirementsTable, each: Listed) -> bool:
    facts, vcpu = each.facts, each.registers.cpu // 1024
    generation = "current" if facts["current"] == "1" else "previous"
    disks, local = facts["local_kind"].split("+"), float(facts["local_gb"])
    return (
        each.registers.architecture == asked.architecture
        and asked.vcpu_count.holds(vcpu)
        and asked.memory_mib.holds(each.memory_mib)
        and asked.memory_gib_per_vcpu.holds(each.memory_mib / _MIB / vcpu)
        and facts["maker"] in ([_MAKERS[m] for m in asked.cpu_manufacturers] or [facts["maker"]])
        and (not asked.allowed_instance_types or _named(each.name, asked.allowed_instance_types))
        and not _named(each.name, asked.excluded_instance_types)
        and generation in (asked.instance_generations or (generation,))
        and _chosen(asked.bare_metal, facts["metal"] == "1")
        and _chosen(asked.burstable_performance, facts["burstable"] == "1")
        and (facts["hibernation"] == "1" or not asked.require_hibernate_support)
        and _chosen(asked.local_storage, local > 0)
        and (not asked.local_storage_types or bool({*disks} & {*asked.local_storage_types}))
        and asked.total_local_storage_gb.holds(local)
        and asked.baseline_ebs_bandwidth_mbps.holds(float(facts["ebs_mbps"]))
        and asked.network_bandwidth_gbps.holds(float(facts["network_gbps"]))
        and asked.network_interface_count.holds(int(facts["max_enis"]))
        and _accelerated(asked, facts)
    )


def _named(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _chosen(choice: Choice, has: bool) -> bool:
    return choice == "included" or (choice == "required") == has


def _accelerated(asked: RequirementsTable, facts: Mapping[str, str]) -> bool:
    """Without a word of accelerators EC2 takes types with and without."""
    count, memory = int(facts["acc_count"]), int(facts["acc_mib_each"])
    name, maker = (_spoken(facts[key]) for key in ("acc_name", "acc_maker"))
    return (
        (asked.accelerator_count is None or asked.accelerator_count.holds(count))
        and (not asked.accelerator_types or facts["accelerator"] in asked.accelerator_types)
        and (not asked.accelerator_names or name in asked.accelerator_names)
        and (not asked.accelerator_manufacturers or maker in asked.accelerator_manufacturers)
        and asked.accelerator_total_memory_mib.holds(count * memory)
    )


def _spoken(name: str) -> str:
    return name.lower().replace(" ", "-")


def take_requirements(document: dict[str, Any], region: str, problems: Problems, path: str) -> None:
    """Give groups with requirements the types that have them, as `instance_types`."""
    tables = document.get("capacity_provider")
    for index, table in enumerate(tables if isinstance(tables, list) else ()):
        mixed = table.get("mixed") if isinstance(table, dict) else None
        asked = mixed.get("requirements") if isinstance(mixed, dict) else None
        if not isinstance(asked, dict) or not isinstance(mixed, dict):
            continue
        place = f"{path}: capacity_provider[{index}]"
        if "instance_types" in table:
            what = "instance_types and requirements: give one of them"
            problems.append((f"{place}.instance_types", what))
            continue
        try:
            requirements = RequirementsTable.model_validate(asked)
        except ValidationError:
            table["instance_types"] = ["?"]  # what is wrong with the requirements is said below
            continue
        on_spot = mixed.get("on_demand_percentage_above_base_capacity", 100) != 100
        types = types_of_requirements(requirements, region, on_spot)
        if not types:
            what = f"no type of EC2 in {region} has all of it"
            problems.append((f"{place}.mixed.requirements", what))
        table["instance_types"] = list(types) or ["?"]
