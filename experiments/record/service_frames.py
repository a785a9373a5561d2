"""Tables of services, their deployments, and tasks that ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from stowplan.experiments.record.availability import Worst
from stowplan.experiments.record.daemon_log import Coverage
from stowplan.experiments.record.keys import KEYS, keys_of
from stowplan.experiments.record.result import RunResult

# Of a service with all its zones; see `experiments.record.availability.Worst`.
WORST_COLUMNS = (
    "worst_ms",
    "worst_running",
    "worst_desired",
    "worst_minimum",
    "worst_for_ms",
    "below_desired_ms",
    "below_desired_longest_ms",
    "below_minimum_ms",
    "below_minimum_longest_ms",
    "below_minimum_since_ms",
)
SERVICE_COLUMNS = (
    *KEYS,
    "service",
    "scheduling_strategy",
    "zone",
    "watched_ms",
    "desired",
    "running",
    "lacking",
    "at_desired_pct",
    "at_minimum_pct",
    "believed_at_desired_pct",
    "believed_at_minimum_pct",
    "covered_pct",
    "migrations",
    "deployments_failed",
    "crash_loop_ends",
    *WORST_COLUMNS,
)
DEPLOYMENT_COLUMNS = (
    *KEYS,
    "service",
    "deployment",
    "task_definition",
    "began_ms",
    "state",
    "ended_ms",
    "duration_s",
    "waits_for",
    "failed_tasks",
)
STOP_COLUMNS = (
    *KEYS,
    "owner",
    "is_service",
    "stop_code",
    "reason",
    "exit_code",
    "failed",
    "tasks",
    "never_ran",
)


def services_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run, service and zone, and one with zone "" for all of them.

    Shares of the time `watched_ms` since the service had first booted, in percent: with at least
    the desired count running, with at least the minimum healthy, in truth and as ECS believed; of a
    zone, an even share of either (see `experiments.record.availability`). `desired`, `running` and
    `lacking` are those of the end. The rest is of the service, so with zone "" alone. A DAEMON is
    held to a task on each eligible instance: `covered_pct` is their share of the time with one.
    The `WORST_COLUMNS` say when the fewest ran, and for how long it was too few.
    """
    rows = []
    for result in results:
        for (service, zone), up in result.services.items():
            values = {
                "service": service,
                "scheduling_strategy": "REPLICA",
                "zone": zone,
                "watched_ms": up.settled_ms - up.since_ms,
                "desired": up.desired,
                "running": up.running,
                "lacking": max(0, up.desired - up.running),
                "at_desired_pct": up.percent("desired"),
                "at_minimum_pct": up.percent("floor"),
                "believed_at_desired_pct": up.percent("believed_desired"),
                "believed_at_minimum_pct": up.percent("believed_floor"),
                **({} if zone else {**_of_service(result, service), **_worst(up.worst)}),
            }
            rows.append({**keys_of(result), **values})
        rows += [{**keys_of(result), **_daemon_row(result, each)} for each in result.daemons]
    frame = pd.DataFrame(rows, columns=list(SERVICE_COLUMNS))
    whole = ["migrations", "deployments_failed", "crash_loop_ends"]
    frame[whole] = frame[whole].fillna(0).astype("int64")
    shares = [name for name in SERVICE_COLUMNS if name.endswith("_pct")]
    frame = frame.astype(dict.fromkeys(shares, "float64"))
    return frame.astype(dict.fromkeys(WORST_COLUMNS, "Int64"))


def _worst(worst: Worst | None) -> dict[str, Any]:
    """None for when, where it never had too few; then it was so for 0 ms."""
    if worst is None:
        never = [name for name in WORST_COLUMNS if name.startswith("below_")]
        return dict.fromkeys([name for name in never if "since" not in name], 0)
    values = (
        *(worst.at_ms, worst.running, worst.desired, worst.minimum, worst.for_ms),
        *(worst.below_desired_ms, worst.below_desired_longest_ms),
        *(worst.below_minimum_ms, worst.below_minimum_longest_ms, worst.since_ms),
    )
    return dict(zip(WORST_COLUMNS, values, strict=True))


def _of_service(result: RunResult, service: str) -> dict[str, Any]:
    return {
        "migrations": result.migrations.get(service, 0),
        "deployments_failed": result.failed_deployments.get(service, 0),
        "crash_loop_ends": result.crash_loops.get(service, (0, 0))[0],
    }


def _daemon_row(result: RunResult, daemon: Coverage) -> dict[str, Any]:
    return {
        "service": daemon.service,
        "scheduling_strategy": "DAEMON",
        "zone": "",
        "watched_ms": round(1000 * float(result.metrics["simulated_s"] or 0)) - daemon.since_ms,
        "desired": daemon.eligible,
        "running": daemon.running,
        "lacking": daemon.eligible - daemon.running,
        "covered_pct": daemon.percent,
        **_of_service(result, daemon.service),
    }


def deployments_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run and deployment, in the order in which they began.

    `state` is ECS's rolloutState, or SUPERSEDED where another deployment began before it was
    COMPLETED. `duration_s` is until then, or until the end of a run in which it is IN_PROGRESS.
    `waits_for`: what it lacked at its end, in words; of a FAILED one why it failed. `failed_tasks`
    ended by themselves without ever running.
    """
    rows = []
    for result in results:
        end_ms = round(1000 * float(result.metrics["simulated_s"] or 0))
        for each in result.deployments:
            rows.append({**keys_of(result), **asdict(each), "duration_s": each.seconds(end_ms)})
    frame = pd.DataFrame(rows, columns=list(DEPLOYMENT_COLUMNS))
    return frame.astype({"ended_ms": "Int64", "duration_s": "float64"})


def stops_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run, service or workload (`owner`), stop code, reason and exit code: how many tasks
    ended so, and how many of them never ran.

    `failed` tells crashes, starts that failed and lost instances from tasks that ran to their end
    or that somebody wanted to stop. No exit code where no exit ended the tasks, or none was told.
    """
    rows = [
        {**keys_of(r), **asdict(stop), "failed": stop.failed, **asdict(count)}
        for r in results
        for stop, count in r.stops.items()
    ]
    frame = pd.DataFrame(rows, columns=list(STOP_COLUMNS))
    return frame.astype({"exit_code": "Int64", "is_service": "bool", "failed": "bool"})
