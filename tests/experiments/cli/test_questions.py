"""`front`, `sizes` and `consolidate`: questions of people who run clusters, as commands."""

import csv
import io
import json

import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.cli.repack import spread_of
from stowplan.experiments.cli.sizes import dealt
from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.runs.consolidate import Policy, consolidated
from stowplan.placement.journal import replay
from stowplan.placement.messages import StopTasks, UpdateContainerInstancesState
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.front import FrontPoint, undominated
from stowplan.placement.scheduler.scheduler import Scheduler

SMALL = SCENARIOS / "small.toml"
SHORT = """
name = "short"
duration = "10m"
[models]
boot = { mean = "1s" }
start = { mean = "1s" }
stop = { mean = "1s" }
[task_definitions]
web = { family = "web", containerDefinitions = [
    { name = "a", image = "a", cpu = 1024, memory = 1024 },
] }
two = { family = "two", containerDefinitions = [
    { name = "a", image = "a", cpu = 600, memory = 3000 },
    { name = "b", image = "b", cpu = 200, memory = 1000, memoryReservation = 500 } ] }
[[service]]
name = "web"
task_definition = "web"
desired_count = 12
[[service]]
name = "two"
task_definition = "two"
desired_count = 2
[strategies]
spread = ["spread:instanceId"]
"""
FLEET = '[[fleet]]\nname = "all"\ninstance_type = "m5.2xlarge"\nzones = ["a"]\ncount = 6\n'
BUYS = SHORT + FLEET + '[optimize]\ninstance_type = "m5.large"\n'


def said(capsys, *arguments):
    assert main([str(each) for each in arguments]) == 0
    return capsys.readouterr().out


def test_every_point_of_the_front_is_the_fewest_moves_for_so_many_instances(capsys):
    points = json.loads(said(capsys, "front", SMALL, "--at", "5m", "--json"))
    assert [point["moves"] for point in points] == sorted({point["moves"] for point in points})
    for point in points:
        more = ["--goal", "repack", "--at", "5m", "--free", point["freed"], "--json"]
        alone = json.loads(said(capsys, "optimize", SMALL, *more))
        assert point["status"] == alone["status"] == "optimal"
        assert point["moves"] == alone["objective"] == point["objective"] == point["lower_bound"]
        assert point["saves_usd_hour"] == pytest.approx(0.192 * point["freed"])
    rows = list(csv.DictReader(io.StringIO(said(capsys, "front", SMALL, "--at", "5m", "--csv"))))
    assert [int(row["freed"]) for row in rows] == [point["freed"] for point in points]


def test_where_prices_differ_the_front_knows_the_dearer_instance(tmp_path, capsys):
    # One small task alone on the cheap instance, two on the dear one; the third has room for all.
    path = tmp_path / "unlike.toml"
    path.write_text(
        'name = "unlike"\nduration = "10m"\n[task_definitions]\n'
        'w = { family = "w", containerDefinitions = '
        '[{ name = "a", image = "a", cpu = 256, memory = 256 }] }\n'
        + "".join(
            f'[[fleet]]\nname = "{name}"\ninstance_type = "{kind}"\nzones = ["a"]\ncount = 1\n'
            f'attributes = {{ role = "{name}" }}\nat = "{at}"\n'
            for name, kind, at in (
                ("cheap", "m5.large", "0s"),
                ("dear", "m5.4xlarge", "0s"),
                ("home", "m5.large", "3m"),
            )
        )
        + "".join(
            f'[[service]]\nname = "{name}"\ntask_definition = "w"\ndesired_count = {count}\n'
            f'constraints = ["memberOf: attribute:role in [{name}, home]"]\n'
            f'strategy = ["binpack:memory"]\nat = "{at}"\n'
            for name, count, at in (("cheap", 1, "2s"), ("dear", 2, "1s"))
        )
        + '[strategies]\ns = ["binpack:memory"]\n'
    )
    points = json.loads(said(capsys, "front", path, "--json"))
    saved = {point["moves"]: point["saves_usd_hour"] for point in points}
    assert points
    assert max(saved.values()) <= 0.096 + 0.768
    best = [saved[moves] for moves in sorted(saved)]
    assert best == sorted(set(best))


def test_of_points_of_a_front_those_that_others_beat_are_left_out():
    answer = Answer("repack", "moves", "optimal", 0, 0, None)
    points = [FrontPoint(m, s, answer) for m, s in ((3, 5), (1, 2), (2, 2), (3, 9), (5, 9))]
    assert [(p.moves, p.saves) for p in undominated(points)] == [(1, 2), (3, 9)]


