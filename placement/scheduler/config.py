"""What a run fixes beforehand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """What a run fixes beforehand; kept in the journal's header, since a replay needs it.

    `provisioning_quota`: PROVISIONING tasks per cluster (ecs-semantics 6.2). `provisioning_
    timeout_ms`: how long a task may wait before it is stopped; None: for ever. AWS's value is not
    published; ours is the upper end of the 10 to 30 minutes that were seen.
    """

    seed: int = 0
    provisioning_quota: int | None = 500
    provisioning_timeout_ms: int | None = 1_800_000


DEFAULT_CONFIG = SchedulerConfig()
