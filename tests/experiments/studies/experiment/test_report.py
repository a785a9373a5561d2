"""What is said of an experiment: in words, in a page, in tables; the same bytes each time."""

from __future__ import annotations

import hashlib
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.studies.experiment.experiment import CellRuns, Experiment, read_experiment
from stowplan.experiments.studies.experiment.figures import front
from stowplan.experiments.studies.experiment.report import latex, write_report
from stowplan.experiments.studies.experiment.spec import check_spec
from stowplan.experiments.studies.experiment.verdicts import (
    DIFFERENT,
    NONE,
    OPEN,
    SAME,
    digits,
    verdicts,
)

ABOUT = {
    **dict.fromkeys(("stowplan", "python", "numpy"), "1"),
    "scenario": "made",
    "duration_ms": 60_000,
}


def made(values, baseline=None):
    """An experiment out of `strategy -> metric -> values by seed`."""
    metrics = list(next(iter(values.values())))
    spec = check_spec({"scenario": "made", "metrics": metrics, "question": "Which?"}, "made")
    cells = []
    for name, columns in values.items():
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        by_seed = dict(enumerate(rows, 1))
        cells.append(CellRuns({"strategy": name}, by_seed, {s: f"{name}{s}" for s in by_seed}))
    axes = {"strategy": tuple(values)}
    compared = ("strategy", baseline or next(iter(values)))
    return Experiment(spec, axes, compared, cells, None, 0, ABOUT)


NOISE = np.random.default_rng(1).normal(0, 1, (2, 10))
BASE = 100 + NOISE[0]


def test_words_say_how_much_less_and_within_what():
    found = made({"spread": {"dollars": BASE}, "binpack": {"dollars": 0.9 * BASE + NOISE[1]}})
    (verdict,) = verdicts(found)
    assert verdict.kind == DIFFERENT
    assert verdict.better is True
    words = r"binpack: dollars (\S+) % less than spread \(95 % interval (\S+) to (\S+) %\), "
    amount, low, high = map(float, re.match(words + "10 paired seeds", verdict.text).groups())
    assert low < amount < high
    assert low < 10 < high


def test_no_difference_says_what_would_have_been_seen():
    found = made({"a": {"wait_p50_s": BASE}, "b": {"wait_p50_s": BASE + NOISE[1]}})
    (verdict,) = verdicts(found)
    assert verdict.kind == OPEN
    assert re.search(r"no difference in wait_p50_s from a was found; one above \S+ %", verdict.text)


def test_equal_in_every_pair_is_said_so():
    (verdict,) = verdicts(made({"a": {"lost": [2.0, 3.0]}, "b": {"lost": [2.0, 3.0]}}))
    assert verdict.kind == SAME
    assert verdict.text == "b: lost is exactly that of a in 2 paired seeds."


def test_runs_without_a_value_are_counted():
    found = made(
        {"a": {"wait_p50_s": [1.0, None, 2.0, 3.0]}, "b": {"wait_p50_s": [2.0, 5.0, 3.0, 5.0]}}
    )
    (verdict,) = verdicts(found)
    assert "3 paired seeds of 4 (the others have no value)" in verdict.text
    (none,) = verdicts(made({"a": {"lost": [1.0, None]}, "b": {"lost": [None, 2.0]}}))
    assert none.kind == NONE
    assert "fewer than two" in none.text


def test_percentages_are_compared_in_points_and_from_zero_in_units():
    found = made(
        {
            "a": {"cpu_reserved_pct": 40 + NOISE[0], "lost": np.zeros(10)},
            "b": {"cpu_reserved_pct": 50 + NOISE[0] + 0.1 * NOISE[1], "lost": 5 + NOISE[1]},
        }
    )
    percent, lost = verdicts(found)
    assert re.match(r"b: cpu_reserved_pct \S+ % points more than a", percent.text)
    assert re.match(r"b: lost [45]\.\d+ more than a \(95 % interval", lost.text)
    assert percent.better is True
    assert lost.better is False


