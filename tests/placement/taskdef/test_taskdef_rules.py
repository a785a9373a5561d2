"""ECS's rules on task definitions: an entry of a table for each rule, broken and kept."""

import pytest

from stowplan.placement.errors import SpecError
from stowplan.placement.taskdef.parse import parse_task_definition
from tests.placement.taskdef.taskdef_builders import (
    CHECK,
    FIRST,
    MAPPING,
    OTHER_MAPPING,
    RANGE,
    after,
    circle,
    constraint,
    container,
    gpu,
    ports,
    problems_of,
    task,
)

# Rule, a document that breaks it and nothing else, the place of the problem, words of the message.
BROKEN = [
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
    (
        "a link closes the circle",
        task(container(links=["db"]), container(name="db", links=["app:web"])),
        "containerDefinitions",
        "circle: ",
    ),
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
