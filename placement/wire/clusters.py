"""Operations on clusters."""

from __future__ import annotations

import re

from stowplan.placement import messages as m
from stowplan.placement.describe import State
from stowplan.placement.wire.association import put_calls
from stowplan.placement.wire.calls import DEFAULT, Params, cluster_of, missing, tag_pairs, taken
from stowplan.placement.wire.errors import invalid
from stowplan.placement.wire.pages import page
from stowplan.placement.wire.show import shown_tags
from stowplan.placement.wire.world import Ask, Cluster, Document, Host, Steps

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,255}")
_KEPT = ("settings", "configuration", "serviceConnectDefaults")


def show_cluster(cluster: Cluster, include: list[str] | None = None) -> Document:
    """A Cluster."""
    state, shown = cluster.state, include or []
    document: Document = {
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": state.status,
        "registeredContainerInstancesCount": len(state.list_instances()),
        "runningTasksCount": state.running_tasks,
        "pendingTasksCount": state.pending_tasks,
        "activeServicesCount": sum(each.status == "ACTIVE" for each in state.services.values()),
        "statistics": [],
        "capacityProviders": list(
            state.capacity_providers if state.associated is None else state.associated
        ),
        "defaultCapacityProviderStrategy": [
            {"capacityProvider": e.capacity_provider, "weight": e.weight, "base": e.base}
            for e in state.default_capacity_provider_strategy
        ],
    }
    if "TAGS" in shown:
        document["tags"] = shown_tags(state.tags)
    if "SETTINGS" in shown:
        document["settings"] = cluster.settings.get("settings", [])
    if "serviceConnectDefaults" in cluster.settings:
        document["serviceConnectDefaults"] = cluster.settings["serviceConnectDefaults"]
    if "STATISTICS" in shown:
        document["statistics"] = _statistics(cluster)
    if "CONFIGURATIONS" in shown and "configuration" in cluster.settings:
        document["configuration"] = cluster.settings["configuration"]
    return document


def _statistics(cluster: Cluster) -> list[Document]:
    state = cluster.state
    services = [each for each in state.services.values() if each.status == "ACTIVE"]
    counts = {
        "runningEC2TasksCount": state.running_tasks,
        "runningFargateTasksCount": 0,
        "pendingEC2TasksCount": state.pending_tasks,
        "pendingFargateTasksCount": 0,
        "activeEC2ServiceCount": sum(not each.daemon for each in services),
        "activeFargateServiceCount": 0,
        "drainingEC2ServiceCount": sum(e.status == "DRAINING" for e in state.services.values()),
        "drainingFargateServiceCount": 0,
    }
    return [{"name": name, "value": str(count)} for name, count in counts.items()]


def create_cluster(host: Host, params: Params) -> Steps:
    """CreateCluster; the same name again answers with the cluster that is there."""
    name = params.get("clusterName", DEFAULT)
    if _NAME.fullmatch(name) is None:
        raise invalid("Identifiers must contain only alphanumerics, hyphens and underscores.")
    found = host.clusters.get(name)
    if found is not None and found.state.status == "ACTIVE":
        return {"cluster": show_cluster(found, ["TAGS", "SETTINGS"])}
    settings = {each: params[each] for each in _KEPT if each in params}
    given, strategy = (
        params.get(each) for each in ("capacityProviders", "defaultCapacityProviderStrategy")
    )
    put = put_calls(host, State(), given or (), strategy or []) if given or strategy else []
    cluster = host.create(name, settings)
    calls: list[m.Event] = []
    for family in host.registry.state.task_definitions.values():
        for record in family:
            calls.append(m.RegisterTaskDefinition(record.document))
            if record.status != "ACTIVE":
                calls.append(m.DeregisterTaskDefinition(record.name))
            if record.status == "DELETE_IN_PROGRESS":
                calls.append(m.DeleteTaskDefinition(record.name))
    calls += put
    if params.get("tags"):
        calls.append(m.TagResource("cluster", "", tag_pairs(params["tags"])))
    if calls:
        taken((yield [Ask(cluster, call) for call in calls]))
    return {"cluster": show_cluster(cluster, ["TAGS", "SETTINGS"])}


def delete_cluster(host: Host, params: Params) -> Steps:
    """DeleteCluster."""
    cluster = cluster_of(host, params)
    taken((yield [Ask(cluster, m.DeleteCluster())]))
    return {"cluster": show_cluster(cluster)}


def describe_clusters(host: Host, params: Params) -> Document:
    """DescribeClusters; without names, `default`."""
    clusters, failures = [], []
    for text in params.get("clusters") or [DEFAULT]:
        name = host.account.name_of(text, "cluster")
        found = host.clusters.get(name)
        if found is None:
            failures.append(missing(host.account.cluster(name)))
        else:
            clusters.append(show_cluster(found, params.get("include")))
    return {"clusters": clusters, "failures": failures}


def list_clusters(host: Host, params: Params) -> Document:
    """ListClusters: those that are ACTIVE."""
    names = sorted(name for name, each in host.clusters.items() if each.state.status == "ACTIVE")
    shown, token = page(names, params, "ListClusters")
    answer: Document = {"clusterArns": [host.account.cluster(name) for name in shown]}
    return answer if token is None else answer | {"nextToken": token}


def update_cluster(host: Host, params: Params) -> Document:
    """UpdateCluster and UpdateClusterSettings: kept, and described again."""
    cluster = cluster_of(host, params)
    for name in _KEPT:
        if name == "settings" and name in params:
            if not all("name" in each and "value" in each for each in params[name]):
                raise invalid("A setting needs a name and a value.")
            changed = {each["name"]: each for each in cluster.settings.get(name, [])}
            changed.update({each["name"]: each for each in params[name]})
            cluster.settings[name] = list(changed.values())
        elif name in params:
            cluster.settings[name] = params[name]
    return {"cluster": show_cluster(cluster, ["TAGS", "SETTINGS", "CONFIGURATIONS"])}
