"""Rows of `bench optimal` for tasks over time: the published kinds of temporal bin packing.

Instances are made from seeds after the published sets, whose licence is not stated. What is asked
is the least time for which servers are busy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from stowplan.experiments.bench.rows import Clock, Row, at_least, at_most
from stowplan.placement.optimal.over_time import least_over_time
from stowplan.placement.packing.fleet.problem import BinType
from stowplan.placement.packing.over_time.problem import OverTimeProblem
from stowplan.placement.packing.over_time.verify import check_over_time
from stowplan.placement.packing.problem import IntArray, Limits

SHARE = 0.9  # of all instances, to be proven
TWO_WEEKS = 20_160  # minutes
Maker = Callable[[np.random.Generator, int], OverTimeProblem]


def jobs(start: IntArray, lasts: IntArray, size: IntArray, capacity: int) -> OverTimeProblem:
    """Jobs on servers of one kind at the price 1, so a plan costs the time they are busy."""
    sizes, kind = np.unique(size, return_inverse=True)
    server = BinType("server", np.array([capacity]), 1)
    return OverTimeProblem(sizes[:, None], kind.reshape(-1), start, start + lasts, (server,))


def aydin(longest: int, largest: int, spread: float) -> Maker:
    """Uniform starts, lengths and sizes of a quarter and more (Aydin, Muter and Birbil 2020).

    Args:
        longest, largest: lengths are below the one and at least a half of it or a third, sizes are
            below the other and at least a quarter of a server.
        spread: starts lie within so many times the number of jobs.
    """

    def make(rng: np.random.Generator, n: int) -> OverTimeProblem:
        start = np.sort(rng.integers(1, round(spread * n) + 1, n))
        lasts = rng.integers(longest // 3, longest, n)
        return jobs(start, lasts, rng.integers(25, largest, n), 100)

    return make


def dell_amico(rng: np.random.Generator, n: int) -> OverTimeProblem:
    """Sizes of a tenth and more, lengths of ten on average (Dell'Amico, Furini and Iori 2020)."""
    start = np.sort(rng.integers(1, round(0.8 * n) + 1, n))
    lasts = 1 + rng.exponential(9.0, n).astype(np.int64)
    return jobs(start, lasts, rng.integers(10, 101, n), 100)


def muir(mean: float) -> Maker:
    """Jobs of half a server each (Muir, Marshall and Toriello 2023)."""

    def make(rng: np.random.Generator, n: int) -> OverTimeProblem:
        lasts = 2 + rng.exponential(mean - 1.0, n).astype(np.int64)
        return jobs(np.sort(rng.integers(0, n, n)), lasts, np.ones(n, dtype=np.int64), 2)

    return make


def azure_like(parts: int) -> Maker:
    """Thirds and two thirds of a server within two weeks, as the sets from Azure's trace have them.

    Args:
        parts: the shortest length is a day, parted by so many.
    """

    def make(rng: np.random.Generator, n: int) -> OverTimeProblem:
        start = np.sort(rng.integers(0, TWO_WEEKS - 1_440, n))
        lasts = rng.integers(1_440 // parts, 1_440, n)
        size = rng.choice([33, 66, 30, 25, 50], n, p=[0.68, 0.26, 0.03, 0.02, 0.01])
        return jobs(start, lasts, size, 100)

    return make


# name: (recipe, numbers of jobs in turn)
KINDS: dict[str, tuple[Maker, tuple[int, ...]]] = {
    "short jobs, small": (aydin(30, 50, 1.2), (50, 100, 150)),
    "short jobs, large": (aydin(30, 75, 1.0), (50, 100, 200, 500)),
    "long jobs, small": (aydin(60, 50, 1.2), (50, 100)),
    "long jobs, large": (aydin(60, 75, 1.2), (100, 200)),
    "wide sizes": (dell_amico, (40, 130, 260, 430)),
    "halves, short": (muir(5), (200,)),
    "halves, longer": (muir(10), (200,)),
    "halves, long": (muir(80), (200,)),
    "as Azure's, short": (azure_like(24), (100, 200)),
    "as Azure's, long": (azure_like(2), (100, 200, 500)),
}
EACH = 4  # instances of a kind


def hours_rows(clock: Clock, seconds: float, each: int = EACH) -> Iterator[Row | str]:
    """How many of each kind are proven, and how far apart plan and bound are elsewhere."""
    proven, total, wrong = 0, 0, 0
    for name, (make, sizes) in KINDS.items():
        here, gaps, taken = 0, [0.0], []
        of: dict[int, int] = defaultdict(int)
        for seed in range(each):
            n = sizes[seed % len(sizes)]
            yield f"hours: {name}, {n} jobs, seed {seed} ..."
            problem = make(np.random.default_rng([seed, n]), n)
            answer = least_over_time(problem, Limits(seconds, clock=clock.now))
            here += answer.status == "optimal"
            of[n] += answer.status == "optimal"
            gaps.append(100.0 if answer.gap is None else 100 * answer.gap)
            taken.append(answer.seconds)
            cost = answer.plan and check_over_time(problem, answer.plan)
            wrong += cost != answer.objective
        proven, total = proven + here, total + each
        jobs_proven = ", ".join(f"{n} jobs: {of[n]}" for n in sorted(of))
        against = f"{jobs_proven}; median {np.median(taken):.1f} s, largest gap {max(gaps):.2f} %"
        yield at_least(f"hours: {name}, proven", here, f"of {each}", SHARE * each, against)
    case = f"hours: proven within {seconds:.0f} s"
    yield at_least(case, 100 * proven / total, "%", 100 * SHARE, f"{proven} of {total}")
    yield at_most("  plans that cost something else when checked", wrong, f"of {total}", 0)
