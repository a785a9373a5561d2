"""What is free and of no use, once a minute: a part of `placement.audit.figures`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from stowplan.placement.model import CPU, MEMORY, PORTS

EVERY_MS = 60_000
KINDS_MOST = 64  # the most frequent kinds of task stand for all
Amounts = tuple[tuple[str, int], ...]


class Frames:
    """Each instance's free amounts by the minute, against what tasks have asked for until then."""

    def __init__(self) -> None:
        self._next_ms = 0
        self._have: list[Counter[str]] = []
        self._held: list[Counter[str]] = []
        self._there: dict[int, None] = {}
        self._asked: Counter[frozenset[tuple[str, int]]] = Counter()
        self._sums: Counter[tuple[str, str]] = Counter()

    def register(self, resources: Mapping[str, int]) -> None:
        """One instance more."""
        self._there[len(self._have)] = None
        self._have.append(Counter({n: a for n, a in resources.items() if n != PORTS}))
        self._held.append(Counter())

    def present(self, number: int, is_there: bool) -> None:
        """An instance goes, or comes back."""
        self._there.pop(number, None)
        if is_there:
            self._there[number] = None

    def book(self, number: int, amounts: Amounts, sign: int) -> None:
        """A task takes its amounts of an instance (1), or gives them back (-1)."""
        for name, amount in amounts:
            self._held[number][name] += sign * amount
        if sign > 0:
            self._asked[frozenset(amounts)] += 1

    def until(self, now_ms: int) -> None:
        """Take the frames of the minutes before now, when things were as they are."""
        if self._next_ms >= now_ms:
            return
        frames = -(-(now_ms - self._next_ms) // EVERY_MS)
        self._next_ms += frames * EVERY_MS
        for key, value in self._frame().items():
            self._sums[key] += frames * value

    def _frame(self) -> dict[tuple[str, str], int]:
        """By (figure, resource): how much there is."""
        rows = list(self._there)
        if not rows:
            return {}
        offers = {name for n in rows for name, amount in self._have[n].items() if amount}
        names = [CPU, MEMORY, *sorted(offers - {CPU, MEMORY})]
        have = np.array([[self._have[n][name] for name in names] for n in rows], np.int64)
        held = np.array([[self._held[n][name] for name in names] for n in rows], np.int64)
        bad = self._of_no_use(names, np.maximum(have - held, 0))
        found = {}
        for at, name in enumerate(names[:2]):
            found["offered", name] = int(have[:, at].sum())
            found["free", name] = int(have[:, at].sum() - held[:, at].sum())
            found["stranded", name], found["fragmented", name] = (int(x[at]) for x in bad)
        return found

    def _of_no_use(self, names: list[str], free: Any) -> tuple[Any, Any]:
        """(resources,) stranded for the mean task, and fragmented, mean over tasks; rounded."""
        kinds = self._asked.most_common(KINDS_MOST)
        if not kinds:
            return np.zeros(len(names)), np.zeros(len(names))
        tasks = np.array([[dict(kind).get(name, 0) for name in names] for kind, _ in kinds])
        counts = np.array([count for _, count in kinds])
        mean = (tasks * counts[:, None]).sum(axis=0) / counts.sum()
        stranded = np.zeros(len(names))
        for at in range(len(names)):
            others = np.delete(free < mean, at, axis=1).any(axis=1)
            stranded[at] = free[others, at].sum()
        # Of each instance, the share of tasks that do not fit there.
        too_small = (free[:, None, :] < tasks[None, :, :]).any(axis=2)
        fragmented = (free * (too_small @ counts)[:, None]).sum(axis=0) / counts.sum()
        return np.rint(stranded), np.rint(fragmented)

    def row(self) -> dict[str, float | None]:
        """The figures over all frames."""
        found: dict[str, float | None] = {}
        for word, name in (("cpu", CPU), ("memory", MEMORY)):
            for figure, of in (("stranded", "offered"), ("fragmented", "free")):
                below = self._sums[of, name]
                share = 100 * self._sums[figure, name] / below if below else None
                found[f"{word}_{figure}_pct"] = share
        return found
