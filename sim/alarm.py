"""An alarm clock on SimPy that can be set to an earlier time."""

from __future__ import annotations

from collections.abc import Callable

import simpy


class Alarm:
    """Calls `ring` at the earliest time that was set; `ring` returns when to call it next.

    A SimPy timeout cannot be moved, so an earlier time gets a timeout of its own and the later one
    finds, when it fires, that it is not wanted.
    """

    def __init__(self, env: simpy.Environment, ring: Callable[[], int | None]) -> None:
        self._env, self._ring = env, ring
        self._at_ms: int | None = None

    def set(self, at_ms: int | None) -> None:
        """Ring at `at_ms` (now, where that is past) unless an earlier time is set already."""
        if at_ms is None or (self._at_ms is not None and self._at_ms <= at_ms):
            return
        self._at_ms = max(at_ms, int(self._env.now))
        timeout = self._env.timeout(self._at_ms - self._env.now)
        timeout.callbacks.append(self._fire)

    def _fire(self, _: simpy.Event) -> None:
        if self._at_ms == self._env.now:
            self._at_ms = None
            self.set(self._ring())
