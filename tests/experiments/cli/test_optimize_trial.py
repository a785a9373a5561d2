"""After every plan the plan is simulated: whether ECS, left alone, would reach it."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.runs.simulate import drive, simulate, world

HEAD = """
name = "trial"
duration = "10m"
[instance_types]
box = { cpu = 1000, memory = 1000, price_microusd_hour = 10 }
"""


def definition(name, cpu, memory=10):
    container = f'{{ name = "c", image = "x", cpu = {cpu}, memory = {memory} }}'
    return f'{name} = {{ family = "{name}", containerDefinitions = [{container}] }}\n'


def service(name, count, more=""):
    text = f'[[service]]\nname = "{name}"\ntask_definition = "{name}"\n{more}\n'
    return text if count is None else f"{text}desired_count = {count}\n"


def scenario(count, sizes, zones='["a"]', more="", chain='"spread:instanceId"'):
    """`sizes`: (name, cpu, desired count or None for a DAEMON)."""
    fleet = f'[[fleet]]\nname = "f"\ninstance_type = "box"\ncount = {count}\nzones = {zones}\n'
    tasks = "[task_definitions]\n" + "".join(definition(n, cpu) for n, cpu, _ in sizes)
    daemon = 'scheduling_strategy = "DAEMON"'
    made = "".join(service(n, c, daemon if c is None else "") for n, _, c in sizes)
    return f"{HEAD}{tasks}{fleet}{made}[strategies]\nchain = [{chain}]\n{more}"


def optimized(tmp_path, capsys, text, *arguments):
    file = tmp_path / "trial.toml"
    file.write_text(text)
    assert main(["optimize", str(file), "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def left_in_simulation(tmp_path, text):
    """Tasks without a place by service, at the end of a run of the scheduler itself."""
    file = tmp_path / "run.toml"
    file.write_text(text)
    loaded = load_scenario(file)
    run = next(loaded.scenario.runs())
    scheduler, driver = world(loaded, run, loaded.scenario.duration)
    scheduler = drive(loaded, run, scheduler, driver, lambda _: None)
    wanted = scheduler.outlook().wanted()
    return dict(+Counter({kind.group.removeprefix("service:"): n for kind, n in wanted}))


SPREAD_OUT = [("s", 500, 2), ("u", 1000, 1)]  # s on one box each by spread, then none is whole


def test_what_ecs_does_not_reach_is_said_with_what_it_leaves(tmp_path, capsys):
    found = optimized(tmp_path, capsys, scenario(5, SPREAD_OUT), "--goal", "instances")
    assert (found["status"], found["objective"]) == ("optimal", 2)
    trial = found["trial"]
    assert trial["ecs_reaches_it"] is False
    assert (trial["left_by_strategy"], trial["refused_by_places"]) == ({"u": 1}, {})
    assert left_in_simulation(tmp_path, scenario(2, SPREAD_OUT)) == {"u": 1}

    packed = scenario(5, SPREAD_OUT, chain='"binpack:cpu"')
    assert optimized(tmp_path, capsys, packed, "--goal", "fleet")["trial"]["ecs_reaches_it"]


def test_console_and_folder_say_it_too(tmp_path, capsys):
    file, out = tmp_path / "t.toml", tmp_path / "out"
    file.write_text(scenario(5, SPREAD_OUT))
    assert main(["optimize", str(file), "--goal", "instances", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    sentence = "ECS, left alone, would NOT reach this: on these instances, by their own strategies"
    for text in (said, (out / "plan.txt").read_text()):
        assert sentence in text
        assert "1 task of u find no place" in text
        assert "by the plan's own places: the engine takes every task" in text
    assert json.loads((out / "answer.json").read_text())["trial"]["left_by_strategy"] == {"u": 1}


@pytest.mark.parametrize("seed", range(6))
def test_the_scheduler_leaves_what_the_trial_says(tmp_path, capsys, seed):
    rng = np.random.default_rng(seed)
    sizes = [
        (f"s{n}", int(rng.integers(1, 9)) * 90, int(rng.integers(1, 5)))
        for n in range(int(rng.integers(2, 5)))
    ]
    sizes += [("d", int(rng.integers(1, 4)) * 60, None)] * (seed % 3)
    if seed % 3 == 2:
        sizes[-1] = ("e", 40, None)
    chain = ['"spread:instanceId"', '"binpack:cpu"', '"spread:instanceId", "binpack:memory"'][
        seed % 3
    ]
    found = optimized(tmp_path, capsys, scenario(4, sizes, chain=chain), "--goal", "instances")
    boxes = found["plan"]["instances"]

    left = left_in_simulation(tmp_path, scenario(boxes, sizes, chain=chain))

    assert found["trial"]["left_by_strategy"] == left
    assert found["trial"]["ecs_reaches_it"] == (not left)


def test_the_scheduler_leaves_what_the_trial_of_a_given_fleet_says(tmp_path, capsys):
    text = scenario(2, SPREAD_OUT, more="[optimize]\nobjective = { placed = 100, instances = 1 }\n")
    found = optimized(tmp_path, capsys, text, "--goal", "placement")
    assert (found["plan"]["left_out"], found["plan"]["instances"]) == ({}, 2)
    assert found["trial"]["left_by_strategy"] == left_in_simulation(tmp_path, text) == {"u": 1}
    assert found["trial"]["ecs_reaches_it"] is False


@pytest.mark.parametrize(
    ("task_cpu", "count", "daemon", "boxes"), [(450, 6, 101, 6), (290, 9, 130, 3)]
)
@pytest.mark.parametrize("goal", ["instances", "fleet"])
def test_what_is_bought_beside_daemons_holds_every_task(
    tmp_path, capsys, task_cpu, count, daemon, boxes, goal
):
    """The sample of the daemon that was forgotten, under other numbers."""
    sizes = [("a", task_cpu, count), ("agent", daemon, None)]
    found = optimized(tmp_path, capsys, scenario(2, sizes), "--goal", goal)
    assert (found["status"], found["plan"]["instances"]) == ("optimal", boxes)
    assert all(line["daemons"] == ["agent"] for line in found["plan"]["lines"])
    assert left_in_simulation(tmp_path, scenario(boxes, sizes)) == {}
    assert left_in_simulation(tmp_path, scenario(boxes - 1, sizes)) != {}


def test_over_time_the_trial_costs_what_the_strategies_keep_busy(tmp_path, capsys):
    # two tasks on boxes that two could share; spread keeps both boxes busy
    sizes = [("s", 500, 2), ("u", 400, 2)]
    found = optimized(tmp_path, capsys, scenario(4, sizes), "--goal", "hours")
    assert (found["status"], found["objective"]) == ("optimal", 2 * 10 * 600_000)
    assert found["trial"]["cost_by_strategy"] == 2 * 10 * 600_000
    assert found["trial"]["ecs_reaches_it"]


def test_zones_of_instances_that_are_bought_are_dealt_in_turn(tmp_path, capsys):
    """Spread over zones, the trial meets as many zones as can be bought."""
    sizes = [("s", 400, 6)]
    chain = '"spread:attribute:ecs.availability-zone", "binpack:cpu"'
    text = scenario(6, sizes, zones='["a", "b", "c"]', chain=chain)
    found = optimized(tmp_path, capsys, text, "--goal", "instances")
    assert found["plan"]["instances"] == 3
    assert found["trial"]["ecs_reaches_it"]


def test_draining_is_tried_in_place_of_moves(tmp_path, capsys):
    text = scenario(3, [("s", 400, 3)], chain='"spread:instanceId"')
    found = optimized(tmp_path, capsys, text, "--goal", "repack", "--free", "1")
    assert found["objective"] == 1
    assert found["trial"]["ecs_reaches_it"]
    assert found["notes"] == []


@pytest.mark.parametrize(
    "file",
    ["deployments.toml", "autoscaling.toml", "capacity/scale_in.toml", "image_pull.toml"],
)
def test_goal_repack_begins_with_the_run_that_simulate_makes(tmp_path, capsys, file):
    """So it keeps every key: there is nothing of the scenario that it reads besides."""
    path = SCENARIOS / file
    loaded = load_scenario(path)
    run = next(loaded.scenario.runs())
    journal = tmp_path / "run.jsonl.gz"
    simulate(loaded, run, journal)
    answers = []
    for more in (["--journal", str(journal)], ["--strategy", run.strategy]):
        arguments = ["optimize", str(path), "--goal", "repack", "--json", "--work", "20"]
        assert main([*arguments, *more]) == 0
        answer = json.loads(capsys.readouterr().out)
        answers.append((answer["status"], answer["objective"], answer["plan"]))
    assert answers[0] == answers[1]
