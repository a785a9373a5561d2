"""Every key of the reference and every goal of `optimize`: kept, of no matter, or refused."""

from __future__ import annotations

import re

import pytest

from stowplan.experiments.cli.optimize import answer_scenario
from stowplan.placement.errors import SpecError
from stowplan.placement.optimal.keys import (
    ALL_GOALS,
    BUY,
    LIKE,
    PLANNED,
    TABLE,
    check_keys,
    verdict,
)
from stowplan.placement.optimal.optimize import GOALS
from stowplan.placement.packing.problem import Limits
from stowplan.placement.scenario.scenario import Scenario

from .key_cases import CASES, IRRELEVANT, REFUSED, changed, is_table
from .test_reference import SECTIONS, rows_of

PREFIX = {
    "Top level": "",
    "[cluster]": "cluster.",
    "[instance_types.NAME]": "instance_types.",
    "Capacity provider strategies": "item.",
    "Times that vary": "time.",
    "Ranges": "capacity_provider.mixed.requirements.",
    "[behaviour.TASK_DEFINITION.CONTAINER]": "behaviour.",
    "[images.NAME]": "images.",
    "[[faults.NAME]]": "faults.",
}
HOUR_MS = 3_600_000


def keys():
    """Every key of the reference with its table: `service.scale.at`."""
    for heading, table in SECTIONS.items():
        prefix = PREFIX.get(heading, heading.strip("[]") + ".")
        if heading.startswith("kind = "):
            prefix = "workload.options."
        yield from (prefix + name for name in rows_of(table))


KEYS = sorted(set(keys()))


def test_the_goals_of_the_table_are_those_there_are():
    assert {*GOALS, "repack"} == {*ALL_GOALS, *LIKE}
    assert set(LIKE.values()) <= set(ALL_GOALS)


@pytest.mark.parametrize("goal", ALL_GOALS)
def test_every_key_has_a_verdict_and_every_verdict_what_shows_it(goal):
    for key in KEYS:
        found = verdict(key, goal)
        if found.kind == "refused":
            assert found.uses.__name__ in REFUSED
        if found.kind != "kept":
            assert found.why
            if found.kind == "irrelevant" and goal in PLANNED:
                parents = [key[: at.start()] for at in re.finditer(r"\.|$", key)]
                parents += ["models"] * key.startswith("time.")
                assert any(each in IRRELEVANT for each in parents), (key, goal)
        elif goal in PLANNED and not is_table(key) and key != "seed":
            if key.startswith("workload.options."):
                key = "workload.options.*"
            # these have tests of their own
            if key not in ("workload.file", "optimize.hours", "prices", "region"):
                assert any(goal in case.goals for case in CASES[key]), (key, goal)


def test_the_table_has_no_line_for_a_key_that_is_none():
    known = {*KEYS, *(f"{key.rpartition('.')[0]}.*" for key in KEYS)}
    assert {key for key, _ in TABLE} <= known


def test_a_key_without_a_line_is_found_out():
    with pytest.raises(KeyError, match=r"no line for service\.colour"):
        verdict("service.colour", "fleet")


def boxes_of(found, goal):
    """How many instances hold the tasks; None where there is no plan for them."""
    if found.plan is None:
        return None
    if goal == "hours":
        return len(found.plan.types)
    return found.plan.count or None


CHECKS = [
    pytest.param(case, goal, id=f"{key}-{number}-{goal}")
    for key, cases in CASES.items()
    for number, case in enumerate(cases)
    for goal in case.goals
]


@pytest.mark.parametrize(("case", "goal"), CHECKS)
def test_what_is_kept_changes_the_answer_as_it_must(case, goal):
    scenario = Scenario.model_validate(changed(case.changes))

    found = answer_scenario(scenario, goal, Limits(work=500))

    assert boxes_of(found, goal) == case.boxes
    if case.boxes is None:
        return
    cost = 10 * case.boxes if case.cost is None else case.cost
    if goal == "fleet":
        assert (found.status, found.objective) == ("optimal", cost)
    if goal == "hours":
        assert (found.status, found.objective) == ("optimal", cost * HOUR_MS)
    assert not found.trial.refused


UNMOVED = [
    pytest.param(key, goal, id=f"{key}-{goal}")
    for key in IRRELEVANT
    for goal in PLANNED
    if verdict(key, goal).kind == "irrelevant"
    # what is offered or launched needs no fleet where instances are bought, and only there
    and (goal in BUY or IRRELEVANT[key][0].get("fleet") != [])
]


