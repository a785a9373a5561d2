"""Load balancers of services, as far as they delay things: from services and target groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stowplan.experiments.loading.aws_item import Item, Notes

# What `aws elbv2 describe-target-groups` says, and the key that takes it.
_SECONDS = {"HealthCheckIntervalSeconds": "health_check_interval"}
_COUNTS = {
    "HealthyThresholdCount": "healthy_threshold_count",
    "UnhealthyThresholdCount": "unhealthy_threshold_count",
}


def balancer_of(item: Item, groups: Mapping[str, Item], notes: Notes) -> dict[str, Any]:
    """The keys `load_balancer` and `health_check_grace_period` of a service that has any.

    Of several target groups the first counts: a task is healthy when all of them say so.

    Args:
        groups: target groups by ARN; of one that is not there, Elastic Load Balancing's defaults
            count.
    """
    name = item.text("serviceName")
    balancers = list(item.items("loadBalancers"))
    grace = item.whole("healthCheckGracePeriodSeconds", 0)
    if not balancers:
        if grace:
            notes.add("health check grace periods without a load balancer, left out", name)
        return {}
    if len(balancers) > 1:
        notes.add("services with several load balancers, of which the first counts", name)
    values: dict[str, Any] = {"load_balancer": {}}
    if grace:
        values["health_check_grace_period"] = f"{grace}s"
    group = groups.get(balancers[0].text("targetGroupArn"))
    what = "load balancers whose deregistration delay is not in describe output: 300 s count"
    if group is None:
        what = "load balancers whose target groups were not found (aws elbv2 "
        what += "describe-target-groups): Elastic Load Balancing's defaults count"
    else:
        values["load_balancer"] = _checks(group)
    notes.add(what, name)
    return values


def _checks(group: Item) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, ours in _SECONDS.items():
        if key in group.body:
            found[ours] = f"{group.whole(key, 30, 5, 300)}s"
    for key, ours in _COUNTS.items():
        if key in group.body:
            found[ours] = group.whole(key, 5, 2, 10)
    if group.text("Protocol", "HTTP") not in ("HTTP", "HTTPS"):  # a Network Load Balancer's
        found["initial_threshold_count"] = found.get("healthy_threshold_count", 5)
    return found
