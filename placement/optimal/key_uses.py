"""Where a scenario uses a key in a way that some goal of `optimize` cannot keep."""

from __future__ import annotations

from collections.abc import Iterator

from stowplan.placement.optimal.offers import fleet_zones
from stowplan.placement.scenario.scenario import Scenario

Uses = Iterator[str]


def provider_tables(scenario: Scenario) -> Uses:
    """Capacity providers that launch instances."""
    for index in range(len(scenario.capacity_provider)):
        yield f"capacity_provider[{index}]"


def mixed_types(scenario: Scenario) -> Uses:
    """Capacity providers of several types, where these are what is on offer."""
    for index, provider in enumerate(scenario.capacity_provider):
        if len(provider.instance_types) > 1 and not scenario.optimize.offer:
            yield f"capacity_provider[{index}].instance_types"


def mixed_policies(scenario: Scenario) -> Uses:
    """Capacity providers that choose among types and markets, where these are what is on offer."""
    for index, provider in enumerate(scenario.capacity_provider):
        if provider.mixed is not None and not scenario.optimize.offer:
            yield f"capacity_provider[{index}].mixed"


def mixed_providers(scenario: Scenario) -> Uses:
    """Strategies of several capacity providers."""
    default = scenario.cluster.default_capacity_provider_strategy
    if len(default) > 1:
        yield "cluster.default_capacity_provider_strategy"
    given = [
        (f"service[{i}]", s.capacity_provider_strategy) for i, s in enumerate(scenario.service)
    ]
    given += [
        (f"workload[{i}]", w.capacity_provider_strategy) for i, w in enumerate(scenario.workload)
    ]
    for place, items in given:
        if len(items or ()) > 1:
            yield f"{place}.capacity_provider_strategy"


def scaled_by_load(scenario: Scenario) -> Uses:
    """Services that Application Auto Scaling scales."""
    for index, service in enumerate(scenario.service):
        if service.autoscaling is not None:
            yield f"service[{index}].autoscaling"


def rebalanced(scenario: Scenario) -> Uses:
    """Services whose tasks ECS moves until zones are even, where there are several."""
    for index, service in enumerate(scenario.service):
        if service.availability_zone_rebalancing and len(fleet_zones(scenario)) > 1:
            yield f"service[{index}].availability_zone_rebalancing"


def rebalanced_unless_even(scenario: Scenario) -> Uses:
    """The same, unless the plan is asked to be even."""
    return iter(()) if scenario.optimize.spread_zones else rebalanced(scenario)


def faulty(scenario: Scenario) -> Uses:
    """Faults in every run."""
    if all(scenario.faults.values()):
        yield "faults"


def workload_behaviour(scenario: Scenario) -> Uses:
    """Containers of workloads of which it is said when they end."""
    for workload in scenario.workload:
        name = workload.task_definition
        for container, does in scenario.behaviour.get(name, {}).items():
            if does.run is not None or does.crash_percent:
                yield f"behaviour.{name}.{container}"


def spread_asked(scenario: Scenario) -> Uses:
    """Even zones are asked for."""
    if scenario.optimize.spread_zones:
        yield "optimize.spread_zones"


def share_on_spot(scenario: Scenario) -> Uses:
    """Not all may be on spot."""
    if scenario.optimize.spot_percent_max < 100:
        yield "optimize.spot_percent_max"
