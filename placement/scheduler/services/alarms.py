"""When services must be looked at again although no event names them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable


class Alarms:
    """When services must be looked at again although no event names them."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._set: set[tuple[int, str]] = set()

    def set(self, at_ms: int, service: str) -> None:
        """Look at a service at this time; the same twice is once."""
        if (at_ms, service) not in self._set:
            self._set.add((at_ms, service))
            heapq.heappush(self._heap, (at_ms, service))

    def drop(self, service: str) -> None:
        """A service is gone: nothing is to be looked at."""
        self._heap = [entry for entry in self._heap if entry[1] != service]
        heapq.heapify(self._heap)
        self._set = set(self._heap)

    @property
    def next_ms(self) -> int | None:
        """The earliest."""
        return self._heap[0][0] if self._heap else None

    def due(self, now_ms: int) -> Iterable[str]:
        """The services whose time has come, each time taken off."""
        while self._heap and self._heap[0][0] <= now_ms:
            entry = heapq.heappop(self._heap)
            self._set.remove(entry)
            yield entry[1]
