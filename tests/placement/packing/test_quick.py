"""Small problems in Python's own integers: as good as with arrays, and right where they say so."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from stowplan.experiments.cli import packing_solved
from stowplan.experiments.cli.main import main
from stowplan.placement.packing import quick
from stowplan.placement.packing.plain import Plain
from stowplan.placement.packing.problem import Limits, PackingProblem
from stowplan.placement.packing.quick_exact import finish
from stowplan.placement.packing.quick_patterns import Patterns, TooManyError
from stowplan.placement.packing.solve import solve_packing


def drawn(seed, dimensions=1):
    rng = np.random.default_rng([seed, dimensions])
    n, capacity = int(rng.integers(5, 40)), int(rng.integers(20, 200))
    low, high = sorted(rng.integers(1, capacity + 1, 2).tolist())
    demand = rng.integers(low, high + 1, (n, dimensions)).tolist()
    return Plain(demand, rng.integers(1, 4, n).tolist(), [capacity] * dimensions)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_what_is_settled_is_what_arrays_and_machine_code_prove(seed, dimensions):
    plain = drawn(seed, dimensions)
    grouped = quick.grouped(plain)
    assert grouped is not None
    known = quick.settle(grouped.small)
    if not known.settled:
        known = finish(grouped.small, known)

    quick.check(plain, grouped.spread(known.bins))
    other = solve_packing(PackingProblem(*map(np.array, plain)), Limits(work=500))
    assert known.bound <= other.bins
    assert len(known.bins) >= other.lower_bound
    if known.settled and other.status == "optimal":
        assert len(known.bins) == known.bound == other.bins


def test_all_but_few_small_problems_are_settled():
    settled = 0
    for seed in range(100, 140):
        grouped = quick.grouped(drawn(seed))
        settled += finish(grouped.small, quick.settle(grouped.small)).settled
    assert settled >= 36


def test_the_best_pattern_is_the_best_of_all():
    small = quick.Small(((5, 2), (3, 4), (2, 1), (0, 3)), (2, 3, 4, 2), (10, 9))
    best, found, whole = Patterns(small).best([9, 8, 3, 2], 0, 10_000, 10_000)
    every = [
        9 * a + 8 * b + 3 * c + 2 * d
        for a in range(3)
        for b in range(4)
        for c in range(5)
        for d in range(3)
        if 5 * a + 3 * b + 2 * c <= 10 and 2 * a + 4 * b + c + 3 * d <= 9
    ]
    assert whole
    assert best == max(every)
    assert sum(v * n for v, n in zip([9, 8, 3, 2], found[-1], strict=True)) == best


def test_all_full_patterns_are_found_or_it_is_said_that_they_are_many():
    small = quick.Small(((7,), (5,), (3,), (2,)), (1, 2, 3, 4), (10,))
    found = Patterns(small).full(0, [0], 100, 10_000)
    assert sorted(found) == sorted([(1, 0, 1, 0), (0, 2, 0, 0), (0, 1, 1, 1), (0, 0, 2, 2)])
    with pytest.raises(TooManyError):
        Patterns(small).full(0, [0], 3, 10_000)


@pytest.mark.parametrize(
    "plain",
    [
        Plain([[11]], [1], [10]),  # fits no bin
        Plain([[1]], [0], [10]),  # nothing to pack
        Plain([[1]], [quick.ITEMS_MOST + 1], [10]),
    ],
)
def test_what_is_not_small_is_left_to_others(plain):
    assert quick.grouped(plain) is None


def test_a_wrong_packing_is_not_let_through():
    plain = Plain([[6], [5]], [1, 1], [10])
    quick.check(plain, [(1, {0: 1}), (1, {1: 1})])
    for wrong in ([(1, {0: 1, 1: 1})], [(2, {0: 1}), (1, {1: 1})], [(1, {0: 1})]):
        with pytest.raises(AssertionError):
            quick.check(plain, wrong)


def test_the_answer_has_the_keys_and_the_packing_of_the_large_way(tmp_path, capsys, monkeypatch):
    file = tmp_path / "a.vbp"
    file.write_text("2\n10 9\n4\n5 2 2\n3 4 3\n5 2 1\n2 1 4\n")
    answers = []
    for limit in ("60", "0.9"):  # the second is below what the quick way takes up
        assert main(["optimize", "--json", "--bpp", str(file), "--time-limit", limit]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    ours, other = answers
    assert list(ours) == list(other)
    for key in ("goal", "status", "unit", "objective", "lower_bound", "gap", "bins", "unplaceable"):
        assert ours[key] == other[key], key
    placed = [0, 0, 0, 0]
    for each in ours["packing"]:
        for kind, n in each["items"].items():
            placed[int(kind)] += n * each["copies"]
    assert placed == [2, 3, 1, 4]


def test_what_is_not_settled_goes_on_to_the_large_way(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.txt").write_text("3\n10\n6\n6\n4\n")
    monkeypatch.setattr(quick, "ITEMS_MOST", 2)
    called = []
    monkeypatch.setattr(packing_solved, "solve_command", lambda a: called.append(a) or 0)
    assert main(["optimize", "--bpp", str(tmp_path / "a.txt")]) == 0
    assert len(called) == 1


def test_a_command_about_a_small_problem_imports_neither_numpy_nor_tables(tmp_path):
    (tmp_path / "a.txt").write_text("4\n10\n6\n6\n4\n3\n")
    code = (
        "import sys; from stowplan.experiments.cli.main import main; "
        f"main(['optimize', '--json', '--bpp', {str(tmp_path / 'a.txt')!r}]); "
        "print(sorted({'numpy', 'numba', 'pydantic', 'ortools', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
