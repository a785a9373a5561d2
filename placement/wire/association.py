"""Which capacity providers there are, and the calls that give some to a cluster."""

from __future__ import annotations

from collections.abc import Iterable

from stowplan.placement import messages as m
from stowplan.placement.describe import CapacityProvider, State
from stowplan.placement.model import FARGATE
from stowplan.placement.wire.capacity import strategy_items
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.world import Document, Host

PER_CLUSTER_MOST = 20


def known_providers(host: Host) -> dict[str, CapacityProvider]:
    """All that there are, by name: the account's, then those that scenarios gave to clusters."""
    found = dict(host.registry.state.capacity_providers)
    for cluster in host.clusters.values():
        for name, provider in cluster.state.capacity_providers.items():
            found.setdefault(name, provider)
    return found


def put_calls(
    host: Host, state: State, providers: Iterable[str], strategy: list[Document]
) -> list[m.Event]:
    """The calls that give providers and a default strategy to a cluster with that state.

    Raises:
        WireError: one is not known, or one that is in use would be taken away.
    """
    names = [host.account.name_of(each, "capacity-provider") for each in providers]
    if len(names) > PER_CLUSTER_MOST or len(set(names)) < len(names):
        raise invalid(f"capacityProviders: up to {PER_CLUSTER_MOST}, each once.")
    known = known_providers(host)
    for name in names:
        if name not in known and name not in FARGATE:
            raise invalid("The specified capacity provider was not found. Specify a valid name.")
    items = strategy_items(host, strategy, names)
    has = state.capacity_providers
    gone = [name for name in has if name not in names]
    for name in gone:
        _check_unused(state, name)
    calls: list[m.Event] = [known[name].call for name in names if name in known and name not in has]
    calls.append(m.PutClusterCapacityProviders(items, tuple(names)))
    calls += [m.DeleteCapacityProvider(name) for name in gone]
    return calls


def _check_unused(state: State, name: str) -> None:
    """Raises WireError: ResourceInUseException."""
    services = (each.call for each in state.services.values() if each.status != "INACTIVE")
    used = any(
        item.capacity_provider == name
        for call in services
        for item in call.capacity_provider_strategy or ()
    )
    if used or any(
        task.capacity_provider == name and task.stopped_at_ms is None
        for task in state.tasks.values()
    ):
        what = "The specified capacity provider is in use and cannot be removed."
        raise WireError("ResourceInUseException", what)
