"""Operations that mark things: tags, attributes, protection of tasks."""

from __future__ import annotations

from typing import Any, NamedTuple

from stowplan.placement import messages as m
from stowplan.placement.describe import Task
from stowplan.placement.messages import Attribute
from stowplan.placement.model import TaskStatus
from stowplan.placement.wire.arns import Arn, parse_arn
from stowplan.placement.wire.calls import Params, cluster_of, missing, tag_pairs, taken
from stowplan.placement.wire.definitions import everywhere
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.external import KIND as EXTERNAL_KIND
from stowplan.placement.wire.external import externals
from stowplan.placement.wire.instances import found_instance
from stowplan.placement.wire.pages import page
from stowplan.placement.wire.show import shown_tags
from stowplan.placement.wire.task_sets import tagged_set
from stowplan.placement.wire.world import Ask, Cluster, Document, Host, Steps

PROTECT_MOST, PROTECTED_MOST_MINUTES = 10, 2_880


class _Resource(NamedTuple):
    """A resource that can have tags: where it is kept, and its name as messages have it."""

    cluster: Cluster
    kind: m.TaggedKind
    name: str
    tags: dict[str, str]
    kept: bool = False  # an external service, which is kept with its tags

    def asks(self, host: Host, call: m.Event) -> list[Ask]:
        """Whom to ask: task definitions are known everywhere."""
        if self.kind == "task-definition":
            return everywhere(host, call)
        return [Ask(self.cluster, call)]

    def tagged(self, tags: dict[str, str]) -> m.Keep:
        """The call that keeps an external service with other tags."""
        document = externals(self.cluster)[self.name]
        return m.Keep(EXTERNAL_KIND, self.name, document | {"tags": tags})


def _resource(host: Host, text: str) -> _Resource:
    """The resource of an ARN.

    Raises:
        WireError: no ARN of this account, or there is no such resource.
    """
    arn = parse_arn(text)
    if arn is None or arn[:2] != (host.account.region, host.account.account):
        raise invalid(f"Invalid resource ARN: {text}")
    found = _of_account(host, arn) or _of_cluster(host, arn, text)
    if found is None:
        raise WireError("ResourceNotFoundException", "The specified resource was not found.")
    return found


def _of_account(host: Host, arn: Arn) -> _Resource | None:
    registry, name = host.registry, arn.names[-1]
    if arn.kind == "task-definition":
        return _made(registry, "task-definition", name, registry.state.definition(name))
    if arn.kind == "capacity-provider":
        provider = registry.state.capacity_providers.get(name)
        return _made(registry, "capacity-provider", name, provider)
    return None


def _of_cluster(host: Host, arn: Arn, text: str) -> _Resource | None:
    cluster = host.clusters.get(arn.names[0])
    if cluster is None or cluster.state.status != "ACTIVE":
        return None
    state, name = cluster.state, arn.names[-1]
    if arn.kind == "cluster":
        return _made(cluster, "cluster", "", state)
    if arn.kind == "task-set":
        found = tagged_set(cluster, text)
        return None if found is None else _made(cluster, "service", found.name, found)
    if arn.kind == "service" and name in externals(cluster):
        return _Resource(cluster, "service", name, externals(cluster)[name]["tags"], True)
    if arn.kind == "service":
        return _made(cluster, "service", name, state.services.get(name))
    if arn.kind == "task":
        number = _number(cluster, "task", text)
        return _made(cluster, "task", str(number), state.tasks.get(number))
    if arn.kind == "container-instance":
        number = _number(cluster, "container-instance", text)
        return _made(cluster, "container-instance", str(number), state.instances.get(number))
    return None


def _made(cluster: Cluster, kind: m.TaggedKind, name: str, record: Any) -> _Resource | None:
    return None if record is None else _Resource(cluster, kind, name, record.tags)


def _number(cluster: Cluster, kind: str, text: str) -> int:
    number = cluster.ids.number(kind, text)
    return -1 if number is None else number


def tag_resource(host: Host, params: Params) -> Steps:
    """TagResource."""
    found = _resource(host, params["resourceArn"])
    pairs = tag_pairs(params["tags"])
    call: m.Event = m.TagResource(found.kind, found.name, pairs)
    if found.kept:
        call = found.tagged(found.tags | dict(pairs))
    taken((yield found.asks(host, call)))
    return {}


def untag_resource(host: Host, params: Params) -> Steps:
    """UntagResource."""
    found = _resource(host, params["resourceArn"])
    keys = params["tagKeys"]
    call: m.Event = m.UntagResource(found.kind, found.name, tuple(keys))
    if found.kept:
        call = found.tagged({key: each for key, each in found.tags.items() if key not in keys})
    taken((yield found.asks(host, call)))
    return {}


def list_tags_for_resource(host: Host, params: Params) -> Document:
    """ListTagsForResource."""
    return {"tags": shown_tags(_resource(host, params["resourceArn"]).tags)}


# --- attributes ----------------------------------------------------------------------------------


