"""Which logs of a recorder are told of which messages: those of services only where there are any.

In a run of single tasks three of four logs have nothing to follow, and asking each of them at every
message takes its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from stowplan.placement import messages as m

Others = dict[type, list[Callable[[Any, int], None]]]
_OF_TASKS = (m.StartTasks, m.StopTasks, m.TasksChanged, m.TasksHealthChanged)
# Events that are of no interest to a log of services where there is none.
OF_TASKS_ALONE = frozenset((*_OF_TASKS, m.RunTask, m.StartTask, m.StopTask, m.CallThrottled))


class Log(Protocol):
    """What takes messages of some types, each with the time of its round."""

    @property
    def handlers(self) -> Mapping[type, Callable[[Any, int], None]]: ...


def others(always: Log, of_services: Iterable[Log], *, services: bool) -> Others:
    """What is to be told of a message, by its type and in order.

    Args:
        of_services: logs that follow tasks of services alone.
        services: whether there are services, so that these are told of tasks.
    """
    found: Others = {kind: [handler] for kind, handler in always.handlers.items()}
    for log in of_services:
        for kind, handler in log.handlers.items():
            if services or kind not in _OF_TASKS:
                found.setdefault(kind, []).append(handler)
    return found
