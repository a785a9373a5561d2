"""Operations on services."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stowplan.placement import messages as m
from stowplan.placement.describe import Deployment, Service
from stowplan.placement.wire.calls import (
    Params,
    check_network,
    client_token,
    cluster_of,
    constraints,
    definition_name,
    missing,
    provider_strategy,
    strategies,
    tag_pairs,
    taken,
)
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.pages import page
from stowplan.placement.wire.show import ZONE, shown_tags
from stowplan.placement.wire.world import Ask, Cluster, Document, Host, Steps

DESCRIBE_MOST, TOKEN_MOST = 10, 36
# Members that change nothing here: they are kept, and described again.
INERT = (
    *("loadBalancers", "serviceRegistries", "networkConfiguration", "platformVersion"),
    *("healthCheckGracePeriodSeconds", "propagateTags", "enableECSManagedTags"),
    *("enableExecuteCommand", "roleArn"),
)
# The same, which ECS describes in another place: with the deployment.
INERT_OF_DEPLOYMENT = ("serviceConnectConfiguration", "volumeConfigurations")
_DAEMON = {"minimum_healthy_percent": 0, "maximum_percent": 100}  # of a DAEMON, where not given


def create_service(host: Host, params: Params) -> Steps:
    """CreateService, with rolling deployments."""
    cluster = cluster_of(host, params)
    daemon = params.get("schedulingStrategy") == "DAEMON"
    if not daemon and "desiredCount" not in params:
        raise invalid("DesiredCount cannot be empty when creating a service with REPLICA.")
    if params.get("deploymentController", {}).get("type", "ECS") != "ECS":
        raise WireError("UnsupportedFeatureException", "deployment controllers: ECS alone")
    if "taskDefinition" not in params:
        raise invalid("TaskDefinition can not be blank.")
    name = params["serviceName"]
    check_network(host, cluster.state, params)
    call = m.CreateService(
        name,
        definition_name(host, cluster.state, params["taskDefinition"]),
        0 if daemon else params["desiredCount"],
        placement_constraints=constraints(params.get("placementConstraints")) or (),
        placement_strategy=strategies(params.get("placementStrategy")) or (),
        scheduling_strategy="DAEMON" if daemon else "REPLICA",
        capacity_provider_strategy=provider_strategy(host, cluster, params),
        client_token=client_token(params, TOKEN_MOST),
        load_balancer=_balancer(params),
        **((_DAEMON if daemon else {}) | _changes(params)),
    )
    if "availabilityZoneRebalancing" not in params and not daemon:
        call = replace(call, availability_zone_rebalancing=_balances_by_default(call))
    there = cluster.state.services.get(name)
    if there is not None and there.status != "INACTIVE":
        if not call.client_token or there.created != call:
            raise invalid("Creation of service was not idempotent.")
        return {"service": show_service(cluster, there, ["TAGS"])}
    asks = [Ask(cluster, call)]
    if params.get("tags"):
        asks.append(Ask(cluster, m.TagResource("service", name, tag_pairs(params["tags"]))))
    taken((yield asks))
    # What its scheduler says of it comes after the answer.
    shown = show_service(cluster, cluster.state.services[name], ["TAGS"])
    return {"service": shown | {"events": []}}


def update_service(host: Host, params: Params) -> Steps:
    """UpdateService: what is given is changed."""
    cluster = cluster_of(host, params)
    service = active_service(cluster, _name(host, params))
    definition = params.get("taskDefinition")
    given = ("capacityProviderStrategy" in params) or None
    call = m.UpdateService(
        service.name,
        params.get("desiredCount"),
        None if definition is None else definition_name(host, cluster.state, definition),
        placement_constraints=constraints(params.get("placementConstraints")),
        placement_strategy=strategies(params.get("placementStrategy")),
        force_new_deployment=params.get("forceNewDeployment", False),
        capacity_provider_strategy=given and provider_strategy(host, cluster, params),
        **_changes(params),
    )
    taken((yield [Ask(cluster, call)]))
    return {"service": show_service(cluster, service)}


def delete_service(host: Host, params: Params) -> Steps:
    """DeleteService."""
    cluster = cluster_of(host, params)
    service = active_service(cluster, _name(host, params))
    taken((yield [Ask(cluster, m.DeleteService(service.name, params.get("force", False)))]))
    return {"service": show_service(cluster, service)}


def describe_services(host: Host, params: Params) -> Document:
    """DescribeServices: up to ten."""
    cluster = cluster_of(host, params)
    if not 1 <= len(params["services"]) <= DESCRIBE_MOST:
        raise invalid(f"Services must be between 1 and {DESCRIBE_MOST}.")
    services, failures = [], []
    for text in params["services"]:
        name = host.account.name_of(text, "service")
        found = cluster.state.services.get(name)
        if found is None:
            failures.append(missing(cluster.ids.service(name)))
        else:
            services.append(show_service(cluster, found, params.get("include") or ()))
    return {"services": services, "failures": failures}


def list_services(host: Host, params: Params) -> Document:
    """ListServices; pages of ten unless told otherwise."""
    cluster = cluster_of(host, params)
    if params.get("launchType", "EC2") != "EC2":
        return {"serviceArns": []}
    found = cluster.state.list_services(params.get("schedulingStrategy"))
    asked = {"maxResults": DESCRIBE_MOST, **params}
    shown, token = page(sorted(each.name for each in found), asked, "ListServices")
    answer: Document = {"serviceArns": [cluster.ids.service(name) for name in shown]}
    return answer if token is None else answer | {"nextToken": token}


def _balancer(params: Params) -> m.LoadBalancer | None:
    """The target group of a service, whose times are those of a new one."""
    if not params.get("loadBalancers"):
        return None
    return m.LoadBalancer(grace_period_ms=1000 * params.get("healthCheckGracePeriodSeconds", 0))


def list_services_by_namespace(host: Host, params: Params) -> Document:
    """ListServicesByNamespace: those that Service Connect was configured for in it."""
    found = [
        (cluster, name)
        for cluster in host.clusters.values()
        for name, service in cluster.state.services.items()
        if service.status != "INACTIVE" and _namespace(cluster, service) == params["namespace"]
    ]
    arns = sorted(cluster.ids.service(name) for cluster, name in found)
    shown, token = page(arns, {"maxResults": 10, **params}, "ListServicesByNamespace")
    answer: Document = {"serviceArns": list(shown)}
    return answer if token is None else answer | {"nextToken": token}


def _namespace(cluster: Cluster, service: Service) -> str | None:
    given = service.call.described.get("serviceConnectConfiguration", {})
    if not given.get("enabled"):
        return None
    default = cluster.settings.get("serviceConnectDefaults", {}).get("namespace")
    namespace: str | None = given.get("namespace", default)
    return namespace


def _name(host: Host, params: Params) -> str:
    return host.account.name_of(params["service"], "service")


def active_service(cluster: Cluster, name: str) -> Service:
    """The ACTIVE service of that name.

    Raises:
        WireError: ServiceNotFoundException, ServiceNotActiveException.
    """
    service = cluster.state.services.get(name)
    if service is None or service.status == "INACTIVE":
        raise WireError("ServiceNotFoundException", "Service not found.")
    if service.status != "ACTIVE":
        raise WireError("ServiceNotActiveException", "Service was not ACTIVE.")
    return service


def _balances_by_default(call: m.CreateService) -> bool:
    """ENABLED since September 2025 where ECS would balance the service at all (ecs 5.7)."""
    first = call.placement_strategy[0] if call.placement_strategy else None
    by_zone = first is None or (first.type == "spread" and ZONE in (first.field or ""))
    tied = any(ZONE in (each.expression or "") for each in call.placement_constraints)
    return by_zone and not tied and call.maximum_percent > 100


def _changes(params: Params) -> dict[str, Any]:
    """Fields that CreateService and UpdateService share, where they are given."""
    found: dict[str, Any] = {}
    deployment = params.get("deploymentConfiguration", {})
    if deployment.get("strategy", "ROLLING") != "ROLLING":
        raise WireError("UnsupportedFeatureException", "deployment strategies: ROLLING alone")
    if "minimumHealthyPercent" in deployment:
        found["minimum_healthy_percent"] = deployment["minimumHealthyPercent"]
    if "maximumPercent" in deployment:
        found["maximum_percent"] = deployment["maximumPercent"]
    breaker = deployment.get("deploymentCircuitBreaker", {})
    if breaker.get("enable"):
        found["circuit_breaker"] = m.CircuitBreaker(breaker.get("rollback", False))
    if "availabilityZoneRebalancing" in params:
        enabled = params["availabilityZoneRebalancing"] == "ENABLED"
        found["availability_zone_rebalancing"] = enabled
    kept = {each: params[each] for each in (*INERT, *INERT_OF_DEPLOYMENT) if each in params}
    if "role" in params:
        kept["roleArn"] = params["role"]
    if kept:
        found["described"] = kept
    return found


# --- shown ---------------------------------------------------------------------------------------


def show_service(cluster: Cluster, service: Service, include: Any = ()) -> Document:
    """A Service."""
    call = service.call
    document: Document = {
        "serviceArn": cluster.ids.service(service.name),
        "serviceName": service.name,
        "clusterArn": cluster.arn,
        "status": service.status,
        "desiredCount": _desired(service),
        "runningCount": service.running,
        "pendingCount": service.pending,
        "taskDefinition": cluster.ids.account.task_definition(call.task_definition),
        "deploymentConfiguration": show_configuration(call),
        "deployments": [_deployment(cluster, service, each) for each in service.deployments],
        "events": [
            {
                "id": cluster.ids.event(service.name, line.number),
                "createdAt": cluster.seconds(line.at_ms),
                "message": line.text,
            }
            for line in service.events
        ],
        "createdAt": cluster.seconds(service.created_at_ms),
        "loadBalancers": [],
        "serviceRegistries": [],
        "placementConstraints": [
            {"type": each.type} | ({"expression": each.expression} if each.expression else {})
            for each in call.placement_constraints
        ],
        "placementStrategy": [
            {"type": each.type} | ({"field": each.field} if each.field else {})
            for each in call.placement_strategy
        ],
        "schedulingStrategy": call.scheduling_strategy,
        "deploymentController": {"type": "ECS"},
        "enableECSManagedTags": False,
        "propagateTags": "NONE",
        "enableExecuteCommand": False,
        "availabilityZoneRebalancing": (
            "ENABLED" if call.availability_zone_rebalancing else "DISABLED"
        ),
        **launched_by(service),
        **{each: call.described[each] for each in INERT if each in call.described},
    }
    if "TAGS" in include:
        document["tags"] = shown_tags(service.tags)
    return document


def show_configuration(call: m.CreateService) -> Document:
    """`deploymentConfiguration`."""
    breaker = call.circuit_breaker
    return {
        "deploymentCircuitBreaker": {
            "enable": breaker is not None,
            "rollback": breaker is not None and breaker.rollback,
        },
        "maximumPercent": call.maximum_percent,
        "minimumHealthyPercent": call.minimum_healthy_percent,
        "strategy": "ROLLING",
    }


def _desired(service: Service) -> int:
    """Of a DAEMON, what it has: ECS counts the instances that its constraints let it onto."""
    return len(service.tasks) if service.daemon else service.call.desired_count


def launched_by(service: Service) -> Document:
    """`launchType`, or the strategy in its place."""
    strategy = service.call.capacity_provider_strategy
    if not strategy:
        return {"launchType": "EC2"}
    return {
        "capacityProviderStrategy": [
            {"capacityProvider": e.capacity_provider, "weight": e.weight, "base": e.base}
            for e in strategy
        ]
    }


def _deployment(cluster: Cluster, service: Service, deployment: Deployment) -> Document:
    primary, kept = deployment.status == "PRIMARY", service.call.described
    return {
        "id": deployment.id,
        "status": deployment.status,
        "taskDefinition": cluster.ids.account.task_definition(deployment.task_definition),
        "desiredCount": _desired(service) if primary else 0,
        "runningCount": deployment.running,
        "pendingCount": deployment.pending,
        "failedTasks": deployment.failed_tasks,
        "createdAt": cluster.seconds(deployment.created_at_ms),
        "updatedAt": cluster.seconds(deployment.updated_at_ms),
        "rolloutState": deployment.rollout_state,
        "rolloutStateReason": deployment.rollout_reason,
        **launched_by(service),
        **{each: kept[each] for each in INERT_OF_DEPLOYMENT if each in kept},
    }
