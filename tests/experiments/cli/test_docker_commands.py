"""What `stowplan run` refuses before it looks at any engine."""

import pytest

from stowplan.experiments.cli.main import main

SCENARIO = """
name = "bad"
duration = "1m"
[[service]]
name = "web"
task_definition = "web"
desired_count = 2
{service}
[task_definitions.web]
family = "web"
containerDefinitions = [{{ name = "c", image = "busybox:1", cpu = 128, memory = 128 }}]
[[fleet]]
name = "general"
instance_type = "m5.large"
count = 1
zones = ["a"]
{more}
"""
LOAD = """[service.autoscaling]
target = 50
min_capacity = 1
max_capacity = 3
load = [{ at = 0, value = 10 }]
"""
PROVIDERS = "".join(
    f"""[[capacity_provider]]
name = "{name}"
instance_types = ["m5.large"]
zones = ["a"]
max_size = 3
"""
    for name in ("bought", "rented")
)
LOST = '[faults]\nlost = [{ kind = "zone-loss", zone = "a", at = "10s" }]\n'


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """What `stowplan run` says of a scenario, where it must not get as far as an engine."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nothing.sock")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*words, service="", more=""):
        file = tmp_path / "s.toml"
        file.write_text(SCENARIO.format(service=service, more=more))
        assert main(["run", str(file), *words]) == 2
        return capsys.readouterr().err.replace(f"{file}: ", "").splitlines()

    return run


def test_all_that_engines_cannot_play_is_named_at_once(refused):
    places = [line.split(":")[1].strip() for line in refused(service=LOAD, more=PROVIDERS + LOST)]
    assert places == [
        "capacity_provider[0]",
        "capacity_provider[1]",
        "service[0].autoscaling",
        "faults.lost",
    ]


def test_a_run_without_faults_is_chosen_where_there_is_one(refused):
    [line] = refused(more=LOST + "none = []\n")
    assert "no engine answers" in line
    [line] = refused("--only", "lost", more=LOST + "none = []\n")
    assert "faults.lost: faults cannot be played on real engines" in line
    [line] = refused("--only", "lots")
    assert "matches no run; the runs are ecs-default__shared__none" in line
