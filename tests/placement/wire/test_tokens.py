"""Client tokens: the same one twice is one call."""

import json

import pytest

from stowplan.placement.describe import State
from stowplan.placement.describe.state import of_snapshot
from stowplan.placement.messages import TOKEN_KEPT_MS
from stowplan.placement.wire.errors import WireError
from stowplan.placement.wire.front import Exchange
from stowplan.placement.wire.protocol import TARGET, read_request
from tests.placement.wire.direct import CONTAINER, Direct

ASKED = {"taskDefinition": "web", "count": 2, "clientToken": "t-1"}


@pytest.fixture
def ecs():
    ecs = Direct()
    ecs.call("RegisterTaskDefinition", family="web", containerDefinitions=[CONTAINER])
    ecs.launch()
    return ecs


def test_the_same_call_again_answers_with_the_same_tasks(ecs):
    first = ecs.call("RunTask", **ASKED)
    ecs.settle()
    again = ecs.call("RunTask", **ASKED)
    assert [t["taskArn"] for t in again["tasks"]] == [t["taskArn"] for t in first["tasks"]]
    assert {t["lastStatus"] for t in again["tasks"]} == {"RUNNING"}
    assert len(ecs.call("ListTasks")["taskArns"]) == 2


def test_what_was_not_placed_is_said_again(ecs):
    asked = {"taskDefinition": "web", "count": 10, "clientToken": "t"}
    first = ecs.call("RunTask", **asked)
    assert (len(first["tasks"]), len(first["failures"])) == (8, 2)
    assert ecs.call("RunTask", **asked)["failures"] == first["failures"]


def test_other_parameters_are_a_conflict(ecs):
    first = ecs.call("RunTask", **ASKED)
    with pytest.raises(WireError) as error:
        ecs.call("RunTask", **ASKED | {"count": 3})
    assert error.value.code == "ConflictException"
    assert error.value.more == {"resourceIds": [t["taskArn"] for t in first["tasks"]]}
    assert len(ecs.call("ListTasks")["taskArns"]) == 2


def test_two_at_the_same_time_are_one(ecs):
    request = read_request(f"{TARGET}.RunTask", json.dumps(ASKED).encode())
    both, answers = [Exchange(ecs, request), Exchange(ecs, request)], {}
    for at, exchange in enumerate(both):
        (ask,) = exchange.asks
        ask.cluster.submit(ask.call, lambda answer, at=at: answers.update({at: answer}))
    ecs.turn()
    for at, exchange in enumerate(both):
        exchange.hear([answers[at]])
    assert both[0].answer == both[1].answer
    assert len(both[0].answer["tasks"]) == 2


def test_tokens_outlive_a_snapshot_and_end_after_a_day(ecs):
    ecs.call("RunTask", **ASKED)
    state = ecs.clusters["default"].state
    kept = of_snapshot(state.snapshot())
    assert isinstance(kept, State)
    assert kept.tokens["t-1"].tasks == [0, 1]
    ecs.now_ms += TOKEN_KEPT_MS
    ecs.call("RunTask", **ASKED | {"count": 1})
    assert len(ecs.call("ListTasks")["taskArns"]) == 3


def test_a_service_is_created_once(ecs):
    asked = {"serviceName": "s", "taskDefinition": "web", "desiredCount": 1}
    first = ecs.call("CreateService", **asked, clientToken="t")["service"]
    again = ecs.call("CreateService", **asked, clientToken="t")["service"]
    assert again["createdAt"] == first["createdAt"]
    for other in ({"clientToken": "u"}, {"clientToken": "t", "desiredCount": 2}, {}):
        with pytest.raises(WireError, match="not idempotent"):
            ecs.call("CreateService", **asked | other)


def test_a_token_has_a_form(ecs):
    for token in ("x" * 65, "a b", "é"):
        with pytest.raises(WireError, match="clientToken"):
            ecs.call("RunTask", taskDefinition="web", clientToken=token)
