"""Operations of agents, and on them, where the agents are simulated: they answer as ECS does to a
caller that is no agent of the cluster."""

from __future__ import annotations

from stowplan.placement.model import InstanceStatus, TaskStatus
from stowplan.placement.wire.calls import Params, cluster_of
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.instances import found_instance
from stowplan.placement.wire.world import Document, Host


def register_container_instance(host: Host, params: Params) -> Document:
    """RegisterContainerInstance: no machine outside can be one of a simulated cluster."""
    cluster_of(host, params)
    what = "the machines of this cluster are simulated: stowplan launch makes one register"
    raise WireError("ClientException", what)


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
