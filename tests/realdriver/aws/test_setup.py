"""`stowplan setup-ec2` against moto's server over HTTP."""

from __future__ import annotations

import json
import urllib.request

import pytest
from moto.server import ThreadedMotoServer

from stowplan.experiments.cli.main import main
from stowplan.realdriver.aws import setup
from tests.realdriver.aws.served import KEYS, client

SCENARIO = """
name = "ports"
duration = "1m"
[[fleet]]
name = "all"
instance_type = "m5.large"
count = 1
zones = ["us-east-1a"]
[task_definitions.web]
family = "web"
containerDefinitions = [{ name = "app", image = "web", cpu = 512, memory = 1024, portMappings = [
  { containerPort = 80, hostPort = 8080 }, { containerPort = 53, hostPort = 53, protocol = "udp" },
  { containerPort = 81 }] }]
[[service]]
name = "web"
task_definition = "web"
desired_count = 1
"""


@pytest.fixture
def url(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    made = "http://{}:{}".format(*server.get_host_and_port())
    yield made
    urllib.request.urlopen(urllib.request.Request(f"{made}/moto-api/reset", method="POST"))
    server.stop()


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "ports.toml"
    path.write_text(SCENARIO)
    return str(path)


def command(url, *more):
    return main(["setup-ec2", "--name", "mine", "--endpoint-url", url, *more])


def group_of(url):
    filters = [{"Name": "group-name", "Values": ["stowplan-mine"]}]
    return client(url, "ec2").describe_security_groups(Filters=filters)["SecurityGroups"]


def test_what_lacks_is_listed_made_and_removed(url, scenario, capsys, recorded):
    assert command(url, scenario) == 0
    said = capsys.readouterr().out
    assert said.count("is not there") == 4
    assert "with --yes 4 of them are made" in said
    assert group_of(url) == []

    assert command(url, scenario, "--yes") == 0
    iam = client(url, "iam")
    (role,) = iam.get_instance_profile(InstanceProfileName="stowplan-mine")["InstanceProfile"][
        "Roles"
    ]
    assert role["RoleName"] == "stowplan-mine"
    tags = iam.list_role_tags(RoleName="stowplan-mine")["Tags"]
    assert tags == [{"Key": "stowplan:setup", "Value": "mine"}]
    policy = iam.get_role_policy(RoleName="stowplan-mine", PolicyName="stowplan-agent")
    assert "ecs:Poll" in policy["PolicyDocument"]["Statement"][0]["Action"]
    (group,) = group_of(url)
    (vpc,) = [v for v in client(url, "ec2").describe_vpcs()["Vpcs"] if v["IsDefault"]]
    rules = {
        (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], each["CidrIp"])
        for rule in group["IpPermissions"]
        for each in rule["IpRanges"]
    }
    assert rules == {("tcp", 8080, 8080, vpc["CidrBlock"]), ("udp", 53, 53, vpc["CidrBlock"])}
    (logs,) = client(url, "logs").describe_log_groups()["logGroups"]
    assert (logs["logGroupName"], logs["retentionInDays"]) == ("/stowplan/mine", 7)

    # Once more, there is nothing left to make; and what nothing declares any more is shut.
    capsys.readouterr()
    assert command(url, scenario, "--yes") == 0
    assert "made " not in capsys.readouterr().out
    assert command(url, "--yes") == 0
    assert group_of(url)[0]["IpPermissions"] == []

    assert command(url, "--remove") == 0
    assert "with --yes 4 of them are removed" in capsys.readouterr().out
    assert command(url, "--remove", "--yes") == 0
    assert group_of(url) == []
    assert iam.list_roles()["Roles"] == []
    assert iam.list_instance_profiles()["InstanceProfiles"] == []
    assert client(url, "logs").describe_log_groups()["logGroups"] == []

    # All of that is what the policy allows, beside what no call is named after.
    capsys.readouterr()
    assert main(["iam-policy", "setup-ec2"]) == 0
    statements = json.loads(capsys.readouterr().out)["Statement"]
    allowed = {action for each in statements for action in each["Action"]}
    implied = {right.action for right in setup.RIGHTS if right.implied}
    assert {action.replace("cloudwatch-logs:", "logs:") for action in recorded} == allowed - implied


def test_what_others_made_is_left_alone(url, capsys):
    client(url, "iam").create_role(RoleName="stowplan-mine", AssumeRolePolicyDocument="{}")
    for more in (["--yes"], ["--remove", "--yes"]):
        assert command(url, *more) == 2
        assert "it is not ours" in capsys.readouterr().err
    assert group_of(url) == []
    assert len(client(url, "iam").list_roles()["Roles"]) == 1


def test_an_account_without_a_default_vpc(url, capsys):
    ec2 = client(url, "ec2")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    for each in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=each["SubnetId"])
    ec2.delete_vpc(VpcId=vpc["VpcId"])
    assert command(url, "--yes") == 2
    assert "no default VPC in us-east-1: name one with --vpc" in capsys.readouterr().err
    made = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    assert command(url, "--yes", "--vpc", made) == 0
    assert group_of(url)[0]["VpcId"] == made


@pytest.mark.parametrize("wrong", [["--name", "a b"], ["--admit", "nowhere"]])
def test_what_makes_no_sense(url, wrong, capsys):
    assert command(url, *wrong) == 2
    assert wrong[0] in capsys.readouterr().err
