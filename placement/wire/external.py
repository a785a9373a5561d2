"""Services whose deployments somebody else controls: EXTERNAL, and CODE_DEPLOY.

Such a service starts nothing itself; it is kept, and described. Each of its task sets is a service
of the scheduler's, named `SERVICE/NUMBER`, which no caller's service can be called. So task sets
start, stop and recover tasks as services do.
"""

from __future__ import annotations

from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.describe import Service
from stowplan.placement.wire.calls import Params, tag_pairs, taken
from stowplan.placement.wire.capacity import provider_strategy, shown_strategy
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.show import shown_tags, without_none
from stowplan.placement.wire.world import Ask, Cluster, Document, Host, Steps

KIND = "external service"  # of what is kept
CONTROLLERS = ("EXTERNAL", "CODE_DEPLOY")
ID = "ecs-svc/"  # begins the id of a task set
_KEPT = (
    *("loadBalancers", "serviceRegistries", "networkConfiguration", "propagateTags"),
    *("enableECSManagedTags", "enableExecuteCommand", "healthCheckGracePeriodSeconds"),
    *("platformVersion", "deploymentConfiguration", "role"),
)
_TAKEN = ("desiredCount", "healthCheckGracePeriodSeconds", "deploymentConfiguration")


def external(cluster: Cluster, name: str) -> Document | None:
    """What is kept of an external service of that name; None: there is none."""
    found: Document | None = cluster.state.kept.get(KIND, {}).get(name)
    return found


def externals(cluster: Cluster) -> dict[str, Document]:
    """The external services that are ACTIVE."""
    kept = cluster.state.kept.get(KIND, {})
    return {name: each for name, each in kept.items() if each["status"] == "ACTIVE"}


def task_sets(cluster: Cluster, name: str) -> list[Service]:
    """The task sets of an external service, the oldest first; those gone not among them."""
    found = cluster.state.services.items()
    return [e for inner, e in found if inner.startswith(f"{name}/") and e.status != "INACTIVE"]


def set_name(cluster: Cluster, name: str) -> str:
    """A new name for a task set of an external service."""
    cluster.asked += 1
    unique = cluster.ids.event(f"{name}/{cluster.state.rounds}", cluster.asked)
    return f"{name}/{int(unique.replace('-', '')[:16], 16) % 10**19:019d}"


