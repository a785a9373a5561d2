"""EC2's instance types, as ECS would register them, and their prices by region.

The tables are read when a type is first asked for, and a type is made when it is.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from stowplan.experiments.files.paths import DATA
from stowplan.placement.cluster.cluster import instance_strings
from stowplan.placement.engine.changes import Offer
from stowplan.placement.errors import SpecError
from stowplan.placement.model import TaskKind
from stowplan.placement.scenario.scenario import FleetGroup, InstanceTypeTable, instance_spec
from stowplan.placement.scenario.words import did_you_mean

HOME_REGION = "us-east-1"  # its prices are the table's own
HOME_DATE, REGIONS_DATE = "2026-07-20", "2025-03-02"
# Share of the nominal memory that agents register, where no observation is published for the
# type: middle of the observations by size (ecs-semantics 2.5). Xen types lose less.
_SHARE_BY_MIB = ((4096, 0.925), (32768, 0.945), (1 << 62, 0.96))
_SHARE_XEN = 0.97
_DIGITS = 4  # of a price; AWS has more for the smallest types alone
_LISTED_REGIONS = 30  # the first of `regions`, of which EC2's lists of types ship
_ARCHITECTURES: Mapping[str, Literal["x86_64", "arm64"]] = {"x86_64": "x86_64", "arm64": "arm64"}


def estimated_memory(nominal_mib: int, xen: bool = False) -> int:
    """MiB that an instance registers, estimated from its nominal memory and its hypervisor."""
    if xen:
        return int(nominal_mib * _SHARE_XEN)
    share = next(share for limit, share in _SHARE_BY_MIB if nominal_mib <= limit)
    return int(nominal_mib * share)


@dataclass(frozen=True, slots=True)
class Listed:
    """A type of the catalogue: what it registers, and what else there is to tell it by.

    `family` is `m5`, `klass` its letters, `memory_mib` nominal, `facts` its row of
    `types.csv.gz`. `priced` says whether a price is known; without one, that of `registers` is 0.
    """

    name: str
    family: str
    klass: str
    memory_mib: int
    facts: Mapping[str, str]
    priced: bool
    registers: InstanceTypeTable

    @property
    def gpu_name(self) -> str:
        """What its GPUs are called; "" without any."""
        return self.facts["acc_name"] if self.facts["accelerator"] == "gpu" else ""

    @property
    def current(self) -> bool:
        """Of a generation that AWS calls current, not bare metal: what one would buy today."""
        return self.facts["current"] == "1" and self.facts["metal"] == "0"


@cache
def _table(file: str) -> dict[str, str]:
    """The lines of a table by their first field, the header's under ""."""
    with gzip.open(DATA / "instance_types" / file, "rt", encoding="utf-8") as stream:
        header, *lines = stream.read().splitlines()
    return {"": header} | {line.partition(",")[0]: line for line in lines}


@cache
def _facts(name: str) -> dict[str, str]:
    lines = _table("types.csv.gz")
    return next(csv.DictReader((lines[""], lines[name])))


@cache
def regions() -> tuple[str, ...]:
    """The regions whose prices are known."""
    return tuple(_table("regions.csv.gz")[""].split(",")[1:])


def check_region(region: str, place: str) -> None:
    """Raises SpecError for a region of which nothing is known."""
    if region not in regions():
        hint = did_you_mean(region, regions()) or f"; known: {', '.join(regions())}"
        raise SpecError([(place, f"unknown region {region!r}{hint}")])


@cache
def _shares(family: str) -> dict[str, float]:
    """Region -> its price as a share of that of `HOME_REGION`."""
    line = _table("regions.csv.gz").get(family, "")
    shares = zip(regions(), line.split(",")[1:], strict=False)
    return {region: float(share) for region, share in shares if share} | {HOME_REGION: 1.0}


