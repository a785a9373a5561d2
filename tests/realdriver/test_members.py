"""Every member of RegisterTaskDefinition has a fate on Docker, and has it in truth."""

from __future__ import annotations

import copy
import json
from contextlib import suppress

import pytest
from botocore.loaders import Loader

from stowplan.placement.driver import DriverError
from stowplan.placement.errors import PlacementError
from stowplan.placement.taskdef.parse import parse_task_definition
from stowplan.realdriver.docker.leftovers import leftovers
from stowplan.realdriver.docker.members import MEMBERS
from stowplan.realdriver.docker.placed import Placed
from stowplan.realdriver.docker.translate import create_call, pause_call
from stowplan.realdriver.docker.volumes import volume_calls
from tests.realdriver.members_page import PAGE, page
from tests.realdriver.rig import Rig, container, ours, registration, run_task, settings
from tests.realdriver.test_lifecycle import fetch

SHAPES = Loader().load_service_model("ecs", "service-2")["shapes"]


def leaves(name="RegisterTaskDefinitionRequest", path=""):
    """(path, shape) of all that a definition may say."""
    shape = SHAPES[name]
    if shape["type"] == "structure":
        for member, each in shape["members"].items():
            yield from leaves(each["shape"], f"{path}.{member}" if path else member)
    elif shape["type"] == "list":
        yield from leaves(shape["member"]["shape"], f"{path}[]")
    else:
        yield path, shape


LEAVES = dict(leaves())


def test_the_table_has_every_member_of_awss_model_and_no_other():
    assert sorted(MEMBERS) == sorted(LEAVES)


def test_the_page_is_made_of_the_table():
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.realdriver.members_page"


def placed(document, **more):
    """A task of this document, whatever the rules of AWS say of it."""
    plain = {"family": "app", "containerDefinitions": [container()]}
    if document.get("networkMode"):
        plain["networkMode"] = document["networkMode"]
    definition = parse_task_definition(document if more.pop("whole", False) else plain)
    for field, value in more.pop("has", {}).items():
        object.__setattr__(definition, field, value)
    object.__setattr__(definition, "document", document)
    return Placed("shop", "r1", 7, "i-1", definition, secrets={"s": "v"}, **more)


def with_member(path, value):
    """A document with this member alone, in lists of one."""
    first, *rest = path.split(".")
    document = {"family": "app", "containerDefinitions": [container(mountPoints=[
        {"sourceVolume": "v", "containerPath": "/v"}])], "volumes": [{"name": "v"}]}  # fmt: skip
    here, names = document, [first, *rest]
    for n, name in enumerate(names):
        last, key = n == len(names) - 1, name.removesuffix("[]")
        many = name.endswith("[]")
        if last:
            here[key] = [value] if many else value
        elif many:
            here.setdefault(key, [{}])
            here = here[key][0]
        else:
            here = here.setdefault(key, {})
    return document


def sample(path):
    """A value of a member's type, and one that a refusal is not spared for."""
    shape, fine = LEAVES[path], MEMBERS[path].fine
    kinds = {"string": "x", "integer": 1, "long": 1, "boolean": True, "map": {"x": "y"}}
    listed = [each for each in shape.get("enum", ()) if each not in fine]
    return listed[0] if listed else kinds[shape["type"]]


REFUSED = [path for path, fate in MEMBERS.items() if fate.kind == "refused"]


@pytest.mark.parametrize("path", REFUSED)
def test_what_is_refused_is_refused_by_name(path):
    task = placed(with_member(path, sample(path)))
    with pytest.raises(DriverError, match="not on a Docker engine"):
        create_call(task, task.definition.containers[0])
    for fine in MEMBERS[path].fine:
        task = placed(with_member(path, fine))
        create_call(task, task.definition.containers[0])


def calls(document):
    """All that an engine is asked for a task of a document that AWS would take."""
    definition = parse_task_definition(document)
    task = Placed("shop", "r1", 7, "i-1", definition, secrets={"s": "v", "t": "w"}, nests="/d/")
    made = [create_call(task, each, "h") for each in definition.containers]
    return json.dumps([*made, pause_call(task) if task.is_held else None, *volume_calls(task)])


