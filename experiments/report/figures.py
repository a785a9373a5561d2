"""Figures in one style: the colours and the restraint of the reports, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Those of `templates/report.css` in its light scheme, for eyes that do not tell red from green too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#c05a98", "#8a6d00", "#5b6bbf", "#4d8f9e", "#7a7a7a")
INK, SOFT, LINE = "#1b1f24", "#565e68", "#d9dde2"


def colour(number: int) -> str:
    """The colour of the curve of that number; the last stands for all that are more than eight."""
    return COLOURS[min(number, len(COLOURS) - 1)]


def dressed(axis: Axes, title: str, x_label: str, grid: Literal["x", "y"] = "y") -> None:
    """Title, grid and labels as in the report."""
    axis.set_title(title, loc="left", fontsize=10, color=INK)
    axis.set_xlabel(x_label, fontsize=9, color=SOFT)
    axis.tick_params(colors=SOFT, labelsize=9, length=0)
    axis.grid(True, axis=grid, color=LINE, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[:].set_visible(False)


def keyed(figure: Figure, axes: Sequence[Axes]) -> None:
    """One key for all panels, below them; none for a single unnamed curve."""
    handles, labels = axes[0].get_legend_handles_labels()
    if labels:
        columns = min(4, len(labels))
        figure.legend(
            handles, labels, loc="outside lower left", ncols=columns, frameon=False, fontsize=9
        )
