"""What handlers share: the cluster that a request means, parts of calls, answers to calls."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.callers.callers import Answer
from stowplan.placement.describe import State
from stowplan.placement.model import PlacementConstraint, PlacementStrategy
from stowplan.placement.wire.errors import SERVER_EXCEPTION, WireError, cluster_not_found, invalid
from stowplan.placement.wire.world import Cluster, Document, Host

DEFAULT = "default"
Params = Mapping[str, Any]
FARGATE = ("FARGATE", "FARGATE_SPOT")


def cluster_of(host: Host, params: Params) -> Cluster:
    """The ACTIVE cluster that a request names; none named is `default`.

    Raises:
        WireError: ClusterNotFoundException.
    """
    found = host.clusters.get(host.account.name_of(params.get("cluster", DEFAULT), "cluster"))
    if found is None or found.state.status != "ACTIVE":
        raise cluster_not_found()
    return found


def taken(answers: Sequence[Answer]) -> Sequence[Answer]:
    """The answers, all of which took their call.

    Raises:
        WireError: of the first that did not.
    """
    for answer in answers:
        if answer.error:
            status = 500 if answer.error == SERVER_EXCEPTION else 400
            raise WireError(answer.error, answer.reason, status)
    return answers


def definition_name(host: Host, state: State, text: str) -> str:
    """`family:revision` of the ACTIVE task definition that a call names in any form.

    Raises:
        WireError: there is none, in ECS's words.
    """
    record = state.definition(host.account.name_of(text, "task-definition"))
    if record is None:
        raise WireError("ClientException", "Unable to describe task definition.")
    if record.status != "ACTIVE":
        raise WireError("ClientException", "TaskDefinition is inactive")
    return record.name


_NO_NETWORK = "Network Configuration must be provided when networkMode 'awsvpc' is specified."
_NEEDLESS = "Network Configuration is not valid for the given networkMode of this task definition."
SUBNETS_MOST, GROUPS_MOST = 16, 5


def check_network(host: Host, state: State, params: Params) -> None:
    """`networkConfiguration` fits the network mode of the call's task definition.

    Raises:
        WireError: it is missing with awsvpc, or there without, or names no subnet.
    """
    record = state.definition(definition_name(host, state, params["taskDefinition"]))
    assert record is not None, "the name is that of a record"
    awsvpc = record.document.get("networkMode") == "awsvpc"
    given = params.get("networkConfiguration", {}).get("awsvpcConfiguration")
    if awsvpc and given is None:
        raise invalid(_NO_NETWORK)
    if given is None:
        return
    if not awsvpc:
        raise invalid(_NEEDLESS)
    if not given["subnets"]:
        raise invalid("subnets can not be empty.")
    if len(given["subnets"]) > SUBNETS_MOST:
        raise invalid(f"subnets can have at most {SUBNETS_MOST} items.")
    if len(given.get("securityGroups", ())) > GROUPS_MOST:
        raise invalid(f"securityGroups can have at most {GROUPS_MOST} items.")


def constraints(given: Sequence[Document] | None) -> tuple[PlacementConstraint, ...] | None:
    """`placementConstraints`."""
    if given is None:
        return None
    if not all("type" in each for each in given):
        raise invalid("Placement constraint type can not be blank.")
    return tuple(PlacementConstraint(each["type"], each.get("expression")) for each in given)


def strategies(given: Sequence[Document] | None) -> tuple[PlacementStrategy, ...] | None:
    """`placementStrategy`; fields as ECS normalises them."""
    if given is None:
        return None
    if not all("type" in each for each in given):
        raise invalid("Placement strategy type can not be blank.")
    return tuple(PlacementStrategy(each["type"], each.get("field")) for each in given)


def provider_strategy(
    host: Host, cluster: Cluster, params: Params
) -> m.CapacityProviderStrategy | None:
    """`capacityProviderStrategy` and `launchType`: None is the cluster's default, () is EC2.

    Raises:
        WireError: both are given, or capacity that is not of EC2, or that the cluster has not.
    """
    launch_type, given = params.get("launchType"), params.get("capacityProviderStrategy")
    if launch_type is not None and given:
        what = "Specifying both a launch type and capacity provider strategy is not supported. "
        raise invalid(f"{what}Remove one and try again.")
    if launch_type is not None and launch_type != "EC2":
        raise WireError("UnsupportedFeatureException", f"launch type {launch_type}: EC2 alone")
    if given is None and launch_type is None:
        items = cluster.state.default_capacity_provider_strategy
        for item in items:
            _check_ec2(item.capacity_provider)
        return None
    if given is None:
        return ()
    for each in given:
        _check_ec2(host.account.name_of(each["capacityProvider"], "capacity-provider"))
    return strategy_items(host, given, cluster.state.capacity_providers)


def _check_ec2(name: str) -> None:
    if name in FARGATE:
        raise WireError("UnsupportedFeatureException", f"capacity provider {name}: EC2 alone")


def strategy_items(
    host: Host, given: Sequence[Document], known: Collection[str]
) -> m.CapacityProviderStrategy:
    """The items of a strategy; a weight that is not given is 0.

    Args:
        known: the names that it may have.
    Raises:
        WireError: a name that is not known.
    """
    items = []
    for each in given:
        name = host.account.name_of(each["capacityProvider"], "capacity-provider")
        if name not in known:
            what = f"The specified capacity provider {name} was not found in the cluster. "
            raise invalid(f"{what}Put it to the cluster and try again.")
        items.append(
            m.CapacityProviderStrategyItem(name, each.get("weight", 0), each.get("base", 0))
        )
    return tuple(items)


def client_token(params: Params, most: int) -> str:
    """`clientToken` of so many characters at most; "": none is given.

    Raises:
        WireError: it has no valid form (ecs 8.3).
    """
    token: str = params.get("clientToken", "")
    if len(token) > most or not all(33 <= ord(each) <= 126 for each in token):
        raise invalid(f"clientToken: up to {most} ASCII characters in the range of 33-126.")
    return token


def tag_pairs(given: Sequence[Document] | None) -> tuple[tuple[str, str], ...]:
    """`tags`."""
    return tuple((each["key"], each.get("value", "")) for each in given or () if "key" in each)


def missing(arn: str) -> Document:
    """A failure of a describe call, in ECS's word."""
    return {"arn": arn, "reason": "MISSING"}