def _attributes(cluster: Cluster, params: Params) -> tuple[Attribute, ...]:
    made = []
    for each in params["attributes"]:
        if each.get("targetType", "container-instance") != "container-instance":
            raise invalid("targetType must be container-instance.")
        for number in _targets(cluster, each.get("targetId")):
            made.append(Attribute(each["name"], number, each.get("value", "")))
    return tuple(made)


def _targets(cluster: Cluster, target: str | None) -> list[int]:
    """The instance that is named; where none is, all: AWS does not say, moto does so."""
    if target is None:
        return [each.number for each in cluster.state.list_instances()]
    instance = found_instance(cluster, target)
    if instance is None:
        raise WireError("TargetNotFoundException", "Could not find target.")
    return [instance.number]


def _shown(cluster: Cluster, attributes: tuple[Attribute, ...]) -> list[Document]:
    return [
        {
            "name": each.name,
            "targetType": "container-instance",
            "targetId": cluster.ids.instance(each.instance),
        }
        | ({"value": each.value} if each.value else {})
        for each in attributes
    ]


def put_attributes(host: Host, params: Params) -> Steps:
    """PutAttributes."""
    cluster = cluster_of(host, params)
    attributes = _attributes(cluster, params)
    taken((yield [Ask(cluster, m.PutAttributes(attributes))]))
    return {"attributes": _shown(cluster, attributes)}


def delete_attributes(host: Host, params: Params) -> Steps:
    """DeleteAttributes."""
    cluster = cluster_of(host, params)
    attributes = _attributes(cluster, params)
    taken((yield [Ask(cluster, m.DeleteAttributes(attributes))]))
    return {"attributes": _shown(cluster, attributes)}


def list_attributes(host: Host, params: Params) -> Document:
    """ListAttributes of the container instances that are not INACTIVE."""
    cluster = cluster_of(host, params)
    name, value = params.get("attributeName"), params.get("attributeValue")
    found = {
        f"{instance.number:010d} {each}": Attribute(each, instance.number, held)
        for instance in cluster.state.list_instances()
        for each, held in instance.attributes.items()
        if name in (None, each) and value in (None, held)
    }
    shown, token = page(sorted(found), params, "ListAttributes")
    answer: Document = {"attributes": _shown(cluster, tuple(found[key] for key in shown))}
    return answer if token is None else answer | {"nextToken": token}


# --- protection ----------------------------------------------------------------------------------


def update_task_protection(host: Host, params: Params) -> Steps:
    """UpdateTaskProtection: of service tasks, ten at most."""
    cluster = cluster_of(host, params)
    found, failures = _protectable(cluster, params["tasks"])
    enabled, minutes = params["protectionEnabled"], params.get("expiresInMinutes", 120)
    if not 1 <= minutes <= PROTECTED_MOST_MINUTES:
        raise invalid(f"expiresInMinutes must be between 1 and {PROTECTED_MOST_MINUTES}.")
    if found:
        numbers = tuple(dict.fromkeys(task.number for task in found))
        taken((yield [Ask(cluster, m.UpdateTaskProtection(numbers, enabled, minutes))]))
    return {"protectedTasks": [_protection(cluster, e) for e in found], "failures": failures}


def get_task_protection(host: Host, params: Params) -> Document:
    """GetTaskProtection: of the tasks that are named; without names, of all that are protected."""
    cluster = cluster_of(host, params)
    if params.get("tasks"):
        found, failures = _protectable(cluster, params["tasks"])
    else:
        tasks = cluster.state.tasks.values()
        found, failures = [each for each in tasks if _is_protected(cluster, each)], []
    return {"protectedTasks": [_protection(cluster, e) for e in found], "failures": failures}


def _protectable(cluster: Cluster, texts: list[str]) -> tuple[list[Task], list[Document]]:
    """The service tasks that are named, and failures for what is none."""
    if len(texts) > PROTECT_MOST:
        raise invalid(f"Tasks must be between 1 and {PROTECT_MOST}.")
    found, failures = [], []
    for text in texts:
        number = cluster.ids.number("task", text)
        task = None if number is None else cluster.state.tasks.get(number)
        if task is None:
            arn = text if text.startswith("arn:") else cluster.ids.account.arn("task", text)
            failures.append(missing(arn))
        elif task.service is None or task.desired_status is not TaskStatus.RUNNING:
            arn = cluster.ids.task(task.number)
            failures.append({"arn": arn, "reason": "TASK_NOT_VALID"})
        else:
            found.append(task)
    return found, failures


def _is_protected(cluster: Cluster, task: Task) -> bool:
    until_ms = task.protected_until_ms
    return until_ms is not None and until_ms > cluster.state.now_ms


def _protection(cluster: Cluster, task: Task) -> Document:
    protected = _is_protected(cluster, task)
    shown: Document = {"taskArn": cluster.ids.task(task.number), "protectionEnabled": protected}
    if protected and task.protected_until_ms is not None:
        shown["expirationDate"] = cluster.seconds(task.protected_until_ms)
    return shown
