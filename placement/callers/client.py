"""The client of a cluster: makes calls when they are due, retries as its policy says. Sans-IO.

ECS itself neither queues a task that finds no room nor replaces a standalone one that was lost
(ecs-semantics 3.1, 4.2): the caller of RunTask does. One of `placement.callers.callers`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from numpy.random import Generator

from stowplan.placement.messages import (
    CallThrottled,
    CreateService,
    Event,
    RunTask,
    StartTask,
    UpdateService,
)
from stowplan.placement.units import earliest

# Added to `started_by` of a call that asks again, so that a journal tells it from the first.
RETRY, RESUBMIT = "/retry", "/resubmit"
THROTTLED_MOST_MS = 20_000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a job's missing tasks are asked for again.

    `first_ms` after a first failure, doubled each time up to `most_ms`, times a jitter of 0.5 to 1.
    `resubmit_ms` after tasks were lost with their instance; None: they stay lost.
    """

    first_ms: int = 5_000
    most_ms: int = 60_000
    resubmit_ms: int | None = 5_000


class Arrival(NamedTuple):
    """A call that the client makes at `at_ms`.

    `run_ms` is how long each task of a RunTask will run, which the world knows and the scheduler
    never does; None: until it is stopped.
    """

    at_ms: int
    call: Event
    run_ms: int | None = None
    retry: RetryPolicy = RetryPolicy()


class Job:
    """A request of the client's until its last task has ended for good: `open` is how many have
    not, placed or not."""

    __slots__ = ("arrival", "attempts", "call", "open")

    def __init__(self, call: RunTask | StartTask, arrival: Arrival) -> None:
        self.call, self.arrival, self.attempts = call, arrival, 0
        self.open = call.count if type(call) is RunTask else len(call.instances)  # type: ignore[union-attr]


class Client:
    """Makes the calls of `arrivals` (ordered by time, each request number once) and its retries.

    Args:
        rng: of the jitter; None: there is nobody who tries again.
        allot: the number of a new request, given the one that its arrival has.
    """

    def __init__(
        self,
        arrivals: Iterable[Arrival],
        rng: Generator | None,
        allot: Callable[[int], int] = lambda wanted: wanted,
    ) -> None:
        self._allot = allot
        self._arrivals: Iterator[Arrival] = iter(arrivals)
        self._head = next(self._arrivals, None)
        self._rng = rng
        self._jobs: dict[int, Job] = {}
        self._retries: list[tuple[int, int, Event]] = []
        self._retry_count = 0
        self._throttled: Counter[str] = Counter()
        self._behind: dict[str, list[Event]] = {}  # calls about a service of which one waits

    @property
    def next_ms(self) -> int | None:
        """When the next call is due; None: never, unless a task fails or is lost."""
        head, retries = self._head, self._retries
        if not retries:
            return head.at_ms if head is not None else None
        return earliest(head.at_ms if head is not None else None, retries[0][0])

    def due(self, now_ms: int) -> list[Event]:
        """The calls to make by `now_ms`: retries first, then new ones, each in order of time."""
        calls: list[Event] = []
        while self._retries and self._retries[0][0] <= now_ms:
            calls.append(heapq.heappop(self._retries)[2])
            calls += self._behind.pop(getattr(calls[-1], "service", None) or "", ())
        head = self._head
        while head is not None and head.at_ms <= now_ms:
            call = head.call
            if isinstance(call, RunTask | StartTask):
                number = self._allot(call.request)
                if number != call.request:  # a call from outside has it
                    call = msgspec.structs.replace(call, request=number)
                self._jobs[number] = Job(call, head)
            calls.append(call)
            following = next(self._arrivals, None)
            assert following is None or following.at_ms >= head.at_ms, "arrivals unordered"
            self._head = head = following
        return calls

    def job(self, request: int | None) -> Job | None:
        """The job of a request, as long as a task of it may still run; None: it is another's."""
        return None if request is None else self._jobs.get(request)

    def run_ms(self, request: int) -> int | None:
        """How long a task of this request runs; None: until it is stopped, or not its request."""
        job = self._jobs.get(request)
        return None if job is None else job.arrival.run_ms

    def failed(self, request: int, count: int, now_ms: int) -> None:
        """`count` tasks of the request found no room: ask again later."""
        job = self._jobs.get(request)
        if job is None:
            return  # another's
        if isinstance(job.call, StartTask):
            # A caller of StartTask must name other instances; to name the same again is no help.
            self.ended(job, count)
            return
        policy = job.arrival.retry
        wait = min(policy.first_ms << min(job.attempts, 30), policy.most_ms)
        job.attempts += 1
        self._again(job, count, now_ms + max(1, round(wait * self._drawn(0.5))), RETRY)

    def lost(self, job: Job, count: int, now_ms: int) -> None:
        """`count` tasks of a job died with their instance: submit them anew, if at all."""
        wait = job.arrival.retry.resubmit_ms
        if wait is None or isinstance(job.call, StartTask):
            self.ended(job, count)
        else:
            self._again(job, count, now_ms + wait, RESUBMIT)

    def ended(self, job: Job, count: int) -> None:
        """`count` tasks of a job have ended, for good; with the last of them it is forgotten."""
        job.open -= count
        if job.open <= 0:
            self._jobs.pop(job.call.request, None)

    def is_held(self, call: Event) -> bool:
        """Whether an earlier call about the same service was throttled and is still to come.

        Then the call waits behind it, and is due together with it.
        """
        behind = self._behind.get(getattr(call, "service", None) or "")
        if behind is None:
            return False
        behind.append(call)
        return True

    def throttled(self, call: Event, now_ms: int) -> CallThrottled:
        """A call was throttled: make it again later; returns what to tell of it.

        As AWS's SDKs do: up to 1, 2, 4 ... 20 s later, at random.
        """
        service = call.service if isinstance(call, CreateService | UpdateService) else None
        request = call.request if isinstance(call, RunTask | StartTask) else None
        key = f"{type(call).__name__} {service if request is None else request}"
        most_ms = min(1_000 << min(self._throttled[key], 30), THROTTLED_MOST_MS)
        self._throttled[key] += 1
        count = call.count if isinstance(call, RunTask) else 0
        started_by = getattr(call, "started_by", "")
        if service is not None:
            self._behind[service] = []
        if isinstance(call, RunTask) and not started_by.endswith((RETRY, RESUBMIT)):
            call = msgspec.structs.replace(call, started_by=started_by + RETRY)
        self._push(now_ms + max(1, round(most_ms * self._drawn(0))), call)
        return CallThrottled(type(call).__name__, request, count, started_by)

    def _drawn(self, low: float) -> float:
        assert self._rng is not None, "a client that makes calls has a source of chance"
        return self._rng.uniform(low, 1)

    def _push(self, at_ms: int, call: Event) -> None:
        self._retry_count += 1
        heapq.heappush(self._retries, (at_ms, self._retry_count, call))

    def _again(self, job: Job, count: int, at_ms: int, suffix: str) -> None:
        assert isinstance(job.call, RunTask)
        started_by = job.call.started_by + suffix
        call = msgspec.structs.replace(job.call, count=count, started_by=started_by)
        self._push(at_ms, call)
