"""What is wrong with the load balancers of a scenario's services, and with their rebalancing."""

from __future__ import annotations

from collections.abc import Iterator

from stowplan.placement.model import AVAILABILITY_ZONE
from stowplan.placement.scenario.scenario import Scenario, ServiceTable

_ZONE_FIRST = ("spread", f"attribute:{AVAILABILITY_ZONE}")


def service_problems(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """(place, what) of each."""
    for index, service in enumerate(scenario.service):
        place = f"service[{index}]"
        if service.load_balancer is not None:
            for key, what in service.load_balancer.problems():
                yield f"{place}.load_balancer.{key}", what
        elif service.health_check_grace_period:
            what = "is for a service with a load_balancer alone"
            yield f"{place}.health_check_grace_period", what
        for key, what in rollout_problems(service):
            yield f"{place}.{key}", what
        if service.availability_zone_rebalancing:
            for what in _not_rebalanced(service):
                yield f"{place}.availability_zone_rebalancing", f"ECS refuses it {what}"


def _not_rebalanced(service: ServiceTable) -> Iterator[str]:
    """Why ECS would refuse what the service asks for (ecs-semantics 5.7)."""
    if service.scheduling_strategy == "DAEMON":
        yield "for a DAEMON"
        return
    if service.maximum_percent == 100:
        yield "with a maximum_percent of 100"
    first = service.strategy[0] if service.strategy else None
    if first is not None and (first.type, first.field) != _ZONE_FIRST:
        yield "where the first strategy is not a spread over zones"
    if any(AVAILABILITY_ZONE in (each.expression or "") for each in service.constraints):
        yield f"with a constraint on {AVAILABILITY_ZONE}"


def rollout_problems(service: ServiceTable) -> Iterator[tuple[str, str]]:
    """(key, what) of what ECS would refuse in how deployments go on, or not heed."""
    table, early = service.deployment, service.early_success
    shifts = table is not None and table.strategy != "ROLLING"
    for key, what in table.problems() if table is not None else ():
        yield f"deployment.{key}", what
    if shifts and service.scheduling_strategy == "DAEMON":
        yield "deployment.strategy", "a DAEMON has ROLLING deployments alone"
    for key in ("circuit_breaker", "alarms", "early_success"):
        if shifts and getattr(service, key) is not None:
            yield key, "is for ROLLING deployments alone"
    if early is not None and early.healthy_percent < service.minimum_healthy_percent:
        yield "early_success.healthy_percent", "must be minimum_healthy_percent at least"
