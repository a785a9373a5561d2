"""Proofs that hold for any counts: prices per item under which no content is worth more than its
bin.

Dual values that were found for one demand prove a bound for every other over the same kinds and
types, so a few solves bound the cost at thousands of moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np

from stowplan.placement.packing.problem import IntArray


@dataclass(frozen=True)
class Cut:
    """cost * 2**bits >= values @ counts - charge, for every fleet that holds `counts`.

    Args:
        values: (kinds,) int64, >= 0; charge >= 0: what the limits on types may save.
        best: per type, no content is worth more by these values.
    """

    values: IntArray
    charge: int
    bits: int
    best: tuple[int, ...] = ()

    def scaled(self, price: int) -> Fraction:
        """A price in the unit of `values`, exactly."""
        return price * Fraction(2) ** self.bits

    def bound(self, counts: IntArray) -> int:
        """Least cost of a fleet that holds (kinds,) `counts`."""
        worth = sum(int(v) * int(n) for v, n in zip(self.values, counts, strict=True))
        return ceil(Fraction(worth - self.charge) / Fraction(2) ** self.bits)

    def bounds(self, worth: IntArray) -> IntArray:
        """`bound` for many counts at once, of which (n,) `values @ counts` is given."""
        if self.bits < 0:
            return (worth - self.charge) << -self.bits
        return -((self.charge - worth) >> self.bits)


def cut(
    values: IntArray,
    best: Sequence[int],
    prices: IntArray,
    limits: Sequence[int | None],
    bits: int,
    counts: IntArray,
) -> Cut:
    """The strongest cut for `counts` that multiples of `values` prove; it holds for any counts.

    A fleet x costs at least r * values @ counts minus, for each limited type, limit * (what its
    best content is worth above its price), for any r >= 0 that makes no content of a type without
    limit worth more than its price. That is concave and piecewise linear in r, so the best r is
    where some type's best content is worth its price, or without end where no fleet will do.

    Args:
        values: (kinds,) scaled by 2**bits; best: per type, at least any content's value.
    """
    scale = Fraction(2) ** bits
    priced = [(int(p) * scale, b, n) for p, b, n in zip(prices, best, limits, strict=True)]
    ratios = {Fraction(1), *(p / b for p, b, _ in priced if b > 0)}
    most = min((p / b for p, b, n in priced if b > 0 and n is None), default=None)
    cuts = [_scaled(values, r, priced, bits) for r in ratios if most is None or r <= most]
    nothing = Cut(np.zeros_like(values), 0, bits, (0,) * len(priced))
    return max(cuts, key=lambda each: each.bound(counts), default=nothing)


def _scaled(
    values: IntArray,
    ratio: Fraction,
    priced: Sequence[tuple[Fraction, int, int | None]],
    bits: int,
) -> Cut:
    surplus = sum(
        (n * max(Fraction(0), ratio * b - p) for p, b, n in priced if n is not None), Fraction(0)
    )
    scaled = [floor(ratio * int(v)) for v in values]
    most = tuple(floor(ratio * b) for _, b, _ in priced)
    return Cut(np.array(scaled, dtype=np.int64), ceil(surplus), bits, most)