@pytest.mark.parametrize(("key", "goal"), UNMOVED)
def test_what_is_of_no_matter_changes_no_answer(key, goal):
    base, changes = IRRELEVANT[key]
    answers = []
    for each in (base, {**base, **changes}):
        scenario = Scenario.model_validate(changed(each))
        found = answer_scenario(scenario, goal, Limits(work=500))
        answers.append((found.status, found.objective, boxes_of(found, goal)))
    assert answers[0] == answers[1]
    assert answers[0][2]


USES = sorted(
    {(found.uses.__name__, goal) for (_, goal), found in TABLE.items() if found.uses is not None}
)


@pytest.mark.parametrize(("name", "goal"), USES)
def test_what_is_refused_is_refused_with_a_sentence_and_its_place(name, goal):
    (found,) = {
        (each.why, each.uses)
        for (_, of), each in TABLE.items()
        if of == goal and each.uses is not None and each.uses.__name__ == name
    }
    used, unused = (Scenario.model_validate(changed(changes)) for changes in REFUSED[name])
    (place,) = found[1](used)
    with pytest.raises(SpecError) as error:
        check_keys(used, goal)
    assert (place, f"--goal {goal}: {found[0]}") in error.value.problems
    assert list(found[1](unused)) == []


def test_a_deployment_that_changes_what_a_service_asks_for_is_refused_at_one_moment():
    deploy = {"at": "30m", "task_definition": "u"}
    bigger = {"family": "t", "containerDefinitions": [
        {"name": "c", "image": "x", "cpu": 600, "memory": 100}]}  # fmt: skip
    changes = {"task_definitions.u": bigger, "service.0.deploy": [deploy]}
    scenario = Scenario.model_validate(changed(changes))
    for goal in ("instances", "fleet", "placement"):
        with pytest.raises(Exception, match="s: a deployment replaces its tasks by t:2"):
            answer_scenario(scenario, goal)


def test_a_daemon_that_comes_later_or_changes_is_refused_over_time():
    small = {"family": "d", "containerDefinitions": [
        {"name": "c", "image": "x", "cpu": 100, "memory": 100}]}  # fmt: skip
    large = {"family": "d", "containerDefinitions": [
        {"name": "c", "image": "x", "cpu": 200, "memory": 100}]}  # fmt: skip
    daemon = {"name": "d", "task_definition": "u", "scheduling_strategy": "DAEMON"}
    base = {"task_definitions.u": small, "task_definitions.v": large}
    for more, said in (
        ({"at": "5m"}, "d: a DAEMON that begins later"),
        ({"deploy": [{"at": "5m", "task_definition": "v"}]}, "d: a deployment of a DAEMON"),
    ):
        scenario = Scenario.model_validate(changed({**base, "service.1": {**daemon, **more}}))
        with pytest.raises(Exception, match=said):
            answer_scenario(scenario, "hours")


def test_the_seed_decides_what_arrives():
    workload = {"name": "w", "task_definition": "t", "kind": "poisson", "until": "10m",
                "options": {"rate_per_s": 0.02, "run": {"mean": "2h"}}}  # fmt: skip
    counts = set()
    for seed in range(6):
        changes = {"service": [], "workload": [workload], "seed": seed, "optimize.objective": {}}
        found = answer_scenario(Scenario.model_validate(changed(changes)), "fleet")
        counts.add(found.plan.tasks[0].count)
    assert len(counts) > 1


@pytest.mark.parametrize("goal", PLANNED)
def test_a_trace_is_read(goal, tmp_path):
    file = tmp_path / "log.swf"
    line = "{} 0 0 7200 {} -1 -1 {} -1 -1 1 1 1 1 1 -1 -1 -1\n"
    file.write_text(line.format(1, 1, 1) + line.format(2, 3, 3))
    workload = {"name": "w", "task_definition": "t", "kind": "swf", "file": str(file)}
    changes = {"service": [], "workload": [workload], "instance_types.box.cpu": 8192}
    scenario = Scenario.model_validate(changed(changes))
    found = answer_scenario(scenario, goal, Limits(work=500))
    asked = found.plan.instance if goal == "hours" else found.plan.tasks
    total = len(asked) if goal == "hours" else sum(each.count for each in asked)
    assert total > 1


@pytest.mark.parametrize("goal", ["instances", "fleet", "placement"])
def test_the_hours_are_in_the_report(goal):
    from stowplan.experiments.report.optimize import summary

    scenario = Scenario.model_validate(changed({"optimize.hours": 100_000}))
    assert "$2.00 for 100,000 hours" in summary(answer_scenario(scenario, goal), scenario)
