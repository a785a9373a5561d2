"""Every goal of optimize keeps the contract, and what breaks it is caught."""

from __future__ import annotations

import itertools
from dataclasses import replace
from importlib import import_module

import pytest

from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.buy import fewest_instances
from stowplan.placement.optimal.optimize import GOALS
from stowplan.placement.packing.problem import Progress
from stowplan.testing import check_goal

calls_so_far = itertools.count()


@pytest.mark.parametrize("name", GOALS)
def test_a_registered_goal_keeps_the_contract(name):
    module, function, _ = GOALS[name]
    check_goal(getattr(import_module(module), function), name)


def changed(**fields):
    """A goal that answers as `fewest_instances` does where there is a plan, but for some fields."""

    def goal(scenario, calls, limits, progress=None):
        answer = fewest_instances(scenario, calls, limits, progress)
        if answer.plan is None:
            return answer
        made = {name: f(answer) if callable(f) else f for name, f in fields.items()}
        return replace(answer, **made)

    return goal


def raises(scenario, calls, limits, progress=None):
    raise KeyError("t0")


def gives_a_plan(scenario, calls, limits, progress=None):
    return fewest_instances(scenario, calls, limits, progress).plan


def writes_into_the_scenario(scenario, calls, limits, progress=None):
    scenario.optimize.objective["spread"] = 9
    return fewest_instances(scenario, calls, limits, progress)


def takes_calls_away(scenario, calls, limits, progress=None):
    answer = fewest_instances(scenario, calls, limits, progress)
    calls.clear()
    return answer


def gets_worse(scenario, calls, limits, progress=None):
    for bound in (2, 1):
        progress(Progress(0.0, bound, None))
    return fewest_instances(scenario, calls, limits, progress)


def boasts_when_cut_short(scenario, calls, limits, progress=None):
    answer = fewest_instances(scenario, calls, limits, progress)
    if limits.work is None or answer.plan is None:
        return answer
    return replace(answer, status="feasible", objective=99, lower_bound=9)


def no_reasons(scenario, calls, limits, progress=None):
    answer = fewest_instances(scenario, calls, limits, progress)
    return replace(answer, reasons=())


def blind(scenario, calls, limits, progress=None):
    return Answer("g", "instances", "optimal", 0, 0, None)


CANARIES = {
    "raises": (raises, "raised KeyError"),
    "gives a plan": (gives_a_plan, "gave a Plan, not an Answer|gave a NoneType"),
    "a float": (changed(objective=lambda a: a.objective * 1.0), "objective is .* not a whole"),
    "a plan without objective": (changed(objective=None), "a plan without its objective"),
    "an objective without plan": (changed(plan=None), "an objective without its plan"),
    "below its bound": (changed(lower_bound=999), "below its own bound 999"),
    "optimal with a gap": (changed(lower_bound=0, status="optimal"), "says optimal at"),
    "unknown with a plan": (changed(status="unknown"), "the status is 'unknown'"),
    "no unit": (changed(unit=""), "does not say its goal, or the unit"),
    "not the same twice": (
        changed(objective=lambda a: a.objective + next(calls_so_far), status="feasible"),
        "asked again",
    ),
    "writes into the scenario": (writes_into_the_scenario, "changes the scenario or its calls"),
    "takes calls away": (takes_calls_away, "changes the scenario or its calls|raised"),
    "gets worse": (gets_worse, "progress gets worse"),
    "boasts when cut short": (boasts_when_cut_short, "proves a bound of 9, and has a plan of"),
    "no reasons": (no_reasons, "the status is 'infeasible', with the reasons"),
    "an answer of nothing": (blind, "an objective without its plan"),
}


@pytest.mark.parametrize("canary", CANARIES)
def test_a_goal_broken_on_purpose_is_caught(canary):
    goal, words = CANARIES[canary]
    with pytest.raises(AssertionError, match=words) as caught:
        check_goal(goal, "mine")
    assert str(caught.value).startswith("mine: ")
