"""Drivers keep the contract of the protocol, and what breaks it is caught."""

from __future__ import annotations

import pytest

from stowplan.placement import messages as m
from stowplan.placement.model import TaskStatus
from stowplan.placement.scenario.models import Models
from stowplan.placement.scenario.scenario import InstanceSpec
from stowplan.placement.testing import check_driver
from stowplan.sim.driver import SimDriver
from tests.contract.memory_driver import MemoryDriver
from tests.driving import definition, instance

TIMES = {"boot": {"mean": "2s"}, "start": {"mean": "100ms"}, "stop": {"mean": "50ms"}}
CHECK = {"command": ["CMD", "true"], "interval": 5, "retries": 1}


def container(name, **fields):
    return {"name": name, "image": "i", "cpu": 64, "memory": 64, **fields}


# A task of one container rides in the timetable, others are played by the agent of their instance.
PLAYED = [container("a"), container("b", dependsOn=[{"containerName": "a", "condition": "START"}])]
SHAPES = {
    "one container": {},
    "several that wait for each other": {"containerDefinitions": PLAYED},
    "a health check": {"containerDefinitions": [container("a", healthCheck=CHECK)]},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("times", [{}, TIMES, {**TIMES, "tick": 50}], ids=["default", "", "ticks"])
def test_the_simulated_world_keeps_the_contract(shape, times):
    def make():
        spec = InstanceSpec("i-0", 0, {"CPU": 2048, "MEMORY": 2048}, {}, 1, None)
        models = Models.model_validate(times)
        return SimDriver([spec], models=models, until_ms=10_000_000, seed=1)

    document = definition(**SHAPES[shape]).document
    check_driver(make, definition=document, patience_ms=600_000)


def test_the_smallest_driver_keeps_the_contract():
    check_driver(MemoryDriver)


# --- canaries: broken on purpose, each must be caught ---------------------------------------------


def running(*tasks, **fields):
    return m.TasksChanged(TaskStatus.RUNNING, tasks, **fields)


class StartsTwice(MemoryDriver):
    def start(self, task):
        super().start(task)
        self.tell(running(task), 900)


class InOneBreath(MemoryDriver):
    def start(self, task):
        self.tell(running(task, task), 500)


class NeverAnswers(MemoryDriver):
    def start(self, task):
        pass


class NeverStops(MemoryDriver):
    def stop(self, task, code, reason):
        pass


class GoesBack(MemoryDriver):
    def execute(self, command):
        super().execute(command)
        self.back = isinstance(command, m.StopTasks)

    def now_ms(self):
        return super().now_ms() - 5 * getattr(self, "back", 0)


class WaitsBack(MemoryDriver):
    def wait(self, deadline_ms):
        events = super().wait(deadline_ms)
        if events and self._started:
            self._now_ms = 5
        return events


class StandsStill(MemoryDriver):
    def wait(self, deadline_ms):
        return super().wait(deadline_ms) if self._now_ms < 10 else []


class ForgetsOrders(MemoryDriver):
    """Not idempotent: what it is told again it does again."""

    def execute(self, command):
        self._started.clear()
        super().execute(command)


class ForgetsTheDead(MemoryDriver):
    """The same, once a task has ended."""

    def stop(self, task, code, reason):
        super().stop(task, code, reason)
        self._started.discard(task)

    def _is_late(self, event):
        return False


class StopsTwice(MemoryDriver):
    def execute(self, command):
        self._stopped.clear()
        super().execute(command)


class RisesFromTheDead(MemoryDriver):
    def _is_late(self, event):
        return False


class StartsWhileItIsAsked(MemoryDriver):
    def execute(self, command):
        super().execute(command)
        self._now_ms += 1000


class EndsTooEarly(MemoryDriver):
    def wait(self, deadline_ms):
        return super().wait(deadline_ms) or None


class GivesATuple(MemoryDriver):
    def wait(self, deadline_ms):
        return tuple(super().wait(deadline_ms))


class SpeaksOfOthers(MemoryDriver):
    def start(self, task):
        super().start(task)
        self.tell(running(77), 900)


class CountsFromOne(MemoryDriver):
    def __init__(self):
        super().__init__()
        self._due = [(at, n, e) for at, n, e in self._due if not hasattr(e, "instance")]
        self.tell(instance(1), 10)


class KnowsTheFuture(MemoryDriver):
    def start(self, task):
        self.tell(running(task, since_ms=9_000_000), 500)


class SpeaksInWords(MemoryDriver):
    def start(self, task):
        self.tell("started", 500)


class CallsForItself(MemoryDriver):
    def __init__(self):
        super().__init__()
        self.tell(m.RunTask(0, "checked", 1), 20)


class RefusesNonsense(MemoryDriver):
    def register(self, call):
        assert "containerDefinitions" in call.document


class NoReasonGiven(MemoryDriver):
    def stop(self, task, code, reason):
        super().stop(task, None, "")


class FailsAtNotices(MemoryDriver):
    def execute(self, command):
        if not isinstance(command, m.StartTasks | m.StopTasks):
            raise TypeError(command)
        super().execute(command)


CANARIES = {
    StartsTwice: "reported task 0 RUNNING twice",
    InOneBreath: "reported task 0 RUNNING twice",
    NeverAnswers: r"waited 60000 ms for tasks \[0, 1, 2\] to be RUNNING",
    NeverStops: r"waited 60000 ms for tasks \[0\] to be STOPPED",
    GoesBack: "took time|time went back",
    WaitsBack: "time went back",
    StandsStill: "gave up at 10 ms, before the deadline",
    ForgetsOrders: "reported task 0 RUNNING twice",
    ForgetsTheDead: "reported task 0 RUNNING after it was STOPPED",
    StopsTwice: "reported task 0 STOPPED twice",
    RisesFromTheDead: "reported task 3 RUNNING after it was STOPPED",
    StartsWhileItIsAsked: r"execute\(StartTasks\) took time",
    EndsTooEarly: "says that no more can follow",
    GivesATuple: "a tuple, not a list",
    SpeaksOfOthers: "reported task 77, which nobody started",
    CountsFromOne: "registered instance 1, the next number is 0",
    KnowsTheFuture: "what comes at 9000000 ms",
    SpeaksInWords: "no events",
    NoReasonGiven: "without a stop code",
    CallsForItself: "made a call",
    RefusesNonsense: "register raised AssertionError",
    FailsAtNotices: r"execute\(ServiceEvent\) raised TypeError",
}


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.__name__)
def test_a_driver_broken_on_purpose_is_caught(canary):
    with pytest.raises(AssertionError, match=CANARIES[canary]) as caught:
        check_driver(canary)
    assert str(caught.value).startswith(f"{canary.__name__}: ")
