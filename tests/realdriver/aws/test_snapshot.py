"""`stowplan snapshot` against our own endpoint for ECS, and moto's server for all else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from moto.server import ThreadedMotoServer

from stowplan.experiments.cli.main import main
from stowplan.experiments.loading.load import load_scenario
from stowplan.realdriver.aws import cluster_calls
from tests.experiments.cli.test_serve import served
from tests.realdriver.aws.front import Front
from tests.realdriver.aws.served import KEYS, client, placed, scenario_of

GROUP = """
[[capacity_provider]]
name = "servers"
instance_types = ["m5.large"]
zones = ["us-east-1a"]
max_size = 9
desired_size = 1
[[capacity_provider.instances]]
ec2_instance_id = "i-0000000000000aaaa"
instance_type = "m5.large"
zone = "us-east-1a"
"""


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    scenario = tmp_path_factory.mktemp("scenario") / "cluster.toml"
    scenario.write_text(scenario_of(105, per_instance=2, jobs=3, more=GROUP))
    with served(str(scenario)) as url:
        while sum(placed(url).values()) < 213:
            time.sleep(0.1)
        yield url


@pytest.fixture
def front(endpoint, moto, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    made = Front(endpoint, moto)
    yield made
    made.close()


def snapshot(url, out, *more):
    return main(
        ["snapshot", "--cluster", "default", "--out", str(out), "--endpoint-url", url, *more]
    )


def test_a_cluster_becomes_the_scenario_that_it_was_made_of(front, moto, tmp_path, capsys):
    (provider,) = client(front.url).describe_capacity_providers(capacityProviders=["servers"])[
        "capacityProviders"
    ]
    group = provider["autoScalingGroupProvider"]["autoScalingGroupArn"].rpartition("/")[2]
    scaling = client(moto, "autoscaling")
    scaling.create_launch_configuration(
        LaunchConfigurationName="any", ImageId="ami-12c6146b", InstanceType="m5.large"
    )
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=group, LaunchConfigurationName="any", MinSize=0, MaxSize=9,
        AvailabilityZones=["us-east-1a"],
    )  # fmt: skip
    out = tmp_path / "snapshot"
    assert snapshot(front.url, out) == 0
    scenario = load_scenario(out / "scenario.toml").scenario
    assert sum(each.count for each in scenario.fleet) == 105
    (service,), (provider,) = scenario.service, scenario.capacity_provider
    assert (service.name, service.desired_count) == ("web", 210)
    assert service.minimum_healthy_percent == 50
    assert [each.type for each in service.constraints] == ["memberOf"]
    assert (provider.name, provider.max_size) == ("servers", 9)
    there = Counter()
    for table in scenario.running:
        there |= {(table.instance, f"service:{n}"): count for n, count in table.services.items()}
        there |= {(table.instance, f"family:{n}"): count for n, count in table.standalone.items()}
    assert there == placed(front.url)
    # Lists come in pages, and what they name is described by the hundred.
    assert Counter(front.actions)["DescribeTasks"] - 3 == 3
    assert Counter(front.actions)["DescribeContainerInstances"] - 2 == 2
    everything = "".join(path.read_text() for path in out.rglob("*") if path.is_file())
    assert "PASSWORD" in everything
    assert "hunter2" not in everything
    assert "/prod/key" not in everything
    # The answers are kept: `import` reads the same again.
    capsys.readouterr()
    again = tmp_path / "again.toml"
    assert main(["import", str(out / "answers"), "--out", str(again)]) == 0
    said = (out / "scenario.toml").read_text().replace("scenario-taskdefs", "again-taskdefs")
    assert again.read_text() == said
    assert main(["simulate", str(again), "--out", str(tmp_path / "results")]) == 0


def test_values_are_kept_where_they_are_asked_for(front, tmp_path):
    assert snapshot(front.url, tmp_path / "out", "--with-environment") == 0
    assert "hunter2" in (tmp_path / "out" / "scenario-taskdefs" / "web.json").read_text()
    # And a snapshot takes the place of one that was there.
    assert snapshot(front.url, tmp_path / "out") == 0
    assert "hunter2" not in (tmp_path / "out" / "scenario-taskdefs" / "web.json").read_text()


def test_every_right_that_is_missing_is_named_and_nothing_written(front, tmp_path, capsys):
    front.denied = {"ListTasks", "DescribeTasks", "DescribeServices", "DescribeInstances"}
    assert snapshot(front.url, tmp_path / "out") == 2
    said = capsys.readouterr().err
    for right in ("ecs:ListTasks", "ecs:DescribeTasks", "ecs:DescribeServices"):
        assert right in said
    assert "ec2:DescribeInstances" in said
    assert "ecs:ListServices" not in said
    assert "DescribeClusters" not in said
    assert list(tmp_path.iterdir()) == []


def test_all_rights_are_named_where_there_are_none(front, tmp_path, capsys):
    rights = [each.action for each in cluster_calls.RIGHTS]
    front.denied = {right.partition(":")[2] for right in rights}
    assert snapshot(front.url, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert [right for right in rights if right not in said] == []


def test_a_cluster_that_is_not_there(front, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out"), "--endpoint-url", front.url]
    assert main(["snapshot", "--cluster", "nowhere", *out]) == 2
    assert "no cluster 'nowhere' in us-east-1" in capsys.readouterr().err


def test_throttled_calls_are_made_again(front, tmp_path):
    front.throttled = {"DescribeTasks": 2, "ListServices": 1}
    assert snapshot(front.url, tmp_path / "out") == 0


def test_services_that_an_endpoint_lacks_are_passed_over(endpoint, front, tmp_path, capsys):
    assert snapshot(endpoint, tmp_path / "out") == 0
    assert "has no EC2 instances" in capsys.readouterr().err


def test_nothing_is_left_of_one_that_is_interrupted(front, tmp_path):
    reached = []
    front.hook = lambda action: (reached.append(action), time.sleep(0.4))
    command = [sys.executable, "-m", "stowplan", "snapshot", "--cluster", "default"]
    command += ["--out", str(tmp_path / "out"), "--endpoint-url", front.url]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        while "DescribeTasks" not in reached:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing was written" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_policy_allows_what_a_snapshot_calls_and_no_more(front, tmp_path, capsys, recorded):
    assert snapshot(front.url, tmp_path / "out") == 0
    capsys.readouterr()
    assert main(["iam-policy", "snapshot"]) == 0
    statements = json.loads(capsys.readouterr().out)["Statement"]
    allowed = {action for each in statements for action in each["Action"]}
    # Nothing of the cluster stands behind a load balancer, so no target group is asked for.
    assert recorded == allowed - {"elasticloadbalancing:DescribeTargetGroups"}
