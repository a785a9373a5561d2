"""Operations on service deployments and service revisions, as rolling deployments have them.

Each deployment of a service makes a revision of it. One that the circuit breaker rolls back is the
same service deployment still, whose rollback goes to an earlier revision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from stowplan.placement import messages as m
from stowplan.placement.describe import Deployment, Service
from stowplan.placement.wire.arns import parse_arn
from stowplan.placement.wire.calls import Params, cluster_of, missing, taken
from stowplan.placement.wire.errors import CONFLICT, WireError, invalid
from stowplan.placement.wire.pages import page
from stowplan.placement.wire.services import active_service, launched_by, show_configuration
from stowplan.placement.wire.show import without_none
from stowplan.placement.wire.world import Ask, Cluster, Document, Host, Steps

MOST = 20
_REVISION_DIGITS = 10**19


def _id(cluster: Cluster, service: str, deployment: str) -> str:
    return cluster.ids.event(f"{service}/{deployment}", 0).replace("-", "")[:20]


def deployment_arn(cluster: Cluster, service: str, deployment: str) -> str:
    """The ARN of a service deployment."""
    own = _id(cluster, service, deployment)
    return cluster.ids.account.arn("service-deployment", cluster.name, service, own)


def revision_arn(cluster: Cluster, service: str, deployment: str) -> str:
    """The ARN of the revision that a deployment made."""
    own = hashlib.blake2b(_id(cluster, service, deployment).encode(), digest_size=8).digest()
    number = f"{int.from_bytes(own) % _REVISION_DIGITS:019d}"
    return cluster.ids.account.arn("service-revision", cluster.name, service, number)


def _status(deployment: Deployment) -> str:
    if not deployment.outcome:
        return "IN_PROGRESS" if deployment.rollback is None else "ROLLBACK_IN_PROGRESS"
    return deployment.outcome


def _every(service: Service) -> Iterable[Deployment]:
    """All that are known of a service, the latest first, those that roll back among them."""
    every = (*service.deployments, *service.past)
    return sorted(every, key=lambda each: int(each.id.rpartition("/")[2]), reverse=True)


def _found(host: Host, text: str, kind: str) -> tuple[Cluster, Service, Deployment] | None:
    """What an ARN of a service deployment or revision means; None: nothing that is known.

    Raises:
        WireError: no such ARN.
    """
    arn = parse_arn(text)
    if arn is None or arn.kind != kind or len(arn.names) != 3:
        raise invalid(f"Invalid identifier: {text}")
    cluster = host.clusters.get(arn.names[0])
    service = None if cluster is None else cluster.state.services.get(arn.names[1])
    if cluster is None or service is None:
        return None
    made = deployment_arn if kind == "service-deployment" else revision_arn
    for each in _every(service):
        if made(cluster, service.name, each.id) == text:
            return cluster, service, each
    return None


def list_service_deployments(host: Host, params: Params) -> Document:
    """ListServiceDeployments: the latest first."""
    cluster = cluster_of(host, params)
    service = active_service(cluster, host.account.name_of(params["service"], "service"))
    wanted, created = params.get("status"), params.get("createdAt", {})
    found = []
    for each in _every(service):
        at_s = cluster.seconds(each.created_at_ms)
        if each.rolls_back or (wanted and _status(each) not in wanted):
            continue
        if created.get("after", at_s) <= at_s <= created.get("before", at_s):
            found.append(each)
    # Pages go by place from the oldest on, so that a new one changes none.
    order = range(-len(found), 0)
    shown, token = page(order, params, "ListServiceDeployments")
    answer: Document = {
        "serviceDeployments": [_brief(cluster, service, found[at + len(found)]) for at in shown]
    }
    return answer if token is None else answer | {"nextToken": token}


def describe_service_deployments(host: Host, params: Params) -> Document:
    """DescribeServiceDeployments: up to 20."""
    found, failures = [], []
    for text in _some(params["serviceDeploymentArns"]):
        there = _found(host, text, "service-deployment")
        if there is None or there[2].rolls_back:
            failures.append(missing(text))
        else:
            found.append(_shown(*there))
    return {"serviceDeployments": found, "failures": failures}


def describe_service_revisions(host: Host, params: Params) -> Document:
    """DescribeServiceRevisions: up to 20."""
    found, failures = [], []
    for text in _some(params["serviceRevisionArns"]):
        there = _found(host, text, "service-revision")
        if there is None:
            failures.append(missing(text))
        else:
            found.append(_revision(*there))
    return {"serviceRevisions": found, "failures": failures}


def _some(arns: list[str]) -> list[str]:
    if not 1 <= len(arns) <= MOST:
        raise invalid(f"1 to {MOST} ARNs expected.")
    return arns


def stop_service_deployment(host: Host, params: Params) -> Steps:
    """StopServiceDeployment: ROLLBACK unless told to ABORT."""
    arn = params["serviceDeploymentArn"]
    there = _found(host, arn, "service-deployment")
    if there is None or there[2].rolls_back:
        what = "The service deploy ARN that you specified doesn't exist."
        raise WireError("ServiceDeploymentNotFoundException", what)
    if _status(there[2]) != "IN_PROGRESS":
        what = f"The service deployment is {_status(there[2])} and cannot be stopped."
        raise WireError(CONFLICT, what, more={"resourceIds": [arn]})
    cluster, service, deployment = there
    stop = params.get("stopType", "ROLLBACK")
    call = m.StopServiceDeployment(service.name, deployment.id, stop)
    taken((yield [Ask(cluster, call)]))
    return {"serviceDeploymentArn": arn}


# --- shown ---------------------------------------------------------------------------------------


def _brief(cluster: Cluster, service: Service, deployment: Deployment) -> Document:
    finished = deployment.finished_at_ms
    return without_none(
        {
            "serviceDeploymentArn": deployment_arn(cluster, service.name, deployment.id),
            "serviceArn": cluster.ids.service(service.name),
            "clusterArn": cluster.arn,
            "startedAt": cluster.seconds(deployment.created_at_ms),
            "createdAt": cluster.seconds(deployment.created_at_ms),
            "finishedAt": None if finished is None else cluster.seconds(finished),
            "targetServiceRevisionArn": revision_arn(cluster, service.name, deployment.id),
            "status": _status(deployment),
            "statusReason": deployment.rollout_reason or None,
        }
    )


def _summary(cluster: Cluster, service: Service, deployment: Deployment) -> Document:
    primary = deployment is service.deployments[0]
    return {
        "arn": revision_arn(cluster, service.name, deployment.id),
        "requestedTaskCount": service.call.desired_count if primary else 0,
        "runningTaskCount": deployment.running,
        "pendingTaskCount": deployment.pending,
    }


def _shown(cluster: Cluster, service: Service, deployment: Deployment) -> Document:
    brief = _brief(cluster, service, deployment)
    del brief["targetServiceRevisionArn"]
    known = {each.id: each for each in _every(service)}
    sources = [known[name] for name in deployment.sources if name in known]
    breaker, status = service.call.circuit_breaker, brief["status"]
    watched = "MONITORING" if status == "IN_PROGRESS" else "MONITORING_COMPLETE"
    if deployment.rollout_state == "FAILED":
        watched = "TRIGGERED"
    document = brief | {
        "updatedAt": cluster.seconds(deployment.updated_at_ms),
        "sourceServiceRevisions": [_summary(cluster, service, each) for each in sources],
        "targetServiceRevision": _summary(cluster, service, deployment),
        "deploymentConfiguration": show_configuration(service.call),
        "deploymentCircuitBreaker": {
            "status": "DISABLED" if breaker is None else watched,
            "failureCount": deployment.failed_tasks,
        },
    }
    if deployment.rollback is not None:
        document["rollback"] = {
            "reason": deployment.rollout_reason,
            "startedAt": cluster.seconds(deployment.updated_at_ms),
            "serviceRevisionArn": revision_arn(cluster, service.name, deployment.rollback),
        }
    if status == "STOPPED" and deployment.finished_at_ms is not None:
        document["stoppedAt"] = cluster.seconds(deployment.finished_at_ms)
    return document


def _revision(cluster: Cluster, service: Service, deployment: Deployment) -> Document:
    record = cluster.state.definition(deployment.task_definition)
    assert record is not None, "a deployment is of a definition that was registered"
    return {
        "serviceRevisionArn": revision_arn(cluster, service.name, deployment.id),
        "serviceArn": cluster.ids.service(service.name),
        "clusterArn": cluster.arn,
        "taskDefinition": cluster.ids.account.task_definition(deployment.task_definition),
        "loadBalancers": service.call.described.get("loadBalancers", []),
        "serviceRegistries": service.call.described.get("serviceRegistries", []),
        "containerImages": [
            {"containerName": each["name"], "image": each["image"]}
            for each in record.document["containerDefinitions"]
        ],
        "guardDutyEnabled": False,
        "createdAt": cluster.seconds(deployment.created_at_ms),
        **launched_by(service),
    }
