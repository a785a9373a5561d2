"""What a `Recorder` keeps of instances, of who asked for tasks, of tasks, and in all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from experiments.leftovers import Demand


@dataclass(slots=True)
class InstanceRecord:
    """One instance: what it is, what it holds now, and for how long it held anything.

    `more`, `more_used`: the dimensions other than CPU and memory, by name.
    """

    name: str
    zone: str
    type: str
    cpu: int
    memory: int
    price_microusd_hour: int
    since_ms: int
    until_ms: int | None = None
    cpu_used: int = 0
    memory_used: int = 0
    tasks: int = 0
    ever_used: bool = False
    busy_ms: int = 0
    busy_since_ms: int = 0
    more: dict[str, int] = field(default_factory=dict)
    more_used: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class OwnerRecord:
    """A request or a service: what it asked for and what became of it."""

    name: str
    is_service: bool
    submitted_ms: int
    wanted: int
    started: int = 0
    running: int = 0
    owed: int = 0
    short_ms: int = 0
    settled_ms: int = 0

    def settle(self, now_ms: int) -> None:
        """Book the time since the last change as short, if it was; call before each change."""
        if self.running < self.wanted:
            self.short_ms += now_ms - self.settled_ms
        self.settled_ms = now_ms


@dataclass(slots=True)
class Totals:
    """Sums over all present instances, at one time; `started`, `finished` since the beginning."""

    cpu: int = 0
    memory: int = 0
    cpu_used: int = 0
    memory_used: int = 0
    present: int = 0
    busy: int = 0
    running: int = 0
    pending: int = 0
    waiting: int = 0
    started: int = 0
    finished: int = 0


SAMPLE_FIELDS = tuple(Totals.__dataclass_fields__)
# Levels, of which a mean over time makes sense; the rest are counts.
INTEGRATED = SAMPLE_FIELDS[: SAMPLE_FIELDS.index("started")]


@dataclass(slots=True)
class TaskRecord:
    """A task that holds something of an instance."""

    owner: int | str
    instance: int
    cpu: int
    memory: int
    placed_ms: int
    more: Demand = ()
    running: bool = False
