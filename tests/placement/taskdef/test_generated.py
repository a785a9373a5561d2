"""Definitions drawn from the API's own model: no traceback, every problem with its place, and what
is accepted reads the same again. `test_taskdef_rules` holds that every problem has its rule."""

from __future__ import annotations

from functools import cache

from hypothesis import event, given
from hypothesis import strategies as st

from stowplan.placement.driver import DriverError
from stowplan.placement.errors import SpecError
from stowplan.placement.taskdef.api_model import _api_shapes
from stowplan.placement.taskdef.forms import find_definition
from stowplan.placement.taskdef.parse import host_ports, parse_task_definition, task_resources
from stowplan.realdriver.docker.placed import Placed
from stowplan.realdriver.docker.translate import create_call
from stowplan.realdriver.docker.volumes import volume_calls
from tests.placement.taskdef.taskdef_builders import container, task
from tests.placement.taskdef.test_api_model import JSON, botocore_rejects

REGISTER = "RegisterTaskDefinitionRequest"
WORDS = ("app", "db", "data", "", "80-90", "1", "256", "512", "1 vCPU", "net.core.somaxconn", "/d")


@cache
def values(shape_name):
    """Values of a shape of the model: of its types, seldom null, text from a few words."""
    shape = _api_shapes()[shape_name]
    match shape["type"]:
        case "structure":
            required = set(shape.get("required", ()))
            some = {name: each["shape"] for name, each in shape["members"].items()}
            needed = {name: values(some[name]) for name in required}
            rest = {name: inner for name, inner in some.items() if name not in required}
            return st.builds(
                lambda fixed, picked: {**fixed, **dict(picked)},
                st.fixed_dictionaries(needed),
                st.lists(st.sampled_from(sorted(rest)).flatmap(pair(rest)), max_size=3)
                if rest
                else st.just([]),
            )
        case "list":
            return st.lists(values(shape["member"]["shape"]), max_size=2)
        case "map":
            return st.dictionaries(st.sampled_from(WORDS), st.sampled_from(WORDS), max_size=2)
        case "string":
            return st.sampled_from(shape.get("enum", WORDS))
        case "boolean":
            return st.booleans()
        case _:
            return st.sampled_from([0, 1, 5, 6, 80, 256, 512, -1, 70000])


def pair(members):
    """A member with a value of its, or null."""

    def drawn(name):
        value = st.none() | values(members[name])
        return st.tuples(st.just(name), value)

    return drawn


@st.composite
def documents(draw):
    """A sound definition with some members of the model, at the task and in its containers."""
    drawn = draw(values(REGISTER))
    drawn.pop("containerDefinitions", None)
    drawn.pop("family", None)
    others = [draw(values("ContainerDefinition")) for _ in range(draw(st.integers(0, 1)))]
    first = container() | draw(values("ContainerDefinition")) | {"name": "app"}
    return task(first, *({"name": "db", "image": "db", "memory": 64} | o for o in others), **drawn)


def read(document):
    """What is read of a document, None where it is refused; every problem has place and words."""
    before = repr(document)
    try:
        found = parse_task_definition(document, "file.json")
    except SpecError as error:
        found, problems = None, error.problems
    else:
        problems = ()
    assert all(at.startswith("file.json") and what for at, what in problems)
    assert repr(document) == before
    return found


@given(documents())
def test_a_definition_of_the_model_is_refused_with_places_or_reads_the_same_again(document):
    found = read(document)
    event("refused" if found is None else "accepted")
    if found is None:
        return
    assert not botocore_rejects(document)
    again = parse_task_definition(found.document)
    assert (again, again.document) == (found, found.document)
    assert all(amount > 0 for amount in task_resources(found).values())
    host_ports(found)
    placed = Placed("c", "r", 1, "i-0", found, address="127.0.0.1")
    try:
        list(volume_calls(placed))
        for each in found.containers:
            create_call(placed, each)
    except DriverError:
        event("not on Docker")


@given(values(REGISTER))
def test_no_definition_of_the_model_makes_a_traceback(document):
    read(document)


HEADS = st.sampled_from(
    [
        *("Resources", "resource", "planned_values", "values", "resources", "services"),
        *("AWSEBDockerrunVersion", "terraform_version", "Parameters", "TaskDefinition"),
        "containerDefinitions",
    ]
)


@given(st.dictionaries(HEADS, JSON, max_size=4) | JSON, st.sampled_from(["", "a"]))
def test_no_content_makes_a_traceback(content, family):
    try:
        document = find_definition(content, "", family).document
    except SpecError as error:
        document, problems = None, error.problems
    else:
        problems = ()
    assert all(what for _, what in problems)
    read(document)
