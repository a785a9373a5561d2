"""Progress in lines, for whoever reads no terminal: a file, a pipe, the log of a CI."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import IO, TextIO, TypeVar

from rich.console import Console
from rich.progress import track

from stowplan.placement.messages import Round

EVERY_S = 10.0
_LOOK_EVERY = 256  # rounds between two looks at the clock
_QUIET_S = 60.0  # without a line, though no further tenth is done
T = TypeVar("T")


class ProgressLines:
    """Says how far work is and how long the rest may take; call it with how much is done.

    A line at a further tenth, or after a minute; at most one in ten seconds, so none about what
    ends sooner.

    Args:
        what: the work, as the lines call it.
        total: how much there is to do.
        stream: where the lines go; None: stderr.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        what: str,
        total: float,
        stream: IO[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._total = what, max(total, 1e-9)
        self._stream, self._clock = stream, clock
        self._begin = self._last = clock()
        self._tenth = 0

    def __call__(self, done: float, note: str = "") -> None:
        """So much is done of all; `note` is said besides."""
        now, share = self._clock(), done / self._total
        since, tenth = now - self._last, int(10 * share)
        if not 0 < share < 1 or since < EVERY_S:
            return
        if tenth == self._tenth and since < _QUIET_S:
            return
        self._last, self._tenth = now, tenth
        left = in_words((now - self._begin) * (1 - share) / share)
        more = f", {note}" if note else ""
        stream = sys.stderr if self._stream is None else self._stream
        print(
            f"{self._what}: {100 * share:.0f} %{more}, about {left} left", file=stream, flush=True
        )


def in_words(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def tracked(items: Collection[T], what: str) -> Iterator[T]:
    """The same items; a bar on a terminal, else lines, say how many are done."""
    if sys.stderr.isatty():
        yield from track(items, what, console=Console(stderr=True), transient=True)
        return
    tell = ProgressLines(what, len(items))
    for count, item in enumerate(items, 1):
        yield item
        tell(count, f"{count:,} of {len(items):,} done")


def with_progress(
    rounds: Iterable[Round],
    what: str,
    violations: Callable[[], int],
    stream: TextIO | None = None,
    every_s: float = EVERY_S,
) -> Iterator[Round]:
    """The same rounds; every few seconds a line says how far they are.

    Args:
        what: whose rounds these are.
        violations: how many there are so far.
        stream: where the lines go; None: stderr.
    """
    stream = sys.stderr if stream is None else stream
    due = time.monotonic() + every_s
    for count, entry in enumerate(rounds, 1):
        yield entry
        if count % _LOOK_EVERY == 0 and time.monotonic() >= due:
            hours, seconds = divmod(entry.now_ms // 1000, 3600)
            at = f"{hours}:{seconds // 60:02}:{seconds % 60:02}"
            said = f"{count:,} rounds, up to {at} of the run, {violations()} violations so far"
            print(f"{what}: {said}", file=stream, flush=True)
            due = time.monotonic() + every_s
