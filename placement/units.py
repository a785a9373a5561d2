"""Quantities as people write them, and the largest that a column holds."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Integral

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
# Fits a column of the cluster, also after many of them are added up.
AMOUNT_MAX = 2**40


def parse_duration_ms(value: object) -> int:
    """Milliseconds of `"15m"` or of a plain number of seconds.

    Raises:
        ValueError: not a duration, negative, longer than 2^40 ms, or finer than a millisecond.
    """
    amount = None
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)\s*", value)
        amount = Decimal(match[1]) * _UNITS_MS[match[2]] if match else None
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        # By its shortest text: 1.001 s are 1001 ms, though the binary fraction is a little less.
        amount = Decimal(str(value)) * 1000
    if amount is None:
        expected = (
            'expected a duration such as "250ms", "90s", "15m" or "2h", or a number of seconds'
        )
        raise ValueError(f"{expected}; found {value!r}")
    if amount > AMOUNT_MAX:
        raise ValueError(f"{value!r} is longer than {AMOUNT_MAX} ms, about 34 years")
    if amount % 1:
        raise ValueError(f"{value!r} is finer than a millisecond")
    return int(amount)


def not_whole(value: object, least: int = 0, most: int = AMOUNT_MAX) -> str | None:
    """What is wrong with `value` as a whole number from `least` to `most`; None: nothing.

    numpy's integers are whole numbers. No float is one, be it 4.0: who writes one thinks of another
    unit, and 4.5 would be the next. Neither is True.
    """
    if type(value) is not int and (not isinstance(value, Integral) or isinstance(value, bool)):
        return f"expected a whole number, found {value!r}"
    number = int(value)
    if not least <= number <= most:
        within = f"from {least} on" if number < least else f"up to {most}"
        return f"expected a whole number {within}, found {value}"
    return None


def earliest(*times_ms: int | None) -> int | None:
    """The least of several times in ms, of which None is never."""
    first_ms = None
    for at_ms in times_ms:
        if at_ms is not None and (first_ms is None or at_ms < first_ms):
            first_ms = at_ms
    return first_ms
