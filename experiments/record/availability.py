"""How available a service was, in truth and as ECS believed, from what became of its tasks.

Tasks that are dead do not count from the moment of their death, though ECS may hear of it minutes
later and counts them until then. So a service has two series. Both go by the same rule: it is held
to its desired count, but not while it boots for the first time, nor to a higher count before it
first got there.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
ALL = ""  # the zone that stands for all of them
# From when to when fewer ran than a service was held to: how many, that count, minimum healthy.
Dip = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Worst:
    """A service at its worst: when the smallest share of what it was held to ran, and how many.

    `for_ms`: how long without a break no more than that ran. Then for how long fewer than `desired`
    and fewer than `minimum` ran in all, and the longest such time, which began at `since_ms` (None:
    never below its minimum).
    """

    at_ms: int
    running: int
    desired: int
    minimum: int
    for_ms: int
    below_desired_ms: int
    below_desired_longest_ms: int
    below_minimum_ms: int
    below_minimum_longest_ms: int
    since_ms: int | None


@dataclass(slots=True)
class UpTime:
    """For how long, from `since_ms` to `settled_ms`, enough tasks of a service ran.

    Enough are `desired`, or `floor` of them (minimum healthy): what it was held to at the end, when
    `running` ran. What ECS believed is beside it, over a time of its own.
    """

    since_ms: int
    settled_ms: int
    desired: int = 0
    floor: int = 0
    running: int = 0
    at_desired_ms: int = 0
    at_floor_ms: int = 0
    believed_since_ms: int = 0
    believed_at_desired_ms: int = 0
    believed_at_floor_ms: int = 0
    worst: Worst | None = None  # of all zones; None: it never had fewer than desired

    def percent(self, kept: str) -> float:
        """The share of the time watched in which it kept `desired` or `floor`, in percent; of what
        ECS believed as well: `believed_desired`, `believed_floor`."""
        believed = kept.startswith("believed_")
        kept_ms = getattr(self, f"{'believed_' * believed}at_{kept.removeprefix('believed_')}_ms")
        since_ms = self.believed_since_ms if believed else self.since_ms
        return 100.0 * float(kept_ms) / max(1, self.settled_ms - since_ms)


@dataclass
class ServiceHistory:
    """What was wanted of a service, and when tasks of it came and went.

    `wanted`: (ms, desired count, minimum healthy percent). Of each change of how many run: when ECS
    heard of it, when it came to be, its zone's number, and by how many. `mishaps`: of each task
    that was lost or ended by itself, when ECS heard of it and when it happened.
    """

    created_ms: int
    wanted: list[tuple[int, int, int]] = field(default_factory=list)
    heard_ms: array[int] = field(default_factory=lambda: array("q"))
    true_ms: array[int] = field(default_factory=lambda: array("q"))
    zone: array[int] = field(default_factory=lambda: array("i"))
    change: array[int] = field(default_factory=lambda: array("b"))
    mishaps: list[tuple[int, int]] = field(default_factory=list)

    def add(self, heard_ms: int, true_ms: int, zone: int, change: int) -> None:
        """One task more that runs, or one less."""
        self.heard_ms.append(heard_ms)
        self.true_ms.append(true_ms)
        self.zone.append(zone)
        self.change.append(change)

    def times(self, believed: bool) -> array[int]:
        """When changes happened, or when ECS heard of them."""
        return self.heard_ms if believed else self.true_ms

    def running_at(self, times_ms: IntArray, believed: bool) -> IntArray:
        """How many ran at each time, changes of that very moment included."""
        at_ms = np.array(self.times(believed), np.int64)
        order = np.argsort(at_ms, kind="stable")
        sums = np.concatenate(([0], np.cumsum(np.array(self.change, np.int64)[order])))
        found: IntArray = sums[np.searchsorted(at_ms[order], times_ms, "right")]
        return found

    def wanted_at(self, times_ms: IntArray) -> IntArray:
        """The desired count at each time."""
        at_ms = np.array([at for at, _, _ in self.wanted], np.int64)
        counts = np.array([0, *(count for _, count, _ in self.wanted)], np.int64)
        found: IntArray = counts[np.searchsorted(at_ms, times_ms, "right")]
        return found


def up_times(
    history: ServiceHistory, zones: Sequence[tuple[int, str]], end_ms: int
) -> dict[str, UpTime]:
    """By zone, and for all of them, what a service was until `end_ms`.

    A zone is held to an even share, rounded down, of what the service is held to; `zones` are those
    that ever had an instance, with the time of the first.
    """
    truth, belief = (_Watch(history, believed, zones, end_ms) for believed in (False, True))
    found = {}
    for number, (_, zone) in enumerate([(0, ALL), *zones], -1):
        share = truth.zones if zone else 1
        at_desired_ms, at_floor_ms = truth.kept.get(number, (0, 0))
        believed_at_desired_ms, believed_at_floor_ms = belief.kept.get(number, (0, 0))
        found[zone] = UpTime(
            truth.since_ms,
            end_ms,
            truth.held // share,
            truth.floor // share,
            truth.running.get(number, 0),
            at_desired_ms,
            at_floor_ms,
            belief.since_ms,
            believed_at_desired_ms,
            believed_at_floor_ms,
            None if zone else worst_of(truth.dips),
        )
    return found


class _Watch:
    """One series of a service, walked through from its creation to the end.

    `held` is the count that it is held to. While it boots, and while a higher count is not reached
    yet, time is booked twice: as if that were excused, and as if not. It is excused once the count
    is reached or a mishap comes between, from which on it is an outage; it is not where the count
    is taken back first or the run ends.
    """

    def __init__(
        self,
        history: ServiceHistory,
        believed: bool,
        zones: Sequence[tuple[int, str]],
        end_ms: int,
    ) -> None:
        self.since_ms = self._now_ms = history.created_ms
        self.zones, self.held, self._percent, self._desired = 0, 0, 100, 0
        self.running: dict[int, int] = {-1: 0}
        self.kept: dict[int, list[int]] = {-1: [0, 0]}
        self._boots = self._rises = True
        self._excused: dict[int, list[int]] = {}
        self._strict: dict[int, list[int]] = {}
        self.dips: list[Dip] = []  # all zones together; two books of those, too, while it rises
        self._excused_dips: list[Dip] = []
        self._strict_dips: list[Dip] = []
        for at_ms, kind, value in _moments(history, believed, zones):
            if at_ms > self._now_ms:
                self._pass(min(at_ms, end_ms))
            self._take(kind, value)
        self._check()
        self._pass(end_ms)
        if self._rises:
            self._settle(excused=False)

    @property
    def floor(self) -> int:
        """Minimum healthy of what it is held to."""
        return -(-self.held * self._percent // 100)

    def _take(self, kind: int, value: Any) -> None:
        if kind == _ZONE:
            self.running.setdefault(self.zones, 0)
            self.kept.setdefault(self.zones, [0, 0])
            self.zones += 1
        elif kind == _WANTED:
            self._want(*value)
        elif kind == _CHANGE:
            zone, change = value
            self.running[-1] += change
            self.running[zone] = self.running.get(zone, 0) + change
        elif self._rises and (not self._boots or self._desired):
            self._settle(excused=True)

    def _want(self, desired: int, percent: int) -> None:
        lowered = desired < self._desired
        self._desired, self._percent = desired, percent
        if not self._rises and desired > self.held:
            self._rises = True
        elif self._rises and not self._boots and lowered and self.running[-1] >= desired:
            self._settle(excused=False)
        elif not self._rises:
            self.held = desired
        self.held = min(self.held, desired)

    def _settle(self, *, excused: bool) -> None:
        """The count is reached, or never will be: which of the two books holds."""
        if self._boots and excused:
            self.since_ms = self._now_ms
        else:
            for zone, kept in (self._excused if excused else self._strict).items():
                before = self.kept.setdefault(zone, [0, 0])
                before[0] += kept[0]
                before[1] += kept[1]
            self.dips += self._excused_dips if excused else self._strict_dips
        self._excused, self._strict = {}, {}
        self._excused_dips, self._strict_dips = [], []
        self._boots = self._rises = False
        self.held = self._desired

    def _check(self) -> None:
        if self._rises and self.running[-1] >= self._desired:
            self._settle(excused=True)

    def _pass(self, at_ms: int) -> None:
        """Everything of the moment that was is known: book the time until the next."""
        self._check()
        passed, self._now_ms = at_ms - self._now_ms, at_ms
        if not passed:
            return
        if not self._rises:
            self._book(self.kept, self.dips, self.held, passed)
        else:
            self._book(self._excused, self._excused_dips, self.held, passed)
            self._book(self._strict, self._strict_dips, self._desired, passed)

    def _book(self, kept: dict[int, list[int]], dips: list[Dip], held: int, passed: int) -> None:
        floor = -(-held * self._percent // 100)
        if self.running[-1] < held:
            dips.append((self._now_ms - passed, self._now_ms, self.running[-1], held, floor))
        share = max(1, self.zones)
        held_there, floor_there = held // share, floor // share
        for zone, running in self.running.items():
            each = kept.get(zone)
            if each is None:
                each = kept[zone] = [0, 0]
            whole = zone < 0
            if running >= (held if whole else held_there):
                each[0] += passed
            if running >= (floor if whole else floor_there):
                each[1] += passed


def worst_of(dips: Sequence[Dip]) -> Worst | None:
    """What a service was at its worst, of the times at which it had fewer tasks than desired."""
    if not dips:
        return None
    _, _, running, held, floor = worst = min(dips, key=lambda dip: (dip[2] / dip[3], dip[0]))
    as_few = [span for span in _joined(dips, lambda d: d[2] <= running) if span[1] > worst[0]]
    desired = _joined(dips, lambda dip: True)
    minimum = _joined(dips, lambda dip: dip[2] < dip[4])
    longest = max(minimum, key=lambda span: (span[1] - span[0], -span[0]), default=None)
    return Worst(
        worst[0],
        running,
        held,
        floor,
        as_few[0][1] - worst[0],
        sum(until - since for since, until in desired),
        max(until - since for since, until in desired),
        sum(until - since for since, until in minimum),
        0 if longest is None else longest[1] - longest[0],
        None if longest is None else longest[0],
    )


def _joined(dips: Sequence[Dip], counts: Callable[[Dip], bool]) -> list[tuple[int, int]]:
    """The dips that count, as (since, until); those that follow each other are one."""
    spans: list[tuple[int, int]] = []
    for dip in sorted(dips):
        if counts(dip):
            if spans and spans[-1][1] == dip[0]:
                spans[-1] = spans[-1][0], dip[1]
            else:
                spans.append(dip[:2])
    return spans


# In the order in which they are taken where they fall together: a lost task is a mishap before it
# is one less, so that it ends a boot that its going would prolong.
_ZONE, _WANTED, _MISHAP, _CHANGE = range(4)


def _moments(
    history: ServiceHistory, believed: bool, zones: Sequence[tuple[int, str]]
) -> Iterator[tuple[int, int, Any]]:
    changes: Iterable[tuple[int, int, Any]] = (
        (at_ms, _CHANGE, (zone, change))
        for at_ms, zone, change in zip(
            history.times(believed), history.zone, history.change, strict=True
        )
    )
    created_ms = history.created_ms
    found = [
        *((max(at_ms, created_ms), _ZONE, None) for at_ms, _ in zones),
        *((at_ms, _WANTED, (count, percent)) for at_ms, count, percent in history.wanted),
        *((heard if believed else true, _MISHAP, None) for heard, true in history.mishaps),
        *changes,
    ]
    # By time and kind alone: what comes of one kind at one time keeps its order.
    yield from sorted(found, key=lambda moment: moment[:2])
