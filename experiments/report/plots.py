"""The plots of a report: in each section a chart per layout and faults, all on the same axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from stowplan.experiments.record.capacity_record import MS_PER_HOUR
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.record.results import timeline_frame
from stowplan.experiments.report.charts import (
    Axis,
    Chart,
    Line,
    Points,
    minutes_axis,
    nice_axis,
    svg,
    thinned,
    waits_axis,
)
from stowplan.experiments.report.formats import groups
from stowplan.placement.scenario.scenario import Scenario

CURVES_MOST = 8  # in a chart
RESERVATION_MOST = 400  # percent; what is above is drawn there
# What is drawn over time: heading, column of the timeline, what it says, its backdrop if any. What
# ECS believed is drawn dashed beside the truth, where it differs.
_BELIEVED = {"services_running": "services_believed"}
_OVER_TIME = (
    ("Memory reserved", "memory_reserved_pct", "percent of the memory registered", ""),
    ("CPU reserved", "cpu_reserved_pct", "percent of the CPU registered", ""),
    (
        "Busy instances",
        "busy",
        "instances that hold a task other than a daemon's; the grey area is the registered fleet",
        "present",
    ),
    (
        "Tasks without a place",
        "waiting",
        "submitted, and waiting for room or PROVISIONING, and what services lack of their desired "
        "count; at the end as many as “no place at end” in the tables",
        "",
    ),
    (
        "Tasks of services that run",
        "services_running",
        "in truth, and dashed what ECS believed, which hears late of what is dead; the grey area "
        "is what is wanted",
        "services_wanted",
    ),
)


def plots(
    scenario: Scenario, results: Sequence[RunResult], index: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Sections with title, a line about it, and charts; `index` numbers the strategies."""
    if not results:
        return []
    timeline = timeline_frame(results)
    sections = []
    for heading, column, about, backdrop in _OVER_TIME:
        charts = _over_time(scenario, timeline, index, column, backdrop)
        if not timeline[column].any():
            charts, about = [], "none at any time"
        sections.append({"title": heading, "about": about, "charts": charts})
    if any(result.points or result.metrics["lost"] for result in results):
        about = "of all instances that were up then, from launch or registration to the end"
        charts = _dollars(scenario, results, index)
        sections.append({"title": "Dollars an hour", "about": about, "charts": charts})
    if any(result.points for result in results):
        about = "instances needed, of those that run, in percent; a curve per capacity provider"
        charts = _reservations(scenario, results, index)
        sections.append({"title": "CapacityProviderReservation", "about": about, "charts": charts})
    if any(result.waits for result in results):
        about = "share of submitted tasks that were running within a time of their submission"
        charts = _waits(scenario, results, index, "waits", "submitted")
        title = "How long standalone tasks waited"
        sections.append({"title": title, "about": about, "charts": charts})
    if any(result.service_waits for result in results):
        about = (
            "share of the tasks that services came to lack that were running within a time of it"
        )
        charts = _waits(scenario, results, index, "service_waits", "service_asked")
        title = "How long services waited for tasks"
        sections.append({"title": title, "about": about, "charts": charts})
    return sections


def title_of(scenario: Scenario, layout: str, faults: str) -> str:
    """A heading for the runs of a layout and faults."""
    fault = f"fault: {faults}" if scenario.faults.get(faults) else "no fault"
    return f"{layout} · {fault}"


def _y_axis(timeline: pd.DataFrame, column: str, backdrop: str) -> Axis:
    if column.endswith("_pct"):
        return nice_axis(100, " %")
    drawn = [name for name in (column, backdrop, _BELIEVED.get(column)) if name]
    return nice_axis(float(timeline[drawn].max().max()), whole=True)


def _over_time(
    scenario: Scenario,
    timeline: pd.DataFrame,
    index: Mapping[str, int],
    column: str,
    backdrop: str,
) -> list[dict[str, Any]]:
    x = minutes_axis(scenario.duration / 60_000)
    y = _y_axis(timeline, column, backdrop)
    charts = []
    for (layout, faults), part in timeline.groupby(["layout", "faults"], sort=False):
        title = title_of(scenario, layout, faults)
        curves = dict(iter(part.groupby("strategy", sort=False)))
        lines = [Line(n, index[n], _points(rows, column)) for n, rows in curves.items()]
        if believed := _BELIEVED.get(column):
            lines += [
                Line(f"{n}, as ECS believed", index[n], _points(rows, believed), dashed=True)
                for n, rows in curves.items()
                if (rows[believed] != rows[column]).any()
            ]
        back = _points(next(iter(curves.values())), backdrop) if backdrop else ()
        label = f"{column} over time, {title}"
        whole = Chart(label, x, y, lines, _marks(scenario, faults), back)
        charts += _multiples(title, whole)
    return charts


def _multiples(title: str, whole: Chart) -> list[dict[str, Any]]:
    """A chart as it is where it has at most CURVES_MOST lines; else small ones of so many each.

    Each of those has all lines behind it as a band, from the lowest to the highest. Lines of one
    strategy stay together.
    """
    if len(whole.lines) <= CURVES_MOST:
        return [{"title": title, "svg": svg(whole), "chart": whole}]
    parts: list[list[Line]] = [[]]
    by_strategy: dict[int, list[Line]] = {}
    for line in whole.lines:
        by_strategy.setdefault(line.index, []).append(line)
    for lines in by_strategy.values():
        for at in range(0, len(lines), CURVES_MOST):
            some = lines[at : at + CURVES_MOST]
            if len(parts[-1]) + len(some) > CURVES_MOST:
                parts.append([])
            parts[-1] += some
    band = _band([line.points for line in whole.lines])
    found = []
    for number, part in enumerate(parts, 1):
        which = f"{title} ({number} of {len(parts)})"
        chart = replace(whole, label=f"{whole.label}, part {number}", lines=part, band=band)
        found.append({"title": which, "svg": svg(chart), "chart": chart})
    return found


