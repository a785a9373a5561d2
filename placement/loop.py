"""One loop for simulated and real time: wait, receive, decide, write down, act.

A scheduler, a driver that plays the world, and the callers, who make calls and hear notices.
"""

from __future__ import annotations

from collections.abc import Callable

from stowplan.placement.callers.callers import Callers
from stowplan.placement.driver import Driver
from stowplan.placement.messages import Command, Event, RegisterTaskDefinition, Round
from stowplan.placement.scheduler.scheduler import Scheduler

# Rounds on end in which nothing happens and no time passes: a scheduler that goes in circles.
IDLE_ROUNDS_MOST = 10_000


class Attended:
    """A driver together with its callers, as the scheduler meets them: a driver again.

    What callers ask for in an instant comes before what the world reports in it.
    """

    def __init__(self, driver: Driver, callers: Callers) -> None:
        self.driver, self.callers = driver, callers
        self.now_ms, self.register, self.close = driver.now_ms, driver.register, driver.close

    def wait(self, deadline_ms: int | None) -> list[Event] | None:
        """The next calls and events; see `Driver`."""
        callers, driver = self.callers, self.driver
        while True:
            due_ms, limit_ms = callers.next_ms, deadline_ms
            if due_ms is not None and (limit_ms is None or due_ms < limit_ms):
                limit_ms = max(due_ms, driver.now_ms())
            heard = driver.wait(limit_ms)
            if heard is None:
                return None
            now_ms = driver.now_ms()
            if due_ms is None or due_ms > now_ms:
                due_ms = callers.next_ms  # one from outside may have called while we waited
            if due_ms is not None and due_ms <= now_ms:
                heard = self._called(now_ms) + heard
            if heard:
                callers.take(heard, now_ms)
                return heard
            # A caller may have looked, and wants nothing: that is no round.
            if deadline_ms is not None and now_ms >= deadline_ms:
                return heard

    def _called(self, now_ms: int) -> list[Event]:
        """The calls that are made now; the driver hears of the task definitions among them."""
        calls = self.callers.due(now_ms)
        for call in calls:
            if type(call) is RegisterTaskDefinition:
                self.driver.register(call)
        return calls

    def execute(self, command: Command) -> None:
        """Carry out a command, and let the callers hear it."""
        self.driver.execute(command)
        self.callers.hear(command, self.driver.now_ms())

    def answering(self, record: Callable[[Round], None]) -> Callable[[Round], None]:
        """Writes down as `record` does, then answers the calls from outside."""

        def write(entry: Round) -> None:
            record(entry)
            self.callers.answer(entry)

        return write


def run_loop(
    scheduler: Scheduler, driver: Driver | Attended, record: Callable[[Round], None]
) -> None:
    """Drive the scheduler until nothing more can happen.

    `record` gets every round before its commands are carried out, so a crash leaves the record. A
    scheduler that asks for one round after the other at the same time is a mistake of ours.

    Args:
        driver: with its callers, where anybody makes calls.
    """
    if isinstance(driver, Attended):
        record = driver.answering(record)
    idle, last_ms = 0, -1
    while (events := driver.wait(scheduler.deadline_ms)) is not None:
        now_ms = driver.now_ms()
        idle, last_ms = (0 if events or now_ms > last_ms else idle + 1), now_ms
        assert idle < IDLE_ROUNDS_MOST, f"a livelock: {idle} rounds at {now_ms} ms without an event"
        for event in events:
            scheduler.receive(event)
        commands = scheduler.decide(now_ms)
        record(Round(now_ms, tuple(events), commands))
        for command in commands:
            driver.execute(command)
