"""Notices: commands that only tell the caller what became of a call, or of tasks."""

from __future__ import annotations

from stowplan.placement.messages.base import Message
from stowplan.placement.model import StopCode
from stowplan.placement.reasons import Failure


class RunTaskFailed(Message, frozen=True):
    """`count` copies of a request were not placed and are forgotten: ECS's `failures`.

    `instance` is the one that StartTask named.
    """

    request: int
    count: int
    failure: Failure
    instance: int | None = None
    capacity_provider: str | None = None


class TasksProvisioning(Message, frozen=True):
    """These tasks of a request or service exist but wait for capacity (lastStatus PROVISIONING).

    `machines`: what each of them needs, (name, amount) pairs, where each is to get a machine of its
    own; empty elsewhere. `deployment`, `task_definition`: of tasks of a service that are not of its
    PRIMARY deployment.
    """

    request: int | None
    tasks: tuple[int, ...]
    failure: Failure
    service: str | None = None
    capacity_provider: str | None = None
    machines: tuple[tuple[str, int], ...] = ()
    deployment: str | None = None
    task_definition: str | None = None


class TasksStopped(Message, frozen=True):
    """The scheduler itself found these tasks stopped: host gone, or never placed in time."""

    tasks: tuple[int, ...]
    stop_code: StopCode
    reason: str


class ServiceEvent(Message, frozen=True):
    """A line of a service's event list; `failure` where a task could not be placed."""

    service: str
    text: str
    failure: Failure | None = None
