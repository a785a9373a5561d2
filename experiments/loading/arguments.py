"""Numbers on a command line: what several subcommands ask of theirs."""

from __future__ import annotations

from argparse import ArgumentTypeError


def positive(text: str) -> int:
    """A whole number above 0. Raises ArgumentTypeError where it is none."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return int(text)


def whole(text: str) -> int:
    """A whole number from 0. Raises ArgumentTypeError where it is none."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"expected a whole number >= 0, found {text!r}")
    return int(text)


def amount(text: str) -> float:
    """A number from 0 to a million. Raises ArgumentTypeError where it is none."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1e6:
        raise ArgumentTypeError(f"expected a number from 0 to a million, found {text!r}")
    return number
