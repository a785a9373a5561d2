"""What may be bought: the offers of a scenario as instances, and why a task fits none of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import AVAILABILITY_ZONE, INSTANCE_TYPE
from stowplan.placement.optimal.asked import TaskSet
from stowplan.placement.optimal.demand import Encoded
from stowplan.placement.packing.problem import BoolArray, IntArray
from stowplan.placement.scenario.capacity import CapacityProviderTable
from stowplan.placement.scenario.offers import offer_group
from stowplan.placement.scenario.scenario import (
    FleetGroup,
    InstanceSpec,
    Offer,
    Scenario,
    instance_specs,
)


@dataclass(frozen=True)
class Choice:
    """One thing to buy: an instance as it would register, for a price, up to a limit."""

    spec: InstanceSpec
    limit: int | None = None
    purchase: str = "on-demand"
    offer: int = 0

    @property
    def instance_type(self) -> str:
        """EC2's name."""
        return self.spec.attributes[INSTANCE_TYPE]

    @property
    def zone(self) -> str:
        """Availability zone."""
        return self.spec.attributes[AVAILABILITY_ZONE]


def fleet_zones(scenario: Scenario) -> tuple[str, ...]:
    """The zones of the fleet, in the order of the file; without a fleet those of the offers."""
    zones = [group.zones for group in scenario.fleet]
    zones += [provider.zones for provider in scenario.capacity_provider]
    zones = zones or [offer.zones for offer in scenario.optimize.offer]
    return tuple(dict.fromkeys(zone for group in zones for zone in group))


def choices(scenario: Scenario, offers: Sequence[Offer]) -> list[Choice]:
    """Every offer in each of its zones, on demand and where it is offered on spot."""
    found: list[Choice] = []
    for number, offer in enumerate(offers):
        for spec in _specs(scenario, offer):
            price = offer.price_microusd_hour
            price = spec.price_microusd_hour if price is None else price
            spec = replace(spec, price_microusd_hour=price)
            spot = _spot_price(offer, price)
            if spot is None or offer.limit != 0:
                found.append(Choice(spec, offer.limit, "on-demand", number))
            if spot is not None:
                spec = replace(spec, price_microusd_hour=spot)
                found.append(Choice(spec, offer.spot_limit, "spot", number))
    return found


def offers_of(scenario: Scenario) -> tuple[Offer, ...]:
    """The offers that a scenario lists; without any, the groups of its fleet as often as wanted."""
    if scenario.optimize.offer:
        return scenario.optimize.offer
    offers: list[Offer] = []
    for group in scenario.fleet:
        offer = _offer_of(group)
        if offer not in offers:
            offers.append(offer)
    for provider in scenario.capacity_provider:
        offers += _offers_of_provider(provider)
    return tuple(offers)


def offers_of_type(scenario: Scenario, instance_type: str | None) -> tuple[Offer, ...]:
    """Offers of one type, any number of it: like the first group of the fleet that has it.

    Groups of further capacity providers are offers of their own. Without any such group as the
    capacity providers launch it, then as it is on offer, else as it is.
    """
    wanted = instance_type
    if wanted is None:
        types = [group.instance_type for group in scenario.fleet]
        types += [group.instance_types[0] for group in scenario.capacity_provider]
        types += [offer.instance_type for offer in scenario.optimize.offer]
        wanted = types[0]
    groups = [group for group in scenario.fleet if group.instance_type == wanted]
    if groups:
        by_provider = {group.capacity_provider: _offer_of(group) for group in reversed(groups)}
        return tuple(reversed(by_provider.values()))
    found = [each for table in scenario.capacity_provider for each in _offers_of_provider(table)]
    for offers in (found, scenario.optimize.offer):
        if mine := tuple(offer for offer in offers if offer.instance_type == wanted):
            return mine
    return (Offer(instance_type=wanted),)


def reasons_against(
    tasks: Sequence[TaskSet],
    encoded: Encoded,
    engine: Engine,
    where: str,
    off_spot: BoolArray | None = None,
    spot: BoolArray | None = None,
) -> tuple[str, ...]:
    """Why tasks fit on no instance, a sentence each; `where` names them.

    Args:
        engine: its cluster holds the tasks of daemons, and nothing else.
        off_spot: (task sets,) some tasks must not be on spot; spot: (instances,) are on spot.
    """
    fits = encoded.fits()
    bad = ~fits.any(axis=1)
    if off_spot is not None and spot is not None:
        bad |= off_spot & ~fits[:, ~spot].any(axis=1)
    misfits = np.flatnonzero(bad).tolist()
    return tuple(dict.fromkeys(_reason(tasks[i], engine, where) for i in misfits))


