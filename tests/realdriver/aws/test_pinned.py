"""No test can reach a real account: every client is made in one place and calls this machine."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from stowplan.placement.driver import DriverError
from stowplan.realdriver.aws.clients import HOSTS, Access, Account
from tests.house import imports, sources

CLIENTS = "realdriver/aws/clients.py"
# Who else may import boto3, and why.
OTHERS = {
    "experiments/bench/peers.py": "moto, in process",
    "experiments/examples/own_scheduler.py": "a user's program",
}

ASK = """
import boto3
session = boto3.session.Session(region_name="us-east-1")
assert session.get_credentials() is None
keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
for name in ("ec2", "ecs", "iam", "pricing", "sts"):
    assert session.client(name, **keys).meta.endpoint_url == "http://127.0.0.1:9"
"""


def test_one_file_makes_clients():
    found = {
        file.path
        for file in sources()
        for _, name in imports(file)
        if name.split(".")[0] == "boto3" and file.package != "tests"
    }
    assert found == {CLIENTS, *OTHERS}


def test_tests_name_the_endpoint_of_every_client_that_they_make():
    unpinned = []
    for file in sources():
        if file.package != "tests":
            continue
        for node in ast.walk(file.tree):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) in ("boto3.client", "boto3.resource")
                and not {"endpoint_url", None} & {keyword.arg for keyword in node.keywords}
            ):
                unpinned.append(f"{file.path}:{node.lineno}")
    assert unpinned == []


def test_the_environment_of_all_tests_pins_every_service_and_has_no_keys():
    assert os.environ[HOSTS] == "127.0.0.1,localhost"
    assert os.environ["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert "AWS_PROFILE" not in os.environ
    subprocess.run([sys.executable, "-c", ASK], check=True)


@pytest.mark.parametrize("service", ["ec2", "ecs", "iam", "pricing", "ssm", "sqs", "autoscaling"])
def test_a_client_that_would_call_amazon_is_not_made(service, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    account = Account(Access(region="us-east-1"))
    with pytest.raises(DriverError, match="nothing is called"):
        account.client(service)
    with pytest.raises(DriverError, match="nothing is called"):
        account.call(service, "DescribeInstances" if service == "ec2" else "ListClusters")
