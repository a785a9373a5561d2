"""The contract of a driver: `check_driver(make)` plays a scheduler that gives a few orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from stowplan.placement import messages as m
from stowplan.placement.driver import Driver
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.scheduler.launches import Launches

_TASKS = (0, 1, 2)
_LATER = 3  # is stopped in the moment in which it was started
_DRAINS = 4  # has a target that drains
_WAITS_MOST = 10_000  # for one thing, so that a driver whose time stands still is found out


# Of one small container; a real backend needs an image that it has.
SMALL_TASK: Mapping[str, Any] = {
    "family": "checked",
    "containerDefinitions": [{"name": "c", "image": "i", "cpu": 64, "memory": 64}],
}


def check_driver(
    make: Callable[[], Driver],
    *,
    definition: Mapping[str, Any] = SMALL_TASK,
    patience_ms: int = 60_000,
    quiet_ms: int = 1_000,
) -> None:
    """Assert that a driver keeps the contract of `Driver`.

    It is asked as the scheduler asks: a few tasks are started and stopped, each order twice, one
    started again after its end, and notices are given that mean nothing. It must number instances
    from 0, know time that never goes back, answer at the deadline, report every start and every
    stop within `patience_ms` and once, no stop before its order allows, and nothing of tasks that
    nobody started. All that it says must survive the journal, and nothing of it may be a call:
    those are for callers to make. A `wait` that never returns cannot be told from here: give the
    test a limit.

    Args:
        make: makes the driver of a world in which an instance registers that has room for four
            tasks of the definition, and tasks run until they are stopped.
        definition: the input of RegisterTaskDefinition for those tasks.
        patience_ms: of the driver's own time, for each thing to happen.
        quiet_ms: how long nothing may happen where nothing was asked for.
    Raises:
        AssertionError: something of that does not hold; the message says what.
    """
    driver = make()
    subject = _Subject(type(driver).__name__, driver, patience_ms)
    try:
        subject.register(definition)
        subject.boot()
        _check_starts(subject, quiet_ms)
        _check_stops(subject, quiet_ms)
        subject.execute(m.ServiceEvent("none", "has reached a steady state."))
        subject.quiet(quiet_ms, "a notice")
    finally:
        driver.close()


def _check_starts(subject: _Subject, quiet_ms: int) -> None:
    order = subject.start(_TASKS)
    subject.execute(order)
    subject.execute(order)
    subject.until(_TASKS, TaskStatus.RUNNING)
    subject.quiet(quiet_ms, "the start that it was ordered twice")
    subject.execute(order)
    subject.quiet(quiet_ms, "the same start once more, after the tasks ran")


def _check_stops(subject: _Subject, quiet_ms: int) -> None:
    first, rest = _TASKS[:1], _TASKS[1:]
    order = m.StopTasks(first, StopCode.USER_INITIATED, "Task stopped by user")
    subject.execute(order)
    subject.execute(order)
    subject.until(first, TaskStatus.STOPPED)
    subject.quiet(quiet_ms, "the stop that it was ordered twice")
    subject.execute(order)
    subject.execute(subject.start(first))
    subject.quiet(quiet_ms, "the same stop and start once more, after the task ended")
    subject.execute(subject.start((_LATER,)))
    subject.execute(m.StopTasks((*rest, _LATER), StopCode.USER_INITIATED, "Task stopped by user"))
    subject.until((*rest, _LATER), TaskStatus.STOPPED)
    subject.execute(subject.start((_DRAINS,)))
    subject.until((_DRAINS,), TaskStatus.RUNNING)
    order = subject.drain((_DRAINS,), 2 * quiet_ms)
    subject.quiet(quiet_ms, "a stop that is to wait until its target has drained")
    subject.execute(order)
    subject.until((_DRAINS,), TaskStatus.STOPPED)
    subject.quiet(quiet_ms, "the end of all tasks")


class _Subject:
    """The driver under test, and all that it reported."""

    def __init__(self, name: str, driver: Driver, patience_ms: int) -> None:
        self._name, self._driver, self._patience_ms = name, driver, patience_ms
        self._now_ms = self._time()
        self._definitions = Launches()
        self._known: list[str] = []
        self._instances = 0
        self._asked: set[int] = set()
        self._status: dict[int, TaskStatus] = {}

    def fail(self, what: str) -> None:
        raise AssertionError(f"{self._name}: {what}")

    def register(self, document: Mapping[str, Any]) -> None:
        """Tell it of the task definition, and of one that makes no sense."""
        for each in ({"family": "senseless"}, document):
            try:
                self._driver.register(m.RegisterTaskDefinition(dict(each)))
            except Exception as error:
                raise AssertionError(f"{self._name}: register raised {error!r}") from error
        self._known.append(self._definitions.register(document).name)

    def boot(self) -> None:
        """Until the instance is there."""
        end_ms = self._now_ms + self._patience_ms
        while not self._instances:
            self._wait(end_ms, "an instance")

    def start(self, tasks: tuple[int, ...]) -> m.StartTasks:
        """The order to start tasks on the first instance."""
        name = self._known[0]
        self._asked.update(tasks)
        return m.StartTasks(
            name, f"family:{name.partition(':')[0]}", tasks, (0,) * len(tasks), service="checked"
        )

    def drain(self, tasks: tuple[int, ...], for_ms: int) -> m.StopTasks:
        """Order tasks to be stopped after so long."""
        until_ms = self._now_ms + for_ms
        order = m.StopTasks(tasks, StopCode.USER_INITIATED, "Task stopped by user", until_ms)
        self.execute(order)
        return order

    def execute(self, command: m.Command) -> None:
        """Give an order; that takes none of the driver's time."""
        kind = type(command).__name__
        try:
            self._driver.execute(command)
        except Exception as error:
            raise AssertionError(f"{self._name}: execute({kind}) raised {error!r}") from error
        if self._time() != self._now_ms:
            self.fail(f"execute({kind}) took time: it must return at once")

    def until(self, tasks: Collection[int], status: TaskStatus) -> None:
        """Until all of these tasks are reported so."""
        end_ms = self._now_ms + self._patience_ms
        while late := [task for task in tasks if self._status.get(task) is not status]:
            self._wait(end_ms, f"tasks {late} to be {status}")

    def quiet(self, quiet_ms: int, after: str) -> None:
        """No task changes for so long."""
        end_ms, before = self._now_ms + quiet_ms, dict(self._status)
        for _ in range(_WAITS_MOST):
            if self._now_ms >= end_ms:
                break
            if self._listen(end_ms) is None:
                alive = [t for t in self._asked if self._status.get(t) is not TaskStatus.STOPPED]
                if alive:
                    self.fail(f"says that no more can follow, while tasks {alive} are there")
                break
        else:
            self.fail(f"time stands still at {self._now_ms} ms: {_WAITS_MOST} waits on end")
        if self._status != before:
            self.fail(f"after {after} tasks changed: {before} became {self._status}")

    def _time(self) -> int:
        now_ms = self._driver.now_ms()
        if not isinstance(now_ms, int) or isinstance(now_ms, bool):
            self.fail(f"now_ms() is {now_ms!r}, not a whole number of ms")
        return now_ms

    def _wait(self, end_ms: int, for_what: str) -> None:
        if self._now_ms >= end_ms:
            self.fail(f"waited {self._patience_ms} ms for {for_what}, and nothing came")
        for _ in range(_WAITS_MOST):
            events = self._listen(end_ms)
            if events is None:
                self.fail(f"says that no more can follow, while the scheduler waits for {for_what}")
            if events or self._now_ms >= end_ms:
                return
        self.fail(f"time stands still at {self._now_ms} ms, while one waits for {for_what}")

    def _listen(self, deadline_ms: int) -> list[m.Event] | None:
        """One `wait`, held to its contract."""
        try:
            events = self._driver.wait(deadline_ms)
        except Exception as error:
            raise AssertionError(f"{self._name}: wait raised {error!r}") from error
        now_ms = self._time()
        if now_ms < self._now_ms:
            self.fail(f"its time went back, from {self._now_ms} to {now_ms} ms")
        self._now_ms = now_ms
        if events is None:
            return None
        if not isinstance(events, list):
            self.fail(f"wait gave a {type(events).__name__}, not a list of events or None")
        if not events and now_ms < deadline_ms:
            self.fail(f"wait gave up at {now_ms} ms, before the deadline {deadline_ms} ms, with []")
        self._check_journal(events)
        for event in events:
            self._take(event)
        return events

    def _check_journal(self, events: list[m.Event]) -> None:
        entry = m.Round(self._now_ms, tuple(events), ())
        try:
            same = msgspec.json.decode(msgspec.json.encode(entry), type=m.Round) == entry
        except (TypeError, msgspec.MsgspecError) as error:
            raise AssertionError(f"{self._name}: reported {events}, no events: {error}") from error
        if not same:
            self.fail(f"what it reported is another after the journal: {events}")

    def _take(self, event: m.Event) -> None:
        # An agent sets its own instance DRAINING when its host is about to be taken away.
        if isinstance(event, m.CALLS) and not isinstance(event, m.UpdateContainerInstancesState):
            self.fail(f"made a call, which is for callers to make: {event}")
        if isinstance(event, m.InstanceRegistered):
            if event.instance > self._instances:
                self.fail(
                    f"registered instance {event.instance}, the next number is {self._instances}"
                )
            self._instances = max(self._instances, event.instance + 1)
        elif isinstance(event, m.TasksChanged):
            self._changed(event)
        elif isinstance(event, m.InstancesGone):
            self.fail(f"lost instances {event.instances}: its world must last for the check")

    def _changed(self, event: m.TasksChanged) -> None:
        if event.since_ms is not None and event.since_ms > self._now_ms:
            self.fail(f"reported at {self._now_ms} ms what comes at {event.since_ms} ms: {event}")
        twice = [task for task, count in Counter(event.tasks).items() if count > 1]
        for task in event.tasks:
            before = self._status.get(task)
            if task not in self._asked:
                self.fail(f"reported task {task}, which nobody started: {event}")
            if before is event.status or task in twice:
                self.fail(f"reported task {task} {event.status} twice")
            if before is TaskStatus.STOPPED or _rank(event.status) < _rank(before):
                self.fail(f"reported task {task} {event.status} after it was {before}")
            if event.status is TaskStatus.STOPPED and event.stop_code is None:
                self.fail(f"reported task {task} STOPPED without a stop code")
            self._status[task] = event.status


def _rank(status: TaskStatus | None) -> int:
    return -1 if status is None else list(TaskStatus).index(status)
