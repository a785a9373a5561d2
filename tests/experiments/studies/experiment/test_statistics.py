"""Intervals cover what is known to be true, and equal ways are seldom told apart.

A thousand experiments each: with a confidence of 0.95 and a thousand of them, 93.5 to 96.5 % is
what a right method stays within (two standard errors are 1.4 points).
"""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from scipy import stats

from stowplan.experiments.studies.experiment.statistics import (
    compare,
    holm,
    mean_interval,
    quantile_interval,
    ratio_interval,
    runs_needed,
    warm_up,
)

EXPERIMENTS, RUNS = 1000, 10
COVERED = (0.935, 0.965)
CLAIMED_MOST = 0.065
SERVERS, SERVICE_S = 4, 1.0
COLD, CUSTOMERS = 400, 2000  # left out at the beginning, then counted


def covered(intervals, truth):
    """The share of intervals that hold the truth."""
    return np.mean([each.low <= truth <= each.high for each in intervals])


# --- queues with a closed form -------------------------------------------------------------------


@numba.njit
def refused(rng, load):
    """The share of customers that find all servers of an M/M/c/c taken."""
    ends = np.zeros(SERVERS)
    now, lost = 0.0, 0
    for customer in range(COLD + CUSTOMERS):
        now += rng.exponential(SERVICE_S / load)
        free = np.argmin(ends)
        if ends[free] <= now:
            ends[free] = now + rng.exponential(SERVICE_S)
        elif customer >= COLD:
            lost += 1
    return lost / CUSTOMERS


@numba.njit
def waited(rng, load):
    """The mean wait of customers of an M/M/c, by Kiefer and Wolfowitz."""
    ends = np.zeros(SERVERS)
    now, total = 0.0, 0.0
    for customer in range(COLD + CUSTOMERS):
        now += rng.exponential(SERVICE_S / load)
        free = np.argmin(ends)
        begin = max(now, ends[free])
        ends[free] = begin + rng.exponential(SERVICE_S)
        if customer >= COLD:
            total += begin - now
    return total / CUSTOMERS


def inside(rng, load):
    """How many are in an M/G/infinity at a time, with service times of two kinds."""
    came = rng.poisson(load * 30.0 / SERVICE_S)  # in the 30 s before
    stays = np.where(rng.random(came) < 0.5, 0.5 * SERVICE_S, rng.exponential(1.5, came))
    return float((stays > rng.random(came) * 30.0).sum())


def erlang_b(servers, load):
    """Erlang's loss formula, by its recursion."""
    blocked = 1.0
    for each in range(1, servers + 1):
        blocked = load * blocked / (each + load * blocked)
    return blocked


def erlang_c_wait(servers, load):
    """The mean wait of an M/M/c in service times."""
    blocked = erlang_b(servers, load)
    all_taken = servers * blocked / (servers - load * (1 - blocked))
    return all_taken / (servers - load)


def busy(load):
    """What `inside` is on average: load times the mean stay, cut where 30 s end."""
    return load / SERVICE_S * (0.25 + 0.75 * (1 - math.exp(-20)))


KNOWN = {
    "erlang-b": (refused, 3.0, erlang_b(SERVERS, 3.0)),
    "erlang-c": (waited, 2.8, erlang_c_wait(SERVERS, 2.8)),
    "m-g-infinity": (inside, 12.0, busy(12.0)),
}

SEQUENTIAL = [
    pytest.param("erlang-b", marks=pytest.mark.long),
    pytest.param("erlang-c"),
    pytest.param("m-g-infinity", marks=pytest.mark.long),
]


@pytest.mark.parametrize("name", KNOWN)
def test_intervals_cover_what_is_known(name):
    run, load, truth = KNOWN[name]
    rng = np.random.default_rng(1)
    intervals = [mean_interval([run(rng, load) for _ in range(RUNS)]) for _ in range(EXPERIMENTS)]
    assert COVERED[0] <= covered(intervals, truth) <= COVERED[1]


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_they_do_where_the_runs_decided_how_many_there_are(name):
    run, load, truth = KNOWN[name]
    rng = np.random.default_rng(2)
    intervals, counts = [], []
    for _ in range(EXPERIMENTS):
        pilot = [run(rng, load) for _ in range(RUNS)]
        wanted = 0.9 * mean_interval(pilot).half_width  # so that some need more, and few many
        count = runs_needed(pilot, wanted, most=60)
        counts.append(count)
        values = [*pilot, *(run(rng, load) for _ in range(count - RUNS))]
        intervals.append(mean_interval(values, first=RUNS))
    assert min(counts) > RUNS
    assert COVERED[0] <= covered(intervals, truth) <= COVERED[1]


@pytest.mark.parametrize(
    ("name", "sequential"),
    [(name, False) for name in KNOWN]
    + [pytest.param(*each.values, True, marks=each.marks) for each in SEQUENTIAL],
)
def test_a_against_a_is_seldom_claimed(name, sequential):
    run, load, _ = KNOWN[name]
    rng = np.random.default_rng(13)
    claims = 0
    for _ in range(EXPERIMENTS):
        a, b = ([run(rng, load) for _ in range(RUNS)] for _ in range(2))
        first = None
        if sequential:
            apart = np.subtract(a, b)
            more = runs_needed(apart, mean_interval(apart).half_width * 0.9, most=40) - RUNS
            a += [run(rng, load) for _ in range(more)]
            b += [run(rng, load) for _ in range(more)]
            first = RUNS
        claims += compare(a, b, first=first).p <= 0.05
    assert claims / EXPERIMENTS <= CLAIMED_MOST


