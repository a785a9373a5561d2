"""Operations on tasks."""

from __future__ import annotations

import msgspec

from stowplan.placement import messages as m
from stowplan.placement.describe import Task
from stowplan.placement.model import TaskStatus
from stowplan.placement.taskdef.task_overrides import container_override
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
from stowplan.placement.wire.errors import CONFLICT, WireError, invalid
from stowplan.placement.wire.pages import page
from stowplan.placement.wire.show import show_task
from stowplan.placement.wire.world import Ask, Cluster, Document, Host, Steps

COUNT_MOST, START_MOST, DESCRIBE_MOST, STARTED_BY_MOST = 10, 10, 100, 128
TOKEN_MOST = 64


def run_task(host: Host, params: Params) -> Steps:
    """RunTask."""
    cluster = cluster_of(host, params)
    count = params.get("count", 1)
    if not 1 <= count <= COUNT_MOST:
        raise invalid(f"Count must be between 1 and {COUNT_MOST}.")
    given = params.get("overrides", {})
    check_network(host, cluster.state, params)
    call = m.RunTask(
        0,
        definition_name(host, cluster.state, params["taskDefinition"]),
        count,
        group=_group(params),
        cpu=_size(given, "cpu"),
        memory=_size(given, "memory"),
        placement_constraints=constraints(params.get("placementConstraints")) or (),
        placement_strategy=strategies(params.get("placementStrategy")) or (),
        started_by=_started_by(params),
        capacity_provider_strategy=provider_strategy(host, cluster, params),
        overrides=_overrides(cluster, params),
        tags=tag_pairs(params.get("tags")),
        client_token=client_token(params, TOKEN_MOST),
    )
    (answer,) = yield [Ask(cluster, call)]
    if answer.error != CONFLICT:
        taken([answer])
        return _ran(cluster, answer.tasks, answer.failures)
    use = cluster.state.tokens[call.client_token]
    if msgspec.structs.replace(use.call, request=0) != call:
        what = "The client token was used before with other parameters."
        arns = [cluster.ids.task(number) for number in use.tasks]
        raise WireError(CONFLICT, what, more={"resourceIds": arns})
    return _ran(cluster, use.tasks, use.failures)


def _ran(cluster: Cluster, tasks: list[int], failures: list[m.RunTaskFailed]) -> Document:
    shown = [
        {"arn": cluster.arn, "reason": each.failure.reason}
        for each in failures
        for _ in range(each.count)
    ]
    return {"tasks": _created(cluster, tasks), "failures": shown}


def start_task(host: Host, params: Params) -> Steps:
    """StartTask: one task on each instance that is named; the caller is the scheduler."""
    cluster = cluster_of(host, params)
    named = params["containerInstances"]
    if not 1 <= len(named) <= START_MOST:
        raise invalid(f"Container instances must be between 1 and {START_MOST}.")
    numbers, failures = [], []
    for text in named:
        number = cluster.ids.number("container-instance", text)
        if number is None or number not in cluster.state.instances:
            failures.append(missing(text))
        else:
            numbers.append(number)
    if not numbers:
        return {"tasks": [], "failures": failures}
    given = params.get("overrides", {})
    check_network(host, cluster.state, params)
    call = m.StartTask(
        0,
        definition_name(host, cluster.state, params["taskDefinition"]),
        tuple(numbers),
        group=_group(params),
        cpu=_size(given, "cpu"),
        memory=_size(given, "memory"),
        started_by=_started_by(params),
        overrides=_overrides(cluster, params),
        tags=tag_pairs(params.get("tags")),
    )
    (answer,) = taken((yield [Ask(cluster, call)]))
    for each in answer.failures:
        assert each.instance is not None, "StartTask fails by instance"
        failures.append({"arn": cluster.ids.instance(each.instance), "reason": each.failure.reason})
    return {"tasks": _created(cluster, answer.tasks), "failures": failures}


def _created(cluster: Cluster, numbers: list[int]) -> list[Document]:
    tasks = cluster.state.tasks
    return [show_task(cluster, tasks[number], ["TAGS"]) for number in numbers if number in tasks]


def _group(params: Params) -> str | None:
    group: str | None = params.get("group")
    if group is not None and group.startswith("service:"):
        raise invalid("Invalid group: group names that begin with service: are of services.")
    return group


def _started_by(params: Params) -> str:
    started_by: str = params.get("startedBy", "")
    if len(started_by) > STARTED_BY_MOST:
        raise invalid(f"startedBy is longer than {STARTED_BY_MOST} characters.")
    return started_by


def _size(given: Document, name: str) -> int | None:
    """A task-level size of `overrides`, which the API has as text."""
    text = given.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise invalid(f"Invalid setting for override {name}: {text!r}")
    return int(text)


def _overrides(cluster: Cluster, params: Params) -> tuple[m.ContainerOverride, ...]:
    made = []
    for each in params.get("overrides", {}).get("containerOverrides", ()):
        if "name" not in each:
            raise invalid("Container name is required for a container override.")
        made.append(container_override(each))
    return tuple(made)


def stop_task(host: Host, params: Params) -> Steps:
    """StopTask; a task that is STOPPED already is answered as it is."""
    cluster = cluster_of(host, params)
    task = _found(cluster, params["task"])
    if task is None:
        raise invalid("The referenced task was not found.")
    if task.desired_status is not TaskStatus.STOPPED:
        call = m.StopTask((task.number,), params.get("reason") or m.StopTask((0,)).reason)
        taken((yield [Ask(cluster, call)]))
    return {"task": show_task(cluster, task)}


def _found(cluster: Cluster, text: str) -> Task | None:
    number = cluster.ids.number("task", text)
    return None if number is None else cluster.state.tasks.get(number)


def describe_tasks(host: Host, params: Params) -> Document:
    """DescribeTasks: up to 100."""
    cluster = cluster_of(host, params)
    if not params["tasks"] or len(params["tasks"]) > DESCRIBE_MOST:
        raise invalid(f"Tasks must be between 1 and {DESCRIBE_MOST}.")
    include = params.get("include") or ()
    tasks, failures = [], []
    for text in params["tasks"]:
        task = _found(cluster, text)
        if task is None:
            arn = text if text.startswith("arn:") else host.account.arn("task", cluster.name, text)
            failures.append(missing(arn))
        else:
            tasks.append(show_task(cluster, task, include))
    return {"tasks": tasks, "failures": failures}


def list_tasks(host: Host, params: Params) -> Document:
    """ListTasks; `startedBy` goes with no other filter (ecs 8.3)."""
    cluster = cluster_of(host, params)
    desired = params.get("desiredStatus", "RUNNING")
    filters = [f for f in ("containerInstance", "family", "serviceName") if f in params]
    if "startedBy" in params and filters:
        raise invalid("startedBy cannot be given with another filter.")
    if desired == "PENDING":  # which ECS never sets
        return {"taskArns": []}
    instance = None
    if "containerInstance" in params:
        instance = cluster.ids.number("container-instance", params["containerInstance"])
        if instance is None:
            raise invalid("The referenced container instance was not found.")
    service = params.get("serviceName")
    found = cluster.state.list_tasks(
        desired_status=TaskStatus(desired),
        instance=instance,
        family=params.get("family"),
        service=None if service is None else host.account.name_of(service, "service"),
        started_by=params.get("startedBy"),
    )
    shown, token = page([task.number for task in found], params, "ListTasks")
    answer: Document = {"taskArns": [cluster.ids.task(number) for number in shown]}
    return answer if token is None else answer | {"nextToken": token}
