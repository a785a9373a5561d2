"""From the agents' state changes to the events that the scheduler knows, in batches."""

from __future__ import annotations

from collections.abc import Iterable

from stowplan.placement import messages as m
from stowplan.placement.agent import runtime as r
from stowplan.placement.model import StopCode, TaskStatus


def events_of(changes: Iterable[r.StateChange]) -> list[m.Event]:
    """What happened, in order; what is alike and adjacent in one message."""
    events: list[m.Event] = []
    for event in (each for change in changes if (each := _event(change)) is not None):
        last = events[-1] if events else None
        if isinstance(event, m.TasksChanged) and isinstance(last, m.TasksChanged):
            tasks, rest = last.tasks + event.tasks, (event.stop_code, event.reason)
            if (last.status, last.stop_code, last.reason) == (event.status, *rest):
                events[-1] = m.TasksChanged(event.status, tasks, *rest)
                continue
        events.append(event)
    return events


def _event(change: r.StateChange) -> m.Event | None:
    match change:
        case r.TaskRunning(task):
            return m.TasksChanged(TaskStatus.RUNNING, (task,))
        case r.TaskStopped(task, code, _, _):
            return m.TasksChanged(TaskStatus.STOPPED, (task,), code, stopped_reason(change))
        case r.TaskHealth(task, healthy):
            return m.TasksHealthChanged(healthy, (task,))
    return None


def stopped_reason(change: r.TaskStopped) -> str:
    """ECS's stoppedReason, and where a container's own end explains it, that as well.

    ECS has these with the container; a line of a journal has one place for both.
    """
    if change.stop_code is not StopCode.ESSENTIAL_CONTAINER_EXITED:
        return change.reason
    ends = [
        f"{end.container} exit code {end.exit_code}" + (f", {end.reason}" if end.reason else "")
        for end in change.containers
        if end.exit_code or end.reason
    ]
    return f"{change.reason}: {'; '.join(ends)}" if ends else change.reason
