"""Attributes that a task requires: by name alone, or with a value."""

import numpy as np
import pytest

from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.constraints import has_required
from stowplan.placement.engine.engine import UNPLACED, Engine
from stowplan.placement.model import TaskKind
from stowplan.placement.reasons import ATTRIBUTE, Failure
from stowplan.placement.taskdef.parse import parse_task_definition

ARCHITECTURE = "ecs.cpu-architecture"
# One instance each: an x86_64, an arm64, one that says nothing, one with an empty value.
FLEET = ({ARCHITECTURE: "x86_64"}, {ARCHITECTURE: "arm64"}, {}, {ARCHITECTURE: ""})


def engine():
    cluster = Cluster()
    for row, attributes in enumerate(FLEET):
        resources = {"CPU": 4096, "MEMORY": 4096}
        cluster.register(row, resources, instance_strings(f"i-{row}", attributes))
    return Engine(cluster, np.random.default_rng(0))


def kind(*required):
    return TaskKind((("CPU", 1), ("MEMORY", 1)), "family:a", required_attributes=required)


@pytest.mark.parametrize(
    ("required", "rows"),
    [
        ((), [0, 1, 2, 3]),
        ((ARCHITECTURE,), [0, 1, 3]),
        ((f"{ARCHITECTURE}=arm64",), [1]),
        ((f"{ARCHITECTURE}=x86_64",), [0]),
        ((f"{ARCHITECTURE}=",), [3]),
        ((f"{ARCHITECTURE}=mips",), []),
        ((ARCHITECTURE, f"{ARCHITECTURE}=arm64"), [1]),
        ((f"{ARCHITECTURE}=x86_64", f"{ARCHITECTURE}=arm64"), []),
        (("nobody.has-it",), []),
        (("nobody.has-it=1",), []),
        ((f"{ARCHITECTURE}=arm64", "nobody.has-it"), []),
    ],
)
def test_only_instances_with_every_required_attribute_are_allowed(required, rows):
    assert np.flatnonzero(engine().allowed(kind(*required))).tolist() == rows
    found = [all(has_required(each, one) for one in required) for each in FLEET]
    assert np.flatnonzero(found).tolist() == rows


def test_a_lack_of_the_value_is_a_failure_by_attribute():
    decision = engine().place([kind(f"{ARCHITECTURE}=mips")])
    assert decision.instances.tolist() == [UNPLACED]
    assert decision.failures == {0: Failure(ATTRIBUTE, ((ATTRIBUTE, 4),))}


def test_an_instance_that_registers_again_with_another_value_counts_by_that():
    arm = kind(f"{ARCHITECTURE}=arm64")
    world = engine()
    assert not world.allowed(arm)[2]
    strings = instance_strings("i-2", {ARCHITECTURE: "arm64"})
    world.cluster.register(2, {"CPU": 4096, "MEMORY": 4096}, strings)
    assert world.allowed(arm)[2]


@pytest.mark.parametrize(
    ("platform", "rows"),
    [
        ({}, [0, 1, 2, 3]),
        ({"runtimePlatform": {"cpuArchitecture": "ARM64"}}, [1]),
        ({"runtimePlatform": {"cpuArchitecture": "X86_64"}}, [0]),
    ],
)
def test_the_architecture_of_a_task_definition_chooses_the_instances(platform, rows):
    containers = [{"name": "a", "image": "a", "memory": 6}]
    document = {"family": "a", "containerDefinitions": containers} | platform
    required = parse_task_definition(document).requires_attributes
    assert np.flatnonzero(engine().allowed(kind(*required))).tolist() == rows
