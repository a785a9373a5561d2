"""What the tasks of one definition, and those that one command starts, have in common."""

from __future__ import annotations

from typing import NamedTuple

from stowplan.placement.messages import StartTasks
from stowplan.placement.model import TaskDefinition


class Part(NamedTuple):
    """A task definition to the driver: whether agents play it, and when a task that is only a start
    and an end has the first verdict of its health checks (None: it has none)."""

    definition: TaskDefinition | None
    played: bool
    checked_ms: int | None


class Batch(NamedTuple):
    """What the tasks that one command starts at `at_ms` have in common: whether agents play them,
    how long each runs (None: until it is stopped), its first verdict, and why it fails to start."""

    command: StartTasks
    played: bool
    run_ms: int | None
    checked_ms: int | None
    failure: str | None
    at_ms: int


def part_of(definition: TaskDefinition, played: bool) -> Part:
    """What tasks of a definition are; `played`: by the agent of their instance."""
    checks = [c.health_check for c in definition.containers if c.essential]
    intervals = [check.interval for check in checks if check]
    return Part(definition, played, max(intervals) * 1000 if intervals else None)
