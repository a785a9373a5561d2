"""What a scenario's fleet offers, to check tasks and names against."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import TaskKind
from stowplan.placement.scenario.capacity import CapacityProviderTable
from stowplan.placement.scenario.scenario import (
    FleetGroup,
    InstanceSpec,
    Offer,
    Scenario,
    instance_spec,
    instance_specs,
)
from stowplan.placement.scenario.words import did_you_mean
from stowplan.placement.strategies.protocol import ReadsField

# Attributes that ECS or its agents set by themselves, also where the simulated fleet has none.
_ECS_PREFIXES = ("ecs.capability.", "com.amazonaws.ecs.capability.")
_ECS_ATTRIBUTES = {
    *("ecs.ami-id", "ecs.os-family", "ecs.vpc-id", "ecs.subnet-id"),
    *("ecs.awsvpc-trunk-id", "ecs.outpost-arn"),
    *("ecs.availability-zone", "ecs.instance-type", "ecs.os-type", "ecs.cpu-architecture"),
}


class Fleet:
    """An empty instance of each kind in the fleet, and the names that a scenario may use.

    Groups of unknown types are left out. A fleet that is not `complete` may have what seems to
    lack, so that is not reported.
    """

    def __init__(self, scenario: Scenario, complete: bool = True) -> None:
        self._complete = complete
        # One for each zone of a group: the other instances equal these.
        kinds = tuple(
            group.model_copy(update={"count": min(group.count, len(group.zones))})
            for group in scenario.fleet
            if group.instance_type in scenario.instance_types
        )
        groups: list[FleetGroup | CapacityProviderTable] = list(scenario.fleet)
        groups += scenario.capacity_provider
        cluster = Cluster()
        attributes = _ECS_ATTRIBUTES.union(*(group.attributes for group in groups))
        specs = instance_specs(scenario.model_copy(update={"fleet": kinds}))
        specs += _launchable(scenario)
        for row, spec in enumerate(specs):
            strings = instance_strings(spec.name, spec.attributes, spec.capacity_provider)
            cluster.register(row, spec.resources, strings)
            attributes |= spec.attributes.keys()
        self._engine = Engine(cluster, np.random.default_rng(0))
        self._attributes = frozenset(attributes)
        self._zones = frozenset(zone for group in groups for zone in group.zones)
        self._resources = tuple(cluster.resources)

    def lacks(self, attribute: str) -> str | None:
        """What to say of an attribute that no instance has; None where one does."""
        known = attribute in self._attributes or attribute.startswith(_ECS_PREFIXES)
        if known or not self._complete:
            return None
        hint = did_you_mean(attribute, self._attributes)
        own = (a for a in self._attributes if not a.startswith(("ecs.", "com.amazonaws.ecs.")))
        have = ", ".join(sorted(own)) or "none"
        return f"no instance of the fleet has attribute {attribute!r}{hint}; their own: {have}"

    def lacks_zone(self, zone: str) -> str | None:
        """What to say of a zone that has no instances; None where it has."""
        if zone in self._zones or not self._complete:
            return None
        return f"no zone {zone!r} in the fleet; it has: {', '.join(sorted(self._zones))}"

    def lacks_resource(self, resource: str) -> str | None:
        """What to say of a resource that no instance has; None where one does."""
        if resource in self._resources or not self._complete:
            return None
        have = ", ".join(self._resources)
        return f"no instance of the fleet has resource {resource!r}; they have: {have}"

    def misses(self, strategy: ReadsField) -> str | None:
        """What a strategy reads by its field that no instance has; None where one does."""
        return strategy.missing(self._engine.cluster) if self._complete else None

    def refuses(self, kind: TaskKind) -> tuple[str, ...]:
        """The reasons that leave no instance for one task, though all are empty; else none."""
        if not self._complete or self._engine.allowed(kind).any():
            return ()
        return tuple(reason for reason, _ in self._engine.explain(kind).rejected)


def with_offers(scenario: Scenario) -> Scenario:
    """The scenario as if an instance of each offer stood in each of its zones."""
    zones = tuple(zone for group in scenario.fleet for zone in group.zones)
    zones += tuple(zone for group in scenario.capacity_provider for zone in group.zones)
    groups = tuple(
        offer_group(offer, offer.zones or zones)
        for offer in scenario.optimize.offer
        if (offer.zones or zones)
    )
    return scenario.model_copy(update={"fleet": scenario.fleet + groups})


def offer_group(offer: Offer, zones: tuple[str, ...]) -> FleetGroup:
    """An instance of an offer in each zone."""
    return FleetGroup(
        name="offer",
        instance_type=offer.instance_type,
        count=len(zones),
        zones=zones,
        attributes=offer.attributes,
        resources=offer.resources,
        capacity_provider=offer.capacity_provider,
        awsvpc_trunking=offer.awsvpc_trunking,
    )


def _launchable(scenario: Scenario) -> Iterator[InstanceSpec]:
    """An instance of each type in each zone that a capacity provider may launch."""
    for group in scenario.capacity_provider:
        for name in group.instance_types:
            kind = scenario.instance_types.get(name)
            if kind is None:
                continue
            for zone in group.zones:
                yield instance_spec(group, name, kind, zone, 0)
