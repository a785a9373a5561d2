"""Intervals, comparisons and how many runs they need: what may be said of a few seeds.

Every method is a named one, with its source; SciPy has the distributions. An interval of confidence
0.95 holds the truth in 95 of 100 experiments, also where the number of runs was decided by the
runs themselves (`runs_needed`). It takes runs of different seeds as independent and their metrics,
or differences of metrics, as roughly normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

POWER = 0.8  # of `Comparison.visible`: what four of five experiments would have found
MSER_BATCH = 5


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the interval around it; `low` and `high` may be infinite."""

    estimate: float
    low: float
    high: float
    confidence: float

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2

    def scaled(self, factor: float) -> Interval:
        """The same in another unit."""
        low, high = sorted((self.low * factor, self.high * factor))
        return Interval(self.estimate * factor, low, high, self.confidence)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What pairs of runs with the same seed say of two ways.

    Attributes:
        difference: a minus b, in the metric's unit.
        relative: a / b - 1, or None where b is too near to zero for its noise.
        p: how probable so large a difference is where there is none (two-sided).
        visible: the smallest difference that is found in `POWER` of such experiments.
        pairs: seeds in which both had a value.
    """

    difference: Interval
    relative: Interval | None
    p: float
    visible: float
    pairs: int


def t_quantile(probability: float, df: float) -> float:
    """Student's t distribution, inverse."""
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def mean_interval(
    values: ArrayLike, confidence: float = 0.95, first: int | None = None
) -> Interval:
    """Student's interval for the mean of independent values.

    Args:
        values: one a run, at least two.
        first: only so many runs say how much they vary, since they decided how many there are
            (Stein 1945, see `runs_needed`); None: all.
    Raises:
        ValueError: fewer than two values to tell the spread from.
    """
    given = np.asarray(values, dtype=np.float64)
    spread, df = _spread(given, first)
    mean = float(given.mean())
    reach = t_quantile(0.5 + confidence / 2, df) * spread / math.sqrt(given.size)
    return Interval(mean, mean - reach, mean + reach, confidence)


def _spread(values: NDArray[np.float64], first: int | None) -> tuple[float, int]:
    """Standard deviation, and its degrees of freedom."""
    pilot = values if first is None else values[:first]
    if pilot.size < 2:
        raise ValueError(
            f"expected at least 2 values to tell their spread from, found {pilot.size}"
        )
    spread = float(pilot.std(ddof=1))
    # Equal values may differ in the last bit of their mean.
    return (0.0 if np.ptp(pilot) == 0 else spread), pilot.size - 1


def compare(
    a: ArrayLike, b: ArrayLike, confidence: float = 0.95, first: int | None = None
) -> Comparison:
    """Paired comparison: the i-th values of both come from runs with the same seed.

    The difference has Student's interval of the paired differences, the ratio Fieller's (1954),
    which needs no approximation. Where all pairs differ by the same, nothing is left to chance.

    Args:
        first: as in `mean_interval`.
    Raises:
        ValueError: the two are not of one length, or fewer than two pairs.
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.shape != right.shape:
        raise ValueError(f"expected pairs, found {left.size} and {right.size} values")
    apart = left - right
    difference = mean_interval(apart, confidence, first)
    spread, df = _spread(apart, first)
    error = spread / math.sqrt(apart.size)
    tails = t_quantile(0.5 + confidence / 2, df) + t_quantile(POWER, df)
    relative = ratio_interval(left, right, confidence, first)
    if relative is not None:
        relative = Interval(relative.estimate - 1, relative.low - 1, relative.high - 1, confidence)
    return Comparison(
        difference, relative, _p(difference.estimate, error, df), tails * error, apart.size
    )


def _p(estimate: float, error: float, df: int) -> float:
    from scipy.special import stdtr

    if error == 0:
        return 1.0 if estimate == 0 else 0.0
    return float(2 * stdtr(df, -abs(estimate / error)))


def ratio_interval(
    a: ArrayLike, b: ArrayLike, confidence: float = 0.95, first: int | None = None
) -> Interval | None:
    """Fieller's interval for mean(a) / mean(b) of pairs.

    It holds every ratio r for which the mean of a - r b is not far from zero, as t tests tell. None
    where b itself may be zero: then no finite interval exists.
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    pilot = slice(first)
    if left[pilot].size < 2:
        raise ValueError("expected at least 2 pairs to tell their spread from")
    mean_a, mean_b = float(left.mean()), float(right.mean())
    if mean_b == 0:
        return None
    if mean_a == mean_b and np.array_equal(left, right):
        return Interval(1.0, 1.0, 1.0, confidence)
    (var_a, both), (_, var_b) = np.cov(left[pilot], right[pilot])
    reach = t_quantile(0.5 + confidence / 2, left[pilot].size - 1) ** 2 / left.size
    # (mean_a - r mean_b)^2 <= reach * (var_a - 2 r both + r^2 var_b)
    square = mean_b**2 - reach * var_b
    if square <= 0:
        return None
    half = mean_a * mean_b - reach * both
    rest = max(0.0, half**2 - square * (mean_a**2 - reach * var_a))
    root = math.sqrt(rest)
    return Interval(mean_a / mean_b, (half - root) / square, (half + root) / square, confidence)


