"""What a scenario means: names that must exist, queries that must parse, tasks that must fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from stowplan.placement.constraints import check_of
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import (
    CONSTRAINTS_MAX,
    STRATEGIES_MAX,
    PlacementConstraint,
    PlacementStrategy,
    TaskDefinition,
    TaskKind,
)
from stowplan.placement.query import parse_query
from stowplan.placement.scenario.autoscaling import autoscaling_problems
from stowplan.placement.scenario.capacity_checks import capacity_problems
from stowplan.placement.scenario.container_checks import container_problems
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.scenario.fields import own_strategy, parse_strategy
from stowplan.placement.scenario.offers import Fleet, with_offers
from stowplan.placement.scenario.override_checks import override_of, override_problems
from stowplan.placement.scenario.running_checks import running_problems
from stowplan.placement.scenario.scenario import (
    DeployStep,
    ScaleStep,
    Scenario,
    ServiceTable,
    WorkloadTable,
)
from stowplan.placement.scenario.service_checks import service_problems
from stowplan.placement.scenario.settings import settings_problems
from stowplan.placement.scenario.ties import ties_problems
from stowplan.placement.scenario.words import did_you_mean, unknown
from stowplan.placement.strategies.best_fit import BestFit
from stowplan.placement.strategies.binpack import Binpack
from stowplan.placement.strategies.protocol import ReadsField, StrategyFactory, make_strategy
from stowplan.placement.strategies.spread import Spread
from stowplan.placement.taskdef.parse import host_ports, task_resources

Problem = tuple[str, str]
_NEEDS_NO_INSTANCES = (
    "zone-loss",
    "insufficient-capacity",
    "api-throttling",
    "scheduler-restart",
)
# Fields of a scenario that say what instances there are, and those whose names others use.
_FLEET = frozenset({"fleet", "capacity_provider", "instance_types"})
_PARTS = frozenset({"service", "workload"})
_Tables = list[tuple[str, ServiceTable | WorkloadTable]]


def scenario_problems(
    scenario: Scenario,
    strategies: Mapping[str, StrategyFactory],
    definitions: Mapping[str, TaskDefinition],
    incomplete: Set[str] = frozenset(),
    buys: bool = False,
) -> list[Problem]:
    """Every (place, what) that is wrong with a well-formed scenario; empty where nothing is.

    Args:
        strategies: the registry for its chains.
        definitions: its task definitions by their names there, without those that do not parse.
        incomplete: fields of the scenario that lack a part, since it had a wrong shape; references
            to it are not checked.
        buys: instances are to be bought, so what is on offer will do for a fleet.
    """
    tables: _Tables = [(f"service[{i}]", table) for i, table in enumerate(scenario.service)]
    tables += [(f"workload[{i}]", table) for i, table in enumerate(scenario.workload)]
    problems: list[Problem] = []
    whole = incomplete.isdisjoint(_FLEET)
    there = with_offers(scenario) if buys else scenario
    if whole and not there.fleet and not there.capacity_provider:
        whole = False
        what = "no instances: give a fleet, or a capacity provider that launches some"
        if buys:
            what += ', or optimize.offer, each with its zones: zones = ["a"]'
        problems.append(("fleet", what))
    fleet = Fleet(there, whole)
    # The fields that each check refers to. The fleet knows by itself that it is incomplete.
    checks: tuple[tuple[Set[str], Iterator[Problem]], ...] = (
        ({"instance_types"}, _instance_types(scenario)),
        (_FLEET, capacity_problems(scenario)),
        ({"strategies", "capacity_provider", *_PARTS}, settings_problems(scenario)),
        (frozenset(), _names(scenario, tables)),
        ({"task_definitions"}, _task_definitions(scenario, tables)),
        (_PARTS, _layouts(scenario, tables)),
        (frozenset(), _updates(scenario)),
        (frozenset(), _too_late(scenario)),
        (frozenset(), _autoscaling(scenario)),
        (frozenset(), service_problems(scenario)),
        (frozenset(), _chains(scenario, tables, strategies, fleet)),
        (frozenset(), ties_problems(scenario)),
        (frozenset(), _constraints(scenario, tables, fleet)),
        ({"task_definitions", "images"}, _faults(scenario, fleet)),
        ({"task_definitions", "images"}, container_problems(scenario, definitions)),
        ({"task_definitions"}, override_problems(scenario, definitions)),
        (frozenset(), _demands(scenario, tables, definitions, fleet)),
        ({*_FLEET, *_PARTS, "task_definitions"}, running_problems(scenario, definitions)),
        ({"instance_types", *_PARTS}, _optimize(scenario, tables)),
    )
    for refers_to, found in checks:
        if incomplete.isdisjoint(refers_to):
            problems += found
    return problems


def _instance_types(scenario: Scenario) -> Iterator[Problem]:
    for index, group in enumerate(scenario.fleet):
        name = group.instance_type
        if name not in scenario.instance_types:
            hint = did_you_mean(name, scenario.instance_types)
            how = f'define it under [instance_types."{name}"]'
            place = f"fleet[{index}].instance_type"
            yield place, f"unknown instance type {name!r}{hint or '; ' + how}"


def _optimize(scenario: Scenario, tables: _Tables) -> Iterator[Problem]:
    """Types on offer exist, a spot price is given once, and weights name a service or workload."""
    table, types = scenario.optimize, scenario.instance_types
    named = [
        (f"offer[{i}].instance_type", each.instance_type) for i, each in enumerate(table.offer)
    ]
    if table.instance_type is not None:
        named.append(("instance_type", table.instance_type))
    for place, name in named:
        if name not in types:
            hint = did_you_mean(name, types)
            yield f"optimize.{place}", f"unknown instance type {name!r}{hint}"
    for index, offer in enumerate(table.offer):
        if None not in (offer.spot_price_microusd_hour, offer.spot_discount_percent):
            yield f"optimize.offer[{index}]", "a spot price and a discount: give one of them"
    owners = {each.name for _, each in tables}
    for name in table.weights:
        if name not in owners:
            yield f"optimize.weights.{name}", unknown("service or workload", name, owners)


def _names(scenario: Scenario, tables: _Tables) -> Iterator[Problem]:
    """Names are given once."""
    groups = [(f"fleet[{i}].name", group.name) for i, group in enumerate(scenario.fleet)]
    yield from _taken(groups)
    yield from _taken([(f"{place}.name", table.name) for place, table in tables])


def _taken(named: list[tuple[str, str]]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for place, name in named:
        first = seen.setdefault(name, place)
        if first != place:
            yield place, f"{name!r} is taken by {first.removesuffix('.name')}"


def _task_definitions(scenario: Scenario, tables: _Tables) -> Iterator[Problem]:
    """Names that others refer to exist."""
    named: list[tuple[str, str | None]] = [
        (place, table.task_definition) for place, table in tables
    ]
    for index, service in enumerate(scenario.service):
        for number, step in enumerate(service.deploy):
            named.append((f"service[{index}].deploy[{number}]", step.task_definition))
    for place, name in named:
        if name is not None and name not in scenario.task_definitions:
            what = unknown("task definition", name, scenario.task_definitions)
            yield f"{place}.task_definition", what


def _layouts(scenario: Scenario, tables: _Tables) -> Iterator[Problem]:
    parts = [table.name for _, table in tables]
    for layout, constraints in scenario.layouts.items():
        for name in constraints:
            if name not in parts:
                what = unknown("service or workload", name, parts)
                yield f"layouts.{layout}.{name}", what


def _updates(scenario: Scenario) -> Iterator[Problem]:
    for index, service in enumerate(scenario.service):
        steps: list[tuple[str, ScaleStep | DeployStep]] = [
            (f"scale[{number}]", step) for number, step in enumerate(service.scale)
        ]
        steps += [(f"deploy[{number}]", step) for number, step in enumerate(service.deploy)]
        for place, step in steps:
            if step.at < service.at:
                what = f"{step.at} ms is before the service is created, at {service.at} ms"
                yield f"service[{index}].{place}.at", what


def _too_late(scenario: Scenario) -> Iterator[Problem]:
    """Things that would begin after the run is over, and so would silently do nothing."""
    times = [(f"fleet[{i}]", group.at) for i, group in enumerate(scenario.fleet)]
    for index, service in enumerate(scenario.service):
        place = f"service[{index}]"
        times.append((place, service.at))
        times += [(f"{place}.scale[{n}]", step.at) for n, step in enumerate(service.scale)]
        times += [(f"{place}.deploy[{n}]", step.at) for n, step in enumerate(service.deploy)]
    for name, faults in scenario.faults.items():
        times += [(f"faults.{name}[{n}]", fault.at) for n, fault in enumerate(faults)]
    for place, at in times:
        if at >= scenario.duration:
            what = f"{at} ms is not before the end of the run, {scenario.duration} ms"
            yield f"{place}.at", f"{what}: nothing would happen"


def _autoscaling(scenario: Scenario) -> Iterator[Problem]:
    for index, service in enumerate(scenario.service):
        if service.autoscaling is None:
            continue
        place = f"service[{index}].autoscaling"
        if service.scheduling_strategy == "DAEMON":
            yield place, "a DAEMON has no desired count to scale"
        yield from autoscaling_problems(place, service.autoscaling)


def _chains(
    scenario: Scenario,
    tables: _Tables,
    strategies: Mapping[str, StrategyFactory],
    fleet: Fleet,
) -> Iterator[Problem]:
    chains = [(f"strategies.{name}", chain) for name, chain in scenario.strategies.items()]
    chains += [(f"{place}.strategy", table.strategy or ()) for place, table in tables]
    for place, chain in chains:
        if len(chain) > STRATEGIES_MAX:
            yield place, f"{len(chain)} strategies in a chain, ECS allows {STRATEGIES_MAX}"
        for strategy in chain:
            what = _strategy_problem(strategy, strategies, fleet)
            if what:
                yield place, what


def _strategy_problem(
    strategy: PlacementStrategy, strategies: Mapping[str, StrategyFactory], fleet: Fleet
) -> str | None:
    if what := _chain_in_text(strategy, strategies):
        return what
    if strategy.type not in strategies:
        return unknown("strategy", strategy.type, strategies)
    try:
        made = make_strategy(strategies[strategy.type], strategy.field)
    except (ValueError, TypeError) as error:
        return f"{strategy.type}: {error}"
    # Any of them would tie all instances, and so would silently have no effect.
    if isinstance(made, Spread) and made.attribute is not None:
        return fleet.lacks(made.attribute.removeprefix("attribute:"))
    if isinstance(made, Binpack | BestFit) and made.resource is not None:
        return fleet.lacks_resource(made.resource)
    return fleet.misses(made) if isinstance(made, ReadsField) else None


def _chain_in_text(
    strategy: PlacementStrategy, strategies: Mapping[str, StrategyFactory]
) -> str | None:
    """A chain written as one text reads as a strategy with a strange field."""
    text = ":".join(filter(None, (strategy.type, strategy.field)))
    links = [link.strip() for link in text.split(",")]
    later = [parse_strategy(link) for link in links[1:] if link]
    if not any(own_strategy(each) or each.type in strategies for each in later):
        return None
    chain = ", ".join(f'"{link}"' for link in links)
    return f"a chain of strategies is a list: [{chain}]"


def _constraints(scenario: Scenario, tables: _Tables, fleet: Fleet) -> Iterator[Problem]:
    for place, constraints in _constraint_lists(scenario, tables):
        for constraint in constraints:
            for what in _constraint_problems(constraint, fleet):
                yield place, what


def _constraint_lists(
    scenario: Scenario, tables: _Tables
) -> Iterator[tuple[str, tuple[PlacementConstraint, ...]]]:
    for place, table in tables:
        yield f"{place}.constraints", table.constraints
    for layout, parts in scenario.layouts.items():
        for name, constraints in parts.items():
            yield f"layouts.{layout}.{name}", constraints


def _constraint_problems(constraint: PlacementConstraint, fleet: Fleet) -> Iterator[str]:
    try:
        check = check_of(constraint)
    except PlacementError as error:
        yield str(error)
        return
    for attribute in sorted(check.query.attributes if check.query else ()):
        if what := fleet.lacks(attribute):
            yield what


def _faults(scenario: Scenario, fleet: Fleet) -> Iterator[Problem]:
    for name, faults in scenario.faults.items():
        for index, fault in enumerate(faults):
            place = f"faults.{name}[{index}]"
            if fault.kind == "zone-loss" and fault.zone is None:
                yield f"{place}.zone", "a zone-loss needs the zone that is lost"
            elif fault.zone is not None and (what := fleet.lacks_zone(fault.zone)):
                yield f"{place}.zone", what
            if fault.kind == "registry-failure":
                if not scenario.images:
                    yield f"{place}.kind", "a registry-failure needs [images], which are pulled"
            elif fault.kind == "start-failure":
                name = fault.task_definition or ""
                if name not in scenario.task_definitions:
                    what = unknown("task definition", name, scenario.task_definitions)
                    yield f"{place}.task_definition", what
            elif fault.zone is None and fault.kind not in _NEEDS_NO_INSTANCES:
                yield from _chosen_problems(place, fault, fleet)
            ends = fault.kind in ("partition", "registry-failure", "scheduler-restart")
            if ends and (fault.until is None or fault.until < fault.at):
                yield f"{place}.until", f"a {fault.kind} needs the time at which it is over"


def _chosen_problems(place: str, fault: Fault, fleet: Fleet) -> Iterator[Problem]:
    if fault.capacity_provider is not None:
        return
    expression, place = fault.instances, f"{place}.instances"
    if expression is None:
        yield place, f"a {fault.kind} needs a cluster query that names the instances"
        return
    wrong = list(_constraint_problems(PlacementConstraint("memberOf", expression), fleet))
    if not wrong and parse_query(expression).volatile:
        wrong = ["may only name what stays the same: attributes and ids"]
    for what in wrong:
        yield place, what


def _demands(
    scenario: Scenario,
    tables: _Tables,
    definitions: Mapping[str, TaskDefinition],
    fleet: Fleet,
) -> Iterator[Problem]:
    """A task that no instance would take though all were empty is a mistake in the scenario."""
    named = {group.instance_type for group in scenario.fleet}
    named.update(*(group.instance_types for group in scenario.capacity_provider))
    if not named <= scenario.instance_types.keys():
        return
    for place, table in tables:
        definition = definitions.get(table.task_definition)
        if definition is None:
            continue
        what = _demand_problem(definition, table, (), fleet)
        if what:
            yield place, what
            continue
        for layout, parts in scenario.layouts.items():
            what = _demand_problem(definition, table, parts.get(table.name, ()), fleet)
            if what:
                yield f"layouts.{layout}.{table.name}", what


def _demand_problem(
    definition: TaskDefinition,
    table: ServiceTable | WorkloadTable,
    more: tuple[PlacementConstraint, ...],
    fleet: Fleet,
) -> str | None:
    constraints = definition.placement_constraints + table.constraints + more
    if len(constraints) > CONSTRAINTS_MAX:
        return f"{len(constraints)} placement constraints, ECS allows {CONSTRAINTS_MAX}"
    own = table.constraints + more
    if any(what for constraint in own for what in _constraint_problems(constraint, fleet)):
        return None
    kind = TaskKind(
        tuple(task_resources(definition, override_of(table)).items()),
        "scenario-check",
        *host_ports(definition),
        definition.requires_attributes,
        table.zones if definition.network_mode == "awsvpc" else (),
        tuple(filter(_lasts, constraints)),
        capacity_provider=getattr(table, "capacity_provider", None),
    )
    reasons = fleet.refuses(kind)
    if not reasons:
        return None
    wants = ", ".join(f"{amount} {name}" for name, amount in kind.resources)
    wants = ", ".join([wants, *(name for name in kind.required_attributes if "=" in name)])
    return f"no instance of the fleet could take a task ({wants}): {', '.join(reasons)}"


def _lasts(constraint: PlacementConstraint) -> bool:
    """Whether an empty fleet can answer for a constraint.

    What depends on tasks may well hold once there are some; code is asked of real instances.
    """
    check = check_of(constraint)
    return not check.volatile and check.code is None
