"""Where a call wants its tasks to run: a launch type, or a strategy of capacity providers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from stowplan.placement import messages as m
from stowplan.placement.describe import State
from stowplan.placement.model import OF_LAUNCH_TYPE, gives_machines
from stowplan.placement.wire.calls import Params, definition_name
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.world import Cluster, Document, Host

PLATFORM, PLATFORM_FAMILY = "1.4.0", "Linux"  # of Fargate: what LATEST means, and on what it runs
_BY_FARGATE = m.CapacityProviderStrategyItem(f"{OF_LAUNCH_TYPE}FARGATE", 1)


def provider_strategy(
    host: Host, cluster: Cluster, params: Params
) -> m.CapacityProviderStrategy | None:
    """`capacityProviderStrategy` and `launchType`: None is the cluster's default, () is EC2.

    Raises:
        WireError: both are given, or capacity that there is not, or that the cluster has not, or
            that the call or its task definition cannot have.
    """
    launch_type, given = params.get("launchType"), params.get("capacityProviderStrategy")
    if launch_type is not None and given:
        what = "Specifying both a launch type and capacity provider strategy is not supported. "
        raise invalid(f"{what}Remove one and try again.")
    if launch_type not in (None, "EC2", "FARGATE"):
        raise WireError("UnsupportedFeatureException", f"launch type {launch_type}")
    if launch_type == "FARGATE":
        items: m.CapacityProviderStrategy | None = (_BY_FARGATE,)
    elif launch_type is not None:
        items = ()
    elif given is None:
        items = None
    else:
        known = cluster.state.associated or tuple(cluster.state.capacity_providers)
        items = strategy_items(host, given, (*known, *cluster.state.capacity_providers))
    meant = cluster.state.default_capacity_provider_strategy if items is None else items
    _check_kinds(meant)
    if any(gives_machines(item.capacity_provider) for item in meant):
        _check_fargate(host, cluster, params)
    return items


def _check_kinds(items: m.CapacityProviderStrategy) -> None:
    if len({gives_machines(item.capacity_provider) for item in items}) > 1:
        what = "A capacity provider strategy cannot contain a mix of capacity providers using Auto "
        raise invalid(f"{what}Scaling groups and Fargate capacity providers.")


def _check_fargate(host: Host, cluster: Cluster, params: Params) -> None:
    """What is asked for can run on Fargate."""
    if host.agents(cluster) is not None:
        what = "FARGATE: the machines of this cluster are real agents'"
        raise WireError("UnsupportedFeatureException", what)
    for member, words in (
        ("placementConstraints", "Placement constraints"),
        ("placementStrategy", "Placement strategies"),
    ):
        if params.get(member):
            raise invalid(f"{words} are not supported with FARGATE launch type.")
    if params.get("schedulingStrategy") == "DAEMON":
        raise invalid("The daemon scheduling strategy does not support FARGATE launch type.")
    if "taskDefinition" in params:
        check_supports(host, cluster.state, params["taskDefinition"])


def check_supports(host: Host, state: State, text: str) -> None:
    """Raises WireError where a task definition was not registered for Fargate."""
    record = state.definition(definition_name(host, state, text))
    assert record is not None, "the name is that of a record"
    if "FARGATE" not in record.document.get("requiresCompatibilities", ()):
        raise invalid("Task definition does not support launch_type FARGATE.")


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


def launch_type(capacity_provider: str | None) -> str:
    """What ECS calls the launch type of what runs on that capacity."""
    return "FARGATE" if gives_machines(capacity_provider) else "EC2"


def shown_provider(capacity_provider: str | None) -> str | None:
    """`capacityProviderName`: none where a launch type was asked for."""
    if capacity_provider is None or capacity_provider.startswith(OF_LAUNCH_TYPE):
        return None
    return capacity_provider


def shown_strategy(strategy: m.CapacityProviderStrategy | None) -> Document:
    """`launchType`, or `capacityProviderStrategy` in its place."""
    if not strategy:
        return {"launchType": "EC2"}
    if strategy == (_BY_FARGATE,):
        return {"launchType": "FARGATE"}
    return {
        "capacityProviderStrategy": [
            {"capacityProvider": e.capacity_provider, "weight": e.weight, "base": e.base}
            for e in strategy
        ]
    }


def on_fargate(strategy: m.CapacityProviderStrategy | None) -> bool:
    """Whether a strategy is one of Fargate."""
    return any(gives_machines(item.capacity_provider) for item in strategy or ())
