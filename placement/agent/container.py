"""The state of one container of a task, and what others may make of it."""

from __future__ import annotations

from enum import IntEnum

from stowplan.placement.model import ContainerDefinition


class Phase(IntEnum):
    """Where a container is; the agent's own statuses with the steps between them."""

    WAITING = 0
    PULLING = 1
    PULLED = 2
    CREATING = 3
    STARTING = 4
    RUNNING = 5
    STOPPING = 6
    STOPPED = 7


class Container:
    """The state of one container of a task."""

    __slots__ = (
        *("asked_ms", "dependencies", "deadline_ms", "definition", "ever_started", "exists"),
        *("exit_code", "failures", "first_ms", "healthy", "phase", "pull_error", "reason"),
        *("restarts", "started_ms"),
    )

    def __init__(self, definition: ContainerDefinition) -> None:
        self.definition = definition
        links = (link.partition(":")[0] for link in definition.links)
        self.dependencies = (
            *((each.container_name, each.condition) for each in definition.depends_on),
            *((name, "START") for name in links),
            *((name, "CREATE") for name in definition.volumes_from),
        )
        self.phase = Phase.WAITING
        self.deadline_ms: int | None = None
        self.exists = self.ever_started = False
        self.exit_code: int | None = None
        self.first_ms = self.started_ms = 0
        self.healthy: bool | None = None
        self.pull_error = self.reason = ""
        self.restarts = 0
        # Of the pull: when it was first asked for, and how often it failed. While the next try is
        # awaited, `pull_error` says why.
        self.asked_ms = self.failures = 0

    def meets(self, condition: str) -> bool | None:
        """Whether a condition on this container holds; None: it never will."""
        if condition == "CREATE":
            return self.exists or (None if self.phase is Phase.STOPPED else False)
        if self.phase is not Phase.STOPPED:
            return self.ever_started if condition == "START" else self._healthy_now(condition)
        if condition == "START":
            return self.ever_started or None
        if condition == "COMPLETE":
            return self.ever_started or None
        return (condition == "SUCCESS" and self.exit_code == 0) or None

    def _healthy_now(self, condition: str) -> bool:
        return condition == "HEALTHY" and self.phase is Phase.RUNNING and self.healthy is True

    def restarts_now(self, exit_code: int | None, now_ms: int) -> bool:
        """Whether its restartPolicy starts it again after this exit; never after one that nobody
        saw."""
        policy = self.definition.restart_policy
        if policy is None or exit_code is None or exit_code in policy.ignored_exit_codes:
            return False
        return now_ms - self.started_ms >= policy.restart_attempt_period * 1000
