"""What to say of a name that nothing has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is nearest, if one is near."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?` where a known name is near, else nothing."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """What to say of a name that nothing has."""
    names = sorted(known)
    return (
        f"unknown {what} {name!r}{did_you_mean(name, names)}; known: {', '.join(names) or 'none'}"
    )