def _band(curves: Sequence[Points]) -> tuple[Points, Points]:
    """The lowest and the highest of curves, where each of them has a point."""
    grid = sorted({x for curve in curves for x, _ in curve})
    rows = []
    for curve in curves:
        if curve:
            at, values = zip(*curve, strict=True)
            rows.append(np.interp(grid, at, values, left=np.nan, right=np.nan))
    table = np.array(rows)
    known = ~np.isnan(table).all(axis=0)
    low, high = np.nanmin(table[:, known], axis=0), np.nanmax(table[:, known], axis=0)
    places = [x for x, there in zip(grid, known, strict=True) if there]
    return (
        list(zip(places, low.tolist(), strict=True)),
        list(zip(places, high.tolist(), strict=True)),
    )


def _points(rows: pd.DataFrame, column: str) -> Sequence[tuple[float, float]]:
    return thinned(list(zip(rows["minute"].tolist(), rows[column].tolist(), strict=True)))


def _marks(scenario: Scenario, faults: str) -> list[tuple[float, str]]:
    return [
        (fault.at / 60_000, f"{fault.zone} lost" if fault.kind == "zone-loss" else fault.kind)
        for fault in scenario.faults.get(faults, ())
    ]


def _reservations(
    scenario: Scenario, results: Sequence[RunResult], index: Mapping[str, int]
) -> list[dict[str, Any]]:
    x = minutes_axis(scenario.duration / 60_000)
    high = max(point[-1] for result in results for point in result.points)
    y, charts = nice_axis(min(high, RESERVATION_MOST), " %"), []
    for (layout, faults), members in groups(results).items():
        lines = []
        for result in members:
            curves: dict[str, list[tuple[float, float]]] = {}
            for ms, provider, *_, percent in result.points:
                point = (ms / 60_000, min(percent, RESERVATION_MOST))
                curves.setdefault(provider, []).append(point)
            name = result.run.strategy
            lines += [
                Line(f"{name}, {provider}" if len(curves) > 1 else name, index[name], thinned(at))
                for provider, at in curves.items()
            ]
        title = title_of(scenario, layout, faults)
        chart = Chart(f"reservation, {title}", x, y, lines, _marks(scenario, faults))
        charts += _multiples(title, chart)
    return charts


def _waits(
    scenario: Scenario,
    results: Sequence[RunResult],
    index: Mapping[str, int],
    waits: str,
    asked: str,
) -> list[dict[str, Any]]:
    """Curves of a histogram of results, `waits`, as shares of the metric `asked`."""
    found = {id(result): getattr(result, waits) for result in results}
    bounds = [bound / 1000 for bins in found.values() for bound, _ in bins]
    x, y = waits_axis(min(bounds), max(bounds)), nice_axis(100, " %")
    charts = []
    for (layout, faults), members in groups(results).items():
        lines = []
        for result in (each for each in members if each.whole):
            total, bins = max(1.0, float(result.metrics[asked] or 0)), found[id(result)]
            shares = np.cumsum([tasks for _, tasks in bins]) * 100 / total
            points = [(b / 1000, s) for (b, _), s in zip(bins, shares.tolist(), strict=True)]
            # Bins hold the waits up to their bound: from there on the share stays, to the edge.
            points = [(x.low, 0.0), *points, (x.high, points[-1][1])] if points else []
            lines.append(Line(result.run.strategy, index[result.run.strategy], points))
        title = title_of(scenario, layout, faults)
        charts += _multiples(title, Chart(f"{waits.replace('_', ' ')}, {title}", x, y, lines))
    return charts


def _dollars(
    scenario: Scenario, results: Sequence[RunResult], index: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Dollars an hour as they were paid, a curve per strategy."""
    x, charts = minutes_axis(scenario.duration / 60_000), []
    rates: dict[int, list[tuple[float, float]]] = {}
    for result in results:
        paid: dict[tuple[int, int], float] = {}
        for row in result.costs:
            paid[row.since_ms, row.until_ms] = (
                paid.get((row.since_ms, row.until_ms), 0.0) + row.dollars
            )
        # A step for each stretch of time: the rate was so from its beginning to its end.
        rates[id(result)] = [
            (at / 60_000, dollars * MS_PER_HOUR / (until - since))
            for (since, until), dollars in sorted(paid.items())
            for at in (since, until)
        ]
    high = max((rate for points in rates.values() for _, rate in points), default=0.0)
    y = nice_axis(high, " $")
    for (layout, faults), members in groups(results).items():
        lines = [
            Line(r.run.strategy, index[r.run.strategy], thinned(rates[id(r)])) for r in members
        ]
        title = title_of(scenario, layout, faults)
        marks = _marks(scenario, faults)
        charts += _multiples(title, Chart(f"dollars an hour, {title}", x, y, lines, marks))
    return charts
