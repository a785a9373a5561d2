"""Packing instances of the field's benchmark sets, made from seeds by their published recipes.

Each recipe takes a generator and a number of items; the sets themselves are larger than a package
should be, and samples of them lie in `data/packing`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from stowplan.placement.packing.problem import IntArray, PackingProblem


def one_dimensional(sizes: IntArray | list[int], capacity: int) -> PackingProblem:
    """One item of each size; equal sizes may repeat."""
    demand = np.asarray(sizes, dtype=np.int64).reshape(-1, 1)
    return PackingProblem(demand, np.ones(len(demand), dtype=np.int64), np.array([capacity]))


def falkenauer_u(rng: np.random.Generator, n: int) -> PackingProblem:
    """Uniform sizes (Falkenauer 1996)."""
    return one_dimensional(rng.integers(20, 101, n), 150)


def falkenauer_t(rng: np.random.Generator, n: int) -> PackingProblem:
    """Triplets that fill their bins exactly (Falkenauer 1996), in tenths; n divisible by 3."""
    first = rng.integers(380, 491, n // 3)
    second = np.array([rng.integers(250, (1000 - f) // 2 + 1) for f in first])
    return one_dimensional(np.concatenate([first, second, 1000 - first - second]), 1000)


def scholl1(rng: np.random.Generator, n: int) -> PackingProblem:
    """Uniform sizes up to 100, three widths and three capacities (Scholl, Klein, Juergens 1997)."""
    low = rng.choice([1, 20, 30])
    return one_dimensional(rng.integers(low, 101, n), int(rng.choice([100, 120, 150])))


def scholl2(rng: np.random.Generator, n: int) -> PackingProblem:
    """Three to nine items a bin on average, narrow to wide (Scholl, Klein, Juergens 1997)."""
    mean = 1000 // int(rng.choice([3, 5, 7, 9]))
    spread = float(rng.choice([0.2, 0.5, 0.9]))
    low, high = int(mean * (1 - spread)), int(mean * (1 + spread))
    return one_dimensional(rng.integers(max(low, 1), high + 1, n), 1000)


def scholl3(rng: np.random.Generator, n: int) -> PackingProblem:
    """Large distinct sizes, three or four a bin (Scholl, Klein, Juergens 1997)."""
    return one_dimensional(rng.integers(20_000, 35_001, n), 100_000)


def schwerin(rng: np.random.Generator, n: int) -> PackingProblem:
    """Five or six items of nearly equal size a bin (Schwerin & Waescher 1997)."""
    return one_dimensional(rng.integers(150, 201, n), 1000)


def hard_like(rng: np.random.Generator, n: int) -> PackingProblem:
    """Like Schoenfield's Hard28: a wide range of sizes, total just below a whole number of bins."""
    sizes = rng.integers(1, 801, n)
    slack = -int(sizes.sum()) % 1000
    while slack > 50:
        step = min(slack - 20, 100)
        sizes[rng.integers(n)] += step
        sizes = np.minimum(sizes, 800)
        slack = -int(sizes.sum()) % 1000
    return one_dimensional(sizes, 1000)


def waescher_like(rng: np.random.Generator, n: int) -> PackingProblem:
    """Wide range against a large capacity, as in Waescher and Gau's hard instances."""
    return one_dimensional(rng.integers(33, 2500, n), 10_000)


def augmented(rng: np.random.Generator, n: int, core: bool) -> PackingProblem:
    """Bins filled exactly by three items, one above half, one even; like the sets AI and ANI.

    The two smaller sizes are spread evenly by their logarithm, as in the published samples. Fifteen
    of the items are edges of the Petersen graph, sized so that five fill a bin only as a perfect
    matching: alone, three bins by the linear program, four in truth. Without `core`, one of them is
    cut in two so that three bins do, as in the published pairs of instances.
    """
    capacity = 2456 if n < 300 else 7552
    sizes = petersen_core(rng, capacity)
    if not core:
        sizes = _cut(sizes, capacity)
    low, high = np.log([0.013, 0.4])
    while len(sizes) + 3 <= n + (not core):
        small, middle = np.sort(capacity * np.exp(rng.uniform(low, high, 2)))
        third, second = 2 * int(small / 2), int(middle)
        first = capacity - second - third
        if capacity / 2 < first <= 0.9 * capacity:
            sizes += [first, second, third]
    return one_dimensional(sizes, capacity)


