"""One loop for simulated and real time: wait, receive, decide, write down, act."""

from __future__ import annotations

from collections.abc import Callable

from stowplan.placement.driver import Driver
from stowplan.placement.messages import Round
from stowplan.placement.scheduler.scheduler import Scheduler

# Rounds on end in which nothing happens and no time passes: a scheduler that goes in circles.
IDLE_ROUNDS_MOST = 10_000


def run_loop(scheduler: Scheduler, driver: Driver, record: Callable[[Round], None]) -> None:
    """Drive the scheduler until nothing more can happen.

    `record` gets every round before its commands are carried out, so a crash leaves the record. A
    scheduler that asks for one round after the other at the same time is a mistake of ours.
    """
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
