"""The agent's settings, and what its tasks share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stowplan.placement.agent import runtime as r
from stowplan.placement.times import default_ms

PullBehavior = Literal["default", "always", "once", "prefer-cached"]


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """The agent's settings, with its defaults (ecs-semantics 4.4).

    `pull_behavior` is ECS_IMAGE_PULL_BEHAVIOR, `pull_upfront` ECS_PULL_DEPENDENT_CONTAINERS_
    UPFRONT, `stop_timeout_s` ECS_CONTAINER_STOP_TIMEOUT, `cleanup_wait_ms` ECS_ENGINE_TASK_CLEANUP_
    WAIT_DURATION; None: containers are never removed.
    """

    pull_behavior: PullBehavior = "default"
    pull_upfront: bool = False
    stop_timeout_s: int = default_ms("stop timeout") // 1000
    pull_timeout_ms: int = 7_200_000
    create_timeout_ms: int = 240_000
    start_timeout_ms: int = 180_000
    cleanup_wait_ms: int | None = 10_800_000


DEFAULTS = AgentConfig()


@dataclass(slots=True)
class Shared:
    """What the tasks of an agent share: its settings, what it will return, and its timers.

    `timers` is a heap of (ms, task, container); one is stale when the container's own deadline is
    another. `pulled`: images that this instance has pulled before.
    """

    config: AgentConfig
    actions: list[r.Action] = field(default_factory=list)
    changes: list[r.StateChange] = field(default_factory=list)
    timers: list[tuple[int, int, str]] = field(default_factory=list)
    pulled: set[str] = field(default_factory=set)
