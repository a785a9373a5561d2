"""The figures of services: a part of `placement.audit.figures`."""

from __future__ import annotations

from dataclasses import dataclass, field

from stowplan.placement import messages as m
from stowplan.placement.audit.figures_uptime import Story, longest_below, shares
from stowplan.placement.model import StopCode, TaskStatus


@dataclass(slots=True)
class _Task:
    """`up`: RUNNING, and no health check speaks against it; `told_ms`: when that last changed, or
    it was placed."""

    service: str
    machine: int
    deployment: str | None
    placed_ms: int
    told_ms: int
    ran: bool = False
    up: bool = False
    to_stop: bool = False


@dataclass(slots=True)
class _Service:
    """`truth` has things when they were so, `belief` when ECS heard of them."""

    call: m.CreateService
    placed: int = 0
    truth: Story = field(default_factory=Story)
    belief: Story = field(default_factory=Story)

    def ask(self, now_ms: int) -> None:
        """Note what is asked of it from now on."""
        asked = self.call.desired_count, self.call.minimum_healthy_percent
        for story in (self.truth, self.belief):
            story.asked.append((now_ms, asked))


class ServiceLives:
    """What a journal says of REPLICA services; `take` every message."""

    def __init__(self) -> None:
        self._services: dict[str, _Service] = {}
        self._tasks: dict[int, _Task] = {}
        self._on: dict[int, dict[int, None]] = {}
        self._numbers: dict[str, int] = {}
        self._draining: set[int] = set()
        self._moved = self._failed = self._now_ms = 0

    def take(self, message: m.Event | m.Command, now_ms: int) -> None:
        """Take one message in."""
        self._now_ms = now_ms
        if isinstance(message, m.CreateService):
            if message.scheduling_strategy != "DAEMON":
                self._services[message.service] = _Service(message)
                self._services[message.service].ask(now_ms)
        elif isinstance(message, m.UpdateService):
            service = self._services.get(message.service)
            if service is not None:
                service.call = message.applied_to(service.call)
                service.ask(now_ms)
        elif isinstance(message, m.StartTasks):
            self._start(message)
        elif isinstance(message, m.StopTasks):
            self._stop(message)
        elif isinstance(message, m.ServiceEvent):
            own = message.service in self._services
            self._failed += own and ") deployment failed:" in message.text
        else:
            self._take_fact(message)

    def _take_fact(self, message: m.Event | m.Command) -> None:
        if isinstance(message, m.TasksChanged):
            self._change(message)
        elif isinstance(message, m.TasksHealthChanged):
            for number in message.tasks:
                task = self._tasks.get(number)
                if task is not None and task.ran and task.up is not message.healthy:
                    self._turn(task, message.since_ms)
        elif isinstance(message, m.InstanceRegistered):
            self._numbers[message.ec2_instance_id] = message.instance
        elif isinstance(message, m.UpdateContainerInstancesState):
            drains = message.status == "DRAINING"
            change = self._draining.update if drains else self._draining.difference_update
            change(message.instances)
        elif isinstance(message, m.InstancesTerminating):
            numbers = (self._numbers.get(name) for name in message.ec2_instance_ids)
            self._draining.update(number for number in numbers if number is not None)
        elif isinstance(message, m.InstancesGone):
            for number in message.instances:
                for lost in list(self._on.get(number, ())):
                    self._end(lost, message.since_ms)

    def _start(self, command: m.StartTasks) -> None:
        name = command.service
        if name is None or name not in self._services:
            return
        self._services[name].placed += len(command.tasks)
        for task, number in zip(command.tasks, command.instances, strict=True):
            self._tasks[task] = _Task(name, number, command.deployment, self._now_ms, self._now_ms)
            self._on.setdefault(number, {})[task] = None

    def _change(self, event: m.TasksChanged) -> None:
        for number in event.tasks:
            task = self._tasks.get(number)
            if task is None:
                continue
            if event.status is TaskStatus.RUNNING and not task.ran:
                task.ran = True
                self._turn(task, event.since_ms)
            elif event.status is TaskStatus.STOPPED:
                self._end(number, event.since_ms)

    def _turn(self, task: _Task, since_ms: int | None) -> None:
        """It is up from then on, or is no longer."""
        task.up = not task.up
        task.told_ms = max(task.told_ms, self._when(since_ms))
        service, change = self._services[task.service], 1 if task.up else -1
        service.truth.changes.append((task.told_ms, change))
        service.belief.changes.append((self._now_ms, change))

    def _when(self, since_ms: int | None) -> int:
        return self._now_ms if since_ms is None else min(since_ms, self._now_ms)

    def _end(self, number: int, since_ms: int | None) -> None:
        task = self._tasks.pop(number)
        del self._on[task.machine][number]
        service = self._services[task.service]
        service.placed -= 1
        if not task.to_stop:
            service.truth.mishaps.append(max(task.placed_ms, self._when(since_ms)))
            service.belief.mishaps.append(self._now_ms)
        if task.up:
            self._turn(task, since_ms)

    def _stop(self, command: m.StopTasks) -> None:
        for number in command.tasks:
            task = self._tasks.get(number)
            if task is not None:
                task.to_stop = True
                if command.stop_code is StopCode.SERVICE_SCHEDULER_INITIATED and task.ran:
                    self._moved += self._is_moved(task, command.reason)

    def _is_moved(self, task: _Task, reason: str) -> bool:
        """Whether a stop makes way for another task: of a deployment, off a drain, for balance."""
        scale_in = reason == f"Scaling activity initiated by (deployment {task.deployment})"
        return task.machine in self._draining or not scale_in

    def lack(self) -> int:
        """Tasks that services want and that have no place."""
        return sum(max(0, s.call.desired_count - s.placed) for s in self._services.values())

    def row(self, now_ms: int) -> dict[str, float | None]:
        """The figures of services up to now."""
        services = self._services.values()
        truth = [shares(service.truth, now_ms) for service in services]
        belief = [shares(service.belief, now_ms) for service in services]
        below = [longest_below(service.truth, now_ms) / 1000 for service in services]
        at_desired = _mean([desired for desired, _ in truth])
        return {
            "services_short_pct": None if at_desired is None else 100 - at_desired,
            "at_desired_pct": at_desired,
            "at_minimum_pct": _mean([minimum for _, minimum in truth]),
            "believed_at_desired_pct": _mean([desired for desired, _ in belief]),
            "believed_at_minimum_pct": _mean([minimum for _, minimum in belief]),
            "below_minimum_longest_s": max(below, default=None),
            "migrations": self._moved,
            "deployments_failed": self._failed,
        }


def _mean(percents: list[float]) -> float | None:
    return sum(percents) / len(percents) if percents else None
