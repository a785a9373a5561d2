"""Fleets that `stowplan optimize` found before: more offers or a shorter time end no dearer."""

import json
import os
from pathlib import Path

import tomlkit

from stowplan.experiments.bench.markets import Shape, market
from stowplan.experiments.cli.main import main

FEW, MORE = 20, 26
MARKET = market(0, Shape(20, MORE, 2, 50, daemon=True))


def written(folder: Path, offers: int, name: str = "m", services=MARKET["service"]) -> str:
    table = {**MARKET["optimize"], "offer": MARKET["optimize"]["offer"][:offers]}
    file = folder / f"{name}-{offers}.toml"
    document = {**MARKET, "name": name, "optimize": table, "service": services}
    file.write_text(tomlkit.dumps(document))
    return str(file)


def answer(capsys, *arguments: str):
    assert main(["optimize", *arguments, "--goal", "fleet", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_more_offers_begin_with_the_answer_for_a_part_of_them(tmp_path, capsys):
    cold = answer(capsys, written(tmp_path, MORE), "--work", "1", "--forget")
    assert cold["notes"] == []
    assert not list(Path(os.environ["STOWPLAN_CACHE"]).rglob("*.json"))
    few = answer(capsys, written(tmp_path, FEW), "--work", "60")
    assert few["objective"] < cold["objective"]
    begun = answer(capsys, written(tmp_path, MORE, "another name"), "--work", "1")
    assert begun["objective"] <= few["objective"]
    dollars = few["objective"] / 1e6
    assert begun["notes"] == [f"began with an earlier answer's fleet, ${dollars:,.4f} an hour"]
    assert begun["trial"]["refused_by_places"] == {}


def test_a_shorter_solve_is_no_dearer_than_a_longer_one_before(tmp_path, capsys):
    costs = [
        answer(capsys, written(tmp_path, FEW), "--work", *how)["objective"]
        for how in (("60",), ("1",), ("1", "--forget"))
    ]
    assert costs[1] <= costs[0] < costs[2]


def test_other_tasks_know_nothing_of_it_and_a_broken_file_is_none(tmp_path, capsys):
    answer(capsys, written(tmp_path, FEW), "--work", "1")
    others = written(tmp_path, FEW, services=MARKET["service"][1:])
    assert answer(capsys, others, "--work", "1")["notes"] == []
    files = list(Path(os.environ["STOWPLAN_CACHE"]).rglob("*.json"))
    assert len(files) == 2
    for file in files:
        file.write_text('[[{"instance_type": 3}]]')
    assert answer(capsys, written(tmp_path, FEW), "--work", "1")["notes"] == []


def test_only_the_goal_fleet_forgets(tmp_path, capsys):
    assert main(["optimize", written(tmp_path, FEW), "--goal", "instances", "--forget"]) == 2
    assert "--forget: is for --goal fleet" in capsys.readouterr().err