def test_several_comparisons_are_corrected():
    rng = np.random.default_rng(5)
    values = {f"s{n}": {"dollars": BASE + rng.normal(0.75, 1, 10)} for n in range(9)}
    alone = [verdicts(made({"a": {"dollars": BASE}, name: of}))[0] for name, of in values.items()]
    together = verdicts(made({"a": {"dollars": BASE}, **values}))
    assert all(one.p <= other.p for one, other in zip(alone, together, strict=True))
    assert sum(each.kind == DIFFERENT for each in together) < sum(
        each.kind == DIFFERENT for each in alone
    )


def test_the_front_has_what_nothing_beats():
    points = [(1.0, 5.0), (2.0, 3.0), (2.0, 4.0), (3.0, 3.0), (4.0, 1.0)]
    assert front(points, ("dollars", "wait_p50_s")) == [(1.0, 5.0), (2.0, 3.0), (4.0, 1.0)]
    assert front(points, ("dollars", "started")) == [(1.0, 5.0)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.012345, "0.0123"), (12.345, "12.3"), (123456.7, "123,457"), (0, "0"), (-2, "-2.00")],
)
def test_three_digits(value, text):
    assert digits(value) == text


def test_names_are_safe_in_every_format(tmp_path):
    found = made(
        {"<b>&_%$\\": {"dollars": BASE}, "b|c": {"dollars": BASE + NOISE[1]}}, baseline="b|c"
    )
    write_report(found, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<b>&_" not in page
    table = latex(found)
    assert r"<b>\&\_\%\$\textbackslash{}" in table


@pytest.fixture
def ran(folder, capsys):
    """A folder with an experiment that ran."""
    with (folder / "question.toml").open("a") as file:
        file.write('[axes]\n"fleet[0].count" = [4, 5, 6]\nstrategy = ["spread", "binpack"]\n')
    command = ["experiment", "run", str(folder / "question.toml"), "--jobs", "1"]
    assert main([*command, "--out", str(folder / "out")]) == 0
    assert "18 runs made, 0 known before" in capsys.readouterr().out
    return folder / "out"


def test_the_same_bytes_wherever_it_is_written(ran, tmp_path, capsys):
    moved = tmp_path / "elsewhere"
    shutil.copytree(ran, moved)
    assert main(["experiment", "report", str(moved), "--out", str(tmp_path / "again")]) == 0
    names = sorted(
        path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*.*")
    )
    assert {"report.html", "report.md", "tables.tex", "results.csv"} <= {str(n) for n in names}
    for name in names:
        digests = [
            hashlib.md5((top / name).read_bytes()).hexdigest() for top in (ran, tmp_path / "again")
        ]
        assert digests[0] == digests[1], name
    said = capsys.readouterr().out
    assert "less than spread" in said or "more than spread" in said


def test_the_page_has_words_figures_tables_and_what_was_run(ran):
    page = (ran / "report.html").read_text()
    assert "Does packing cost anything?" in page
    assert page.count("<svg") == 3  # two metrics, one front
    assert not re.search(r'(src|href)="(?!#|data:)', page)  # it needs nothing else
    for verdict in verdicts(read_experiment(ran)):
        assert verdict.text in page
    table = pd.read_csv(ran / "results.csv")
    assert len(table) == 18
    assert (ran / "tables.tex").read_text().count(r"\\") == 7


def test_check_says_what_there_would_be(folder, capsys):
    assert main(["experiment", "check", str(folder / "question.toml")]) == 0
    said = capsys.readouterr().out
    assert "strategy: binpack, spread" in said
    assert "2 cells, 3 seeds, 6 runs" in said


def test_wrong_input_is_one_error(folder, capsys):
    (folder / "question.toml").write_text('scenario = "tiny.toml"\nmetrics = ["cost"]\nseeds = 0\n')
    command = ["experiment", "run", str(folder / "question.toml"), "--out", str(folder / "out")]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "seeds" in said
    assert not (folder / "out").exists()
    assert main(["experiment", "report", str(folder)]) == 2
    assert "no experiment" in capsys.readouterr().err