def reasons_short(
    tasks: Sequence[TaskSet],
    encoded: Encoded,
    capacity: IntArray,
    limits: Sequence[int | None],
    short: Sequence[int],
) -> tuple[str, ...]:
    """Why all tasks do not fit at once, though each fits somewhere: what tells most first.

    Args:
        tasks: those of the rows of `encoded`; capacity: (types, dimensions); limits: how many of
            each type there are at most; short: rows that the solver found short of room.
    """
    reasons = []
    for row, (task, count) in enumerate(zip(tasks, encoded.counts.tolist(), strict=True)):
        wants = encoded.demand[row] > 0
        each = (capacity[:, wants] // encoded.demand[row, wants]).min(axis=1, initial=count)
        rooms = zip(each.tolist(), limits, strict=True)
        most = sum(n * (count if limit is None else limit) for n, limit in rooms)
        if most < count:
            name = named([task], [0])
            reasons.append(f"{name}: {count:,} tasks wanted, {most:,} fit, were they alone")
    for column, resource in enumerate(encoded.resources):
        wanted = sum(map(int, encoded.demand[:, column].astype(object) * encoded.counts))
        rooms = zip(capacity[:, column].tolist(), limits, strict=True)
        room = sum(n * (wanted if limit is None else limit) for n, limit in rooms)
        if room < wanted:
            reasons.append(f"all tasks want {wanted:,} {_unit(resource)}, there are {room:,}")
    return tuple(reasons) or (f"together there is too little room for {named(tasks, short)}",)


def named(tasks: Sequence[TaskSet], indices: Sequence[int]) -> str:
    """`web (web:1), cache (cache:1)`."""
    return ", ".join(dict.fromkeys(f"{tasks[i].owner} ({tasks[i].definition})" for i in indices))


def merged(capacity: IntArray, found: Sequence[Choice]) -> list[list[int]]:
    """Indices of choices that are the same to every task and share price and limit.

    These are zones of one offer; a limit counts over all of them.
    """
    groups: dict[tuple[int, str, bytes], list[int]] = {}
    for index, choice in enumerate(found):
        key = (choice.offer, choice.purchase, capacity[index].tobytes())
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def _reason(task: TaskSet, engine: Engine, where: str) -> str:
    """`task definition cache:1 (cache) needs 40,000 of MEMORY; the largest ... has 31,040`."""
    name = f"task definition {task.definition} ({task.owner})"
    if engine.allowed(task.kind).any():
        return f"{name}: only a share of its tasks may be on spot, and {where} is on spot alone"
    failure = engine.explain(task.kind)
    cluster = engine.cluster
    step, _, resource = failure.reason.partition(":")
    if step == "RESOURCE" and resource in cluster.resources:
        column = cluster.resources.index(resource)
        needs = int(cluster.demand(task.kind)[column])
        most = cluster.remaining[:, column]
        codes, values = cluster.column(f"attribute:{INSTANCE_TYPE}")
        largest = values[codes[int(most.argmax())]]
        does = "leaves beside its daemons" if engine.cluster.booked else "registers"
        fewer = f"the most that {where} {does} is {int(most.max()):,} ({largest})"
        if needs <= most.max():
            fewer = f"{where} has that much only where something else is short"
        return f"{name} needs {needs:,} {_unit(resource)}; {fewer}"
    conditions = [check.words for check in engine.checks(task.kind)]
    conditions += [*task.kind.required_attributes, *task.kind.zones]
    provider = task.kind.capacity_provider
    conditions += [] if provider is None else [f"capacity provider {provider}"]
    return f"{name} fits nothing of {where}: {failure.reason}, of {', '.join(conditions)}"


def _unit(resource: str) -> str:
    return {"CPU": "CPU units", "MEMORY": "MiB of memory"}.get(resource, f"of {resource}")


def _specs(scenario: Scenario, offer: Offer) -> Iterator[InstanceSpec]:
    group = offer_group(offer, offer.zones or fleet_zones(scenario))
    yield from instance_specs(scenario.model_copy(update={"fleet": (group,)}))


def _offer_of(group: FleetGroup) -> Offer:
    return Offer(
        instance_type=group.instance_type,
        zones=group.zones,
        attributes=group.attributes,
        resources=group.resources,
        capacity_provider=group.capacity_provider,
        awsvpc_trunking=group.awsvpc_trunking,
    )


def _offers_of_provider(provider: CapacityProviderTable) -> Iterator[Offer]:
    """What a capacity provider may launch, up to its maximum."""
    spot = provider.market == "spot"
    for name in provider.instance_types:
        yield Offer(
            instance_type=name,
            limit=0 if spot else provider.max_size,
            spot_discount_percent=provider.discount_percent if spot else None,
            spot_limit=provider.max_size if spot else None,
            zones=provider.zones,
            attributes=provider.attributes,
            resources=provider.resources,
            capacity_provider=provider.name,
            awsvpc_trunking=provider.awsvpc_trunking,
        )


def _spot_price(offer: Offer, price: int) -> int | None:
    if offer.spot_price_microusd_hour is not None:
        return offer.spot_price_microusd_hour
    if offer.spot_discount_percent is not None:
        # rounded up: a discount never makes it cheaper than it is
        return -(-price * (100 - offer.spot_discount_percent) // 100)
    return None
