"""The reference of the scenario file names every key that the loader accepts, and no other."""

import re
import tomllib
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.workloads import WORKLOADS
from stowplan.placement.model import PlacementConstraint, PlacementStrategy
from stowplan.placement.scenario import scenario
from stowplan.placement.scenario.autoscaling import AutoscalingTable, LoadPoint
from stowplan.placement.scenario.capacity import (
    CapacityProviderTable,
    GroupInstance,
    ManagedScalingTable,
    StrategyItem,
)
from stowplan.placement.scenario.containers import ContainerBehaviour, ImageTable, PullTable
from stowplan.placement.scenario.fields import Distribution, Table
from stowplan.placement.scenario.load_balancer import LoadBalancerTable
from stowplan.placement.scenario.mixed import MixedInstancesTable, Range, RequirementsTable
from stowplan.placement.scenario.models import Models
from stowplan.placement.scenario.running import RunningTable
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.units import parse_duration_ms
from stowplan.realdriver.docker.config import EnginesTable, EngineTable, RegistryTable, TlsTable

PAGE = SCENARIOS / "REFERENCE.md"
# What a value is parsed by says what it is: a duration is an int as well.
PARSED = {
    "parse_duration_ms": "duration",
    "_parse_optional_duration": "duration or false",
    "_parse_optional_limit": "whole number > 0 or false",
    "_parse_chain": "strategy or list of them",
}
EXACT = 10**6  # bounds from here on are there to keep sums exact
PLAIN = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    PlacementConstraint: "constraint",
    PlacementStrategy: "strategy",
}


# --- what the loader accepts ----------------------------------------------------------------------


def type_text(annotation, metadata=()):
    """A type as the page has it."""
    if get_origin(annotation) is Annotated:
        inner, *own = get_args(annotation)
        return type_text(inner, (*own, *metadata))
    for each in metadata:
        parse = getattr(each, "func", None)
        if getattr(parse, "__name__", "") in PARSED:
            return PARSED[parse.__name__]
        if isinstance(each, FieldInfo):
            metadata = (*metadata, *each.metadata)
    if annotation in PLAIN:
        return PLAIN[annotation] + bounds(metadata)
    return compound_text(annotation)


def compound_text(annotation):
    if get_origin(annotation) is Literal:
        return " or ".join(
            "false" if value is False else f"`{value}`" for value in get_args(annotation)
        )
    arguments = [a for a in get_args(annotation) if a not in (type(None), Ellipsis)]
    if get_origin(annotation) is tuple:
        return f"list of {plural(type_text(arguments[0]))}"
    if get_origin(annotation) is dict and arguments[1] is Any:
        return "table"
    if get_origin(annotation) is dict:
        return f"table of {plural(type_text(arguments[1]))}"
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(type_text(a) for a in arguments)
    assert issubclass(annotation, Table), annotation
    return "table"


def plural(text):
    """`tables of tables`; what has bounds or is any number of words stays as it is."""
    return re.sub(r"^(table|list|constraint|duration)\b", r"\1s", text)


def bounds(metadata):
    """` > 0`, ` 1 to 100`: the bounds of a number, but not those that only keep sums exact."""
    names = ("gt", "ge", "le")
    found = {name: getattr(m, name) for m in metadata for name in names if hasattr(m, name)}
    if "gt" in found:
        return f" > {found['gt']}"
    if "ge" not in found:
        return ""
    low, high = found["ge"], found.get("le", EXACT)
    return f" {low} to {high}" if high < EXACT else f" >= {low}"


def default_text(field, type_):
    if field.is_required():
        return "required"
    if field.default is None:
        return "none"
    return f"`{value_text(field.get_default(call_default_factory=True), type_)}`"


def value_text(value, type_):
    """A default as a file would have it."""
    if isinstance(value, Table):
        fields = type(value).model_fields
        inner = [
            f"{name} = {value_text(getattr(value, name), field_type(fields[name]))}"
            for name in fields
            if name in value.model_fields_set
        ]
        return f"{{ {', '.join(inner)} }}" if inner else "{}"
    if isinstance(value, bool):
        return str(value).lower()
    if type_.startswith(("duration", "list of duration")) and isinstance(value, int):
        return duration_text(value)
    if isinstance(value, tuple):
        return f"[{', '.join(value_text(each, type_) for each in value)}]"
    if isinstance(value, dict):
        inner = [f"{name} = {value_text(each, '')}" for name, each in value.items()]
        return f"{{ {', '.join(inner)} }}" if inner else "{}"
    return f'"{value}"' if isinstance(value, str) else str(value)


def duration_text(ms):
    units = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
    text = next((f'"{ms // size}{unit}"' for unit, size in units if ms % size == 0 and ms), '"0s"')
    assert parse_duration_ms(text.strip('"')) == ms
    return text


def field_type(field):
    return type_text(field.annotation, field.metadata)


