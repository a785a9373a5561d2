"""What services say of their deployments: how far they are, how they end, and what rolls back."""

from __future__ import annotations

from msgspec.structs import replace

from stowplan.placement.describe.state import Deployment, Service, State


def told(state: State, service: Service, text: str) -> bool:
    """Take in a line of a service; returns whether another deployment is its primary one now."""
    primary = service.deployments[0]
    if "deployment completed" in text:
        primary.rollout_state, primary.updated_at_ms = "COMPLETED", state.now_ms
        primary.rollout_reason = f"ECS deployment {primary.id} completed."
        service.completed = primary.task_definition
        finish(state, primary, "SUCCESSFUL")
        for each in (*service.deployments, *service.past):
            if each.rollback == primary.id:
                finish(state, each, "ROLLBACK_SUCCESSFUL")
    elif "deployment failed" in text:
        primary.rollout_state, primary.updated_at_ms = "FAILED", state.now_ms
        _ended(state, service, primary, text.partition(": ")[2])
    elif "rolling back to deployment " in text:
        _roll_back(state, service, text.rpartition(" ")[2].rstrip("."))
        return True
    return False


def finish(state: State, deployment: Deployment, outcome: str) -> None:
    """A deployment has come to its end, for good."""
    if not deployment.outcome:
        deployment.outcome, deployment.finished_at_ms = outcome, state.now_ms


def _ended(state: State, service: Service, primary: Deployment, why: str) -> None:
    """The circuit breaker or a call has ended a deployment."""
    breaker = service.call.circuit_breaker
    rolls_back = breaker is not None and breaker.rollback and service.completed is not None
    primary.rollout_reason = f"ECS deployment circuit breaker: {why}"
    if why.startswith("stopped by a call to "):
        rolls_back, primary.rollout_reason = "ROLLBACK" in why, f"ECS deployment {why}"
    if not rolls_back:
        finish(state, primary, "STOPPED")


def _roll_back(state: State, service: Service, name: str) -> None:
    now_ms = state.now_ms
    # It may have been without tasks for a moment, and so no longer among the current ones.
    known = (*service.deployments, *service.past)
    back = next((each for each in known if each.id == name), None)
    if back is None:
        assert service.completed is not None, "it rolls back to what was completed"
        back = Deployment(name, service.completed, now_ms, now_ms, rolls_back=True)
        # One that is forgotten here may be known there still.
        state.deployments_ever = max(state.deployments_ever, int(name.rpartition("/")[2]))
    else:
        (service.deployments if back in service.deployments else service.past).remove(back)
    for each in service.deployments:
        each.status = "ACTIVE"
        if each.rollout_state == "FAILED" and not each.outcome:
            each.rollback = name
    back.status, back.rollout_state, back.failed_tasks = "PRIMARY", "IN_PROGRESS", 0
    service.deployments.insert(0, back)
    service.call = replace(service.call, task_definition=back.task_definition)