def test_fixed_width_by_two_stages_covers():
    """Stein's own case: a width that was wanted from the beginning."""
    rng = np.random.default_rng(4)
    intervals = []
    for _ in range(EXPERIMENTS):
        pilot = rng.normal(5, 2, 8)
        count = runs_needed(pilot, 0.8)
        values = np.concatenate([pilot, rng.normal(5, 2, count - 8)])
        interval = mean_interval(values, first=8)
        assert interval.half_width <= 0.8 + 1e-9 or count == 8
        intervals.append(interval)
    assert COVERED[0] <= covered(intervals, 5) <= COVERED[1]


def test_looking_after_each_run_would_not_cover():
    """Why there are two stages: to stop as soon as the interval is narrow claims too much."""
    rng = np.random.default_rng(5)
    intervals = []
    for _ in range(EXPERIMENTS):
        values = list(rng.normal(5, 2, 3))
        while mean_interval(values).half_width > 1.2:
            values.append(rng.normal(5, 2))
        intervals.append(mean_interval(values))
    assert covered(intervals, 5) < COVERED[0]


def test_several_comparisons_of_equal_ways_are_seldom_claimed():
    rng = np.random.default_rng(6)
    families = 0
    for _ in range(EXPERIMENTS):
        base = rng.normal(10, 1, RUNS)
        others = [base + rng.normal(0, 0.5, RUNS) for _ in range(5)]
        families += min(holm([compare(other, base).p for other in others])) <= 0.05
    assert families / EXPERIMENTS <= CLAIMED_MOST


# --- each method against what is known of it -----------------------------------------------------


def test_student_and_the_paired_test_are_scipys():
    rng = np.random.default_rng(7)
    a, b = rng.normal(5, 1, 9), rng.normal(4, 1, 9)
    ours, theirs = compare(a, b), stats.ttest_rel(a, b)
    assert ours.p == pytest.approx(theirs.pvalue)
    low, high = theirs.confidence_interval()
    assert (ours.difference.low, ours.difference.high) == pytest.approx((low, high))
    low, high = stats.t.interval(0.9, 8, a.mean(), a.std(ddof=1) / 3)
    found = mean_interval(a, 0.9)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_pairs_tell_apart_what_samples_would_not():
    rng = np.random.default_rng(8)
    common = rng.normal(100, 30, RUNS)
    a, b = common * 1.02, common + rng.normal(0, 0.2, RUNS)
    assert compare(a, b).p < 0.01 < stats.ttest_ind(a, b).pvalue
    relative = compare(a, b).relative
    assert relative.low < 0.02 < relative.high


def test_the_ratios_interval_covers():
    rng = np.random.default_rng(9)
    intervals = []
    for _ in range(EXPERIMENTS):
        common, left, right = rng.normal(0, 1, (3, RUNS))
        intervals.append(ratio_interval(12 + common + left, 8 + common + right))
    assert COVERED[0] <= covered(intervals, 1.5) <= COVERED[1]


def test_there_is_no_ratio_to_what_may_be_zero():
    assert ratio_interval([1, 2, 3], [-1, 0, 1.5]) is None
    assert ratio_interval([1, 2, 3], [0, 0, 0]) is None


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_a_quantiles_interval_covers_whatever_the_distribution(quantile):
    rng = np.random.default_rng(10)
    intervals = [quantile_interval(rng.pareto(1.5, 80), quantile) for _ in range(EXPERIMENTS)]
    # Between order statistics it covers at least as often; how much more, their number decides.
    assert covered(intervals, stats.lomax(1.5).ppf(quantile)) >= COVERED[0]


def test_too_few_values_have_no_end():
    assert math.isinf(quantile_interval([1, 2, 3, 4, 5], 0.5).low)
    assert math.isfinite(quantile_interval([1, 2, 3, 4, 5, 6], 0.5).low)


def test_holm_is_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_what_a_comparison_would_have_seen_it_sees():
    """A difference of `visible` is found by about four of five experiments."""
    rng = np.random.default_rng(11)
    typical = np.median([compare(*rng.normal(0, 1, (2, RUNS))).visible for _ in range(300)])
    found = [
        compare(rng.normal(typical, 1, RUNS), rng.normal(0, 1, RUNS)).p <= 0.05
        for _ in range(EXPERIMENTS)
    ]
    assert 0.7 <= np.mean(found) <= 0.88


def test_equal_values_leave_nothing_to_chance():
    assert compare([3, 3, 3], [1, 1, 1]).p == 0
    same = compare([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert same.p == 1
    assert same.difference.low == same.difference.high == 0


def test_a_warm_up_is_found():
    rng = np.random.default_rng(12)
    rise = 10 * (1 - np.exp(-np.arange(600) / 40)) + rng.normal(0, 0.5, 600)
    assert 80 <= warm_up(rise) <= 250
    assert warm_up(rng.normal(5, 1, 600)) <= 60
    assert warm_up([1.0] * 7) == 0


def test_what_makes_no_sense_is_said():
    with pytest.raises(ValueError, match="at least 2"):
        mean_interval([1])
    with pytest.raises(ValueError, match="pairs"):
        compare([1, 2], [1])
    with pytest.raises(ValueError, match="half_width"):
        runs_needed([1, 2], 0)
    with pytest.raises(ValueError, match="quantile"):
        quantile_interval([1, 2], 1)
