"""The benchmark of the optimizer runs and says what it must; bars are for a quiet machine."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest

from stowplan.experiments.bench import optimal as bench_optimal
from stowplan.experiments.bench import vpsolver as bench_vpsolver
from stowplan.experiments.bench.optimal import Outcome, ProblemInstance, samples
from stowplan.placement.errors import SpecError
from stowplan.placement.packing.problem import Limits, PackingProblem
from stowplan.placement.packing.solve import solve_packing

THREE_TWOS = PackingProblem(np.array([[2], [2]]), np.array([1, 2]), np.array([4]))


def run(*arguments):
    parser = argparse.ArgumentParser()
    bench_optimal.add_arguments(parser)
    return bench_optimal.command(parser.parse_args(arguments))


def test_a_quick_run_prints_and_writes_every_figure(tmp_path, capsys):
    target = tmp_path / "bench.json"
    assert run("--quick", "--no-peers", "--sets", "falkenauer_u", "--json", str(target)) == 0
    answer = json.loads(target.read_text())
    rows = {row["case"]: row for row in answer["rows"]}
    fields = {"case", "value", "unit", "bar", "ok", "against"}
    assert all(set(row) == fields for row in answer["rows"])
    assert rows["falkenauer_u, samples: proven"]["value"] == 6
    assert rows["falkenauer_u, made: proven"]["unit"] == "of 4"
    assert "recipe" in rows["falkenauer_u, made: proven"]["against"]
    assert rows["bounds above, or packings below, a known optimum"]["unit"] == "of 6"
    assert "falkenauer_u, made: longest" in capsys.readouterr().out


def test_a_folder_of_sets_is_measured_with_its_known_optima(tmp_path, capsys):
    (tmp_path / "falk_u").mkdir()
    name = "Falkenauer_u120_00"
    shipped = (bench_optimal.SAMPLES / "falk_u" / f"{name}.txt").read_text()
    (tmp_path / "falk_u" / f"{name}.txt").write_text(shipped)
    (tmp_path / "mine.vbp").write_text("1\n4\n1\n2 3\n")
    known = f"set,name,lower_bound,upper_bound\nfalk_u,{name},48,48\n"
    (tmp_path / "known.csv").write_text(known)
    target = tmp_path / "bench.json"
    run("--no-peers", "--folder", str(tmp_path), "--json", str(target))
    rows = {row["case"]: row for row in json.loads(target.read_text())["rows"]}
    assert rows["falkenauer_u: proven"]["unit"] == "of 1"
    assert rows["others: proven"]["value"] == 1
    assert rows["bounds above, or packings below, a known optimum"]["unit"] == "of 1"


def test_a_folder_without_files_is_refused(tmp_path):
    with pytest.raises(SpecError, match="nothing there"):
        run("--folder", str(tmp_path))


def test_what_stays_open_is_named_and_misses_the_bar():
    bench = bench_optimal.OptimalBench(None, 60, None, peers=False)
    (hard,) = samples("scholl3/HARD0.txt")
    outcome = Outcome(hard, solve_packing(hard.problem, Limits(work=0)))
    proven, *_ = bench.set_rows("scholl3", [outcome], 1.0, "as published")
    assert not proven.ok
    assert "HARD0: 55 to " in proven.against


@pytest.mark.parametrize(("optimum", "wrong"), [(None, False), (2, False), (1, True), (3, True)])
def test_an_answer_against_a_known_optimum_is_seen(optimum, wrong):
    outcome = Outcome(ProblemInstance("three twos", THREE_TWOS, optimum), solve_packing(THREE_TWOS))
    assert outcome.result.bins == 2
    assert outcome.wrong is wrong


def test_every_shipped_sample_is_in_a_set_and_known():
    in_sets = [
        one.name for chosen in bench_optimal.SETS.values() for one in samples(chosen.samples)
    ]
    everywhere = [one.name for one in samples("*/*")]
    assert sorted(in_sets) == sorted(everywhere)
    assert len(everywhere) == 72


def test_bounds_keep_to_the_known_optima_however_early_the_solve_ends():
    for one in samples("*/*"):
        assert not Outcome(one, solve_packing(one.problem, Limits(work=5))).wrong, one.name


@pytest.mark.long
@pytest.mark.parametrize("one", list(samples("*/*")), ids=lambda one: one.name)
def test_samples_end_at_the_known_optimum_or_within_one_bin(one):
    outcome = Outcome(one, solve_packing(one.problem, Limits(work=10_000)))
    assert not outcome.wrong
    assert outcome.result.bins - outcome.result.lower_bound <= 1


def test_vpsolver_gets_equal_kinds_as_one():
    assert bench_vpsolver.as_vbp(THREE_TWOS) == "1\n4\n1\n2 3\n"


def test_without_vpsolver_the_row_says_so(monkeypatch):
    monkeypatch.setattr(bench_vpsolver, "_path", lambda: "")
    (row,) = bench_optimal.OptimalBench(None, 60, None, peers=True).vpsolver_rows([])
    assert (row.value, row.ok, row.against) == (None, True, "pyvpsolver is not installed")


@pytest.mark.skipif(
    bool(bench_vpsolver.lacking()), reason=f"NOT TESTED: {bench_vpsolver.lacking()}"
)
def test_vpsolver_solves_where_it_is_installed():
    solved = bench_vpsolver.solve(THREE_TWOS, 60)
    assert solved.bins == 2
    assert solved.seconds > 0
