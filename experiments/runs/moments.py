"""The state of a run at a time, or when something last lacked room in it: by replay.

A journal and a simulation are the same here: rounds, which a fresh scheduler lives through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from stowplan.experiments.loading.load import Loaded, load_strategies
from stowplan.experiments.runs.simulate import drive, uncollected, world
from stowplan.placement import messages as m
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.journal import Header, replay
from stowplan.placement.messages import Round
from stowplan.placement.model import TaskKind
from stowplan.placement.scenario.scenario import Run
from stowplan.placement.scheduler.lacking import (
    Lack,
    lack_of_service,
    lack_of_task,
    service_lacks,
)
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.strategies import STRATEGIES

Journal = Callable[[], AbstractContextManager[tuple[Header, Iterable[Round]]]]


class Asked:
    """What is asked about: the name of a service, the number of a task, or a family of which
    RunTask starts tasks. Shown every round, it knows whether that lacked room after it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._calls: dict[int, m.RunTask] = {}
        self._kinds: dict[TaskKind, None] = {}  # of the family
        self._request: Lack | None = None  # the last of the family
        self._failed = False

    def lacks(self, entry: Round, scheduler: Scheduler) -> bool:
        """Whether it lacks room after this round, of which `scheduler` has the state."""
        if self.name in scheduler.services:
            return service_lacks(scheduler, self.name)
        if self._is_task(scheduler):
            return lack_of_task(scheduler, int(self.name)).count > 0
        self._note_requests(entry, scheduler)
        return self._failed or bool(self._waiting(scheduler))

    def lack(self, scheduler: Scheduler) -> Lack:
        """What it lacks after the last round that was shown, or would as one more task.

        Raises:
            SpecError: there is nothing of that name; says what there is.
        """
        if self.name in scheduler.services:
            return lack_of_service(scheduler, self.name)
        if self._is_task(scheduler):
            return lack_of_task(scheduler, int(self.name))
        request, waiting = self._request, self._waiting(scheduler)
        if request is not None and (self._failed or not waiting):
            return request if self._failed else replace(request, count=0)
        if waiting:
            count = sum(number for _, number in waiting)
            return Lack(f"family {self.name}", waiting[0][0], count, count)
        services = ", ".join(scheduler.services) or "none"
        what = f"no service, task or family of that name by then; services: {services}; "
        what += f"tasks are numbers below {len(scheduler.tasks)}"
        raise SpecError([(self.name, what)])

    def _is_task(self, scheduler: Scheduler) -> bool:
        return self.name.isdecimal() and int(self.name) < len(scheduler.tasks)

    def _waiting(self, scheduler: Scheduler) -> list[tuple[TaskKind, int]]:
        if not (self._kinds and scheduler.waiting):
            return []
        return [each for each in scheduler.waiting.counts() if each[0] in self._kinds]

    def _note_requests(self, entry: Round, scheduler: Scheduler) -> None:
        """Requests for tasks of the family: what they are of, and whether one has just failed."""
        self._failed = False
        for call in entry.events:
            if isinstance(call, m.RunTask) and self._is_of(call):
                self._calls[call.request] = call
                self._note(scheduler, call, 0, call.capacity_provider)
        for said in entry.commands:
            if not isinstance(said, m.RunTaskFailed | m.TasksProvisioning):
                continue
            asked = None if said.request is None else self._calls.get(said.request)
            if asked is None:
                continue
            count = said.count if isinstance(said, m.RunTaskFailed) else len(said.tasks)
            self._note(scheduler, asked, count, said.capacity_provider)
            self._failed |= isinstance(said, m.RunTaskFailed)

    def _is_of(self, call: m.RunTask) -> bool:
        return self.name in (call.task_definition, call.task_definition.partition(":")[0])

    def _note(
        self, scheduler: Scheduler, call: m.RunTask, count: int, provider: str | None
    ) -> None:
        try:
            kind = scheduler.launches.of_run_task(call, provider).kind
        except PlacementError:
            return  # the call was rejected
        self._kinds[kind] = None
        name = f"request {call.request} of {call.task_definition}"
        self._request = Lack(name, kind, count, call.count)


