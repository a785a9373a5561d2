"""Synthetic workloads whose rate varies: by the time of day, by a hidden state, in waves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Self

from numpy.random import Generator
from pydantic import Field, model_validator

from stowplan.experiments.workloads.protocol import Job
from stowplan.placement.scenario.fields import Distribution, Duration, Number, Positive, Table
from stowplan.placement.scenario.models import sampler
from stowplan.placement.scenario.scenario import WorkloadTable

Rate = Annotated[Number, Field(ge=0, le=1e6)]


class _DiurnalOptions(Table):
    """`rate_per_s` on average, `amplitude` (0 to 1) of it more at `peak_at` and less half a
    `period` later; each job has `count` tasks that run for `run`."""

    rate_per_s: Annotated[Number, Field(gt=0, le=1e6)]
    amplitude: Annotated[Number, Field(ge=0, le=1)]
    period: Annotated[Duration, Field(gt=0)] = 86_400_000
    peak_at: Duration = 43_200_000
    run: Distribution
    count: Positive = 1


class Diurnal:
    """A Poisson stream whose rate is a sine, until `until`; by thinning (Lewis & Shedler (1979),
    Simulation of Nonhomogeneous Poisson Processes by Thinning, NRLQ 26:403-413)."""

    options = _DiurnalOptions

    def __init__(self, table: WorkloadTable) -> None:
        self._until_ms = _until("diurnal", table)
        self._options = _DiurnalOptions(**table.options)

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The jobs; gap, whether it stays, and run time of each are drawn in turn."""
        options = self._options
        draw = sampler(options.run, rng)
        gap_ms = 1000 / (options.rate_per_s * (1 + options.amplitude))
        at = 0.0
        while (at := at + rng.exponential(gap_ms)) < self._until_ms:
            turn = 2 * math.pi * (at - options.peak_at) / options.period
            level = (1 + options.amplitude * math.cos(turn)) / (1 + options.amplitude)
            if rng.random() < level:
                yield Job(int(at), options.count, draw(1)[0])


class _MmppOptions(Table):
    """In state i `rates_per_s[i]` jobs a second arrive, for `stays[i]` on average."""

    rates_per_s: Annotated[tuple[Rate, ...], Field(min_length=2)]
    stays: tuple[Annotated[Duration, Field(gt=0)], ...]
    run: Distribution
    count: Positive = 1

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if len(self.rates_per_s) != len(self.stays):
            raise ValueError(f"{len(self.rates_per_s)} rates_per_s, but {len(self.stays)} stays")
        return self


class Mmpp:
    """A Markov-modulated Poisson process, until `until`: stays are exponential, then any other
    state follows, all equally likely; it begins in state i with the share of time that it spends
    there (Fischer & Meier-Hellstern (1993), The MMPP cookbook, Performance Evaluation 18)."""

    options = _MmppOptions

    def __init__(self, table: WorkloadTable) -> None:
        self._until_ms = _until("mmpp", table)
        self._options = _MmppOptions(**table.options)

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The jobs, state after state; within one gap and run time of each are drawn in turn."""
        options, until_ms = self._options, self._until_ms
        draw = sampler(options.run, rng)
        states, total = len(options.stays), sum(options.stays)
        state = int(rng.choice(states, p=[stay / total for stay in options.stays]))
        begin = 0.0
        while begin < until_ms:
            end = min(begin + rng.exponential(options.stays[state]), until_ms)
            rate = options.rates_per_s[state]
            at = begin
            while rate and (at := at + rng.exponential(1000 / rate)) < end:
                yield Job(int(at), options.count, draw(1)[0])
            begin = end
            state = (state + int(rng.integers(1, states))) % states


class _WavesOptions(Table):
    """Every `every`, from `first` on, `count` tasks, each at any time of the `within` after it."""

    every: Annotated[Duration, Field(gt=0)]
    first: Duration = 0
    count: Positive
    within: Duration = 0
    run: Distribution


class Waves:
    """Batch waves, as of nightly or hourly jobs, until `until`."""

    options = _WavesOptions

    def __init__(self, table: WorkloadTable) -> None:
        self._until_ms = _until("waves", table)
        self._options = _WavesOptions(**table.options)
        if self._options.within > self._options.every:
            raise ValueError("waves: within is longer than every, so waves would overlap")

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """One job of one task for each task, so that run times differ where the model says so."""
        options = self._options
        draw = sampler(options.run, rng)
        for wave_ms in range(options.first, self._until_ms, options.every):
            times = sorted(rng.integers(0, max(1, options.within), options.count).tolist())
            for at_ms, run_ms in zip(times, draw(options.count), strict=True):
                if wave_ms + at_ms < self._until_ms:
                    yield Job(wave_ms + at_ms, 1, run_ms)


def _until(kind: str, table: WorkloadTable) -> int:
    if table.until is None:
        raise ValueError(f"{kind} needs until")
    return table.until
