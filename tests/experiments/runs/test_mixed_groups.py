"""A group of several types and both markets: which type, which market, what it costs, what goes."""

from __future__ import annotations

from collections import Counter

import pytest

from stowplan.experiments.loading.load import check_scenario
from stowplan.experiments.runs.audit import judged
from stowplan.experiments.runs.simulate import drive, world
from stowplan.placement import messages as m
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header

TYPES = {
    "small": {"cpu": 1024, "memory": 1024, "price_microusd_hour": 100},
    "large": {"cpu": 2048, "memory": 2048, "price_microusd_hour": 180},
    "dear": {"cpu": 1024, "memory": 1024, "price_microusd_hour": 400},
}


def scenario(mixed, count=0, faults=(), scale=(), **group):
    table = {
        "name": "cp",
        "instance_types": ["dear", "small", "large"],
        "zones": ["a"],
        "max_size": 40,
        "mixed": mixed,
        **group,
    }
    container = {"name": "c", "image": "x", "cpu": 600, "memory": 100}
    return check_scenario(
        {
            "name": "mixed",
            "duration": "1h",
            "instance_types": TYPES,
            "capacity_provider": [table],
            "cluster": {"default_capacity_provider_strategy": [{"capacity_provider": "cp"}]},
            "task_definitions": {"t": {"family": "t", "containerDefinitions": [container]}},
            "service": [
                {"name": "s", "task_definition": "t", "desired_count": count, "scale": list(scale)}
            ],
            "faults": {"f": list(faults)},
        }
    )


def played(*given, until_ms=300_000, **more):
    """The rounds of a run, which break no rule."""
    loaded = scenario(*given, **more)
    rounds: list[m.Round] = []
    scheduler, driver = world(loaded, next(loaded.scenario.runs()), until_ms)
    drive(loaded, next(loaded.scenario.runs()), scheduler, driver, rounds.append)
    assert judged(Header(scheduler.config), rounds, {}).ok
    return rounds


def launched(rounds):
    """(type, price) of what was launched, in order."""
    return [
        (each.instance_type, each.price_microusd_hour)
        for entry in rounds
        for event in entry.events
        if isinstance(event, m.InstancesLaunched)
        for each in event.instances
    ]


def test_the_base_is_on_demand_and_of_the_rest_its_share():
    mixed = {"on_demand_base_capacity": 2, "on_demand_percentage_above_base_capacity": 25}
    found = launched(played(mixed, desired_size=10, discount_percent=50))
    # prioritized on demand: the first; lowest-price on spot: the two cheapest in turn
    assert Counter(found) == {("dear", 400): 4, ("small", 50): 3, ("large", 90): 3}
    assert found[:2] == [("dear", 400)] * 2


@pytest.mark.parametrize(
    ("strategy", "more", "types"),
    [
        ("lowest-price", {"spot_instance_pools": 1}, {"small": 6}),
        ("lowest-price", {"spot_discounts": {"dear": 90}}, {"dear": 3, "small": 3}),
        ("capacity-optimized", {"spare": {"dear": 2, "small": 2, "large": 8}}, {"large": 6}),
        ("capacity-optimized", {"spare": {"dear": 2, "small": 5, "large": 4}},
         {"small": 3, "large": 2, "dear": 1}),
        ("price-capacity-optimized", {}, {"small": 6}),
        ("price-capacity-optimized", {"spare": {"small": 1, "large": 30}}, {"dear": 6}),
        ("capacity-optimized-prioritized", {"spare": {"dear": 1}}, {"small": 6}),
    ],
)  # fmt: skip
def test_spot_is_chosen_by_its_strategy(strategy, more, types):
    mixed = {"on_demand_percentage_above_base_capacity": 0, **more}
    mixed["spot_allocation_strategy"] = strategy
    if "spare" in more and strategy == "price-capacity-optimized":
        types = {"large": 6}  # the others have less than half of what it has to spare
        mixed["spare"] = {"small": 1, "dear": 1, "large": 30}
    found = launched(played(mixed, desired_size=6))
    assert Counter(name for name, _ in found) == types


def test_on_demand_the_cheapest_is_taken_by_unit_of_weight():
    mixed = {"on_demand_allocation_strategy": "lowest-price", "weights": {"large": 2}}
    found = launched(played(mixed, desired_size=7, managed_scaling=False))
    assert found == [("large", 180)] * 4  # 7 units are reached by the fourth


def test_what_ec2_has_not_is_passed_over_and_spot_does_not_become_on_demand():
    none_of_small = {"kind": "insufficient-capacity", "at": 0, "instance_type": "small"}
    mixed = {"on_demand_percentage_above_base_capacity": 0, "spot_instance_pools": 1}
    rounds = played(mixed, count=2, faults=[none_of_small], discount_percent=50)
    assert launched(rounds) == [("large", 90)] * 2
    nothing = {"kind": "insufficient-capacity", "at": 0}
    rounds = played(mixed, count=2, faults=[nothing])
    assert launched(rounds) == []
    failed = [e for r in rounds for e in r.events if isinstance(e, m.LaunchFailed)]
    assert failed[0].reason == "InsufficientInstanceCapacity"


