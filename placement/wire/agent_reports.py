"""Operations by which real agents report what became of tasks (ecs 9.3).

Each is answered once its round is written down, so that nothing is lost that an agent was told is
known. What is known already changes nothing, and is acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.agent.task import EXITED
from stowplan.placement.describe import Task
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.wire.calls import Params, cluster_of, taken
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.world import Ask, Cluster, Document, Host, Steps

_TAKEN: Document = {"acknowledgment": "ok"}
_STATUSES = {"RUNNING": TaskStatus.RUNNING, "STOPPED": TaskStatus.STOPPED}
_KILLED = (137, 143)  # by SIGKILL, by SIGTERM


def task_changed(
    task: Task, definition: Mapping[str, Any], params: Mapping[str, Any], since_ms: int | None
) -> m.TasksChanged:
    """SubmitTaskStateChange and SubmitContainerStateChange as the event that they mean.

    An agent says that a task stopped, and of what each container; why it stopped is for ECS to say.

    Args:
        task: as it is described.
        definition: the document of its task definition.
        params: of the call; `status` of a task, "" where the call is about containers alone.
        since_ms: when its containers stopped, where the agent says that.
    """
    containers = tuple(_container(each) for each in params.get("containers", ()))
    status = _STATUSES.get(params.get("status", ""))
    if status is None:
        return m.TasksChanged(TaskStatus.PENDING, (task.number,), containers=containers)
    if status is TaskStatus.RUNNING:
        return m.TasksChanged(status, (task.number,), containers=containers)
    told = dict(task.containers)
    told |= {each.name: each.after(told.get(each.name)) for each in containers}
    code, reason = _why(task, params.get("reason", ""))
    essential = [c["name"] for c in definition["containerDefinitions"] if c.get("essential", True)]
    ended = [told[name].exit_code for name in essential if name in told]
    own = code is StopCode.ESSENTIAL_CONTAINER_EXITED
    exit_code = _first([each for each in ended if each is not None]) if own else None
    return m.TasksChanged(status, (task.number,), code, reason, exit_code, since_ms, containers)


def _why(task: Task, reason: str) -> tuple[StopCode, str]:
    if task.desired_status is TaskStatus.STOPPED and task.stop_code is not None:
        return task.stop_code, task.stopped_reason
    if reason and task.last_status is not TaskStatus.RUNNING:
        return StopCode.TASK_FAILED_TO_START, reason
    return StopCode.ESSENTIAL_CONTAINER_EXITED, EXITED


def _first(codes: Sequence[int]) -> int | None:
    """Of several essential containers the one that ended by itself is why the others were ended."""
    by_itself = (code for code in codes if code not in _KILLED)
    return next(by_itself, codes[0] if codes else None)


def _container(given: Mapping[str, Any]) -> m.ContainerReport:
    return m.ContainerReport(
        given.get("containerName", ""),
        given.get("status", ""),
        given.get("exitCode"),
        given.get("reason", ""),
        given.get("runtimeId", ""),
        given.get("imageDigest", ""),
        tuple(_binding(each) for each in given.get("networkBindings", ())),
    )


def _binding(given: Mapping[str, Any]) -> m.Binding:
    return m.Binding(
        given.get("containerPort", 0),
        given.get("hostPort", 0),
        given.get("protocol", "tcp"),
        given.get("bindIP", "0.0.0.0"),
    )


# --- operations -----------------------------------------------------------------------------------


def _agents_of(host: Host, params: Params) -> Cluster:
    cluster = cluster_of(host, params)
    if host.agents(cluster) is None:
        what = "an agent of this cluster alone may call it; its agents are simulated"
        raise WireError("AccessDeniedException", what)
    return cluster


def submit_task_state_change(host: Host, params: Params) -> Steps:
    """SubmitTaskStateChange."""
    return _submit(_agents_of(host, params), params)


def submit_container_state_change(host: Host, params: Params) -> Steps:
    """SubmitContainerStateChange: of one container, its task's status apart."""
    report = {name: value for name, value in params.items() if name not in ("cluster", "task")}
    about = {"task": params.get("task", ""), "containers": [report]}
    return _submit(_agents_of(host, params), about)


def _submit(cluster: Cluster, params: Params) -> Steps:
    number = cluster.ids.number("task", params.get("task", ""))
    if number is None:
        raise invalid("The referenced task was not found.")
    task = cluster.state.tasks.get(number)
    if task is None or task.last_status is TaskStatus.STOPPED:
        return dict(_TAKEN)
    record = cluster.state.definition(task.task_definition)
    assert record is not None, "a task is of a definition that was registered"
    since_ms, stopped_at = None, params.get("executionStoppedAt")
    if isinstance(stopped_at, int | float):
        since_ms = min(max(0, int((stopped_at - cluster.epoch_s) * 1000)), cluster.state.now_ms)
    event = task_changed(task, record.document, params, since_ms)
    taken((yield [Ask(cluster, event)]))
    return dict(_TAKEN)


def submit_attachment_state_changes(host: Host, params: Params) -> Document:
    """SubmitAttachmentStateChanges: no network interface is ever attached here, so none changes."""
    _agents_of(host, params)
    for each in params.get("attachments", ()):
        what = "no network interface or volume is attached by this control plane"
        raise invalid(f"Unknown attachment {each['attachmentArn']}: {what}.")
    return dict(_TAKEN)
