"""Runs are repeated with ties decided the other way, and differ by that alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.results import load_results
from stowplan.experiments.runs import ties
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement.scenario.scenario import Run
from tests.experiments.report.made_results import SMALL, result, scenario

ZONES = "spread:attribute:ecs.availability-zone"
# Twelve instances in two zones: a spread over zones alone ties on six, and the lowest packs.
TIED = f"""
name = "tied"
duration = "10m"
[task_definitions.app]
family = "app"
containerDefinitions = [{{ name = "a", image = "a", cpu = 256, memory = 512 }}]
[[fleet]]
name = "f"
instance_type = "m5.large"
count = 12
zones = ["a", "b"]
[[service]]
name = "s"
task_definition = "app"
desired_count = 8
[strategies]
zones = "{ZONES}"
chance = "random"
[faults]
none = []
loss = [{{ kind = "zone-loss", zone = "a", at = "5m" }}]
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ties") / "tied.toml"
    path.write_text(TIED)
    return path


def test_what_arrives_is_the_same_and_where_it_goes_is_not(file):
    loaded = load_scenario(file)
    first, *draws = (
        simulate(loaded, Run("zones", "shared", "none", which, draw))
        for which, draw in ((None, 0), ("random", 0), ("random", 1))
    )
    assert first.metrics["instances_used"] == 2
    assert [each.metrics["service_asked"] for each in (first, *draws)] == [8, 8, 8]
    used = [[i.name for i in each.instances if i.ever_used] for each in draws]
    assert all(len(names) > 4 for names in used)
    assert used[0] != used[1]
    said = loaded.scenario.model_copy(update={"ties": "random"})
    same = simulate(replace(loaded, scenario=said), Run("zones", "shared", "none"))
    assert same.metrics == draws[0].metrics
    lowest = simulate(replace(loaded, scenario=said), Run("zones", "shared", "none", "lowest"))
    assert lowest.metrics == first.metrics


def test_a_run_that_is_repeated_has_a_name_and_a_journal_of_its_own():
    run = Run("a", "b", "c")
    assert run.id == "a__b__c"
    assert replace(run, ties="random", draw=2).id == "a__b__c__ties-random-2"


# --- which are repeated ---------------------------------------------------------------------------


def results(started=100):
    """Runs of `small`, whose default for services, binpack and spread all tie."""
    made = [
        result(strategy, "shared", faults)
        for faults in ("none", "zone-loss")
        for strategy in scenario().strategies
    ]
    for each in made:
        column = each.sample_fields.index("started")
        last = list(each.samples[-1])
        last[column] = started
        each.samples[-1] = tuple(last)
    return made


def drawn(how, made, **changes):
    return [
        (r.strategy, r.faults, r.ties, r.draw) for r in ties.repeats(scenario(**changes), made, how)
    ]


def test_unasked_the_first_layout_and_faults_are_repeated_as_often_as_is_cheap():
    names = list(scenario().strategies)
    small = drawn("auto", results())
    assert small == [(name, "none", "random", n) for n in range(3) for name in names]
    assert {draw for *_, draw in drawn("auto", results(started=50_000))} == {0, 1}
    assert drawn("auto", results(started=500_000)) == []
    assert drawn("set", results()) == []
    assert ties.repeats(scenario(), [], "auto") == []


def test_asked_all_runs_are_repeated():
    made = results(started=500_000)
    assert len(drawn("both", made)) == 3 * len(made)
    assert {faults for _, faults, *_ in drawn("both", made)} == {"none", "zone-loss"}


def test_where_ties_are_random_the_lowest_number_is_tried_once_and_if_asked():
    made = results()
    assert drawn("auto", made, ties="random") == []
    assert drawn("both", made, ties="random") == [
        (r.run.strategy, r.run.faults, "lowest", 0) for r in made
    ]


def test_what_cannot_tie_or_was_interrupted_is_not_repeated():
    made = results()
    made[0] = replace(made[0], whole=False)
    changed = dict(scenario().strategies)
    last = list(changed)[-1]
    changed[last] = load_scenario(SMALL, {"r": "random"}).scenario.strategies["r"]
    names = {name for name, *_ in drawn("auto", made, strategies=changed)}
    # In `small` tasks go by the chain of the run, and services by the same.
    assert names == set(changed) - {made[0].run.strategy, last}


# --- all together ---------------------------------------------------------------------------------


def test_the_report_tells_what_ties_are_worth(file, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["simulate", str(file), "--out", str(out), "--ties", "both"]) == 0
    told = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("ties: "))
    assert "The same runs with one of them at random, 3 draws each" in told
    assert "zones · shared · none: busy instances 2.0 → " in told
    assert "chance ·" not in told
    tables = load_results(out)
    assert len(tables.results) == 4
    assert tables.ties["strategy"].unique().tolist() == ["zones"]
    assert sorted(tables.ties["draw"].unique()) == [0, 1, 2]
    assert (tables.ties.query("faults == 'none'")["instances_busy_mean"] > 4).all()
    report = (out / "report.html").read_text()
    assert told.removeprefix("ties: ") in report
    journals = sorted(path.name for path in (out / "journals").iterdir())
    assert len(journals) == 4 + 6
    assert main(["verify", *(str(out / "journals" / name) for name in journals)]) == 0
    # Each was held against its own row, a draw's too.
    assert capsys.readouterr().out.count("are what the journal comes to") == 4 + 6


def test_what_is_too_much_to_do_unasked_is_said(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ties, "TASKS_MOST", 1)
    out = tmp_path / "out"
    assert main(["simulate", str(file), "--out", str(out)]) == 0
    said = (
        "it is the one of the lowest number (under zones). How much depends on that was not tried"
    )
    assert said in capsys.readouterr().out
    assert said in (out / "report.html").read_text()
    assert len(load_results(out).ties) == 0
    assert main(["simulate", str(file), "--out", str(out), "--only", "chance"]) == 0
    assert "ties:" not in capsys.readouterr().out