def computed(desired_count: int, scale: float) -> int:
    """`computedDesiredCount`: a share of the service's count in per cent, rounded up."""
    return -int(-desired_count * scale // 100)


# --- calls ---------------------------------------------------------------------------------------


def create_external(host: Host, cluster: Cluster, params: Params) -> Steps:
    """CreateService of a controller that is not ECS."""
    name, controller = params["serviceName"], params["deploymentController"]["type"]
    if controller == "CODE_DEPLOY" and "taskDefinition" not in params:
        raise invalid("TaskDefinition can not be blank.")
    if params.get("schedulingStrategy") == "DAEMON":
        raise invalid(f"The {controller} deployment controller does not support DAEMON.")
    taken_by = cluster.state.services.get(name)
    if external(cluster, name) in externals(cluster).values() or (
        taken_by is not None and taken_by.status != "INACTIVE"
    ):
        raise invalid("Creation of service was not idempotent.")
    document = {
        "controller": controller,
        "status": "ACTIVE",
        "createdAt": host.now_s(),
        "desiredCount": params.get("desiredCount", 0),
        "tags": dict(tag_pairs(params.get("tags"))),
        **{each: params[each] for each in _KEPT if each in params},
    }
    calls: list[m.Event] = [m.Keep(KIND, name, document)]
    if controller == "CODE_DEPLOY":  # ECS makes its first task set itself
        calls.append(set_call(host, cluster, name, document, params, "PRIMARY"))
    taken((yield [Ask(cluster, call) for call in calls]))
    return {"service": show_external(cluster, name, document, ["TAGS"])}


def set_call(
    host: Host, cluster: Cluster, name: str, service: Document, params: Params, status: str
) -> m.CreateService:
    """The service of the scheduler's that a new task set is."""
    scale = float(params.get("scale", {}).get("value", 100.0))
    if not 0 <= scale <= 100:
        raise invalid("scale: expected 0 to 100 PERCENT")
    inert = ("loadBalancers", "serviceRegistries", "networkConfiguration", "platformVersion")
    described = {
        "scale": scale,
        "status": status,
        "createdAt": host.now_s(),
        "updatedAt": host.now_s(),
        **{each: params[each] for each in ("externalId", "clientToken") if each in params},
        **{each: params[each] for each in inert if each in params},
    }
    return m.CreateService(
        set_name(cluster, name),
        host.account.name_of(params["taskDefinition"], "task-definition"),
        computed(service["desiredCount"], scale),
        capacity_provider_strategy=provider_strategy(host, cluster, params),
        described={"taskSet": described} | _propagated(service),
    )


def _propagated(service: Document) -> Document:
    return {each: service[each] for each in ("propagateTags",) if each in service}


def set_changed(
    host: Host, task_set: Service, desired_count: int, **fields: Any
) -> m.UpdateService:
    """The call by which a task set has other fields, or follows another count of its service."""
    described = task_set.call.described["taskSet"] | fields | {"updatedAt": host.now_s()}
    count = computed(desired_count, described["scale"])
    return m.UpdateService(task_set.name, count, described={"taskSet": described})


def update_external(host: Host, cluster: Cluster, name: str, params: Params) -> Steps:
    """UpdateService: of such a service its count, and what does nothing."""
    document = active_external(cluster, name)
    if "taskDefinition" in params or params.get("forceNewDeployment"):
        what = f"on services with a {document['controller']} deployment controller"
        raise invalid(f"Unable to update task definition {what}.")
    document = document | {each: params[each] for each in _TAKEN if each in params}
    calls: list[m.Event] = [m.Keep(KIND, name, document)]
    if "desiredCount" in params:
        count = params["desiredCount"]
        calls += [set_changed(host, each, count) for each in _living(cluster, name)]
    taken((yield [Ask(cluster, call) for call in calls]))
    return {"service": show_external(cluster, name, document)}


def delete_external(host: Host, cluster: Cluster, name: str, params: Params) -> Steps:
    """DeleteService, with its task sets."""
    document, living = active_external(cluster, name), _living(cluster, name)
    if not params.get("force") and any(each.call.desired_count for each in living):
        raise invalid("The service cannot be stopped while it is scaled above 0.")
    document = document | {"status": "INACTIVE", "desiredCount": 0}
    calls: list[m.Event] = [m.DeleteService(each.name, True) for each in living]
    taken((yield [Ask(cluster, call) for call in (*calls, m.Keep(KIND, name, document))]))
    return {"service": show_external(cluster, name, document)}


def _living(cluster: Cluster, name: str) -> list[Service]:
    return [each for each in task_sets(cluster, name) if each.status == "ACTIVE"]


def active_external(cluster: Cluster, name: str) -> Document:
    """Raises WireError: ServiceNotFoundException, ServiceNotActiveException."""
    found = external(cluster, name)
    if found is None:
        raise WireError("ServiceNotFoundException", "Service not found.")
    if found["status"] != "ACTIVE":
        raise WireError("ServiceNotActiveException", "Service was not ACTIVE.")
    return found


# --- shown ---------------------------------------------------------------------------------------


def show_external(cluster: Cluster, name: str, document: Document, include: Any = ()) -> Document:
    """A Service."""
    sets = task_sets(cluster, name)
    shown = [show_task_set(cluster, each) for each in sets]
    primary = next((each for each in shown if each["status"] == "PRIMARY"), None)
    answer = {
        "serviceArn": cluster.ids.service(name),
        "serviceName": name,
        "clusterArn": cluster.arn,
        "status": document["status"],
        "desiredCount": document["desiredCount"],
        "runningCount": sum(each.running for each in sets),
        "pendingCount": sum(each.pending for each in sets),
        "taskDefinition": primary and primary["taskDefinition"],
        "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100},
        "taskSets": shown,
        "deployments": [],
        "events": _events(cluster, name, sets),
        "createdAt": document["createdAt"],
        "loadBalancers": [],
        "serviceRegistries": [],
        "placementConstraints": [],
        "placementStrategy": [],
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": document["controller"]},
        "enableECSManagedTags": False,
        "propagateTags": "NONE",
        "enableExecuteCommand": False,
        "tags": shown_tags(document["tags"]) if "TAGS" in include else None,
        **{each: document[each] for each in _KEPT if each in document and each != "role"},
    }
    return without_none(answer)


def _events(cluster: Cluster, name: str, sets: list[Service]) -> list[Document]:
    lines = [(line.at_ms, each, line) for each in sets for line in each.events]
    return [
        {
            "id": cluster.ids.event(each.name, line.number),
            "createdAt": cluster.seconds(at_ms),
            "message": line.text.replace(
                f"(service {each.name})", f"(service {name}, taskSet {set_id(each)})"
            ),
        }
        for at_ms, each, line in sorted(lines, key=lambda found: -found[0])
    ]


def set_id(task_set: Service) -> str:
    """`ecs-svc/NUMBER`."""
    return ID + task_set.name.rpartition("/")[2]


def set_arn(cluster: Cluster, task_set: Service) -> str:
    """The ARN of a task set."""
    return cluster.ids.account.arn(
        "task-set", cluster.name, task_set.name.partition("/")[0], set_id(task_set)
    )


def show_task_set(cluster: Cluster, task_set: Service, include: Any = ()) -> Document:
    """A TaskSet."""
    call, service = task_set.call, task_set.name.partition("/")[0]
    kept = call.described["taskSet"]
    steady = task_set.running == call.desired_count and not task_set.pending
    document = {
        "id": set_id(task_set),
        "taskSetArn": set_arn(cluster, task_set),
        "serviceArn": cluster.ids.service(service),
        "clusterArn": cluster.arn,
        "externalId": kept.get("externalId"),
        "status": kept["status"] if task_set.status == "ACTIVE" else "DRAINING",
        "taskDefinition": cluster.ids.account.task_definition(call.task_definition),
        "computedDesiredCount": call.desired_count,
        "pendingCount": task_set.pending,
        "runningCount": task_set.running,
        "createdAt": kept["createdAt"],
        "updatedAt": kept["updatedAt"],
        "networkConfiguration": kept.get("networkConfiguration"),
        "loadBalancers": kept.get("loadBalancers", []),
        "serviceRegistries": kept.get("serviceRegistries", []),
        "scale": {"value": kept["scale"], "unit": "PERCENT"},
        "stabilityStatus": "STEADY_STATE" if steady else "STABILIZING",
        "stabilityStatusAt": cluster.seconds(task_set.deployments[0].updated_at_ms),
        "tags": shown_tags(task_set.tags) if "TAGS" in include else None,
        **shown_strategy(call.capacity_provider_strategy),
    }
    return without_none(document)
