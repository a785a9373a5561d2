"""Reading sound task definitions: what is kept, what a task reserves, what its agent must offer."""

import pytest

from stowplan.placement.model import HealthCheck, PlacementConstraint, PortMapping
from stowplan.placement.taskdef.parse import (
    TaskOverride,
    host_ports,
    parse_task_definition,
    required_attributes,
    task_resources,
)
from tests.placement.taskdef.taskdef_builders import (
    CHECK,
    RANGE,
    after,
    container,
    demo,
    gpu,
    ports,
    problems_of,
    task,
)

DESCRIBED = {
    "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/app:7",
    "revision": 7,
    "status": "ACTIVE",
    "requiresAttributes": [{"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"}],
    "compatibilities": ["EXTERNAL", "EC2"],
    "registeredAt": 1700000000.0,
    "registeredBy": "arn:aws:iam::123456789012:user/me",
    "deregisteredAt": None,
}


def test_the_output_of_describe_task_definition_reads_like_the_input():
    empty = {field: [] for field in ("portMappings", "links", "environment", "volumesFrom")}
    described = task(container(cpu=0, **empty), volumes=[], placementConstraints=[]) | DESCRIBED
    expected = parse_task_definition(task())
    assert parse_task_definition(described) == expected
    read = parse_task_definition({"taskDefinition": described, "tags": []})
    assert read == expected
    assert read.document == task(container(cpu=0, **empty), volumes=[], placementConstraints=[])


def test_a_problem_inside_the_wrapper_has_its_whole_path():
    [(place, _)] = problems_of({"taskDefinition": task(cpu="1")})
    assert place == "taskDefinition.cpu"


def test_every_field_that_placement_reads_is_kept():
    found = parse_task_definition(
        task(
            container(
                cpu=64,
                memoryReservation=100,
                portMappings=[{"containerPort": 53, "protocol": "udp"}, RANGE],
                healthCheck=CHECK | {"interval": 7, "startPeriod": 9},
                stopTimeout=5,
                startTimeout=6,
            ),
            placementConstraints=[{"type": "memberOf", "expression": "attribute:a exists"}],
        ),
        revision=3,
    )
    [app] = found.containers
    assert (found.name, found.network_mode, found.cpu, found.memory) == (
        "app:3",
        "bridge",
        None,
        None,
    )
    assert found.placement_constraints == (PlacementConstraint("memberOf", "attribute:a exists"),)
    assert app.port_mappings == (PortMapping(53, 0, "udp"),)
    assert app.health_check == HealthCheck(("CMD", "true"), interval=7, start_period=9)
    assert (app.cpu, app.memory, app.memory_reservation) == (64, 128, 100)
    assert (app.essential, app.stop_timeout, app.start_timeout) == (True, 5, 6)


@pytest.mark.parametrize(
    ("field", "text", "amount"),
    [
        ("cpu", "1024", 1024),
        ("cpu", "1 vCPU", 1024),
        ("cpu", "0.5 vcpu", 512),
        ("cpu", ".25vCPU", 256),
        ("cpu", "192 vCPU", 196608),
        ("memory", "1024", 1024),
        ("memory", "1GB", 1024),
        ("memory", "0.5 GB", 512),
    ],
)
def test_task_sizes_are_read_in_both_notations(field, text, amount):
    assert (
        getattr(parse_task_definition(task(**{"memory": "2048"} | {field: text})), field) == amount
    )


@pytest.mark.parametrize(
    ("document", "reserved"),
    [
        # The example in AWS's text on memoryReservation.
        (task(container(memory=300, memoryReservation=128)), {"MEMORY": 128}),
        (task(container(memory=512)), {"MEMORY": 512}),
        (
            task(container(cpu=10), container(name="b", cpu=20, memory=6)),
            {"CPU": 30, "MEMORY": 134},
        ),
        (task(container(cpu=10), cpu="256", memory="512"), {"CPU": 256, "MEMORY": 512}),
        (task(networkMode="awsvpc"), {"MEMORY": 128, "ENI": 1}),
        (gpu(value="2"), {"MEMORY": 128, "GPU": 2}),
        (ports({"containerPort": 80}, RANGE), {"MEMORY": 128}),
        (ports({"containerPort": 80, "hostPort": 8080}), {"MEMORY": 128, "PORTS": 1}),
        (ports({"containerPort": 80}, networkMode="host"), {"MEMORY": 128, "PORTS": 1}),
    ],
)
def test_a_task_reserves_what_ecs_reserves(document, reserved):
    assert task_resources(parse_task_definition(document)) == reserved


