"""Facts about tasks and instances that nobody knows: told in the journal, and without effect."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.placement import messages as m
from stowplan.placement.model import StopCode, TaskStatus
from tests.driving import Driven, definition, instance, on, provider, run_task

KNOWN_TASKS, KNOWN_INSTANCES = range(8), range(3)


def driven() -> Driven:
    """Three instances; tasks 0 and 1 were asked for, 2 to 4 are a service's, 5 to 7 wait."""
    world = Driven()
    web = m.CreateService("web", "app", 3)
    waits = m.CreateService("waits", "app", 3, capacity_provider_strategy=on(cp=1))
    world.round(definition(), provider(), *map(instance, KNOWN_INSTANCES), run_task(count=2))
    world.round(web, waits)
    assert len(world.scheduler.tasks) == len(KNOWN_TASKS)
    return world


def numbers(count: int):
    return st.lists(st.integers(-2, count + 2), max_size=4).map(tuple)


STATUSES = st.sampled_from([TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.STOPPED])
FACTS = st.one_of(
    st.builds(m.TasksChanged, STATUSES, numbers(8), st.just(StopCode.ESSENTIAL_CONTAINER_EXITED)),
    st.builds(m.TasksHealthChanged, st.booleans(), numbers(8)),
    st.builds(m.AgentConnectionChanged, numbers(3), st.booleans()),
    st.builds(m.InstancesGone, numbers(3)),
    st.builds(instance, st.integers(-2, 6)),
    st.builds(m.StartTask, st.just(99), st.just("app"), numbers(3)),
    st.builds(m.UpdateContainerInstancesState, numbers(3), st.sampled_from(["ACTIVE", "DRAINING"])),
    st.builds(m.InstancesTerminating, st.just(("i-1", "i-77")), st.just("")),
    st.builds(m.InstancesTerminated, st.just(("i-1", "i-77"))),
    st.builds(m.LaunchFailed, st.just("nobody"), st.just(1), st.just("")),
)


@settings(max_examples=80)
@given(st.lists(st.lists(FACTS, max_size=4), max_size=5))
def test_whatever_is_reported_the_scheduler_goes_on_and_what_it_rejects_changes_nothing(story):
    world, tidy = driven(), driven()
    for events in story:
        commands = world.round(*events)
        kept = tuple(world.rounds[-1].accepted())
        rest = tuple(c for c in commands if not isinstance(c, m.CallRejected))
        assert tidy.round(*kept) == rest


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (m.TasksChanged(TaskStatus.RUNNING, (0, 8)), "unknown tasks [8]"),
        (m.TasksChanged(TaskStatus.STOPPED, (-1,)), "unknown tasks [-1]"),
        (m.TasksHealthChanged(True, (8, 9)), "unknown tasks [8, 9]"),
        (m.StopTask((8,)), "unknown tasks [8]"),
        (m.AgentConnectionChanged((0, 3), False), "unknown instances [3]"),
        (m.InstancesGone((-1,)), "unknown instances [-1]"),
        (instance(4), "instance 4 registered, 3 is the next number"),
    ],
)
def test_what_nobody_knows_is_named(event, says):
    world = driven()
    (notice,) = [c for c in world.round(event) if isinstance(c, m.CallRejected)]
    assert (notice.position, notice.call, notice.reason) == (0, event, says)
    assert world.violations() == []
