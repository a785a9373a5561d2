"""Ctrl-C as an end to a search: heard where the search looks at its clock, not in the middle.

Python raises KeyboardInterrupt between any two steps. Inside a call of compiled code that becomes a
SystemError, and what was found is lost. A search asks for the time whenever it may stop, so that is
where it is told.
"""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType
from typing import Any


class Interruptible:
    """While it is entered, Ctrl-C makes the next `clock()` raise KeyboardInterrupt, once.

    A second Ctrl-C before that raises at once. It is heard in the background of a shell, too, where
    SIGINT is ignored at first.
    """

    def __init__(self) -> None:
        self._pressed = False
        self._before: Any = None

    def clock(self) -> float:
        """Seconds, monotonic. Raises KeyboardInterrupt where Ctrl-C was pressed."""
        if self._pressed:
            self._pressed = False
            raise KeyboardInterrupt
        return time.perf_counter()

    def __enter__(self) -> Interruptible:
        self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _press(self, _number: int, _frame: FrameType | None) -> None:
        if self._pressed:
            raise KeyboardInterrupt
        self._pressed = True
