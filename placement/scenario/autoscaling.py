"""A service's load and its target tracking policy, as a scenario file has them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from stowplan.placement.callers.autoscaling import (
    LoadCurve,
    ScheduledAction,
    TargetTracking,
)
from stowplan.placement.scenario.fields import Count, Duration, Number, Positive, Table


class LoadPoint(Table):
    """At `at`, the service is asked for `value` (requests a second, vCPUs of work, any unit)."""

    at: Duration
    value: Annotated[Number, Field(ge=0)]


class ScheduledTable(Table):
    """A scheduled action; see `callers.autoscaling.ScheduledAction`."""

    at: Duration
    every: Annotated[Duration, Field(gt=0)] | None = None
    min_capacity: Count | None = None
    max_capacity: Positive | None = None

    def action(self) -> ScheduledAction:
        """The same for the autoscaler."""
        return ScheduledAction(self.at, self.every, self.min_capacity, self.max_capacity)


class AutoscalingTable(Table):
    """Application Auto Scaling of a service's desired count; see `placement.callers.autoscaling`.

    `load` runs in straight lines between its points, again from the beginning after `repeat`;
    `target` is load per running task. Cooldowns are AWS's defaults for ECS.
    """

    load: Annotated[tuple[LoadPoint, ...], Field(min_length=1)]
    repeat: Duration | None = None
    target: Annotated[Number, Field(gt=0)]
    min_capacity: Count
    max_capacity: Positive
    scale_out_cooldown: Duration = 300_000
    scale_in_cooldown: Duration = 300_000
    disable_scale_in: bool = False
    scheduled: tuple[ScheduledTable, ...] = ()

    def policy(self) -> TargetTracking:
        """The same for the autoscaler."""
        return TargetTracking(
            LoadCurve(tuple((point.at, point.value) for point in self.load), self.repeat),
            self.target,
            self.min_capacity,
            self.max_capacity,
            self.scale_out_cooldown,
            self.scale_in_cooldown,
            self.disable_scale_in,
            tuple(each.action() for each in self.scheduled),
        )


def autoscaling_problems(place: str, table: AutoscalingTable) -> Iterator[tuple[str, str]]:
    """Every (place, what) that is wrong with a well-formed table."""
    if table.min_capacity > table.max_capacity:
        what = f"is above max_capacity, {table.max_capacity}"
        yield f"{place}.min_capacity", f"{table.min_capacity} {what}"
    for index, each in enumerate(table.scheduled):
        if each.min_capacity is None and each.max_capacity is None:
            yield f"{place}.scheduled[{index}]", "needs min_capacity, max_capacity or both"
        elif (each.min_capacity or 0) > (each.max_capacity or 10**9):
            what = f"{each.min_capacity} is above max_capacity, {each.max_capacity}"
            yield f"{place}.scheduled[{index}].min_capacity", what
    times = [point.at for point in table.load]
    for index, (before, at) in enumerate(pairwise(times), 1):
        if at <= before:
            yield f"{place}.load[{index}].at", f"{at} ms is not after the point before, {before} ms"
    if table.repeat is not None and table.repeat <= times[-1]:
        what = f"{table.repeat} ms is not after the last point of load, {times[-1]} ms"
        yield f"{place}.repeat", what