def test_a_smaller_group_gives_up_what_it_has_too_much_of():
    mixed = {"on_demand_base_capacity": 2, "on_demand_percentage_above_base_capacity": 0}
    managed = {"scale_in_minutes": 1}
    rounds = played(
        mixed, count=2, desired_size=6, managed_scaling=managed, discount_percent=50,
        until_ms=3_600_000,
    )  # fmt: skip
    up = {}
    for entry in rounds:
        for event in entry.events:
            if isinstance(event, m.InstancesLaunched):
                up |= {each.ec2_instance_id: each for each in event.instances}
            if isinstance(event, m.InstancesTerminated):
                for name in event.ec2_instance_ids:
                    del up[name]
    assert len(up) < 6
    assert [each.price_microusd_hour for each in up.values()].count(400) == 2


def test_reclaim_takes_what_is_on_spot_alone():
    fault = {"kind": "spot-reclaim", "at": "1m", "capacity_provider": "cp", "notice": "1s"}
    mixed = {"on_demand_base_capacity": 1, "on_demand_percentage_above_base_capacity": 0}
    rounds = played(mixed, desired_size=3, faults=[fault])
    gone = [e for r in rounds for e in r.events if isinstance(e, m.InstancesGone)]
    assert [len(event.instances) for event in gone] == [2]


def test_what_a_group_cannot_have_is_named_all_at_once():
    with pytest.raises(SpecError) as caught:
        scenario(
            {"weights": {"small": 2}, "spare": {"smal": 1}, "spot_discounts": {"x": 5}},
            market="spot",
        )
    said = dict(caught.value.problems)
    assert "has no market of its own" in said["scenario: capacity_provider[0].mixed"]
    assert "ECS has no managed scaling" in said["scenario: capacity_provider[0].mixed.weights"]
    assert "did you mean small?" in said["scenario: capacity_provider[0].mixed.spare"]
    assert "scenario: capacity_provider[0].mixed.spot_discounts" in said


# --- chosen by attributes -------------------------------------------------------------------------


def by_attributes(**asked):
    container = {"name": "c", "image": "x", "cpu": 600, "memory": 100}
    wanted = {"vcpu_count": {"min": 2.0, "max": 4.0}, "memory_mib": {"min": 8192.0}} | asked
    loaded = check_scenario(
        {
            "name": "by attributes",
            "duration": "1m",
            "capacity_provider": [
                {"name": "cp", "zones": ["a"], "max_size": 3, "mixed": {"requirements": wanted}}
            ],
            "task_definitions": {"t": {"family": "t", "containerDefinitions": [container]}},
        }
    )
    return loaded.scenario.capacity_provider[0].instance_types


def test_types_are_those_that_have_all_that_is_asked_for_the_cheapest_first():
    types = by_attributes()
    assert {"m5.large", "m6i.large", "m5a.large"} <= {*types}
    assert not {"t3.large", "m6g.large", "c5.large", "m5.2xlarge"} & {*types}
    prices = [TABLE[name] for name in types]
    assert prices == sorted(prices)


@pytest.mark.parametrize(
    ("asked", "has", "has_not"),
    [
        ({"architecture": "arm64"}, "m6g.large", "m5.large"),
        ({"burstable_performance": "required"}, "t3.large", "m5.large"),
        ({"cpu_manufacturers": ["amd"]}, "m5a.large", "m5.large"),
        ({"allowed_instance_types": ["m5*"]}, "m5.large", "m6i.large"),
        ({"excluded_instance_types": ["m5.*"]}, "m5a.large", "m5.large"),
        ({"instance_generations": ["current"]}, "m7i.large", "m4.large"),
        ({"local_storage": "required"}, "m5d.large", "m5.large"),
        ({"local_storage": "excluded"}, "m5.large", "m5d.large"),
        ({"memory_gib_per_vcpu": {"max": 4.0}}, "m5.large", "r5.large"),
        ({"accelerator_types": ["gpu"], "accelerator_manufacturers": ["nvidia"],
          "on_demand_max_price_percentage_over_lowest_price": 999}, "g4dn.xlarge", "m5.large"),
        ({"accelerator_names": ["t4"]}, "g4dn.xlarge", "g5.xlarge"),
        ({"on_demand_max_price_percentage_over_lowest_price": 200}, "r5.large", "g4dn.xlarge"),
    ],
)  # fmt: skip
def test_each_attribute_counts(asked, has, has_not):
    types = by_attributes(**asked)
    assert has in types
    assert has_not not in types


def test_requirements_that_nothing_has_or_beside_types_are_problems():
    with pytest.raises(SpecError, match="no type of EC2 in us-east-1 has all of it"):
        by_attributes(accelerator_names=["h9000"])
    with pytest.raises(SpecError, match="give one of them"):
        scenario({"requirements": {"vcpu_count": {"min": 2.0}, "memory_mib": {}}})
    with pytest.raises(SpecError, match="vcpu_count"):
        by_attributes(vcpu_count={"min": "two"})


TABLE = {}


@pytest.fixture(autouse=True, scope="module")
def _prices():
    from stowplan.experiments.loading.catalogue import listed_types

    TABLE.update({each.name: each.registers.price_microusd_hour for each in listed_types()})
