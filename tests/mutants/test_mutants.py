"""The faults that `make test-mutants` plants: each is one change, and the tests meet it."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import (
    PASSED,
    ROOT,
    Planted,
    catchers_of,
    known,
    main,
    run_tests,
    sample,
)
from tests.mutants.mutator import faults_of


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("x = a < b", ["(a <= b)"]),
        ("x = a is None and b", ["(a is None or b)", "(a is not None)"]),
        ("x = -(-a // b)", ["(a // b)", "(-a * b)"]),
        ("x = a + 1", ["(a - 1)", "2"]),
        ("x = f'{a + 1}' + 'text'", []),
        ("x: dict[int, str] = {}", []),
        ("if a:\n    f()", ["(not a)", "pass"]),
        ("x = min(a, b)", ["(max(a, b))"]),
        ("self.x = not a", ["pass", "(a)"]),
        ("assert a < 1, 'said'\nraise E(1)\n'a text'", []),
        ("def f(x=1) -> int:\n    return True", ["2", "False"]),
    ],
)
def test_the_faults_of_a_text(text, changes):
    assert sorted(fault.after for fault in faults_of("x.py", text)) == sorted(changes)


def test_a_planted_fault_changes_its_place_and_nothing_else():
    text = "# wörds before\nx = 'ä' if a < b else c  # kept\ny = 1\n"
    fault = next(f for f in faults_of("x.py", text) if f.before == "a < b")
    assert fault.planted(text) == text.replace("a < b", "(a <= b)")
    assert str(fault) == "x.py:2: a < b  ->  (a <= b)"


@pytest.mark.long
def test_the_sample_is_the_same_for_the_same_seed_and_reaches_every_room():
    drawn = sample(120, 5)
    assert drawn == sample(120, 5) != sample(120, 6)
    rooms = {planted.path.rsplit("/", 1)[0] for planted in drawn}
    assert {"sim", "experiments/record", "placement/scheduler/capacity"} <= rooms
    assert all(planted.text != (ROOT / planted.path).read_text() for planted in drawn)


def test_the_known_faults_are_still_to_be_planted():
    assert len(list(known())) >= 5


def test_catchers_of_the_same_name_come_first():
    assert catchers_of("sim/pulls.py") == ("tests/sim/test_pulls.py", "tests/sim")


def test_tests_meet_the_fault_that_was_planted():
    path = "placement/scheduler/capacity/strategy.py"
    file = "tests/placement/scheduler/capacity/test_capacity.py"
    tests = [f"{file}::test_tasks_are_dealt_by_base_and_weight"]
    assert run_tests(None, tests, 300) == PASSED
    assert run_tests(Planted("", path, "raise ValueError('planted')"), tests, 300) != PASSED


def test_without_a_fault_to_plant_there_is_no_score(capsys):
    assert main(["--only", "no such file", "--threshold", "1"]) == 1
    assert "0 of 0 faults caught" in capsys.readouterr().out