def runs_needed(
    pilot: ArrayLike, half_width: float, confidence: float = 0.95, most: int | None = None
) -> int:
    """Runs until the interval of their mean is at most `half_width` to each side (Stein 1945).

    The pilot's spread alone decides; with the same spread in `mean_interval(..., first=)` the
    interval keeps its confidence, which one that is looked at after each run does not.

    Returns:
        how many in all, the pilot's included, at most `most`.
    Raises:
        ValueError: a half width that is not above zero, or fewer than two runs.
    """
    if not half_width > 0:
        raise ValueError(f"half_width: expected a number above 0, found {half_width}")
    given = np.asarray(pilot, dtype=np.float64)
    spread, df = _spread(given, None)
    needed = math.ceil((t_quantile(0.5 + confidence / 2, df) * spread / half_width) ** 2)
    found = max(given.size, needed)
    return found if most is None else min(found, max(most, given.size))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for there being several (Holm 1979), in the order given.

    Where each adjusted one is held to 0.05, at most 5 of 100 families claim anything untrue.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted


def quantile_interval(values: ArrayLike, quantile: float, confidence: float = 0.95) -> Interval:
    """A quantile of independent values between two of their order statistics.

    It assumes nothing of their distribution: how many values lie below the quantile is binomial
    (David and Nagaraja 2003, 7.1). Ends are infinite where there are too few values: the median
    needs six, the 90th percentile 46 for both ends at 0.95.

    Raises:
        ValueError: no values, or a quantile that is not between 0 and 1.
    """
    from scipy.special import bdtr

    given = np.sort(np.asarray(values, dtype=np.float64))
    count = given.size
    if count == 0 or not 0 < quantile < 1:
        raise ValueError(
            f"expected values and a quantile within 0 and 1, found {count}, {quantile}"
        )
    tail = (1 - confidence) / 2
    below = bdtr(np.arange(count), count, quantile)  # P(at most k values lie below)
    low = int(np.searchsorted(below, tail, side="right"))  # first k with more than the tail
    high = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    return Interval(
        float(np.quantile(given, quantile)),
        float(given[low - 1]) if low >= 1 else -math.inf,
        float(given[high - 1]) if high <= count and below[high - 1] >= 1 - tail else math.inf,
        confidence,
    )


def warm_up(series: ArrayLike, batch: int = MSER_BATCH) -> int:
    """How many values of a series belong to its beginning, by MSER-5 (White 1997).

    The cut is where the mean of what is left is best known: the least (squared error) / (values
    left)^2 of means of `batch` values. A cut in the second half says that the series is too short
    to tell; then it is half of the series, as the method's authors advise to run longer.

    Args:
        series: values at equal distances in time; of several runs, their mean over runs.
    Returns:
        a multiple of `batch`; 0 where nothing is to be cut.
    """
    given = np.asarray(series, dtype=np.float64)
    batches = given.size // batch
    if batches < 2:
        return 0
    means = given[: batches * batch].reshape(batches, batch).mean(axis=1)[::-1]
    left = np.arange(1, batches + 1)
    # Sums from the end, about a value near them, so that little is lost in the difference.
    around = means - means[0]
    squares = np.cumsum(around**2) - np.cumsum(around) ** 2 / left
    scores = (np.maximum(squares, 0) / left**2)[::-1]  # by values cut
    half = batches // 2
    return int(np.argmin(scores[: half + 1])) * batch
