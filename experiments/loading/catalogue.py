"""The instance types that ship with stowplan, as ECS would register them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from stowplan.experiments.files.paths import DATA
from stowplan.placement.cluster.cluster import instance_strings
from stowplan.placement.engine.changes import Offer
from stowplan.placement.model import TaskKind
from stowplan.placement.scenario.scenario import FleetGroup, InstanceTypeTable, instance_spec

# Share of the nominal memory that agents register, where no observation is published for the
# type: middle of the observations by size (ecs-semantics 2.5). Xen types lose less.
_SHARE_BY_MIB = ((4096, 0.925), (32768, 0.945), (1 << 62, 0.96))
_SHARE_XEN = 0.97
_XEN_FAMILIES = ("t2", "m4")
_ARCHITECTURES: Mapping[str, Literal["x86_64", "arm64"]] = {"x86_64": "x86_64", "arm64": "arm64"}


def estimated_memory(instance_type: str, nominal_mib: int) -> int:
    """MiB that an instance of this type registers, estimated from its nominal memory."""
    if instance_type.split(".")[0] in _XEN_FAMILIES:
        return int(nominal_mib * _SHARE_XEN)
    share = next(share for limit, share in _SHARE_BY_MIB if nominal_mib <= limit)
    return int(nominal_mib * share)


@dataclass(frozen=True, slots=True)
class Listed:
    """A type of the catalogue: what it registers, and what else there is to tell it by.

    `family` is `m5`, `klass` its letter of AWS's, `memory_mib` nominal; the price of `registers` is
    that of `price_date`, on demand in us-east-1, Linux.
    """

    name: str
    family: str
    klass: str
    memory_mib: int
    gpu_name: str
    price_date: str
    registers: InstanceTypeTable


@cache
def listed_types() -> tuple[Listed, ...]:
    """The types that ship, in the order of the file.

    Memory is the observed figure where there is one. Trunking counts as not supported where AWS
    says so and where its list of supported types does not have the type.
    """
    source = DATA / "instance_types" / "instance_types.csv"
    with source.open() as stream:
        return tuple(_listed(row) for row in csv.DictReader(stream))


def _listed(row: Mapping[str, str]) -> Listed:
    name, nominal = row["instance_type"], int(row["memory_mib"])
    trunk = row["awsvpc_tasks_trunk"]
    observed = row["ecs_registered_memory_mib_observed"]
    registers = InstanceTypeTable(
        cpu=int(row["ecs_cpu_units"]),
        memory=int(observed) if observed else estimated_memory(name, nominal),
        gpus=int(row["gpu_count"]),
        eni_slots=int(row["awsvpc_tasks_no_trunk"]),
        eni_slots_trunk=int(trunk) if trunk.isdecimal() else None,
        architecture=_ARCHITECTURES[row["arch"]],
        price_microusd_hour=round(float(row["usd_per_hour_us_east_1_linux_on_demand"]) * 1_000_000),
    )
    family = name.partition(".")[0]
    return Listed(
        *(name, family, row["family_class"], nominal, row["gpu_name"], row["price_date"]),
        registers,
    )


@cache
def instance_types() -> dict[str, InstanceTypeTable]:
    """Type name -> what it registers and its on-demand price (us-east-1, Linux, 2026-07-20)."""
    return {each.name: each.registers for each in listed_types()}


def catalogue_offers(
    kind: TaskKind,
    zone: str,
    own: Mapping[str, InstanceTypeTable] | None = None,
) -> list[Offer]:
    """An instance of each type that ships with stowplan, for a task to be tried on, by price.

    In `zone`, or in the first of the zones that the task is tied to; of its capacity provider.
    `own` are the types to offer instead.
    """
    offers = []
    zones = kind.zones[:1] or (zone,)
    for name, table in (instance_types() if own is None else own).items():
        group = FleetGroup(
            name=name,
            instance_type=name,
            count=1,
            zones=zones,
            capacity_provider=kind.capacity_provider,
        )
        spec = instance_spec(group, name, table, zones[0], 0)
        strings = instance_strings("", spec.attributes, kind.capacity_provider)
        price = table.price_microusd_hour
        offers.append(Offer(name, spec.resources, strings, price, there=False))
    return offers
