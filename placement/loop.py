"""One loop for simulated and real time: wait, receive, decide, write down, act."""

from __future__ import annotations

from collections.abc import Callable

from stowplan.placement.driver import Driver
from stowplan.placement.messages import Round
from stowplan.placement.scheduler.scheduler import Scheduler


def run_loop(scheduler: Scheduler, driver: Driver, record: Callable[[Round], None]) -> None:
    """Drive the scheduler until nothing more can happen.

    `record` gets every round before its commands are carried out, so a crash leaves the record.
    """
    while (events := driver.wait(scheduler.deadline_ms)) is not None:
        now_ms = driver.now_ms()
        for event in events:
            scheduler.receive(event)
        commands = scheduler.decide(now_ms)
        record(Round(now_ms, tuple(events), commands))
        for command in commands:
            driver.execute(command)
