"""Figures of results: the colours and the restraint of the report's charts, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stowplan.experiments.report.figures import colour, dressed, keyed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = Mapping[str, Any]


def ranked(panels: Mapping[str, Curves], x_label: str) -> Figure:
    """A panel per title; in it, for each name, a value in percent for each instance, in order."""
    figure, axes = panelled(len(panels))
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        for number, (name, values) in enumerate(curves.items()):
            edges = np.arange(len(values) + 1)
            axis.stairs(
                values, edges, baseline=None, color=colour(number), label=name, linewidth=1.8
            )
        axis.set_ylim(0, 103)
        dressed(axis, title, x_label)
    keyed(figure, axes)
    return figure


def over_time(panels: Mapping[str, Mapping[str, tuple[Any, Any]]], y_top: float | None) -> Figure:
    """A panel per title; in it, for each name, (minutes, values) as a line."""
    figure, axes = panelled(len(panels))
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        for number, (name, (minutes, values)) in enumerate(curves.items()):
            axis.plot(minutes, values, color=colour(number), label=name, linewidth=1.6)
        axis.set_ylim(0, y_top)
        dressed(axis, title, "minutes of simulated time")
    keyed(figure, axes)
    return figure


def bars(panels: Mapping[str, Mapping[str, Sequence[float]]], names: Sequence[str]) -> Figure:
    """A panel per title; in it, for each kind, a bar for each of `names`."""
    figure, axes = panelled(len(panels), 0.9 + 0.45 * len(names))
    for axis, (title, kinds) in zip(axes, panels.items(), strict=True):
        high = 0.8 / max(1, len(kinds))
        for number, (kind, values) in enumerate(kinds.items()):
            at = np.arange(len(names)) + (number - (len(kinds) - 1) / 2) * high
            axis.barh(at, values, height=high * 0.92, color=colour(number), label=kind)
        axis.set_yticks(np.arange(len(names)), names)
        axis.invert_yaxis()
        axis.set_xlim(0, max(1.0, *(1.05 * v for values in kinds.values() for v in values)))
        dressed(axis, title, "", grid="x")
    keyed(figure, axes)
    return figure


def panelled(count: int, height: float = 2.9) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side.

    pyplot lets go of it at once: a notebook shows it as the value of a cell, and only once.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, count, figsize=(5.2 * count, max(2.4, height)), squeeze=False, layout="constrained"
    )
    pyplot.close(figure)
    return figure, list(axes[0])
