"""From tasks as ECS describes them to the events that the scheduler knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.realdriver.book import TaskEntry

_CODES = {str(code): code for code in StopCode}
_EXITED = "Essential container in task exited"


def change(
    entry: TaskEntry, document: Mapping[str, Any], told: TaskStatus | None, *, ending: bool
) -> m.TasksChanged | None:
    """What a description of a task says that was not told yet; None: nothing.

    Args:
        ending: its time was over and it was stopped for that, as if it had ended by itself.
    """
    task, there = entry.number, _containers(document)
    if document["lastStatus"] == "STOPPED":
        return m.TasksChanged(
            TaskStatus.STOPPED, (task,), *_end(entry, document, ending), containers=there
        )
    if document["lastStatus"] == "RUNNING" and told is None and entry.running_ms is None:
        return m.TasksChanged(TaskStatus.RUNNING, (task,), containers=there)
    return None


def lost(entry: TaskEntry, reason: str) -> m.TasksChanged:
    """The end of a task that is not there any more."""
    code = entry.stop[0] if entry.stop else StopCode.ESSENTIAL_CONTAINER_EXITED
    return m.TasksChanged(TaskStatus.STOPPED, (entry.number,), code, reason)


def refused(entry: TaskEntry, reason: str) -> m.TasksChanged:
    """A task that the control plane did not start."""
    code = StopCode.TASK_FAILED_TO_START
    return m.TasksChanged(TaskStatus.STOPPED, (entry.number,), code, reason)


def registration(
    number: int, document: Mapping[str, Any], more: Mapping[str, int], price: int, zone: str
) -> m.InstanceRegistered:
    """A container instance as it is described.

    Args:
        more: resources that the agent does not register, as the scenario has them.
        zone: what the scenario calls its zone; "": as AWS does.
    """
    amounts = _amounts(document["registeredResources"])
    attributes = {each["name"]: each.get("value", "") for each in document.get("attributes", ())}
    if zone:
        attributes["ecs.availability-zone"] = zone
    return m.InstanceRegistered(
        number,
        document["ec2InstanceId"],
        {**more, **amounts},
        attributes,
        price,
        _ports(document["registeredResources"], "PORTS"),
        _ports(document["registeredResources"], "PORTS_UDP"),
        version_info=dict(document.get("versionInfo") or {}),
    )


def remaining(document: Mapping[str, Any]) -> dict[str, int]:
    """What an instance has left beside the tasks that it has."""
    return _amounts(document["remainingResources"])


def _amounts(resources: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    found = {}
    for each in resources:
        if each["type"] == "INTEGER":
            found[each["name"]] = int(each["integerValue"])
        elif each["name"] == "GPU":  # one name for each
            found["GPU"] = len(each.get("stringSetValue", ()))
    return found


def _ports(resources: Iterable[Mapping[str, Any]], name: str) -> tuple[int, ...]:
    for each in resources:
        if each["name"] == name:
            return tuple(sorted(int(port) for port in each.get("stringSetValue", ())))
    return ()


def _end(
    entry: TaskEntry, document: Mapping[str, Any], ending: bool
) -> tuple[StopCode, str, int | None]:
    """stopCode, reason and exit code: the scheduler's own where it stopped the task."""
    codes = [each["exitCode"] for each in document.get("containers", ()) if "exitCode" in each]
    exit_code = codes[0] if codes else None
    if entry.stop is not None:
        return *entry.stop, exit_code
    if ending:
        return StopCode.ESSENTIAL_CONTAINER_EXITED, _EXITED, exit_code
    said = str(document.get("stopCode", ""))
    code = _CODES.get(said, StopCode.ESSENTIAL_CONTAINER_EXITED)
    return code, str(document.get("stoppedReason", "")), exit_code


def _containers(document: Mapping[str, Any]) -> tuple[m.ContainerReport, ...]:
    return tuple(
        m.ContainerReport(
            each["name"],
            str(each.get("lastStatus", "")),
            each.get("exitCode"),
            str(each.get("reason", "")),
            str(each.get("runtimeId", "")),
            str(each.get("imageDigest", "")),
            tuple(
                m.Binding(
                    int(port["containerPort"]),
                    int(port["hostPort"]),
                    str(port.get("protocol", "tcp")),
                    str(port.get("bindIP", "0.0.0.0")),
                )
                for port in each.get("networkBindings", ())
                if "hostPort" in port and "containerPort" in port
            ),
        )
        for each in document.get("containers", ())
    )
