"""Runs an experiment: what is known already is not run again, what ended is never lost."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np

from stowplan.experiments.record.result import RunResult
from stowplan.experiments.runs.travel import Setup, packed
from stowplan.experiments.studies.experiment.cells import Cell, Design
from stowplan.experiments.studies.experiment.experiment import CellRuns, Experiment
from stowplan.experiments.studies.experiment.identity import Names, Order
from stowplan.experiments.studies.experiment.spec import MSER
from stowplan.experiments.studies.experiment.statistics import runs_needed, warm_up
from stowplan.experiments.studies.experiment.store import Row, Store
from stowplan.experiments.studies.experiment.work import Beside, Here, Workers
from stowplan.placement.errors import SpecError

# runs done (those that were known included), runs in all as far as is known now
Report = Callable[[int, int], None]

PILOT_RUNS = 5  # that find a warm-up, with seeds of their own
PILOT_SEEDS = range(2_000_000_000, 2_000_000_000 + PILOT_RUNS)
_SERIES = ("running", "waiting", "cpu_used")  # a warm-up lasts until all of these are past it


@dataclass
class Runner:
    """Makes the runs of a design into a store.

    Args:
        jobs: processes at a time; None: one for each processor.
        scheduler: address of a Dask scheduler instead.
        setups: what other processes are to know first (see `runs.travel`).
        report: told how far it is.
    """

    design: Design
    store: Store
    jobs: int | None = None
    scheduler: str | None = None
    setups: Sequence[Setup] = ()
    report: Report = lambda done, total: None
    made: int = field(default=0, init=False)  # runs that were not known

    def __post_init__(self) -> None:
        self._names = Names(self.design.variants)
        self._rows: dict[str, Row] = {}

    def run(self) -> Experiment:
        """All runs that the experiment needs, and the answer.

        Runs that had ended are kept whatever comes, Ctrl-C included.

        Raises:
            SpecError: the folder or the scheduler cannot be used.
            PlacementError: a run failed; it says which.
        """
        with self.store.writing(), self._workers() as workers:
            found = self._run(workers)
            self.store.describe(_description(found))
        return found

    @contextmanager
    def _workers(self) -> Iterator[Workers]:
        variants, package = self.design.variants, packed(self.design.variants, self.setups)
        if self.scheduler is None:
            jobs = self.jobs or os.cpu_count() or 1
            yield Here(variants) if jobs == 1 else Beside(package, jobs)
            return
        try:
            from stowplan.experiments.studies.experiment.on_dask import OnDask
        except ImportError as error:
            what = "Dask is not installed: pip install 'stowplan[dask]'"
            raise SpecError([("--scheduler", what)]) from error
        on_dask = OnDask(package, self.scheduler)
        try:
            yield on_dask
        finally:
            on_dask.close()

    def _run(self, workers: Workers) -> Experiment:
        spec, cells = self.design.spec, self.design.cells
        cut_ms = self._cut(workers) if spec.warm_up == MSER else int(spec.warm_up)
        seeds = list(spec.seeds)
        self._make(workers, self._orders(cells, seeds, cut_ms))
        found = self._experiment(seeds, None, cut_ms)
        needed = _needed(found)
        if needed > len(seeds):
            pilot = len(seeds)
            further = range(max(seeds) + 1, max(seeds) + 1 + needed - pilot)
            self._make(workers, self._orders(cells, further, cut_ms), len(cells) * pilot)
            found = self._experiment([*seeds, *further], pilot, cut_ms)
        return found

    def _orders(
        self, cells: Sequence[Cell], seeds: Iterable[int], since_ms: int, keep: Any = None
    ) -> list[Order]:
        """Seed by seed, so that an experiment that is cut has pairs."""
        kept = self.design.spec.keep if keep is None else keep
        return [Order(c.variant, c.run, seed, since_ms, kept) for seed in seeds for c in cells]

    def _make(self, workers: Workers, orders: Sequence[Order], before: int = 0) -> None:
        """Make those of the runs that are not known."""
        names = {order: self._names.of(order) for order in orders}
        unknown: dict[str, Order] = {}  # two cells may be the same run
        for order, name in names.items():
            row = self._rows.get(name) or self.store.read(name, order.keep)
            if row is None:
                unknown[name] = order
            else:
                self._rows[name] = row
        done, total = before + len(orders) - len(unknown), before + len(orders)
        self.report(done, total)
        for order, ran in workers.runs(list(unknown.values())) if unknown else ():
            row = {"seed": order.seed, **ran.metrics}
            self.store.write(names[order], row, ran.tables)
            self._rows[names[order]] = row
            done, self.made = done + 1, self.made + 1
            self.report(done, total)

    def _cut(self, workers: Workers) -> int:
        """The warm-up by MSER-5, of the cell and series that take longest.

        The series of a cell is the mean of pilot runs, as the sum of theirs is less noisy; one cut
        for all, so that cells are compared over the same time.
        """
        cells = self.design.cells
        orders = self._orders(cells, PILOT_SEEDS, 0, ("timeline",))
        self._make(workers, orders)
        at = RunResult.sample_fields.index("ms")
        assert at == 0
        longest = 0
        for cell in cells:
            names = [self._names.of(order) for order in self._orders([cell], PILOT_SEEDS, 0)]
            frames = [self.store.table(name, "timeline") for name in names]
            for series in _SERIES:
                mean = np.mean([frame[series].to_numpy() for frame in frames], axis=0)
                steps = warm_up(mean)
                if steps:
                    longest = max(longest, int(frames[0]["ms"].iloc[steps]))
        return longest

    def _experiment(self, seeds: Sequence[int], pilot: int | None, cut_ms: int) -> Experiment:
        cells = []
        for cell in self.design.cells:
            orders = self._orders([cell], seeds, cut_ms)
            names = {order.seed: self._names.of(order) for order in orders}
            rows = {seed: self._rows[name] for seed, name in names.items()}
            cells.append(CellRuns(cell.labels, rows, names))
        design = self.design
        return Experiment(
            design.spec, design.axes, design.compared, cells, pilot, cut_ms, _about(design)
        )


def _needed(found: Experiment) -> int:
    """Seeds until every interval that is asked for is narrow enough, by Stein's two stages.

    Where an axis is compared it is the paired difference that is to be known so well, else the
    mean of each cell. Percent are of the baseline's mean, or of the cell's own, in the pilot.
    """
    spec = found.spec
    most = len(spec.seeds)
    for metric, wanted in spec.precision.items():
        for cell in found.cells:
            base = baseline_of(found, cell)
            if base is cell:
                continue
            values = cell.values(metric)
            mean_of = values if base is None else base.values(metric)
            apart = values if base is None else values - mean_of
            known = apart[~np.isnan(apart)]
            width = _width(wanted, mean_of)
            if known.size < 2 or width is None:
                continue
            limit = max(spec.seeds_max, len(spec.seeds))
            runs = runs_needed(known, width, spec.compare.confidence, limit)
            most = max(most, runs + int(np.isnan(apart).sum()))
    return min(most, max(spec.seeds_max, len(spec.seeds)))


def _width(wanted: float | str, values: Any) -> float | None:
    """Half an interval in the metric's unit; None where a percentage is of nothing."""
    if not isinstance(wanted, str):
        return wanted
    known = values[~np.isnan(values)]
    width = abs(float(known.mean())) * float(wanted.removesuffix("%")) / 100 if known.size else 0.0
    return width or None


def baseline_of(found: Experiment, cell: CellRuns) -> CellRuns | None:
    """The cell that this one is compared with, itself where it is a baseline; None: with none."""
    if found.compared is None:
        return None
    axis, baseline = found.compared
    labels = {**cell.labels, axis: baseline}
    return next(each for each in found.cells if each.labels == labels)


def _about(design: Design) -> dict[str, Any]:
    scenario = design.variants[0].scenario
    return {
        "scenario": scenario.name,
        "duration_ms": scenario.duration,
        "stowplan": version("stowplan"),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _description(found: Experiment) -> Mapping[str, Any]:
    spec = found.spec.model_dump(mode="json", exclude_defaults=True)
    if found.spec.warm_up and found.spec.warm_up != MSER:
        spec["warm_up"] = f"{found.spec.warm_up}ms"
    return {
        "spec": spec,
        "axes": {axis: list(labels) for axis, labels in found.axes.items()},
        "compared": found.compared,
        "cells": [
            {"labels": dict(cell.labels), "runs": {str(s): n for s, n in cell.names.items()}}
            for cell in found.cells
        ],
        "pilot": found.pilot,
        "cut_ms": found.cut_ms,
        "about": dict(found.about),
    }