def _price(facts: Mapping[str, str], region: str) -> int | None:
    """Millionths of a dollar per hour, on demand, Linux; None where none is known."""
    share = _shares(facts["instance_type"].partition(".")[0]).get(region)
    if share is None or not facts["usd_per_hour"]:
        return None
    price = float(facts["usd_per_hour"]) * share
    return round((price if region == HOME_REGION else round(price, _DIGITS)) * 1_000_000)


def is_offered(listed: Listed, region: str) -> bool:
    """Whether EC2 offers the type there; where no list of it is known, whether it has a price."""
    offered, bit = int(listed.facts["offered"] or "0", 16), regions().index(region)
    if bit >= _LISTED_REGIONS:
        return _price(listed.facts, region) is not None
    return bool(offered >> bit & 1)


@cache
def listed(name: str, region: str = HOME_REGION) -> Listed:
    """A type of the catalogue, with its price in a region.

    Memory is the observed figure where there is one. Trunking counts as not supported where AWS
    says so and where its list of supported types does not have the type. Only GPUs of NVIDIA's
    are registered, as ECS's GPU-optimized AMI has no driver of another.

    Raises:
        KeyError: there is none of that name.
    """
    facts = _facts(name)
    nominal, price = int(facts["memory_mib"]), _price(facts, region)
    gpus = int(facts["acc_count"]) if facts["accelerator"] == "gpu" else 0
    estimate = estimated_memory(nominal, facts["xen"] == "1")
    registers = InstanceTypeTable(
        cpu=int(facts["vcpu"]) * 1024,
        memory=int(facts["observed_mib"] or estimate),
        gpus=gpus if facts["acc_maker"] == "NVIDIA" else 0,
        eni_slots=int(facts["max_enis"]) - 1,
        eni_slots_trunk=int(facts["trunk_tasks"]) if facts["trunk_tasks"] else None,
        architecture=_ARCHITECTURES[facts["arch"]],
        price_microusd_hour=price or 0,
    )
    family = name.partition(".")[0]
    letters = family[: next((i for i, c in enumerate(family) if c.isdecimal()), len(family))]
    known = price is not None
    return Listed(name, family, letters.rstrip("-"), nominal, facts, known, registers)


@cache
def listed_types(region: str = HOME_REGION) -> tuple[Listed, ...]:
    """All types of the catalogue, by name."""
    return tuple(listed(name, region) for name in _table("types.csv.gz") if name)


class Catalogue(Mapping[str, InstanceTypeTable]):
    """Type name -> what it registers and its price on demand (Linux) in a region.

    As large as EC2, but a type is made when it is asked for.
    """

    def __init__(self, region: str = HOME_REGION) -> None:
        self.region = region

    def __getitem__(self, name: str) -> InstanceTypeTable:
        return listed(name, self.region).registers

    def __iter__(self) -> Iterator[str]:
        return (name for name in _table("types.csv.gz") if name)

    def __len__(self) -> int:
        return len(_table("types.csv.gz")) - 1

    def __contains__(self, name: object) -> bool:
        return bool(name) and name in _table("types.csv.gz")


def instance_types(region: str = HOME_REGION) -> Catalogue:
    """The types that ship, priced as in a region."""
    return Catalogue(region)


def catalogue_offers(
    kind: TaskKind,
    zone: str,
    own: Mapping[str, InstanceTypeTable] | None = None,
) -> list[Offer]:
    """An instance of each type that ships with stowplan, for a task to be tried on, by price.

    Of those that have a price and are of a current generation. In `zone`, or in the first of the
    zones that the task is tied to, and priced as in its region, where the name of the zone says
    which; of its capacity provider. `own` are the types to offer instead.
    """
    offers = []
    zones = kind.zones[:1] or (zone,)
    if own is None:
        region = zones[0][:-1] if zones[0][:-1] in regions() else HOME_REGION
        listing = listed_types(region)
        own = {each.name: each.registers for each in listing if each.current and each.priced}
    for name, table in own.items():
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
