"""What is wrong with the capacity providers of a scenario, and with the tables that use them."""

from __future__ import annotations

from collections.abc import Iterator

from stowplan.placement.errors import PlacementError
from stowplan.placement.scenario.capacity import (
    CapacityProviderTable,
    CapacityStrategy,
    strategy_of,
)
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.scenario.words import did_you_mean, unknown
from stowplan.placement.scheduler.capacity.strategy import check_strategy

Problem = tuple[str, str]


def capacity_problems(scenario: Scenario) -> Iterator[Problem]:
    """(place, what) for providers, strategies, and the faults that name them."""
    seen: set[str] = set()
    for index, table in enumerate(scenario.capacity_provider):
        place = f"capacity_provider[{index}]"
        if table.name in seen:
            yield f"{place}.name", f"{table.name!r} is taken"
        seen.add(table.name)
        for name in table.instance_types:
            if name not in scenario.instance_types:
                hint = did_you_mean(name, scenario.instance_types)
                yield f"{place}.instance_types", f"unknown instance type {name!r}{hint}"
        if not table.min_size <= table.first_size <= table.max_size:
            what = "min_size, desired_size and max_size: expected to rise"
            yield place, f"{what}, found {table.min_size}, {table.first_size}, {table.max_size}"
        yield from _mixed(table, place)
        scaling = table.managed_scaling
        if scaling is False and table.managed_termination_protection:
            yield place, "managed_termination_protection needs managed_scaling"
        elif scaling and scaling.minimum_scaling_step_size > scaling.maximum_scaling_step_size:
            yield f"{place}.managed_scaling", "the minimum step is above the maximum"
    yield from _strategies(scenario, seen)
    yield from _others(scenario, seen)


def _mixed(table: CapacityProviderTable, place: str) -> Iterator[Problem]:
    """What is wrong with the policy of a group, and with what it asks of the group."""
    mixed = table.mixed
    if mixed is None:
        return
    place = f"{place}.mixed"
    if table.market != "on-demand":
        what = "a group of both markets has no market of its own: leave market out, and say "
        yield place, what + "on_demand_percentage_above_base_capacity = 0 for one on spot"
    if mixed.weights and table.managed_scaling is not False:
        what = "ECS has no managed scaling for groups with weights: leave them out, or say "
        yield f"{place}.weights", what + "managed_scaling = false"
    for key in ("weights", "spot_discounts", "spare"):
        for name in getattr(mixed, key):
            if name not in table.instance_types:
                yield f"{place}.{key}", unknown("instance type", name, table.instance_types)


def _strategies(scenario: Scenario, names: set[str]) -> Iterator[Problem]:
    used: list[tuple[str, CapacityStrategy]] = [
        ("cluster", scenario.cluster.default_capacity_provider_strategy)
    ]
    for index, service in enumerate(scenario.service):
        used.append((f"service[{index}]", service.capacity_provider_strategy or ()))
    for index, workload in enumerate(scenario.workload):
        used.append((f"workload[{index}]", workload.capacity_provider_strategy or ()))
    known = names | {group.capacity_provider for group in scenario.fleet if group.capacity_provider}
    for place, items in used:
        place += ".default_" if place == "cluster" else "."
        place += "capacity_provider_strategy"
        for item in items:
            if item.capacity_provider not in known:
                yield place, unknown("capacity provider", item.capacity_provider, known)
        try:
            check_strategy(strategy_of(items) or ())
        except PlacementError as error:
            yield place, str(error)


def _others(scenario: Scenario, names: set[str]) -> Iterator[Problem]:
    for index, group in enumerate(scenario.fleet):
        if group.capacity_provider in names:
            what = f"its instances are launched by {group.capacity_provider!r}: use desired_size"
            yield f"fleet[{index}].capacity_provider", what
    for index, service in enumerate(scenario.service):
        if service.scheduling_strategy == "DAEMON" and service.capacity_provider_strategy:
            place = f"service[{index}].capacity_provider_strategy"
            yield place, "a DAEMON runs on every instance, whatever its capacity provider"
    for index, table in enumerate(scenario.workload):
        if table.capacity_provider is not None and table.capacity_provider_strategy is not None:
            what = "a capacity_provider and a strategy: give one of them"
            yield f"workload[{index}].capacity_provider", what
    for name, faults in scenario.faults.items():
        for index, fault in enumerate(faults):
            place = f"faults.{name}[{index}]"
            if fault.capacity_provider is not None and fault.capacity_provider not in names:
                what = unknown("capacity provider", fault.capacity_provider, names)
                yield f"{place}.capacity_provider", what
            if fault.instance_type is not None and fault.instance_type not in _types(scenario):
                what = unknown("instance type", fault.instance_type, _types(scenario))
                yield f"{place}.instance_type", what


def _types(scenario: Scenario) -> set[str]:
    return {name for group in scenario.capacity_provider for name in group.instance_types}
