"""When a load balancer calls the target of a task healthy: its checks as arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from stowplan.placement.messages import LoadBalancer


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """Of a task, counted from RUNNING: when its target is healthy, and when ECS hears that it is
    not; None: never."""

    healthy_ms: int | None
    unhealthy_ms: int | None


def target_health(balancer: LoadBalancer) -> TargetHealth:
    """The verdicts on the target of a new task (ecs-semantics 5.3).

    Check n comes n intervals after the registration, and passes once the task is ready. A target
    that has failed too often needs more checks to come back. ECS ignores a bad verdict until the
    grace period ends, and for good if the target is healthy by then.
    """
    begin, interval = balancer.registration_ms, balancer.health_check_interval_ms
    passes = None  # the first check that does
    if balancer.ready_after_ms is not None:
        passes = max(1, -(-(balancer.ready_after_ms - begin) // interval))
    if passes is not None and passes <= balancer.unhealthy_threshold:
        return TargetHealth(begin + (passes + balancer.initial_threshold - 1) * interval, None)
    bad_ms = max(begin + balancer.unhealthy_threshold * interval, balancer.grace_period_ms)
    if passes is None:
        return TargetHealth(None, bad_ms)
    healthy_ms = begin + (passes + balancer.healthy_threshold - 1) * interval
    return TargetHealth(healthy_ms, bad_ms if bad_ms < healthy_ms else None)
