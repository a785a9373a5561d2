"""`run-task`, `create-service`, `delete-service` on a cluster file; overrides of workloads."""

from __future__ import annotations

import json
import tomllib

import pandas as pd
import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.workloads.arrivals import arrivals
from stowplan.placement.errors import SpecError
from stowplan.placement.messages import RunTask
from stowplan.placement.scheduler.launches import Launches

WEB = {"family": "web", "containerDefinitions": [{"name": "c", "image": "i", "memory": 64}]}
SIZES = {
    "cpu": "128",
    "containerOverrides": [
        {
            "name": "c",
            "command": ["sleep", "1"],
            "environment": [{"name": "A", "value": "b"}],
            "memory": 500,
            "resourceRequirements": [{"type": "GPU", "value": "2"}],
            "environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::x/y.env"}],
        }
    ],
}


@pytest.fixture
def cluster(tmp_path, capsys):
    """A cluster file with a definition and instances."""
    file = tmp_path / "c.toml"
    (tmp_path / "web.json").write_text(json.dumps(WEB))
    assert main(["create-cluster", str(file)]) == 0
    assert main(["register-task-definition", str(file), str(tmp_path / "web.json")]) == 0
    launch = ["g4dn.12xlarge", "--count", "2", "--zones", "a"]
    assert main(["launch-instances", str(file), *launch]) == 0
    capsys.readouterr()
    return file


def refused(capsys, *words):
    assert main(list(words)) == 2
    return capsys.readouterr().err


def calls(file):
    loaded = load_scenario(file)
    run = next(iter(loaded.scenario.runs()))
    return [each for each in arrivals(loaded.scenario, run) if isinstance(each.call, RunTask)]


def test_services_come_and_go_in_a_file(cluster, capsys):
    file = str(cluster)
    packed = ("--strategy", "binpack:memory", "--constraint", "distinctInstance")
    assert main(["create-service", file, "web", "--count", "2", *packed]) == 0
    assert main(["create-service", file, "web", "--daemon", "--name", "agent"]) == 0
    services = tomllib.loads(cluster.read_text())["service"]
    assert [each["name"] for each in services] == ["web", "agent"]
    assert services[0]["strategy"] == ["binpack:memory"]
    assert services[1]["scheduling_strategy"] == "DAEMON"
    load_scenario(cluster)
    capsys.readouterr()
    assert "exists already" in refused(capsys, "create-service", file, "web", "--count", "2")
    said = refused(capsys, "create-service", file, "no", "--name", "web")
    for part in ("--count", "unknown task definition 'no'", "exists already"):
        assert part in said
    assert "has a count of 2" in refused(capsys, "delete-service", file, "web")
    assert main(["delete-service", file, "web", "--force"]) == 0
    assert main(["delete-service", file, "agent"]) == 0
    assert "unknown service 'web'" in refused(capsys, "delete-service", file, "web")
    assert "or --cluster and a name" in refused(
        capsys, "delete-service", file, "w", "--cluster", "c"
    )
    assert "or --cluster and a name" in refused(capsys, "delete-service", "web")


def test_tasks_with_overrides_in_a_file(cluster, capsys):
    words = ["run-task", str(cluster), "web", "--count", "3", "--at", "10s", "--run", "5s"]
    assert main([*words, "--overrides", json.dumps(SIZES)]) == 0
    assert main(["run-task", str(cluster), "web"]) == 0
    made = calls(cluster)
    assert [(each.at_ms, each.run_ms) for each in made] == [(0, 60_000)] + [(10_000, 5_000)] * 3
    call = made[1].call
    (override,) = call.overrides
    assert (override.command, override.environment) == (("sleep", "1"), (("A", "b"),))
    assert override.environment_files == (("s3", "arn:aws:s3:::x/y.env"),)
    launches = Launches()
    launches.register(WEB)
    asks = dict(launches.of_run_task(call).kind.resources)
    assert asks == {"CPU": 128, "MEMORY": 500, "GPU": 2}
    capsys.readouterr()
    wrong = json.dumps({"cpu": 1, "containerOverrides": [{"memory": 4}]})
    said = refused(capsys, *words, "--overrides", wrong)
    assert "--overrides cpu: expected a string" in said
    assert "no JSON" in refused(capsys, *words, "--overrides", "{")


def test_overrides_that_no_container_has_are_named(cluster):
    text = cluster.read_text()
    table = '[[workload]]\nname = "w"\ntask_definition = "web"\nkind = "burst"\n'
    table += 'options = { count = 1, run = { mean = "1s" } }\n'
    cluster.write_text(text + table + 'overrides = { containerOverrides = [{ name = "x" }] }\n')
    with pytest.raises(SpecError, match=r"workload w\.overrides"):
        load_scenario(cluster)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_of_jobs_has_overrides_by_row(cluster, kind):
    file = cluster.with_name(f"jobs.{kind}")
    rows = [
        {"at": 5.5, "run": 2.0, "count": 2, "overrides": json.dumps(SIZES)},
        {"at": 1.0, "run": None, "count": 1, "overrides": None},
    ]
    frame = pd.DataFrame(rows)
    (frame.to_csv if kind == "csv" else frame.to_parquet)(file, index=False)
    table = '[[workload]]\nname = "w"\ntask_definition = "web"\nkind = "table"\n'
    own = 'overrides = { memory = "99" }\n'
    cluster.write_text(cluster.read_text() + table + f'file = "{file.name}"\n' + own)
    first, second = calls(cluster)
    assert (first.at_ms, first.run_ms, first.call.memory) == (1_000, None, 99)
    assert (second.at_ms, second.run_ms, second.call.count) == (5_500, 2_000, 2)
    assert (first.call.cpu, second.call.cpu, second.call.memory) == (None, 128, 99)
    assert second.call.overrides[0].memory == 500


def test_rows_that_make_no_sense_are_all_named(cluster):
    file = cluster.with_name("jobs.csv")
    file.write_text('at,count,overrides\n1,0,\n2,1,{\n3,1,"{""cpu"": 1}"\n')
    table = '[[workload]]\nname = "w"\ntask_definition = "web"\nkind = "table"\n'
    cluster.write_text(cluster.read_text() + table + f'file = "{file.name}"\n')
    with pytest.raises(SpecError) as refused_:
        load_scenario(cluster)
    for part in ("jobs.csv:2", "jobs.csv:3", "jobs.csv:4: overrides: cpu"):
        assert part in str(refused_.value)
