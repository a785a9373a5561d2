"""From the agents' state changes to the events that the scheduler knows, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from stowplan.placement import messages as m
from stowplan.placement.agent import runtime as r
from stowplan.placement.model import TaskStatus
from stowplan.realdriver.docker.connection import EngineContainer

Seen = Callable[[int], Mapping[str, EngineContainer]]  # the containers of a task, as last seen


def events_of(changes: Iterable[r.StateChange], seen: Seen = lambda task: {}) -> list[m.Event]:
    """What happened, in order; what is alike and adjacent in one message."""
    events: list[m.Event] = []
    for event in (each for change in changes if (each := _event(change, seen)) is not None):
        last = events[-1] if events else None
        if isinstance(event, m.TasksChanged) and isinstance(last, m.TasksChanged):
            together = replace(event, tasks=last.tasks + event.tasks)
            if replace(last, tasks=together.tasks) == together:
                events[-1] = together
                continue
        events.append(event)
    return events


def _event(change: r.StateChange, seen: Seen) -> m.Event | None:
    match change:
        case r.TaskRunning(task):
            there = tuple(map(_published, seen(task).values()))
            return m.TasksChanged(TaskStatus.RUNNING, (task,), containers=there)
        case r.TaskStopped(task, code):
            why = code, change.full_reason, change.exit_code
            ends = tuple(
                m.ContainerReport(each.container, "STOPPED", each.exit_code, each.reason)
                for each in change.containers
            )
            return m.TasksChanged(TaskStatus.STOPPED, (task,), *why, containers=ends)
        case r.TaskHealth(task, healthy):
            return m.TasksHealthChanged(healthy, (task,))
    return None


def _published(container: EngineContainer) -> m.ContainerReport:
    """Where the ports of a container are to be had."""
    bindings = tuple(
        m.Binding(int(port), number, protocol, host)
        for name, host, number in container.ports
        for port, _, protocol in (name.partition("/"),)
    )
    return m.ContainerReport(container.name, "RUNNING", runtime_id=container.id, bindings=bindings)
