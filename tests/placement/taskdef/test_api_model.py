"""Shapes of task definitions, case by case and against botocore's own validator."""

import copy
from functools import cache

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from stowplan.placement.errors import SpecError
from stowplan.placement.taskdef.api_model import conform
from stowplan.placement.taskdef.parse import parse_task_definition, task_resources
from tests.placement.taskdef.taskdef_builders import DEMO, FIRST, container, demo, problems_of, task


def test_a_misspelt_field_is_not_reported_as_missing_too():
    [(place, _)] = problems_of(task({"name": "a", "image": "a", "memroy": 64}))
    assert place == f"{FIRST}.memroy"


def test_what_is_broken_reads_as_given_but_unusable():
    copy_, problems = conform(
        {"family": 5, "containerDefinitions": [None, {"name": "a", "image": None}]},
        "RegisterTaskDefinitionRequest",
    )
    assert copy_ == {"family": None, "containerDefinitions": [None, {"name": "a"}]}
    assert [path for path, _ in problems] == ["family", "containerDefinitions[0]"]


@cache
def input_shape():
    model = ServiceModel(Loader().load_service_model("ecs", "service-2"))
    return model.operation_model("RegisterTaskDefinition").input_shape


def botocore_rejects(document):
    """Whether botocore refuses a document where what is null is left out."""
    return ParamValidator().validate(not_null(document), input_shape()).has_errors()


def not_null(value):
    """The value without the members of objects that are null."""
    if isinstance(value, dict):
        return {key: not_null(each) for key, each in value.items() if each is not None}
    return [not_null(each) for each in value] if isinstance(value, list) else value


@st.composite
def valid_documents(draw):
    names = draw(
        st.lists(
            st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True),
            min_size=1,
            max_size=10,
            unique=True,
        )
    )
    mode = draw(st.sampled_from(["bridge", "host", "awsvpc", None]))
    host = iter(draw(st.lists(st.integers(1, 65535), min_size=10, max_size=10, unique=True)))
    containers = []
    for i, name in enumerate(names):
        each = container(
            name=name, cpu=draw(st.integers(0, 4096)), memory=draw(st.integers(7, 9000))
        )
        if draw(st.booleans()):
            each["memoryReservation"] = draw(st.integers(6, each["memory"] - 1))
        if draw(st.booleans()):
            port = next(host)
            fixed = {} if draw(st.booleans()) else {"hostPort": port}
            each["portMappings"] = [{"containerPort": port} | fixed]
        if i and draw(st.booleans()):
            on = draw(st.sampled_from(names[:i]))
            each["dependsOn"] = [{"containerName": on, "condition": "START"}]
        containers.append(each)
    size = draw(st.sampled_from([{}, {"cpu": "40 vCPU"}, {"memory": "100 GB"}]))
    return task(*containers, **size, **({"networkMode": mode} if mode else {}))


@given(valid_documents())
def test_random_valid_documents_parse(document):
    assert not botocore_rejects(document)
    found = parse_task_definition(document)
    assert [each.name for each in found.containers] == [
        c["name"] for c in document["containerDefinitions"]
    ]
    assert all(amount > 0 for amount in task_resources(found).values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(value):
    """Every (parent, key) inside a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield value, key
        yield from places(item)


@given(st.data(), st.sampled_from([p.stem for p in sorted(DEMO.glob("*.json"))]))
def test_a_mutated_document_parses_or_raises_specerror_whenever_botocore_would(data, name):
    document = demo(name)
    for _ in range(data.draw(st.integers(1, 3))):
        parent, key = data.draw(st.sampled_from(list(places(document))))
        match data.draw(st.sampled_from(["replace", "delete", "duplicate", "add"])):
            case "replace":
                parent[key] = data.draw(JSON)
            case "delete":
                del parent[key]
            case "duplicate" if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[key]))
            case _ if isinstance(parent, dict):
                parent[data.draw(st.text(max_size=8))] = data.draw(JSON)
    before = repr(document)
    problems = ()
    try:
        task_resources(parse_task_definition(document, "file.json"))
    except SpecError as error:
        problems = error.problems
    assert problems or not botocore_rejects(document)
    assert all(place.startswith("file.json") and what for place, what in problems)
    assert repr(document) == before
