"""The charts of a report as files for slides: SVG and PNG, drawn by matplotlib."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stowplan.experiments.record.result import RunResult
from stowplan.experiments.report.charts import Axis, Chart
from stowplan.experiments.report.figures import COLOURS
from stowplan.experiments.report.plots import plots
from stowplan.placement.scenario.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREY, _BAND = "#f1f2f5", "#d9dde2"
_ACROSS = 2  # charts beside each other


def write_pictures(
    scenario: Scenario, results: Sequence[RunResult], folder: Path, kinds: Sequence[str]
) -> list[Path]:
    """Write each section of the report's charts to `folder`, once for each of "png", "svg".

    Nothing is written for a section without charts. Returns the files.
    """
    strategies = list(dict.fromkeys(result.run.strategy for result in results))
    index = {name: number for number, name in enumerate(strategies)}
    folder.mkdir(parents=True, exist_ok=True)
    return [
        path
        for section in plots(scenario, results, index)
        if section["charts"]
        for path in _write(section, folder, kinds)
    ]


def _write(section: Mapping[str, Any], folder: Path, kinds: Sequence[str]) -> list[Path]:
    from matplotlib.figure import Figure

    charts = section["charts"]
    down = math.ceil(len(charts) / _ACROSS)
    across = min(_ACROSS, len(charts))
    figure = Figure(figsize=(6.5 * across, 3.6 * down + 0.6), dpi=150, layout="constrained")
    figure.suptitle(section["title"])
    for number, each in enumerate(charts, 1):
        axes = figure.add_subplot(down, across, number)
        _draw(axes, each["chart"])
        axes.set_title(each["title"], fontsize=9, pad=16)  # room for words of marks
    name = re.sub(r"[^a-z0-9]+", "-", section["title"].lower()).strip("-")
    paths = [folder / f"{name}.{kind}" for kind in kinds]
    for path in paths:
        # Without a date the same run gives the same file.
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, metadata=metadata)
    return paths


def _draw(axes: Axes, chart: Chart) -> None:
    if chart.backdrop:
        at, values = zip(*chart.backdrop, strict=True)
        axes.fill_between(at, values, color=_GREY)
    low, high = chart.band
    if low:
        at, values = zip(*low, strict=True)
        axes.fill_between(at, values, [value for _, value in high], color=_BAND)
    for line in chart.lines:
        if line.points:
            at, values = zip(*line.points, strict=True)
            style = "--" if line.dashed else "-"
            colour = COLOURS[line.index % len(COLOURS)]
            axes.plot(at, values, style, color=colour, label=line.name, linewidth=1.4)
    for place, text in chart.marks:
        axes.axvline(place, color="#565e68", linestyle=":", linewidth=1)
        axes.annotate(text, (place, 1), xycoords=("data", "axes fraction"), fontsize=7, va="bottom")
    if chart.x.log:
        axes.set_xscale("log")
    _scale(axes.set_xlim, axes.set_xticks, chart.x)
    _scale(axes.set_ylim, axes.set_yticks, chart.y)
    axes.minorticks_off()
    axes.grid(axis="y", color="#d9dde2", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    if chart.lines:
        axes.legend(fontsize=7, frameon=False)


def _scale(limits: Any, ticks: Any, axis: Axis) -> None:
    limits(axis.low, axis.high)
    ticks([at for at, _ in axis.ticks], [text for _, text in axis.ticks])
