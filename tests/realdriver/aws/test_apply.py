"""From a snapshot to a plan to its moves, on a cluster that our own endpoint holds."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest

from stowplan.experiments.cli.main import main
from stowplan.realdriver.aws import moves
from tests.experiments.cli.test_serve import served
from tests.realdriver.aws.front import Front
from tests.realdriver.aws.served import KEYS, client, placed, scenario_of

USD_HOUR = 0.096  # of an m5.large on demand in us-east-1


@pytest.fixture
def front(tmp_path, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(moves, "_POLL_S", 0.1)
    scenario = tmp_path / "cluster.toml"
    scenario.write_text(scenario_of(9, jobs=4))
    with served(str(scenario), "--clock", "60") as url:
        while sum(placed(url).values()) < 13:
            time.sleep(0.1)
        made = Front(url)
        yield made
        made.close()


def planned(url, tmp_path, *more):
    """A snapshot, and the plan that frees what can be."""
    out, plan = tmp_path / "snapshot", tmp_path / "plan"
    where = ["--endpoint-url", url]
    assert main(["snapshot", "--cluster", "default", "--out", str(out), *where]) == 0
    scenario = str(out / "scenario.toml")
    goal = ["--goal", "repack", "--at", "0s", *more, "--out", str(plan)]
    assert main(["optimize", scenario, *goal]) == 0
    return plan, json.loads((plan / "answer.json").read_text())["plan"]


def apply(url, plan, *more):
    return main(["apply", str(plan), "--endpoint-url", url, *more])


def test_what_was_predicted_is_what_happens(front, tmp_path, capsys, recorded):
    plan, told = planned(front.url, tmp_path)
    before = placed(front.url)
    assert (len(told["freed"]), told["usd_hour"]["before"]) == (6, pytest.approx(9 * USD_HOUR))
    recorded.clear()
    assert apply(front.url, plan, "--yes") == 0
    said = capsys.readouterr().out
    after = placed(front.url)
    in_use = {instance for instance, _ in after}
    assert len(in_use) * USD_HOUR == pytest.approx(told["usd_hour"]["after"], rel=0.02)
    assert not in_use & set(told["freed"])
    moved = (before - after).total()
    assert moved == pytest.approx(len(told["moves"]), rel=0.02)
    assert f"done: {moved} tasks moved" in said
    by_group = [Counter(), Counter()]
    for counts, each in zip((before, after), by_group, strict=True):
        for (_, group), n in counts.items():
            each[group] += n
    assert by_group[0] == by_group[1]
    # The policy allows what was called, and beside that what no call is named after.
    capsys.readouterr()
    assert main(["iam-policy", "apply"]) == 0
    statements = json.loads(capsys.readouterr().out)["Statement"]
    allowed = {action for each in statements for action in each["Action"]}
    implied = {right.action for right in moves.RIGHTS if right.implied}
    assert recorded == allowed - implied
    # Once more: all is done already.
    starts = front.actions.count("StartTask")
    assert apply(front.url, plan, "--yes") == 0
    assert front.actions.count("StartTask") == starts
    assert placed(front.url) == after


def test_a_cluster_that_changed_meanwhile_is_left_alone(front, tmp_path, capsys):
    plan, _ = planned(front.url, tmp_path)
    ecs = client(front.url)
    ecs.stop_task(task=ecs.list_tasks(family="job")["taskArns"][0])
    before = placed(front.url)
    assert apply(front.url, plan, "--yes") == 1
    assert "not as the plan says" in capsys.readouterr().err
    assert placed(front.url) == before
    assert "StartTask" not in front.actions
    assert "UpdateContainerInstancesState" not in front.actions


def test_nothing_changes_unless_it_is_agreed_to(front, tmp_path, capsys):
    plan, told = planned(front.url, tmp_path)
    assert apply(front.url, plan, "--dry-run") == 0
    assert f"{len(told['moves'])} tasks move" in capsys.readouterr().out
    assert apply(front.url, plan) == 2
    assert "--yes" in capsys.readouterr().err
    assert "StartTask" not in front.actions


def test_one_that_was_cut_short_goes_on_where_it_was(front, tmp_path, capsys):
    plan, told = planned(front.url, tmp_path)
    own = sum(move["group"] == "family:job" for move in told["moves"])
    assert own
    front.denied = {"StopTask"}  # the copy runs, and the task that it replaces does, too
    assert apply(front.url, plan, "--yes") == 1
    assert "ecs:StopTask" in capsys.readouterr().err
    front.denied = {"UpdateContainerInstancesState"}
    assert apply(front.url, plan, "--yes") == 1
    front.denied = set()
    assert apply(front.url, plan, "--yes") == 0
    assert front.actions.count("StartTask") == own
    ecs = client(front.url)
    tasks = ecs.describe_tasks(tasks=ecs.list_tasks(family="job")["taskArns"])["tasks"]
    # StartTask takes so many characters; who runs where it was says nothing.
    assert max(len(task.get("startedBy", "")) for task in tasks) in range(20, 37)
    assert len({instance for instance, _ in placed(front.url)}) == 9 - len(told["freed"])
