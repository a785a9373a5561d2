"""Image pulls in simulation: layers, caches, and bandwidth that is shared.

An instance downloads at `1 / ms_per_mib`, or at its part of the registry's bandwidth where that is
less; all its layers under way share that alike. Pulls that need a layer which is on its way wait
for it. To keep a change of the shared rate cheap, time is counted in *work*: the MiB that one layer
alone on an instance would have got by now.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from stowplan.placement.scenario.containers import ImageTable, PullTable

_TINY = 1e-6
Who = TypeVar("Who", bound=Hashable)


class PullEnd(NamedTuple, Generic[Who]):
    """A pull came to an end; `error` None: the image is there."""

    instance: int
    who: Who
    error: str | None


@dataclass(slots=True)
class _Downloads:
    """The layers on their way to one instance: MiB left of each, as of `work`."""

    left_mib: dict[str, float] = field(default_factory=dict)
    work: float = 0.0
    version: int = 0


class Pulls(Generic[Who]):
    """All pulls of all instances. Times must not go back from call to call."""

    def __init__(self, images: Mapping[str, ImageTable], table: PullTable) -> None:
        self._images, self._table = images, table
        self._cached: dict[int, set[str]] = {}
        self._factors: dict[int, float] = {}
        self._down: str | None = None
        self._count = 0
        self._asking: list[tuple[int, int, int, Who, str]] = []
        # By instance and pull, the layers that are not there yet.
        self._missing: dict[int, dict[Who, set[str]]] = {}
        self._downloads: dict[int, _Downloads] = {}
        # (work at which a layer is complete, version of the downloads, instance)
        self._ends: list[tuple[float, int, int]] = []
        self._failed: list[PullEnd[Who]] = []
        self._work, self._at_ms = 0.0, 0
        # What is done in a millionth of a ms is taken for done now; twice that, after rounding.
        self._tiny = _TINY * max(1.0, 1 / table.ms_per_mib)

    @property
    def modelled(self) -> bool:
        """Whether the scenario knows images at all; else all are everywhere."""
        return bool(self._images)

    def has(self, instance: int, image: str) -> bool:
        """Whether a complete copy is on the instance."""
        return self._layers(image) <= self._cached.get(instance, set())

    def cache(self, instance: int, images: Iterable[str]) -> None:
        """Put images on an instance before anything runs."""
        for image in images:
            self._cached.setdefault(instance, set()).update(self._layers(image))

    def begin(self, instance: int, who: Who, image: str, now_ms: int) -> None:
        """Ask the registry for an image; `who` is named when the pull has ended."""
        self._count += 1
        at_ms = now_ms + round(self._table.latency * self._factors.get(instance, 1))
        heapq.heappush(self._asking, (at_ms, self._count, instance, who, image))

    @property
    def next_ms(self) -> int | None:
        """When `due` has something to report or to do."""
        times = [self._asking[0][0]] if self._asking else []
        times += [self._at_ms] if self._failed else []
        while self._ends and self._stale(self._ends[0]):
            heapq.heappop(self._ends)
        if self._ends:
            wait_ms = (self._ends[0][0] - self._work) / self._rate()
            times.append(self._at_ms + max(0, math.ceil(wait_ms - _TINY)))
        return min(times, default=None)

    def due(self, now_ms: int) -> list[PullEnd[Who]]:
        """The pulls that have ended by now, in order."""
        self._advance(now_ms)
        ended, self._failed = self._failed, []
        while self._ends and self._ends[0][0] <= self._work + self._tiny:
            end = heapq.heappop(self._ends)
            if not self._stale(end):
                ended += self._layers_done(end[2])
        while self._asking and self._asking[0][0] <= now_ms:
            _, _, instance, who, image = heapq.heappop(self._asking)
            ended += self._answered(instance, who, image)
        return ended

    def fail(self, reason: str | None, now_ms: int) -> None:
        """The registry is out of order, or (None) in order again; pulls under way break off."""
        self._advance(now_ms)
        self._down = reason
        if reason is not None:
            for instance, pulls in self._missing.items():
                self._failed += [PullEnd(instance, who, reason) for who in pulls]
            self._missing.clear()
            self._downloads.clear()

    def set_factor(self, instance: int, factor: float, now_ms: int) -> None:
        """From now on pulls take `factor` times as long there as they would."""
        self._advance(now_ms)
        downloads = self._downloads.get(instance)
        if downloads:
            self._settle(instance, downloads)
        self._factors[instance] = factor
        if downloads:
            self._aim(instance, downloads)

    def forget(self, instance: int, now_ms: int) -> None:
        """The instance is gone, and its pulls with it."""
        self._advance(now_ms)
        self._downloads.pop(instance, None)
        self._missing.pop(instance, None)

    # --- inside -----------------------------------------------------------------------------------

    def _layers(self, image: str) -> set[str]:
        table = self._images.get(image)
        return set(table.layers) if table else set()

    def _answered(self, instance: int, who: Who, image: str) -> list[PullEnd[Who]]:
        """The registry has answered: download what is neither there nor on its way."""
        if self._down is not None:
            return [PullEnd(instance, who, self._down)]
        missing = self._layers(image) - self._cached.setdefault(instance, set())
        if not missing:
            return [PullEnd(instance, who, None)]
        self._missing.setdefault(instance, {})[who] = missing
        downloads = self._downloads.get(instance)
        if downloads is None:
            self._count += 1
            downloads = self._downloads[instance] = _Downloads({}, self._work, self._count)
        self._settle(instance, downloads)
        for layer, mib in self._images[image].layers.items():
            if layer in missing:
                downloads.left_mib.setdefault(layer, mib)
        self._aim(instance, downloads)
        return []

    def _layers_done(self, instance: int) -> list[PullEnd[Who]]:
        downloads = self._downloads[instance]
        self._settle(instance, downloads)
        done = {layer for layer, left in downloads.left_mib.items() if left <= 2 * self._tiny}
        self._cached[instance] |= done
        for layer in done:
            del downloads.left_mib[layer]
        if downloads.left_mib:
            self._aim(instance, downloads)
        else:
            del self._downloads[instance]
        pulls = self._missing[instance]
        for missing in pulls.values():
            missing -= done
        self._missing[instance] = {who: missing for who, missing in pulls.items() if missing}
        return [PullEnd(instance, who, None) for who, missing in pulls.items() if not missing]

    def _rate(self) -> float:
        """Work per ms."""
        rate = 1 / self._table.ms_per_mib
        if self._table.registry_mib_s and self._downloads:
            rate = min(rate, self._table.registry_mib_s / 1000 / len(self._downloads))
        return rate

    def _advance(self, now_ms: int) -> None:
        if self._downloads:
            self._work += self._rate() * (now_ms - self._at_ms)
        self._at_ms = now_ms

    def _settle(self, instance: int, downloads: _Downloads) -> None:
        if downloads.left_mib:
            got = (self._work - downloads.work) / self._slowness(instance, downloads)
            for layer in downloads.left_mib:
                downloads.left_mib[layer] -= got
        downloads.work = self._work

    def _aim(self, instance: int, downloads: _Downloads) -> None:
        """Note when the next of an instance's layers will be complete."""
        self._count += 1
        downloads.version = self._count
        least = max(0.0, min(downloads.left_mib.values()))
        work = downloads.work + least * self._slowness(instance, downloads)
        heapq.heappush(self._ends, (work, downloads.version, instance))

    def _slowness(self, instance: int, downloads: _Downloads) -> float:
        return len(downloads.left_mib) * self._factors.get(instance, 1)

    def _stale(self, end: tuple[float, int, int]) -> bool:
        downloads = self._downloads.get(end[2])
        return downloads is None or downloads.version != end[1]
