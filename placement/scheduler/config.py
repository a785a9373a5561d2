"""What a run fixes beforehand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """What a run fixes beforehand; kept in the journal's header, since a replay needs it.

    `provisioning_quota`: PROVISIONING tasks per cluster (ecs-semantics 6.2). `provisioning_
    timeout_ms`: how long a task may wait until it is stopped; None: for ever. AWS's is unpublished,
    ours the longest seen. `fields_checked`: what strategies read was looked for among all instances
    that will ever be there, by a scenario's check; else calls are held to those that are.
    """

    seed: int = 0
    provisioning_quota: int | None = 500
    provisioning_timeout_ms: int | None = 1_800_000
    fields_checked: bool = False


DEFAULT_CONFIG = SchedulerConfig()
