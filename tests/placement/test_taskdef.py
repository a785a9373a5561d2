"""Reading task definitions: an entry of a table for each rule; the demo files as they reserve."""

import copy
import json
from functools import cache
from pathlib import Path

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.errors import SpecError
from placement.model import HealthCheck, PlacementConstraint, PortMapping
from placement.taskdef import (
    TaskOverride,
    host_ports,
    parse_task_definition,
    required_attributes,
    task_resources,
)

DEMO = Path(__file__).parents[2] / "experiments" / "scenarios" / "taskdefs"
FIRST = "containerDefinitions[0]"
MAPPING = f"{FIRST}.portMappings[0]"
OTHER_MAPPING = f"{FIRST}.portMappings[1]"
CHECK = {"command": ["CMD", "true"]}


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


RANGE = {"containerPortRange": "100-200"}
# Rule, a document that breaks it and nothing else, the place of the problem, words of the message.
BROKEN = [
    (
        "a document is an object",
        ["family"],
        "task definition",
        "expected an object, got ['family']",
    ),
    ("an integer is not a string", task(container(cpu="5")), f"{FIRST}.cpu", "an integer, got '5'"),
    ("an integer is not a boolean", task(container(cpu=True)), f"{FIRST}.cpu", "got true"),
    ("an integer has 32 bits", task(container(cpu=2**31)), f"{FIRST}.cpu", "32 bits"),
    ("task cpu is a string", task(cpu=512), "cpu", 'expected a string, got 512; write "512"'),
    ("null is no value", task(container(command=None)), f"{FIRST}.command", "a list, got null"),
    ("unknown field", task(container(colour="red")), f"{FIRST}.colour", "unknown field"),
    ("misspelt field", task(netwrkMode="host"), "netwrkMode", "did you mean networkMode?"),
    ("no family", {"containerDefinitions": [container()]}, "family", "missing, and required"),
    ("enum", task(networkMode="nat"), "networkMode", "'nat' is not one of bridge, host"),
    ("enum in a list", task(requiresCompatibilities=["ECS"]), "requiresCompatibilities[0]", "ECS"),
    ("map value", task(container(dockerLabels={"a": 1})), f"{FIRST}.dockerLabels.a", "a string"),
    ("family characters", task(family="my app"), "family", "letters, digits"),
    ("family length", task(family="a" * 256), "family", "1 to 255"),
    ("no container", task(containerDefinitions=[]), "containerDefinitions", "1 to 10"),
    (
        "eleven containers",
        task(*(container(name=f"c{i}") for i in range(11))),
        "containerDefinitions",
        "has 11 containers",
    ),
    ("64 KiB", task(container(command=["x" * 65536])), "task definition", "64 KiB"),
    ("names are unique", task(container(), container()), "containerDefinitions[1].name", "already"),
    ("container name", task(container(name="a b")), f"{FIRST}.name", "letters, digits"),
    ("a name is given", task({"image": "a", "memory": 9}), f"{FIRST}.name", "missing"),
    ("an image is given", task({"name": "a", "memory": 9}), f"{FIRST}.image", "missing"),
    ("one is essential", task(container(essential=False)), "containerDefinitions", "essential"),
    ("memory of a container", task({"name": "a", "image": "a"}), f"{FIRST}.memory", "missing"),
    (
        "hard above soft",
        task(container(memoryReservation=128)),
        f"{FIRST}.memory",
        "128 must be greater than memoryReservation, 128",
    ),
    ("6 MiB hard", task(container(memory=5)), f"{FIRST}.memory", "5 is below 6"),
    ("6 MiB soft", task(container(memoryReservation=5)), f"{FIRST}.memoryReservation", "below 6"),
    ("cpu of a container", task(container(cpu=-1)), f"{FIRST}.cpu", "-1 is below 0"),
    ("task cpu at least", task(cpu="127"), "cpu", "127 is outside 128 to 196608"),
    ("task cpu at most", task(cpu="193 vCPU"), "cpu", "is outside"),
    ("task cpu is read", task(cpu="one"), "cpu", "cannot read 'one'; write it like \"512\""),
    ("task cpu in whole units", task(cpu="0.3 vCPU"), "cpu", "cannot read"),
    ("task memory is read", task(memory="1GiB"), "memory", "cannot read '1GiB'"),
    ("task memory at least", task({"name": "a", "image": "a"}, memory="5"), "memory", "5 is"),
    ("task memory suffices", task(memory="127"), "memory", "less than its containers' sum, 128"),
    ("task cpu suffices", task(container(cpu=600), cpu="512"), "cpu", "containers' sum, 600"),
    ("EC2 only", task(requiresCompatibilities=["FARGATE"]), "requiresCompatibilities", "on EC2"),
    (
        "Linux only",
        task(runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
        "runtimePlatform.operatingSystemFamily",
        "Linux",
    ),
    ("container port 0", ports({"containerPort": 0}), f"{MAPPING}.containerPort", "1 to 65535"),
    ("container port", ports({"containerPort": 65536}), f"{MAPPING}.containerPort", "1 to 65535"),
    ("host port", ports({"containerPort": 1, "hostPort": 65536}), f"{MAPPING}.hostPort", "65535"),
    ("host port alone", ports({"hostPort": 1}), f"{MAPPING}.containerPort", "missing"),
    ("mode none", ports({"containerPort": 1}, networkMode="none"), MAPPING, "allows no port"),
    *(
        (
            f"host port {port} in mode {mode}",
            ports({"containerPort": 80, "hostPort": port}, networkMode=mode),
            f"{MAPPING}.hostPort",
            f"must be absent or 80, the containerPort, in {mode} mode",
        )
        for mode in ("host", "awsvpc")
        for port in (0, 81)
    ),
    (
        "one protocol a port",
        ports({"containerPort": 53}, {"containerPort": 53, "protocol": "udp"}),
        f"{OTHER_MAPPING}.protocol",
        "another protocol",
    ),
    (
        "a host port once",
        ports({"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}),
        f"{OTHER_MAPPING}.hostPort",
        f"tcp host port 9 is already taken by {MAPPING}",
    ),
    (
        "a port once in mode host",
        ports({"containerPort": 9}, {"containerPort": 9}, networkMode="host"),
        f"{OTHER_MAPPING}.hostPort",
        "already taken",
    ),
    *(
        (
            f"range {text}",
            ports({"containerPortRange": text}),
            f"{MAPPING}.containerPortRange",
            "-",
        )
        for text in ("80", "0-9", "9-9", "9-8", "1-65536", "a-b")
    ),
    (
        "range in mode host",
        ports(RANGE, networkMode="host"),
        f"{MAPPING}.containerPortRange",
        "awsv",
    ),
    ("range and host port", ports(RANGE | {"hostPort": 1}), f"{MAPPING}.hostPort", "together"),
    ("ranges overlap", ports(RANGE, {"containerPortRange": "200-300"}), OTHER_MAPPING, "overlaps"),
    ("port in a range", ports(RANGE, {"containerPort": 150}), OTHER_MAPPING, "overlaps"),
    (
        "100 ranges",
        ports(*({"containerPortRange": f"{i}-{i + 1}"} for i in range(1, 204, 2))),
        f"{FIRST}.portMappings",
        "more than 100",
    ),
    (
        "links in bridge only",
        task(container(links=["db"]), container(name="db"), networkMode="host"),
        f"{FIRST}.links",
        "needs network mode bridge, not host",
    ),
    ("link to nobody", task(container(links=["db:d"])), f"{FIRST}.links[0]", "is named db"),
    ("link to oneself", task(container(links=["app"])), f"{FIRST}.links[0]", "no other container"),
    ("dependency", after("START", on="dc"), f"{FIRST}.dependsOn[0].containerName", "is named dc"),
    ("dependencies in a circle", circle(), "containerDefinitions", "circle: "),
    ("on oneself", after("START", on="app"), "containerDefinitions", "app -> app"),
    ("HEALTHY", after("HEALTHY"), f"{FIRST}.dependsOn[0].condition", "needs a healthCheck"),
    ("COMPLETE", after("COMPLETE"), f"{FIRST}.dependsOn[0].condition", "essential: false"),
    ("SUCCESS", after("SUCCESS"), f"{FIRST}.dependsOn[0].condition", "essential: false"),
    *(
        (
            f"healthCheck.{field} {value}",
            task(container(healthCheck=CHECK | {field: value})),
            f"{FIRST}.healthCheck.{field}",
            f"{value} is {'above' if value > 5 else 'below'}",
        )
        for field, low, high in (
            ("interval", 4, 301),
            ("timeout", 1, 61),
            ("retries", 0, 11),
            ("startPeriod", -1, 301),
        )
        for value in (low, high)
    ),
    *(
        (
            f"health command {command}",
            task(container(healthCheck={"command": command})),
            f"{FIRST}.healthCheck.command",
            "CMD or CMD-SHELL",
        )
        for command in ([], ["curl"], ["CMD"], ["NONE"])
    ),
    *(
        (
            f"restart after {seconds}",
            task(container(restartPolicy={"enabled": True, "restartAttemptPeriod": seconds})),
            f"{FIRST}.restartPolicy.restartAttemptPeriod",
            f"{seconds} is",
        )
        for seconds in (59, 1801)
    ),
    (
        "50 exit codes",
        task(container(restartPolicy={"enabled": True, "ignoredExitCodes": [*range(51)]})),
        f"{FIRST}.restartPolicy.ignoredExitCodes",
        "has 51 codes",
    ),
    ("GPU ALL", gpu(value="ALL"), f"{FIRST}.resourceRequirements[0].value", "depends on"),
    ("GPU zero", gpu(value="0"), f"{FIRST}.resourceRequirements[0].value", "expected a number"),
    ("GPU value", gpu(), f"{FIRST}.resourceRequirements[0].value", "expected a number"),
    (
        "GPU shared",
        gpu(sharingStrategy={"nvidiaMps": {"memory": 1024}}),
        f"{FIRST}.resourceRequirements[0].sharingStrategy",
        "whole GPUs only",
    ),
    (
        "other devices",
        gpu(type="NeuronDevice", value="ALL"),
        f"{FIRST}.resourceRequirements[0].type",
        "GPU only",
    ),
    (
        "memberOf only",
        constraint(type="distinctInstance", expression="attribute:a exists"),
        "placementConstraints[0].type",
        "is not one of memberOf",
    ),
    (
        "constraint type",
        constraint(expression="attribute:a exists"),
        "placementConstraints[0].type",
        "missing",
    ),
    ("expression", constraint(type="memberOf"), "placementConstraints[0].expression", "missing"),
    (
        "expression parses",
        constraint(type="memberOf", expression="attribute:a =="),
        "placementConstraints[0].expression",
        "at position",
    ),
    (
        "expression length",
        constraint(type="memberOf", expression="attribute:a == " + "b" * 2000),
        "placementConstraints[0].expression",
        "2000",
    ),
    (
        "ten constraints",
        task(placementConstraints=[{"type": "memberOf", "expression": "attribute:a exists"}] * 11),
        "placementConstraints",
        "the limit is 10",
    ),
]


@pytest.mark.parametrize(
    ("document", "place", "words"), [pytest.param(*case[1:], id=case[0]) for case in BROKEN]
)
def test_a_broken_rule_is_named_once_with_its_place(document, place, words):
    [(found, what)] = problems_of(document)
    assert found == place
    assert words in what


ALLOWED = {
    "a container port twice in bridge": ports({"containerPort": 70}, {"containerPort": 70}),
    "a host port for each protocol": ports(
        {"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9, "protocol": "udp"}
    ),
    "the same port in two containers of awsvpc": task(
        *(container(name=n, portMappings=[{"containerPort": 80}]) for n in "ab"),
        networkMode="awsvpc",
    ),
    "a link with an alias": task(container(links=["db:d"]), container(name="db")),
    "COMPLETE on one that is not essential": after("COMPLETE", essential=False),
    "HEALTHY on one with a health check": after("HEALTHY", healthCheck=CHECK),
    "Fargate besides EC2": task(requiresCompatibilities=["FARGATE", "EC2"]),
    "no memory in the container if the task has it": task(
        {"name": "a", "image": "a"}, memory="512"
    ),
    "the least sizes": task(container(memory=6), cpu="128"),
    "ten constraints": task(
        placementConstraints=[{"type": "memberOf", "expression": "attribute:a exists"}] * 10
    ),
    "50 exit codes": task(
        container(restartPolicy={"enabled": True, "ignoredExitCodes": [*range(50)]})
    ),
    "100 port ranges": ports(*({"containerPortRange": f"{i}-{i + 1}"} for i in range(1, 201, 2))),
    "containers that fill the task": task(container(cpu=256), cpu="256", memory="128"),
}


@pytest.mark.parametrize("document", ALLOWED.values(), ids=ALLOWED)
def test_what_ecs_allows_is_allowed(document):
    assert parse_task_definition(document).document is document


def test_every_problem_is_named_at_once_each_after_the_place_of_the_file():
    document = task(
        container(name="a", memroy=64, cpu="x", essential=False) | {"memory": 4},
        {"name": "b", "image": "b", "healthCheck": {"command": ["CMD", "x"], "retries": 99}},
        networkMode="bridged",
        cpu="1 vcpus",
    )
    with pytest.raises(SpecError) as raised:
        parse_task_definition(document, "web.json")
    second = "web.json: containerDefinitions[1]"
    assert {place for place, _ in raised.value.problems} == {
        "web.json: containerDefinitions[0].memroy",
        "web.json: containerDefinitions[0].cpu",
        "web.json: containerDefinitions[0].memory",
        "web.json: networkMode",
        "web.json: cpu",
        f"{second}.memory",
        f"{second}.healthCheck.retries",
    }
    assert f"{second}.healthCheck.retries: 99 is above 10" in str(raised.value)


def test_a_misspelt_field_is_not_reported_as_missing_too():
    [(place, _)] = problems_of(task({"name": "a", "image": "a", "memroy": 64}))
    assert place == f"{FIRST}.memroy"


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
    assert read.document is described


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
AWSLOGS = {"logDriver": "awslogs"}
ROLE = {"executionRoleArn": "arn:aws:iam::123456789012:role/execution"}


@pytest.mark.parametrize(
    ("document", "attributes"),
    [
        (task(), ()),
        (task(networkMode="awsvpc"), (NEW + "task-eni",)),
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
        (task(container(secrets=[SECRET])), (NEW + "secrets.asm.environment-variables",)),
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


@cache
def input_shape():
    model = ServiceModel(Loader().load_service_model("ecs", "service-2"))
    return model.operation_model("RegisterTaskDefinition").input_shape


def botocore_rejects(document):
    return ParamValidator().validate(document, input_shape()).has_errors()


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


@settings(deadline=None)  # the first example also reads the API model
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


@settings(deadline=None)  # the first example also reads the API model
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
