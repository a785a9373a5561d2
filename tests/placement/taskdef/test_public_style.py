"""Definitions in the style of public repositories: read, or refused, as ECS would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stowplan.placement.driver import DriverError
from stowplan.placement.errors import SpecError
from stowplan.placement.taskdef.capabilities import AGENT_CAPABILITIES
from stowplan.placement.taskdef.notes import assumptions
from stowplan.placement.taskdef.parse import host_ports, parse_task_definition, task_resources
from stowplan.realdriver.docker.placed import Placed
from stowplan.realdriver.docker.translate import create_call, pause_call
from stowplan.realdriver.docker.volumes import volume_calls
from tests.placement.taskdef.taskdef_builders import FIRST

STYLE = Path(__file__).parent / "public_style"
# What each reserves, and its TCP and UDP ports of the host.
ACCEPTED = {
    "appmesh_envoy": ({"CPU": 512, "MEMORY": 1024, "ENI": 1}, (), ()),
    "datadog_agent_daemon": ({"CPU": 100, "MEMORY": 512, "PORTS": 2}, (8126,), (8125,)),
    "dns_both_protocols": ({"MEMORY": 64, "PORTS": 2}, (53,), (53,)),
    "ebs_at_launch": ({"CPU": 2048, "MEMORY": 8192, "ENI": 1}, (), ()),
    "efs_wordpress": ({"CPU": 1024, "MEMORY": 3072, "ENI": 1}, (), ()),
    "elasticsearch_ulimits": ({"CPU": 1024, "MEMORY": 4096, "PORTS": 2}, (9200, 9300), ()),
    "fluent_bit_sidecar": ({"CPU": 256, "MEMORY": 562, "ENI": 1}, (), ()),
    "gpu_job": ({"CPU": 4096, "MEMORY": 15000, "GPU": 1}, (), ()),
    "graviton_api": ({"CPU": 256, "MEMORY": 512, "ENI": 1}, (), ()),
    "haproxy_sysctls": ({"MEMORY": 128, "ENI": 1}, (), ()),
    "inference_accelerator": ({"CPU": 1024, "MEMORY": 4096, "PORTS": 1}, (80,), ()),
    "migrate_then_serve": ({"CPU": 512, "MEMORY": 1472}, (), ()),
    "nginx": ({"CPU": 128, "MEMORY": 128}, (), ()),
    "node_exporter": ({"MEMORY": 32, "PORTS": 1}, (9100,), ()),
    "private_registry": ({"MEMORY": 128}, (), ()),
    "rexray_postgres": ({"CPU": 512, "MEMORY": 1024, "PORTS": 1}, (5432,), ()),
    "secrets_ssm": ({"MEMORY": 512}, (), ()),
    "service_connect_fault": ({"CPU": 256, "MEMORY": 512, "ENI": 1}, (), ()),
    "sip_port_range": ({"MEMORY": 256, "ENI": 1}, (), ()),
    "strace_sidecar": ({"MEMORY": 320}, (), ()),
    "tun_vpn": ({"MEMORY": 128, "PORTS": 1}, (), (1194,)),
    "xray_and_tags": ({"CPU": 224, "MEMORY": 768}, (), ()),
}
EFS = "volumes[0].efsVolumeConfiguration"
REFUSED = {
    "capability_with_cap": {f"{FIRST}.linuxParameters.capabilities.add[0]"},
    "circle_by_volumes": {
        "containerDefinitions",
        "containerDefinitions[1].dependsOn[0].condition",
    },
    "efs_access_point_in_clear": {f"{EFS}.rootDirectory", f"{EFS}.transitEncryption"},
    "external_only": {"requiresCompatibilities"},
    "fargate_with_host_volume": {"volumes[0].host.sourcePath", f"{FIRST}.privileged"},
    "firelens_without_router": {f"{FIRST}.logConfiguration.logDriver"},
    "logs_without_region": {f"{FIRST}.logConfiguration.options"},
    "neuron": {f"{FIRST}.resourceRequirements[0].type"},
    "secrets_without_role": {f"{FIRST}.secrets"},
    "vm_max_map_count": {f"{FIRST}.systemControls[0].namespace"},
    "windows_iis": {"runtimePlatform.operatingSystemFamily"},
}
# What an agent does not announce of itself, so that only some instances have it.
SPECIAL = {"ecs.capability.docker-plugin.rexray/ebs", "ecs.cpu-architecture=arm64"}


def style(name):
    return json.loads((STYLE / f"{name}.json").read_text())


def test_every_file_is_in_a_table():
    assert {each.stem for each in STYLE.glob("*.json")} == ACCEPTED.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", ACCEPTED)
def test_it_is_read_and_reserves_what_ecs_reserves(name):
    reserved, tcp, udp = ACCEPTED[name]
    found = parse_task_definition(style(name))
    assert task_resources(found) == reserved
    assert host_ports(found) == (tcp, udp)
    assert parse_task_definition(found.document) == found


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_current_agent_has_what_it_requires(name):
    required = set(parse_task_definition(style(name)).requires_attributes)
    assert required - set(AGENT_CAPABILITIES) <= SPECIAL


# What an engine cannot do: disks and services of AWS, App Mesh's proxy, chips that are no GPUs.
REFUSED_ON_DOCKER = (
    *("secrets_ssm", "efs_wordpress", "ebs_at_launch"),
    *("appmesh_envoy", "inference_accelerator", "service_connect_fault"),
)


@pytest.mark.parametrize("name", ACCEPTED)
def test_docker_gets_a_call_or_a_reason(name):
    definition = parse_task_definition(style(name))
    secrets = {
        secret["valueFrom"]: "s"
        for each in definition.document["containerDefinitions"]
        for secret in each.get("secrets", ())
    }
    task = Placed("c", "r", 1, "i-0", definition, address="127.0.0.1", secrets=secrets)
    json.dumps([list(volume_calls(task)), pause_call(task)])
    for each in definition.containers:
        if name in REFUSED_ON_DOCKER:
            with pytest.raises(DriverError):
                create_call(task, each)
        else:
            assert "null" not in json.dumps(create_call(task, each))


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_the_place_of_every_problem(name):
    with pytest.raises(SpecError) as raised:
        parse_task_definition(style(name), "td.json")
    places = {place.removeprefix("td.json: ") for place, _ in raised.value.problems}
    assert places == REFUSED[name]


def test_what_is_taken_for_granted_of_fargate_is_said():
    (size, storage) = assumptions(parse_task_definition(style("graviton_api")))
    assert "validated for Fargate" in size
    assert "ephemeral storage" in storage
    assert assumptions(parse_task_definition(style("efs_wordpress"))) == ()