# Beside each: what a definition needs to say it, and two values of which each must show.
FULL = {
    "family": "app",
    "networkMode": "bridge",
    "cpu": "512",
    "memory": "256",
    "pidMode": "task",
    "ipcMode": "task",
    "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
    "volumes": [
        {"name": "host", "host": {"sourcePath": "/etc"}},
        {
            "name": "own",
            "dockerVolumeConfiguration": {
                "scope": "shared",
                "autoprovision": True,
                "driver": "local",
                "driverOpts": {"type": "nfs"},
                "labels": {"a": "b"},
            },
        },
    ],
    "containerDefinitions": [
        container(
            "main",
            entryPoint=["sh"],
            memoryReservation=16,
            environment=[{"name": "A", "value": "1"}],
            hostname="h",
            user="1",
            workingDirectory="/w",
            privileged=True,
            readonlyRootFilesystem=True,
            dnsServers=["1.1.1.1"],
            dnsSearchDomains=["example.com"],
            extraHosts=[{"hostname": "a", "ipAddress": "10.0.0.1"}],
            dockerSecurityOptions=["no-new-privileges"],
            interactive=True,
            pseudoTerminal=True,
            dockerLabels={"x": "y"},
            ulimits=[{"name": "nofile", "softLimit": 1, "hardLimit": 2}],
            healthCheck={
                "command": ["CMD", "true"],
                "interval": 10,
                "timeout": 4,
                "retries": 4,
                "startPeriod": 9,
            },
            mountPoints=[
                {"sourceVolume": "host", "containerPath": "/h", "readOnly": True},
                {"sourceVolume": "own", "containerPath": "/o"},
            ],
            links=["side:alias"],
            resourceRequirements=[{"type": "GPU", "value": "1"}],
            systemControls=[{"namespace": "net.core.somaxconn", "value": "9"}],
            portMappings=[
                {"containerPort": 80, "hostPort": 8080, "protocol": "udp"},
                {"containerPortRange": "90-92"},
            ],
            volumesFrom=[{"sourceContainer": "side", "readOnly": True}],
            secrets=[{"name": "S", "valueFrom": "s"}],
            stopTimeout=9,
            logConfiguration={
                "logDriver": "splunk",
                "options": {"splunk-url": "u"},
                "secretOptions": [{"name": "splunk-token", "valueFrom": "s"}],
            },
            linuxParameters={
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["CHOWN"]},
                "devices": [
                    {"hostPath": "/dev/a", "containerPath": "/dev/b", "permissions": ["read"]}
                ],
                "initProcessEnabled": True,
                "sharedMemorySize": 8,
                "tmpfs": [{"containerPath": "/t", "size": 4, "mountOptions": ["noexec"]}],
                "maxSwap": 64,
                "swappiness": 10,
            },
        ),
        container("side", essential=False),
    ],
    "executionRoleArn": "arn:aws:iam::123456789012:role/r",
}
OTHERS = {"nofile": "nproc", "GPU": "GPU", "splunk": "fluentd", "s": "t", "read": "write"}
OTHERS |= {"bridge": "host", "udp": "tcp", "nfs": "cifs", "/etc": "/usr", "90-92": "90-93"}
OTHERS |= {
    "task": "host",
    "shared": "task",
    "local": "rexray",
    "net.core.somaxconn": "net.ipv4.ip_forward",
}
OTHERS |= {
    "CHOWN": "FOWNER",
    "NET_ADMIN": "SYS_ADMIN",
    "CMD": "CMD-SHELL",
    "512": "1024",
    "256": "128",
    "1": "2",
}
# Not asked of the engine: of the agent, of the scheduler, or shown by another test.
ELSEWHERE = {
    *("placementConstraints[].type", "placementConstraints[].expression"),
    *(f"containerDefinitions[].{name}" for name in (
        "essential", "restartPolicy.enabled", "restartPolicy.ignoredExitCodes[]", "startTimeout",
        "restartPolicy.restartAttemptPeriod", "dependsOn[].containerName", "dependsOn[].condition",
        "resourceRequirements[].type", "disableNetworking", "volumesFrom[].sourceContainer")),
    *("networkMode", "runtimePlatform.cpuArchitecture", "volumes[].name"),
    "containerDefinitions[].name",
    *("containerDefinitions[].mountPoints[].sourceVolume", "containerDefinitions[].links[]"),
}  # fmt: skip


def changed(value):
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, dict):
        return {**value, "z": "z"}
    return value + 1 if isinstance(value, int) else OTHERS.get(value, f"{value}z")


def places(node, path, names):
    """(owner, key) of a member's first place in a document."""
    name, *rest = names
    key = name.removesuffix("[]")
    if key not in node:
        return None
    if not rest:
        return (node[key], 0) if name.endswith("[]") else (node, key)
    for each in node[key] if name.endswith("[]") else [node[key]]:
        if found := places(each, path, rest):
            return found
    return None


CARRIED = [path for path, fate in MEMBERS.items() if fate.kind == "carried out"]


@pytest.mark.parametrize("path", [path for path in CARRIED if path not in ELSEWHERE])
def test_what_is_carried_out_shows_in_what_the_engine_is_asked_for(path):
    document = copy.deepcopy(FULL)
    owner, key = places(document, path, path.split("."))
    before = calls(FULL)
    owner[key] = changed(owner[key])
    after = ""
    with suppress(DriverError):  # it shows, too, where that value is refused
        after = calls(document)
    assert after != before


