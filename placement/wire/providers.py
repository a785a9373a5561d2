"""Operations on capacity providers: of the account, and put to clusters.

One that a call creates wraps an Auto Scaling group that nobody here knows: tasks wait for it until
instances of it register. Those of a scenario have groups, which are scaled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.describe import CapacityProvider
from stowplan.placement.wire.association import known_providers, put_calls
from stowplan.placement.wire.calls import (
    FARGATE,
    Params,
    cluster_of,
    missing,
    tag_pairs,
    taken,
)
from stowplan.placement.wire.clusters import show_cluster
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.pages import page
from stowplan.placement.wire.show import shown_tags
from stowplan.placement.wire.world import Ask, Cluster, Document, Host, Steps

PAGE = 10
_NAME = re.compile(r"(?!(aws|ecs|fargate))[A-Za-z0-9_-]{1,255}", re.I)
_ENABLED = {True: "ENABLED", False: "DISABLED"}


def _named(host: Host, text: str) -> CapacityProvider:
    name = host.account.name_of(text, "capacity-provider")
    found = known_providers(host).get(name)
    if found is None:
        raise WireError("ClientException", "The specified capacity provider was not found.")
    return found


def _users(host: Host, name: str) -> list[Cluster]:
    """The ACTIVE clusters that have a provider of that name."""
    return [
        each
        for each in host.clusters.values()
        if each.state.status == "ACTIVE" and name in each.state.capacity_providers
    ]


# --- calls ---------------------------------------------------------------------------------------


def create_capacity_provider(host: Host, params: Params) -> Steps:
    """CreateCapacityProvider, of an Auto Scaling group."""
    name = params["name"]
    if _NAME.fullmatch(name) is None:
        what = "Up to 255 characters are allowed, including letters (upper and lowercase), numbers,"
        more = "underscores, and hyphens. The name can't be prefixed with aws, ecs, or fargate."
        raise invalid(f"The specified capacity provider name is invalid. {what} {more}")
    if name in known_providers(host):
        what = "To change the configuration of an existing capacity provider, update it."
        raise invalid(f"The specified capacity provider already exists. {what}")
    if "managedInstancesProvider" in params:
        what = "managedInstancesProvider: capacity providers of Auto Scaling groups alone"
        raise WireError("UnsupportedFeatureException", what)
    group = params.get("autoScalingGroupProvider")
    if group is None:
        raise invalid("Either autoScalingGroupProvider or managedInstancesProvider is required.")
    call = m.CreateCapacityProvider(
        name,
        (),
        (),
        0,
        managed_scaling=_scaling(group.get("managedScaling")),
        managed_termination_protection=group.get("managedTerminationProtection") == "ENABLED",
        managed_draining=group.get("managedDraining", "ENABLED") == "ENABLED",
        auto_scaling_group=group["autoScalingGroupArn"],
    )
    _check(call)
    asks = [Ask(host.registry, call)]
    if params.get("tags"):
        tags = tag_pairs(params["tags"])
        asks.append(Ask(host.registry, m.TagResource("capacity-provider", name, tags)))
    taken((yield asks))
    record = host.registry.state.capacity_providers[name]
    return {"capacityProvider": show_provider(host, record, ["TAGS"])}


def _scaling(given: Document | None, before: m.ManagedScaling | None = None) -> Any:
    """`managedScaling` with what it leaves out; None: it is DISABLED, or not given."""
    if given is None or given.get("status", "ENABLED") == "DISABLED":
        return None
    base = before or m.ManagedScaling()
    warmup = given.get("instanceWarmupPeriod")
    return m.ManagedScaling(
        given.get("targetCapacity", base.target_capacity),
        given.get("minimumScalingStepSize", base.minimum_scaling_step_size),
        given.get("maximumScalingStepSize", base.maximum_scaling_step_size),
        base.instance_warmup_ms if warmup is None else 1000 * warmup,
    )


def _check(call: m.CreateCapacityProvider) -> None:
    """Raises WireError: what ECS refuses of managed scaling and protection."""
    if call.managed_termination_protection and call.managed_scaling is None:
        what = "The managed termination protection setting for the capacity provider is invalid. "
        raise invalid(f"{what}To enable it, managed scaling must be enabled.")


def update_capacity_provider(host: Host, params: Params) -> Steps:
    """UpdateCapacityProvider: in the account, and in every cluster that has it."""
    record = _named(host, params["name"])
    if "managedInstancesProvider" in params or "autoScalingGroupProvider" not in params:
        raise invalid("autoScalingGroupProvider is required to update this capacity provider.")
    group = params["autoScalingGroupProvider"]
    protects, drains = group.get("managedTerminationProtection"), group.get("managedDraining")
    given = group.get("managedScaling")
    call = m.UpdateCapacityProvider(
        record.name,
        _scaling(given, record.call.managed_scaling),
        None if protects is None else protects == "ENABLED",
        None if drains is None else drains == "ENABLED",
        without_scaling=given is not None and given.get("status") == "DISABLED",
    )
    _check(call.applied_to(record.call))
    places = _users(host, record.name)
    if record.name in host.registry.state.capacity_providers:
        places.insert(0, host.registry)
    taken((yield [Ask(each, call) for each in places]))
    return {"capacityProvider": show_provider(host, _named(host, record.name))}


def delete_capacity_provider(host: Host, params: Params) -> Steps:
    """DeleteCapacityProvider: of one that no cluster has."""
    name = host.account.name_of(params["capacityProvider"], "capacity-provider")
    if name in FARGATE:
        raise invalid(f"The capacity provider {name} is reserved and cannot be deleted.")
    record = _named(host, name)
    if users := _users(host, name):
        what = f"because it is associated with cluster: {users[0].name}. "
        more = "Remove the capacity provider from the cluster and try again."
        raise WireError("ClientException", f"The capacity provider cannot be deleted {what}{more}")
    shown = show_provider(host, record)
    taken((yield [Ask(host.registry, m.DeleteCapacityProvider(name))]))
    shown |= {"status": "INACTIVE", "updateStatus": "DELETE_COMPLETE"}
    return {"capacityProvider": shown}


def put_cluster_capacity_providers(host: Host, params: Params) -> Steps:
    """PutClusterCapacityProviders: the cluster has these, and no others, from now on."""
    cluster = cluster_of(host, params)
    named, strategy = params["capacityProviders"], params["defaultCapacityProviderStrategy"]
    calls = put_calls(host, cluster.state, named, strategy)
    taken((yield [Ask(cluster, call) for call in calls]))
    return {"cluster": show_cluster(cluster, ["TAGS", "SETTINGS", "CONFIGURATIONS"])}


def describe_capacity_providers(host: Host, params: Params) -> Document:
    """DescribeCapacityProviders: all, with FARGATE and FARGATE_SPOT, in pages of ten."""
    known, include = known_providers(host), params.get("include") or ()
    if params.get("cluster") is not None:
        cluster_of(host, params)
    if params.get("capacityProviders"):
        found, failures = [], []
        for text in params["capacityProviders"]:
            name = host.account.name_of(text, "capacity-provider")
            if name in FARGATE:
                found.append(_fargate(host, name))
            elif name in known:
                found.append(show_provider(host, known[name], include))
            else:
                failures.append(missing(host.account.capacity_provider(name)))
        return {"capacityProviders": found, "failures": failures}
    asked = {"maxResults": PAGE, **params}
    shown, token = page(sorted([*known, *FARGATE]), asked, "DescribeCapacityProviders")
    answer: Document = {
        "capacityProviders": [
            show_provider(host, known[name], include) if name in known else _fargate(host, name)
            for name in shown
        ],
        "failures": [],
    }
    return answer if token is None else answer | {"nextToken": token}


# --- shown ---------------------------------------------------------------------------------------


def _fargate(host: Host, name: str) -> Document:
    arn = host.account.capacity_provider(name)
    return {
        "capacityProviderArn": arn,
        "name": name,
        "status": "ACTIVE",
        "type": name,
    }


def show_provider(host: Host, provider: CapacityProvider, include: Iterable[str] = ()) -> Document:
    """A CapacityProvider; the group of a scenario has an ARN as Auto Scaling would give it."""
    call, scaling = provider.call, provider.call.managed_scaling
    shown: Document = {"status": "DISABLED"}
    if scaling is not None:
        shown = {
            "status": "ENABLED",
            "targetCapacity": scaling.target_capacity,
            "minimumScalingStepSize": scaling.minimum_scaling_step_size,
            "maximumScalingStepSize": scaling.maximum_scaling_step_size,
            "instanceWarmupPeriod": scaling.instance_warmup_ms // 1000,
        }
    return {
        "capacityProviderArn": host.account.capacity_provider(provider.name),
        "name": provider.name,
        "status": "ACTIVE",
        "type": "EC2_AUTOSCALING",
        "autoScalingGroupProvider": {
            "autoScalingGroupArn": call.auto_scaling_group or _group_arn(host, provider.name),
            "managedScaling": shown,
            "managedTerminationProtection": _ENABLED[call.managed_termination_protection],
            "managedDraining": _ENABLED[call.managed_draining],
        },
        **({"tags": shown_tags(provider.tags)} if "TAGS" in include else {}),
    }


def _group_arn(host: Host, name: str) -> str:
    where = f"{host.account.region}:{host.account.account}"
    number = "00000000-0000-0000-0000-000000000000"
    return f"arn:aws:autoscaling:{where}:autoScalingGroup:{number}:autoScalingGroupName/{name}"
