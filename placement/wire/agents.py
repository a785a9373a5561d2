"""Operations of agents, and on them, where the agents are simulated: they answer as ECS does to a
caller that is no agent of the cluster. Machines may register, and are simulated then."""

from __future__ import annotations

from typing import Any

import msgspec

from stowplan.placement import messages as m
from stowplan.placement.model import InstanceStatus, TaskStatus
from stowplan.placement.wire.calls import Params, cluster_of, tag_pairs, taken
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.instances import found_instance
from stowplan.placement.wire.show import show_instance
from stowplan.placement.wire.world import Ask, Document, Host, Machine, Steps

TAGS = ("TAGS",)
_PLAYED = {"CPU": 4096, "MEMORY": 7482}
_FROM_DOCUMENT = {
    "ecs.instance-type": "instanceType",
    "ecs.availability-zone": "availabilityZone",
    "ecs.ami-id": "imageId",
}


def register_container_instance(host: Host, params: Params) -> Steps:
    """RegisterContainerInstance: in a simulated cluster the machine is simulated from then on.

    What its identity document says is believed, as nobody signs documents here.
    """
    cluster = cluster_of(host, params)
    if params.get("containerInstanceArn"):
        raise WireError("ClientException", "an instance that registers again: not of one simulated")
    document = _identity(params)
    here = cluster.state.list_instances()
    if any(each.ec2_instance_id == document["instanceId"] for each in here):
        raise WireError("ClientException", "The EC2 instance is registered already.")
    attributes = {each["name"]: each.get("value", "") for each in params.get("attributes", ())}
    for name, member in _FROM_DOCUMENT.items():
        if isinstance(document.get(member), str):
            attributes[name] = document[member]
    machine = Machine(
        document["instanceId"],
        attributes.get("ecs.instance-type", ""),
        _amounts(params.get("totalResources")),
        attributes,
    )
    tags = tag_pairs(params.get("tags"))
    event = host.join(cluster, machine)
    taken((yield [Ask(cluster, event)]))
    if tags:
        call = m.TagResource("container-instance", str(event.instance), tags)
        taken((yield [Ask(cluster, call)]))
    return {
        "containerInstance": show_instance(cluster, cluster.state.instances[event.instance], TAGS)
    }


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
        if each.get("name") in (*_PLAYED, "GPU"):
            amounts[each["name"]] = each.get("integerValue") or len(each.get("stringSetValue", ()))
        if amounts.get(each.get("name", ""), 0) < 0:
            raise invalid(f"totalResources: {each['name']} is below 0")
    return amounts


def update_container_agent(host: Host, params: Params) -> Document:
    """UpdateContainerAgent: there is no later version."""
    cluster = cluster_of(host, params)
    instance = found_instance(cluster, params["containerInstance"])
    if instance is None or instance.status is InstanceStatus.INACTIVE:
        raise invalid("The referenced container instance was not found.")
    raise WireError("NoUpdateAvailableException", "There is no update available for this agent.")


def execute_command(host: Host, params: Params) -> Document:
    """ExecuteCommand: no agent of Systems Manager runs in a simulated container."""
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


def of_agents_only(host: Host, params: Params) -> Document:
    """DiscoverPollEndpoint and Submit…: refused as to whoever is no agent."""
    what = "an agent of this cluster alone may call it; its agents are simulated"
    raise WireError("AccessDeniedException", what)
