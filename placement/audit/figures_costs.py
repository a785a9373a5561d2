"""What instances cost, by kind and by whose tasks they held: a part of `placement.audit.figures`.

Of each instance and owner there is a level, what its tasks hold there now, and the sum of levels
times how long they lasted. An instance's price falls on a vCPU nine times as on a GiB, as AWS's
split cost allocation data has it; what nobody held of either is shared out by what each held of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stowplan.placement.model import CPU, MEMORY

MS_HOUR = 3_600_000
MONTH_HOURS = 730
NOBODY = "workload (no task)"  # of instances that held none
_WEIGHTS = {CPU: 9, MEMORY: 1}  # of 1024 CPU units, and of 1024 MiB


@dataclass(slots=True)
class _Level:
    now: int = 0
    since_ms: int = 0
    sum: int = 0

    def change(self, by: int, now_ms: int) -> None:
        self.sum += self.now * (now_ms - self.since_ms)
        self.now, self.since_ms = self.now + by, now_ms

    def until(self, now_ms: int) -> int:
        return self.sum + self.now * (now_ms - self.since_ms)


@dataclass(frozen=True, slots=True)
class Bill:
    """An instance that was paid for: by its kind, its number if it registered, what it offers."""

    provider: str
    type: str
    market: str
    number: int | None
    offers: dict[str, int]
    microusd_hour: int
    ms: int

    @property
    def dollars(self) -> float:
        """What it comes to."""
        return self.microusd_hour * self.ms / MS_HOUR / 1e6


class Costs:
    """Who held what of which instance."""

    def __init__(self) -> None:
        self._held: dict[int, dict[str, dict[str, _Level]]] = {}  # instance, owner, resource

    def book(
        self, instance: int, owner: str, amounts: Iterable[tuple[str, int]], sign: int, now_ms: int
    ) -> None:
        """A task of an owner came to an instance (1), or went (-1)."""
        levels = self._held.setdefault(instance, {}).setdefault(owner, {})
        for name, amount in amounts:
            if name in _WEIGHTS:
                levels.setdefault(name, _Level()).change(sign * amount, now_ms)

    def row(self, bills: Iterable[Bill], now_ms: int) -> dict[str, float | None]:
        """Dollars by kind of instance, by owner, and what share of all of them was idle."""
        kinds: dict[str, float] = {}
        whose: dict[str, float] = {}
        idle: dict[str, float] = {}
        total = unused = 0.0
        for bill in bills:
            total += bill.dollars
            kind = f"dollars for {bill.provider or 'no provider'}, {bill.type}, {bill.market}"
            kinds[kind] = kinds.get(kind, 0.0) + bill.dollars
            owners = {} if bill.number is None else self._held.get(bill.number, {})
            used = dict.fromkeys(owners, 0.0)
            for owner, (direct, share) in self._shares(bill, owners, now_ms).items():
                used[owner] = direct
                whose[owner] = whose.get(owner, 0.0) + direct + share
                idle[owner] = idle.get(owner, 0.0) + share
            unused += bill.dollars - sum(used.values())
        nobodys = total - sum(whose.values())
        if nobodys > 1e-9:
            whose[NOBODY] = idle[NOBODY] = nobodys
        return {
            "dollars_per_hour": total / now_ms * MS_HOUR if now_ms else None,
            "dollars_per_month": total / now_ms * MS_HOUR * MONTH_HOURS if now_ms else None,
            "dollars_idle_pct": 100 * unused / total if total else None,
            **kinds,
            **{f"dollars of {owner}": value for owner, value in whose.items()},
            **{f"idle dollars of {owner}": value for owner, value in idle.items()},
        }

    def _shares(
        self, bill: Bill, owners: dict[str, dict[str, _Level]], now_ms: int
    ) -> dict[str, tuple[float, float]]:
        """Of each owner what it pays for what it held, and of what nobody held."""
        if not owners:
            return {}
        units = sum(weight * bill.offers.get(name, 0) for name, weight in _WEIGHTS.items())
        held = {
            name: {
                o: levels[name].until(now_ms) if name in levels else 0
                for o, levels in owners.items()
            }
            for name in _WEIGHTS
        }
        found = dict.fromkeys(owners, (0.0, 0.0))
        for name, weight in _WEIGHTS.items():
            offered = bill.offers.get(name, 0) * bill.ms
            if not offered:
                continue
            price = bill.dollars * weight * bill.offers[name] / units
            full = sum(held[name].values())
            ratio_of = held[name] if full else held[next(n for n in _WEIGHTS if n != name)]
            whole = sum(ratio_of.values())
            left = price * max(0.0, 1 - full / offered)
            for owner, (direct, share) in found.items():
                direct += price * held[name][owner] / max(full, offered)
                share += left * ratio_of[owner] / whole if whole else 0.0
                found[owner] = direct, share
        return found
