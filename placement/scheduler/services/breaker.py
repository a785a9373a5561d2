"""Deployments that end before they are complete: by the circuit breaker (ecs-semantics 5.4), or by
StopServiceDeployment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from stowplan.placement import messages as m
from stowplan.placement.errors import CallError
from stowplan.placement.scheduler.launches import Launches
from stowplan.placement.scheduler.services.checks import breaker_threshold
from stowplan.placement.scheduler.services.deployments import (
    Deployment,
    Service,
)
from stowplan.placement.scheduler.services.events import DEPLOYMENT_FAILED, ServiceEvents
from stowplan.placement.scheduler.tasks import Launch


def break_circuit(
    service: Service,
    deploy: Callable[[Launch], Deployment],
    launches: Launches,
    events: ServiceEvents,
) -> None:
    """Too many failures: the deployment has failed, and the last good one comes back."""
    breaker, failed = service.call.circuit_breaker, service.primary
    if breaker is None or service.call.shifts or failed.rollout_state != "IN_PROGRESS":
        return
    if failed.failed_tasks < breaker_threshold(breaker, service.desired_count):
        return
    back = service.completed if breaker.rollback else None
    fail(service, "tasks failed to start", back, deploy, launches, events)


def fail(
    service: Service,
    why: str,
    back: Launch | None,
    deploy: Callable[[Launch], Deployment],
    launches: Launches,
    events: ServiceEvents,
) -> None:
    """The PRIMARY deployment has failed; `back`: what is PRIMARY again, None: nothing."""
    failed = service.primary
    if service.rollout is not None and back is not None:
        service.rollout.give_back()
        events.progress(service.rollout)
    failed.rollout_state, failed.bakes_until_ms = "FAILED", None
    events.tell(service, f"(deployment {failed.id}) {DEPLOYMENT_FAILED}: {why}.")
    if back is not None:
        _roll_back(service, back, deploy, launches, events)


def before(service: Service) -> Launch | None:
    """What a rollback of the PRIMARY deployment goes to: what it replaces while it shifts traffic,
    else what was last completed."""
    rollout = service.rollout
    source = rollout and next((d for d in service.deployments if d.id == rollout.source), None)
    return source.launch if source else service.completed


def stop_deployment(
    service: Service,
    call: m.StopServiceDeployment,
    deploy: Callable[[Launch], Deployment],
    launches: Launches,
    events: ServiceEvents,
) -> None:
    """End a deployment by a call; see `messages.StopServiceDeployment`.

    Raises:
        CallError: it is not that which is IN_PROGRESS, or there is nothing to roll back to.
    """
    stopped, back = service.primary, before(service)
    if stopped.id != call.deployment or stopped.rollout_state != "IN_PROGRESS":
        raise CallError("ConflictException", f"{call.deployment} is not IN_PROGRESS")
    if service.daemon or back is stopped.launch:
        raise CallError("UnsupportedFeatureException", f"{call.deployment} cannot be stopped")
    if call.stop_type == "ROLLBACK" and back is None:
        what = "there is no earlier service revision to roll back to"
        raise CallError("InvalidParameterException", what)
    back = back if call.stop_type == "ROLLBACK" else None
    fail(service, f"stopped by a call to {call.stop_type}", back, deploy, launches, events)


def _roll_back(
    service: Service,
    completed: Launch,
    deploy: Callable[[Launch], Deployment],
    launches: Launches,
    events: ServiceEvents,
) -> None:
    """What was last completed is PRIMARY again."""
    back = next((d for d in service.deployments if d.launch is completed), None)
    if back is None:
        back = deploy(completed)
    else:
        service.deployments.remove(back)
    back.rollout_state, back.failed_tasks = "IN_PROGRESS", 0
    back.rollout = back.bakes_until_ms = None
    service.deployments.insert(0, back)
    service.attempts = service.not_before_ms = 0
    service.call = msgspec.structs.replace(service.call, task_definition=completed.task_definition)
    # Other changes meanwhile belong to the service, not to the deployment that failed.
    back.launch = replace(launches.of_service(service.call), deployment=back.id)
    service.completed = back.launch
    events.tell(service, f"rolling back to deployment {back.id}.")
