"""An experiment that ran: what was asked, and the metrics of all its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stowplan.experiments.studies.experiment.spec import ExperimentTable, check_spec
from stowplan.experiments.studies.experiment.statistics import Interval, mean_interval
from stowplan.experiments.studies.experiment.store import Row, Store
from stowplan.placement.errors import SpecError

Labels = Mapping[str, str]


@dataclass(frozen=True)
class CellRuns:
    """The runs of a cell: its labels by axis, and a row of metrics by seed."""

    labels: Labels
    rows: Mapping[int, Row]
    names: Mapping[int, str]  # of their files

    def values(self, metric: str) -> NDArray[np.float64]:
        """A metric in the order of the seeds; NaN where a run has none."""
        found = [row.get(metric) for row in self.rows.values()]
        return np.array([np.nan if v is None else v for v in found], dtype=np.float64)


@dataclass(frozen=True)
class Experiment:
    """What was asked, and what all runs came to.

    Attributes:
        pilot: so many seeds decided how many there are in all; None: it was fixed before.
        cut_ms: the warm-up that metrics leave out.
        about: what was run on what: versions, duration, scenario.
    """

    spec: ExperimentTable
    axes: Mapping[str, Sequence[str]]
    compared: tuple[str, str] | None
    cells: Sequence[CellRuns]
    pilot: int | None
    cut_ms: int
    about: Mapping[str, Any]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row per run: its axes, its seed, and the experiment's metrics."""
        metrics = self.spec.metrics
        rows = [
            {**cell.labels, "seed": seed, **{name: row.get(name) for name in metrics}}
            for cell in self.cells
            for seed, row in cell.rows.items()
        ]
        frame = pd.DataFrame(rows, columns=[*self.axes, "seed", *metrics])
        return frame.astype(dict.fromkeys(metrics, "float64"))

    def mean(self, cell: CellRuns, metric: str) -> Interval | None:
        """The mean of a metric over the runs that have it; None: fewer than two have."""
        values = cell.values(metric)
        known = values[~np.isnan(values)]
        first = self.first(values)
        if known.size < 2:
            return None
        return mean_interval(known, self.spec.compare.confidence, first)

    def first(self, values: NDArray[np.float64]) -> int | None:
        """How many of the values that are known say how much they vary (see `statistics`)."""
        if self.pilot is None:
            return None
        known = int((~np.isnan(values[: self.pilot])).sum())
        return known if known >= 2 else None


def read_experiment(folder: Path) -> Experiment:
    """The experiment in a folder, from its files alone.

    Raises:
        SpecError: it is none, or naming every run whose file is missing or broken.
    """
    store = Store(folder)
    kept = store.description()
    try:
        spec = check_spec(kept["spec"], str(folder / "experiment.json"))
        cells, problems = [], []
        for cell in kept["cells"]:
            rows: dict[int, Row] = {}
            for seed, name in cell["runs"].items():
                row = store.read(name)
                if row is None:
                    what = "not there, or broken: `stowplan experiment run` makes it again"
                    problems.append((str(folder / "runs" / f"{name}.parquet"), what))
                else:
                    rows[int(seed)] = row
            names = {int(seed): name for seed, name in cell["runs"].items()}
            cells.append(CellRuns(cell["labels"], rows, names))
        compared = kept["compared"] and tuple(kept["compared"])
        found = Experiment(
            *(spec, kept["axes"], compared, cells, kept["pilot"], kept["cut_ms"], kept["about"])
        )
    except (KeyError, TypeError, AttributeError) as error:
        what = f"cannot be read: {type(error).__name__} {error}"
        raise SpecError([(str(folder / "experiment.json"), what)]) from error
    if problems:
        raise SpecError(problems)
    return found
