"""The figures of services: a part of `placement.audit.figures`."""

from __future__ import annotations

from dataclasses import dataclass, field

from stowplan.placement import messages as m
from stowplan.placement.model import StopCode, TaskStatus


@dataclass(slots=True)
class _Service:
    """`log`: (ms, RUNNING tasks, tasks wanted, tasks that must be left), at each change."""

    call: m.CreateService
    placed: set[int] = field(default_factory=set)
    running: set[int] = field(default_factory=set)
    log: list[tuple[int, int, int, int]] = field(default_factory=list)

    def note(self, now_ms: int) -> None:
        """Write down how it is now."""
        wanted, percent = self.call.desired_count, self.call.minimum_healthy_percent
        floor = -(-wanted * percent // 100)
        entry = now_ms, len(self.running), wanted, floor
        if self.log and self.log[-1][0] == now_ms:
            self.log.pop()
        self.log.append(entry)

    def ms(self, which: int, until_ms: int) -> int:
        """For how long there were as many RUNNING as column `which` asks for."""
        ends = [entry[0] for entry in self.log[1:]] + [until_ms]
        pairs = zip(self.log, ends, strict=True)
        return sum(end - entry[0] for entry, end in pairs if entry[1] >= entry[which])


class ServiceLives:
    """What a journal says of services; `take` every message."""

    def __init__(self) -> None:
        self._services: dict[str, _Service] = {}
        self._of: dict[int, tuple[str, int, str | None]] = {}
        self._on: dict[int, set[int]] = {}
        self._numbers: dict[str, int] = {}
        self._draining: set[int] = set()
        self._moved = self._failed = 0

    def take(self, message: m.Event | m.Command, now_ms: int) -> None:
        """Take one message in."""
        if isinstance(message, m.CreateService):
            self._services[message.service] = _Service(message)
            self._services[message.service].note(now_ms)
        elif isinstance(message, m.UpdateService):
            service = self._services[message.service]
            service.call = message.applied_to(service.call)
            service.note(now_ms)
        elif isinstance(message, m.StartTasks):
            self._start(message)
        elif isinstance(message, m.TasksChanged):
            self._change(message, now_ms)
        elif isinstance(message, m.StopTasks):
            if message.stop_code is StopCode.SERVICE_SCHEDULER_INITIATED:
                self._moved += sum(self._is_moved(task, message.reason) for task in message.tasks)
        elif isinstance(message, m.ServiceEvent):
            self._failed += ") deployment failed:" in message.text and self._counts(message.service)
        else:
            self._take_fact(message, now_ms)

    def _take_fact(self, message: m.Event | m.Command, now_ms: int) -> None:
        if isinstance(message, m.InstanceRegistered):
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
                for task in list(self._on.get(number, ())):
                    self._end(task, now_ms)

    def _start(self, command: m.StartTasks) -> None:
        if command.service is None:
            return
        for task, number in zip(command.tasks, command.instances, strict=True):
            self._of[task] = (command.service, number, command.deployment)
            self._on.setdefault(number, set()).add(task)
            self._services[command.service].placed.add(task)

    def _change(self, event: m.TasksChanged, now_ms: int) -> None:
        for task in event.tasks:
            if task not in self._of:
                continue
            if event.status is TaskStatus.RUNNING:
                service = self._services[self._of[task][0]]
                service.running.add(task)
                service.note(now_ms)
            elif event.status is TaskStatus.STOPPED:
                self._end(task, now_ms)

    def _end(self, task: int, now_ms: int) -> None:
        name, number, _ = self._of.pop(task)
        self._on[number].discard(task)
        service = self._services[name]
        service.placed.discard(task)
        service.running.discard(task)
        service.note(now_ms)

    def _counts(self, name: str) -> bool:
        """Whether it is one with a count to keep."""
        return self._services[name].call.scheduling_strategy != "DAEMON"

    def _is_moved(self, task: int, reason: str) -> bool:
        """Whether a stop makes way for another task: of a deployment, off a drain, for balance."""
        if task not in self._of:
            return False
        name, number, deployment = self._of[task]
        if not self._counts(name) or task not in self._services[name].running:
            return False
        scale_in = reason == f"Scaling activity initiated by (deployment {deployment})"
        other = not reason.endswith(f"{deployment})")
        return other or number in self._draining or not scale_in

    def lack(self) -> int:
        """Tasks that services want and that have no place."""
        return sum(max(0, s.call.desired_count - len(s.placed)) for s in self._services.values())

    def row(self, now_ms: int) -> dict[str, float | None]:
        """The figures of services up to now."""
        short, desired, floor = [], [], []
        for service in self._services.values():
            watched = max(1, now_ms - service.log[0][0])
            kept = service.ms(2, now_ms)
            short.append(100 * (now_ms - service.log[0][0] - kept) / watched)
            if self._counts(service.call.service):
                desired.append(100 * kept / watched)
                floor.append(100 * service.ms(3, now_ms) / watched)
        return {
            "services_short_pct": _mean(short),
            "at_desired_pct": _mean(desired),
            "at_minimum_pct": _mean(floor),
            "migrations": self._moved,
            "deployments_failed": self._failed,
        }


def _mean(shares: list[float]) -> float | None:
    return sum(shares) / len(shares) if shares else None