def without(node, prefix=()):
    """Every way to leave one member out of a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(items):
        if isinstance(node, dict):
            yield (*prefix, key)
        if isinstance(value, dict | list):
            yield from without(value, (*prefix, key))


def test_no_member_that_is_left_out_ends_in_a_bare_error():
    for path in without(FULL):
        document = copy.deepcopy(FULL)
        owner = document
        for key in path[:-1]:
            owner = owner[key]
        del owner[path[-1]]
        with suppress(PlacementError):  # AWS would refuse it, or we do, in words
            calls(document)


def test_an_engine_of_another_architecture_is_refused():
    platform = {"runtimePlatform": {"cpuArchitecture": "ARM64"}}
    document = {"family": "app", "containerDefinitions": [container()], **platform}
    for has, refuses in (("x86_64", True), ("amd64", True), ("aarch64", False), ("", False)):
        task = placed(document, architecture=has)
        if refuses:
            with pytest.raises(DriverError, match="ARM64, and the engine's is X86_64"):
                create_call(task, task.definition.containers[0])
        else:
            create_call(task, task.definition.containers[0])


def test_only_gpus_are_had_and_swappiness_needs_max_swap_and_shares_have_a_most():
    asks = container(resourceRequirements=[{"type": "InferenceAccelerator", "value": "d"}])
    task = placed({"family": "app", "containerDefinitions": [asks]})
    with pytest.raises(DriverError, match="InferenceAccelerator"):
        create_call(task, task.definition.containers[0])
    document = {
        "family": "app",
        "containerDefinitions": [container(cpu=400_000, linuxParameters={"swappiness": 3})],
    }
    definition = parse_task_definition(document)
    host = create_call(Placed("c", "r", 1, "i", definition), definition.containers[0])["HostConfig"]
    assert "MemorySwappiness" not in host
    assert host["CpuShares"] == 262_144


def test_a_range_of_ports_is_a_row_of_host_ports_and_two_tasks_have_two_rows():
    document = {
        "family": "app",
        "containerDefinitions": [container(portMappings=[{"containerPortRange": "8000-8019"}])],
    }
    definition = parse_task_definition(document)
    rows = []
    for number in (1, 2):
        task = Placed("c", "r", number, "i", definition)
        bound = create_call(task, definition.containers[0])["HostConfig"]["PortBindings"]
        rows.append([int(bound[f"{port}/tcp"][0]["HostPort"]) for port in range(8000, 8020)])
    for row in rows:
        assert row == list(range(row[0], row[0] + 20))
    assert not set(rows[0]) & set(rows[1])


def test_kernel_parameters_of_a_network_go_to_the_container_that_holds_it():
    control = [{"namespace": "net.core.somaxconn", "value": "9"}]
    document = {"family": "app", "networkMode": "awsvpc"}
    document["containerDefinitions"] = [container(systemControls=control)]
    definition = parse_task_definition(document)
    task = Placed("c", "r", 1, "i", definition)
    assert pause_call(task)["HostConfig"]["Sysctls"] == {"net.core.somaxconn": "9"}
    assert "Sysctls" not in create_call(task, definition.containers[0])["HostConfig"]


def test_volumes_of_another_container_and_a_range_of_ports_on_a_real_engine(shared):
    app = container(
        "app",
        "echo moin > /data/index.html; exec httpd -f -p 8001 -h /data",
        volumesFrom=[{"sourceContainer": "data"}],
        portMappings=[{"containerPortRange": "8000-8002"}],
        linuxParameters={"swappiness": 5},
        cpu=300_000,
    )
    data = container(
        "data", mountPoints=[{"sourceVolume": "v", "containerPath": "/data"}], essential=False
    )
    table = settings([shared])
    (engine,) = table.engine
    table = table.model_copy(update={"engine": (engine.model_copy(update={"cpu": 400_000}),)})
    rig = Rig(table, [registration("app", app, data, volumes=[{"name": "v"}]), run_task("app")])
    try:
        rig.until(rig.runs(1))
        # RUNNING says that its process began, not that it listens yet.
        rig.until(lambda: "moin" in fetch(shared, "127.0.0.1", 61_001))
        bound = ours(shared, rig.cluster)["0-app"]["NetworkSettings"]["Ports"]
        assert {p: b[0]["HostPort"] for p, b in bound.items()} == {
            "8000/tcp": "61000",
            "8001/tcp": "61001",
            "8002/tcp": "61002",
        }
        rig.check()
    finally:
        rig.close()
        leftovers(table, rig.cluster, None).remove()
