"""Service auto scaling: keeps a service's load per running task near a target. Sans-IO.

Application Auto Scaling is no part of ECS but a caller of it, as `placement.callers.client` is: it
watches a metric and asks for another desired count by UpdateService. So a journal holds its calls
among the others, and replays without it.

Target tracking as AWS documents it (Application Auto Scaling User Guide, "How target tracking
scaling works"; ECS Developer Guide, "Use a target metric to scale Amazon ECS services"): one
datapoint a minute; above the target for 3 minutes in a row, the count grows in proportion at once;
below 90 % of it for 15 minutes in a row, it shrinks in proportion, rounded up. A scale-out within
the cooldown of another counts what that one added. A scale-in waits for the cooldown of the last
one, and while a deployment is going on; no task running is no data, and nothing happens. *Ours:*
the metric is the load at the end of the minute over the tasks RUNNING then.

Scheduled scaling (the same guide, "Scheduled scaling"): an action sets another minimum or maximum,
or both, from its time on. A count outside of them is brought to the nearer one at once, whatever
the cooldowns; target tracking goes on between them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.model import TaskStatus
from stowplan.placement.units import earliest

PERIOD_MS = 60_000
HIGH_DATAPOINTS, LOW_DATAPOINTS = 3, 15
LOW_SHARE = 0.9  # of the target, below which the low alarm counts


@dataclass(frozen=True, slots=True)
class LoadCurve:
    """The load of a service over time: (ms, load), straight lines between; the first value before
    them, the last after. With `repeat_ms` it begins anew each time that has passed."""

    points: tuple[tuple[int, float], ...]
    repeat_ms: int | None = None

    def at(self, now_ms: int) -> float:
        """The load at a time, in the unit of the points."""
        points = self.points
        if self.repeat_ms is not None:
            now_ms %= self.repeat_ms
            first_ms, first = points[0]
            points = (*points, (self.repeat_ms + first_ms, first))
        after = bisect_right(points, now_ms, key=lambda point: point[0])
        if after in (0, len(points)):
            return points[max(0, after - 1)][1]
        (from_ms, low), (to_ms, high) = points[after - 1], points[after]
        return low + (high - low) * (now_ms - from_ms) / (to_ms - from_ms)


@dataclass(frozen=True, slots=True)
class ScheduledAction:
    """At `at_ms`, and again each `every_ms`, other bounds hold from then on; None: as before."""

    at_ms: int
    every_ms: int | None = None
    min_capacity: int | None = None
    max_capacity: int | None = None

    def next_ms(self, after_ms: int) -> int | None:
        """When it is next carried out, after a time."""
        if after_ms < self.at_ms:
            return self.at_ms
        if self.every_ms is None:
            return None
        return self.at_ms + ((after_ms - self.at_ms) // self.every_ms + 1) * self.every_ms


@dataclass(frozen=True, slots=True)
class TargetTracking:
    """A target tracking policy of one service: `target` is load per running task."""

    load: LoadCurve
    target: float
    min_capacity: int
    max_capacity: int
    scale_out_cooldown_ms: int = 300_000
    scale_in_cooldown_ms: int = 300_000
    disable_scale_in: bool = False
    scheduled: tuple[ScheduledAction, ...] = ()


@dataclass(slots=True)
class _Service:
    """What is known of a service: `base` is its count before the scale-outs of the cooldown,
    `least` and `most` the bounds that hold now."""

    policy: TargetTracking
    least: int
    most: int
    desired: int | None = None
    running: int = 0
    deploying: bool = True
    high: int = 0
    low: int = 0
    base: int = 0
    out_until_ms: int = 0
    in_until_ms: int = 0


@dataclass
class Autoscaler:
    """Scales the services that have a policy. Its driver shows it every event and command.

    Args:
        policies: by the name of the service.
    """

    policies: Mapping[str, TargetTracking]
    _services: dict[str, _Service] = field(init=False)
    _tasks: dict[int, tuple[str, bool]] = field(init=False, default_factory=dict)
    _next_ms: int = field(init=False, default=PERIOD_MS)
    _scheduled_ms: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._services = {
            name: _Service(policy, policy.min_capacity, policy.max_capacity)
            for name, policy in self.policies.items()
        }
        self._scheduled_ms = self._next_scheduled(-1)
        self._handlers: dict[type, Callable[[Any], None]] = {
            m.CreateService: self._configured,
            m.UpdateService: self._configured,
            m.DeleteService: self._deleted,
            m.ServiceEvent: self._told,
            m.StartTasks: self._start,
            m.TasksChanged: self._changed,
            m.TasksStopped: self._stopped,
        }

    def take(self, messages: Iterable[m.Event | m.Command]) -> None:
        """Take in events or commands, in order; messages that do not matter here are passed
        over."""
        for message in messages:
            handler = self._handlers.get(type(message))
            if handler is not None:
                handler(message)

    @property
    def next_ms(self) -> int | None:
        """When it wants to be asked for calls; None: never."""
        return earliest(self._next_ms, self._scheduled_ms) if self._services else None

    def _next_scheduled(self, after_ms: int) -> int | None:
        actions = [each for policy in self.policies.values() for each in policy.scheduled]
        return earliest(*(each.next_ms(after_ms) for each in actions))

    def _scheduled(self, at_ms: int) -> Iterator[m.Event]:
        """The calls of the actions of a time: the later in a service's list hold."""
        for name, service in self._services.items():
            due = [e for e in service.policy.scheduled if e.next_ms(at_ms - 1) == at_ms]
            for action in due:
                least, most = action.min_capacity, action.max_capacity
                service.least = service.least if least is None else least
                service.most = service.most if most is None else most
            desired = service.desired
            if due and desired is not None:
                wanted = min(max(desired, service.least), service.most)
                if wanted != desired:
                    service.desired = wanted  # what the metrics of the same moment ask goes on it
                    yield m.UpdateService(name, wanted)

    def due(self, now_ms: int) -> list[m.Event]:
        """The calls to make now, after a look at the metrics of the minute that ended."""
        calls: list[m.Event] = []
        while self._scheduled_ms is not None and self._scheduled_ms <= now_ms:
            calls += self._scheduled(self._scheduled_ms)
            self._scheduled_ms = self._next_scheduled(self._scheduled_ms)
        while self._services and self._next_ms <= now_ms:
            for name, service in self._services.items():
                wanted = _decide(service, self._next_ms)
                if wanted is not None:
                    calls.append(m.UpdateService(name, wanted))
            self._next_ms += PERIOD_MS
        return calls

    # --- what it sees ---------------------------------------------------------------------------

    def _configured(self, call: m.CreateService | m.UpdateService) -> None:
        service = self._services.get(call.service)
        if service is None:
            return
        if call.desired_count is not None:
            service.desired = call.desired_count
        if isinstance(call, m.UpdateService):
            service.deploying |= call.force_new_deployment or call.task_definition is not None

    def _deleted(self, call: m.DeleteService) -> None:
        service = self._services.get(call.service)
        if service is not None:
            service.desired = None

    def _told(self, notice: m.ServiceEvent) -> None:
        service = self._services.get(notice.service)
        if service is None:
            return
        if "deployment completed" in notice.text or "deployment failed" in notice.text:
            service.deploying = False
        elif "rolling back" in notice.text:
            service.deploying = True

    def _start(self, command: m.StartTasks) -> None:
        if command.service in self._services:
            for task in command.tasks:  # some may run by now, if a command is repeated
                self._tasks.setdefault(task, (command.service, False))

    def _changed(self, event: m.TasksChanged) -> None:
        if event.status is TaskStatus.STOPPED:
            self._end(event.tasks)
        elif event.status is TaskStatus.RUNNING:
            for task in event.tasks:
                name, running = self._tasks.get(task, ("", True))
                if not running:
                    self._tasks[task] = name, True
                    self._services[name].running += 1

    def _stopped(self, notice: m.TasksStopped) -> None:
        self._end(notice.tasks)

    def _end(self, tasks: Iterable[int]) -> None:
        for task in tasks:
            name, running = self._tasks.pop(task, ("", False))
            if running:
                self._services[name].running -= 1


