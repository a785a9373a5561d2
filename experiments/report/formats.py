"""How numbers and names of results are put before people, on a terminal and in a report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.record.result import RunResult
from stowplan.placement.reasons import RESOURCE_PREFIX, constraint_of

MISSING = "-"
Number = float | str | None


def is_missing(value: Number) -> bool:
    """Whether a metric has no value in this run."""
    return value is None or isinstance(value, str) or math.isnan(value)


def count(value: Number) -> str:
    """A whole number: `103,588`."""
    return MISSING if is_missing(value) else f"{value:,.0f}"


def tenths(value: Number) -> str:
    """One decimal: `61.4`."""
    return MISSING if is_missing(value) else f"{value:,.1f}"


def dollars(value: Number) -> str:
    """Dollars and cents, no sign: `82.77`; four decimals below a dime."""
    if is_missing(value):
        return MISSING
    return f"{value:,.4f}" if 0 < float(value or 0) < 0.1 else f"{value:,.2f}"


def seconds(value: Number) -> str:
    """Seconds, two decimals below ten, one below a hundred: `0.33`, `41.2`, `303`."""
    if is_missing(value):
        return MISSING
    decimals = 2 if float(value or 0) < 9.995 else 1 if float(value or 0) < 99.95 else 0
    return f"{value:,.{decimals}f}"


def duration(value: Number) -> str:
    """A time as one says it: `0.33 s`, `41 s`, `5 min 3 s`, `2 h 5 min`."""
    if is_missing(value):
        return MISSING
    total = float(value or 0)
    if total < 59.5:
        return f"{total:.2f} s" if 0 < total < 9.995 else f"{total:.0f} s"
    minutes, rest = divmod(round(total), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def roughly(value: Number) -> str:
    """A time to two digits, for sentences: `0.33 s`, `41 s`, `4.5 min`, `2.1 h`."""
    if is_missing(value):
        return MISSING
    total = float(value or 0)
    if total < 99.5:
        return f"{total:.2g} s"
    if total < 99.5 * 60:
        return f"{total / 60:.2g} min"
    return f"{total / 3600:,.1f} h"


def short_reason(reason: str) -> str:
    """A failure reason in one word: `memory` for RESOURCE:MEMORY."""
    if reason.startswith(RESOURCE_PREFIX):
        return reason.removeprefix(RESOURCE_PREFIX).lower()
    return constraint_of(reason) or reason


def refusals(result: RunResult) -> dict[str, int]:
    """Placements refused in a run by reason, the most frequent first."""
    reasons: dict[str, int] = json.loads(str(result.metrics["refusals_by_reason"]))
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class Column:
    """A metric as a column: a heading in few letters, a readable one, and how it is written."""

    metric: str
    short: str
    heading: str
    text: Callable[[Number], str]
    ranked: bool = True
    optional: bool = False  # left out where no run has a value

    def wins(self, result: RunResult, best: float | None) -> bool:
        """Whether the run has the best value, where there is one, and was not interrupted."""
        return result.whole and best is not None and result.metrics[self.metric] == best

    def best(self, results: Sequence[RunResult]) -> float | None:
        """The best value among whole runs; None where most have it, or none is better."""
        better = METRICS[self.metric].better
        results = [result for result in results if result.whole]
        values = [result.metrics[self.metric] for result in results]
        known = [float(value) for value in values if not is_missing(value) and value is not None]
        if not self.ranked or not better or not known:
            return None
        best = min(known) if better == "less" else max(known)
        alike = sum(self.text(value) == self.text(best) for value in values)
        return best if alike <= len(values) / 2 else None


USE = (
    Column("instances_used", "used", "ever used", count),
    Column("instances_busy_mean", "busy", "busy, mean", tenths),
    Column("dollars", "$", "fleet, $", dollars),
    Column("dollars_busy", "$busy", "busy, $", dollars),
    Column("cpu_reserved_pct", "CPU%", "CPU, %", tenths),
    Column("memory_reserved_pct", "mem%", "memory, %", tenths),
)
LEAST: tuple[Column, ...] = (
    Column("dollars_busy_least", "$least", "least, $", dollars),
    Column("dollars_busy_gap_pct", "gap%", "gap, %", tenths),
)
WAITING = (
    Column("wait_p50_s", "p50 s", "wait p50, standalone, s", seconds, optional=True),
    Column("wait_p99_s", "p99 s", "wait p99, standalone, s", seconds, optional=True),
    Column("service_wait_p50_s", "svc50 s", "wait p50, of services, s", seconds, optional=True),
    Column("service_wait_p99_s", "svc99 s", "wait p99, of services, s", seconds, optional=True),
    Column("waiting", "left", "no place at end", count),
)
CAPACITY = (
    Column("launches", "launched", "launched", count),
    Column("terminations", "ended", "terminated", count, ranked=False),
    Column("instance_hours", "hours", "instance-hours", tenths),
    Column("reservation_mean_pct", "metric%", "metric, mean, %", tenths),
    Column(
        "provisioning_mean_s", "mean s", "PROVISIONING, standalone, mean, s", seconds, True, True
    ),
    Column("provisioning_max_s", "longest s", "longest, standalone, s", seconds, True, True),
    Column(
        *("service_provisioning_mean_s", "svc mean s", "PROVISIONING, of services, mean, s"),
        *(seconds, True, True),
    ),
    Column(
        *("service_provisioning_max_s", "svc longest s", "longest, of services, s"),
        *(seconds, True, True),
    ),
    Column("launch_failures", "failed", "launches failed", count),
    Column("throttled", "throttled", "calls throttled", count),
)
LOSS = (
    Column("lost", "lost", "tasks lost", count),
    Column("recovered", "again", "started again", count, ranked=False),
    Column("services_back_s", "whole", "services whole, s", seconds),
)


DEPLOYMENTS = (Column("deployments_failed", "failed", "deployments failed", count),)
DEPLOYING = (
    Column("deploying_min", "deploy min", "deploying, min", tenths),
    Column("deploying_extra_task_min", "extra task-min", "tasks too many, task-min", tenths),
    Column("deploying_at_risk_task_min", "risk task-min", "at risk, task-min", tenths),
    Column("deploying_extra_instances", "extra inst.", "instances too many", count),
    Column("deploying_extra_dollars", "extra $", "deploying, extra $", dollars),
)


def shown(columns: Sequence[Column], results: Sequence[RunResult]) -> list[Column]:
    """The columns without those that are optional and of which no run has a value."""
    return [
        column
        for column in columns
        if not column.optional or any(not is_missing(r.metrics[column.metric]) for r in results)
    ]


def name_of(result: RunResult) -> str:
    """The strategy of a run; of one that was interrupted with its time, as it does not compare."""
    if result.whole:
        return result.run.strategy
    return f"{result.run.strategy} (only {duration(result.metrics['simulated_s'])})"


def groups(results: Sequence[RunResult]) -> dict[tuple[str, str], list[RunResult]]:
    """Runs by layout and faults, in the order in which they come."""
    found: dict[tuple[str, str], list[RunResult]] = {}
    for result in results:
        found.setdefault((result.run.layout, result.run.faults), []).append(result)
    return found


def has_capacity(results: Sequence[RunResult]) -> bool:
    """Whether a capacity provider with managed scaling was there in any run."""
    return any(result.points for result in results)
