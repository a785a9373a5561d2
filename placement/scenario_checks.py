"""What a scenario means: names that must exist, queries that must parse, demands that must fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from placement.constraints import CONSTRAINTS
from placement.errors import PlacementError, QueryError, SpecError
from placement.model import PlacementConstraint, PlacementStrategy, TaskDefinition
from placement.query import parse_query
from placement.scenario import (
    Distribution,
    Scenario,
    ServiceTable,
    WorkloadTable,
    instance_specs,
)
from placement.strategies import StrategyFactory
from placement.taskdef import parse_task_definition, task_resources

Problem = tuple[str, str]

# Attributes that ECS or its agents set by themselves; a query may name them without a fleet's help.
_BUILT_IN = ("ecs.", "com.amazonaws.ecs.")


def scenario_problems(
    scenario: Scenario, strategies: Mapping[str, StrategyFactory]
) -> list[Problem]:
    """Every (place, what) that is wrong with a well-formed scenario; empty where nothing is."""
    problems: list[Problem] = []
    definitions: dict[str, TaskDefinition] = {}
    for name, document in scenario.task_definitions.items():
        try:
            definitions[name] = parse_task_definition(document, f"task_definitions.{name}")
        except SpecError as error:
            problems += error.problems
    problems += _duplicates(scenario)
    problems += _chains(scenario, strategies)
    problems += _expressions(scenario)
    problems += _demands(scenario, definitions)
    problems += _faults(scenario)
    problems += _models(scenario)
    return problems


def _duplicates(scenario: Scenario) -> Iterator[Problem]:
    tables = [(f"service[{i}]", t.name) for i, t in enumerate(scenario.service)]
    tables += [(f"workload[{i}]", t.name) for i, t in enumerate(scenario.workload)]
    seen: dict[str, str] = {}
    for place, name in tables:
        if name in seen:
            yield f"{place}.name", f"{name!r} is taken by {seen[name]}"
        seen.setdefault(name, place)
    for layout, parts in scenario.layouts.items():
        for name in parts:
            if name not in seen:
                yield f"layouts.{layout}.{name}", "no service or workload of that name"


def _chains(scenario: Scenario, strategies: Mapping[str, StrategyFactory]) -> Iterator[Problem]:
    chains = [(f"strategies.{name}", chain) for name, chain in scenario.strategies.items()]
    for place, table in _tables(scenario):
        if table.strategy is not None:
            chains.append((f"{place}.strategy", table.strategy))
    for place, chain in chains:
        if len(chain) > 5:
            yield place, f"{len(chain)} strategies in a chain, ECS allows 5"
        for strategy in chain:
            what = _strategy_problem(strategy, strategies)
            if what:
                yield place, what


def _strategy_problem(
    strategy: PlacementStrategy, strategies: Mapping[str, StrategyFactory]
) -> str | None:
    if strategy.type not in strategies:
        return f"unknown strategy {strategy.type!r}; known: {', '.join(sorted(strategies))}"
    try:
        strategies[strategy.type](strategy.field)
    except (ValueError, TypeError) as error:
        return f"{strategy.type}: {error}"
    return None


def _expressions(scenario: Scenario) -> Iterator[Problem]:
    known = {name for group in scenario.fleet for name in group.attributes}
    places: list[tuple[str, PlacementConstraint]] = []
    for place, table in _tables(scenario):
        places += [(f"{place}.constraints", c) for c in table.constraints]
    for layout, parts in scenario.layouts.items():
        for name, constraints in parts.items():
            places += [(f"layouts.{layout}.{name}", c) for c in constraints]
    for place, constraint in places:
        try:
            CONSTRAINTS[constraint.type](constraint.expression)
        except (PlacementError, ValueError) as error:
            yield place, str(error)
            continue
        if constraint.expression:
            yield from _unknown_attributes(place, constraint.expression, known)


def _unknown_attributes(place: str, expression: str, known: set[str]) -> Iterator[Problem]:
    for name in sorted(parse_query(expression).attributes - known):
        if not name.startswith(_BUILT_IN):
            have = ", ".join(sorted(known)) or "none"
            yield place, f"no instance of the fleet has attribute {name!r}; they have: {have}"


def _demands(scenario: Scenario, definitions: Mapping[str, TaskDefinition]) -> Iterator[Problem]:
    """Every task must fit on some empty instance of the fleet, else the scenario is a mistake."""
    shapes = {tuple(sorted(spec.resources.items())) for spec in instance_specs(scenario)}
    for place, table in _tables(scenario):
        if table.task_definition not in scenario.task_definitions:
            have = ", ".join(sorted(scenario.task_definitions))
            what = f"unknown task definition {table.task_definition!r}; known: {have}"
            yield f"{place}.task_definition", what
        elif table.task_definition in definitions:
            # PORTS is a limit of 100 on every instance, which no fleet declares.
            demand = task_resources(definitions[table.task_definition])
            demand.pop("PORTS", None)
            if not any(_fits(demand, dict(shape)) for shape in shapes):
                wants = ", ".join(f"{amount} {name}" for name, amount in demand.items())
                yield place, f"a task wants {wants}; no instance of the fleet has that"


def _fits(demand: Mapping[str, int], shape: Mapping[str, int]) -> bool:
    return all(amount <= shape.get(name, 0) for name, amount in demand.items())


def _faults(scenario: Scenario) -> Iterator[Problem]:
    zones = {zone for group in scenario.fleet for zone in group.zones}
    for name, faults in scenario.faults.items():
        for index, fault in enumerate(faults):
            place = f"faults.{name}[{index}]"
            if fault.kind == "zone-loss" and fault.zone not in zones:
                have = ", ".join(sorted(zones))
                yield f"{place}.zone", f"no zone {fault.zone!r} in the fleet; it has: {have}"
            if fault.kind == "drain":
                yield from _drain_problem(place, fault.instances)


def _drain_problem(place: str, expression: str | None) -> Iterator[Problem]:
    if expression is None:
        yield f"{place}.instances", "a drain needs a cluster query that names the instances"
        return
    try:
        if parse_query(expression).volatile:
            yield f"{place}.instances", "may only name what stays the same: attributes and ids"
    except QueryError as error:
        yield f"{place}.instances", str(error)


def _models(scenario: Scenario) -> Iterator[Problem]:
    for name in ("boot", "start", "stop"):
        model: Distribution = getattr(scenario.models, name)
        needed = "median" if model.distribution == "lognormal" else "mean"
        if getattr(model, needed) is None:
            yield f"models.{name}", f"a {model.distribution} distribution needs {needed}"


def _tables(scenario: Scenario) -> Iterator[tuple[str, ServiceTable | WorkloadTable]]:
    for index, service in enumerate(scenario.service):
        yield f"service[{index}]", service
    for index, workload in enumerate(scenario.workload):
        yield f"workload[{index}]", workload
