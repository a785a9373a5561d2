"""SimPy's environment with a hand that others may move: to what comes before its next event."""

from __future__ import annotations

import simpy


class Clock(simpy.Environment):
    """The time of a run in ms.

    Lives of tasks are kept beside SimPy, as an event of its own for each costs several times what
    is done in it. Whoever keeps such things moves the time on to them by `advance`.
    """

    def advance(self, to_ms: int) -> None:
        """It is `to_ms` now; nothing of SimPy's is due before that."""
        assert self._now <= to_ms <= self.peek(), f"from {self._now} to {to_ms} ms"
        self._now = to_ms
