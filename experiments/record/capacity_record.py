"""What a journal says of capacity: launches, instance-hours, waiting, the metric by minute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.messages.capacity import ON_DEMAND
from stowplan.placement.model import INSTANCE_TYPE

MS_PER_HOUR = 3_600_000
POINT_FIELDS = ("ms", "capacity_provider", "needed", "running", "desired", "percent")


@dataclass(slots=True)
class Paid:
    """An instance that is paid for: from its launch, or where nobody told of that, registration."""

    price_microusd_hour: int
    since_ms: int
    until_ms: int | None = None
    type: str = ""
    capacity_provider: str = ""  # "": of no provider
    market: str = ON_DEMAND

    def ms(self, now_ms: int) -> int:
        """How long it was paid for until `now_ms`."""
        return (now_ms if self.until_ms is None else self.until_ms) - self.since_ms


@dataclass
class CapacityRecord:
    """Call the handler of each message's type, where there is one, with the message and the time.

    `points` has POINT_FIELDS, a row per provider and minute. `placed_ms`: of each
    standalone task that waited in PROVISIONING until it was placed, how long; `service_placed_ms`
    the same of tasks of services.
    """

    paid: dict[str, Paid] = field(default_factory=dict)
    points: list[tuple[Any, ...]] = field(default_factory=list)
    placed_ms: list[int] = field(default_factory=list)
    service_placed_ms: list[int] = field(default_factory=list)
    launches: int = 0
    terminations: int = 0
    launch_failures: int = 0
    throttled: int = 0

    def __post_init__(self) -> None:
        self._names: dict[int, str] = {}
        self._waiting: dict[int, int] = {}
        self.handlers: dict[type, Any] = {
            m.InstancesLaunched: self._launched,
            m.InstanceRegistered: self._registered,
            m.InstancesTerminated: self._terminated,
            m.InstancesGone: self._gone,
            m.LaunchFailed: self._failed,
            m.CallThrottled: self._throttle,
            m.TasksProvisioning: self._provisioning,
            m.StartTasks: self._started,
            m.TasksStopped: self._stopped,
            m.CapacityProviderReservation: self._measured,
        }

    def dollars(self, now_ms: int) -> float:
        """What all instances cost until `now_ms`."""
        paid = sum(each.price_microusd_hour * each.ms(now_ms) for each in self.paid.values())
        return paid / (1e6 * MS_PER_HOUR)

    def hours(self, now_ms: int) -> float:
        """How long all instances were up, together."""
        return sum(each.ms(now_ms) for each in self.paid.values()) / MS_PER_HOUR

    def _launched(self, event: m.InstancesLaunched, now_ms: int) -> None:
        self.launches += len(event.instances)
        for each in event.instances:
            self.paid[each.ec2_instance_id] = Paid(
                each.price_microusd_hour,
                now_ms,
                type=each.instance_type,
                capacity_provider=event.capacity_provider,
                market=each.market,
            )

    def _registered(self, event: m.InstanceRegistered, now_ms: int) -> None:
        self._names[event.instance] = event.ec2_instance_id
        known = self.paid.get(event.ec2_instance_id)
        if known is None:
            self.paid[event.ec2_instance_id] = Paid(
                event.price_microusd_hour,
                now_ms,
                type=event.attributes.get(INSTANCE_TYPE, ""),
                capacity_provider=event.capacity_provider or "",
            )
        else:
            known.until_ms = None  # given up and back: it was up, and paid for, all the while

    def _terminated(self, event: m.InstancesTerminated, now_ms: int) -> None:
        self.terminations += len(event.ec2_instance_ids)
        for name in event.ec2_instance_ids:
            self._end(name, now_ms)

    def _gone(self, event: m.InstancesGone, now_ms: int) -> None:
        for number in event.instances:
            self._end(self._names[number], now_ms)

    def _end(self, name: str, now_ms: int) -> None:
        if self.paid[name].until_ms is None:
            self.paid[name].until_ms = now_ms

    def _failed(self, event: m.LaunchFailed, now_ms: int) -> None:
        self.launch_failures += 1

    def _throttle(self, event: m.CallThrottled, now_ms: int) -> None:
        self.throttled += 1

    def _provisioning(self, notice: m.TasksProvisioning, now_ms: int) -> None:
        self._waiting.update(dict.fromkeys(notice.tasks, now_ms))

    def _started(self, command: m.StartTasks, now_ms: int) -> None:
        if self._waiting:
            waits = self.placed_ms if command.service is None else self.service_placed_ms
            for task in command.tasks:
                if task in self._waiting:
                    waits.append(now_ms - self._waiting.pop(task))

    def _stopped(self, notice: m.TasksStopped, now_ms: int) -> None:
        for task in notice.tasks:
            self._waiting.pop(task, None)

    def _measured(self, notice: m.CapacityProviderReservation, now_ms: int) -> None:
        self.points.append(
            (
                now_ms,
                notice.capacity_provider,
                notice.needed,
                notice.running,
                notice.desired_capacity,
                notice.percent,
            )
        )
