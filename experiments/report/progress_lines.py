"""Progress of a long reading in lines, the same on a terminal as in a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from stowplan.placement.messages import Round

EVERY_S = 10.0
_LOOK_EVERY = 256  # rounds between two looks at the clock


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