@dataclass(frozen=True, slots=True)
class Moment:
    """A scheduler as it was at a time, and whether what was asked about lacked room then.

    `lack` says of what there could be one more task; None where nothing was asked about.
    """

    scheduler: Scheduler
    at_ms: int
    lack: Lack | None
    lacked: bool


@dataclass(slots=True)
class _Replay:
    """A scheduler after `count` rounds; `last` is the latest in which room lacked, `past` whether
    there were more."""

    scheduler: Scheduler
    asked: Asked | None
    count: int = 0
    last: int | None = None
    past: bool = False

    def moment(self, at_ms: int | None) -> Moment:
        scheduler = self.scheduler
        lack = None if self.asked is None else self.asked.lack(scheduler)
        lacked = self.last is not None and self.last == self.count - 1
        return Moment(scheduler, scheduler.now_ms if at_ms is None else at_ms, lack, lacked)


def moment_of(
    journal: Journal, folder: Path, name: str | None = None, at_ms: int | None = None
) -> Moment:
    """Replay a journal to a time; None: to when `name` last lacked room, else to its end.

    Args:
        journal: opens the journal; it may be read twice.
        folder: that the journal's own strategies are named from.
        name: what is asked about, see `Asked`; None: nothing.
    Raises:
        SpecError: nothing is called `name`, or the journal ends before `at_ms`.
        ReplayError: it does not replay to the same commands.
    """
    found = _replayed(journal, folder, name, at_ms)
    if at_ms is not None and not found.past and at_ms > found.scheduler.now_ms:
        end = f"the journal ends after {found.scheduler.now_ms / 1000:g} s"
        raise SpecError([("--at", end)])
    if at_ms is None and found.last is not None and found.last < found.count - 1:
        found = _replayed(journal, folder, name, rounds_most=found.last + 1)
    return found.moment(at_ms)


def _replayed(
    journal: Journal,
    folder: Path,
    name: str | None,
    at_ms: int | None = None,
    rounds_most: int | None = None,
) -> _Replay:
    with journal() as (header, rounds), uncollected():
        own = load_strategies(header.strategies, folder)
        scheduler = Scheduler(header.config, {**STRATEGIES, **own})
        state = _Replay(scheduler, None if name is None else Asked(name))

        def shown() -> Iterator[Round]:
            for entry in rounds:
                late = at_ms is not None and entry.now_ms > at_ms
                if late or state.count == rounds_most:
                    state.past = True
                    return
                yield entry
                if state.asked is not None and state.asked.lacks(entry, scheduler):
                    state.last = state.count
                state.count += 1

        replay(scheduler, shown())
    return state


class _Enough(Exception):
    """A simulation has come to the moment that is asked for."""


def simulated_moment(loaded: Loaded, run: Run, name: str, at_ms: int | None = None) -> Moment:
    """Simulate a run to a time; None: until `name` first lacks room, else to the end.

    Raises:
        SpecError: nothing is called `name`, or the scenario ends before `at_ms`.
    """
    duration = loaded.scenario.duration
    if at_ms is not None and at_ms > duration:
        raise SpecError([("--at", f"the scenario ends after {duration / 1000:g} s")])
    scheduler, driver = world(loaded, run, duration)
    # A twin that is shown each round: the run's own scheduler may be killed on the way.
    twin = Scheduler(scheduler.config, loaded.strategies)
    state = _Replay(twin, Asked(name))

    def record(entry: Round) -> None:
        if at_ms is not None and entry.now_ms > at_ms:
            raise _Enough
        for event in entry.events:
            twin.receive(event)
        twin.decide(entry.now_ms)
        assert state.asked is not None
        if state.asked.lacks(entry, twin):
            state.last = state.count
        state.count += 1
        if state.last is not None and at_ms is None:
            raise _Enough

    with uncollected(), suppress(_Enough):
        drive(loaded, run, scheduler, driver, record)
    end_ms = None if state.last is not None else duration
    return state.moment(end_ms if at_ms is None else at_ms)