def petersen_core(rng: np.random.Generator, capacity: int) -> list[int]:
    """Fifteen sizes of total 3 * capacity, of which no three disjoint subsets fill their bins."""
    pairs = list(combinations(range(5), 2))
    edges = [(a, b) for a, b in combinations(range(10), 2) if not set(pairs[a]) & set(pairs[b])]
    while True:
        weights = rng.integers(capacity // 40, capacity // 6, 10)
        weights[9] += capacity - int(weights.sum())
        sizes = [int(weights[a] + weights[b]) for a, b in edges]
        if min(sizes) > 0 and not _splits_in_three(sizes, capacity):
            return sizes


def _cut(core: list[int], capacity: int) -> list[int]:
    """The core with one item cut so that three bins are filled."""
    first = next(
        five for five in combinations(range(15), 5) if sum(core[k] for k in five) == capacity
    )
    second: list[int] = []
    others = [size for k, size in enumerate(core) if k not in first]
    while sum(second) + others[0] <= capacity:
        second.append(others.pop(0))
    part = capacity - sum(second)
    cut = [part, others.pop(0) - part]
    return [core[k] for k in first] + second + [size for size in cut if size] + others


def _splits_in_three(sizes: list[int], capacity: int) -> bool:
    sums = np.zeros(1, dtype=np.int64)
    for size in sizes:
        sums = np.concatenate([sums, sums + size])
    full = np.flatnonzero(sums == capacity).tolist()  # bit k is size len(sizes) - 1 - k or so
    return any(a & b == 0 for a, b in combinations(full, 2))


def caprara_toth(rng: np.random.Generator, number: int, n: int) -> PackingProblem:
    """Class `number` of Caprara and Toth (2001), two-dimensional; class 10 wants n % 3 == 0."""
    ranges = {1: (100, 400), 2: (1, 1000), 3: (200, 800), 4: (50, 200), 5: (25, 100), 9: (100, 400)}
    capacity = np.array([1000, 1000])
    if number in ranges:
        low, high = ranges[number]
        demand = rng.integers(low, high + 1, (n, 2))
        if number == 9:  # the capacity that just makes the continuous bound a whole number
            bins = -(-demand.sum(axis=0).max() // 1000)
            capacity = -(-demand.sum(axis=0) // bins)
    elif number == 10:
        first = rng.integers(25, 50, (n // 3, 2))
        second = np.array([[rng.integers(1, 100 - x) for x in row] for row in first])
        demand = np.vstack([first, second, 100 - first - second])
        capacity = np.array([100, 100])
    else:
        first = rng.integers(20, 101, n)
        lows, highs = {6: (20 + 0 * first, 100 + 0 * first), 7: (first - 10, first + 10)}.get(
            number, (110 - first, 130 - first)
        )
        demand = np.column_stack([first, np.maximum(rng.integers(lows, highs + 1), 1)])
        capacity = np.array([150, 150])
    return PackingProblem(demand, np.ones(len(demand), dtype=np.int64), capacity)


def _of_class(number: int) -> Callable[[np.random.Generator, int], PackingProblem]:
    return lambda rng, n: caprara_toth(rng, number, n)


def nearly_full(rng: np.random.Generator, bins: int) -> PackingProblem:
    """Triplets in two dimensions that fill their bins but for one unit of the second."""
    cuts = rng.integers(200, 400, (bins, 2, 2))
    items = np.concatenate([cuts[:, 0], cuts[:, 1], 1000 - cuts.sum(axis=1)])
    return PackingProblem(items, np.ones(3 * bins, dtype=np.int64), np.array([1000, 1001]))


# name: (recipe, numbers of items in the published set)
KINDS: dict[str, tuple[Callable[[np.random.Generator, int], PackingProblem], tuple[int, ...]]] = {
    "falkenauer_u": (falkenauer_u, (120, 250, 500, 1000)),
    "falkenauer_t": (falkenauer_t, (60, 120, 249, 501)),
    "scholl1": (scholl1, (50, 100, 200, 500)),
    "scholl2": (scholl2, (50, 100, 200, 500)),
    "scholl3": (scholl3, (200,)),
    "schwerin": (schwerin, (100, 120)),
    "hard_like": (hard_like, (160, 180, 200)),
    "waescher_like": (waescher_like, (60, 120, 240)),
    "ai_like": (lambda rng, n: augmented(rng, n, core=False), (201,)),
    "ani_like": (lambda rng, n: augmented(rng, n, core=True), (201,)),
    "ai_like_402": (lambda rng, n: augmented(rng, n, core=False), (402,)),
    "ani_like_402": (lambda rng, n: augmented(rng, n, core=True), (402,)),
    **{
        f"ct{c}": (
            _of_class(c),
            (24, 51, 99, 201) if c == 10 else (25, 50, 100, 200),
        )
        for c in range(1, 11)
    },
}
