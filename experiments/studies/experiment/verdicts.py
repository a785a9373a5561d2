"""What an experiment found, in words: each comparison with its interval, never a bare mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.studies.experiment.experiment import CellRuns, Experiment, Labels
from stowplan.experiments.studies.experiment.runner import baseline_of
from stowplan.experiments.studies.experiment.statistics import (
    Comparison,
    Interval,
    compare,
    holm,
)

SAME, DIFFERENT, OPEN, NONE = "same", "different", "no difference found", "not comparable"
_DIGITS = 3
_PERCENT_MOST = 1000  # above it a ratio says more


@dataclass(frozen=True)
class Verdict:
    """A metric of a cell against its baseline.

    Attributes:
        others: labels of the axes that both share.
        label, baseline: on the axis that is compared.
        comparison: None where there are fewer than two pairs.
        p: corrected by Holm's method for all comparisons of the experiment.
        kind: `same` (equal in every pair), `different`, `no difference found`, `not comparable`.
        better: whether the cell is; None where neither way is better, or nothing was found.
        seeds: pairs that there could have been.
    """

    metric: str
    others: Labels
    label: str
    baseline: str
    comparison: Comparison | None
    p: float
    kind: str
    better: bool | None
    seeds: int
    text: str = ""


def verdicts(found: Experiment) -> list[Verdict]:
    """Every cell against its baseline, by metric, then in the order of the cells.

    A difference is claimed where its p value, corrected for the number of comparisons, is at most
    1 minus the confidence.
    """
    pairs: list[tuple[str, CellRuns, CellRuns]] = []
    for metric in found.spec.metrics:
        for cell in found.cells:
            base = baseline_of(found, cell)
            if base is not None and base is not cell:
                pairs.append((metric, cell, base))
    raw = [_compared(found, *pair) for pair in pairs]
    tested = [index for index, each in enumerate(raw) if each is not None and each.pairs]
    corrected = dict(zip(tested, holm([_p(raw[i]) for i in tested]), strict=True))
    return [
        _verdict(found, *pair, raw[index], corrected.get(index, 1.0))
        for index, pair in enumerate(pairs)
    ]


def _p(comparison: Comparison | None) -> float:
    return 1.0 if comparison is None else comparison.p


def _pairs(
    metric: str, cell: CellRuns, base: CellRuns
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    left, right = cell.values(metric), base.values(metric)
    return left, right, ~(np.isnan(left) | np.isnan(right))


def _compared(found: Experiment, metric: str, cell: CellRuns, base: CellRuns) -> Comparison | None:
    left, right, both = _pairs(metric, cell, base)
    if both.sum() < 2:
        return None
    first = found.first(np.where(both, left, np.nan))
    return compare(left[both], right[both], found.spec.compare.confidence, first)


def _verdict(
    found: Experiment,
    metric: str,
    cell: CellRuns,
    base: CellRuns,
    comparison: Comparison | None,
    p: float,
) -> Verdict:
    assert found.compared is not None
    axis, baseline = found.compared
    others = {name: label for name, label in cell.labels.items() if name != axis}
    left, right, both = _pairs(metric, cell, base)
    kind, better = _kind(found, metric, comparison, p, bool((left[both] == right[both]).all()))
    verdict = Verdict(
        *(metric, others, cell.labels[axis], baseline, comparison, p, kind, better, left.size)
    )
    return replace(verdict, text=sentence(verdict))


def _kind(
    found: Experiment, metric: str, comparison: Comparison | None, p: float, same: bool
) -> tuple[str, bool | None]:
    if comparison is None:
        return NONE, None
    if same:
        return SAME, None
    if p > 1 - found.spec.compare.confidence:
        return OPEN, None
    way = METRICS[metric].better if metric in METRICS else ""
    less = comparison.difference.estimate < 0
    return DIFFERENT, None if not way else less == (way == "less")


def sentence(verdict: Verdict) -> str:
    """`binpack: dollars 11.2 % less than spread (95 % interval 9.8 to 12.5 %), 20 paired seeds.`"""
    comparison, name = verdict.comparison, verdict.metric
    if comparison is None:
        what = f"{name} cannot be compared with {verdict.baseline}: fewer than two seeds of"
        return f"{verdict.label}: {what} {verdict.seeds} have a value in both."
    pairs = f"{comparison.pairs} paired seeds"
    if comparison.pairs < verdict.seeds:
        pairs += f" of {verdict.seeds} (the others have no value)"
    if verdict.kind == SAME:
        return f"{verdict.label}: {name} is exactly that of {verdict.baseline} in {pairs}."
    if verdict.kind == OPEN:
        unit = _unit(name)
        seen = amount(comparison.visible, unit) + (" points" if unit == "%" else "")
        if comparison.relative is not None and unit != "%":
            scale = _mean_of_baseline(comparison)
            seen = f"{digits(100 * comparison.visible / scale)} %" if scale else seen
        return (
            f"{verdict.label}: no difference in {name} from {verdict.baseline} was found; one "
            f"above {seen} would probably have been ({pairs})."
        )
    return f"{verdict.label}: {name} {_difference(verdict, comparison)}, {pairs}."


def _difference(verdict: Verdict, comparison: Comparison) -> str:
    relative, unit = comparison.relative, _unit(verdict.metric)
    whole = comparison.difference
    more = "less" if whole.estimate < 0 else "more"
    if relative is None or unit == "%" or abs(relative.estimate) * 100 > _PERCENT_MOST:
        points = " points" if unit == "%" else ""
        size, ends = amount(abs(whole.estimate), unit), _ends(whole, unit)
        return f"{size}{points} {more} than {verdict.baseline} ({ends})"
    percent = relative.scaled(100)
    size = f"{digits(abs(percent.estimate))} %"
    return f"{size} {more} than {verdict.baseline} ({_ends(percent, '%')})"


def _ends(interval: Interval, unit: str) -> str:
    """The ends as amounts of what is said: of `less` the interval is turned round."""
    low, high = interval.low, interval.high
    if interval.estimate < 0:
        low, high = -high, -low
    said = f"{100 * interval.confidence:g} % interval"
    if low == high:
        return "by the same in every pair"
    return f"{said} {digits(low)} to {amount(high, unit)}"


def _mean_of_baseline(comparison: Comparison) -> float:
    relative = comparison.relative
    if relative is None or relative.estimate == 0:
        return 0.0
    return abs(comparison.difference.estimate / relative.estimate)


def _unit(metric: str) -> str:
    return METRICS[metric].unit if metric in METRICS else ""


def amount(value: float, unit: str) -> str:
    """`$ 12.3`, `4.5 s`, `12.3`."""
    text = digits(value)
    if unit == "$":
        return f"$ {text}"
    return f"{text} {unit}" if unit else text


def digits(value: float) -> str:
    """Three digits, no exponent: `0.0123`, `12.3`, `12,345`."""
    if math.isinf(value):
        return "any number" if value > 0 else "any number below"
    if value == 0 or math.isnan(value):
        return "0" if value == 0 else "-"
    places = max(0, _DIGITS - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(places, 12)}f}"


def words(found: Experiment, of: Sequence[Verdict]) -> list[tuple[str, list[Verdict]]]:
    """Verdicts by what both sides share: ("faults zone-loss, fleet[0].count 12", verdicts)."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in of:
        several = {axis for axis, labels in found.axes.items() if len(labels) > 1}
        title = ", ".join(f"{a} {label}" for a, label in verdict.others.items() if a in several)
        groups.setdefault(title, []).append(verdict)
    return list(groups.items())
