"""The create call that a task definition becomes, field by field; and what it cannot become."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stowplan.placement.driver import DriverError
from stowplan.placement.taskdef.parse import parse_task_definition
from stowplan.realdriver.docker import names, pause
from stowplan.realdriver.docker.placed import Placed
from stowplan.realdriver.docker.translate import create_call, pause_call
from stowplan.realdriver.docker.volumes import volume_calls, volumes
from tests.realdriver.rig import container

MIB = 1 << 20
AWSLOGS = {"awslogs-group": "g", "awslogs-region": "eu-west-1"}


def placed(
    *containers, address="", cpus=0, cpu=None, memory=None, secrets=None, nests="", **fields
):
    """A task of one definition, on its instance."""
    document = {"family": "app", "containerDefinitions": list(containers), **fields}
    definition = parse_task_definition(document)
    secrets = secrets or {}
    of_task = (definition, cpu, memory, address, cpus, secrets)
    return Placed("shop", "r1", 7, "i-1", *of_task, nests=nests)


def call_of(definition, **more):
    """The create call of a task's only container."""
    task = placed(definition, **more)
    call = create_call(task, task.definition.containers[0])
    json.dumps(call)
    return call


def host_of(definition, **more):
    """Its HostConfig."""
    return call_of(definition, **more)["HostConfig"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"entryPoint": ["/bin/app", "-v"]}, {"Entrypoint": ["/bin/app", "-v"]}),
        ({"environment": [{"name": "A", "value": "1"}]}, {"Env": ["A=1"]}),
        ({"user": "1:2", "workingDirectory": "/w"}, {"User": "1:2", "WorkingDir": "/w"}),
        ({"hostname": "h", "pseudoTerminal": True}, {"Hostname": "h", "Tty": True}),
        ({"stopTimeout": 9}, {"StopTimeout": 9}),
        ({}, {"StopTimeout": 30, "Cmd": ["sh", "-c", "sleep 1000"]}),
        (
            {"healthCheck": {"command": ["CMD", "true"], "interval": 7, "startPeriod": 3}},
            {
                "Healthcheck": {
                    "Test": ["CMD", "true"],
                    "Interval": 7_000_000_000,
                    "Timeout": 5_000_000_000,
                    "Retries": 3,
                    "StartPeriod": 3_000_000_000,
                }
            },
        ),
    ],
    ids=str,
)
def test_a_field_of_a_container_has_its_place_in_the_call(fields, expected):
    call = call_of(container(**fields))
    assert {name: call[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"cpu": 512}, {"CpuShares": 512}),
        ({"cpu": 0}, {"CpuShares": 2}),
        ({"memory": 64}, {"Memory": 64 * MIB}),
        ({"memory": 64, "memoryReservation": 32}, {"MemoryReservation": 32 * MIB}),
        ({"readonlyRootFilesystem": True}, {"ReadonlyRootfs": True}),
        ({"privileged": True}, {"Privileged": True}),
        (
            {"ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}]},
            {"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]},
        ),
        (
            {"linuxParameters": {"initProcessEnabled": True, "sharedMemorySize": 8}},
            {"Init": True, "ShmSize": 8 * MIB},
        ),
        (
            {"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"], "drop": ["CHOWN"]}}},
            {"CapAdd": ["NET_ADMIN"], "CapDrop": ["CHOWN"]},
        ),
        (
            {"extraHosts": [{"hostname": "a", "ipAddress": "10.0.0.1"}], "dnsServers": ["1.1.1.1"]},
            {"ExtraHosts": ["a:10.0.0.1"], "Dns": ["1.1.1.1"]},
        ),
        (
            {"logConfiguration": {"logDriver": "awslogs", "options": AWSLOGS}},
            {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}},
        ),
        (
            {"logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}}},
            {"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}},
        ),
        (
            {"resourceRequirements": [{"type": "GPU", "value": "2"}]},
            {"DeviceRequests": [{"Count": 2, "Capabilities": [["gpu"]]}]},
        ),
        ({}, {"NetworkMode": "stowplan-shop"}),
    ],
    ids=str,
)
def test_a_limit_or_right_has_its_place_in_the_host_config(fields, expected):
    host = host_of(container(**fields))
    assert {name: host[name] for name in expected} == expected


