"""The scenario type: how its values are written, its runs, and the instances of its fleet."""

import pytest
from pydantic import ValidationError

from stowplan.placement.model import PlacementConstraint, PlacementStrategy
from stowplan.placement.scenario.fields import (
    Distribution,
    own_strategy,
    parse_constraint,
    parse_strategy,
)
from stowplan.placement.scenario.scenario import Run, Scenario, WorkloadTable, instance_specs
from stowplan.placement.units import parse_duration_ms

AZ = "attribute:ecs.availability-zone"


def scenario(**fields):
    group = {"name": "g", "instance_type": "box", "count": 1, "zones": ["a"]}
    document = {
        "name": "s",
        "duration": "1h",
        "instance_types": {"box": {"cpu": 2048, "memory": 4000}},
        "fleet": [group],
        "task_definitions": {},
    }
    return Scenario.model_validate(document | fields)


def group(**fields):
    return {"name": "g", "instance_type": "box", "count": 1, "zones": ["a"]} | fields


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        ("250ms", 250),
        ("90s", 90_000),
        ("15m", 900_000),
        ("1.5h", 5_400_000),
        ("2d", 172_800_000),
        (" 1 s ", 1000),
        ("0s", 0),
        (0, 0),
        (3, 3000),
        (0.25, 250),
        (1.001, 1001),  # 1.001 * 1000 is 1000.9999999999999
        ("1.001s", 1001),
        ("0.1m", 6000),
    ],
)
def test_a_duration_is_text_with_a_unit_or_a_number_of_seconds(written, ms):
    assert parse_duration_ms(written) == ms


@pytest.mark.parametrize(
    ("written", "words"),
    [
        *(
            (text, "expected a duration")
            for text in ("", "5", "s", "-1s", "1 week", "1e3s", "1,5s")
        ),
        *((value, "expected a duration") for value in (-1, -0.5, True, None, [1], float("nan"))),
        (float("inf"), "expected a duration"),
        ("0.5ms", "finer than a millisecond"),
        (0.0001, "finer than a millisecond"),
        ("99999d", "longer than"),
        (1e30, "longer than"),
    ],
)
def test_what_is_no_duration_is_refused_with_what_was_found(written, words):
    with pytest.raises(ValueError, match=words) as raised:
        parse_duration_ms(written)
    assert repr(written) in str(raised.value)


@pytest.mark.parametrize(
    ("written", "kind", "field"),
    [
        ("random", "random", None),
        ("binpack:memory", "binpack", "memory"),
        ("spread:" + AZ, "spread", AZ),
        ("spread:", "spread", None),
        ("mine.py:Mine", "mine.py:Mine", None),
        ("../my files/mine.py:Mine", "../my files/mine.py:Mine", None),
        ("mine.py:Mine:cpu", "mine.py:Mine", "cpu"),
        ("mine.py:Mine:" + AZ, "mine.py:Mine", AZ),
        ("mine.py", "mine.py", None),
    ],
)
def test_a_strategy_is_a_type_and_a_field(written, kind, field):
    strategy = parse_strategy(written)
    assert strategy == PlacementStrategy(kind, field)
    assert own_strategy(strategy) == (".py:" in kind)
    assert parse_strategy(strategy) is strategy


@pytest.mark.parametrize(
    ("written", "constraint"),
    [
        ("distinctInstance", PlacementConstraint("distinctInstance")),
        (" distinctInstance ", PlacementConstraint("distinctInstance")),
        ("maxPerInstance: 3", PlacementConstraint("maxPerInstance", "3")),
        ("memberOf: attribute:a exists", PlacementConstraint("memberOf", "attribute:a exists")),
        ("memberOf:", PlacementConstraint("memberOf", "")),
        ("attribute:a == memberOf", PlacementConstraint("memberOf", "attribute:a == memberOf")),
    ],
)
def test_a_constraint_is_a_kind_or_a_query(written, constraint):
    assert parse_constraint(written) == constraint
    assert parse_constraint(constraint) is constraint


@pytest.mark.parametrize("parse", [parse_strategy, parse_constraint])
@pytest.mark.parametrize("value", [None, "", 5, ["random"], {}])
def test_strategies_and_constraints_are_text(parse, value):
    with pytest.raises(ValueError, match=r"expected .*, found"):
        parse(value)


def test_a_chain_is_one_strategy_or_a_list_or_the_default():
    chains = {"one": "random", "two": ["spread:host", "binpack:cpu"], "ecs": "default"}
    assert scenario(strategies=chains).strategies == {
        "one": (PlacementStrategy("random"),),
        "two": (PlacementStrategy("spread", "host"), PlacementStrategy("binpack", "cpu")),
        "ecs": (),
    }


