"""Patterns of a small problem, in depth first: the most valuable, or all that are worth enough.

A demand of several dimensions is one integer (`quick.joined`). What a choice can still be worth is
bounded by one sum over the dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from stowplan.placement.packing.quick import WORD, Small, guards_of, joined

MASK = (1 << WORD) - 1
UNIT = 1 << 30  # of a bin, in the sum over dimensions

Pattern = tuple[int, ...]  # items by kind


STEPS_MOST = 20_000  # of all searches of a problem together, some tenth of a second


class TooManyError(Exception):
    """A search took more steps than it may."""


class Patterns:
    """Searches of one small problem, with one set of values after another."""

    def __init__(self, small: Small) -> None:
        dimensions = range(len(small.capacity))
        self._counts, self._left = small.counts, STEPS_MOST
        self._guards = guards_of(small)
        self._room = joined(small.capacity) | self._guards
        self._rows = [joined(row) for row in small.demand]
        totals = [
            sum(row[d] * n for row, n in zip(small.demand, small.counts, strict=True))
            for d in dimensions
        ]
        shares = [total / max(room, 1) for total, room in zip(totals, small.capacity, strict=True)]
        rates = [
            share / (sum(shares) or 1.0) / max(room, 1) * UNIT
            for share, room in zip(shares, small.capacity, strict=True)
        ]
        self._weight = [
            int(sum(size * rate for size, rate in zip(row, rates, strict=True)))
            for row in small.demand
        ]

    def best(
        self, values: Sequence[int], above: int, most: int, enough: int
    ) -> tuple[int, list[Pattern], bool]:
        """The highest value, or `above` where none is higher, and better and better patterns.

        Args:
            most: so many steps, and TooManyError is raised.
            enough: so many steps, and the search ends if it has found a pattern.
        Returns:
            and whether the search came to its end, so that no pattern is worth more.
        """
        order, rows, weight, value_of, counts = self._ordered(values)
        guards, end = self._guards, len(order)
        used, found, top, steps = [0] * end, list[Pattern](), above, 0
        most = min(most, self._left)

        def go(first: int, room: int, width: int, value: int) -> None:
            nonlocal top, steps
            for i in range(first, end):
                if (top - value) * weight[i] >= width * value_of[i]:
                    return  # as nothing that comes later is worth more for its weight
                after = room - rows[i]
                if after & guards != guards or used[i] == counts[i]:
                    continue
                steps += 1
                if steps > most or (found and steps > enough):
                    raise TooManyError
                used[i] += 1
                worth = value + value_of[i]
                if worth > top:
                    top = worth
                    found.append(_in_order(used, order))
                go(i, after, width - weight[i], worth)
                used[i] -= 1

        try:
            go(0, self._room, UNIT, 0)
        except TooManyError:
            if not found:
                raise
            return top, found, False
        finally:
            self._left -= steps
        return top, found, True

    def full(
        self, dimension: int, waste: Sequence[int], most: int, steps_most: int
    ) -> list[Pattern]:
        """All patterns that waste so much at most, and to which no item can be added.

        Args:
            dimension: by what is left of it the search is bounded.
        Raises:
            TooManyError: there are more than `most`, or the search took too many steps.
        """
        values = [row >> (WORD * dimension) & MASK for row in self._rows]
        least = (self._room >> (WORD * dimension) & (MASK >> 1)) - waste[dimension]
        allowed = joined(waste) + 2 * self._guards  # less what is left, and the guards in it
        order, rows, weight, value_of, counts = self._ordered(values)
        guards, end = self._guards, len(order)
        lightest = [*accumulate(reversed(weight), min, initial=UNIT)][::-1]  # from each on
        used, found, steps = [0] * end, list[Pattern](), 0

        def keep(room: int) -> None:
            if (allowed - room) & guards != guards:
                return
            for i in range(end):
                after = room - rows[i]
                if after & guards == guards and used[i] < counts[i]:
                    return
            if len(found) == most:
                raise TooManyError
            found.append(_in_order(used, order))

        def go(first: int, room: int, width: int, value: int) -> None:
            nonlocal steps
            if value >= least:
                keep(room)
            if 2 * lightest[first] > width:  # one more at most
                steps, lacking = steps + ((end - first) >> 4), least - value
                for i in [i for i in range(first, end) if value_of[i] >= lacking]:
                    after = room - rows[i]
                    if after & guards == guards and used[i] < counts[i]:
                        used[i] += 1
                        keep(after)
                        used[i] -= 1
                return
            for i in range(first, end):
                if (least - value) * weight[i] > width * value_of[i]:
                    return
                after = room - rows[i]
                if after & guards != guards or used[i] == counts[i]:
                    continue
                steps += 1
                if steps > steps_most:
                    raise TooManyError
                used[i] += 1
                go(i, after, width - weight[i], value + value_of[i])
                used[i] -= 1

        go(0, self._room, UNIT, 0)
        return found

    def _ordered(
        self, values: Sequence[int]
    ) -> tuple[list[int], list[int], list[int], list[int], list[int]]:
        """Kinds, the most valuable for their weight first, and the columns in that order."""
        weight = self._weight
        order = sorted(
            range(len(values)),
            key=lambda kind: (-values[kind] / (weight[kind] or 1e-3), -weight[kind]),
        )
        columns = self._rows, weight, values, self._counts
        return order, *([column[kind] for kind in order] for column in columns)  # type: ignore[return-value]


def _in_order(used: Sequence[int], order: Sequence[int]) -> Pattern:
    pattern = [0] * len(used)
    for kind, n in zip(order, used, strict=True):
        pattern[kind] = n
    return tuple(pattern)