def rows_of(table):
    """(key, type, default) of each field of a table."""
    found = {}
    for name, field in table.model_fields.items():
        default = field.get_default(call_default_factory=True)
        assert default is not PydanticUndefined or field.is_required()
        type_ = field_type(field)
        found[name] = (name, type_, default_text(field, type_))
    return found


def tables_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, Table):
        yield annotation
    for argument in get_args(annotation):
        yield from tables_in(argument)


def reachable():
    """Every table that a scenario may hold, the options of workloads included."""
    waiting, found = [Scenario, *(each.options for each in WORKLOADS.values())], set()
    while waiting:
        table = waiting.pop()
        if table not in found:
            found.add(table)
            for field in table.model_fields.values():
                waiting += tables_in(field.annotation)
    return found


# --- what the page says ---------------------------------------------------------------------------

SECTIONS = {
    "Top level": Scenario,
    "[cluster]": scenario.ClusterTable,
    "[instance_types.NAME]": scenario.InstanceTypeTable,
    "[[fleet]]": scenario.FleetGroup,
    "[[capacity_provider]]": CapacityProviderTable,
    "[capacity_provider.managed_scaling]": ManagedScalingTable,
    "[[capacity_provider.instances]]": GroupInstance,
    "[capacity_provider.mixed]": MixedInstancesTable,
    "[capacity_provider.mixed.requirements]": RequirementsTable,
    "Ranges": Range,
    "Capacity provider strategies": StrategyItem,
    "[[service]]": scenario.ServiceTable,
    "[[service.scale]]": scenario.ScaleStep,
    "[[service.deploy]]": scenario.DeployStep,
    "[service.circuit_breaker]": scenario.CircuitBreakerTable,
    "[service.load_balancer]": LoadBalancerTable,
    "[service.autoscaling]": AutoscalingTable,
    "[[service.autoscaling.load]]": LoadPoint,
    "[[running]]": RunningTable,
    "[[workload]]": scenario.WorkloadTable,
    **{f'kind = "{kind}"': workload.options for kind, workload in WORKLOADS.items()},
    "[[faults.NAME]]": scenario.Fault,
    "[models]": Models,
    "Times that vary": Distribution,
    "[behaviour.TASK_DEFINITION.CONTAINER]": ContainerBehaviour,
    "[images.NAME]": ImageTable,
    "[pulls]": PullTable,
    "[optimize]": scenario.OptimizeTable,
    "[[optimize.offer]]": scenario.Offer,
}
# Those of another file: the one of `--engines`.
ENGINES = {
    "The engines file": EnginesTable,
    "[[engine]]": EngineTable,
    "[engine.tls]": TlsTable,
    "[registry.HOST]": RegistryTable,
}


def sections():
    """Heading -> text of each section of the page."""
    parts = re.split(r"^#+ (.+)$", PAGE.read_text(), flags=re.M)
    return {
        heading.replace("`", ""): text
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def page_rows(text):
    """(key, type, default, meaning) of the rows of the table of keys in a section."""
    _, _, table = text.partition("| Key | Type | Default | Means |\n|---|---|---|---|\n")
    lines = [line for line in table.split("\n\n")[0].splitlines() if line]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {key.strip("`"): (key.strip("`"), *rest) for key, *rest in cells}


def test_every_table_that_a_scenario_may_hold_has_a_section():
    assert set(SECTIONS.values()) == reachable()
    assert SECTIONS.keys() <= sections().keys()


@pytest.mark.parametrize("heading", [*SECTIONS, *ENGINES])
def test_a_section_has_the_keys_that_the_loader_accepts_with_type_and_default(heading):
    found = page_rows(sections()[heading])
    assert {key: row[:3] for key, row in found.items()} == rows_of({**SECTIONS, **ENGINES}[heading])
    assert all(len(row) == 4 and row[3] for row in found.values()), "a key without a meaning"


def test_strategies_kinds_of_faults_and_links_are_all_there():
    text = PAGE.read_text()
    strategies = set(re.findall(r"`(\w+)[`:]", sections()["Strategies"]))
    assert STRATEGIES.keys() <= strategies
    kinds = re.findall(r"^\| `([a-z-]+)` \|", sections()["[[faults.NAME]]"].split("Which")[0], re.M)
    assert set(kinds) == set(get_args(scenario.Fault.model_fields["kind"].annotation))
    anchors = {
        re.sub(r"[^a-z_ -]", "", heading.lower()).replace(" ", "-") for heading in sections()
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


@pytest.mark.parametrize("heading", [*SECTIONS, *ENGINES])
def test_a_default_of_the_page_means_the_same_as_the_key_left_out(heading):
    table = {**SECTIONS, **ENGINES}[heading]
    for name, (_, _, default) in rows_of(table).items():
        if default.startswith("`"):
            field = table.model_fields[name]
            adapter = TypeAdapter(Annotated[field.annotation, field])
            value = tomllib.loads(f"value = {default.strip('`')}")["value"]
            assert adapter.validate_python(value) == field.get_default(call_default_factory=True)
