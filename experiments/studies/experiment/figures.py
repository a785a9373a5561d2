"""The figures of an experiment: means with their intervals over the axes, and Pareto fronts."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.report.figures import INK, LINE, SOFT, colour, dressed, keyed
from stowplan.experiments.studies.experiment.experiment import CellRuns, Experiment
from stowplan.experiments.studies.experiment.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS_MOST = 12
FRONTS_MOST = 3
_ACROSS = 3
_NUMBERS_LEAST = 3  # values on an axis of numbers, from which on it is drawn as a line


Point = tuple[str, Interval, Interval]  # label on the axis that is compared, x, y


@dataclass(frozen=True)
class Drawing:
    """A figure, its file's name without the ending, and what it shows."""

    name: str
    title: str
    figure: Figure


def drawings(found: Experiment) -> list[Drawing]:
    """A figure per metric, then the Pareto fronts of the first metric against others."""
    drawn = [_of_metric(found, metric) for metric in found.spec.metrics]
    return [each for each in drawn if each is not None] + _fronts(found)


def svg_text(figure: Figure) -> str:
    """A figure as SVG, the same text each time."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "stowplan", "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    text = stream.getvalue()
    return text[text.index("<svg") :]


def themed(text: str) -> str:
    """An SVG for a page whose style sheet has the ink: it turns dark with the page."""
    for ink, name in ((INK, "--ink"), (SOFT, "--soft"), (LINE, "--line")):
        text = text.replace(ink, f"var({name})")
    return text


# --- one metric -------------------------------------------------------------------------------


def _of_metric(found: Experiment, metric: str) -> Drawing | None:
    means = {id(cell): found.mean(cell, metric) for cell in found.cells}
    if not any(means.values()):
        return None
    series = found.compared[0] if found.compared else next(iter(found.axes), "")
    numbers = _number_axis(found, series)
    panels = _panels(found, [axis for axis in (series, numbers) if axis])
    figure, axes = _grid(len(panels), 1.1 + 0.32 * len(found.axes.get(series, "")))
    for axis, (title, cells) in zip(axes, panels.items(), strict=True):
        if numbers:
            _lines(axis, found, cells, means, series, numbers)
        else:
            _dots(axis, found, cells, means, series)
        dressed(axis, title, numbers or _label(metric), "y" if numbers else "x")
        if numbers:
            axis.set_ylabel(_label(metric), fontsize=9, color=SOFT)
    if numbers:
        keyed(figure, axes)
    confidence = f"{100 * found.spec.compare.confidence:g} %"
    return Drawing(metric, f"{metric}: means with their {confidence} intervals", figure)


def _number_axis(found: Experiment, series: str) -> str:
    """The first axis of numbers with several values, other than the one compared; "" for none."""
    for axis, labels in found.axes.items():
        if axis != series and len(labels) >= _NUMBERS_LEAST and all(map(_is_number, labels)):
            return axis
    return ""


def _is_number(label: str) -> bool:
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False


def _panels(found: Experiment, within: Sequence[str]) -> dict[str, list[CellRuns]]:
    """Cells by what they share on the axes that are not drawn within a panel."""
    panels: dict[str, list[CellRuns]] = {}
    several = {axis for axis, labels in found.axes.items() if len(labels) > 1}
    for cell in found.cells:
        outside = (f"{a} {v}" for a, v in cell.labels.items() if a in several and a not in within)
        panels.setdefault(", ".join(outside), []).append(cell)
    return dict(list(panels.items())[:PANELS_MOST])


def _dots(
    axis: Axes,
    found: Experiment,
    cells: Sequence[CellRuns],
    means: Mapping[int, Interval | None],
    series: str,
) -> None:
    """A row per value of the axis that is compared: the mean, and its interval as a bar."""
    labels = list(found.axes.get(series, ("",)))
    for cell in cells:
        mean, row = means[id(cell)], labels.index(cell.labels.get(series, ""))
        if mean is not None:
            low, high = mean.estimate - mean.low, mean.high - mean.estimate
            axis.errorbar(
                *([mean.estimate], [row]),
                xerr=[[low], [high]],
                fmt="o",
                color=colour(row),
                markersize=5,
                capsize=3,
                linewidth=1.6,
            )
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.5, -0.5)


def _lines(
    axis: Axes,
    found: Experiment,
    cells: Sequence[CellRuns],
    means: Mapping[int, Interval | None],
    series: str,
    numbers: str,
) -> None:
    """A line with a band per value of the axis that is compared, over an axis of numbers."""
    for row, label in enumerate(found.axes.get(series, ("",))):
        points = sorted(
            (float(cell.labels[numbers]), mean.low, mean.estimate, mean.high)
            for cell in cells
            if cell.labels.get(series, "") == label and (mean := means[id(cell)]) is not None
        )
        if points:
            at, low, middle, high = zip(*points, strict=True)
            axis.fill_between(at, low, high, color=colour(row), alpha=0.2, linewidth=0)
            axis.plot(at, middle, "o-", color=colour(row), label=label, linewidth=1.6, markersize=4)


# --- Pareto fronts ------------------------------------------------------------------------------


def _fronts(found: Experiment) -> list[Drawing]:
    ways = [m for m in found.spec.metrics if m in METRICS and METRICS[m].better]
    drawn = []
    for other in ways[1 : FRONTS_MOST + 1]:
        made = _front(found, ways[0], other)
        if made is not None:
            drawn.append(made)
    return drawn


def _front(found: Experiment, first: str, second: str) -> Drawing | None:
    """Cells by two metrics, a panel for each value of `faults`, which nobody chooses."""
    series = found.compared[0] if found.compared else next(iter(found.axes), "")
    panels: dict[str, list[Point]] = {}
    for cell in found.cells:
        x, y = found.mean(cell, first), found.mean(cell, second)
        if x is not None and y is not None:
            faults = "" if series == "faults" else cell.labels.get("faults", "")
            panels.setdefault(faults, []).append((cell.labels.get(series, ""), x, y))
    if all(len({(x.estimate, y.estimate) for _, x, y in each}) < 2 for each in panels.values()):
        return None
    figure, axes = _grid(len(panels), 3.2)
    for axis, (faults, points) in zip(axes, panels.items(), strict=True):
        _draw_front(axis, points, list(found.axes.get(series, ("",))), (first, second))
        title = f"faults {faults}" if len(panels) > 1 else ""
        dressed(axis, title, _label(first))
        axis.set_ylabel(_label(second), fontsize=9, color=SOFT)
    keyed(figure, axes)
    title = f"{second} against {first}: nothing is better in both than what the line joins"
    return Drawing(f"front-{first}-{second}", title, figure)


def _draw_front(
    axis: Axes, points: Sequence[Point], labels: Sequence[str], metrics: tuple[str, str]
) -> None:
    """Points with their intervals, and a line through those that none is better than in both."""
    named: set[str] = set()
    for label, x, y in points:
        axis.errorbar(
            *([x.estimate], [y.estimate]),
            xerr=[[x.estimate - x.low], [x.high - x.estimate]],
            yerr=[[y.estimate - y.low], [y.high - y.estimate]],
            fmt="o",
            color=colour(labels.index(label)),
            markersize=5,
            linewidth=1.2,
            label=None if label in named else label,
        )
        named.add(label)
    best = front([(x.estimate, y.estimate) for _, x, y in points], metrics)
    axis.plot(*zip(*best, strict=True), color=SOFT, linestyle="--", linewidth=1, zorder=0)


def front(
    points: Sequence[tuple[float, float]], metrics: tuple[str, str]
) -> list[tuple[float, float]]:
    """The points that no other is at least as good as in both metrics and better in one."""
    signs = [1 if METRICS[metric].better == "less" else -1 for metric in metrics]

    def beaten(point: tuple[float, float]) -> bool:
        a = [sign * value for sign, value in zip(signs, point, strict=True)]
        for other in points:
            b = [sign * value for sign, value in zip(signs, other, strict=True)]
            if b[0] <= a[0] and b[1] <= a[1] and b != a:
                return True
        return False

    return sorted({point for point in points if not beaten(point)})


# --- common -------------------------------------------------------------------------------------


def _label(metric: str) -> str:
    unit = METRICS[metric].unit if metric in METRICS else ""
    return f"{metric}, {unit}" if unit else metric


def _grid(count: int, height: float) -> tuple[Figure, list[Any]]:
    """A figure of so many panels with shared axes, at most three beside each other."""
    from matplotlib.figure import Figure

    across = 2 if count == 4 else min(_ACROSS, max(1, count))
    down = math.ceil(count / across)
    size = (6.4 if across == 1 else 3.4 * across, max(2.2, height) * down)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    for axis in grid[count:]:
        axis.set_visible(False)
    return figure, list(grid[:count])
