"""What the command owes to where it runs: terminals without Unicode, and an order to end."""

from __future__ import annotations

import codecs
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Signs that we print, by number, in ASCII; any other becomes a question mark.
_PLAIN = {
    0x2013: "-",
    0x2014: "-",
    0x2026: "...",
    0x00D7: "x",
    0x00B7: "|",
    0x00B5: "u",
    0x03BC: "u",
    0x2265: ">=",
    0x2264: "<=",
    0x2192: "->",
    0x2190: "<-",
    0x201C: '"',
    0x201D: '"',
    0x2018: "'",
    0x2019: "'",
    0x2212: "-",
    0x00B1: "+/-",
    0x2502: "|",
    0x2500: "-",
    0x2501: "-",
    0x2588: "#",
    0x2022: "*",
    0x00A0: " ",
}
TERMINATED = 143


class Terminated(BaseException):
    """SIGTERM came: everything is to be undone on the way out."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_PLAIN.get(ord(sign), "?") for sign in signs), error.end


def adapt_streams() -> None:
    """Print what the terminal's encoding lacks in other signs, and never fail over it."""
    codecs.register_error("stowplan", _plain)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="stowplan")


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """In here SIGTERM raises `Terminated`, so that folders and workers are cleared away.

    Only the main thread may say so; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise Terminated
