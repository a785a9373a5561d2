"""`stowplan optimize SCENARIO`: what it prints, what it writes, and what it says of bad input."""

import json

import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.files.paths import SCENARIOS

DEPLOY_ORDER = str(SCENARIOS / "deploy_order.toml")


def test_the_ten_tasks_of_the_user_need_three_instances(capsys):
    assert main(["optimize", DEPLOY_ORDER, "--goal", "instances", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["status"], answer["objective"], answer["lower_bound"]) == ("optimal", 3, 3)
    packed = dict.fromkeys("abcdef", 0)
    for line in answer["plan"]["lines"]:
        for owner, n in line["tasks"].items():
            packed[owner] += n * line["copies"]
    assert packed == {"a": 2, "b": 1, "c": 2, "d": 2, "e": 1, "f": 2}


def test_a_larger_type_is_taken_from_the_catalogue(capsys):
    main(["optimize", DEPLOY_ORDER, "--goal", "instances", "--instance-type", "m5.2xlarge"])
    assert "1 instance, at least 1 instance (proven least)" in capsys.readouterr().out


def test_a_type_too_small_is_an_answer_that_says_for_what(capsys):
    arguments = ["--goal", "instances", "--instance-type", "t3.small"]
    assert main(["optimize", DEPLOY_ORDER, *arguments]) == 0
    said = capsys.readouterr().out
    assert "instances: infeasible" in said
    assert "task definition a:1 (a) needs 7,000 MiB of memory" in said


def test_the_folder_holds_answer_plan_and_plot_and_can_be_written_again(tmp_path, capsys):
    out = tmp_path / "best"
    for _ in range(2):
        arguments = ["--goal", "placement", "--objective", "placed=100,instances=10,spread=1"]
        assert main(["optimize", DEPLOY_ORDER, *arguments, "--out", str(out)]) == 0
    assert {file.name for file in out.iterdir()} == {"answer.json", "plan.txt", "progress.svg"}
    answer = json.loads((out / "answer.json").read_text())
    assert (answer["status"], answer["plan"]["instances"]) == ("optimal", 3)
    assert "3 instances" in (out / "plan.txt").read_text()
    assert "<svg" in (out / "progress.svg").read_text()
    assert capsys.readouterr().out


PLACEMENT = [DEPLOY_ORDER, "--goal", "placement"]
UNKNOWN_OBJECTIVE = (
    "stowplan: --objective happiness=1: unknown: happiness; "
    "the objectives are placed, instances, spread, cost\n"
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a scenario, or a packing file"),
        ([DEPLOY_ORDER, "--bpp", "x.txt"], "name a scenario, or a packing file"),
        ([DEPLOY_ORDER, "--layout", "parted"], "the layouts are shared"),
        ([*PLACEMENT, "--objective", "spread"], "expected NAME=WHOLE NUMBER"),
        ([*PLACEMENT, "--objective", "happiness=1"], UNKNOWN_OBJECTIVE),
        ([*PLACEMENT, "--objective", "spread=1000000001"], "numbers of at most 1000000000"),
        ([DEPLOY_ORDER, "--goal", "instances", "--instance-type", "m5.huge"], "unknown type"),
        ([DEPLOY_ORDER, "--instance-type", "m5.large"], "is for --goal instances, not for fleet"),
        ([DEPLOY_ORDER, "--goal", "repack", "--layout", "parted"], "the layouts are shared"),
    ],
)
def test_bad_arguments_are_one_error(arguments, said, capsys):
    assert main(["optimize", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_unknown_types_and_prices_given_twice_are_found_in_the_file(tmp_path, capsys):
    text = (SCENARIOS / "deploy_order.toml").read_text()
    offers = """
[[optimize.offer]]
instance_type = "m5.lrage"
[[optimize.offer]]
instance_type = "m5.large"
spot_discount_percent = 60
spot_price_microusd_hour = 3
"""
    (tmp_path / "bad.toml").write_text(text + offers)
    assert main(["optimize", str(tmp_path / "bad.toml")]) == 2
    said = capsys.readouterr().err
    assert "optimize.offer[0].instance_type: unknown instance type 'm5.lrage'" in said
    assert "optimize.offer[1]: a spot price and a discount" in said


def test_the_least_over_time_is_said_in_dollars(capsys, tmp_path):
    arguments = [
        str(SCENARIOS / "small.toml"),
        "--goal",
        "hours",
        "--work",
        "20",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["optimize", *arguments]) == 0
    said = capsys.readouterr().out
    assert said.startswith("hours: $0.")
    answer = json.loads((tmp_path / "out" / "answer.json").read_text())
    assert 0 < answer["lower_bound"] <= answer["objective"]
    types, tasks = answer["plan"]["instance_types"], answer["plan"]["tasks"]
    assert len(types) > 1
    assert types[0] in said
    assert len({len(column) for column in tasks.values()}) == 1
    assert max(tasks["instance"]) < len(types)


OFFERS_ALONE = """
name = "offers"
duration = "1m"
[task_definitions]
web = { family = "web", containerDefinitions = [
    { name = "c", image = "x", cpu = 1500, memory = 300 }] }
[[service]]
name = "web"
task_definition = "web"
desired_count = 3
[[optimize.offer]]
instance_type = "m5.large"
"""


def test_a_fleet_can_be_bought_where_there_is_none_yet(tmp_path, capsys):
    file = tmp_path / "offers.toml"
    file.write_text(OFFERS_ALONE + 'zones = ["a", "b"]\n')
    for goal in ("fleet", "instances"):
        assert main(["optimize", str(file), "--goal", goal, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["plan"]["instances"] == 3
    assert main(["optimize", str(file), "--goal", "placement"]) == 2
    assert "fleet: no instances" in capsys.readouterr().err


def test_without_a_fleet_offers_need_zones(tmp_path, capsys):
    (tmp_path / "offers.toml").write_text(OFFERS_ALONE)
    assert main(["optimize", str(tmp_path / "offers.toml")]) == 2
    assert "optimize.offer, each with its zones" in capsys.readouterr().err


def test_over_time_services_that_want_the_same_port_are_kept_apart(tmp_path, capsys):
    tables = "".join(
        f"""
[task_definitions.{name}]
family = "{name}"
[[task_definitions.{name}.containerDefinitions]]
name = "c"
image = "x"
cpu = {cpu}
memory = 300
portMappings = [{{ containerPort = 80, hostPort = 80 }}]
[[service]]
name = "{name}"
task_definition = "{name}"
desired_count = 2
"""
        for name, cpu in (("a", 100), ("b", 200))
    )
    fleet = '[[fleet]]\nname = "f"\ninstance_type = "m5.large"\ncount = 4\nzones = ["a"]\n'
    (tmp_path / "ports.toml").write_text('name = "p"\nduration = "1h"\n' + fleet + tables)

    assert main(["optimize", str(tmp_path / "ports.toml"), "--goal", "hours", "--json"]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert answer["status"] == "optimal"
    assert answer["objective"] == 4 * 96_000 * 3_600_000
    assert sorted(answer["plan"]["tasks"]["instance"]) == [0, 1, 2, 3]
    assert answer["plan"]["tasks"]["group"].count("service:a") == 2


def test_over_time_what_depends_on_other_tasks_is_refused(tmp_path, capsys):
    text = (SCENARIOS / "deploy_order.toml").read_text()
    asked = text.replace("[[service]]", '[[service]]\nconstraints = ["task:group == service:b"]', 1)
    (tmp_path / "near.toml").write_text(asked)
    assert main(["optimize", str(tmp_path / "near.toml"), "--goal", "hours"]) == 2
    assert "depends on what else is running" in capsys.readouterr().err


def test_what_is_short_is_said_with_amounts(tmp_path, capsys):
    limits = '[[optimize.offer]]\ninstance_type = "m5.large"\nlimit = 2\nzones = ["a"]\n'
    text = OFFERS_ALONE.partition("[[optimize.offer]]")[0]
    (tmp_path / "few.toml").write_text(text + limits)
    assert main(["optimize", str(tmp_path / "few.toml")]) == 0
    said = capsys.readouterr().out
    assert "fleet: infeasible" in said
    assert "limits on offers: web (web:1): 3 tasks wanted, 2 fit, were they alone" in said
    assert "limits on offers: all tasks want 4,500 CPU units, there are 4,096" in said
