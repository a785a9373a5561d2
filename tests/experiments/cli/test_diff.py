"""`stowplan diff`: what changed between runs, with its sign, and what is in one folder alone."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from rich.console import Console

from stowplan.experiments.cli.main import main
from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.record.changes import Change
from stowplan.experiments.report.changes import print_changes

SMALL = SCENARIOS / "small.toml"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The small scenario, and the same with a third more of `web` and half the instances."""
    folder = tmp_path_factory.mktemp("diff")
    text = SMALL.read_text()
    text = text.replace("desired_count = 9", "desired_count = 12", 1)
    text = text.replace('"m5.xlarge"\ncount = 12', '"m5.xlarge"\ncount = 6')
    text = text.replace('= "taskdefs/', f'= "{SMALL.parent}/taskdefs/')
    (folder / "more.toml").write_text(text)
    for name, path in (("a", SMALL), ("b", folder / "more.toml")):
        words = ["--ties", "set", "--only", "__none", "--jobs", "1"]
        assert main(["simulate", str(path), "--out", str(folder / name), *words]) == 0
    return folder


def figures(capsys, *words):
    assert main(["diff", *map(str, words), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    return {(row["run_a"], row["of"], row["name"], row["measure"]): row for row in rows}


def test_half_the_instances_cost_half_and_that_is_better(folders, capsys):
    found = figures(capsys, folders / "a", folders / "b")
    run = "binpack__shared__none"
    dollars = found[run, "run", "", "dollars_per_month"]
    assert (dollars["change_pct"], dollars["verdict"]) == (pytest.approx(-50), "better")
    kind = found[run, "type", "m5.xlarge, on-demand", "instances"]
    assert (kind["a"], kind["b"]) == (pytest.approx(12), pytest.approx(6))
    assert found[run, "owner", "web", "dollars_per_month"]["b"] > 0
    refused = found[run, "run", "", "refusals"]
    assert refused["verdict"] == ""


def test_csv_has_what_json_has_and_text_what_changed(folders, capsys, tmp_path):
    file = tmp_path / "changes.csv"
    words = [str(folders / "a"), str(folders / "b"), "--csv", str(file)]
    assert main(["diff", *words]) == 0
    text = capsys.readouterr().out
    assert "dollars_per_month" in text
    assert "-50.0 % better" in text
    assert len(pd.read_csv(file)) == len(figures(capsys, *words[:2]))


def test_two_strategies_of_one_folder(folders, capsys):
    names = "binpack__shared__none", "ecs-default__shared__none"
    found = figures(capsys, folders / "a", folders / "a", "--a", names[0], "--b", names[1])
    assert {key[0] for key in found} == {names[0]}
    busy = found[names[0], "run", "", "instances_busy_mean"]
    assert (busy["verdict"], busy["run_b"]) == ("worse", names[1])
    assert main(["diff", str(folders / "a"), str(folders / "a"), "--a", "bin", "--b", "ecs"]) == 2
    assert "no run is in both" in capsys.readouterr().err


def test_a_run_against_itself_changes_nothing(folders, capsys):
    assert main(["diff", str(folders / "a"), str(folders / "a"), "--a", "ecs", "--b", "ecs"]) == 0
    assert "nothing changed" in capsys.readouterr().out


def test_what_is_no_results_folder_or_no_run_is_one_error(folders, capsys):
    assert main(["diff", str(folders / "a"), str(folders / "c")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["diff", str(folders / "a"), str(folders / "b"), "--b", "zzz"]) == 2
    assert "--b zzz: no such run; there are" in capsys.readouterr().err


def test_a_seed_is_another_run_and_the_same_however_many_processes(folders, capsys, tmp_path):
    words = ["--ties", "set", "--only", "binpack__shared__none", "--seed", "99"]
    outs = [tmp_path / "one", tmp_path / "two"]
    for out, jobs in zip(outs, ("1", "2"), strict=True):
        more = ["--only", "binpack__shared"] if jobs == "2" else []
        assert main(["simulate", str(SMALL), "--out", str(out), *words, *more, "--jobs", jobs]) == 0
    key = "binpack__shared__none", "run", "", "wait_p99_s"
    capsys.readouterr()
    assert figures(capsys, *outs)[key]["change"] == 0
    assert figures(capsys, folders / "a", outs[0])[key]["change"] != 0


@pytest.mark.parametrize(
    ("a", "b", "better", "verdict"),
    [
        (1.0, 2.0, "less", "worse"),
        (2.0, 1.0, "less", "better"),
        (1.0, 2.0, "more", "better"),
        (1.0, 1.0 + 1e-12, "more", ""),
        (None, 2.0, "more", ""),
        (1.0, 2.0, "", ""),
    ],
)
def test_the_verdict_is_of_the_side_that_is_better(a, b, better, verdict):
    assert Change("run", "", "x", "", better, a, b).verdict == verdict


@pytest.mark.parametrize(
    ("unit", "a", "b", "said"),
    [
        ("ms", 0.0, 60_858.0, "+1 min 1 s worse"),
        ("s", 0.0, 0.81, "+0.81 s worse"),
        ("s", 100.0, 50.0, "-50.0 % better"),
        ("tasks", 0.0, 63.0, "+63.00 worse"),
    ],
)
def test_a_change_from_nothing_has_the_unit_of_what_changed(unit, a, b, said):
    text = io.StringIO()
    change = Change("service", "web", "x", unit, "less", a, b)
    print_changes([(("k",), ("k",), [change])], Console(file=text, width=100), 9)
    assert said in text.getvalue()