def test_ports_are_published_where_the_instance_is_and_zero_is_the_engines_choice():
    ports = [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "protocol": "udp"}]
    call = call_of(container(portMappings=ports), address="127.0.1.2")
    assert call["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.1.2", "HostPort": "8080"}],
        "53/udp": [{"HostIp": "127.0.1.2", "HostPort": ""}],
    }
    assert set(call["ExposedPorts"]) == {"80/tcp", "53/udp"}


def test_task_level_limits_hold_for_each_container_and_never_exceed_the_engine():
    host = host_of(container(), cpus=2, cpu=4096, memory=None)
    assert host["NanoCpus"] == 2_000_000_000
    bare = container() | {"memoryReservation": 16}
    del bare["memory"]
    assert host_of(bare, memory=128)["Memory"] == 128 * MIB


def test_limits_of_several_containers_together_are_those_of_one_that_holds_them():
    both = (container("a", memory=48), container("b"))
    task = placed(*both, cpu=512, memory=64, nests="/docker/")
    holder = pause_call(task)
    assert holder["HostConfig"] == {
        "NetworkMode": "host",
        "Memory": 64 * MIB,
        "NanoCpus": 500_000_000,
        "CpuShares": 512,
    }
    host = create_call(task, task.definition.containers[0], "abc")["HostConfig"]
    assert (host["CgroupParent"], host["Memory"]) == ("/docker/abc", 48 * MIB)
    assert "NanoCpus" not in host
    network = pause_call(placed(*both, memory=64, nests="/docker/", networkMode="awsvpc"))
    assert network["HostConfig"]["NetworkMode"] == "stowplan-shop"
    assert network["HostConfig"]["Memory"] == 64 * MIB


def test_nobody_holds_one_container_or_what_has_no_limit_or_an_engine_that_cannot():
    both = (container("a"), container("b"))
    for task in (
        placed(container(), memory=64, nests="/docker/"),
        placed(*both, nests="/docker/"),
        placed(*both, memory=64),
    ):
        assert not task.is_held
        assert "CgroupParent" not in create_call(task, task.definition.containers[0])["HostConfig"]


def test_labels_say_whose_it_is_and_a_users_own_cannot_hide_it():
    call = call_of(container(dockerLabels={"mine": "1", names.CLUSTER: "other"}))
    assert call["Labels"] == {
        "mine": "1",
        names.CLUSTER: "shop",
        names.RUN: "r1",
        names.INSTANCE: "i-1",
        names.TASK: "7",
        names.DEFINITION: "app:1",
        names.CONTAINER: "c",
    }


def test_secrets_come_from_what_the_engines_file_names_or_the_task_says_why_not():
    arn = "arn:aws:ssm:us-east-1:123456789012:parameter/x"
    wanting = container(secrets=[{"name": "KEY", "valueFrom": arn}])
    role = {"executionRoleArn": "arn:aws:iam::123456789012:role/r"}
    assert call_of(wanting, secrets={arn: "v"}, **role)["Env"] == ["KEY=v"]
    with pytest.raises(DriverError, match="ResourceInitializationError"):
        call_of(wanting, **role)


def test_volumes_of_a_task_live_as_long_as_it_does_and_a_hosts_folder_is_mounted():
    mounts = [
        {"sourceVolume": "scratch", "containerPath": "/s"},
        {"sourceVolume": "etc", "containerPath": "/e", "readOnly": True},
    ]
    task = placed(
        container(mountPoints=mounts),
        volumes=[{"name": "scratch"}, {"name": "etc", "host": {"sourcePath": "/etc"}}],
    )
    assert volumes(task) == {"scratch": "stowplan-shop-7-scratch"}
    binds = create_call(task, task.definition.containers[0])["HostConfig"]["Binds"]
    assert binds == ["stowplan-shop-7-scratch:/s", "/etc:/e:ro"]


