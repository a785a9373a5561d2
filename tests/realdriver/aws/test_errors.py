"""Errors of AWS, each as one sentence that says the way out."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stowplan.placement import driver as d
from stowplan.realdriver.aws import errors as e
from stowplan.realdriver.aws.clients import Access, Account

XML = "<Response><Errors><Error><Code>{}</Code><Message>{}</Message></Error></Errors></Response>"
DENIED = (
    "You are not authorized to perform this operation. User: arn:aws:iam::1:user/u is not "
    "authorized to perform: iam:PassRole on resource: r. Encoded authorization failure "
    "message: XYZZY"
)


class Endpoint:
    """Answers requests by a list of (status, body); the last one for ever."""

    def __init__(self):
        self.answers, self.asked = [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                outer.asked.append((dict(self.headers), self.rfile.read(length).decode()))
                left = outer.answers
                status, body = left.pop(0) if len(left) > 1 else left[0]
                if status is None:  # the answer is lost
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *words):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()


def account(endpoint, **more):
    said = []
    where = {"ec2": endpoint.url, "ecs": endpoint.url}
    made = Account(Access(region="eu-west-1", endpoints=where, **more), said.append)
    made.said = said
    return made


@pytest.mark.parametrize(
    ("code", "text", "kind", "words"),
    [
        ("UnauthorizedOperation", DENIED, e.NotAllowed, "no right to iam:PassRole: add it"),
        ("UnauthorizedOperation", "No.", e.NotAllowed, "no right to ec2:RunInstances: add it"),
        ("VPCIdNotSpecified", "No default VPC", d.DriverError, "no default VPC in eu-west-1"),
        ("VcpuLimitExceeded", "Too many.", e.QuotaExceeded, "Service Quotas"),
        ("InvalidAMIID.NotFound", "No ami-1", d.NotFound, "AWS recommends in eu-west-1"),
        ("InsufficientInstanceCapacity", "None", d.InsufficientCapacity, "RunInstances: None"),
        ("DryRunOperation", "It would.", e.WouldSucceed, "It would"),
        ("InvalidParameterValue", "Bad.", e.Refused, "ec2 RunInstances: Bad"),
        ("InternalError", "Oops.", e.Unanswered, "Oops"),
    ],
)
def test_each_kind(endpoint, code, text, kind, words):
    endpoint.answers = [(400, XML.format(code, text))]
    with pytest.raises(kind, match=words) as raised:
        account(endpoint).call(
            "ec2", "RunInstances", once=True, ImageId="ami-1", MinCount=1, MaxCount=1
        )
    assert "XYZZY" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(endpoint.asked) == 1


def test_a_wrong_call_is_never_sent(endpoint):
    with pytest.raises(e.Refused, match="MinCount"):
        account(endpoint).call("ec2", "RunInstances", ImageId="ami-1")
    assert endpoint.asked == []


def test_a_lost_answer_is_not_asked_for_again_where_that_could_do_it_twice(endpoint):
    endpoint.answers = [(None, "")]
    with pytest.raises(e.Unanswered):
        account(endpoint).call(
            "ecs", "StartTask", once=True, taskDefinition="a", containerInstances=["b"]
        )
    assert len(endpoint.asked) == 1


def test_throttling_is_waited_out_within_the_budget(endpoint):
    slow = (400, '{"__type": "ThrottlingException", "message": "Rate exceeded"}')
    endpoint.answers = [slow, slow, (200, '{"clusterArns": ["c"]}')]
    assert account(endpoint).call("ecs", "ListClusters")["clusterArns"] == ["c"]
    endpoint.answers = [slow]
    with pytest.raises(d.Throttled, match="ListClusters"):
        account(endpoint, throttled_s=0).call("ecs", "ListClusters", once=True)


def test_expired_credentials_are_waited_for(endpoint, monkeypatch):
    expired = (400, '{"__type": "ExpiredTokenException", "message": "expired"}')
    endpoint.answers = [expired, expired, (200, '{"clusterArns": []}')]
    monkeypatch.setattr("stowplan.realdriver.aws.clients._ASK_AGAIN_S", 0.01)
    ours = account(endpoint)
    original = ours._closed.wait

    def wait(seconds):  # somebody logs in meanwhile
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fresh")
        return original(seconds)

    monkeypatch.setattr(ours._closed, "wait", wait)
    assert ours.call("ecs", "ListClusters") is not None
    keys = [headers["Authorization"].split("Credential=")[1][:5] for headers, _ in endpoint.asked]
    assert keys[-1] == "fresh"
    assert len(ours.said) == 1
    assert "waiting for new ones" in ours.said[0]


def test_expired_credentials_end_it_once_the_patience_is_over(endpoint):
    endpoint.answers = [(400, '{"__type": "ExpiredTokenException", "message": "expired"}')]
    with pytest.raises(e.NoCredentials, match="log in again"):
        account(endpoint, credentials_s=0).call("ecs", "ListClusters")


def test_pages_are_read_to_their_end(endpoint):
    endpoint.answers = [
        (200, '{"clusterArns": ["a"], "nextToken": "t"}'),
        (200, '{"clusterArns": ["b"]}'),
    ]
    assert list(account(endpoint).pages("ecs", "ListClusters", "clusterArns")) == ["a", "b"]
    assert '"nextToken": "t"' in endpoint.asked[1][1]


def test_no_region_and_no_credentials_are_said(monkeypatch, endpoint):
    with pytest.raises(d.DriverError, match="AWS_REGION"):
        Account(Access())
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(e.NoCredentials, match="aws configure"):
        account(endpoint, credentials_s=0).call("ecs", "ListClusters")
