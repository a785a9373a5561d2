"""Small problems are packed by Python, large ones by machine code, and both give the same."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from stowplan.experiments.cli.packing_file import is_all
from stowplan.placement.packing import bounds, heuristics, lazy
from stowplan.placement.packing.problem import PackingProblem

SMALL = """
import sys
import numpy as np
from stowplan.placement.packing.problem import PackingProblem
from stowplan.placement.packing.solve import solve_packing
sizes = np.arange(20, 45)[:, None]
found = solve_packing(PackingProblem(sizes, np.ones(25, np.int64), np.array([100])))
print(found.status, found.bins, "numba" in sys.modules, "ortools" in sys.modules)
"""


def test_a_problem_that_rules_of_thumb_settle_loads_neither_numba_nor_a_solver():
    done = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True, check=True)
    # 25 items of 20 to 44: 800 in all, so 8 bins at least, and nine where three fit a bin.
    assert done.stdout.split()[0] == "optimal"
    assert done.stdout.split()[2:] == ["False", "False"]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_python_and_machine_code_pack_and_bound_alike(dimensions, seed):
    rng = np.random.default_rng([dimensions, seed])
    demand = rng.integers(1, 40, (12, dimensions))
    counts, capacity = rng.integers(1, 4, 12), np.full(dimensions, 60)
    problem = PackingProblem(demand, counts, capacity)
    answers = []
    for loaded in ([], [True]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lazy, "_loaded", loaded)
            patch.setattr(lazy, "STEPS_IN_PYTHON", 1e18)
            found = [p.tolist() for p in heuristics.packings(demand, counts, capacity)]
            answers.append((found, bounds.dual_feasible_bound(problem, 99)))
    assert answers[0] == answers[1]


def test_machine_code_is_told_of_once_before_it_is_loaded():
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lazy, "_loaded", [])
        patch.setattr(lazy, "_before", [])
        lazy.before_loading(lambda: told.append(1))
        lazy.paying(lazy.STEPS_IN_PYTHON)
        assert told == []
        lazy.paying(lazy.STEPS_IN_PYTHON + 1)
        lazy.paying(lazy.STEPS_IN_PYTHON + 1)
    assert told == [1]


@pytest.mark.parametrize(
    ("words", "alone"),
    [
        (["optimize", "--bpp", "a.txt"], True),
        (["optimize", "--json", "--bpp=a.txt", "--seed", "3"], True),
        (["optimize", "--bpp", "a.txt", "--goal", "fleet"], False),
        (["optimize", "a.toml", "--bpp", "a.txt"], False),
        (["optimize", "a.toml"], False),
    ],
)
def test_a_command_about_a_packing_file_alone_is_told_apart(words, alone):
    assert is_all(words) is alone
