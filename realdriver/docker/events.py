"""From the agents' state changes to the events that the scheduler knows, in batches."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from stowplan.placement import messages as m
from stowplan.placement.agent import runtime as r
from stowplan.placement.model import TaskStatus


def events_of(changes: Iterable[r.StateChange]) -> list[m.Event]:
    """What happened, in order; what is alike and adjacent in one message."""
    events: list[m.Event] = []
    for event in (each for change in changes if (each := _event(change)) is not None):
        last = events[-1] if events else None
        if isinstance(event, m.TasksChanged) and isinstance(last, m.TasksChanged):
            together = replace(event, tasks=last.tasks + event.tasks)
            if replace(last, tasks=together.tasks) == together:
                events[-1] = together
                continue
        events.append(event)
    return events


def _event(change: r.StateChange) -> m.Event | None:
    match change:
        case r.TaskRunning(task):
            return m.TasksChanged(TaskStatus.RUNNING, (task,))
        case r.TaskStopped(task, code):
            why = code, change.full_reason, change.exit_code
            return m.TasksChanged(TaskStatus.STOPPED, (task,), *why)
        case r.TaskHealth(task, healthy):
            return m.TasksHealthChanged(healthy, (task,))
    return None