def test_driver_and_options_of_a_volume_reach_the_engine():
    nfs = {"type": "nfs", "device": "nas.example.com:/share", "o": "addr=nas.example.com,ro"}
    mounts = [{"sourceVolume": n, "containerPath": f"/{n}"} for n in ("nas", "all", "there")]
    task = placed(
        container(mountPoints=mounts),
        volumes=[
            {
                "name": "nas",
                "dockerVolumeConfiguration": {
                    "scope": "task",
                    "driver": "local",
                    "driverOpts": nfs,
                    "labels": {"mine": "1"},
                },
            },
            {
                "name": "all",
                "dockerVolumeConfiguration": {
                    "scope": "shared",
                    "autoprovision": True,
                    "driver": "rexray/ebs",
                },
            },
            {"name": "there", "dockerVolumeConfiguration": {"scope": "shared"}},
        ],
    )
    own, shared = volume_calls(task)
    assert own == {
        "Name": "stowplan-shop-7-nas",
        "Driver": "local",
        "DriverOpts": nfs,
        "Labels": {"mine": "1", **task.labels},
    }
    assert shared == {"Name": "all", "Driver": "rexray/ebs"}
    binds = create_call(task, task.definition.containers[0])["HostConfig"]["Binds"]
    assert binds == ["stowplan-shop-7-nas:/nas", "all:/all", "there:/there"]


@pytest.mark.parametrize(
    "kind",
    [
        {"efsVolumeConfiguration": {"fileSystemId": "fs-1"}},
        {"s3filesVolumeConfiguration": {"fileSystemArn": "arn:aws:s3files:::fs-1"}},
        {"configuredAtLaunch": True},
    ],
)
def test_a_volume_that_only_aws_has_is_refused_and_not_made_as_an_empty_one(kind):
    mount = {"sourceVolume": "v", "containerPath": "/v"}
    task = placed(container(mountPoints=[mount]), volumes=[{"name": "v"} | kind])
    assert not list(volume_calls(task))
    with pytest.raises(DriverError, match="the volume is AWS's"):
        create_call(task, task.definition.containers[0])


def test_containers_that_share_namespaces_join_the_one_that_holds_them():
    both = (container("main"), container("tracer", essential=False))
    task = placed(*both, pidMode="task", ipcMode="task")
    assert task.is_held
    assert pause_call(task)["HostConfig"]["IpcMode"] == "shareable"
    for each in task.definition.containers:
        host = create_call(task, each)["HostConfig"]
        holder = f"container:{task.name(names.PAUSE)}"
        assert (host["PidMode"], host["IpcMode"]) == (holder, holder)
    own = placed(container(), pidMode="host", ipcMode="none")
    host = create_call(own, own.definition.containers[0])["HostConfig"]
    assert not own.is_held
    assert (host["PidMode"], host["IpcMode"]) == ("host", "none")


def test_a_port_that_is_mapped_twice_is_bound_twice():
    ports = [{"containerPort": 80, "hostPort": port} for port in (8080, 8081)]
    bound = host_of(container(portMappings=ports))["PortBindings"]["80/tcp"]
    assert [each["HostPort"] for each in bound] == ["8080", "8081"]


def test_members_that_are_null_are_not_there():
    nothing = container(healthCheck=None, logConfiguration=None, ulimits=None, hostname=None)
    task = placed(nothing, volumes=[{"name": "cache", "host": None}], pidMode=None)
    assert create_call(task, task.definition.containers[0]) == call_of(container())
    assert volumes(task) == {"cache": "stowplan-shop-7-cache"}


def test_containers_of_an_awsvpc_task_join_the_one_that_holds_its_network():
    task = placed(container(portMappings=[{"containerPort": 80}]), networkMode="awsvpc")
    holder = pause_call(task)
    assert holder["HostConfig"]["NetworkMode"] == "stowplan-shop"
    assert list(holder["HostConfig"]["PortBindings"]) == ["80/tcp"]
    host = create_call(task, task.definition.containers[0])["HostConfig"]
    assert host["NetworkMode"] == f"container:{task.name(names.PAUSE)}"
    assert "PortBindings" not in host


@given(st.text())
def test_any_text_becomes_a_name_that_engines_accept(text):
    name = names.cluster_name(text)
    assert name == names.cluster_name(name)
    assert all(each.isascii() and (each.isalnum() or each in "_.-") for each in name)
    assert name[0].isalnum()


def test_no_pause_program_for_a_machine_that_nobody_knows():
    assert pause.program("x86_64").startswith(b"\x7fELF")
    assert pause.program("aarch64")[18] == 183
    with pytest.raises(DriverError, match="riscv"):
        pause.program("riscv64")
