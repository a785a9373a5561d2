"""What makes no sense in calls about services."""

from __future__ import annotations

from collections.abc import Callable

from stowplan.placement.errors import PlacementError
from stowplan.placement.messages import CircuitBreaker, CreateService, UpdateTaskProtection
from stowplan.placement.units import not_whole

PROTECTED_MOST_MINUTES = 2_880  # of UpdateTaskProtection
PROTECTED_MOST_TASKS = 10  # of one call, by ECS's API


def check_service(call: CreateService) -> None:
    """Raises PlacementError where the configuration of a service makes no sense."""
    if not_whole(call.desired_count):
        raise PlacementError(f"desired count {call.desired_count}, at least 0 expected")
    shift, early = call.shift, call.early_success
    for member, what in shift.problems() if shift is not None else ():
        raise PlacementError(f"deployment {member} {what}")
    if call.shifts and call.scheduling_strategy == "DAEMON":
        raise PlacementError("a DAEMON has rolling deployments alone")
    low, high = call.minimum_healthy_percent, call.maximum_percent
    if call.scheduling_strategy == "DAEMON":
        return
    if early is not None and not low <= early.healthy_percent <= 100:
        raise PlacementError(
            f"healthyPercent {early.healthy_percent}: expected minimumHealthyPercent, {low}, to 100"
        )
    if early is not None and call.shifts:
        raise PlacementError("early success criteria are for ROLLING deployments alone")
    if not 0 <= low <= 100 <= high <= 200:
        raise PlacementError(
            f"minimumHealthyPercent {low} and maximumPercent {high}: expected 0 to 100, 100 to 200"
        )


def check_protection(call: UpdateTaskProtection, is_protectable: Callable[[int], bool]) -> None:
    """Raises PlacementError where a task belongs to no service, or the time makes no sense."""
    if not 1 <= call.expires_in_minutes <= PROTECTED_MOST_MINUTES:
        raise PlacementError(f"expires in 1 to {PROTECTED_MOST_MINUTES} minutes expected")
    if len(call.tasks) > PROTECTED_MOST_TASKS:
        raise PlacementError(f"at most {PROTECTED_MOST_TASKS} tasks a call expected")
    wrong = [task for task in call.tasks if not is_protectable(task)]
    if wrong:
        raise PlacementError(f"TASK_NOT_VALID: tasks {wrong} are no living tasks of a service")


def breaker_threshold(breaker: CircuitBreaker, desired_count: int) -> int:
    """Failed tasks at which a deployment has failed (ecs-semantics 5.4)."""
    if breaker.threshold_type == "COUNT":
        return breaker.threshold_value
    share = -(-breaker.threshold_value * desired_count // 100)
    return share if breaker.threshold_type == "UNBOUNDED_PERCENT" else min(max(share, 3), 200)
