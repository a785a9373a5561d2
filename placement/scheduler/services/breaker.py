"""Deployments that end before they are complete: by the circuit breaker (ecs-semantics 5.4), or by
StopServiceDeployment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from stowplan.placement import messages as m
from stowplan.placement.errors import CallError
from stowplan.placement.scheduler.launches import Launches
from stowplan.placement.scheduler.services.deployments import (
    Deployment,
    Service,
    breaker_threshold,
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
    if breaker is None or failed.rollout_state != "IN_PROGRESS":
        return
    if failed.failed_tasks < breaker_threshold(breaker, service.desired_count):
        return
    failed.rollout_state = "FAILED"
    said = f"(deployment {failed.id}) {DEPLOYMENT_FAILED}: tasks failed to start."
    events.tell(service, said)
    if breaker.rollback and service.completed is not None:
        _roll_back(service, service.completed, deploy, launches, events)


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
    stopped, back = service.primary, service.completed
    if stopped.id != call.deployment or stopped.rollout_state != "IN_PROGRESS":
        raise CallError("ConflictException", f"{call.deployment} is not IN_PROGRESS")
    if service.daemon or back is stopped.launch:
        raise CallError("UnsupportedFeatureException", f"{call.deployment} cannot be stopped")
    if call.stop_type == "ROLLBACK" and back is None:
        what = "there is no earlier service revision to roll back to"
        raise CallError("InvalidParameterException", what)
    stopped.rollout_state = "FAILED"
    said = f"(deployment {stopped.id}) {DEPLOYMENT_FAILED}: stopped by a call to {call.stop_type}."
    events.tell(service, said)
    if call.stop_type == "ROLLBACK" and back is not None:
        _roll_back(service, back, deploy, launches, events)


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
    service.deployments.insert(0, back)
    service.attempts = service.not_before_ms = 0
    service.call = msgspec.structs.replace(service.call, task_definition=completed.task_definition)
    # Other changes meanwhile belong to the service, not to the deployment that failed.
    back.launch = replace(launches.of_service(service.call), deployment=back.id)
    service.completed = back.launch
    events.tell(service, f"rolling back to deployment {back.id}.")
