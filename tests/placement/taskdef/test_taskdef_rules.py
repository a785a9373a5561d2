"""ECS's rules on task definitions: every case of the table, and that the table has every rule."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import stowplan.placement.taskdef.rules as rules
from stowplan.placement.errors import SpecError
from stowplan.placement.taskdef.parse import parse_task_definition
from tests.placement.taskdef import rule_page
from tests.placement.taskdef.rule_table import RULES
from tests.placement.taskdef.taskdef_builders import container, problems_of, task

FOLDER = Path(rules.__file__).resolve().parent
REFUSED = [
    pytest.param(each, id=f"{rule.rule[:60]} {i}")
    for rule in RULES
    for i, each in enumerate(rule.refused)
]


@pytest.mark.parametrize("case", REFUSED)
def test_a_broken_rule_is_named_once_with_its_place(case):
    [(found, what)] = problems_of(case.document)
    assert found == case.place
    assert case.words in what


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule[:60])
def test_what_ecs_allows_is_allowed_and_reads_the_same_again(rule):
    found = parse_task_definition(rule.accepted)
    assert parse_task_definition(found.document) == found
    assert parse_task_definition(found.document).document == found.document


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule[:60])
def test_a_rule_has_a_source(rule):
    assert rule.source


def named_problems(path):
    """The lines of a file that name a problem: `yield place, what` and `problems.append(...)`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        named = isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple)
        if named or (isinstance(node, ast.Call) and ast.unparse(node.func) == "problems.append"):
            yield node.lineno


def lines_run(documents):
    """(file, line) of all that runs in the folder of the rules while the documents are read."""
    seen = set()

    def trace(frame, event, _):
        path = Path(frame.f_code.co_filename)
        if path.parent.name != FOLDER.name:
            return None
        if event == "line":
            seen.add((path.name, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for document in documents:
            with pytest.raises(SpecError):
                parse_task_definition(document)
    finally:
        sys.settrace(before)
    return seen


def test_every_place_in_the_code_that_names_a_problem_has_a_refused_case():
    run = lines_run([case.values[0].document for case in REFUSED])
    files = [*FOLDER.glob("*_rules.py"), FOLDER / "rules.py", FOLDER / "api_model.py"]
    found = {(path.name, line) for path in files for line in named_problems(path)}
    assert len(found) > 60, "the search for problems in the code finds them"
    assert found <= run, f"no case of the table comes to {sorted(found - run)}"


def test_the_page_of_the_rules_is_the_table():
    hint = "run python -m tests.placement.taskdef.rule_page"
    assert rule_page.PAGE.read_text(encoding="utf-8") == rule_page.page(), hint


def test_every_problem_is_named_at_once_each_after_the_place_of_the_file():
    document = task(
        container(name="a", memroy=64, cpu="x", essential=False) | {"memory": 4},
        {"name": "b", "image": "b", "healthCheck": {"command": ["CMD", "x"], "retries": 99}},
        networkMode="bridged",
        cpu="1 vcpus",
    )
    with pytest.raises(SpecError) as raised:
        parse_task_definition(document, "web.json")
    second = "web.json: containerDefinitions[1]"
    assert {place for place, _ in raised.value.problems} == {
        "web.json: containerDefinitions[0].memroy",
        "web.json: containerDefinitions[0].cpu",
        "web.json: containerDefinitions[0].memory",
        "web.json: networkMode",
        "web.json: cpu",
        f"{second}.memory",
        f"{second}.healthCheck.retries",
    }
    assert f"{second}.healthCheck.retries: 99 is above 10" in str(raised.value)
