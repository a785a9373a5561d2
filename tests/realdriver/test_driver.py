"""What the driver knows after a restart, from the journal alone; no engine is asked."""

from __future__ import annotations

import numpy as np
import pytest

from stowplan.placement import messages as m
from stowplan.placement.callers.callers import Callers
from stowplan.placement.callers.client import Arrival, RetryPolicy
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.realdriver.docker.config import EnginesTable, machines
from stowplan.realdriver.docker.driver import DockerDriver
from tests import driving
from tests.driving import Driven, of

TABLE = EnginesTable.model_validate(
    {"engine": [{"url": "unix:///nobody", "name": "i", "cpu": 1024, "memory": 1024}]}
)


class Restored:
    """A driver, and callers of whom the client makes these calls at the start, after a restart."""

    def __init__(self, *calls: m.Event) -> None:
        arrivals = [Arrival(1000, call, 5000) for call in calls]
        self.callers = Callers(arrivals, np.random.default_rng(0))
        about = {"cluster": "c", "run": "r", "run_ms": self.callers.run_ms}
        self.driver = DockerDriver(machines(TABLE, []), TABLE, **about)
        self.book, self.now_ms = self.driver.book, self.driver.now_ms

    def restore(self, rounds):
        """How many calls others had made."""
        others = self.callers.restore(rounds)
        self.driver.restore(rounds)
        return others


driver = Restored


CALLS = (driving.definition(), driving.run_task(0, 2))


def begun(*more: m.Event) -> Driven:
    """Rounds of a run in which two tasks were started on an instance."""
    driven = Driven()
    driven.round(*CALLS, driving.instance(0), *more)
    return driven


def test_the_tasks_that_were_started_and_did_not_end_are_known():
    driven = begun()
    driven.round(driving.running(0, 1))
    driven.round(driving.stopped(0))
    again = driver(*CALLS)
    assert again.restore(driven.rounds) == 0
    assert list(again.book.tasks) == [1]
    assert again.book.tasks[1].definition == "app:1"
    assert again.now_ms() == driven.now_ms


def test_an_order_that_comes_again_changes_nothing():
    driven = begun()
    (start,) = of(m.StartTasks, driven.rounds[0].commands)
    driven.round(driving.running(0, 1))
    driven.round(driving.stopped(0), m.StopTask((1,), "enough"))
    again = driver(*CALLS)
    again.restore(driven.rounds)
    again.book.command(start)
    assert list(again.book.tasks) == [1]
    assert again.book.tasks[1].stop == (StopCode.USER_INITIATED, "enough")


def test_a_stop_that_was_asked_for_is_not_forgotten_and_calls_of_others_are_counted():
    driven = begun()
    driven.round(m.StopTask((1,), "enough"))
    again = driver(*CALLS)
    assert again.restore(driven.rounds) == 1
    assert again.book.tasks[1].stop == (StopCode.USER_INITIATED, "enough")


def test_the_client_asks_again_for_what_found_no_room_at_the_same_time_as_it_would_have():
    large = driving.run_task(0, 9)
    driven = Driven()
    driven.round(CALLS[0], large, driving.instance(0, cpu=512))
    assert of(m.RunTaskFailed, driven.rounds[0].commands)
    one, two = driver(CALLS[0], large), driver(CALLS[0], large)
    one.restore(driven.rounds)
    two.restore(driven.rounds)
    assert one.callers.next_ms == two.callers.next_ms is not None


@pytest.mark.parametrize("gone", [True, False])
def test_tasks_that_are_lost_are_submitted_again(gone):
    driven = begun()
    driven.round(driving.running(0, 1))
    lost = m.TasksChanged(TaskStatus.STOPPED, (0, 1), StopCode.INFRASTRUCTURE_HEALTH, "cut")
    driven.round(driving.gone(0) if gone else lost)
    again = driver(*CALLS)
    again.restore(driven.rounds)
    assert not again.book.tasks
    assert again.callers.next_ms == driven.now_ms + RetryPolicy().resubmit_ms


def test_a_journal_of_other_calls_is_refused():
    with pytest.raises(PlacementError, match="has changed"):
        driver(CALLS[0], driving.run_task(0, 3)).restore(begun().rounds)
