"""When a deployment is a success, and when alarms say that it is none (ecs-2026, "Alarms")."""

from __future__ import annotations

from collections.abc import Iterable

from stowplan.placement.scheduler.services.deployments import Service


def is_successful(service: Service, *, complete: bool, now_ms: int) -> bool:
    """Whether the PRIMARY deployment, which is IN_PROGRESS, has come through by now.

    A rolling one with alarms bakes first, from the moment at which all else is done.
    """
    primary, alarms = service.primary, service.call.alarms
    if alarms is None or service.call.shifts or service.daemon:
        return complete or _is_early(service)
    if primary.bakes_until_ms is None and (complete or _is_early(service)):
        primary.bakes_until_ms = now_ms + alarms.bake_ms
    return primary.bakes_until_ms is not None and now_ms >= primary.bakes_until_ms


def _is_early(service: Service) -> bool:
    early = service.call.early_success
    if early is None or service.call.shifts or service.daemon:
        return False
    replaces = len(service.tasks) > len(service.primary.tasks) or bool(service.leaving)
    if early.cleanup == "BLOCKING" and replaces:
        return False
    healthy = service.healthy_count(service.primary)
    return 100 * healthy >= early.healthy_percent * service.desired_count


def triggered(service: Service, in_alarm: Iterable[str]) -> list[str]:
    """The alarms that the PRIMARY deployment fails on now.

    One that was in ALARM when the deployment began is ignored until it has been OK.
    """
    alarms, primary = service.call.alarms, service.primary
    if alarms is None or primary.bakes_until_ms is None or primary.rollout_state != "IN_PROGRESS":
        return []
    known = set(in_alarm)
    return [name for name in alarms.names if name in known and name not in primary.ignored]
