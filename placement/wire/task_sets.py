"""Operations on task sets, of services that somebody else controls."""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.placement.describe import Service
from stowplan.placement.wire.arns import parse_arn
from stowplan.placement.wire.calls import (
    Params,
    check_network,
    client_token,
    cluster_of,
    missing,
    tag_pairs,
    taken,
)
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.external import (
    ID,
    active_external,
    set_arn,
    set_call,
    set_changed,
    set_id,
    show_task_set,
    task_sets,
)
from stowplan.placement.wire.world import Ask, Cluster, Document, Host, Steps

TOKEN_MOST = 36


def _service(host: Host, params: Params) -> tuple[Cluster, str, Document]:
    """The cluster, the name of the service, and what is kept of it.

    Raises:
        WireError: no such service, or ECS deploys it itself.
    """
    cluster = cluster_of(host, params)
    name = host.account.name_of(params["service"], "service")
    own = cluster.state.services.get(name)
    if own is not None and own.status == "ACTIVE":
        raise invalid("The service's deployment controller is ECS: it has no task sets.")
    return cluster, name, active_external(cluster, name)


def _found(cluster: Cluster, name: str, text: str) -> Service | None:
    """A task set by its ARN, its id, or the last part of either."""
    arn = parse_arn(text)
    if arn is not None and (arn.kind != "task-set" or arn.names[:2] != (cluster.name, name)):
        return None
    number = text.rpartition("/")[2]
    found = (each for each in task_sets(cluster, name) if set_id(each) == ID + number)
    return next(found, None)


def _active(cluster: Cluster, name: str, text: str) -> Service:
    found = _found(cluster, name, text)
    if found is None:
        what = "The specified task set wasn't found. You can view your available task sets with "
        raise WireError("TaskSetNotFoundException", f"{what}DescribeTaskSets.")
    if found.status != "ACTIVE":
        raise invalid("The task set is DRAINING.")
    return found


def create_task_set(host: Host, params: Params) -> Steps:
    """CreateTaskSet."""
    cluster, name, service = _service(host, params)
    if service["controller"] != "EXTERNAL":
        raise invalid(f"Task sets of a {service['controller']} service are its controller's.")
    token = client_token(params, TOKEN_MOST)
    for each in task_sets(cluster, name) if token else ():
        if each.call.described["taskSet"].get("clientToken") == token:
            return {"taskSet": show_task_set(cluster, each, ["TAGS"])}
    check_network(host, cluster.state, params)
    call = set_call(host, cluster, name, service, params, "ACTIVE")
    asks = [Ask(cluster, call)]
    if params.get("tags"):
        asks.append(Ask(cluster, m.TagResource("service", call.service, tag_pairs(params["tags"]))))
    taken((yield asks))
    return {"taskSet": show_task_set(cluster, cluster.state.services[call.service], ["TAGS"])}


def describe_task_sets(host: Host, params: Params) -> Document:
    """DescribeTaskSets: those that are named, or all."""
    cluster, name, _ = _service(host, params)
    include = params.get("include") or ()
    if not params.get("taskSets"):
        sets = task_sets(cluster, name)
        return {"taskSets": [show_task_set(cluster, each, include) for each in sets]}
    shown, failures = [], []
    for text in params["taskSets"]:
        found = _found(cluster, name, text)
        if found is None:
            arn = text
            if not text.startswith("arn:"):
                number = text.rpartition("/")[2]
                arn = host.account.arn("task-set", cluster.name, name, ID + number)
            failures.append(missing(arn))
        else:
            shown.append(show_task_set(cluster, found, include))
    return {"taskSets": shown, "failures": failures}


def update_task_set(host: Host, params: Params) -> Steps:
    """UpdateTaskSet: another share of the service's count."""
    cluster, name, service = _service(host, params)
    found, scale = _active(cluster, name, params["taskSet"]), params["scale"].get("value", 100.0)
    if not 0 <= scale <= 100:
        raise invalid("scale: expected 0 to 100 PERCENT")
    call = set_changed(host, found, service["desiredCount"], scale=float(scale))
    taken((yield [Ask(cluster, call)]))
    return {"taskSet": show_task_set(cluster, found)}


def delete_task_set(host: Host, params: Params) -> Steps:
    """DeleteTaskSet: one scaled above 0 by force alone."""
    cluster, name, _ = _service(host, params)
    found, force = _active(cluster, name, params["taskSet"]), params.get("force", False)
    if found.call.desired_count and not force:
        raise invalid("The task set cannot be deleted while it is scaled above 0.")
    taken((yield [Ask(cluster, m.DeleteService(found.name, True))]))
    return {"taskSet": show_task_set(cluster, found)}


def update_service_primary_task_set(host: Host, params: Params) -> Steps:
    """UpdateServicePrimaryTaskSet: the others are ACTIVE from then on."""
    cluster, name, service = _service(host, params)
    found = _active(cluster, name, params["primaryTaskSet"])
    calls = []
    for each in task_sets(cluster, name):
        is_primary = each.call.described["taskSet"]["status"] == "PRIMARY"
        if each.status == "ACTIVE" and is_primary is not (each is found):
            status = "PRIMARY" if each is found else "ACTIVE"
            calls.append(set_changed(host, each, service["desiredCount"], status=status))
    if calls:
        taken((yield [Ask(cluster, call) for call in calls]))
    return {"taskSet": show_task_set(cluster, found)}


def tagged_set(cluster: Cluster, text: str) -> Service | None:
    """The task set of an ARN."""
    arn = parse_arn(text)
    if arn is None or len(arn.names) < 2:
        return None
    found = _found(cluster, arn.names[1], text)
    return found if found is not None and set_arn(cluster, found) == text else None
