"""The book of tasks: numbers, states that only go forward, and who is on which instance."""

from __future__ import annotations

import itertools

import pytest

from stowplan.placement.model import TaskKind, TaskStatus
from stowplan.placement.scheduler.tasks import NOWHERE, Launch, TaskTable

LAUNCH = Launch(TaskKind((("CPU", 1),), "family:app"), "app:1")


def table(places: int = 0) -> TaskTable:
    """A table with a task on each of instances 0 .. places-1."""
    tasks = TaskTable()
    for instance in range(places):
        tasks.put(tasks.create(LAUNCH, TaskStatus.PROVISIONING), instance)
    return tasks


def test_tasks_are_numbered_from_zero_without_gaps():
    tasks = table()
    assert [tasks.create(LAUNCH, TaskStatus.PROVISIONING) for _ in range(3)] == [0, 1, 2]
    assert len(tasks) == 3


def test_a_new_task_is_alive_and_nowhere():
    tasks = table()
    task = tasks.create(LAUNCH, TaskStatus.PROVISIONING)
    assert tasks.alive(task)
    assert tasks.instance[task] == NOWHERE
    assert tasks.status[task] is TaskStatus.PROVISIONING


def test_a_task_that_is_put_somewhere_is_pending_there():
    tasks = table(2)
    assert tasks.instance == [0, 1]
    assert set(tasks.status) == {TaskStatus.PENDING}
    assert (tasks.on(0), tasks.on(1), tasks.on(2)) == ([0], [1], [])


def test_the_tasks_on_an_instance_are_listed_by_age_of_placement():
    tasks = table()
    for _ in range(3):
        tasks.create(LAUNCH, TaskStatus.PROVISIONING)
    for task in (2, 0, 1):
        tasks.put(task, 5)
    assert tasks.on(5) == [2, 0, 1]


@pytest.mark.parametrize(("old", "new"), list(itertools.product(TaskStatus, repeat=2)))
def test_a_state_is_taken_over_only_if_it_lies_ahead(old, new):
    tasks = table(2)
    tasks.status[1] = old
    order = list(TaskStatus)
    ahead = order.index(new) > order.index(old)
    assert tasks.advance([1, 1], new) == ([1] if ahead else [])
    assert tasks.status == [TaskStatus.PENDING, new if ahead else old]


def test_a_task_leaves_its_instance_when_it_has_stopped_not_when_it_is_told_to():
    tasks = table(1)
    tasks.end([0])
    assert not tasks.alive(0)
    assert tasks.on(0) == [0]
    assert tasks.stopped([0]) == ([], [])
    assert tasks.on(0) == []


def test_a_task_that_never_had_a_place_can_stop_too():
    tasks = table()
    task = tasks.create(LAUNCH, TaskStatus.PROVISIONING)
    assert tasks.stopped([task, task]) == ([task], [task])
    assert tasks.status[task] is TaskStatus.STOPPED


def test_of_those_that_stopped_it_tells_who_lived_and_who_never_ran():
    tasks = table(4)
    tasks.advance([0, 1], TaskStatus.RUNNING)
    tasks.end([1, 2])
    assert tasks.stopped([0, 1, 2, 3]) == ([0, 3], [3])
    assert tasks.stopped(range(4)) == ([], [])


def test_many_are_created_where_they_were_placed():
    tasks = table(2)
    assert list(tasks.create_on(LAUNCH, [7, 1, 7], [(), (), ()])) == [2, 3, 4]
    assert tasks.instance == [0, 1, 7, 1, 7]
    assert (tasks.on(7), tasks.on(1)) == ([2, 4], [1, 3])
    assert set(tasks.status) == {TaskStatus.PENDING}
    assert all(map(tasks.alive, range(5)))


def test_the_living_are_those_whose_end_was_not_asked_for():
    tasks = table(3)
    tasks.end([1])
    assert list(tasks.living()) == [0, 2]


def test_the_devices_of_a_task_are_remembered():
    tasks = table(1)
    task = tasks.create(LAUNCH, TaskStatus.PROVISIONING)
    tasks.put(task, 0, (1, 3))
    assert tasks.devices(task) == (1, 3)
    assert tasks.devices(0) == ()
