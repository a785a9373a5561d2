"""What somebody did to a cluster, and what became of dollars, waiting and availability.

Between two rounds nothing changes, so sums over time are sums over rounds of the described state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from stowplan.placement import messages as m
from stowplan.placement.describe import State
from stowplan.placement.model import InstanceStatus

HOUR_MS = 3_600_000
NOTES_MOST = 50


class Sums(NamedTuple):
    """Sums over time: dollars, and seconds of tasks that waited, were wanted, and were there."""

    at_ms: int = 0
    dollars: float = 0.0
    waiting: float = 0.0
    wanted: float = 0.0
    up: float = 0.0

    def until(self, later: Sums) -> Means:
        """The means from here to a later time."""
        hours = (later.at_ms - self.at_ms) / HOUR_MS
        if not hours:
            return Means(None, None, None)
        wanted = later.wanted - self.wanted
        return Means(
            (later.dollars - self.dollars) / hours,
            (later.waiting - self.waiting) / (3600 * hours),
            (later.up - self.up) / wanted if wanted else None,
        )


class Means(NamedTuple):
    """Dollars an hour, tasks that waited, share of the wanted service tasks that ran; None: no time
    passed, or nothing was wanted."""

    dollars_hour: float | None
    waiting: float | None
    availability: float | None


@dataclass
class Effects:
    """Call it with every round before the state takes it in: what it sums held until then."""

    state: State
    notes: list[tuple[str, Sums]] = field(default_factory=list)
    sums: Sums = field(default_factory=Sums)
    _price: int | None = None
    _provisioning: set[int] = field(default_factory=set)

    def __call__(self, entry: m.Round) -> None:
        """A round comes."""
        self.sums = self.until(entry.now_ms)
        for message in (*entry.events, *entry.commands):
            if isinstance(message, m.InstanceRegistered | m.InstancesGone):
                self._price = None
            elif isinstance(message, m.TasksProvisioning):
                if message.service is None:
                    self._provisioning.update(message.tasks)
            elif isinstance(message, m.StartTasks | m.TasksStopped):
                self._provisioning.difference_update(message.tasks)

    def until(self, now_ms: int) -> Sums:
        """The sums at a time that is no earlier than the last round's."""
        before = self.sums
        passed_ms = max(0, now_ms - before.at_ms)
        wanted, up = self._services()
        waiting = wanted - up + len(self._provisioning)
        seconds = passed_ms / 1000
        return Sums(
            before.at_ms + passed_ms,
            before.dollars + self.price() * passed_ms / HOUR_MS / 1e6,
            before.waiting + waiting * seconds,
            before.wanted + wanted * seconds,
            before.up + up * seconds,
        )

    def price(self) -> int:
        """Millionths of a dollar an hour, of what is registered."""
        if self._price is None:
            self._price = sum(
                each.price_microusd_hour
                for each in self.state.instances.values()
                if each.status is not InstanceStatus.INACTIVE
            )
        return self._price

    def waiting(self) -> int:
        """Tasks that wait now: of services those that are lacking."""
        wanted, up = self._services()
        return wanted - up + len(self._provisioning)

    def _services(self) -> tuple[int, int]:
        wanted = up = 0
        for each in self.state.services.values():
            count = 0 if each.status != "ACTIVE" or each.daemon else each.call.desired_count
            wanted += count
            up += min(count, each.running)
        return wanted, up

    def note(self, what: str, now_ms: int) -> None:
        """Somebody does something now."""
        self.notes.append((what, self.until(now_ms)))
        del self.notes[:-NOTES_MOST]

    def rows(self, now_ms: int) -> list[list[float | str | None]]:
        """By deed, the latest first: seconds, what, and each of the means before and after: from
        the deed before to this one, from this one to the next."""
        points = [Sums(), *(sums for _, sums in self.notes), self.until(now_ms)]
        found: list[list[float | str | None]] = []
        for index, (what, sums) in enumerate(self.notes, 1):
            before, after = points[index - 1].until(sums), sums.until(points[index + 1])
            pairs = [each for pair in zip(before, after, strict=True) for each in pair]
            found.insert(0, [sums.at_ms / 1000, what, *pairs])
        return found
