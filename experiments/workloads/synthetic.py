"""Synthetic workloads: a Poisson stream, and bursts at given times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

from numpy.random import Generator, default_rng
from pydantic import Field

from stowplan.experiments.workloads.protocol import Job
from stowplan.placement.scenario.fields import (
    Count,
    Distribution,
    Duration,
    Number,
    Positive,
    Table,
)
from stowplan.placement.scenario.models import sampler
from stowplan.placement.scenario.scenario import WorkloadTable


class _PoissonOptions(Table):
    """`rate_per_s` jobs a second on average, of `count` tasks each, each running for `run`."""

    rate_per_s: Annotated[Number, Field(gt=0, le=1e6)]
    run: Distribution
    count: Positive = 1


class Poisson:
    """Jobs with exponential gaps, until `until`."""

    options = _PoissonOptions

    def __init__(self, table: WorkloadTable) -> None:
        if table.until is None:
            raise ValueError("poisson needs until")
        self._until_ms = table.until
        self._options = _PoissonOptions(**table.options)

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The jobs; gap and run time of each are drawn in turn, so both are the same for every
        strategy."""
        draw = sampler(self._options.run, rng)
        gap_ms = 1000 / self._options.rate_per_s
        at = 0.0
        while (at := at + rng.exponential(gap_ms)) < self._until_ms:
            yield Job(round(at), self._options.count, draw(1)[0])


class _RenewalOptions(Table):
    """Jobs with gaps drawn from `gap`, of `count` tasks each, each running for `run`."""

    gap: Distribution
    run: Distribution
    count: Positive = 1


class Renewal:
    """Jobs whose gaps are independent and of any distribution, until `until`."""

    options = _RenewalOptions

    def __init__(self, table: WorkloadTable) -> None:
        if table.until is None:
            raise ValueError("renewal needs until")
        self._until_ms = table.until
        self._options = _RenewalOptions(**table.options)
        if not any(sampler(self._options.gap, default_rng(0))(1000)):
            raise ValueError("renewal needs gaps above 0s")

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The jobs; gap and run time of each are drawn in turn."""
        gap, run = sampler(self._options.gap, rng), sampler(self._options.run, rng)
        at = 0
        while (at := at + gap(1)[0]) < self._until_ms:
            yield Job(at, self._options.count, run(1)[0])


class _BurstOptions(Table):
    """`count` tasks at each time of `at`, each running for `run`."""

    at: tuple[Duration, ...] = (0,)
    count: Count
    run: Distribution


class Burst:
    """The same number of tasks at each of some times, if before `until`."""

    options = _BurstOptions

    def __init__(self, table: WorkloadTable) -> None:
        self._until_ms = math.inf if table.until is None else table.until
        self._options = _BurstOptions(**table.options)

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """One job of one task for each task, so that run times differ where the model says so."""
        draw = sampler(self._options.run, rng)
        for at_ms in sorted(at for at in self._options.at if at < self._until_ms):
            for run_ms in draw(self._options.count):
                yield Job(at_ms, 1, run_ms)
