"""The agent's settings, and what its tasks share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stowplan.placement.agent import runtime as r
from stowplan.placement.times import default_ms

PullBehavior = Literal["default", "always", "once", "prefer-cached"]
AgentKind = Literal["amazon-ecs-agent", "docker"]


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """The agent's settings, with its defaults (ecs-semantics 4.4).

    `pull_behavior` is ECS_IMAGE_PULL_BEHAVIOR, `pull_upfront` ECS_PULL_DEPENDENT_CONTAINERS_
    UPFRONT, `stop_timeout_s` ECS_CONTAINER_STOP_TIMEOUT, `cleanup_wait_ms` ECS_ENGINE_TASK_CLEANUP_
    WAIT_DURATION; None: containers are never removed.

    `kind`: whose own waits it has. amazon-ecs-agent 1.105 looks at a task every 5 s while all that
    its containers wait for is the order of others, and nothing else of the task moves until then;
    a pull that fails is tried again for 28 s, as was measured. "docker" is the Docker driver's own
    agent, which waits for neither.
    """

    pull_behavior: PullBehavior = "default"
    pull_upfront: bool = False
    stop_timeout_s: int = default_ms("stop timeout") // 1000
    pull_timeout_ms: int = 7_200_000
    create_timeout_ms: int = 240_000
    start_timeout_ms: int = 180_000
    cleanup_wait_ms: int | None = 10_800_000
    kind: AgentKind = "docker"

    @property
    def poll_ms(self) -> int:
        """From one look at a task whose containers wait for each other to the next; 0: at once."""
        return default_ms("agent poll") if self.kind == "amazon-ecs-agent" else 0

    @property
    def pull_retry_ms(self) -> int:
        """For how long a pull that fails is tried again."""
        return default_ms("pull retries") if self.kind == "amazon-ecs-agent" else 0


def pull_delay_ms(failures: int) -> int:
    """How long amazon-ecs-agent waits after so many failures of a pull in a row."""
    return int(min(1100 * 1.5 ** (failures - 1), 5000))


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
