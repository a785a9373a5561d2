"""`stowplan optimize --goal repack`: the state out of a run or a journal, and the moves."""

import json

import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement.scenario.scenario import Run

SMALL = SCENARIOS / "small.toml"


def repacked(capsys, *arguments):
    assert main(["optimize", str(SMALL), "--goal", "repack", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_run_is_repacked_as_it_stands_in_the_end(capsys):
    found = repacked(capsys)
    plan = found["plan"]
    assert (found["status"], found["unit"]) == ("optimal", "moves")
    # Three caches may not share an instance; the nine web tasks find room beside them.
    assert (plan["used"], plan["used_at_least"], len(plan["freed"])) == (3, 3, 6)
    assert found["objective"] == found["lower_bound"] == len(plan["moves"]) == 6
    assert {move["group"] for move in plan["moves"]} == {"service:web"}
    assert {move["from"] for move in plan["moves"]} == set(plan["freed"])


def test_so_many_instances_are_freed_as_asked_for_at_the_time_asked_for(capsys):
    found = repacked(capsys, "--free", "2", "--at", "5m")
    assert len(found["plan"]["freed"]) >= 2
    assert found["objective"] == 2


def test_a_journal_leads_to_the_same_state_as_the_run(tmp_path, capsys):
    journal = tmp_path / "run.jsonl.gz"
    simulate(load_scenario(SMALL), Run("ecs-default", "shared", "none"), journal)
    plans = [
        repacked(capsys, "--at", "5m", *more)["plan"]
        for more in (["--journal", str(journal)], ["--strategy", "ecs-default"])
    ]
    assert plans[0] == plans[1]
    assert plans[0]["moves"]


def test_what_moves_are_worth_depends_on_what_they_cost(capsys):
    cheap = repacked(capsys, "--move-cost", "0.001")
    dear = repacked(capsys, "--move-cost", "10")
    assert (cheap["unit"], dear["unit"]) == ("microusd", "microusd")
    assert len(cheap["plan"]["freed"]) == 6
    assert dear["plan"]["moves"] == []
    # Nine instances of $0.192 an hour; and three of them with six moves.
    assert (dear["objective"], cheap["objective"]) == (9 * 192_000, 3 * 192_000 + 6 * 1_000)


def test_room_is_made_for_a_task_that_its_service_lacks(tmp_path, capsys):
    scenario = tmp_path / "waiting.toml"
    scenario.write_text(
        """
        name = "waiting"
        duration = "5m"
        fleet = [{ name = "g", instance_type = "m5.large", count = 2, zones = ["a"] }]
        service = [
          { name = "small", task_definition = "small", desired_count = 2 },
          { name = "big", task_definition = "big", desired_count = 1, at = "1m" },
        ]
        [task_definitions]
        small = { family = "s", containerDefinitions = [{ name = "s", image = "i", memory = 999 }] }
        big = { family = "b", containerDefinitions = [{ name = "b", image = "i", memory = 7000 }] }
        """
    )
    assert main(["optimize", str(scenario), "--goal", "repack", "--waiting"]) == 0
    said = capsys.readouterr().out
    assert "repack: 1 move, at least 1 move (proven least)" in said
    assert "service:small" in said
    assert "starts" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--free", "1", "--waiting"], "one of --free, --waiting and --move-cost"),
        (["--strategy", "none"], "the strategies are ecs-default, binpack"),
        (["--journal", "nowhere.gz"], "nowhere.gz"),
        (["--at", "99h"], "--at: 356400000 ms is after the end of the run, 600000 ms"),
    ],
)
def test_options_that_make_no_sense_are_one_error(arguments, words, capsys):
    assert main(["optimize", str(SMALL), "--goal", "repack", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_time_after_the_end_of_a_journal_is_an_error(tmp_path, capsys):
    journal = tmp_path / "j.gz"
    loaded = load_scenario(SMALL)
    simulate(loaded, next(loaded.scenario.runs()), journal)
    arguments = ["optimize", str(SMALL), "--goal", "repack", "--journal", str(journal)]
    assert main([*arguments, "--at", "11m"]) == 2
    assert "--at: 660000 ms is after the end of the run, 600000 ms" in capsys.readouterr().err
    assert main([*arguments, "--at", "10m", "--free", "1"]) == 0


@pytest.mark.parametrize("other", [[str(SMALL), "--goal", "fleet"], ["--bpp", "no.txt"]])
def test_arguments_of_the_goal_are_for_no_other(other, capsys):
    assert main(["optimize", *other, "--free", "2", "--at", "5m", "--waiting"]) == 2
    found = [line for line in capsys.readouterr().err.splitlines() if line]
    assert found == [
        f"stowplan: {name}: is for --goal repack alone" for name in ("--free", "--waiting", "--at")
    ]


@pytest.mark.parametrize("arguments", [["--free", "0"], ["--move-cost", "nan"], ["--at", "soon"]])
def test_values_that_make_no_sense_are_refused(arguments):
    with pytest.raises(SystemExit):
        main(["optimize", str(SMALL), "--goal", "repack", *arguments])


def test_looking_ahead_uses_fewer_instances_than_one_task_after_the_other():
    loaded = load_scenario(SCENARIOS / "look_ahead.toml")
    busy = {
        name: simulate(loaded, Run(name, "shared", "none")).metrics["instances_busy_mean"]
        for name in ("binpack", "best-fit", "optimal")
    }
    assert busy["optimal"] < 0.95 * min(busy["binpack"], busy["best-fit"])
