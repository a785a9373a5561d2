"""Requests signed by botocore are taken; altered, old, foreign and half-signed ones are not."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from stowplan.placement.wire.errors import WireError
from stowplan.realdriver.endpoint.signatures import check_signature

KEYS = {"AKIDEXAMPLE": "secret", "OTHER": "another"}
URL = "http://127.0.0.1:8080/"
BODY = b'{"cluster":"default"}'


def _signed(url=URL, body=BODY, method="POST", key=("AKIDEXAMPLE", "secret"), service="ecs"):
    request = AWSRequest(
        method,
        url,
        headers={
            "Host": "127.0.0.1:8080",
            "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListTasks",
            "Content-Type": "application/x-amz-json-1.1",
        },
        data=body,
    )
    SigV4Auth(Credentials(*key), service, "us-east-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def _check(headers, url=URL, body=BODY, method="POST", now=None, **options):
    return check_signature(
        method, url, headers, body, keys=KEYS, now=now or datetime.now(UTC), **options
    )


def test_what_botocore_signs_is_taken():
    assert _check(_signed()) == "AKIDEXAMPLE"
    assert _check(_signed(key=("OTHER", "another"))) == "OTHER"
    ws = URL + "ws?agentHash=a%2Fb&seqNum=1&clusterArn=arn%3Aaws%3Aecs"
    assert _check(_signed(ws, b"", "GET"), ws, b"", "GET") == "AKIDEXAMPLE"


def test_no_signature_or_none_of_ours():
    with pytest.raises(WireError, match="MissingAuthentication"):
        _check({"host": "127.0.0.1:8080"})
    for wrong in ("AWS4-HMAC-SHA256 Credential=x", "Bearer x", "AWS AKID:sig"):
        with pytest.raises(WireError, match="IncompleteSignature"):
            _check(_signed() | {"authorization": wrong})
    with pytest.raises(WireError, match="UnrecognizedClient"):
        _check(_signed(key=("NOBODY", "secret")))
    with pytest.raises(WireError, match="does not match"):
        _check(_signed(key=("AKIDEXAMPLE", "guess")))


def test_what_was_altered_is_refused():
    signed = _signed()
    with pytest.raises(WireError, match="does not match"):
        _check(signed, body=BODY + b" ")
    with pytest.raises(WireError, match="does not match"):
        _check(signed, url=URL + "?x=1")
    with pytest.raises(WireError, match="does not match"):
        _check(signed, method="PUT")
    target = "AmazonEC2ContainerServiceV20141113.DeleteCluster"
    with pytest.raises(WireError, match="does not match"):
        _check(signed | {"x-amz-target": target})


def test_headers_that_matter_must_be_signed():
    with pytest.raises(WireError, match="not signed: x-amz-user"):
        _check(_signed() | {"x-amz-user": "root"})
    unsigned = _signed()
    unsigned["authorization"] = unsigned["authorization"].replace("host;", "")
    with pytest.raises(WireError, match="not signed: host"):
        _check(unsigned)
    missing = _signed()
    del missing["content-type"]
    with pytest.raises(WireError, match="missing"):
        _check(missing)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_requests_dated_outside_five_minutes_are_refused(minutes):
    with pytest.raises(WireError, match="5 minutes"):
        _check(_signed(), now=datetime.now(UTC) + timedelta(minutes=minutes))
    assert _check(_signed(), now=datetime.now(UTC) + timedelta(minutes=minutes / 2))


def test_the_scope_is_that_of_the_request():
    with pytest.raises(WireError, match="scoped to service 'ecs'"):
        _check(_signed(service="ec2"))
    assert _check(_signed(service="ec2"), services=("ecs", "ec2")) == "AKIDEXAMPLE"
    other_day = _signed()
    day = other_day["x-amz-date"][:8]
    other_day["authorization"] = other_day["authorization"].replace(f"/{day}/", "/20200101/")
    with pytest.raises(WireError, match="date is not that"):
        _check(other_day)
