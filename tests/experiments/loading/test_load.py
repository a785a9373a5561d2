"""Loading a scenario and the files that it names, sound and broken."""

import json
from pathlib import Path

import numpy as np
import pytest

from stowplan import experiments
from stowplan.experiments.loading.load import load_scenario, load_strategies
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement.errors import SpecError
from stowplan.placement.model import PlacementStrategy
from tests.experiments.scenarios import (
    STRATEGY,
    changed,
    container,
    definition,
    load,
    problems_of,
    sound,
)

EXPERIMENTS = Path(experiments.__file__).parent


def test_a_sound_scenario_loads_with_its_files_read(folder):
    loaded = load(sound())
    assert loaded.path == Path("test.toml")
    assert loaded.own_strategies == {}
    scenario = loaded.scenario
    assert scenario.task_definitions == {"web": definition(), "batch": definition(family="batch")}
    assert [run.id for run in scenario.runs()] == [
        "random__shared__none",
        "random__shared__loss",
        "random__parted__none",
        "random__parted__loss",
    ]


def test_only_the_instance_types_that_are_used_are_kept_and_the_files_own_win(folder):
    assert list(load(sound()).scenario.instance_types) == ["m5.large"]
    document = sound() | {"instance_types": {"m5.large": {"cpu": 4000, "memory": 5000}}}
    assert load(document).scenario.instance_types["m5.large"].cpu == 4000


@pytest.mark.parametrize("name", ["demo", "small", "look_ahead"])
def test_the_scenarios_that_ship_load(name):
    assert load_scenario(EXPERIMENTS / "scenarios" / f"{name}.toml").scenario.name == name


def test_files_are_looked_for_beside_the_scenario(folder, monkeypatch):
    load(changed(("strategies", "mine"), "mine.py:Mine"))
    monkeypatch.chdir("/")
    loaded = load_scenario(folder / "test.toml")
    assert loaded.scenario.workload[0].file == str(folder / "trace.csv")
    assert list(loaded.own_strategies) == ["mine.py:Mine"]


def test_what_describe_task_definition_printed_runs_too(folder):
    described = definition() | {"taskDefinitionArn": "arn:x", "revision": 3, "status": "ACTIVE"}
    Path("web.json").write_text(json.dumps({"taskDefinition": described, "tags": []}))
    loaded = load(sound())
    assert loaded.scenario.task_definitions["web"]["family"] == "web"
    result = simulate(loaded, next(loaded.scenario.runs()))
    assert result.metrics["instances_used"] >= 1


@pytest.mark.parametrize(
    ("line", "now"),
    [
        ("from placement.cluster import Cluster", "stowplan.placement.cluster.cluster"),
        ("import placement.model", "stowplan.placement.model"),
        ("def f():\n    from sim.driver import SimDriver", "stowplan.sim.driver"),
    ],
)
def test_a_file_that_imports_by_a_former_name_is_told_the_new_one(folder, line, now):
    (folder / "old.py").write_text(f"{line}\n\nclass Mine:\n    pass\n")
    with pytest.raises(SpecError, match=f"is {now} now"):
        load(changed(("strategies", "mine"), "old.py:Mine"))


def test_own_strategies_are_loaded_from_every_chain_with_and_without_a_field(folder):
    document = changed(("service", 0, "strategy"), ["mine.py:Mine"])
    document["strategies"] = {"mine": ["mine.py:Mine:memory", "random"]}
    loaded = load(document)
    assert list(loaded.own_strategies) == ["mine.py:Mine"]
    assert loaded.scenario.strategies["mine"][0] == PlacementStrategy("mine.py:Mine", "memory")
    for field, keys in (("memory", [-1, -2]), (None, [1, 2])):
        made = loaded.strategies["mine.py:Mine"](field)
        assert made.keys(None, None, np.array([1, 2]), None).tolist() == keys
    assert "random" in loaded.strategies


def test_extra_strategies_run_besides_and_are_found_from_the_working_directory(folder):
    (folder / "below").mkdir()
    (folder / "below" / "other.py").write_text(STRATEGY)
    loaded = load(sound(), extra_strategies={"other": ["below/other.py:Mine", "binpack:cpu"]})
    assert list(loaded.scenario.strategies) == ["random", "other"]
    assert "below/other.py:Mine" in loaded.strategies
    document = changed(("strategies",), None)
    assert list(load(document).scenario.strategies) == ["ecs-default"]


