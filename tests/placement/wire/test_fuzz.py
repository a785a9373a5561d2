"""Requests drawn from ECS's API model: each is answered, or refused and has changed nothing."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stowplan.placement.taskdef.api_model import operations, shape
from stowplan.placement.wire.errors import WireError
from stowplan.placement.wire.front import CARRIED_OUT, REFUSED, Exchange
from stowplan.placement.wire.protocol import TARGET, read_request
from tests.placement.wire.direct import CONTAINER, Direct, answer_problems

DEPTH_MOST = 5
WORDS = st.sampled_from(["default", "web", "web:1", "app", "s", "cp", "nginx", "", "i-1", "0" * 32])
TEXTS = st.one_of(WORDS, st.text(max_size=8))
NUMBERS = st.one_of(st.sampled_from([0, 1, 2, 10, 100]), st.integers(-(2**31), 2**31 - 1))
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def of_shape(name, depth=0):
    """Values as a shape of the model has them, and now and then others."""
    model = shape(name)
    kind = model["type"]
    if kind == "structure":
        members = model.get("members", {})
        if depth > DEPTH_MOST:
            return st.just({})
        must = {n: of_shape(members[n]["shape"], depth + 1) for n in model.get("required", ())}
        may = {
            n: of_shape(each["shape"], depth + 1) for n, each in members.items() if n not in must
        }
        return st.fixed_dictionaries(must, optional=may)
    if kind == "list":
        return st.lists(of_shape(model["member"]["shape"], depth + 1), max_size=2)
    if kind == "map":
        return st.dictionaries(TEXTS, of_shape(model["value"]["shape"], depth + 1), max_size=2)
    if "enum" in model:
        return st.sampled_from(model["enum"])
    if kind == "boolean":
        return st.booleans()
    return NUMBERS if kind in ("integer", "long", "double", "timestamp") else TEXTS


@st.composite
def requests(draw):
    """(operation, parameters), mostly as the model says."""
    operation = draw(st.sampled_from(sorted({*CARRIED_OUT, *REFUSED})))
    if draw(st.integers(0, 9)) == 0:
        return operation, draw(ANYTHING)
    return operation, draw(of_shape(operations()[operation]))


def begun():
    ecs = Direct()
    ecs.call("RegisterTaskDefinition", family="web", containerDefinitions=[CONTAINER])
    ecs.launch(2)
    ecs.call("CreateService", serviceName="s", taskDefinition="web", desiredCount=1)
    ecs.settle()
    return ecs


def tried(ecs, operation, params):
    """Make a request; what it does must be one of the two."""
    before = seen(ecs)
    try:
        body = json.dumps(params).encode()
        exchange = Exchange(ecs, read_request(f"{TARGET}.{operation}", body))
        answer = ecs.followed(exchange)
    except WireError as error:
        assert error.status < 500, error  # noqa: PT017 - either is right
        assert seen(ecs) == before, f"{operation} was refused, and changed something"
    else:
        problems = answer_problems(operation, json.loads(json.dumps(answer)))
        assert problems == [], f"{operation} answers what the API model does not know"


def seen(ecs):
    """All that there is, in the form of a snapshot, rounds and what is said apart."""
    every = {"": ecs.registry, **ecs.clusters}
    return {name: of(cluster.state) for name, cluster in every.items()}


def of(state):
    """One cluster."""
    rounds, now_ms, said = state.rounds, state.now_ms, state.said
    state.rounds, state.now_ms, state.said = 0, 0, []
    try:
        return state.snapshot()
    finally:
        state.rounds, state.now_ms, state.said = rounds, now_ms, said


def fuzz(examples):
    """Hypothesis looks for a run of requests that breaks it."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(requests(), min_size=1, max_size=10))
    def run(calls):
        ecs = begun()
        for operation, params in calls:
            tried(ecs, operation, params)

    run()


def test_requests_are_answered_or_refused():
    fuzz(60)


@pytest.mark.long
def test_a_hundred_thousand_requests_are_answered_or_refused():
    fuzz(20_000)
