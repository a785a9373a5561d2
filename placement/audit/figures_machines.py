"""The figures of instances: a part of `placement.audit.figures`.

An instance is busy while it holds a task that serves: any but a daemon's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from stowplan.placement import messages as m
from stowplan.placement.audit.figures_costs import Bill
from stowplan.placement.messages.capacity import ON_DEMAND
from stowplan.placement.model import CPU, INSTANCE_TYPE, MEMORY

HOUR_MS = 3_600_000


@dataclass(slots=True)
class _Span:
    """How long something was so, in ms."""

    since_ms: int | None = None
    before_ms: int = 0

    def begin(self, now_ms: int) -> None:
        """It is so from now on."""
        if self.since_ms is None:
            self.since_ms = now_ms

    def end(self, now_ms: int) -> None:
        """It is so no longer."""
        self.before_ms, self.since_ms = self.ms(now_ms), None

    def ms(self, now_ms: int) -> int:
        """For how long it was so until now."""
        return self.before_ms + (0 if self.since_ms is None else now_ms - self.since_ms)


@dataclass(slots=True)
class _Machine:
    said: m.InstanceRegistered
    there: _Span
    busy: _Span = field(default_factory=_Span)
    holds: dict[int, bool] = field(default_factory=dict)  # task -> whether it serves
    serving: int = 0
    used: bool = False


@dataclass(slots=True)
class _Bill:
    price: int
    since_ms: int
    until_ms: int | None = None
    kind: tuple[str, str, str] = ("", "", ON_DEMAND)  # provider, type, market

    def ms(self, now_ms: int) -> int:
        return (now_ms if self.until_ms is None else self.until_ms) - self.since_ms


class Machines:
    """The instances of a run, and what each costs."""

    def __init__(self) -> None:
        self._machines: list[_Machine] = []
        self._bills: dict[str, _Bill] = {}
        self._used_ms: Counter[str] = Counter()  # amount times ms, of tasks that ended

    def register(self, event: m.InstanceRegistered, now_ms: int) -> bool:
        """An instance registers, or registers again. Returns whether it is a new one."""
        kind = event.capacity_provider or "", event.attributes.get(INSTANCE_TYPE, ""), ON_DEMAND
        bill = self._bills.setdefault(
            event.ec2_instance_id, _Bill(event.price_microusd_hour, now_ms, None, kind)
        )
        bill.until_ms = None  # given up and back again: it was there, and paid for, all the while
        if event.instance < len(self._machines):
            self._machines[event.instance].there.begin(now_ms)
            return False
        self._machines.append(_Machine(event, _Span(now_ms)))
        return True

    def launched(self, event: m.InstancesLaunched, now_ms: int) -> None:
        """EC2 instances are paid for from their launch."""
        for each in event.instances:
            kind = event.capacity_provider, each.instance_type, each.market
            self._bills[each.ec2_instance_id] = _Bill(each.price_microusd_hour, now_ms, None, kind)

    def unpaid(self, name: str, now_ms: int) -> None:
        """An EC2 instance is paid for no longer."""
        bill = self._bills[name]
        bill.until_ms = now_ms if bill.until_ms is None else bill.until_ms

    def go(self, number: int, now_ms: int) -> None:
        """An instance is gone."""
        self._machines[number].there.end(now_ms)
        self.unpaid(self._machines[number].said.ec2_instance_id, now_ms)

    def tasks(self, number: int) -> list[int]:
        """What an instance holds."""
        return list(self._machines[number].holds)

    def hold(self, number: int, task: int, serves: bool, now_ms: int) -> None:
        """An instance holds one task more."""
        machine = self._machines[number]
        machine.holds[task] = serves
        if serves:
            machine.serving += 1
            machine.used = True
            machine.busy.begin(now_ms)

    def release(
        self, number: int, task: int, amounts: tuple[tuple[str, int], ...], ms: int, now_ms: int
    ) -> None:
        """A task that held these amounts for so many ms is no longer there."""
        machine = self._machines[number]
        for name, amount in amounts:
            self._used_ms[name] += amount * ms
        if machine.holds.pop(task):
            machine.serving -= 1
            if not machine.serving:
                machine.busy.end(now_ms)

    def bills(self, now_ms: int) -> Iterator[Bill]:
        """What each instance cost up to now."""
        numbers = {x.said.ec2_instance_id: number for number, x in enumerate(self._machines)}
        for name, bill in self._bills.items():
            number = numbers.get(name)
            offers = {} if number is None else self._machines[number].said.resources
            yield Bill(*bill.kind, number, offers, bill.price, bill.ms(now_ms))

    def row(self, now_ms: int, held: Callable[[str], int]) -> dict[str, float | None]:
        """The figures up to now; `held`: amount times ms of the tasks that are there still."""
        machines, bills = self._machines, self._bills.values()
        dollars = sum(bill.price * bill.ms(now_ms) for bill in bills)
        busy = sum(x.said.price_microusd_hour * x.busy.ms(now_ms) for x in machines)
        return {
            "instances": len(machines),
            "instances_mean": sum(x.there.ms(now_ms) for x in machines) / max(1, now_ms),
            "instances_used": sum(x.used for x in machines),
            "instances_busy_mean": sum(x.busy.ms(now_ms) for x in machines) / max(1, now_ms),
            "dollars": dollars / HOUR_MS / 1e6,
            "dollars_busy": busy / HOUR_MS / 1e6,
            "instance_hours": sum(bill.ms(now_ms) for bill in bills) / HOUR_MS,
            "cpu_reserved_pct": self._reserved(CPU, now_ms, held),
            "memory_reserved_pct": self._reserved(MEMORY, now_ms, held),
        }

    def _reserved(self, name: str, now_ms: int, held: Callable[[str], int]) -> float | None:
        offered = sum(x.said.resources.get(name, 0) * x.there.ms(now_ms) for x in self._machines)
        return 100 * (self._used_ms[name] + held(name)) / offered if offered else None
