"""What a run has cost, and when it must end so that it costs no more than it may. Pure.

Amazon bills EC2 by the second, a minute at least, from launch to the end. What is not in it: disks,
public addresses, data that leaves, T instances' surplus credits.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_LEAST_S, _HOUR_S = 60, 3600


class Limits(msgspec.Struct, frozen=True):
    """What a run may take, since it began at `began_s` (seconds since 1970); None: no end.

    `reserve_s`: what ending it may take. `prices`: millionths of a dollar an hour by
    "TYPE MARKET"; `priced` says where they are from and of what date. `switch`: whether instances
    have a dead man's switch.
    """

    began_s: float
    reserve_s: float
    prices: dict[str, int]
    priced: str
    max_usd: float | None = None
    max_hours: float | None = None
    switch: bool = True

    def price(self, instance_type: str, market: str) -> int:
        """Millionths of a dollar an hour; 0 where nobody knows."""
        return self.prices.get(f"{instance_type} {market}", 0)

    @property
    def ends_s(self) -> float | None:
        """When everything must be gone."""
        return None if self.max_hours is None else self.began_s + self.max_hours * _HOUR_S


class Line(msgspec.Struct, frozen=True):
    """An instance in the bill; times in seconds since 1970, `ended_s` None: it is there yet."""

    id: str
    instance_type: str
    zone: str
    market: str
    microusd_hour: int
    launched_s: float
    ended_s: float | None = None

    def seconds(self, now_s: float) -> float:
        """How long it is paid for, until then."""
        end_s = now_s if self.ended_s is None else self.ended_s
        return max(_LEAST_S, end_s - self.launched_s)

    def usd(self, now_s: float) -> float:
        """Dollars, until then."""
        return self.seconds(now_s) * self.microusd_hour / _HOUR_S / 1e6


class Bill:
    """The instances of a run, each a line.

    Args:
        lines: of before a crash.
    """

    def __init__(self, lines: Mapping[str, Line]) -> None:
        self.lines = dict(lines)

    def take(self, line: Line, now_s: float, *, gone: bool) -> Line | None:
        """An instance was seen, there or gone; its line, if that says anything new."""
        before = self.lines.get(line.id)
        if before is None:
            after = msgspec.structs.replace(line, ended_s=now_s if gone else None)
        elif gone and before.ended_s is None:
            after = msgspec.structs.replace(before, ended_s=now_s)
        else:
            return None
        self.lines[line.id] = after
        return after

    def usd(self, now_s: float) -> float:
        """Dollars until then."""
        return sum(line.usd(now_s) for line in self.lines.values())

    def usd_hour(self) -> float:
        """Dollars an hour of what is there."""
        there = (line for line in self.lines.values() if line.ended_s is None)
        return sum(line.microusd_hour for line in there) / 1e6

    def over(self, limits: Limits, now_s: float) -> str:
        """Why the run must be ended now, in time for it to be gone by its limits; "": it need not.

        Once everything is gone nothing more is paid, and only the time counts.
        """
        after_s = now_s + limits.reserve_s
        if limits.ends_s is not None and after_s >= limits.ends_s:
            return f"--max-hours {limits.max_hours:g} is reached, less the time to end it"
        if limits.max_usd is not None and self.usd(after_s) >= limits.max_usd:
            return f"--max-usd {limits.max_usd:g} is reached, less what ending it may cost"
        return ""

    def words(self, now_s: float) -> str:
        """One line for people."""
        hours = sum(line.seconds(now_s) for line in self.lines.values()) / _HOUR_S
        count = len(self.lines)
        instances = f"{count} instance{'s' if count != 1 else ''}"
        return f"{self.usd(now_s):.4f} $ for {instances}, {hours:.3f} hours of them"
