"""Instance metadata of a machine that is no EC2 instance: what the agent asks for, in its order."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

from stowplan.realdriver.agents.line import Key
from stowplan.realdriver.agents.metadata import ROLE, InstanceFacts, make_metadata_app

FACTS = InstanceFacts("i-0123456789abcdef0", zone="us-east-1b", key=Key("AKID", "secret"))
TTL, TOKEN = "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"


class Time:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def imds(time):
    with TestClient(make_metadata_app(FACTS, time)) as client:
        yield client


def test_what_the_agent_asks_is_answered(imds):
    token = imds.put("/latest/api/token", headers={TTL: "21600"})
    assert (token.status_code, token.headers[TTL]) == (200, "21600")
    imds.headers[TOKEN] = token.text

    def get(path):
        return imds.get(f"/latest/{path}")

    assert get("user-data").status_code == 404
    assert get("meta-data/instance-id").text == FACTS.instance_id
    mac = get("meta-data/mac").text
    assert len(mac.split(":")) == 6
    for name in ("vpc-id", "subnet-id"):
        assert get(f"meta-data/network/interfaces/macs/{mac}/{name}").status_code == 200
    assert get("meta-data/placement/availability-zone-id").text == "use1-az2"
    assert get("meta-data/placement/availability-zone").text == "us-east-1b"
    assert get("meta-data/outpost-arn").status_code == 404
    document = json.loads(get("dynamic/instance-identity/document").text)
    assert document["instanceId"] == FACTS.instance_id
    assert document["availabilityZone"] == "us-east-1b"
    assert get("dynamic/instance-identity/signature").status_code == 200
    assert get("meta-data/iam/security-credentials/").text == ROLE
    keys = get(f"meta-data/iam/security-credentials/{ROLE}").json()
    assert (keys["AccessKeyId"], keys["SecretAccessKey"]) == ("AKID", "secret")


def test_without_a_token_that_holds_nothing_is_told(imds, time):
    path = "/latest/meta-data/instance-id"
    assert imds.get(path).status_code == 401
    for wrong in ("", "0", "x", "21601"):
        assert imds.put("/latest/api/token", headers={TTL: wrong}).status_code == 400
    token = imds.put("/latest/api/token", headers={TTL: "60"}).text
    assert imds.get(path, headers={TOKEN: token}).status_code == 200
    time.now = 61.0
    assert imds.get(path, headers={TOKEN: token}).status_code == 401


def test_boto3_finds_the_role_of_the_instance(tmp_path, monkeypatch):
    """botocore's own client of the metadata service, over a socket."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)  # it is ours that is asked
    from botocore.utils import InstanceMetadataFetcher

    from tests.realdriver.agents.procs import Process, free_port
    from tests.realdriver.agents.rig import until

    keys, port = tmp_path / "keys", free_port()
    keys.write_text("AKIDADMIN x\nAKIDAGENT secret agent\n")
    serve = Process(
        *("serve", "--metadata", "i-1", "--port", str(port), "--keys", str(keys)),
        log=tmp_path / "log",
    ).start()
    try:
        until(lambda: "metadata of i-1 at" in serve.said(), 60)
        found = InstanceMetadataFetcher(base_url=f"http://127.0.0.1:{port}/")
        credentials = found.retrieve_iam_role_credentials()
        assert credentials["access_key"] == "AKIDAGENT"
    finally:
        assert serve.end() == 0
