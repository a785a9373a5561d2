"""What differs between the strategies of a scenario besides their chains: `Scenario.settings`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from stowplan.placement.scenario.fields import Table
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.scenario.words import unknown

_TABLES = ("capacity_provider", "service", "workload")


def with_settings(scenario: Scenario, strategy: str) -> Scenario:
    """The scenario as runs of a strategy have it; its settings must have been checked."""
    changes = scenario.settings.get(strategy)
    if not changes:
        return scenario
    changed = {
        field: tuple(_changed(table, changes.get(table.name, {})) for table in tables)
        for field in _TABLES
        if (tables := getattr(scenario, field))
    }
    return scenario.model_copy(update=changed)


def _changed(table: Any, changes: Mapping[str, Any]) -> Any:
    return table.model_copy(update={name: _value(table, name, v) for name, v in changes.items()})


def _value(table: Table, name: str, value: Any) -> Any:
    """A value of a field as the file gives it. Raises ValidationError where it is none."""
    field = type(table).model_fields[name]
    annotation: Any = Annotated[field.annotation, field]
    return TypeAdapter(annotation).validate_python(value)


def settings_problems(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """(place, what) of all that is wrong with the settings of a scenario."""
    tables = {table.name: table for field in _TABLES for table in getattr(scenario, field)}
    for strategy, changes in scenario.settings.items():
        if strategy not in scenario.strategies:
            yield f"settings.{strategy}", unknown("strategy", strategy, scenario.strategies)
        for name, values in changes.items():
            place = f"settings.{strategy}.{name}"
            if name not in tables:
                yield place, unknown("capacity provider, service or workload", name, tables)
                continue
            fields = set(type(tables[name]).model_fields) - {"name"}
            for field, value in values.items():
                if field not in fields:
                    yield f"{place}.{field}", unknown("field", field, fields)
                    continue
                try:
                    _value(tables[name], field, value)
                except ValidationError as error:
                    what = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
                    yield f"{place}.{field}", what.replace("Input should be", "must be", 1)
