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


class _Levels:
    """What an owner's tasks hold of an instance, and the sums of that until `since_ms`."""

    __slots__ = ("now", "since_ms", "sums")

    def __init__(self) -> None:
        self.now, self.sums, self.since_ms = [0, 0], [0, 0], 0

    def until(self, now_ms: int) -> list[int]:
        """The sums until now: CPU and memory, times ms."""
        ms, now, sums = now_ms - self.since_ms, self.now, self.sums
        if ms:
            sums[0] += now[0] * ms
            sums[1] += now[1] * ms
            self.since_ms = now_ms
        return sums


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
        self._held: dict[int, dict[str, _Levels]] = {}  # by instance and owner

    def book(
        self, instance: int, owner: str, amounts: Iterable[tuple[str, int]], sign: int, now_ms: int
    ) -> None:
        """A task of an owner came to an instance (1), or went (-1)."""
        owners = self._held.get(instance)
        if owners is None:
            owners = self._held[instance] = {}
        levels = owners.get(owner)
        if levels is None:
            levels = owners[owner] = _Levels()
        levels.until(now_ms)
        for name, amount in amounts:
            if name == CPU:
                levels.now[0] += sign * amount
            elif name == MEMORY:
                levels.now[1] += sign * amount

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
        self, bill: Bill, owners: dict[str, _Levels], now_ms: int
    ) -> dict[str, tuple[float, float]]:
        """Of each owner what it pays for what it held, and of what nobody held."""
        if not owners:
            return {}
        units = sum(weight * bill.offers.get(name, 0) for name, weight in _WEIGHTS.items())
        sums = {owner: levels.until(now_ms) for owner, levels in owners.items()}
        held = {
            name: {owner: each[at] for owner, each in sums.items()}
            for at, name in enumerate(_WEIGHTS)
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
