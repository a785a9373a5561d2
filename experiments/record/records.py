"""What a `Recorder` keeps of instances, of who asked for tasks, of tasks, and in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stowplan.experiments.record.leftovers import Demand, IntArray
from stowplan.placement.messages import InstanceRegistered
from stowplan.placement.model import AVAILABILITY_ZONE, CPU, INSTANCE_TYPE, MEMORY, PORTS

Tables = tuple[list[str], IntArray, IntArray]  # names of dimensions, (rows, dimensions) of two


@dataclass(slots=True)
class InstanceRecord:
    """One instance: what it is, and for how long it was busy.

    It is busy while it holds a task that is no daemon's: a daemon is on every instance, so it says
    nothing of which of them are needed. `tasks` counts all that it holds, `daemons` those of them
    that are daemons'; `ever_used`: it was busy at some time.
    """

    name: str
    zone: str
    type: str
    cpu: int
    memory: int
    price_microusd_hour: int
    since_ms: int
    until_ms: int | None = None
    tasks: int = 0
    daemons: int = 0
    ever_used: bool = False
    busy_ms: int = 0
    busy_since_ms: int = 0

    @classmethod
    def of(cls, event: InstanceRegistered, now_ms: int) -> InstanceRecord:
        """One that registers now."""
        return cls(
            event.ec2_instance_id,
            event.attributes.get(AVAILABILITY_ZONE, ""),
            event.attributes.get(INSTANCE_TYPE, ""),
            event.resources[CPU],
            event.resources[MEMORY],
            event.price_microusd_hour,
            now_ms,
        )

    @property
    def busy(self) -> bool:
        """Whether it holds a task that is no daemon's."""
        return self.tasks > self.daemons

    def end_busy(self, now_ms: int) -> None:
        """Book the time until now for which it was busy."""
        if self.busy:
            self.busy_ms += now_ms - self.busy_since_ms
            self.busy_since_ms = now_ms


class Amounts:
    """What instances offer and what their tasks hold, a list per dimension, by their numbers."""

    def __init__(self) -> None:
        self.offered: dict[str, list[int]] = {CPU: [], MEMORY: []}
        self.held: dict[str, list[int]] = {CPU: [], MEMORY: []}
        self._size = 0

    def add(self, resources: Mapping[str, int]) -> None:
        """One instance more."""
        for name in (*self.offered, *resources):
            if name != PORTS:
                for table in (self.offered, self.held):
                    column = table.setdefault(name, [])
                    column += [0] * (self._size + 1 - len(column))
                self.offered[name][self._size] = resources.get(name, 0)
        self._size += 1

    def fills(self, there: Sequence[int], size: int) -> tuple[bytes, Tables]:
        """How full each of `size` instances is, in percent, 255 for one that is not `there`; and
        the `tables` of those that are."""
        fills = np.full(size, 255, dtype=np.uint8)
        tables = _, offered, held = self.tables(there)
        if there:
            of = np.maximum(offered[:, :2], 1)
            shares = np.where(offered[:, :2] > 0, held[:, :2] / of, 0).max(axis=1)
            fills[there] = np.minimum(100, np.rint(100 * shares))
        return fills.tobytes(), tables

    def tables(self, rows: Sequence[int]) -> Tables:
        """Names of dimensions that one of `rows` has, and (rows, dimensions) offered and held."""
        offered, held = (
            np.array(list(table.values()), dtype=np.int64)[:, rows]
            for table in (self.offered, self.held)
        )
        there = [
            n in (CPU, MEMORY) or each.any() for n, each in zip(self.offered, offered, strict=True)
        ]
        names = [name for name, is_there in zip(self.offered, there, strict=True) if is_there]
        return names, offered[there].T, held[there].T


@dataclass(slots=True)
class OwnerRecord:
    """A request or a service: what it asked for and what became of it.

    `placed` of its tasks have an instance, running or not. A `daemon` wants no number of tasks.
    `comes_again`: a task was reported as lost, so that it may be submitted anew.
    """

    name: str
    is_service: bool
    submitted_ms: int
    wanted: int
    started: int = 0
    running: int = 0
    owed: int = 0
    placed: int = 0
    daemon: bool = False
    comes_again: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come of it: a request of which all have run and ended."""
        over = not self.placed and not self.owed and self.started >= self.wanted
        return over and not (self.is_service or self.comes_again)


@dataclass(slots=True)
class Totals:
    """Sums over all present instances, at one time; `started`, `finished` since the beginning.

    `busy` are those that hold a task other than a daemon's; what daemons take is in `cpu_used` and
    `memory_used`, and they are among `running` and `pending`.
    """

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

    def integrate(self, levels: Totals, ms: int) -> None:
        """Add other levels times how long they lasted; one by one, as it is done every round."""
        self.cpu += levels.cpu * ms
        self.memory += levels.memory * ms
        self.cpu_used += levels.cpu_used * ms
        self.memory_used += levels.memory_used * ms
        self.present += levels.present * ms
        self.busy += levels.busy * ms
        self.running += levels.running * ms
        self.pending += levels.pending * ms
        self.waiting += levels.waiting * ms


TOTALS_FIELDS = tuple(Totals.__dataclass_fields__)
# Of REPLICA services: tasks wanted, those that ran, and those of which ECS believed it.
SAMPLE_FIELDS = (*TOTALS_FIELDS, "services_wanted", "services_running", "services_believed")


@dataclass(slots=True)
class TaskRecord:
    """A task that holds something of an instance: `kind`, CPU and memory first."""

    owner: int | str
    instance: int
    kind: Demand
    placed_ms: int
    running: bool = False
