"""The case of aws/containers-roadmap#105: ten tasks, and an order that decides what they cost."""

from __future__ import annotations

from collections import Counter

import pytest

from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.studies.deploy_order import (
    SCENARIO,
    deployed,
    launched,
    main,
    random_orders,
)
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.scenario.scenario import Scenario

NAMES = "abcdef"


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load_scenario(SCENARIO).scenario


def test_the_scenario_is_the_users_ten_tasks_from_the_biggest_to_the_smallest(scenario):
    containers = {
        name: document["containerDefinitions"][0]["memory"]
        for name, document in scenario.task_definitions.items()
    }
    tasks = [(t.desired_count, containers[t.task_definition]) for t in scenario.service]
    assert tasks == [(2, 7000), (1, 2048), (2, 768), (2, 768), (1, 512), (2, 128)]
    assert "".join(table.name for table in scenario.service) == NAMES
    assert scenario.instance_types["m5.large"].memory == 7680


def test_launched_by_hand_from_the_biggest_they_occupy_four(scenario):
    assert launched(scenario, NAMES).occupied() == 4


def test_deployed_at_random_they_occupy_four_to_six_and_usually_five(scenario):
    counts = Counter(deployed(scenario, o).occupied() for o in random_orders(NAMES, 4, 60, seed=4))
    assert (min(counts), max(counts)) == (4, 6)
    assert counts.most_common(1)[0][0] == 5
    assert counts[5] > counts.total() / 2


def test_the_same_deployments_in_another_order_make_the_difference(scenario):
    orders = {4: "cdfcdbaaaccfdefeebdabfbe", 6: "faabfebebcfcdfcabddecead"}
    assert len({"".join(sorted(order)) for order in orders.values()}) == 1
    assert {n: deployed(scenario, order).occupied() for n, order in orders.items()} == {4: 4, 6: 6}


def test_moves_lead_from_his_worst_case_to_the_three_instances_that_would_do(scenario):
    answer = deployed(scenario, "faabfebebcfcdfcabddecead").repacked()
    plan = answer.plan
    assert answer.status == "optimal"
    assert (plan.used, plan.used_at_least, len(plan.freed)) == (3, 3, 3)
    # Each of the three that are freed holds a task at least; which moves do it is the solver's.
    assert answer.objective == answer.lower_bound == len(plan.moves) >= 3


def test_every_round_of_it_is_sound(scenario):
    account = launched(scenario, NAMES)
    for service in next(random_orders(NAMES, 4, 1, seed=1)):
        account.deploy(service)
    assert [str(v) for v in check_rounds(account.rounds)] == []


def test_the_table_shows_it(capsys):
    assert main(orders=3) == 0
    text = capsys.readouterr().out
    assert "biggest first: 4 instances" in text
    assert "3 random orders" in text
    assert "to 3 instances in" in text