def test_an_override_wins_over_the_task_level():
    batch = parse_task_definition(demo("batch"))
    assert task_resources(batch, TaskOverride(cpu=2048)) == {"CPU": 2048, "MEMORY": 512}
    assert task_resources(batch, TaskOverride(memory=64)) == {"CPU": 256, "MEMORY": 64}


MIXED_PORTS = (
    {"containerPort": 90, "hostPort": 90},
    {"containerPort": 53, "hostPort": 53, "protocol": "udp"},
    {"containerPort": 80, "hostPort": 80},
)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("bridge", ((80, 90), (53,))), ("host", ((80, 90), (53,))), ("awsvpc", ((), ()))],
)
def test_host_ports_by_network_mode(mode, expected):
    assert host_ports(parse_task_definition(ports(*MIXED_PORTS, networkMode=mode))) == expected


OLD, NEW = "com.amazonaws.ecs.capability.", "ecs.capability."
ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1"
SECRET = {"name": "KEY", "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:key"}
OPTIONS = {"awslogs-group": "a", "awslogs-region": "eu-west-1"}
AWSLOGS = {"logDriver": "awslogs", "options": OPTIONS}
ROLE = {"executionRoleArn": "arn:aws:iam::123456789012:role/execution"}


@pytest.mark.parametrize(
    ("document", "attributes"),
    [
        (task(), ()),
        (task(networkMode="awsvpc"), (NEW + "task-eni",)),
        (task(runtimePlatform={"cpuArchitecture": "ARM64"}), ("ecs.cpu-architecture=arm64",)),
        (task(runtimePlatform={"cpuArchitecture": "X86_64"}), ("ecs.cpu-architecture=x86_64",)),
        (task(runtimePlatform={"operatingSystemFamily": "LINUX"}), ()),
        (task(cpu="256"), (NEW + "task-cpu-mem-limit",)),
        (task(cpu="11 vCPU"), (NEW + "increased-task-cpu-limit", NEW + "task-cpu-mem-limit")),
        (task(taskRoleArn="arn"), (OLD + "task-iam-role",)),
        (task(taskRoleArn="arn", networkMode="host"), (OLD + "task-iam-role-network-host",)),
        (task(pidMode="host"), (NEW + "pid-ipc-namespace-sharing",)),
        (
            task(volumes=[{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]),
            (NEW + "efs",),
        ),
        (task(container(privileged=True)), (OLD + "privileged-container",)),
        (task(container(privileged=False)), ()),
        (task(container(healthCheck=CHECK)), (NEW + "container-health-check",)),
        (after("START"), (NEW + "container-ordering",)),
        (ports(RANGE), (NEW + "network.container-port-range",)),
        (task(container(secrets=[SECRET]), **ROLE), (NEW + "secrets.asm.environment-variables",)),
        (task(container(logConfiguration=AWSLOGS)), (OLD + "logging-driver.awslogs",)),
        (
            task(container(logConfiguration=AWSLOGS), **ROLE),
            (OLD + "logging-driver.awslogs", NEW + "execution-role-awslogs"),
        ),
        (task(container(image=ECR)), (OLD + "ecr-auth",)),
        (task(container(image=ECR), **ROLE), (NEW + "execution-role-ecr-pull",)),
    ],
)
def test_a_feature_asks_for_the_capability_of_the_agent(document, attributes):
    assert required_attributes(document) == attributes
    assert parse_task_definition(document).requires_attributes == attributes


@pytest.mark.parametrize(
    ("name", "reserved", "tcp"),
    [
        ("web", {"CPU": 512, "MEMORY": 1024}, ()),
        ("api", {"CPU": 1024, "MEMORY": 2048}, ()),
        ("worker", {"CPU": 2048, "MEMORY": 4096}, ()),
        ("cache", {"CPU": 1024, "MEMORY": 8192, "PORTS": 1}, (6379,)),
        ("batch", {"CPU": 256, "MEMORY": 512}, ()),
    ],
)
def test_the_demo_files_parse_and_reserve_what_their_scenario_says(name, reserved, tcp):
    definition = parse_task_definition(demo(name), f"{name}.json")
    assert definition.family == name
    assert task_resources(definition) == reserved
    assert host_ports(definition) == (tcp, ())
