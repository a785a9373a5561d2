"""What an experiment is made of is checked before its first run, every problem at once."""

from __future__ import annotations

import tomllib

import pytest

from stowplan.experiments.studies.experiment.cells import design_of, set_key
from stowplan.experiments.studies.experiment.spec import check_spec, read_spec
from stowplan.placement.errors import SpecError


def design_with(folder, more):
    path = folder / "question.toml"
    path.write_text(path.read_text() + more)
    return design_of(read_spec(path), folder, "question.toml")


def problems_of(call, *arguments):
    with pytest.raises(SpecError) as caught:
        call(*arguments)
    return dict(caught.value.problems)


def test_all_combinations_of_all_axes(folder):
    design = design_with(
        folder,
        """
        [axes]
        strategy = ["spread", "binpack", "random"]
        "fleet[0].count" = [4, 6]
        "workload.jobs.options.rate_per_s" = { calm = 0.1, busy = 0.4 }
        """,
    )
    assert design.axes == {
        "strategy": ("spread", "binpack", "random"),
        "fleet[0].count": ("4", "6"),
        "workload.jobs.options.rate_per_s": ("calm", "busy"),
    }
    assert len(design.cells) == 12
    assert len(design.variants) == 4
    assert design.compared == ("strategy", "spread")
    cell = next(
        each for each in design.cells if list(each.labels.values()) == ["random", "6", "busy"]
    )
    scenario = design.variants[cell.variant].scenario
    assert scenario.fleet[0].count == 6
    assert scenario.workload[0].options["rate_per_s"] == 0.4
    assert cell.run.strategy == "random"


def test_without_axes_the_scenarios_own_strategies(folder):
    design = design_with(folder, "")
    assert design.axes == {"strategy": ("binpack", "spread")}


def test_a_strategy_in_a_file_is_relative_to_the_question(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "mine.py").write_text(
        "class Last:\n"
        "    def keys(self, task, cluster, candidates, rng):\n"
        "        return -candidates\n"
    )
    (folder / "sub" / "q.toml").write_text(
        'scenario = "../tiny.toml"\nmetrics = ["started"]\n'
        '[axes]\nstrategy = { mine = "mine.py:Last", both = ["spread:instanceId", "mine.py:Last"] }'
    )
    path = folder / "sub" / "q.toml"
    design = design_of(read_spec(path), path.parent, "q.toml")
    assert design.axes["strategy"] == ("mine", "both")


def test_every_problem_of_the_file_is_named(folder):
    (folder / "question.toml").write_text(
        """
        scenario = "tiny.toml"
        seeds = 1
        metrics = ["dolars", "started", "started"]
        seed_max = 5
        keep = ["tables"]
        [axes]
        strategy = []
        [precision]
        started = "2"
        """
    )
    found = problems_of(read_spec, folder / "question.toml")
    where = {at.rpartition(": ")[2] for at in found}
    assert where >= {"seeds", "seed_max", "precision.started"}
    document = tomllib.loads(
        'scenario = "x"\nmetrics = ["dolars", "started", "started"]\nkeep = ["tables"]\n'
        'warm_up = "1m"\n[axes]\nstrategy = []\n[precision]\nlost = 1'
    )
    document["metrics"].append("instances_used")
    found = problems_of(check_spec, document, "q")
    assert "dollars" in found["q: metrics[0]"]
    assert "twice" in found["q: metrics"]
    assert "warm-up" in found["q: metrics[3]"]
    assert {"q: keep[0]", "q: axes.strategy", "q: precision.lost"} <= set(found)


def test_every_problem_of_every_cell_is_named_once(folder):
    path = folder / "question.toml"
    path.write_text(
        path.read_text()
        + '[axes]\n"fleet[1].count" = [2]\n"fleet[0].count" = [3, -1]\n"flet[0].count" = [1]'
    )
    found = problems_of(design_of, read_spec(path), folder, "q")
    assert "did you mean fleet" in found["q: axes.flet[0].count"]
    assert "it has general" in found["q: axes.fleet[1].count"]
    path.write_text(SPEC_WRONG_VALUE)
    found = problems_of(design_of, read_spec(path), folder, "q")
    assert any(at.endswith("fleet[0].count") for at in found)


SPEC_WRONG_VALUE = """
scenario = "tiny.toml"
metrics = ["started"]
[axes]
"fleet[0].count" = [3, -1, 4]
strategy = ["spread"]
"""


def test_names_that_are_not_there(folder):
    (folder / "question.toml").write_text(
        'scenario = "tiny.toml"\nmetrics = ["started"]\n[axes]\nfaults = ["storm"]\n'
        '[compare]\naxis = "layouts"\n'
    )
    found = problems_of(design_of, read_spec(folder / "question.toml"), folder, "q")
    assert {"q: axes.faults", "q: compare.axis"} == set(found)
    (folder / "question.toml").write_text(
        'scenario = "tiny.toml"\nmetrics = ["started"]\n[compare]\nbaseline = "spred"\n'
    )
    found = problems_of(design_of, read_spec(folder / "question.toml"), folder, "q")
    assert "spread" in found["q: compare.baseline"]


def test_a_scenario_that_is_not_there(folder):
    (folder / "question.toml").write_text('scenario = "smal"\nmetrics = ["started"]\n')
    found = problems_of(design_of, read_spec(folder / "question.toml"), folder, "q")
    assert "small" in next(iter(found.values()))


@pytest.mark.parametrize(
    "key", ["fleet[0]count", "", "fleet[9].count", "fleet.nobody.count", "a..b"]
)
def test_keys_that_lead_nowhere_change_nothing(key):
    document = {"fleet": [{"name": "general", "count": 4}]}
    with pytest.raises(KeyError):
        set_key(document, key, 1)
    assert document == {"fleet": [{"name": "general", "count": 4}]}


def test_keys_by_number_and_by_name():
    document = {"fleet": [{"name": "general", "count": 4}], "models": {}}
    set_key(document, "fleet[0].count", 5)
    set_key(document, "fleet.general.count", document["fleet"][0]["count"] + 1)
    set_key(document, "models.start", "1s")
    set_key(document, "seed", 3)
    assert document == {
        "fleet": [{"name": "general", "count": 6}],
        "models": {"start": "1s"},
        "seed": 3,
    }
