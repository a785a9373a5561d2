"""StartTask calls made of the scheduler's orders. Pure.

A call starts at most ten tasks, one on each of its instances. Which task of a call is which follows
from the instance that it is on, and which call it is from `startedBy`. So calls are cut from an
order by the order alone: after a crash they come out the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from stowplan.placement import messages as m

_MOST = 10


class StartCall(msgspec.Struct, frozen=True):
    """One StartTask: `tasks` by the number of the instance that each goes to. `first` names it."""

    first: int
    definition: str
    group: str
    tasks: dict[int, int]
    cpu: int | None
    memory: int | None
    overrides: tuple[m.ContainerOverride, ...]

    def request(
        self, definition: str, instances: list[str], started_by: str, tags: list[dict[str, str]]
    ) -> dict[str, Any]:
        """Parameters of the call; ARNs are the control plane's."""
        asked: dict[str, Any] = {
            "taskDefinition": definition,
            "containerInstances": instances,
            "group": self.group.replace("service:", "stowplan-service:"),  # no service of ECS's
            "startedBy": started_by,
            "tags": tags,
        }
        if overrides := self._overrides():
            asked["overrides"] = overrides
        return asked

    def _overrides(self) -> dict[str, Any]:
        given: dict[str, Any] = {}
        if self.cpu is not None:
            given["cpu"] = str(self.cpu)
        if self.memory is not None:
            given["memory"] = str(self.memory)
        if self.overrides:
            given["containerOverrides"] = [_override(each) for each in self.overrides]
        return given


def start_calls(order: m.StartTasks) -> Iterator[StartCall]:
    """The calls that an order is cut into."""
    calls: list[dict[int, int]] = []
    for task, instance in zip(order.tasks, order.instances, strict=True):
        for call in calls:
            if len(call) < _MOST and instance not in call:
                call[instance] = task
                break
        else:
            calls.append({instance: task})
    for call in calls:
        yield StartCall(
            min(call.values()),
            order.task_definition,
            order.group,
            call,
            order.cpu,
            order.memory,
            order.overrides,
        )


def _override(override: m.ContainerOverride) -> dict[str, Any]:
    """As ECS's API has it."""
    given: dict[str, Any] = {"name": override.name}
    if override.command is not None:
        given["command"] = list(override.command)
    if override.environment:
        given["environment"] = [{"name": n, "value": v} for n, v in override.environment]
    if override.cpu is not None:
        given["cpu"] = override.cpu
    if override.memory is not None:
        given["memory"] = override.memory
    if override.memory_reservation is not None:
        given["memoryReservation"] = override.memory_reservation
    if override.resource_requirements is not None:
        given["resourceRequirements"] = _typed(override.resource_requirements)
    if override.environment_files is not None:
        given["environmentFiles"] = _typed(override.environment_files)
    return given


def _typed(pairs: m.Pairs) -> list[Mapping[str, str]]:
    return [{"type": kind, "value": value} for kind, value in pairs]
