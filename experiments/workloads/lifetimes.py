"""What a scheduler may be told of how long tasks will run."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping

from stowplan.experiments.workloads.protocol import Job
from stowplan.placement.registry import Registry

Expect = Callable[[Job], int | None]


class PastRunTimes:
    """The mean run time of the jobs of the same size that have ended, else of all that have.

    Jobs are taken to start when they are submitted. A user who keeps records knows that much, but
    not how long a job waited. Call it with the jobs in order of time.
    """

    def __init__(self) -> None:
        self._running: list[tuple[int, int, int, object]] = []  # end, number, run, size
        self._jobs = 0
        self._ended: dict[object, tuple[int, int]] = {}

    def __call__(self, job: Job) -> int | None:
        """What to expect of `job`; None before anything has ended."""
        while self._running and self._running[0][0] <= job.at_ms:
            _, _, run_ms, size = heapq.heappop(self._running)
            for key in (size, None):
                jobs, total_ms = self._ended.get(key, (0, 0))
                self._ended[key] = jobs + 1, total_ms + run_ms
        size = job.cpu, job.memory
        jobs, total_ms = self._ended.get(size) or self._ended.get(None, (0, 0))
        self._jobs += 1
        if job.run_ms is not None:
            heapq.heappush(self._running, (job.at_ms + job.run_ms, self._jobs, job.run_ms, size))
        return total_ms // jobs if jobs else None


# What EXPECTED ships with.
_SHIPPED: Mapping[str, Callable[[], Expect]] = {
    "nothing": lambda: lambda job: None,
    "history": PastRunTimes,
    "oracle": lambda: lambda job: job.run_ms,
}
EXPECTED: Registry[Callable[[], Expect]] = Registry("predictor", _SHIPPED)
