"""So many calls in a time, for all threads together, below what AWS throttles."""

from __future__ import annotations

import threading
import time


class Stopped(Exception):
    """A pace was stopped: whoever waits for it makes no more calls."""


class Pace:
    """A bucket of `burst` calls that fills by `per_s` in a second."""

    def __init__(self, burst: int, per_s: float) -> None:
        self._burst, self._per_s = burst, per_s
        self._level, self._at_s = float(burst), time.monotonic()
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def wait(self) -> None:
        """Return when a call may be made. Raises Stopped."""
        with self._lock:
            now_s = time.monotonic()
            self._level = min(self._burst, self._level + (now_s - self._at_s) * self._per_s) - 1
            self._at_s = now_s
            wait_s = max(0.0, -self._level / self._per_s)
        if self._stopped.wait(wait_s):
            raise Stopped

    def stop(self) -> None:
        """End every wait, from any thread."""
        self._stopped.set()
