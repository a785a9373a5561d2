"""What a run comes to: one row of numbers per run, from its recorder alone."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import numpy as np

from stowplan.experiments.loading.extensions import add_entry_points
from stowplan.experiments.record.capacity_record import MS_PER_HOUR
from stowplan.experiments.record.costs import HOURS_PER_MONTH
from stowplan.experiments.record.energy import kg_co2e, kwh
from stowplan.experiments.record.metric import Metric as Metric
from stowplan.experiments.record.money import (
    below_minimum,
    dollars_busy,
    dollars_idle,
    dollars_per,
)
from stowplan.experiments.record.own_metric import metric_values
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.rollout_metrics import OF_ROLLOUTS
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import CPU, MEMORY, StopCode
from stowplan.placement.registry import Registry


def _mean(numerator: str, denominator: str) -> Callable[[Recorder], float | None]:
    def of(recorder: Recorder) -> float | None:
        below = getattr(recorder.integrals, denominator)
        return 100 * getattr(recorder.integrals, numerator) / below if below else None

    return of


def _over_time(level: str) -> Callable[[Recorder], float | None]:
    def of(recorder: Recorder) -> float | None:
        return float(getattr(recorder.integrals, level)) / max(1, recorder.now_ms)

    return of


def _quantile(times: str, quantile: float) -> Callable[[Recorder], float | None]:
    def of(recorder: Recorder) -> float | None:
        values: list[int] = attrgetter(times)(recorder)
        return float(np.quantile(values, quantile)) / 1000 if values else None

    return of


def _per_hour(recorder: Recorder) -> float:
    return recorder.totals.started * MS_PER_HOUR / max(1, recorder.now_ms)


def _available(kept: str) -> Callable[[Recorder], float | None]:
    """Share of time, mean over services; see `UpTime.percent`."""

    def of(recorder: Recorder) -> float | None:
        ups = [up for (_, zone), up in recorder.services_log.up.items() if not zone]
        return sum(up.percent(kept) for up in ups) / len(ups) if ups else None

    return of


def _left(what: str, dimension: str, free: bool = False) -> Callable[[Recorder], float | None]:
    """Mean over the frames of a share of what is offered, or of what is free."""

    def of(recorder: Recorder) -> float | None:
        rows = [row for row in recorder.leftovers if row.dimension == dimension]
        below = sum(row.offered - row.used * free for row in rows)
        return 100 * sum(getattr(row, what) for row in rows) / below if below else None

    return of


def _services_back(lost: str) -> Callable[[Recorder], float | None]:
    """From the loss, or the moment ECS heard of it, until every service task lost was replaced,
    the last time that it was; None while some are not. Daemons are not replaced and do not count.
    """

    def of(recorder: Recorder) -> float | None:
        lost_ms = getattr(recorder, lost)
        if lost_ms is None or recorder.services_back_ms is None:
            return None
        return float(recorder.services_back_ms - lost_ms) / 1000

    return of


def _services_short(recorder: Recorder) -> float | None:
    """What is left of the time at desired count."""
    at_desired = _available("desired")(recorder)
    return None if at_desired is None else 100 - at_desired


def _in_progress(recorder: Recorder) -> int:
    return sum(each.state == "IN_PROGRESS" for each in recorder.deployments.records)


def _failed(code: StopCode) -> Callable[[Recorder], float | None]:
    """Tasks that came to grief with a stop code."""

    def of(recorder: Recorder) -> float | None:
        found = recorder.stops.counts.items()
        return sum(count.tasks for s, count in found if s.stop_code == code and s.failed)

    return of


def _reservation_mean(recorder: Recorder) -> float | None:
    points = [point[-1] for point in recorder.capacity.points]
    return float(np.mean(points)) if points else None


def _provisioning(
    of: Callable[[list[int]], Any], waits: str = "placed_ms"
) -> Callable[[Recorder], float | None]:
    def value(recorder: Recorder) -> float | None:
        values: list[int] = getattr(recorder.capacity, waits)
        return float(of(values)) / 1000 if values else None

    return value


def _of_all_runs(recorder: Recorder) -> None:
    """Worked out for all runs together, once they are done: see `experiments.cli.regret`."""


# What METRICS ships with.
_SHIPPED: Mapping[str, Metric] = {
    "instances": Metric(lambda r: len(r.instances), "", "", "instances that registered"),
    "instances_mean": Metric(
        _over_time("present"),
        "",
        "less",
        "instances that were registered, mean over time: what instances_busy_mean is a part of",
    ),
    "instances_used": Metric(
        lambda r: sum(i.ever_used for i in r.instances),
        "",
        "less",
        "instances that ever held a task other than a daemon's",
    ),
    "instances_busy_mean": Metric(
        _over_time("busy"),
        "",
        "less",
        "instances that held a task other than a daemon's, mean over time",
    ),
    "dollars": Metric(
        lambda r: r.capacity.dollars(r.now_ms),
        "$",
        "less",
        "price of all instances while they were up: from launch, or registration, to the end",
    ),
    "dollars_busy": Metric(
        dollars_busy,
        "$",
        "less",
        "the same for the time in which an instance held a task other than a daemon's",
    ),
    "dollars_busy_least": Metric(
        _of_all_runs,
        "$",
        "",
        "no placement of the same tasks at the same times pays less; daemons left out, as in busy",
    ),
    "dollars_busy_gap_pct": Metric(
        _of_all_runs, "%", "less", "dollars_busy above that minimum, of dollars_busy"
    ),
    "cpu_reserved_pct": Metric(
        _mean("cpu_used", "cpu"), "%", "more", "CPU reserved, of what is registered, mean over time"
    ),
    "memory_reserved_pct": Metric(
        _mean("memory_used", "memory"), "%", "more", "memory reserved, likewise"
    ),
    "wait_p50_s": Metric(
        _quantile("waits_ms", 0.5),
        "s",
        "less",
        "submission to RUNNING, median over standalone tasks that came so far",
    ),
    "wait_p99_s": Metric(
        _quantile("waits_ms", 0.99), "s", "less", "99th percentile of these waits"
    ),
    "service_wait_p50_s": Metric(
        _quantile("service_waits.waits_ms", 0.5),
        "s",
        "less",
        "from when a service came to lack a task of its desired count to RUNNING, median",
    ),
    "service_wait_p99_s": Metric(
        _quantile("service_waits.waits_ms", 0.99), "s", "less", "99th percentile of these waits"
    ),
    "service_asked": Metric(
        lambda r: r.service_waits.asked, "", "", "tasks that services came to lack"
    ),
    "start_p50_s": Metric(
        _quantile("starts_ms", 0.5), "s", "less", "placed to RUNNING, median over all tasks"
    ),
    "start_p99_s": Metric(
        _quantile("starts_ms", 0.99), "s", "less", "placed to RUNNING, 99th percentile"
    ),
    "started_per_hour": Metric(
        _per_hour, "", "more", "tasks that reached RUNNING, services' too, per hour"
    ),
    "submitted": Metric(lambda r: r.submitted, "", "", "tasks submitted by workloads"),
    "started": Metric(
        lambda r: len(r.waits_ms), "", "more", "of these, tasks that reached RUNNING"
    ),
    "finished": Metric(
        lambda r: r.totals.finished, "", "more", "tasks that ran to their end, with exit code 0"
    ),
    "waiting": Metric(
        lambda r: r.totals.waiting + r.services_lack,
        "",
        "less",
        "tasks without a place at the end, those that services and DAEMONs lack included",
    ),
    "refusals": Metric(
        lambda r: r.refusals.total(), "", "less", "placements refused, each attempt counted"
    ),
    "lost": Metric(lambda r: r.lost, "", "less", "tasks that died with their instance"),
    "recovered": Metric(lambda r: r.recovered, "", "more", "of these, started again elsewhere"),
    "services_back_s": Metric(
        _services_back("lost_ms"), "s", "less", "from the loss until services were whole again"
    ),
    "services_short_pct": Metric(
        _services_short, "%", "less", "time below desired count, mean over services"
    ),
    "at_desired_pct": Metric(
        _available("desired"), "%", "more", "time at desired count, in truth, mean over services"
    ),
    "at_minimum_pct": Metric(_available("floor"), "%", "more", "time at minimum healthy, likewise"),
    "migrations": Metric(
        lambda r: r.services_log.migrations.total(),
        "",
        "less",
        "running tasks of services stopped to be replaced, by a deployment, a drain or rebalancing",
    ),
    "deployments_failed": Metric(
        lambda r: r.services_log.failed_deployments.total(),
        "",
        "less",
        "deployments that a circuit breaker ended",
    ),
    "cpu_stranded_pct": Metric(
        _left("stranded_mean", CPU), "%", "less", "CPU free where memory is too short for a task"
    ),
    "memory_stranded_pct": Metric(
        _left("stranded_mean", MEMORY), "%", "less", "memory free where CPU is too short for a task"
    ),
    "cpu_fragmented_pct": Metric(
        _left("fragmented", CPU, free=True), "%", "less", "of free CPU, where a task does not fit"
    ),
    "memory_fragmented_pct": Metric(
        _left("fragmented", MEMORY, free=True), "%", "less", "of free memory, likewise"
    ),
    "instance_hours": Metric(
        lambda r: r.capacity.hours(r.now_ms), "h", "less", "time that instances were up, together"
    ),
    "launches": Metric(
        lambda r: r.capacity.launches, "", "less", "instances that capacity providers launched"
    ),
    "terminations": Metric(
        lambda r: r.capacity.terminations, "", "less", "of these, instances that ended in the run"
    ),
    "launch_failures": Metric(
        lambda r: r.capacity.launch_failures, "", "less", "times that launches failed"
    ),
    "throttled": Metric(lambda r: r.capacity.throttled, "", "less", "API calls throttled"),
    "reservation_mean_pct": Metric(
        _reservation_mean, "%", "", "CapacityProviderReservation, mean over providers and minutes"
    ),
    "provisioning_mean_s": Metric(
        _provisioning(np.mean),
        "s",
        "less",
        "from PROVISIONING to a place, mean over standalone tasks that had to wait there",
    ),
    "provisioning_max_s": Metric(_provisioning(np.max), "s", "less", "the longest of these"),
    "service_provisioning_mean_s": Metric(
        _provisioning(np.mean, "service_placed_ms"), "s", "less", "the same of tasks of services"
    ),
    "service_provisioning_max_s": Metric(
        _provisioning(np.max, "service_placed_ms"), "s", "less", "the longest of these"
    ),
    "simulated_s": Metric(
        lambda r: r.now_ms / 1000, "s", "", "simulated time: less than asked for after Ctrl-C"
    ),
    "services_back_heard_s": Metric(
        _services_back("lost_heard_ms"), "s", "less", "the same from when ECS heard of the loss"
    ),
    "believed_at_desired_pct": Metric(
        _available("believed_desired"), "%", "", "at_desired_pct, as ECS believed it was"
    ),
    "dollars_per_hour": Metric(dollars_per(1), "$", "less", "dollars in an hour, mean over time"),
    "dollars_per_month": Metric(
        dollars_per(HOURS_PER_MONTH), "$", "less", "the same in 730 hours, a month of AWS's"
    ),
    "kwh": Metric(kwh, "kWh", "less", "energy of all instances while they were up, estimated"),
    "kg_co2e": Metric(
        kg_co2e, "kg", "less", "greenhouse gas for it, as CO2, by the mean of the region's grid"
    ),
    "dollars_idle_pct": Metric(
        dollars_idle,
        "%",
        "less",
        "of dollars, for what no task reserves; a vCPU weighs nine GiB, as AWS splits costs",
    ),
    "below_minimum_longest_s": Metric(
        below_minimum,
        "s",
        "less",
        "longest time without a break in which a service ran fewer than minimum healthy, in truth",
    ),
    "believed_at_minimum_pct": Metric(
        _available("believed_floor"), "%", "", "at_minimum_pct, likewise"
    ),
    "deployments_unfinished": Metric(
        _in_progress, "", "less", "deployments that are IN_PROGRESS at the end"
    ),
    **OF_ROLLOUTS,
    "daemons_lacking": Metric(
        lambda r: r.daemons.lacking, "", "less", "tasks that DAEMONs lack at the end"
    ),
    "crashed": Metric(
        _failed(StopCode.ESSENTIAL_CONTAINER_EXITED),
        "",
        "less",
        "tasks whose essential container exited with another code than 0, or was killed",
    ),
    "failed_to_start": Metric(
        _failed(StopCode.TASK_FAILED_TO_START), "", "less", "tasks that never came to run"
    ),
    "crash_loops": Metric(
        lambda r: len(r.crash_loops()), "", "less", "services whose tasks keep ending"
    ),
}
METRICS: Registry[Metric] = Registry("metric", _SHIPPED)


def as_metric(
    name: str, thing: Any, *, unit: str = "", better: str = "", about: str | None = None
) -> Metric:
    """A metric out of one, or of a function of the recorder, whose docstring says what it is.

    Raises:
        PlacementError: it is neither, or `better` is not "more", "less" or "".
    """
    if isinstance(thing, Metric):
        return thing
    if not callable(thing):
        raise PlacementError(f"{thing!r} is neither a function of a run nor a Metric")
    if better not in ("", "more", "less"):
        raise PlacementError(f'better: expected "more", "less" or "", found {better!r}')
    said = (inspect.getdoc(thing) or name).split("\n")[0]
    return Metric(thing, unit, better, said if about is None else about)


def load_metrics() -> None:
    """Add what installed packages offer by entry points of `stowplan.metrics`, once a process.

    Raises SpecError naming every one that does not load.
    """
    add_entry_points("metrics", METRICS, as_metric)


def metrics_of(recorder: Recorder) -> dict[str, float | str | None]:
    """The row of a finished run: every metric by name, and refusals by reason as JSON."""
    load_metrics()
    row: dict[str, float | str | None] = {**metric_values(METRICS, recorder)}
    row["refusals_by_reason"] = json.dumps(dict(sorted(recorder.refusals.items())))
    return row
