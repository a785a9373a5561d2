"""awsvpc tasks take an ENI slot each, with or without trunking, in the zones of their subnets."""

from __future__ import annotations

import numpy as np
import pytest

from stowplan.experiments.loading.catalogue import instance_types
from stowplan.placement import messages as m
from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import TaskKind
from stowplan.placement.scenario.scenario import Scenario, instance_specs
from stowplan.placement.taskdef.parse import host_ports, parse_task_definition, task_resources
from tests.driving import Driven, instance, of, run_task


def awsvpc(port: int = 80) -> dict:
    return {
        "family": "app",
        "networkMode": "awsvpc",
        "containerDefinitions": [
            {"name": "c", "image": "i", "memory": 8, "portMappings": [{"containerPort": port}]}
        ],
    }


def slots(instance_type: str, trunking: bool) -> int:
    """How many awsvpc tasks an empty instance of a type takes."""
    scenario = Scenario.model_validate(
        {
            "name": "s",
            "duration": "1s",
            "task_definitions": {},
            "instance_types": {instance_type: instance_types()[instance_type]},
            "fleet": [
                {
                    "name": "f",
                    "instance_type": instance_type,
                    "count": 1,
                    "zones": ["a"],
                    "awsvpc_trunking": trunking,
                }
            ],
        }
    )
    (spec,) = instance_specs(scenario)
    cluster = Cluster()
    cluster.register(0, spec.resources, instance_strings(spec.name, spec.attributes))
    kind = TaskKind(tuple(task_resources(parse_task_definition(awsvpc())).items()), "g")
    filled = Engine(cluster, np.random.default_rng(0)).fill(kind, 1000)
    assert filled.failure is not None
    assert filled.failure.reason == "RESOURCE:ENI"
    return len(filled.rows)


@pytest.mark.parametrize(
    ("instance_type", "without", "with_trunking"),
    [("c5.large", 2, 10), ("m5.large", 2, 10), ("m5.4xlarge", 7, 60), ("g4dn.xlarge", 2, 2)],
)
def test_slots_are_those_of_the_published_table(instance_type, without, with_trunking):
    assert slots(instance_type, False) == without
    assert slots(instance_type, True) == with_trunking


def test_awsvpc_tasks_reserve_no_host_port_so_many_share_an_instance():
    assert host_ports(parse_task_definition(awsvpc())) == ((), ())
    world = Driven()
    capable = {"attributes": {"ecs.capability.task-eni": ""}, "resources": {"ENI": 3}}
    world.round(m.RegisterTaskDefinition(awsvpc()), instance(0, **capable))
    assert world.places(world.round(run_task(count=3))) == [0, 0, 0]


def test_an_instance_outside_the_zones_of_the_subnets_is_refused_for_its_location():
    world = Driven()
    capable = {"attributes": {"ecs.capability.task-eni": ""}, "resources": {"ENI": 3}}
    world.round(
        m.RegisterTaskDefinition(awsvpc()),
        instance(0, zone="a", **capable),
        instance(1, zone="b", **capable),
    )
    commands = world.round(run_task(count=4, zones=("b",)))
    assert world.places(commands) == [1, 1, 1]
    (failed,) = of(m.RunTaskFailed, commands)
    assert failed.failure.rejected == (("RESOURCE:ENI", 1), ("LOCATION", 1))


def test_an_instance_without_the_capability_is_refused_for_its_attributes():
    world = Driven()
    world.round(m.RegisterTaskDefinition(awsvpc()), instance(0, resources={"ENI": 3}))
    (failed,) = of(m.RunTaskFailed, world.round(run_task()))
    assert failed.failure.reason == "ATTRIBUTE"