def _decide(service: _Service, now_ms: int) -> int | None:
    """The desired count to ask for at the end of this minute, or None for no change."""
    policy = service.policy
    if service.desired is None or not service.running:
        service.high = service.low = 0
        return None
    metric = policy.load.at(now_ms) / service.running
    service.high = service.high + 1 if metric > policy.target else 0
    service.low = service.low + 1 if metric < LOW_SHARE * policy.target else 0
    if service.high >= HIGH_DATAPOINTS:
        return _scale_out(service, metric / policy.target, now_ms)
    if service.low >= LOW_DATAPOINTS:
        return _scale_in(service, metric / policy.target, now_ms)
    return None


def _scale_out(service: _Service, ratio: float, now_ms: int) -> int | None:
    assert service.desired is not None
    if now_ms >= service.out_until_ms:
        service.base = service.desired
    wanted = min(_proportional(service.base, ratio), service.most)
    if wanted <= service.desired:
        return None
    service.out_until_ms = now_ms + service.policy.scale_out_cooldown_ms
    service.in_until_ms = now_ms
    return wanted


def _scale_in(service: _Service, ratio: float, now_ms: int) -> int | None:
    assert service.desired is not None
    blocked = service.policy.disable_scale_in or service.deploying
    if blocked or now_ms < service.in_until_ms:
        return None
    wanted = max(_proportional(service.desired, ratio), service.least)
    if wanted >= service.desired:
        return None
    service.in_until_ms = now_ms + service.policy.scale_in_cooldown_ms
    return wanted


def _proportional(count: int, ratio: float) -> int:
    """Rounded up, but not for an excess that only floating point made."""
    return math.ceil(count * ratio - 1e-9)
