"""The deployment circuit breaker (ecs-semantics 5.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

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
    if not breaker.rollback or service.completed is None:
        return
    back = next((d for d in service.deployments if d.launch is service.completed), None)
    if back is None:
        back = deploy(service.completed)
    else:
        service.deployments.remove(back)
    back.rollout_state, back.failed_tasks = "IN_PROGRESS", 0
    service.deployments.insert(0, back)
    service.attempts = service.not_before_ms = 0
    definition = service.completed.task_definition
    service.call = msgspec.structs.replace(service.call, task_definition=definition)
    # Other changes meanwhile belong to the service, not to the deployment that failed.
    back.launch = replace(launches.of_service(service.call), deployment=back.id)
    service.completed = back.launch
    events.tell(service, f"rolling back to deployment {back.id}.")