@pytest.mark.parametrize(("written", "read"), [(False, False), (0, 0), ("3s", 3000)])
def test_resubmit_is_a_duration_or_false(written, read):
    table = WorkloadTable(name="w", task_definition="t", kind="k", resubmit=written)
    assert table.resubmit is read or (read is not False and table.resubmit == read)


@pytest.mark.parametrize("wrong", ["12", 3.0, True, -1, 2**60])
def test_amounts_are_whole_numbers_as_written(wrong):
    with pytest.raises(ValidationError):
        scenario(fleet=[group(count=wrong)])


@pytest.mark.parametrize(
    ("fields", "sound"),
    [
        ({"mean": "1s"}, True),
        ({"distribution": "exponential", "mean": 1}, True),
        ({"distribution": "lognormal", "median": "1s", "sigma": 1}, True),
        ({}, False),
        ({"median": "1s"}, False),
        ({"distribution": "lognormal", "mean": "1s"}, False),
        ({"distribution": "lognormal", "median": "1s", "sigma": -1}, False),
        ({"distribution": "lognormal", "median": "1s", "sigma": float("inf")}, False),
    ],
)
def test_a_distribution_has_the_parameter_it_needs(fields, sound):
    if sound:
        Distribution.model_validate(fields)
    else:
        with pytest.raises(ValidationError):
            Distribution.model_validate(fields)


# --- runs -----------------------------------------------------------------------------------------


def test_runs_are_every_combination_in_the_order_of_the_file():
    found = scenario(
        strategies={"b": "random", "a": "default"},
        layouts={"shared": {}, "parted": {}},
        faults={"none": [], "loss": []},
    ).runs()
    assert [run.id for run in found] == [
        "b__shared__none",
        "a__shared__none",
        "b__shared__loss",
        "a__shared__loss",
        "b__parted__none",
        "a__parted__none",
        "b__parted__loss",
        "a__parted__loss",
    ]


def test_a_scenario_without_axes_is_one_run_of_ecs_own_default():
    assert list(scenario().runs()) == [Run("ecs-default", "shared", "none")]


def test_the_id_of_a_run_is_one_name_in_a_folder():
    assert "/" not in Run("../mine.py:Mine", "shared", "none").id


# --- the fleet ------------------------------------------------------------------------------------


def test_zones_are_dealt_in_turn_within_each_group():
    fleet = [group(count=5, zones=["a", "b"]), group(count=2, zones=["b", "c"])]
    specs = instance_specs(scenario(fleet=fleet))
    zones = [spec.attributes["ecs.availability-zone"] for spec in specs]
    assert zones == ["a", "b", "a", "b", "a", "b", "c"]


def test_every_instance_has_a_name_of_its_own_in_ec2s_form():
    specs = instance_specs(scenario(fleet=[group(count=20), group(count=5)]))
    assert len({spec.name for spec in specs}) == 25
    assert all(len(spec.name) == 19 and spec.name.startswith("i-") for spec in specs)


def test_an_instance_registers_its_types_amounts_without_zeros_and_its_groups_on_top():
    types = {
        "box": {
            "cpu": 2048,
            "memory": 4000,
            "gpus": 1,
            "price_microusd_hour": 7,
            "resources": {"DISK": 10, "SLOTS": 1},
        }
    }
    fleet = [group(), group(resources={"DISK": 20, "MEMORY": 3000, "GPU": 0})]
    one, two = instance_specs(scenario(instance_types=types, fleet=fleet))
    assert one.resources == {"CPU": 2048, "MEMORY": 4000, "GPU": 1, "DISK": 10, "SLOTS": 1}
    assert two.resources == {"CPU": 2048, "MEMORY": 3000, "DISK": 20, "SLOTS": 1}
    assert one.price_microusd_hour == 7


def test_an_instance_carries_ecs_attributes_and_its_groups():
    types = {"box": {"cpu": 1, "memory": 1, "architecture": "arm64"}}
    fleet = [group(attributes={"pool": "web", "ecs.os-type": "other"})]
    [spec] = instance_specs(scenario(instance_types=types, fleet=fleet))
    assert spec.attributes["ecs.instance-type"] == "box"
    assert spec.attributes["ecs.cpu-architecture"] == "arm64"
    assert spec.attributes["ecs.capability.task-eni"] == ""
    assert spec.attributes["pool"] == "web"
    assert spec.attributes["ecs.os-type"] == "other"


def test_launch_time_and_capacity_provider_are_the_groups():
    [spec] = instance_specs(scenario(fleet=[group(at="5m", capacity_provider="spot")]))
    assert (spec.at_ms, spec.capacity_provider) == (300_000, "spot")
    [spec] = instance_specs(scenario())
    assert (spec.at_ms, spec.capacity_provider) == (0, None)
