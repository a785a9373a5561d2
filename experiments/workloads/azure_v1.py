"""Virtual machines of Azure (2017), as Cortez et al.'s trace was processed into flavours.

`file`: a line for each 300 s, first the time in s, then the flavours that arrived, apart by commas,
`|` at the end of a tenant's batch. Beside it, by the names in the options: `durations`, the same
with `U` (ended) or `C` (ran at the trace's end) and the index of a bin instead of each flavour;
`flavours`, a line `<vCPU>,<memory GB> <letter>` for each; `intervals`, which of the bins each
duration in s is in. A duration is taken to be in the middle of its bin, and GB to be GiB. What had
not ended runs for good. A batch's neighbours of one flavour and duration are one job.

Source: Cortez et al. (2017), Resource Central, SOSP; Azure Public Dataset V1, CC-BY 4.0; see the
README beside the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from numpy.random import Generator

from stowplan.experiments.workloads.protocol import Job
from stowplan.experiments.workloads.rows import lines, number, trace_file
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.fields import Table
from stowplan.placement.scenario.scenario import WorkloadTable

Size = tuple[int, int]
_Made = TypeVar("_Made")


class _Options(Table):
    """The files beside the arrivals, by name."""

    durations: str = "v1.dev.c2100000.txt.gz"
    flavours: str = "flav_map.txt"
    intervals: str = "v1.interval_map.txt.gz"


class AzureV1:
    """Reads the two maps whole; arrivals and durations line by line."""

    options = _Options

    def __init__(self, table: WorkloadTable) -> None:
        """Raises SpecError naming file and line of what is wrong, OSError where a file is not."""
        self._path = trace_file("azure_v1", table.file)
        options = _Options(**table.options)
        folder, self._until_ms = self._path.parent, table.until
        self._durations = trace_file("azure_v1", str(folder / options.durations))
        self._sizes = dict(_pairs(folder / options.flavours, _flavour))
        self._run_ms = _middles(folder / options.intervals)
        for _ in self._jobs():
            pass

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The batches as jobs, by time; nothing is drawn."""
        yield from self._jobs()

    def _jobs(self) -> Iterator[Job]:
        first_s: float | None = None
        batch = 0
        pairs = zip(lines(self._path), lines(self._durations), strict=False)
        for (line, came), (_, lasted) in pairs:
            try:
                at_s, flavours = _line(came)
                other_s, durations = _line(lasted)
                if at_s != other_s or len(flavours) != len(durations):
                    raise ValueError(f"does not match the line in {self._durations.name}")
                first_s = at_s if first_s is None else first_s
                at_ms = round((at_s - first_s) * 1000)
                if self._until_ms is not None and at_ms >= self._until_ms:
                    return
                for (flavour, duration), same in groupby(zip(flavours, durations, strict=True)):
                    if flavour == "|":
                        batch += 1
                        continue
                    yield self._job(at_ms, batch, flavour, duration, len(list(same)))
            except ValueError as error:
                raise SpecError([(f"{self._path}:{line}", str(error))]) from error

    def _job(self, at_ms: int, batch: int, flavour: str, duration: str, count: int) -> Job:
        if flavour not in self._sizes:
            raise ValueError(f"flavour {flavour!r} is not in the map of flavours")
        run_ms = self._run_ms.get(duration[1:])
        if duration[:1] not in ("U", "C") or run_ms is None:
            raise ValueError(f"duration {duration!r} is neither U nor C and a bin")
        cpu, memory = self._sizes[flavour]
        ends = run_ms if duration[0] == "U" else None
        return Job(at_ms, count, ends, cpu, memory, f"batch-{batch}")


def _line(text: str) -> tuple[float, list[str]]:
    at, _, rest = text.strip().partition(" ")
    return number("time", at), [each for each in rest.split(",") if each]


def _pairs(path: Path, make: Callable[[str, str], _Made]) -> Iterator[_Made]:
    """What `make` makes of the two words of each line."""
    for line, text in lines(path):
        try:
            first, second = text.split()
            yield make(first, second)
        except ValueError as error:
            raise SpecError([(f"{path}:{line}", str(error))]) from error


def _flavour(size: str, letter: str) -> tuple[str, Size]:
    cpu, memory = size.split(",")
    return letter, (round(number("vCPU", cpu) * 1024), round(number("memory", memory) * 1024))


def _middles(path: Path) -> dict[str, int]:
    """The middle of each bin in ms, at least 1."""
    ends: dict[str, tuple[float, float]] = {}
    for seconds, index in _pairs(path, lambda s, index: (number("duration", s), index)):
        low, high = ends.get(index, (seconds, seconds))
        ends[index] = min(low, seconds), max(high, seconds)
    return {index: max(1, round((low + high) * 500)) for index, (low, high) in ends.items()}
