"""Documents for the tests of task definitions: sound ones to change, and the demo files."""

import json

import pytest

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.placement.errors import SpecError
from stowplan.placement.taskdef.parse import parse_task_definition

DEMO = SCENARIOS / "taskdefs"
FIRST = "containerDefinitions[0]"
MAPPING = f"{FIRST}.portMappings[0]"
OTHER_MAPPING = f"{FIRST}.portMappings[1]"
CHECK = {"command": ["CMD", "true"]}
RANGE = {"containerPortRange": "100-200"}


def container(**fields):
    return {"name": "app", "image": "app:1", "memory": 128} | fields


def task(*containers, **fields):
    return {"family": "app", "containerDefinitions": list(containers or [container()])} | fields


def ports(*mappings, **fields):
    return task(container(portMappings=list(mappings)), **fields)


def after(condition, on="db", **target):
    """Container app, which depends on db, which is `target`."""
    app = container(dependsOn=[{"containerName": on, "condition": condition}])
    return task(app, container(name="db", **target))


def gpu(**requirement):
    return task(container(resourceRequirements=[{"type": "GPU"} | requirement]))


def constraint(**fields):
    return task(placementConstraints=[fields])


def circle():
    def link(name, on):
        return container(name=name, dependsOn=[{"containerName": on, "condition": "START"}])

    return task(link("a", "b"), link("b", "c"), link("c", "a"))


def problems_of(document):
    with pytest.raises(SpecError) as raised:
        parse_task_definition(document)
    return raised.value.problems


def demo(name):
    return json.loads((DEMO / f"{name}.json").read_text())
