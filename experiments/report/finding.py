"""A finding of a report, and words that findings share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Figures that differ by less are said to be alike.
ALIKE = 0.02


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: a heading, sentences, and a table by strategy where it helps."""

    title: str
    text: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def names_of(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
