"""The words between agent, container runtime and ECS: actions, what came of them, state changes.

Every action but RemoveContainer is answered once, by one of the events named with it. An answer may
come late, or after an event that says more (Exited before Started). Reasons are the runtime's own
words: the agent puts ECS's name of the error before them.
"""

from __future__ import annotations

import msgspec

from stowplan.placement.model import StopCode


class _Of(msgspec.Struct, frozen=True):
    """Something about one container of one task; a container goes by its name in the definition."""

    task: int
    container: str


# --- actions: what the runtime must do ------------------------------------------------------------


class PullImage(_Of, frozen=True):
    """Fetch an image -> ImagePulled | PullFailed.

    With `unless_cached` a copy that is there will do, and no registry is asked.
    """

    image: str
    unless_cached: bool = False


class CreateContainer(_Of, frozen=True):
    """Create a container of the image that is there -> Created | CreateFailed."""


class StartContainer(_Of, frozen=True):
    """Start a created container, or one that has exited once more -> Started | StartFailed.

    Exited follows a Started, whenever that may be.
    """


class StopContainer(_Of, frozen=True):
    """STOPSIGNAL, and SIGKILL `timeout_s` later -> Exited, also where it does not run any more."""

    timeout_s: int


class RemoveContainer(_Of, frozen=True):
    """Delete what is left of a container that does not run; no answer is expected."""


Action = PullImage | CreateContainer | StartContainer | StopContainer | RemoveContainer

# --- events: what the runtime says ----------------------------------------------------------------


class ImagePulled(_Of, frozen=True):
    """The image is there."""


class PullFailed(_Of, frozen=True):
    """The image could not be fetched; a copy may be there all the same."""

    reason: str


class Created(_Of, frozen=True):
    """The container exists."""


class CreateFailed(_Of, frozen=True):
    """The container could not be created."""

    reason: str


class Started(_Of, frozen=True):
    """The container runs."""


class StartFailed(_Of, frozen=True):
    """The container could not be started; it does not run."""

    reason: str


class Exited(_Of, frozen=True):
    """The container runs no more. 137 with `oom_killed` is how the kernel ends one over its limit.

    A child that was killed sets `oom_killed` too, whatever the container itself then returns.
    `exit_code` None: the container is gone, and nobody can say how it ended.
    """

    exit_code: int | None
    oom_killed: bool = False


class HealthChanged(_Of, frozen=True):
    """The container's health check came to a (new) verdict."""

    healthy: bool


RuntimeEvent = (
    ImagePulled
    | PullFailed
    | Created
    | CreateFailed
    | Started
    | StartFailed
    | Exited
    | HealthChanged
)

# --- state changes: what ECS is told --------------------------------------------------------------


class ContainerEnd(msgspec.Struct, frozen=True):
    """How a container of a stopped task ended; `exit_code` None: it never ran, or
    nobody knows."""

    container: str
    exit_code: int | None = None
    reason: str = ""
    restarts: int = 0


class TaskRunning(msgspec.Struct, frozen=True):
    """All containers of the task have started at least once (ecs-semantics 4.1)."""

    task: int


class TaskStopped(msgspec.Struct, frozen=True):
    """No container of the task runs any more; its share of the instance is free.

    `exit_code`: of the essential container whose exit ended the task; None: something else did.
    """

    task: int
    stop_code: StopCode
    reason: str
    containers: tuple[ContainerEnd, ...] = ()
    exit_code: int | None = None

    @property
    def full_reason(self) -> str:
        """ECS's stoppedReason, and where a container's own end explains it, that as well.

        ECS has these with the container; a line of a journal has one place for both.
        """
        if self.stop_code is not StopCode.ESSENTIAL_CONTAINER_EXITED:
            return self.reason
        ends = [
            end.container
            + (f" exit code {end.exit_code}" if end.exit_code is not None else "")
            + (f", {end.reason}" if end.reason else "")
            for end in self.containers
            if end.exit_code or end.reason
        ]
        return f"{self.reason}: {'; '.join(ends)}" if ends else self.reason


class TaskHealth(msgspec.Struct, frozen=True):
    """The health of a RUNNING task changed: the worst of its essential containers with a check."""

    task: int
    healthy: bool


class TaskAdmitted(msgspec.Struct, frozen=True):
    """A task that others play (`Agent.hold`) has got its share: it may start now."""

    task: int


StateChange = TaskRunning | TaskStopped | TaskHealth | TaskAdmitted
