"""ECS's rules on task definitions in one table: each with its source, cases accepted and refused.

`test_taskdef_rules.py` runs every case, and holds that no rule in the code is missing here;
`docs/taskdef-rules.md` is this table as a page (`python -m tests.placement.taskdef.rule_page`).

Sources: "API" is the text of RegisterTaskDefinition in botocore's model, by member; OWNER/REPO#N a
public issue that quotes ECS's answer; "guide" a page of ECS's developer guide; "ours" what
stowplan cannot place, which ECS would take.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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
    task,
)

Document = dict[str, Any]
ROLE = {"executionRoleArn": "arn:aws:iam::111122223333:role/execution"}
LOGS = {"awslogs-group": "/ecs/app", "awslogs-region": "eu-west-1"}
ROUTER = {"name": "router", "image": "fluent-bit:3", "memory": 64}
ROUTES = {"firelensConfiguration": {"type": "fluentbit"}}
ROUTED = {"logConfiguration": {"logDriver": "awsfirelens"}}
PROXY = [
    {"name": "IgnoredUID", "value": "1337"},
    {"name": "AppPorts", "value": "8080"},
    {"name": "ProxyIngressPort", "value": "15000"},
    {"name": "ProxyEgressPort", "value": "15001"},
]


class Refused(NamedTuple):
    """A definition that breaks one rule; where the problem is said to be, and words of it."""

    document: Document
    place: str
    words: str


class Rule(NamedTuple):
    """What must hold, where that is known from, what is accepted under it and what refused."""

    rule: str
    source: str
    accepted: Document
    refused: tuple[Refused, ...]


def rule(rule: str, source: str, accepted: Document, *refused: tuple[Document, str, str]) -> Rule:
    return Rule(rule, source, accepted, tuple(Refused(*each) for each in refused))


def fargate(*containers, **fields):
    """A definition that Fargate takes."""
    size = {"networkMode": "awsvpc", "cpu": "256", "memory": "512"}
    return task(*containers, requiresCompatibilities=["FARGATE"], **(size | fields))


def volume(name="data", **fields):
    """A volume of a task that mounts it."""
    mounts = [{"sourceVolume": "data", "containerPath": "/data"}]
    return task(container(mountPoints=mounts), volumes=[{"name": name} | fields])


def efs(**fields):
    return volume(efsVolumeConfiguration={"fileSystemId": "fs-1"} | fields)


def proxy(properties, name="app"):
    return task(
        networkMode="awsvpc", proxyConfiguration={"containerName": name, "properties": properties}
    )


def sysctl(name, **fields):
    control = {"namespace": name, "value": "1"}
    return task(container(systemControls=[control]), **fields)


def linux(**parameters):
    return container(linuxParameters=parameters)


def mounted(mount, *names):
    return task(container(mountPoints=[mount]), volumes=[{"name": each} for each in names])


def without(table, *keys):
    return {key: value for key, value in table.items() if key not in keys}


VOLUME, MOUNT = "volumes[0]", f"{FIRST}.mountPoints[0]"
EFS = f"{VOLUME}.efsVolumeConfiguration"
AP = {"authorizationConfig": {"accessPointId": "fsap-1"}}
PERIOD = "healthCheck.startPeriod"

SHAPE = [
    rule(
        "a document is an object",
        "API RegisterTaskDefinition",
        task(),
        (["family"], "task definition", "expected an object, got ['family']"),
    ),
    rule(
        "a member that is null is not given; a null in a list is refused",
        "aws-actions/amazon-ecs-deploy-task-definition#63, aws/aws-cli#3622",
        task(container(command=None, healthCheck=None, portMappings=None), volumes=None, cpu=None),
        (task(container(command=[None])), f"{FIRST}.command[0]", "a string, got null"),
        (task(family=None), "family", "missing, and required"),
    ),
    rule(
        "values have the types of the API",
        "botocore, service-2.json",
        task(container(cpu=5), cpu="512"),
        (task(container(cpu="5")), f"{FIRST}.cpu", "an integer, got '5'"),
        (task(container(cpu=True)), f"{FIRST}.cpu", "got true"),
        (task(container(cpu=2**31)), f"{FIRST}.cpu", "32 bits"),
        (task(cpu=512), "cpu", 'expected a string, got 512; write "512"'),
        (task(container(dockerLabels={"a": 1})), f"{FIRST}.dockerLabels.a", "a string"),
    ),
    rule(
        "fields are those of the API",
        "botocore, service-2.json",
        task(container(readonlyRootFilesystem=True)),
        (task(container(colour="red")), f"{FIRST}.colour", "unknown field"),
        (task(netwrkMode="host"), "netwrkMode", "did you mean networkMode?"),
    ),
    rule(
        "values are those that the API lists",
        "botocore, service-2.json",
        task(networkMode="host", requiresCompatibilities=["EC2"]),
        (task(networkMode="nat"), "networkMode", "'nat' is not one of bridge, host"),
        (task(requiresCompatibilities=["ECS"]), "requiresCompatibilities[0]", "ECS"),
        (
            task(container(logConfiguration={"logDriver": "none"})),
            f"{FIRST}.logConfiguration.logDriver",
            "is not one of",
        ),
    ),
    rule(
        "a tag's key has 1 to 128 characters and is given once; at most 50 tags",
        "API tags",
        task(tags=[{"key": "team", "value": "web"}, {"key": "stage"}]),
        (task(tags=[{"key": "k" * 129}]), "tags[0].key", "is 129 long"),
        (task(tags=[{"key": f"k{i}"} for i in range(51)]), "tags", "is 51 long"),
        (task(tags=[{"key": "a"}, {"key": "a"}]), "tags[1].key", "is given twice"),
    ),
]

TASK = [
    rule(
        "family: 1 to 255 letters, digits, hyphens and underscores",
        "API family",
        task(family="my_app-2"),
        (task(family="my app"), "family", "letters, digits"),
        (task(family="a" * 256), "family", "1 to 255"),
        ({"containerDefinitions": [container()]}, "family", "missing, and required"),
    ),
    rule(
        "1 to 10 containers",
        "guide service quotas; aws/amazon-ecs-cli#184",
        task(*(container(name=f"c{i}") for i in range(10))),
        (task(containerDefinitions=[]), "containerDefinitions", "1 to 10"),
        (
            task(*(container(name=f"c{i}") for i in range(11))),
            "containerDefinitions",
            "has 11 containers",
        ),
    ),
    rule(
        "at most 64 KiB",
        "awsdocs/amazon-ecs-developer-guide#149",
        task(container(command=["x" * 60000])),
        (task(container(command=["x" * 65536])), "task definition", "64 KiB"),
    ),
    rule(
        "at least one container is essential",
        "API ContainerDefinition.essential",
        task(container(), container(name="b", essential=False)),
        (task(container(essential=False)), "containerDefinitions", "essential"),
    ),
    rule(
        "what ECS found unfit for EC2 is not placed; what asks for Fargate is",
        "API requiresCompatibilities; fabfuel/ecs-deploy#50",
        task(requiresCompatibilities=["FARGATE", "EC2"], networkMode="awsvpc")
        | {"cpu": "256"}
        | {"memory": "512", "compatibilities": ["EC2", "FARGATE"]},
        (task() | {"compatibilities": ["EXTERNAL"]}, "compatibilities", "lacks EC2"),
        (task(requiresCompatibilities=["EXTERNAL"]), "requiresCompatibilities", "neither EC2 nor"),
        (
            task(requiresCompatibilities=["MANAGED_INSTANCES"]),
            "requiresCompatibilities",
            "neither EC2 nor FARGATE",
        ),
    ),
    rule(
        "Linux only",
        "ours",
        task(runtimePlatform={"operatingSystemFamily": "LINUX", "cpuArchitecture": "ARM64"}),
        (
            task(runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
            "runtimePlatform.operatingSystemFamily",
            "Linux",
        ),
    ),
    rule(
        "trusted execution is for Managed Instances",
        "API trustedExecutionConfiguration",
        task(),
        (
            task(trustedExecutionConfiguration={"isolationMode": "SHARED"}),
            "trustedExecutionConfiguration",
            "Managed Instances",
        ),
    ),
    rule(
        "ephemeral storage: 21 to 200 GiB",
        "API EphemeralStorage.sizeInGiB",
        fargate(ephemeralStorage={"sizeInGiB": 21}),
        (
            fargate(ephemeralStorage={"sizeInGiB": 20}),
            "ephemeralStorage.sizeInGiB",
            "20 is outside",
        ),
        (fargate(ephemeralStorage={"sizeInGiB": 201}), "ephemeralStorage.sizeInGiB", "outside"),
    ),
    rule(
        "task cpu: 128 to 196608 units, as units or vCPU",
        "API cpu",
        task(container(memory=6), cpu=".125 vcpu"),
        (task(cpu="127"), "cpu", "127 is outside 128 to 196608"),
        (task(cpu="193 vCPU"), "cpu", "is outside"),
        (task(cpu="one"), "cpu", "cannot read 'one'; write it like \"512\""),
        (task(cpu="0.3 vCPU"), "cpu", "cannot read"),
    ),
    rule(
        "task memory: at least 6 MiB, as MiB or GB",
        "API memory, ContainerDefinition.memory",
        task({"name": "a", "image": "a"}, memory="0.5 GB"),
        (task(memory="1GiB"), "memory", "cannot read '1GiB'"),
        (task({"name": "a", "image": "a"}, memory="5"), "memory", "5 is"),
    ),
    rule(
        "the containers of a task fit into its cpu and memory",
        "API ContainerDefinition.cpu, .memory",
        task(container(cpu=256), cpu="256", memory="128"),
        (task(memory="127"), "memory", "less than its containers' sum, 128"),
        (task(container(cpu=600), cpu="512"), "cpu", "containers' sum, 600"),
    ),
    rule(
        "at most 10 placement constraints, each memberOf with an expression that parses",
        "API placementConstraints; guide cluster query language",
        task(placementConstraints=[{"type": "memberOf", "expression": "attribute:a exists"}] * 10),
        (
            constraint(type="distinctInstance", expression="attribute:a exists"),
            "placementConstraints[0].type",
            "is not one of memberOf",
        ),
        (
            constraint(expression="attribute:a exists"),
            "placementConstraints[0].type",
            "missing",
        ),
        (constraint(type="memberOf"), "placementConstraints[0].expression", "missing"),
        (
            constraint(type="memberOf", expression="attribute:a =="),
            "placementConstraints[0].expression",
            "at position",
        ),
        (
            constraint(type="memberOf", expression="attribute:a == " + "b" * 2000),
            "placementConstraints[0].expression",
            "2000",
        ),
        (
            task(
                placementConstraints=[{"type": "memberOf", "expression": "attribute:a exists"}] * 11
            ),
            "placementConstraints",
            "the limit is 10",
        ),
    ),
    rule(
        "the proxy is a container of the task and has its properties",
        "API ProxyConfiguration.containerName, .properties",
        proxy(PROXY),
        (proxy(PROXY, name="envoy"), "proxyConfiguration.containerName", "is named envoy"),
        (proxy(PROXY[1:]), "proxyConfiguration.properties", "lacks IgnoredUID or IgnoredGID"),
        (proxy(PROXY[:1]), "proxyConfiguration.properties", "lacks AppPorts, ProxyIngressPort"),
    ),
]

CONTAINER = [
    rule(
        "a container has a name of its own: letters, digits, hyphens and underscores",
        "API ContainerDefinition.name",
        task(container(name="a_B-3")),
        (task(container(name="a b")), f"{FIRST}.name", "letters, digits"),
        (task({"image": "a", "memory": 9}), f"{FIRST}.name", "missing"),
        (task(container(), container()), "containerDefinitions[1].name", "already"),
    ),
    rule(
        "a container has an image",
        "aws/aws-cli#5924: The container.image should not be null or empty",
        task(container(image="nginx@sha256:0")),
        (task({"name": "a", "memory": 9}), f"{FIRST}.image", "missing"),
        (task(container(image="")), f"{FIRST}.image", "missing"),
    ),
    rule(
        "memory, memoryReservation or the task's memory is given",
        "sil-org/ecs-deploy#62; API ContainerDefinition.memory",
        task({"name": "a", "image": "a"}, memory="512"),
        (task({"name": "a", "image": "a"}), f"{FIRST}.memory", "missing"),
    ),
    rule(
        "memory is not less than memoryReservation; it may equal it",
        "awsdocs/amazon-ecs-developer-guide#242; aws/amazon-ecs-cli#570",
        task(container(memoryReservation=128)),
        (
            task(container(memoryReservation=129)),
            f"{FIRST}.memory",
            "128 is less than memoryReservation, 129",
        ),
    ),
    rule(
        "a container has at least 6 MiB; cpu is not negative",
        "API ContainerDefinition.memory, .cpu",
        task(container(memory=6, cpu=0)),
        (task(container(memory=5)), f"{FIRST}.memory", "5 is below 6"),
        (task(container(memoryReservation=5)), f"{FIRST}.memoryReservation", "below 6"),
        (task(container(cpu=-1)), f"{FIRST}.cpu", "-1 is below 0"),
        (task(container(startTimeout=-1)), f"{FIRST}.startTimeout", "below 0"),
        (task(container(stopTimeout=-1)), f"{FIRST}.stopTimeout", "below 0"),
    ),
    rule(
        "health checks: interval 5 to 300 s, timeout 2 to 60 s, retries 1 to 10, start 0 to 300 s",
        "API HealthCheck",
        task(container(healthCheck=CHECK | {"interval": 5, "timeout": 2, "startPeriod": 300})),
        *(
            (
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
    ),
    rule(
        "a health check's command begins with CMD or CMD-SHELL",
        "API HealthCheck.command",
        task(container(healthCheck={"command": ["CMD-SHELL", "curl -f http://localhost || exit"]})),
        *(
            (
                task(container(healthCheck={"command": command})),
                f"{FIRST}.healthCheck.command",
                "CMD or CMD-SHELL",
            )
            for command in ([], ["curl"], ["CMD"], ["NONE"])
        ),
    ),
    rule(
        "restart policies: a period of 60 to 1800 s, at most 50 exit codes",
        "API ContainerRestartPolicy",
        task(container(restartPolicy={"enabled": True, "ignoredExitCodes": [*range(50)]})),
        *(
            (
                task(container(restartPolicy={"enabled": True, "restartAttemptPeriod": seconds})),
                f"{FIRST}.restartPolicy.restartAttemptPeriod",
                f"{seconds} is",
            )
            for seconds in (59, 1801)
        ),
        (
            task(container(restartPolicy={"enabled": True, "ignoredExitCodes": [*range(51)]})),
            f"{FIRST}.restartPolicy.ignoredExitCodes",
            "has 51 codes",
        ),
    ),
    rule(
        "maxSwap is not negative; swappiness is 0 to 100",
        "API LinuxParameters.maxSwap, .swappiness",
        task(linux(maxSwap=0, swappiness=100)),
        (task(linux(maxSwap=-1)), f"{FIRST}.linuxParameters.maxSwap", "below 0"),
        (task(linux(swappiness=101)), f"{FIRST}.linuxParameters.swappiness", "above 100"),
    ),
    rule(
        "capabilities are named without CAP_",
        "API KernelCapabilities.add, .drop",
        task(linux(capabilities={"add": ["NET_ADMIN"], "drop": ["ALL"]})),
        (
            task(linux(capabilities={"add": ["CAP_NET_ADMIN"]})),
            f"{FIRST}.linuxParameters.capabilities.add[0]",
            "write NET_ADMIN",
        ),
    ),
    rule(
        "a kernel parameter has name and value, and is one that a container has for itself",
        "API SystemControl.namespace, .value",
        sysctl("kernel.shmmax"),
        (
            task(container(systemControls=[{"value": "1"}])),
            f"{FIRST}.systemControls[0].namespace",
            "missing",
        ),
        (
            task(container(systemControls=[{"namespace": "net.core.somaxconn"}])),
            f"{FIRST}.systemControls[0].value",
            "missing",
        ),
        (sysctl("vm.max_map_count"), f"{FIRST}.systemControls[0].namespace", "no parameter"),
    ),
    rule(
        "no net. parameter in network mode host, none of IPC with ipcMode host",
        "API SystemControl",
        sysctl("net.core.somaxconn", networkMode="awsvpc", ipcMode="host"),
        (
            sysctl("net.core.somaxconn", networkMode="host"),
            f"{FIRST}.systemControls[0].namespace",
            "network mode host",
        ),
        (
            sysctl("kernel.shmmax", ipcMode="host"),
            f"{FIRST}.systemControls[0].namespace",
            "ipcMode host",
        ),
    ),
    rule(
        "a variable has a name that is not blank",
        "thnery/terraform-aws-template#2: Environment variable name cannot be null or blank",
        task(container(environment=[{"name": "A"}, {"name": "B", "value": ""}])),
        (
            task(container(environment=[{"value": "blue"}])),
            f"{FIRST}.environment[0].name",
            "missing or blank",
        ),
        (
            task(container(environment=[{"name": " ", "value": "b"}])),
            f"{FIRST}.environment[0].name",
            "missing or blank",
        ),
    ),
    rule(
        "secrets need the task's executionRoleArn",
        "hashicorp/terraform-provider-aws#6503, fabfuel/ecs-deploy#87",
        task(container(secrets=[{"name": "KEY", "valueFrom": "key"}]), **ROLE),
        (
            task(container(secrets=[{"name": "KEY", "valueFrom": "key"}])),
            f"{FIRST}.secrets",
            "executionRoleArn",
        ),
    ),
    rule(
        "a secret has a name, which no other secret and no variable has",
        "dagster-io/dagster#11622, CircleCI-Public/aws-ecs-orb#190",
        task(
            container(
                secrets=[{"name": "A", "valueFrom": "a"}, {"name": "B", "valueFrom": "a"}],
                environment=[{"name": "C", "value": "c"}],
            ),
            **ROLE,
        ),
        (
            task(container(secrets=[{"name": "A", "valueFrom": "a"}] * 2), **ROLE),
            f"{FIRST}.secrets[1].name",
            "another secret",
        ),
        (
            task(
                container(secrets=[{"name": "A", "valueFrom": "a"}], environment=[{"name": "A"}]),
                **ROLE,
            ),
            f"{FIRST}.secrets[0].name",
            "a variable of environment",
        ),
        (
            task(container(secrets=[{"name": "", "valueFrom": "a"}]), **ROLE),
            f"{FIRST}.secrets[0].name",
            "blank",
        ),
        (
            task(container(secrets=[{"name": "A"}]), **ROLE),
            f"{FIRST}.secrets[0].valueFrom",
            "missing",
        ),
    ),
    rule(
        "at most 10 environment files, which end in .env",
        "API environmentFiles",
        task(container(environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::b/a.env"}])),
        (
            task(container(environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::b/a.txt"}])),
            f"{FIRST}.environmentFiles[0].value",
            ".env",
        ),
        (
            task(
                container(environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::b/a.env"}] * 11)
            ),
            f"{FIRST}.environmentFiles",
            "the limit is 10",
        ),
    ),
    rule(
        "hostname, extraHosts, dnsServers and dnsSearchDomains are not to be had with awsvpc",
        "labd/ecs-deplojo#26, aws/containers-roadmap#1480; API extraHosts; ecs-semantics 1.2",
        task(container(hostname="a", dnsServers=["10.0.0.2"])),
        (
            task(container(hostname="a"), networkMode="awsvpc"),
            f"{FIRST}.hostname",
            "network mode awsvpc",
        ),
        (
            task(
                container(extraHosts=[{"hostname": "a", "ipAddress": "10.0.0.1"}]),
                networkMode="awsvpc",
            ),
            f"{FIRST}.extraHosts",
            "network mode awsvpc",
        ),
        (
            task(container(dnsServers=["10.0.0.2"]), networkMode="awsvpc"),
            f"{FIRST}.dnsServers",
            "awsvpc",
        ),
        (
            task(container(dnsSearchDomains=["a.b"]), networkMode="awsvpc"),
            f"{FIRST}.dnsSearchDomains",
            "awsvpc",
        ),
    ),
    rule(
        "whole GPUs by number",
        "ours: ECS also takes ALL, shares of a GPU and Neuron devices",
        gpu(value="2"),
        (gpu(value="ALL"), f"{FIRST}.resourceRequirements[0].value", "depends on"),
        (gpu(value="0"), f"{FIRST}.resourceRequirements[0].value", "expected a number"),
        (gpu(), f"{FIRST}.resourceRequirements[0].value", "expected a number"),
        (
            gpu(sharingStrategy={"nvidiaMps": {"memory": 1024}}),
            f"{FIRST}.resourceRequirements[0].sharingStrategy",
            "whole GPUs only",
        ),
        (
            gpu(type="NeuronDevice", value="ALL"),
            f"{FIRST}.resourceRequirements[0].type",
            "GPU only",
        ),
    ),
    rule(
        "a container asks for an inference accelerator that the task has",
        "API InferenceAccelerator.deviceName",
        gpu(type="InferenceAccelerator", value="device_1")
        | {"inferenceAccelerators": [{"deviceName": "device_1", "deviceType": "eia2.medium"}]},
        (
            gpu(type="InferenceAccelerator", value="device_1"),
            f"{FIRST}.resourceRequirements[0].value",
            "no inference accelerator",
        ),
    ),
]

PORTS = [
    rule(
        "ports are 1 to 65535; a host port may be 0",
        "API PortMapping",
        ports({"containerPort": 65535, "hostPort": 0}),
        (ports({"containerPort": 0}), f"{MAPPING}.containerPort", "1 to 65535"),
        (ports({"containerPort": 65536}), f"{MAPPING}.containerPort", "1 to 65535"),
        (ports({"containerPort": 1, "hostPort": 65536}), f"{MAPPING}.hostPort", "65535"),
        (ports({"hostPort": 1}), f"{MAPPING}.containerPort", "missing"),
    ),
    rule(
        "one container port may be mapped for tcp and udp, and to two host ports",
        "ecs-semantics 1.3 (the guide dropped the old rule in May 2020)",
        ports(
            {"containerPort": 53, "hostPort": 53},
            {"containerPort": 53, "hostPort": 53, "protocol": "udp"},
            {"containerPort": 53, "hostPort": 1053},
        ),
    ),
    rule(
        "network mode none allows no port mappings",
        "API networkMode",
        task(networkMode="none"),
        (ports({"containerPort": 1}, networkMode="none"), MAPPING, "allows no port"),
    ),
    rule(
        "in modes host and awsvpc the host port is absent or the container port",
        "API PortMapping.hostPort",
        ports({"containerPort": 80, "hostPort": 80}, networkMode="awsvpc"),
        *(
            (
                ports({"containerPort": 80, "hostPort": port}, networkMode=mode),
                f"{MAPPING}.hostPort",
                f"must be absent or 80, the containerPort, in {mode} mode",
            )
            for mode in ("host", "awsvpc")
            for port in (0, 81)
        ),
    ),
    rule(
        "a task takes a host port once",
        'ECS: "is mapped multiple times in task"',
        task(
            *(container(name=n, portMappings=[{"containerPort": 80}]) for n in "ab"),
            networkMode="awsvpc",
        ),
        (
            ports({"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}),
            f"{OTHER_MAPPING}.hostPort",
            f"tcp host port 9 is already taken by {MAPPING}",
        ),
        (
            ports({"containerPort": 9}, {"containerPort": 9}, networkMode="host"),
            f"{OTHER_MAPPING}.hostPort",
            "already taken",
        ),
    ),
    rule(
        "a port mapping's name: up to 64 lower-case letters, digits, _ and -, no hyphen first",
        "API PortMapping.name",
        ports({"containerPort": 80, "name": "web-80-tcp", "appProtocol": "http"}),
        (ports({"containerPort": 80, "name": "Web"}), f"{MAPPING}.name", "lower-case"),
        (ports({"containerPort": 80, "name": "-web"}), f"{MAPPING}.name", "no hyphen first"),
    ),
    rule(
        "a port range ascends within 1 to 65535, alone in its mapping",
        "API PortMapping.containerPortRange",
        ports({"containerPortRange": "1-65535"}),
        *(
            (
                ports({"containerPortRange": text}),
                f"{MAPPING}.containerPortRange",
                "first-last",
            )
            for text in ("80", "0-9", "9-9", "9-8", "1-65536", "a-b")
        ),
        (ports(RANGE | {"hostPort": 1}), f"{MAPPING}.hostPort", "together"),
    ),
    rule(
        "port ranges need mode bridge or awsvpc",
        "API PortMapping.containerPortRange",
        ports(RANGE, networkMode="awsvpc"),
        (ports(RANGE, networkMode="host"), f"{MAPPING}.containerPortRange", "awsvpc"),
    ),
    rule(
        "at most 100 port ranges, which do not overlap",
        "API PortMapping.containerPortRange",
        ports(*({"containerPortRange": f"{i}-{i + 1}"} for i in range(1, 201, 2))),
        (ports(RANGE, {"containerPortRange": "200-300"}), OTHER_MAPPING, "overlaps"),
        (ports(RANGE, {"containerPort": 150}), OTHER_MAPPING, "overlaps"),
        (
            ports(*({"containerPortRange": f"{i}-{i + 1}"} for i in range(1, 204, 2))),
            f"{FIRST}.portMappings",
            "more than 100",
        ),
    ),
]

BETWEEN = [
    rule(
        "links need mode bridge",
        "API ContainerDefinition.links",
        task(container(links=["db:d"]), container(name="db")),
        (
            task(container(links=["db"]), container(name="db"), networkMode="host"),
            f"{FIRST}.links",
            "needs network mode bridge, not host",
        ),
    ),
    rule(
        "links and volumesFrom name other containers of the task",
        "API ContainerDefinition.links, .volumesFrom",
        task(container(volumesFrom=[{"sourceContainer": "db"}]), container(name="db")),
        (task(container(links=["db:d"])), f"{FIRST}.links[0]", "is named db"),
        (task(container(links=["app"])), f"{FIRST}.links[0]", "no other container"),
        (
            task(container(volumesFrom=[{"sourceContainer": "db"}])),
            f"{FIRST}.volumesFrom[0].sourceContainer",
            "is named db",
        ),
        (
            task(container(volumesFrom=[{"readOnly": True}])),
            f"{FIRST}.volumesFrom[0].sourceContainer",
            "missing",
        ),
    ),
    rule(
        "dependsOn names containers of the task",
        "API ContainerDependency.containerName",
        after("START"),
        (after("START", on="dc"), f"{FIRST}.dependsOn[0].containerName", "is named dc"),
    ),
    rule(
        "dependsOn, links and volumesFrom go in no circle",
        "guide container dependencies; ecs-semantics 1.2",
        task(
            container(links=["db"], volumesFrom=[{"sourceContainer": "db"}]), container(name="db")
        ),
        (circle(), "containerDefinitions", "circle: "),
        (after("START", on="app"), "containerDefinitions", "app -> app"),
        (
            task(container(links=["db"]), container(name="db", links=["app:web"])),
            "containerDefinitions",
            "circle: ",
        ),
        (
            task(
                container(volumesFrom=[{"sourceContainer": "db"}]),
                container(name="db", dependsOn=[{"containerName": "app", "condition": "START"}]),
            ),
            "containerDefinitions",
            "circle: ",
        ),
    ),
    rule(
        "HEALTHY needs a health check",
        "API ContainerDependency.condition",
        after("HEALTHY", healthCheck=CHECK),
        (after("HEALTHY"), f"{FIRST}.dependsOn[0].condition", "needs a healthCheck"),
    ),
    rule(
        "COMPLETE and SUCCESS are for containers that are not essential",
        "API ContainerDependency.condition",
        after("COMPLETE", essential=False),
        (after("COMPLETE"), f"{FIRST}.dependsOn[0].condition", "essential: false"),
        (after("SUCCESS"), f"{FIRST}.dependsOn[0].condition", "essential: false"),
    ),
]

LOG = [
    rule(
        "awslogs needs awslogs-group and awslogs-region",
        "aws-cloudformation/cfn-lint#1787; API LogConfiguration.options",
        task(container(logConfiguration={"logDriver": "awslogs", "options": LOGS})),
        (
            task(container(logConfiguration={"logDriver": "awslogs"})),
            f"{FIRST}.logConfiguration.options",
            "awslogs needs awslogs-group, awslogs-region",
        ),
        (
            task(
                container(
                    logConfiguration={
                        "logDriver": "awslogs",
                        "options": without(LOGS, "awslogs-region"),
                    }
                )
            ),
            f"{FIRST}.logConfiguration.options",
            "awslogs needs awslogs-region",
        ),
    ),
    rule(
        "awsfirelens needs a router, and a router something to route",
        "fabfuel/ecs-deploy#164, aws/amazon-cloudwatch-logs-for-fluent-bit#20",
        task(container(**ROUTED), ROUTER | ROUTES),
        (
            task(container(**ROUTED)),
            f"{FIRST}.logConfiguration.logDriver",
            "needs a container of the task with a firelensConfiguration",
        ),
        (
            task(container(), ROUTER | ROUTES),
            "containerDefinitions[1].firelensConfiguration",
            "log driver awsfirelens",
        ),
    ),
    rule(
        "a task has one FireLens router",
        "guide custom log routing",
        task(container(**ROUTED), ROUTER | ROUTES),
        (
            task(container(**ROUTED), ROUTER | ROUTES, ROUTER | ROUTES | {"name": "second"}),
            "containerDefinitions[2].firelensConfiguration",
            "has one already",
        ),
    ),
    rule(
        "a FireLens router runs as user 0",
        "eagletmt/hako#93",
        task(container(**ROUTED), ROUTER | ROUTES | {"user": "0"}),
        (
            task(container(**ROUTED), ROUTER | ROUTES | {"user": "1000"}),
            "containerDefinitions[1].user",
            "runs as user 0",
        ),
    ),
]

VOLUMES = [
    rule(
        "a volume has a name of its own: letters, digits, hyphens and underscores",
        "API Volume.name; aws/amazon-ecs-cli#277",
        volume(host={}),
        (task(volumes=[{"host": {}}]), f"{VOLUME}.name", "missing"),
        (task(volumes=[{"name": "a.b"}]), f"{VOLUME}.name", "letters, digits"),
        (task(volumes=[{"name": "a"}, {"name": "a"}]), "volumes[1].name", "is already named a"),
    ),
    rule(
        "a volume is of one kind",
        "cloudposse/terraform-aws-ecs-alb-service-task#159, #185",
        volume(host={"sourcePath": "/srv"}),
        (
            volume(host={"sourcePath": "/srv"}, efsVolumeConfiguration={"fileSystemId": "fs-1"}),
            VOLUME,
            "one kind",
        ),
        (
            volume(dockerVolumeConfiguration={"scope": "task"}, configuredAtLaunch=True),
            VOLUME,
            "one kind",
        ),
    ),
    rule(
        "one volume of a task may be configured at launch",
        "API Volume.configuredAtLaunch",
        volume(configuredAtLaunch=True),
        (
            task(volumes=[{"name": n, "configuredAtLaunch": True} for n in "ab"]),
            "volumes[1].configuredAtLaunch",
            "configured at launch already",
        ),
    ),
    rule(
        "FSx for Windows needs Windows",
        "ours: Linux only",
        volume(dockerVolumeConfiguration={"scope": "shared", "driver": "rexray/ebs"}),
        (
            volume(
                fsxWindowsFileServerVolumeConfiguration={
                    "fileSystemId": "fs-1",
                    "rootDirectory": "a",
                    "authorizationConfig": {"credentialsParameter": "a", "domain": "a"},
                }
            ),
            f"{VOLUME}.fsxWindowsFileServerVolumeConfiguration",
            "needs Windows",
        ),
    ),
    rule(
        "EFS: an access point has no other root directory",
        "API EFSVolumeConfiguration.rootDirectory",
        efs(**AP, rootDirectory="/", transitEncryption="ENABLED"),
        (
            efs(**AP, rootDirectory="/a", transitEncryption="ENABLED"),
            f"{EFS}.rootDirectory",
            "absent or /",
        ),
    ),
    rule(
        "EFS: an access point or iam needs encryption in transit",
        "API EFSAuthorizationConfig",
        efs(authorizationConfig={"iam": "DISABLED"}),
        (efs(**AP), f"{EFS}.transitEncryption", "must be ENABLED"),
        (
            efs(authorizationConfig={"iam": "ENABLED"}, transitEncryption="DISABLED"),
            f"{EFS}.transitEncryption",
            "must be ENABLED",
        ),
    ),
    rule(
        "EFS: a port of encryption is 1 to 65535",
        "API EFSVolumeConfiguration.transitEncryptionPort",
        efs(transitEncryption="ENABLED", transitEncryptionPort=2999),
        (efs(transitEncryptionPort=0), f"{EFS}.transitEncryptionPort", "0 is outside"),
    ),
    rule(
        "a mount point names a volume of the task",
        "wellcomecollection/platform#677: Unknown volume; ansible/ansible#35751",
        mounted({"sourceVolume": "shared-data", "containerPath": "/data"}, "shared-data"),
        (
            mounted({"sourceVolume": "shared-data", "containerPath": "/data"}, "shared_data"),
            f"{MOUNT}.sourceVolume",
            "did you mean shared_data?",
        ),
        (
            mounted({"sourceVolume": "data", "containerPath": "/data"}),
            f"{MOUNT}.sourceVolume",
            "no volume of the task is named 'data'",
        ),
    ),
    rule(
        "a mount point has sourceVolume and containerPath",
        "guide docker volumes",
        mounted({"sourceVolume": "a", "containerPath": "/a", "readOnly": True}, "a"),
        (mounted({"containerPath": "/a"}, "a"), f"{MOUNT}.sourceVolume", "missing"),
        (mounted({"sourceVolume": "a"}, "a"), f"{MOUNT}.containerPath", "missing"),
    ),
]

HELD_BY_FARGATE = "is not to be had with FARGATE"
FARGATE = [
    rule(
        "network mode awsvpc",
        "API networkMode",
        fargate(),
        (fargate(networkMode="bridge"), "networkMode", "must be awsvpc"),
        (without(fargate(), "networkMode"), "networkMode", "must be awsvpc"),
    ),
    rule(
        "cpu and memory at the task level",
        "mongodb/terraform-aws-ecs-task-definition#38, aws/amazon-ecs-cli#982",
        fargate(cpu=".25 vCPU", memory="0.5 GB"),
        (without(fargate(), "cpu"), "cpu", "needs it at the task level"),
        (without(fargate(), "memory"), "memory", "needs it at the task level"),
    ),
    rule(
        "sizes that Fargate has",
        "aws/amazon-ecs-cli#463: No Fargate configuration exists for given values; API memory",
        fargate(cpu="16 vCPU", memory="120 GB"),
        (fargate(cpu="300"), "cpu", "300 is no size of FARGATE"),
        (fargate(cpu="512", memory="512"), "memory", "512 does not go with 512 CPU units"),
        (fargate(cpu="8192", memory="17 GB"), "memory", "does not go with"),
    ),
    rule(
        "no placement constraints",
        "hashicorp/terraform-provider-aws#26337",
        fargate(placementConstraints=[]),
        (
            fargate(
                placementConstraints=[{"type": "memberOf", "expression": "attribute:a exists"}]
            ),
            "placementConstraints",
            "not to be had with FARGATE",
        ),
    ),
    rule(
        "no ipcMode; pidMode task alone",
        "cn-terraform/terraform-aws-ecs-fargate#2; API pidMode",
        fargate(pidMode="task"),
        (fargate(ipcMode="task"), "ipcMode", HELD_BY_FARGATE),
        (fargate(pidMode="host"), "pidMode", "must be task"),
    ),
    rule(
        "no path of the host, no Docker volume",
        "cloudposse/terraform-aws-ecs-alb-service-task#174; API dockerVolumeConfiguration",
        fargate(volumes=[{"name": "a", "host": {}}]),
        (
            fargate(volumes=[{"name": "a", "host": {"sourcePath": "/a"}}]),
            f"{VOLUME}.host.sourcePath",
            HELD_BY_FARGATE,
        ),
        (
            fargate(volumes=[{"name": "a", "dockerVolumeConfiguration": {"scope": "task"}}]),
            f"{VOLUME}.dockerVolumeConfiguration",
            HELD_BY_FARGATE,
        ),
    ),
    rule(
        "awslogs and images of ECR need the executionRoleArn",
        "virtual-kubelet/virtual-kubelet#193",
        fargate(container(logConfiguration={"logDriver": "awslogs", "options": LOGS}), **ROLE),
        (
            fargate(container(logConfiguration={"logDriver": "awslogs", "options": LOGS})),
            "executionRoleArn",
            f"the awslogs of {FIRST}",
        ),
        (
            fargate(container(image="1.dkr.ecr.eu-west-1.amazonaws.com/app")),
            "executionRoleArn",
            f"the ECR image of {FIRST}",
        ),
    ),
    rule(
        "log drivers awslogs, splunk and awsfirelens",
        "kayac/ecspresso#364",
        fargate(container(logConfiguration={"logDriver": "splunk"})),
        (
            fargate(container(logConfiguration={"logDriver": "json-file"})),
            f"{FIRST}.logConfiguration.logDriver",
            HELD_BY_FARGATE,
        ),
    ),
    rule(
        "no privileged containers, no dockerSecurityOptions",
        "API ContainerDefinition.privileged, .dockerSecurityOptions",
        fargate(container(privileged=False)),
        (fargate(container(privileged=True)), f"{FIRST}.privileged", HELD_BY_FARGATE),
        (
            fargate(container(dockerSecurityOptions=["no-new-privileges"])),
            f"{FIRST}.dockerSecurityOptions",
            HELD_BY_FARGATE,
        ),
    ),
    rule(
        "of linuxParameters no devices, sharedMemorySize, maxSwap, swappiness",
        "API LinuxParameters",
        fargate(linux(initProcessEnabled=True)),
        (
            fargate(linux(sharedMemorySize=64)),
            f"{FIRST}.linuxParameters.sharedMemorySize",
            HELD_BY_FARGATE,
        ),
        (
            fargate(linux(devices=[{"hostPath": "/dev/fuse"}])),
            f"{FIRST}.linuxParameters.devices",
            HELD_BY_FARGATE,
        ),
    ),
    rule(
        "SYS_PTRACE is the only capability to add",
        "API KernelCapabilities.add",
        fargate(linux(capabilities={"add": ["SYS_PTRACE"], "drop": ["ALL"]})),
        (
            fargate(linux(capabilities={"add": ["NET_ADMIN"]})),
            f"{FIRST}.linuxParameters.capabilities.add[0]",
            HELD_BY_FARGATE,
        ),
    ),
    rule(
        "timeouts of at most 120 s",
        "API ContainerDefinition.startTimeout, .stopTimeout",
        fargate(container(stopTimeout=120)),
        (fargate(container(stopTimeout=121)), f"{FIRST}.stopTimeout", "above 120"),
    ),
]

GROUPS = {
    "Shape": SHAPE,
    "Task": TASK,
    "Container": CONTAINER,
    "Ports": PORTS,
    "Containers among themselves": BETWEEN,
    "Logs": LOG,
    "Volumes": VOLUMES,
    "With requiresCompatibilities FARGATE": FARGATE,
}
RULES = [each for group in GROUPS.values() for each in group]
