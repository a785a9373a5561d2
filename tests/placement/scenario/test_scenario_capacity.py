"""Capacity providers in a scenario: settings by strategy, and all that may be wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from stowplan.placement.scenario.checks import scenario_problems
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.scenario.settings import with_settings
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.taskdef.parse import parse_task_definition

WEB = {"family": "web", "containerDefinitions": [{"name": "c", "image": "i", "memory": 64}]}
CP = {"name": "cp", "instance_types": ["box"], "zones": ["a"], "max_size": 4}
SERVICE = {"name": "web", "task_definition": "web", "desired_count": 2}
FLEET = {"name": "g", "instance_type": "box", "count": 1, "zones": ["a"]}


def scenario(**fields: Any) -> Scenario:
    document = {
        "name": "s",
        "duration": "1h",
        "instance_types": {"box": {"cpu": 2048, "memory": 4000}},
        "capacity_provider": [CP],
        "task_definitions": {"web": WEB},
        "service": [SERVICE],
        "strategies": {"plain": "default", "other": "default"},
    }
    return Scenario.model_validate(document | fields)


def problems(**fields: Any) -> list[tuple[str, str]]:
    definitions = {"web": parse_task_definition(WEB)}
    return scenario_problems(scenario(**fields), STRATEGIES, definitions)


def test_a_fleet_is_not_needed_where_a_capacity_provider_launches_instances():
    assert problems() == []


def test_settings_hold_for_runs_of_their_strategy_alone():
    changes = {"cp": {"max_size": 9, "managed_scaling": {"instance_warmup": "2m"}}}
    one = scenario(settings={"other": {**changes, "web": {"maximum_percent": 150}}})
    plain, other = with_settings(one, "plain"), with_settings(one, "other")
    assert plain is one
    assert (other.capacity_provider[0].max_size, one.capacity_provider[0].max_size) == (9, 4)
    assert other.capacity_provider[0].managed_scaling.instance_warmup == 120_000
    assert other.service[0].maximum_percent == 150
    assert other.service[0].desired_count == 2


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ({"settings": {"third": {}}}, "settings.third", "unknown strategy 'third'"),
        ({"settings": {"other": {"asg": {}}}}, "settings.other.asg", "known: cp, web"),
        ({"settings": {"other": {"cp": {"size": 1}}}}, "settings.other.cp.size", "max_size"),
        ({"settings": {"other": {"cp": {"name": "x"}}}}, "settings.other.cp.name", "unknown field"),
        (
            {"settings": {"other": {"cp": {"max_size": 0}}}},
            "settings.other.cp.max_size",
            "greater than 0",
        ),
        ({"capacity_provider": [CP, CP]}, "capacity_provider[1].name", "taken"),
        (
            {"capacity_provider": [CP | {"instance_types": ["bx"]}]},
            "capacity_provider[0].instance_types",
            "did you mean box?",
        ),
        ({"capacity_provider": [CP | {"min_size": 5}]}, "capacity_provider[0]", "5, 5, 4"),
        (
            {
                "capacity_provider": [
                    CP | {"managed_scaling": False, "managed_termination_protection": True}
                ]
            },
            "capacity_provider[0]",
            "needs managed_scaling",
        ),
        (
            {"service": [SERVICE | {"capacity_provider_strategy": [{"capacity_provider": "x"}]}]},
            "service[0].capacity_provider_strategy",
            "unknown capacity provider 'x'",
        ),
        (
            {
                "cluster": {
                    "default_capacity_provider_strategy": [{"capacity_provider": "cp", "base": 1}]
                    * 2
                }
            },
            "cluster.default_capacity_provider_strategy",
            "named twice",
        ),
        (
            {"fleet": [FLEET | {"capacity_provider": "cp"}]},
            "fleet[0].capacity_provider",
            "desired_size",
        ),
        (
            {"faults": {"f": [{"kind": "drain", "at": 0, "capacity_provider": "x"}]}},
            "faults.f[0].capacity_provider",
            "unknown capacity provider 'x'; known: cp",
        ),
        (
            {"faults": {"f": [{"kind": "insufficient-capacity", "at": 0, "instance_type": "m"}]}},
            "faults.f[0].instance_type",
            "known: box",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(fields, place, words):
    found = [what for at, what in problems(**fields) if at == place]
    assert any(words in what for what in found), problems(**fields)
