"""Faults in a scenario: what goes wrong, with which instances or tasks, and when."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stowplan.placement.scenario.fields import Duration, Number, Positive, Table
from stowplan.placement.times import default_ms


class Fault(Table):
    """Something goes wrong at `at`, with the instances of `zone` or those that match the cluster
    query `instances`, or with every task of `task_definition` (a name of the scenario).

    `zone-loss`, `instance-loss`: they die; ECS learns of it `detect` later. `drain`: they are set
    DRAINING. `spot-reclaim`: EC2 gives `notice`, on which the agents drain, then they are gone.
    `partition`: their agents are disconnected from `at` (ECS notices after `detect`) to `until`;
    tasks go on. `start-failure`: tasks fail to start, with `reason`, until `until` or for ever.
    `registry-failure`: no image can be pulled, those under way included, until `until`.
    `slow-disk`: pulls and starts take `factor` times as long on them, until `until`.
    `insufficient-capacity`: EC2 has none of `instance_type` in `zone` (each: any, if not given) to
    launch. `api-throttling`: calls and launches are throttled to `rate_per_s` after `burst`, by
    default each to its own quota (ecs-semantics 7, 10.4). `scheduler-restart`: ECS's scheduler is
    gone until `until`, then restarts from its journal. `alarm`: the CloudWatch alarm of that name
    is in ALARM until `until`. `capacity_provider` names the instances of
    one.
    """

    kind: Literal[
        "zone-loss",
        "instance-loss",
        "drain",
        "spot-reclaim",
        "partition",
        "start-failure",
        "registry-failure",
        "slow-disk",
        "insufficient-capacity",
        "api-throttling",
        "scheduler-restart",
        "alarm",
    ]
    at: Duration
    zone: str | None = None
    instances: str | None = None
    task_definition: str | None = None
    capacity_provider: str | None = None
    instance_type: str | None = None
    alarm: str | None = None
    burst: Positive | None = None
    rate_per_s: Positive | None = None
    detect: Duration = default_ms("detection")
    notice: Duration = default_ms("spot notice")
    until: Duration | None = None
    reason: str = "CannotPullContainerError: failed to pull the image"
    factor: Annotated[Number, Field(ge=1)] = 10.0
