"""Operations of agents as they join, and on them.

In a simulated cluster a machine that registers is simulated from then on, and other operations are
refused as ECS refuses them to whoever is no agent. Clusters of real agents carry them out.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import msgspec

from stowplan.placement import messages as m
from stowplan.placement.callers.callers import Answer
from stowplan.placement.describe import ContainerInstance
from stowplan.placement.model import GPU, InstanceStatus, TaskStatus
from stowplan.placement.wire.calls import Params, cluster_of, tag_pairs, taken
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.instances import found_instance
from stowplan.placement.wire.show import show_instance
from stowplan.placement.wire.world import Agents, Ask, Cluster, Document, Host, Machine, Steps

TAGS = ("TAGS",)
ORIGIN = "~origin"  # in the parameters: scheme and host by which the agent reached us
ACS, TCS = "/agents/acs", "/agents/tcs"  # paths of the endpoints that agents are told
# What the role of a container instance allows (AmazonEC2ContainerServiceforEC2Role).
OF_AGENTS = frozenset(
    (
        *("CreateCluster", "DeregisterContainerInstance", "DiscoverPollEndpoint"),
        *("RegisterContainerInstance", "TagResource", "UpdateContainerInstancesState"),
        *("SubmitAttachmentStateChanges", "SubmitContainerStateChange", "SubmitTaskStateChange"),
    )
)
_PLAYED = {"CPU": 4096, "MEMORY": 7482}
_FROM_DOCUMENT = {
    "ecs.instance-type": "instanceType",
    "ecs.availability-zone": "availabilityZone",
    "ecs.ami-id": "imageId",
}
_Registering = Generator[list[Ask], list[Answer], int]


def register_container_instance(host: Host, params: Params) -> Steps:
    """RegisterContainerInstance, for the first time or again.

    What its identity document says is believed, as nobody signs documents here.
    """
    cluster = cluster_of(host, params)
    agents = host.agents(cluster)
    if agents is not None:
        number = yield from _registered(cluster, agents, params, f"{host.account.region}a")
    else:
        number = yield from _simulated(host, cluster, params)
    tags = tag_pairs(params.get("tags"))
    if tags:
        call = m.TagResource("container-instance", str(number), tags)
        taken((yield [Ask(cluster, call)]))
    return {"containerInstance": show_instance(cluster, cluster.state.instances[number], TAGS)}


def _simulated(host: Host, cluster: Cluster, params: Params) -> _Registering:
    if params.get("containerInstanceArn"):
        raise WireError("ClientException", "an instance that registers again: not of one simulated")
    machine = _machine(params)
    if _same_machine(cluster, machine) is not None:
        raise WireError("ClientException", "The EC2 instance is registered already.")
    event = host.join(cluster, machine)
    taken((yield [Ask(cluster, event)]))
    return event.instance


def _registered(cluster: Cluster, agents: Agents, params: Params, zone: str) -> _Registering:
    """The number of an agent's instance.

    One that lost its state comes without its ARN. Its old instance is gone then, unless an agent of
    it is still there: two agents must not be one instance.
    """
    machine, arn = _machine(params), params.get("containerInstanceArn")
    machine.attributes.setdefault("ecs.availability-zone", zone)  # agents insist on one
    if arn:
        return (yield from _again(cluster, found_instance(cluster, arn), machine))
    number = agents.joined(params.get("clientToken", ""))
    known = None if number is None else cluster.state.instances.get(number)
    if known is not None and known.status is not InstanceStatus.INACTIVE:
        return known.number  # its answer was lost
    before = _same_machine(cluster, machine)
    if before is not None:
        if agents.is_connected(before.number):
            what = f"{machine.ec2_instance_id} is registered already, and its agent is connected."
            raise WireError("ClientException", what)
        gone = m.InstancesGone((before.number,), "registered anew, without its state")
        taken((yield [Ask(cluster, gone)]))
    event = agents.join(machine, params.get("clientToken", ""))
    taken((yield [Ask(cluster, event)]))
    return event.instance


def _again(cluster: Cluster, known: ContainerInstance | None, machine: Machine) -> _Registering:
    if known is None or known.status is InstanceStatus.INACTIVE:
        raise WireError("ClientException", "The referenced container instance is not ACTIVE.")
    if known.ec2_instance_id != machine.ec2_instance_id:
        what = f"The container instance is {known.ec2_instance_id}, not {machine.ec2_instance_id}."
        raise WireError("ClientException", what)
    if any(known.registered.get(name, 0) != n for name, n in machine.resources.items() if n):
        what = "Container instance type changes are not supported."
        raise WireError("ClientException", what)
    # What was put on it by others stays; what its agent says now counts.
    attributes = known.attributes | machine.attributes
    if attributes != known.attributes or machine.version_info != known.version_info:
        event = m.InstanceRegistered(
            *(known.number, known.ec2_instance_id, known.registered, attributes),
            price_microusd_hour=known.price_microusd_hour,
            reserved_tcp=machine.reserved_tcp,
            reserved_udp=machine.reserved_udp,
            version_info=machine.version_info,
        )
        status = known.status
        taken((yield [Ask(cluster, event)]))
        if status is InstanceStatus.DRAINING:
            call = m.UpdateContainerInstancesState((known.number,), str(status))
            taken((yield [Ask(cluster, call)]))
    return known.number


def _same_machine(cluster: Cluster, machine: Machine) -> ContainerInstance | None:
    for each in cluster.state.list_instances():
        if each.ec2_instance_id == machine.ec2_instance_id:
            return each
    return None


def _machine(params: Params) -> Machine:
    document = _identity(params)
    attributes = {each["name"]: each.get("value", "") for each in params.get("attributes", ())}
    for name, member in _FROM_DOCUMENT.items():
        if isinstance(document.get(member), str):
            attributes[name] = document[member]
    given = params.get("totalResources")
    resources = _amounts(given)
    devices = sum(each.get("type") == GPU for each in params.get("platformDevices", ()))
    return Machine(
        document["instanceId"],
        attributes.get("ecs.instance-type", ""),
        resources | ({GPU: devices} if devices else {}),
        attributes,
        _ports(given, "PORTS", Machine._field_defaults["reserved_tcp"]),
        _ports(given, "PORTS_UDP", ()),
        {name: str(value) for name, value in params.get("versionInfo", {}).items()},
    )


def _identity(params: Params) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(params.get("instanceIdentityDocument", ""))
    except msgspec.DecodeError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("instanceId"), str):
        raise invalid("instanceIdentityDocument: expected JSON with an instanceId")
    return document


def _amounts(given: list[Document] | None) -> dict[str, int]:
    """CPU units, MiB and GPUs; without any, those of an agent that emulators play."""
    amounts = dict(_PLAYED)
    for each in given or ():
        if each.get("name") in (*_PLAYED, GPU):
            amounts[each["name"]] = each.get("integerValue") or len(each.get("stringSetValue", ()))
        if amounts.get(each.get("name", ""), 0) < 0:
            raise invalid(f"totalResources: {each['name']} is below 0")
    return amounts


def _ports(given: list[Document] | None, name: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    for each in given or ():
        if each.get("name") == name:
            texts = each.get("stringSetValue", ())
            if not all(text.isdecimal() and 0 < int(text) < 1 << 16 for text in texts):
                raise invalid(f"totalResources: {name} has what is no port")
            return tuple(int(text) for text in texts)
    return otherwise


def discover_poll_endpoint(host: Host, params: Params) -> Document:
    """DiscoverPollEndpoint: where an agent's websockets are answered."""
    cluster = cluster_of(host, params)
    if host.agents(cluster) is None:
        what = "an agent of this cluster alone may call it; its agents are simulated"
        raise WireError("AccessDeniedException", what)
    origin = params.get(ORIGIN, "")
    return {"endpoint": f"{origin}{ACS}", "telemetryEndpoint": f"{origin}{TCS}"}


def update_container_agent(host: Host, params: Params) -> Document:
    """UpdateContainerAgent: there is no later version."""
    cluster = cluster_of(host, params)
    instance = found_instance(cluster, params["containerInstance"])
    if instance is None or instance.status is InstanceStatus.INACTIVE:
        raise invalid("The referenced container instance was not found.")
    raise WireError("NoUpdateAvailableException", "There is no update available for this agent.")


def execute_command(host: Host, params: Mapping[str, Any]) -> Document:
    """ExecuteCommand: no agent of Systems Manager runs in a container here."""
    cluster = cluster_of(host, params)
    number = cluster.ids.number("task", params["task"])
    task = None if number is None else cluster.state.tasks.get(number)
    if task is None:
        raise invalid("The referenced task was not found.")
    if task.last_status is not TaskStatus.RUNNING:
        what = "The execute command failed because the task is not RUNNING."
        raise invalid(what)
    what = "execute command was not enabled when the task was run or the execute command agent"
    raise invalid(f"The execute command failed because {what} isn't running.")
