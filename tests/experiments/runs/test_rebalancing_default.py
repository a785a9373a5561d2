"""Zone rebalancing is on by itself, for the services that ECS has it on for (ecs 5.7)."""

from __future__ import annotations

from collections import Counter

import pytest

from stowplan.experiments.loading.load import check_scenario
from stowplan.experiments.runs.simulate import world
from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.loop import run_loop
from stowplan.placement.model import AVAILABILITY_ZONE

ZONES = f"spread:attribute:{AVAILABILITY_ZONE}"


def zones_at_the_end(strategy="default", **service) -> Counter[str]:
    """Four tasks begin in zone a; zone b has an instance from minute 10 on."""
    container = {"name": "main", "image": "web", "cpu": 128, "memory": 256}
    group = {"instance_type": "m5.large", "count": 2}
    document = {
        "name": "late zone",
        "duration": "30m",
        "fleet": [
            {**group, "name": "early", "zones": ["a"]},
            {**group, "name": "late", "zones": ["b"], "at": "10m"},
        ],
        "task_definitions": {"web": {"family": "web", "containerDefinitions": [container]}},
        "service": [{"name": "web", "task_definition": "web", "desired_count": 4, **service}],
        "strategies": {"one": strategy},
    }
    loaded = check_scenario(document)
    [run] = loaded.scenario.runs()
    scheduler, driver = world(loaded, run, loaded.scenario.duration)
    rounds: list[m.Round] = []
    run_loop(scheduler, driver, rounds.append)
    assert not check_rounds(rounds)
    column = scheduler.cluster.column(f"attribute:{AVAILABILITY_ZONE}")
    rows = [scheduler.tasks.instance[task] for task in scheduler.services["web"].tasks]
    return Counter(column.values[column.codes[row]] for row in rows)


EVEN, AS_THEY_WERE = {"a": 2, "b": 2}, {"a": 4}


def test_a_service_without_a_strategy_is_balanced():
    assert zones_at_the_end() == EVEN


def test_a_service_that_spreads_over_zones_first_is_balanced():
    assert zones_at_the_end([ZONES, "binpack:memory"]) == EVEN


@pytest.mark.parametrize("strategy", ["binpack:memory", "spread:instanceId", "random"])
def test_a_service_whose_first_strategy_is_another_stays(strategy):
    assert zones_at_the_end(strategy) == AS_THEY_WERE
    assert zones_at_the_end([strategy, ZONES]) == AS_THEY_WERE


def test_a_service_with_a_maximum_percent_of_100_stays():
    assert zones_at_the_end(maximum_percent=100, minimum_healthy_percent=50) == AS_THEY_WERE


def test_a_service_with_a_constraint_on_the_zone_stays():
    both = f"attribute:{AVAILABILITY_ZONE} in [a, b]"
    assert zones_at_the_end(constraints=[both]) == AS_THEY_WERE


def test_a_service_that_turns_it_off_stays():
    assert zones_at_the_end(availability_zone_rebalancing=False) == AS_THEY_WERE


def test_a_deployment_under_way_needs_none():
    # It places its tasks in zone b by itself.
    assert zones_at_the_end(deploy=[{"at": "10m"}]) == EVEN
