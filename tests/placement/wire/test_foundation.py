"""Requests, ids and pages of ECS's wire format."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stowplan.placement.wire.arns import Account, Ids, parse_arn
from stowplan.placement.wire.errors import WireError
from stowplan.placement.wire.pages import page
from stowplan.placement.wire.protocol import TARGET, read_request

IDS = Ids(Account(), "default", "a world")
KINDS = st.sampled_from(["task", "container-instance"])


def _read(operation, document):
    return read_request(f"{TARGET}.{operation}", json.dumps(document).encode())


@given(KINDS, st.integers(0, 2**32 - 1))
def test_an_id_leads_back_to_its_number(kind, number):
    arn = IDS.task(number) if kind == "task" else IDS.instance(number)
    found = parse_arn(arn)
    assert found.kind == kind
    assert found.names[0] == "default"
    assert len(found.names[1]) == 32
    assert IDS.number(kind, arn) == IDS.number(kind, found.names[1]) == number


def test_ids_of_another_world_cluster_or_kind_are_not_ours():
    task = parse_arn(IDS.task(7)).names[1]
    assert IDS.number("container-instance", task) is None
    assert Ids(Account(), "default", "another").number("task", task) is None
    assert Ids(Account(), "other", "a world").number("task", task) is None
    assert IDS.number("task", "0" * 32) is None
    assert IDS.number("task", "x" * 32) is None
    with pytest.raises(WireError, match="different cluster"):
        Ids(Account(), "other", "a world").number("task", IDS.task(7))
    with pytest.raises(WireError, match="Invalid identifier"):
        IDS.number("task", IDS.instance(7))


def test_ids_of_neighbours_share_nothing_but_their_length():
    ids = {parse_arn(IDS.task(n)).names[1][:24] for n in range(1000)}
    assert len(ids) == 1000


def test_a_request_is_read_as_the_model_says():
    request = _read("RunTask", {"taskDefinition": "web", "count": 2, "group": None, "new": [1]})
    assert (request.operation, request.params) == ("RunTask", {"taskDefinition": "web", "count": 2})
    assert read_request(f"{TARGET}.ListClusters", b"").params == {}


@pytest.mark.parametrize(
    ("operation", "document", "code", "says"),
    [
        ("RunTask", {"count": 1}, "InvalidParameterException", "taskDefinition: missing"),
        ("RunTask", {"taskDefinition": 7}, "SerializationException", "taskDefinition: expected"),
        ("RunTask", [], "SerializationException", "not a JSON object"),
        (
            "RunTask",
            {"taskDefinition": "a", "launchType": "MOON"},
            "InvalidParameterException",
            "launch type should be one of",
        ),
        ("FlyTask", {}, "UnknownOperationException", "FlyTask"),
    ],
)
def test_what_breaks_the_model_is_refused_by_its_name(operation, document, code, says):
    with pytest.raises(WireError, match=says) as refused:
        _read(operation, document)
    assert refused.value.code == code
    assert refused.value.status == 400


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 5000, b'{"a":1}{'])
def test_what_is_no_json_is_refused(body):
    with pytest.raises(WireError) as refused:
        read_request(f"{TARGET}.RunTask", body)
    assert refused.value.code == "SerializationException"


@given(st.lists(st.integers(0, 300), unique=True).map(sorted), st.integers(1, 100))
def test_pages_hold_every_item_once(items, size):
    seen, token = [], None
    while True:
        params = {"cluster": "default", "maxResults": size} | (
            {"nextToken": token} if token else {}
        )
        shown, token = page(items, params, "ListTasks")
        seen += shown
        if token is None:
            break
    assert seen == items


def test_a_page_goes_on_after_its_last_item_whatever_came_or_went():
    shown, token = page(["a", "c", "e"], {"maxResults": 2}, "ListServices")
    assert shown == ["a", "c"]
    assert page(["b", "d", "f"], {"maxResults": 2, "nextToken": token}, "ListServices")[0] == [
        "d",
        "f",
    ]


@pytest.mark.parametrize("token", ["", "x", "W10=", "WyJhIiwgMV0="])
def test_a_token_of_another_listing_is_refused(token):
    _, of_tasks = page([1, 2], {"maxResults": 1}, "ListTasks")
    for wrong in filter(None, (token, of_tasks)):
        with pytest.raises(WireError, match="Invalid token"):
            page([1, 2], {"nextToken": wrong}, "ListServices")
    with pytest.raises(WireError, match="between 1 and 100"):
        page([1], {"maxResults": 101}, "ListTasks")
