"""The part of a scenario that says what containers do, and what their images weigh."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stowplan.placement.scenario.fields import (
    Distribution,
    Duration,
    DurationOrFalse,
    Number,
    Percent,
    Positive,
    Table,
)
from stowplan.placement.times import DEFAULT_TIMES, default_ms

ExitCode = Annotated[int, Field(ge=0, le=255, strict=True)]


class ContainerBehaviour(Table):
    """What a container does each time it is started; by default it runs until it is stopped.

    The essential container on which no other depends (the first of these) does the work: without
    `run` of its own it runs as long as the workload says.

    Args:
        run: how long until it exits by itself, with `exit_code`.
        crash_percent: the chance that a start ends in a crash instead, after `crash_after`, with
            `crash_exit_code`; `out_of_memory`: killed for the memory that it uses (137).
        healthy_after: when its health checks begin to pass; false: never.
        unhealthy_after: when they begin to fail; false: never.
        obeys_sigterm: false: it goes on until it is killed, `stopTimeout` later.
    """

    run: Distribution | None = None
    exit_code: ExitCode = 0
    crash_percent: Percent = 0
    crash_after: Distribution = Distribution(mean=0)
    crash_exit_code: ExitCode = 1
    out_of_memory: bool = False
    healthy_after: DurationOrFalse = 0
    unhealthy_after: DurationOrFalse = False
    obeys_sigterm: bool = True


class ImageTable(Table):
    """An image by its layers: name -> MiB. Images that name the same layer share it."""

    layers: Annotated[dict[str, Positive], Field(min_length=1)]


class PullTable(Table):
    """How long pulls take: `latency`, then `ms_per_mib` for what is not cached.

    The defaults are the median of 350 pulls on Docker from a registry nearby (1 to 60 MB, cold).
    Pulls on one instance share its bandwidth; `registry_mib_s` is what all instances share.
    """

    latency: Duration = default_ms("pull latency")
    ms_per_mib: Annotated[Number, Field(gt=0)] = DEFAULT_TIMES["pull by size"].value
    registry_mib_s: Positive | None = None
