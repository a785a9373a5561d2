"""Operations on container instances."""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.placement.describe import ContainerInstance
from stowplan.placement.model import InstanceStatus
from stowplan.placement.wire.calls import Params, cluster_of, missing, taken
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.filtering import filtered
from stowplan.placement.wire.pages import page
from stowplan.placement.wire.show import show_instance
from stowplan.placement.wire.world import Ask, Cluster, Document, Host, Steps

_PASSING = ("REGISTERING", "DEREGISTERING", "REGISTRATION_FAILED")  # which none has here
DESCRIBE_MOST, STATE_MOST = 100, 10


def found_instance(cluster: Cluster, text: str) -> ContainerInstance | None:
    """A container instance by its id or ARN."""
    number = cluster.ids.number("container-instance", text)
    return None if number is None else cluster.state.instances.get(number)


def _gathered(
    host: Host, cluster: Cluster, texts: list[str], most: int
) -> tuple[list[ContainerInstance], list[Document]]:
    if not texts:
        raise WireError("ClientException", "Container Instances cannot be empty.")
    if len(texts) > most:
        raise invalid(f"Container instances must be between 1 and {most}.")
    found, failures = [], []
    for text in texts:
        instance = found_instance(cluster, text)
        if instance is None:
            arn = text
            if not text.startswith("arn:"):
                arn = host.account.arn("container-instance", cluster.name, text)
            failures.append(missing(arn))
        else:
            found.append(instance)
    return found, failures


def describe_container_instances(host: Host, params: Params) -> Document:
    """DescribeContainerInstances: up to 100."""
    cluster = cluster_of(host, params)
    found, failures = _gathered(host, cluster, params["containerInstances"], DESCRIBE_MOST)
    include = params.get("include") or ()
    return {
        "containerInstances": [show_instance(cluster, each, include) for each in found],
        "failures": failures,
    }


def list_container_instances(host: Host, params: Params) -> Document:
    """ListContainerInstances; without a status, all that are not INACTIVE."""
    cluster = cluster_of(host, params)
    status = params.get("status")
    if status in _PASSING:
        return {"containerInstanceArns": []}
    found = cluster.state.list_instances(None if status is None else InstanceStatus(status))
    if params.get("filter"):
        found = filtered(cluster.state, found, params["filter"])
    shown, token = page([each.number for each in found], params, "ListContainerInstances")
    answer: Document = {"containerInstanceArns": [cluster.ids.instance(number) for number in shown]}
    return answer if token is None else answer | {"nextToken": token}


def update_container_instances_state(host: Host, params: Params) -> Steps:
    """UpdateContainerInstancesState: ACTIVE or DRAINING, up to ten."""
    cluster = cluster_of(host, params)
    if params["status"] not in ("ACTIVE", "DRAINING"):
        raise invalid("Container instance status should be one of [ACTIVE, DRAINING].")
    found, failures = _gathered(host, cluster, params["containerInstances"], STATE_MOST)
    if found:
        numbers = tuple(each.number for each in found)
        taken((yield [Ask(cluster, m.UpdateContainerInstancesState(numbers, params["status"]))]))
    return {
        "containerInstances": [show_instance(cluster, each) for each in found],
        "failures": failures,
    }


def deregister_container_instance(host: Host, params: Params) -> Steps:
    """DeregisterContainerInstance."""
    cluster = cluster_of(host, params)
    instance = found_instance(cluster, params["containerInstance"])
    if instance is None or instance.status is InstanceStatus.INACTIVE:
        raise invalid("The referenced container instance was not found.")
    call = m.DeregisterContainerInstance(instance.number, params.get("force", False))
    taken((yield [Ask(cluster, call)]))
    return {"containerInstance": show_instance(cluster, instance)}
