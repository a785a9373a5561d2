"""From the events of tasks to jobs: a job is known only once its task has ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from stowplan.experiments.workloads.protocol import Job


class Step(Enum):
    """What an event says of a task."""

    SUBMIT = 0
    START = 1
    END = 2


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """At `at_ms`, something happens to the task `key`; SUBMIT carries what it asks for."""

    at_ms: int
    step: Step
    key: object
    job: Job | None = None


@dataclass(slots=True)
class _TaskLife:
    job: Job
    started_ms: int | None = None
    run_ms: int | None = None
    known: bool = False


def jobs_of(
    events: Iterable[TaskEvent], longest_ms: int, until_ms: int | None = None
) -> Iterator[Job]:
    """The jobs that events amount to, in order of submission.

    A task that ended without having started is left out. One that is submitted again after its end
    is another job. A task that has not ended `longest_ms` after it was submitted runs for good, as
    far as this goes. So memory holds at most the tasks that are submitted in that time.

    Args:
        events: in order of time.
        until_ms: leave out what is submitted then or later.
    """
    waiting: deque[_TaskLife] = deque()
    alive: dict[object, _TaskLife] = {}
    for event in events:
        while waiting and (waiting[0].known or event.at_ms - waiting[0].job.at_ms > longest_ms):
            yield from _told(waiting.popleft())
        if event.step is Step.SUBMIT:
            assert event.job is not None
            if until_ms is not None and event.at_ms >= until_ms:
                if not waiting:
                    return
                continue
            alive[event.key] = _TaskLife(event.job)
            waiting.append(alive[event.key])
        elif event.key in alive:
            life = alive[event.key]
            if event.step is Step.START:
                life.started_ms = event.at_ms
            else:
                life.known = True
                if life.started_ms is not None:
                    life.run_ms = max(1, event.at_ms - life.started_ms)
                del alive[event.key]
    for life in waiting:
        yield from _told(life)


def _told(life: _TaskLife) -> Iterator[Job]:
    if not life.known:
        yield replace(life.job, run_ms=None)
    elif life.run_ms is not None:
        yield replace(life.job, run_ms=life.run_ms)
