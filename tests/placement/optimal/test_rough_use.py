"""Scenarios of all kinds of rules, every goal, next to no time: no answer contradicts itself."""

from __future__ import annotations

import pytest

from stowplan.experiments.bench.placements import KINDS, mixed, plain_cp_sat
from stowplan.experiments.bench.rows import Clock
from stowplan.experiments.loading.load import check_scenario
from stowplan.experiments.workloads.arrivals import arrivals
from stowplan.placement.optimal.optimize import GOALS, optimize
from stowplan.placement.packing.problem import Limits

WORK = (0.0, 1.0, 30.0)


def answers(seed):
    """(document, goal, answer) of each goal."""
    for goal in GOALS:
        document = mixed(200 + seed // len(KINDS), KINDS[seed % len(KINDS)])
        times = (0, 1, 1, 5)[seed // len(KINDS) % 4]  # nothing to do, as made, or far too much
        for service in document["service"]:
            if "desired_count" in service:
                service["desired_count"] *= times
        for name, each in document["instance_types"].items():
            each["price_microusd_hour"] = {"large": 400_000, "middle": 210_000}.get(name, 900_000)
        plain = plain_cp_sat(document, Clock(wall=False), 1.0) if goal == "placement" else None
        scenario = check_scenario(document).scenario
        calls = list(arrivals(scenario, next(scenario.runs())))
        yield goal, optimize(scenario, calls, goal, Limits(work=WORK[seed % len(WORK)])), plain


def check(seed):
    for goal, answer, plain in answers(seed):
        where = f"{goal}, seed {seed}: {answer.status} {answer.objective} {answer.lower_bound}"
        if answer.status == "infeasible":
            assert answer.plan is None, where
            assert answer.reasons, where
            continue
        if answer.objective is not None:
            assert answer.lower_bound <= answer.objective, where
            assert (answer.status == "optimal") == (answer.gap == 0), where
            assert not sum(answer.trial.refused.values()), where
        if plain is not None and plain[0]:
            assert answer.lower_bound <= plain[1], where
            assert answer.objective is None or answer.objective >= plain[1], where


@pytest.mark.parametrize("seed", [0, 5, 10, 20, 25, 30])
def test_no_answer_contradicts_itself_or_the_textbooks_model(seed):
    check(seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(60))
def test_the_same_of_sixty(seed):
    check(seed)


@pytest.mark.filterwarnings("error")
def test_a_resource_that_nothing_asks_for_has_no_price():
    check(15)
