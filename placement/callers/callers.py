"""All who call the API of a run, as one: they make calls, and hear what became of them. Sans-IO.

The loop owns them. They are the client with its jobs, Application Auto Scaling, and whoever calls
from outside while the run goes on: a command line, an endpoint. Request numbers are allotted here
alone, in the order in which the calls are made, so that a journal never holds one twice.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
from numpy.random import Generator

from stowplan.placement import messages as m
from stowplan.placement.callers.autoscaling import Autoscaler
from stowplan.placement.callers.client import Arrival, Client, Job
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.units import earliest

LOST = (StopCode.INFRASTRUCTURE_HEALTH, StopCode.SPOT_INTERRUPTION)
THROTTLED = "ThrottlingException"
_NOBODY = -1  # whose tasks no RunTask asked for


@dataclass(slots=True)
class Answer:
    """What became of a call from outside in the round that held it.

    `call` is as it was made, with its request number. `error` is ECS's exception, "" where the call
    was taken; `reason` its message. `tasks`: those that a RunTask or StartTask started or left
    PROVISIONING; `failures`: those that it did not. What comes of them later is in the state.
    """

    call: m.Event
    now_ms: int = 0
    error: str = ""
    reason: str = ""
    tasks: list[int] = field(default_factory=list)
    failures: list[m.RunTaskFailed] = field(default_factory=list)


Answered = Callable[[Answer], None]


def _unheard(answer: Answer) -> None:
    """For a caller who does not ask."""


class Callers:
    """Makes the calls of a run, each when it is due, and hears its rounds.

    Args:
        arrivals: the client's calls, ordered by time.
        rng: the client's source of chance; the same for the same run, also after a restart.
        autoscaler: scales services by their load; None: no service is scaled.
        admits: whether the world lets a call through now; one that it does not is throttled.
    """

    def __init__(
        self,
        arrivals: Iterable[Arrival] = (),
        rng: Generator | None = None,
        *,
        autoscaler: Autoscaler | None = None,
        admits: Callable[[m.Event], bool] = lambda call: True,
    ) -> None:
        self._following = 0
        self._client = Client(arrivals, rng, self._allot)
        self._autoscaler, self._admits = autoscaler, admits
        # A deque, since others may leave calls from their own threads.
        self._outside: deque[tuple[m.Event, Answered]] = deque()
        self._asked: list[tuple[int, Answer, Answered]] = []  # by place in the round under way
        self._jobs: dict[int, Job] = {}  # of the client's tasks that are there, by number
        self._next_ms: int | None = None
        self._set_next()

    # --- for outside callers ----------------------------------------------------------------------

    def submit(self, call: m.Event, answered: Answered = _unheard) -> None:
        """Make a call in the next round; safe from any thread.

        The request of a RunTask or StartTask is replaced by one of ours. `answered` is called with
        the `Answer` once the round is written down, in the thread of the loop.
        """
        self._outside.append((call, answered))

    def run_ms(self, request: int) -> int | None:
        """How long a task of this request runs, which the world knows; None: until it is stopped.

        Calls from outside do not say it.
        """
        return self._client.run_ms(request)

    # --- for the loop -----------------------------------------------------------------------------

    @property
    def next_ms(self) -> int | None:
        """When the next call is due; -1: now; None: never, unless something happens."""
        return -1 if self._outside else self._next_ms

    def due(self, now_ms: int) -> list[m.Event]:
        """The calls to make now: the client's, those of scaling, then those from outside."""
        calls: list[m.Event] = []
        if self._next_ms is not None and self._next_ms <= now_ms:
            for call in self._client.due(now_ms):
                if self._client.is_held(call):
                    continue
                admitted = self._admits(call)
                calls.append(call if admitted else self._client.throttled(call, now_ms))
            if self._autoscaler is not None:
                calls += self._autoscaler.due(now_ms)
            self._set_next()
        while self._outside:
            call, answered = self._outside.popleft()
            if isinstance(call, m.RunTask | m.StartTask):
                call = msgspec.structs.replace(call, request=self._allot(0))
            if self._admits(call):
                self._asked.append((len(calls), Answer(call, now_ms), answered))
                calls.append(call)
            else:
                calls.append(m.CallThrottled(type(call).__name__))
                answered(Answer(call, now_ms, THROTTLED, "Rate exceeded"))
        return calls

    def take(self, events: list[m.Event], now_ms: int) -> None:
        """The events of a round, calls among them, before anything is decided on them."""
        if self._autoscaler is not None:
            self._autoscaler.take(events)
        for event in events:
            if type(event) is m.TasksChanged and event.status is TaskStatus.STOPPED:
                self._stopped(event.tasks, event.stop_code, now_ms)

    def hear(self, command: m.Command, now_ms: int) -> None:
        """A command of the round; of notices, each is told once."""
        if self._autoscaler is not None:
            self._autoscaler.take((command,))
        kind = type(command)
        if kind is m.StartTasks or kind is m.TasksProvisioning:
            assert isinstance(command, m.StartTasks | m.TasksProvisioning)
            job = self._client.job(command.request)
            if job is not None:
                self._jobs.update(dict.fromkeys(command.tasks, job))
        elif isinstance(command, m.RunTaskFailed):
            self._client.failed(command.request, command.count, now_ms)
            self._set_next()
        elif isinstance(command, m.TasksStopped):
            self._stopped(command.tasks, command.stop_code, now_ms)
        elif isinstance(command, m.CallRejected):
            job = self._client.job(getattr(command.call, "request", None))
            if job is not None:
                self._client.ended(job, getattr(command.call, "count", job.open))

    def answer(self, entry: m.Round) -> None:
        """A round was written down: answer the calls from outside that it held."""
        if not self._asked:
            return
        asked, self._asked = self._asked, []
        by_request = {
            answer.call.request: answer
            for _, answer, _ in asked
            if isinstance(answer.call, m.RunTask | m.StartTask)
        }
        by_place = {place: answer for place, answer, _ in asked}
        for command in entry.commands:
            if isinstance(command, m.CallRejected):
                found = by_place.get(command.position)
                if found is not None:
                    found.error, found.reason = command.error, command.reason
            elif isinstance(command, m.StartTasks | m.TasksProvisioning):
                found = by_request.get(_NOBODY if command.request is None else command.request)
                if found is not None:
                    found.tasks += command.tasks
            elif isinstance(command, m.RunTaskFailed):
                found = by_request.get(command.request)
                if found is not None:
                    found.failures.append(command)
        for _, answer, answered in asked:
            answered(answer)

    def abandon(self, error: str, reason: str) -> None:
        """The loop goes on no more: answer all calls from outside that wait, with an error."""
        waiting = [(answer, answered) for _, answer, answered in self._asked]
        self._asked = []
        while self._outside:
            call, answered = self._outside.popleft()
            waiting.append((Answer(call), answered))
        for answer, answered in waiting:
            answer.error, answer.reason = error, reason
            answered(answer)

    def restore(self, rounds: Iterable[m.Round]) -> int:
        """Live through the rounds of a journal, as the callers that made its calls did.

        Returns:
            how many calls from outside it holds, which are not to be made again.
        Raises:
            PlacementError: the journal is not of these callers.
        """
        outside = 0
        for entry in rounds:
            own = self.due(entry.now_ms)
            if list(entry.events[: len(own)]) != own:
                what = "a trace or workload has changed since the run was broken off"
                raise PlacementError(f"the journal at {entry.now_ms} ms has other calls: {what}")
            for event in entry.events[len(own) :]:
                if isinstance(event, m.CALLS):
                    outside += 1
                    if isinstance(event, m.RunTask | m.StartTask):
                        self._allot(event.request)
            self.take(list(entry.accepted()), entry.now_ms)
            for command in entry.commands:
                self.hear(command, entry.now_ms)
        return outside

    # --- inside -----------------------------------------------------------------------------------

    def _allot(self, wanted: int) -> int:
        """The number of a new request: the one that is wanted, if it is still to be had."""
        number = max(wanted, self._following)
        self._following = number + 1
        return number

    def _stopped(self, tasks: Iterable[int], code: StopCode | None, now_ms: int) -> None:
        """These tasks are gone. One that had ended before is not lost with its instance."""
        jobs, client = self._jobs, self._client
        found = [job for task in tasks if (job := jobs.pop(task, None)) is not None]
        if code in LOST:
            for job, count in Counter(found).items():
                client.lost(job, count, now_ms)
            self._set_next()
            return
        for job in found:
            client.ended(job, 1)

    def _set_next(self) -> None:
        scaling = self._autoscaler
        self._next_ms = earliest(self._client.next_ms, scaling.next_ms if scaling else None)
