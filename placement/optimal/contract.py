"""The contract of a goal of `optimize`: `check_goal(mine)`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.callers.client import Arrival
from stowplan.placement.model import PlacementConstraint
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.optimize import Goal
from stowplan.placement.packing.problem import Limits, Progress
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.testing.checked import Checked


def check_goal(goal: Goal, name: str | None = None) -> None:
    """Assert that a goal of `optimize` keeps the contract of `Goal` on small scenarios.

    Its answer is sound: a plan with its objective or neither, a bound that no objective is below,
    "optimal" only where the two meet, reasons where it says that there can be no plan. A search
    that is cut short contradicts no other, and ends; asked again it answers the same; scenario and
    calls stay as they were; progress only ever improves.

    Args:
        goal: the function that a line of `GOALS` names.
        name: of it, for messages.
    Raises:
        AssertionError: something of that does not hold; the message says what, and where.
    """
    subject = Checked(goal, name)
    for title, scenario, calls in _problems():
        before = scenario.model_dump_json(), repr(calls)
        answer, seen = _answer(subject, goal, title, scenario, calls, Limits())
        short, _ = _answer(subject, goal, title, scenario, calls, Limits(work=0.0))
        again, _ = _answer(subject, goal, title, scenario, calls, Limits())
        if (scenario.model_dump_json(), repr(calls)) != before:
            subject.fail(f"{title}: changes the scenario or its calls, which it may only read")
        for found in (answer, short):
            _check_answer(subject, title, found)
        if _said(again) != _said(answer):
            subject.fail(f"{title}: answers {_said(answer)}, and asked again {_said(again)}")
        for one, other in ((answer, short), (short, answer)):
            if other.objective is not None and one.lower_bound > other.objective:
                subject.fail(f"{title}: proves a bound of {one.lower_bound}, and has a plan of "
                             f"{other.objective}")  # fmt: skip
        _check_progress(subject, title, seen)
        _check_progress(subject, title, answer.log)


def _answer(
    subject: Checked,
    goal: Goal,
    title: str,
    scenario: Scenario,
    calls: list[Arrival],
    limits: Limits,
) -> tuple[Answer[Any], list[Progress]]:
    seen: list[Progress] = []
    answer = subject.ask(title, lambda: goal(scenario, calls, limits, seen.append))
    if not isinstance(answer, Answer):
        subject.fail(f"{title}: gave a {type(answer).__name__}, not an Answer")
    return answer, seen


def _said(answer: Answer[Any]) -> tuple[Any, ...]:
    return answer.status, answer.objective, answer.lower_bound, answer.reasons, repr(answer.plan)


def _check_answer(subject: Checked, title: str, answer: Answer[Any]) -> None:
    best, bound, status = answer.objective, answer.lower_bound, answer.status
    for what, value in (("objective", best), ("lower_bound", bound)):
        if value is not None and type(value) is not int:
            subject.fail(f"{title}: {what} is {value!r}, not a whole number of {answer.unit}")
    if (best is None) != (answer.plan is None):
        subject.fail(f"{title}: a plan without its objective, or an objective without its plan")
    if best is not None and best < bound:
        subject.fail(f"{title}: its plan costs {best}, below its own bound {bound}")
    if (best is not None) != (status in ("optimal", "feasible")):
        subject.fail(f"{title}: the status is {status!r}, and the objective {best}")
    if status == "optimal" and best != bound:
        subject.fail(f"{title}: says optimal at {best}, with a bound of {bound}")
    if (status == "infeasible") != bool(answer.reasons):
        subject.fail(f"{title}: the status is {status!r}, with the reasons {answer.reasons}")
    if not answer.goal or not answer.unit:
        subject.fail(f"{title}: does not say its goal, or the unit of its objective")


def _check_progress(subject: Checked, title: str, log: Sequence[Progress]) -> None:
    for before, after in pairwise(log):
        worse = after.lower_bound < before.lower_bound or after.seconds < before.seconds
        if before.incumbent is not None:
            worse |= after.incumbent is None or after.incumbent > before.incumbent
        if worse:
            subject.fail(f"{title}: progress gets worse, from {before} to {after}")


_TYPES = {
    "small": {"cpu": 1024, "memory": 1000, "price_microusd_hour": 40},
    "large": {"cpu": 2048, "memory": 2400, "price_microusd_hour": 90},
}
# title -> (cpu, memory, count, constraint) of each service
_DEMANDS: dict[str, tuple[tuple[int, int, int, str | None], ...]] = {
    "two services": ((700, 400, 3, None), (500, 900, 2, None)),
    "a service on distinct instances": ((128, 100, 2, "distinctInstance"), (500, 400, 1, None)),
    "a task larger than any instance": ((4096, 100, 1, None),),
}


def _problems() -> Iterator[tuple[str, Scenario, list[Arrival]]]:
    """Small scenarios with what their clients call: (title, scenario, calls)."""
    groups = [
        {"name": kind, "instance_type": kind, "zones": ["a", "b"], "count": 4} for kind in _TYPES
    ]
    table = {"name": "small", "duration": "1m", "instance_types": _TYPES, "fleet": groups}
    for title, services in _DEMANDS.items():
        calls: list[Arrival] = []
        for number, (cpu, memory, count, rule) in enumerate(services):
            container = {"name": "c", "image": "i", "cpu": cpu, "memory": memory}
            document = {"family": f"t{number}", "containerDefinitions": [container]}
            rules = () if rule is None else (PlacementConstraint(rule),)
            service = m.CreateService(f"s{number}", f"t{number}", count, rules)
            calls += [Arrival(0, m.RegisterTaskDefinition(document)), Arrival(0, service)]
        scenario = Scenario.model_validate({**table, "task_definitions": {}})
        yield title, scenario, calls