def test_a_dataclass_in_a_users_file_works(folder):
    lines = "from __future__ import annotations\nfrom dataclasses import dataclass\n\n@dataclass\n"
    text = "class D:\n    field: str = 'cpu'\n    def keys(self, *a):\n        return a[2]\n"
    Path("mine.py").write_text(lines + text)
    assert load(changed(("strategies", "d"), "mine.py:D")).own_strategies["mine.py:D"]("x")


def test_the_example_of_an_own_strategy_loads_places_and_has_ten_lines(folder):
    example = EXPERIMENTS / "examples" / "my_strategy.py"
    lines = [line for line in example.read_text().splitlines() if line]
    assert len(lines) <= 10
    loaded = load(changed(("strategies", "mine"), f"{example}:Align"))
    for run in loaded.scenario.runs():
        if run.strategy == "mine":
            assert simulate(loaded, run).metrics["instances_used"] >= 1


def test_strategies_of_a_journal_are_loaded_by_their_names(folder):
    assert list(load_strategies(["mine.py:Mine"], folder)) == ["mine.py:Mine"]
    with pytest.raises(SpecError) as raised:
        load_strategies(["mine.py:Mine", "no.py:A", "mine.py:B"], folder)
    assert raised.value.problems == (
        ("strategy no.py:A", f"no file {folder / 'no.py'}"),
        ("strategy mine.py:B", f"{folder / 'mine.py'} has no class B"),
    )


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("{", "below/web.json", "not valid JSON: "),
        ("[" * 100_000, "below/web.json", "not valid JSON: "),
        ("\xff", "below/web.json", "not a text file: "),
        ("5", "below/web.json", "expected a JSON object"),
        ("[]", "below/web.json: containerDefinitions", "has 0 containers"),
        ("{}", "below/web.json: family", "missing"),
        (
            json.dumps(definition(container(memory=5))),
            "below/web.json: containerDefinitions[0].memory",
            "5 is below 6",
        ),
        (
            json.dumps({"taskDefinition": definition(container(memroy=5))}),
            "below/web.json: taskDefinition.containerDefinitions[0].memroy",
            "did you mean memory?",
        ),
    ],
)
def test_a_problem_in_a_task_definition_names_the_file_it_is_in(folder, text, place, words):
    (folder / "below").mkdir()
    Path("below/web.json").write_text(text, encoding="latin-1")
    problems = problems_of(changed(("task_definitions", "web"), "below/web.json"))
    found = dict(problems)
    assert words in found[place]
    assert all(at.startswith("below/web.json") for at in found)


def test_a_problem_in_a_task_definition_inside_the_scenario_names_its_place_there(folder):
    broken = definition(container(cpu="1"), family="batch")
    [(place, _)] = problems_of(changed(("task_definitions", "batch"), broken))
    assert place == "test.toml: task_definitions.batch: containerDefinitions[0].cpu"


@pytest.mark.parametrize("value", [5, ["web.json"]])
def test_a_task_definition_is_a_table_or_the_name_of_a_file(folder, value):
    [(place, what)] = problems_of(changed(("task_definitions", "web"), value))
    assert place == "test.toml: task_definitions.web"
    assert "expected a table" in what


def test_rows_of_a_trace_that_do_not_parse_are_named_by_their_lines(folder):
    with Path("trace.csv").open("a") as stream:
        stream.write("2,1,x,0.5,0.01,7,8,2,0\n3,1,9,0.5,0.01,7")
    assert [place for place, _ in problems_of(sound())] == ["trace.csv:3", "trace.csv:4"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"name = ", "not valid TOML: "),
        (b"name = 'a'\nname = 'b'", "not valid TOML: "),
        (b"name = '\xff'", "not valid TOML: "),
    ],
)
def test_a_file_that_is_no_toml_is_named(folder, data, words):
    Path("bad.toml").write_bytes(data)
    with pytest.raises(SpecError) as raised:
        load_scenario(Path("bad.toml"))
    [(place, what)] = raised.value.problems
    assert place == "bad.toml"
    assert what.startswith(words)


@pytest.mark.parametrize("name", ["no.toml", "."])
def test_a_scenario_that_cannot_be_read_is_named(folder, name):
    with pytest.raises(SpecError) as raised:
        load_scenario(Path(name))
    [(place, _)] = raised.value.problems
    assert place == name
