"""What handlers share: the cluster that a request means, parts of calls, answers to calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.callers.callers import Answer
from stowplan.placement.describe import State
from stowplan.placement.model import PlacementConstraint, PlacementStrategy
from stowplan.placement.wire.errors import WireError, cluster_not_found, invalid
from stowplan.placement.wire.world import Cluster, Document, Host

DEFAULT = "default"
Params = Mapping[str, Any]
_FARGATE = ("FARGATE", "FARGATE_SPOT")


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
            raise WireError(answer.error, answer.reason)
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


def constraints(given: Sequence[Document] | None) -> tuple[PlacementConstraint, ...] | None:
    """`placementConstraints`."""
    if given is None:
        return None
    return tuple(PlacementConstraint(each["type"], each.get("expression")) for each in given)


def strategies(given: Sequence[Document] | None) -> tuple[PlacementStrategy, ...] | None:
    """`placementStrategy`; fields as ECS normalises them."""
    if given is None:
        return None
    return tuple(PlacementStrategy(each["type"], each.get("field")) for each in given)


def provider_strategy(host: Host, params: Params) -> m.CapacityProviderStrategy | None:
    """`capacityProviderStrategy` and `launchType`: None is the cluster's default, () is EC2.

    Raises:
        WireError: both are given, or capacity that is not of EC2.
    """
    launch_type, given = params.get("launchType"), params.get("capacityProviderStrategy")
    if launch_type is not None and given:
        what = "Specifying both a launch type and capacity provider strategy is not supported. "
        raise invalid(f"{what}Remove one and try again.")
    if launch_type is not None and launch_type != "EC2":
        raise WireError("UnsupportedFeatureException", f"launch type {launch_type}: EC2 alone")
    if given is None:
        return None if launch_type is None else ()
    items = []
    for each in given:
        name = host.account.name_of(each["capacityProvider"], "capacity-provider")
        if name in _FARGATE:
            raise WireError("UnsupportedFeatureException", f"capacity provider {name}: EC2 alone")
        items.append(
            m.CapacityProviderStrategyItem(name, each.get("weight", 0), each.get("base", 0))
        )
    return tuple(items)


def tag_pairs(given: Sequence[Document] | None) -> tuple[tuple[str, str], ...]:
    """`tags`."""
    return tuple((each["key"], each.get("value", "")) for each in given or () if "key" in each)


def missing(arn: str) -> Document:
    """A failure of a describe call, in ECS's word."""
    return {"arn": arn, "reason": "MISSING"}
