"""Which type on which market a group launches next: the allocation strategies of EC2 Auto Scaling.

What AWS publishes of them is followed. How much EC2 has to spare it tells nobody: `spare` of the
scenario is the model of it, less what the group itself has there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stowplan.placement.scenario.capacity import CapacityProviderTable, spot_price
from stowplan.placement.scenario.mixed import MixedInstancesTable
from stowplan.placement.scenario.scenario import InstanceTypeTable

ON_DEMAND, SPOT = "on-demand", "spot"
_SPARE = 1_000  # of a type of which nothing is said
_MOST = 0.5  # price-capacity-optimized: the cheapest of those with this share of the most, or more


@dataclass(frozen=True, slots=True)
class Up:
    """An instance that a group has."""

    instance_type: str
    zone: str
    market: str


def next_market(mixed: MixedInstancesTable, up: Sequence[Up]) -> str:
    """The market of the next instance: on demand as long as its share is not reached."""
    have = _units(mixed, up)
    return ON_DEMAND if have[ON_DEMAND] < mixed.on_demand_of(have.total() + 1) else SPOT


def too_much_of(mixed: MixedInstancesTable, up: Sequence[Up]) -> str:
    """The market of which a group that is to be smaller has more than its share."""
    have = _units(mixed, up)
    return ON_DEMAND if have[ON_DEMAND] > mixed.on_demand_of(have.total() - 1) else SPOT


def _units(mixed: MixedInstancesTable, up: Sequence[Up]) -> Counter[str]:
    units: Counter[str] = Counter()
    for each in up:
        units[each.market] += mixed.weight(each.instance_type)
    return units


def ranked(
    table: CapacityProviderTable,
    types: Mapping[str, InstanceTypeTable],
    market: str,
    zone: str,
    up: Sequence[Up],
) -> list[str]:
    """The types of a group in the order in which it tries them in a zone."""
    mixed, names = table.mixed, list(table.instance_types)
    if mixed is None:
        return names

    def price(name: str) -> float:
        """Per unit of weight."""
        whole = types[name].price_microusd_hour
        paid = spot_price(table, name, whole) if market == SPOT else whole
        return paid / mixed.weight(name)

    if market == ON_DEMAND:
        if mixed.on_demand_allocation_strategy == "lowest-price":
            names.sort(key=price)
        return names
    there = Counter(e.instance_type for e in up if (e.zone, e.market) == (zone, SPOT))
    left = {name: mixed.spare.get(name, _SPARE) - there[name] for name in names}
    strategy = mixed.spot_allocation_strategy
    if strategy == "lowest-price":
        names.sort(key=price)
        pools, rest = names[: mixed.spot_instance_pools], names[mixed.spot_instance_pools :]
        return [*sorted(pools, key=there.__getitem__), *rest]
    if strategy == "capacity-optimized":
        return sorted(names, key=lambda name: -left[name])
    most = max(left.values()) * _MOST
    if strategy == "price-capacity-optimized":
        return sorted(names, key=lambda name: (left[name] < most, price(name)))
    return sorted(names, key=lambda name: left[name] < most)
