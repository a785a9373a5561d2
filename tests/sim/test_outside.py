"""Calls from outside in the middle of a simulation."""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.placement.callers.callers import THROTTLED
from stowplan.placement.scenario.scenario import Fault
from stowplan.placement.scheduler.scheduler import Scheduler
from tests.driving import definition
from tests.outside import arrivals, check_outside
from tests.sim.test_driver import driver, spec


class Turns:
    """A simulation that goes on a round at a time."""

    def __init__(self, *calls, **options) -> None:
        self.scheduler, self.rounds = Scheduler(), []
        self.world = driver(*calls, **options)
        self._record = self.world.answering(self.rounds.append)

    def until(self, holds) -> None:
        while not holds():
            events = self.world.wait(self.scheduler.deadline_ms)
            assert events is not None, "the run is over, and it does not hold"
            for event in events:
                self.scheduler.receive(event)
            commands = self.scheduler.decide(self.world.now_ms())
            self._record(m.Round(self.world.now_ms(), tuple(events), commands))
            for command in commands:
                self.world.execute(command)


def test_a_simulation_takes_calls_from_outside():
    document = definition(cpu=64, memory=64).document
    turns = Turns(*arrivals(document), fleet=[spec(0)])
    check_outside(turns.world.callers, turns.rounds, turns.until, "app")


def test_a_call_from_outside_is_throttled_as_any_other_and_nobody_repeats_it():
    fault = Fault(kind="api-throttling", at=0, until="1h", burst=1, rate_per_s=1)
    turns = Turns(*arrivals(definition().document), fleet=[spec(0)], faults=[fault])
    turns.until(lambda: len(turns.rounds) > 1)
    answers = []
    for _ in range(3):
        turns.world.callers.submit(m.RunTask(0, "app", 1), answers.append)
    turns.until(lambda: len(answers) == 3)
    errors = [each.error for each in answers]
    assert errors.count(THROTTLED) >= 2, "a second has one token"
    assert set(errors) <= {"", THROTTLED}
