"""A service's load balancer in a scenario, as far as it delays starts, stops and deployments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from stowplan.placement import messages as m
from stowplan.placement.scenario.fields import Duration, DurationOrFalse, Table
from stowplan.placement.times import default_ms

Checks = Annotated[int, Field(ge=2, le=10, strict=True)]


class LoadBalancerTable(Table):
    """The target group of a service's tasks; names as in Elastic Load Balancing.

    Args:
        registration: from RUNNING to a registered target.
        initial_threshold_count: checks that a new target must pass: 1 with an Application Load
            Balancer; give a Network Load Balancer its healthy threshold.
        network: it is a Network Load Balancer, which shifts traffic 10 minutes later.
        ready_after: from this long after RUNNING the checks pass; false: never.
    """

    registration: Duration = default_ms("registration")
    health_check_interval: Duration = default_ms("target check")
    healthy_threshold_count: Checks = default_ms("healthy threshold")
    unhealthy_threshold_count: Checks = default_ms("unhealthy threshold")
    initial_threshold_count: Annotated[int, Field(ge=1, le=10, strict=True)] = default_ms(
        "new target"
    )
    deregistration_delay: Duration = default_ms("deregistration delay")
    ready_after: DurationOrFalse = 0
    network: bool = False

    def said(self, grace_period_ms: int) -> m.LoadBalancer:
        """As CreateService has it."""
        return m.LoadBalancer(
            self.registration,
            self.health_check_interval,
            self.initial_threshold_count,
            self.healthy_threshold_count,
            self.unhealthy_threshold_count,
            grace_period_ms,
            self.deregistration_delay,
            None if self.ready_after is False else self.ready_after,
            self.network,
        )

    def problems(self) -> Iterator[tuple[str, str]]:
        """(key, what) of values that Elastic Load Balancing refuses."""
        if not 5_000 <= self.health_check_interval <= 300_000:
            yield "health_check_interval", "must be from 5s to 300s"
        if self.deregistration_delay > 3_600_000:
            yield "deregistration_delay", "must be at most 3600s"