def test_sizes_are_the_peaks_with_headroom_and_both_plans_are_proven(tmp_path, capsys):
    scenario, usage = tmp_path / "buys.toml", tmp_path / "usage.csv"
    scenario.write_text(BUYS)
    usage.write_text("service,cpu,memory\nweb,100,500\nweb,300,200\ntwo,400,700\n")
    found = json.loads(
        said(capsys, "sizes", scenario, "--usage", usage, "--goal", "instances", "--json")
    )
    assert found["sizes"] == [
        {"service": "web", "tasks": 12, "cpu_now": 1024, "cpu": 360, "memory_now": 1024,
         "memory": 600},
        {"service": "two", "tasks": 2, "cpu_now": 800, "cpu": 480, "memory_now": 3500,
         "memory": 840},
    ]  # fmt: skip
    # Of 2,048 CPU units: 12 x 1,024 + 2 x 800 need 7 instances; 12 x 360 + 2 x 480 need 3.
    assert (found["now"]["objective"], found["resized"]["objective"]) == (7, 3)
    assert found["now"]["status"] == found["resized"]["status"] == "optimal"
    assert found["saves"] == {
        "unit": "instances", "saves": 4, "saves_at_least": 4, "saves_at_most": 4,
    }  # fmt: skip
    rows = said(capsys, "sizes", scenario, "--usage", usage, "--csv", "--headroom", "0")
    assert rows.splitlines()[1:] == ["web,12,1024,300,1024,500", "two,2,800,400,3500,700"]


def test_every_wrong_row_of_the_usage_is_named(tmp_path, capsys):
    scenario, usage = tmp_path / "buys.toml", tmp_path / "usage.csv"
    scenario.write_text(BUYS)
    usage.write_text("service,cpu,memory\nweb,x,5\nnone,1,1\nweb,1\n")
    assert main(["sizes", str(scenario), "--usage", str(usage)]) == 2
    told = capsys.readouterr().err
    assert all(f"usage.csv:{line}" in told for line in (2, 3, 4))
    assert "no service 'none'" in told


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [(10, [3, 1], [7, 3]), (9, [0, 0], [5, 4]), (4, [5, 0], [2, 2]), (7, [1], [7])],
)
def test_a_size_is_dealt_over_containers_in_whole_parts(total, weights, parts):
    assert dealt(total, weights, 2) == parts


def test_a_policy_drains_what_it_frees_and_its_journal_replays(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text(SHORT + FLEET)
    loaded = load_scenario(path)
    run = next(iter(loaded.scenario.runs()))
    rounds = []
    results = [
        consolidated(loaded, run, Policy(every_ms, 1_000, 1.0, 50.0, spread_of(loaded)), also)
        for every_ms, also in ((0, []), (120_000, [rounds.append]))
    ]
    (before, _), (after, told) = results
    drains = [
        event
        for entry in rounds
        for event in entry.events
        if isinstance(event, UpdateContainerInstancesState)
    ]
    # 12 tasks of 1,024 and 2 of 800 CPU units fit two instances of 8,192; six are in use.
    assert sum(len(event.instances) for event in drains if event.status == "DRAINING") == 4
    assert (told.drained, told.recalled, told.proven) == (4, 0, told.plans)
    stopped = [c for entry in rounds for c in entry.commands if isinstance(c, StopTasks)]
    assert told.moved == sum(len(command.tasks) for command in stopped) > 0
    # From minute 2 on two instead of six: of 60 instance-minutes 32 are left.
    busy = [result.metrics["dollars_busy"] for result in (before, after)]
    assert busy[1] / busy[0] == pytest.approx((6 * 2 + 2 * 8) / (6 * 10), abs=0.06)
    fresh = Scheduler(after_config(loaded, run), loaded.strategies)
    replay(fresh, rounds)


def after_config(loaded, run):
    """The configuration with which the run's scheduler was made."""
    from stowplan.experiments.runs.simulate import world

    return world(loaded, run, loaded.scenario.duration)[0].config


def test_periods_are_compared_with_never(tmp_path, capsys):
    path = tmp_path / "short.toml"
    path.write_text(SHORT + FLEET)
    never, often = json.loads(said(capsys, "consolidate", path, "--every", "4m", "--json"))
    assert (never["moves"], never["saved"]) == (0, 0)
    assert often["saved"] == pytest.approx(never["dollars_busy"] - often["dollars_busy"])
    assert often["saved"] > 0
    assert often["moves_a_day"] == often["moves"] * 144
    rows = said(capsys, "consolidate", path, "--every", "4m", "--csv").splitlines()
    assert len(rows) == 3
    assert main(["consolidate", str(path), "--every", "0s,x"]) == 2
    told = capsys.readouterr().err
    assert "--every 0s" in told
    assert "--every x" in told
