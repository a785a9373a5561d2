"""A scheduler that is killed in the middle of a run, and comes back from its journal.

The world goes on without it, and its events are kept. A new scheduler reads the journal, the last
round's commands are carried out, and the loop goes on as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import msgspec

from stowplan.placement.driver import Driver
from stowplan.placement.journal import Header, JournalWriter, read_journal, replay
from stowplan.placement.loop import Attended, run_loop
from stowplan.placement.messages import (
    Command,
    Event,
    InstancesGone,
    Notice,
    Round,
    TasksChanged,
    TasksHealthChanged,
)
from stowplan.placement.model import NEVER
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.strategies.protocol import StrategyFactory

_Missed = tuple[Event, int]


@dataclass(frozen=True, slots=True)
class Kill:
    """When the scheduler is killed: as soon as it has written journal entry `entry` (from 0), or
    at `at_ms`. It is back at `until_ms`, at once if that has passed.

    `carried_out`: the commands of its last round had reached the driver. They are carried out again
    in any case, since the journal does not tell. Callers are not told again what they were told.
    """

    entry: int | None = None
    at_ms: int = NEVER
    until_ms: int = 0
    carried_out: bool = True


def outages(faults: Iterable[Fault]) -> list[Kill]:
    """The times of `scheduler-restart` among faults, those that overlap as one."""
    merged: list[Kill] = []
    spans = [(f.at, f.until or f.at) for f in faults if f.kind == "scheduler-restart"]
    for at_ms, until_ms in sorted(spans):
        if merged and at_ms <= merged[-1].until_ms:
            last = merged.pop()
            at_ms, until_ms = last.at_ms, max(last.until_ms, until_ms)
        merged.append(Kill(at_ms=at_ms, until_ms=until_ms))
    return merged


def run_killed(
    scheduler: Scheduler,
    driver: Driver | Attended,
    record: Callable[[Round], None],
    kills: Iterable[Kill],
    strategies: Mapping[str, StrategyFactory],
) -> Scheduler:
    """`run_loop`, but the scheduler is killed at each of `kills`, in order of time.

    Returns:
        the last scheduler.
    Raises:
        ReplayError: the journal does not lead a new scheduler to where the old one was.
    """
    if isinstance(driver, Attended):
        record = driver.answering(record)
    journal, missed = _Journal(scheduler, record), list[_Missed]()
    for kill in (*kills, Kill()):
        life = _SchedulerLife(driver, journal, kill, missed)
        with suppress(_Killed):
            run_loop(scheduler, life, life.record)
        if life.over or life.sleep():
            break
        missed = life.missed
        scheduler = journal.restored(strategies)
        for command in journal.commands:
            if not (kill.carried_out and isinstance(command, Notice)):
                driver.execute(command)
    return scheduler


class _Killed(Exception):
    """Between the journal entry and its commands."""


class _Journal:
    """The journal of a run, kept as it would be on a disk; passes each round on to `record`."""

    def __init__(self, scheduler: Scheduler, record: Callable[[Round], None]) -> None:
        self._stream, self._record = BytesIO(), record
        self._write = JournalWriter(self._stream, Header(scheduler.config))
        self.entries = 0
        self.commands: tuple[Command, ...] = ()

    def write(self, entry: Round) -> None:
        """Append a round."""
        self._record(entry)
        self._write(entry)
        self.entries, self.commands = self.entries + 1, entry.commands

    def restored(self, strategies: Mapping[str, StrategyFactory]) -> Scheduler:
        """A new scheduler that has lived through it."""
        header, rounds = read_journal(self._stream.getvalue().splitlines())
        scheduler = Scheduler(header.config, strategies)
        replay(scheduler, rounds)
        return scheduler


class _SchedulerLife:
    """The driver, and the journal, as a scheduler meets them from its start to its death.

    `missed`: what it, or one before it, was not told, and when. `over`: the run ended first.
    """

    def __init__(
        self, driver: Driver | Attended, journal: _Journal, kill: Kill, missed: list[_Missed]
    ) -> None:
        self._driver, self._journal, self._kill = driver, journal, kill
        self.missed, self.over = missed, False
        self.now_ms, self.execute, self.close = driver.now_ms, driver.execute, driver.close
        self.register = driver.register

    def record(self, entry: Round) -> None:
        """Write a round down, which may be the last thing that the scheduler does."""
        self._journal.write(entry)
        if self._written_last and not self._kill.carried_out:
            raise _Killed

    @property
    def _written_last(self) -> bool:
        return self._kill.entry is not None and self._journal.entries > self._kill.entry

    def wait(self, deadline_ms: int | None) -> list[Event] | None:
        """As the driver's, but None as well once the scheduler is killed."""
        if self._written_last:
            return None
        if self.missed:
            events, self.missed = self.missed, []
            now_ms = self._driver.now_ms()
            return [_since(event, at_ms) if at_ms < now_ms else event for event, at_ms in events]
        at_ms = self._kill.at_ms
        limit = at_ms if deadline_ms is None else min(at_ms, deadline_ms)
        heard = self._driver.wait(None if limit == NEVER else limit)
        self.over = heard is None
        if heard is not None and self._driver.now_ms() >= at_ms:
            self.missed = self._dated(heard)
            return None
        return heard

    def sleep(self) -> bool:
        """Let the world go on until the next scheduler starts; whether the run ends before."""
        while self._driver.now_ms() < self._kill.until_ms:
            heard = self._driver.wait(self._kill.until_ms)
            if heard is None:
                return True
            self.missed = self.missed + self._dated(heard)
        return False

    def _dated(self, heard: list[Event]) -> list[_Missed]:
        now_ms = self._driver.now_ms()
        return [(event, now_ms) for event in heard]


def _since(event: Event, at_ms: int) -> Event:
    """A fact that the scheduler hears late says since when it is one."""
    if not isinstance(event, TasksChanged | TasksHealthChanged | InstancesGone):
        return event
    return msgspec.structs.replace(event, since_ms=at_ms) if event.since_ms is None else event
