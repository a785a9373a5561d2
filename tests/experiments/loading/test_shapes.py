"""Examples of what goes where, made from the tables themselves."""

import tomllib
from typing import Annotated

import pytest
from pydantic import TypeAdapter

from stowplan.experiments.loading.shapes import example, sample, spot
from stowplan.placement.scenario.capacity import CapacityProviderTable
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.scenario.scenario import Scenario
from tests.experiments.loading.test_reference import reachable

# Those that hold something: of others no example is shown.
FIELDS = [
    pytest.param(table, name, id=f"{table.__name__}.{name}")
    for table in sorted(reachable(), key=lambda table: table.__name__)  # a set, by address
    for name in table.model_fields
    if sample(spot(table, (name,)).annotation)[0] in "[{"
]


@pytest.mark.parametrize(("table", "name"), FIELDS)
def test_an_example_has_the_shape_that_it_is_an_example_of(table, name):
    # Two deep, so that lists of tables are written in one line.
    text = example(("x", name), spot(table, (name,)).annotation)
    value = tomllib.loads(text)[name]
    if name == "rates_per_s":  # at least two, which the example need not show
        value *= 2
    field = table.model_fields[name]
    TypeAdapter(Annotated[field.annotation, field]).validate_python(value)


@pytest.mark.parametrize("name", ["models", "fleet", "service", "capacity_provider"])
def test_tables_at_the_top_are_written_with_brackets(name):
    head, _, fields = example((name,), spot(Scenario, (name,)).annotation).partition(" with ")
    # An inline table lets what the brackets head stand in one line.
    value = tomllib.loads(f"{head}\nfields = {{ {fields} }}")[name]
    assert head in (f"[{name}]", f"[[{name}]]")
    document = value["fields"] if head == f"[{name}]" else [each["fields"] for each in value]
    TypeAdapter(Scenario.model_fields[name].annotation).validate_python(document)


@pytest.mark.parametrize(
    ("loc", "place", "table"),
    [
        (("faults", "zone", 0, "zoen"), ("faults", "zone", 0, "zoen"), Fault),
        (
            ("capacity_provider", 0, "managed_scaling", "ManagedScalingTable", "x"),
            ("capacity_provider", 0, "managed_scaling", "x"),
            None,
        ),
        (("capacity_provider", 0, "x"), ("capacity_provider", 0, "x"), CapacityProviderTable),
    ],
)
def test_a_place_is_named_as_its_writer_knows_it(loc, place, table):
    found = spot(Scenario, loc)
    assert found.place == place
    if table is not None:  # though a list of faults is called like a field of a fault
        assert found.fields == tuple(table.model_fields)
