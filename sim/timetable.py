"""Entries by the time at which each is due: very many, at far fewer different times."""

from __future__ import annotations

import heapq
from collections.abc import Iterable


class Timetable:
    """Integers by the time in ms at which each is due; a heap of times, a list for each of them.

    Times are rounded up to multiples of `tick_ms`.
    """

    def __init__(self, tick_ms: int = 1) -> None:
        self._tick_ms = tick_ms
        self._times: list[int] = []
        self._due: dict[int, list[int]] = {}

    @property
    def next_ms(self) -> int | None:
        """The earliest time at which anything is due."""
        return self._times[0] if self._times else None

    def add(self, at_ms: int, entry: int) -> None:
        """`entry` is due at `at_ms`, or at the next tick."""
        self.add_all((at_ms,), (entry,))

    def add_all(self, times_ms: Iterable[int], entries: Iterable[int]) -> None:
        """`add` for each pair of a time and an entry."""
        tick_ms, times, known = self._tick_ms, self._times, self._due
        for at_ms, entry in zip(times_ms, entries, strict=True):
            at_ms += -at_ms % tick_ms
            due = known.get(at_ms)
            if due is None:
                known[at_ms] = [entry]
                heapq.heappush(times, at_ms)
            else:
                due.append(entry)

    def pop(self, now_ms: int) -> list[int]:
        """All that is due at the earliest time, if that has come: ascending; else nothing."""
        if not self._times or self._times[0] > now_ms:
            return []
        due = self._due.pop(heapq.heappop(self._times))
        if len(due) > 1:
            due.sort()
        return due
