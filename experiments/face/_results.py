"""What a run came to, as a notebook reads it: metrics, tables, plots, and the journal to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd

from stowplan._plots import bars, over_time
from stowplan._scenario import Scenario
from stowplan.experiments.record import results as shown
from stowplan.experiments.record.cost_frames import costs_frame, owner_costs_frame
from stowplan.experiments.record.keys import KEYS
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.record.service_frames import deployments_frame, services_frame
from stowplan.experiments.record.task_rows import TaskRow, task_frame
from stowplan.placement.errors import SpecError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = ("cpu_reserved_pct", "memory_reserved_pct", "wait_p50_s", "dollars", "refusals")


@dataclass(frozen=True)
class Journal:
    """The journal of a run: what happened and what was decided, round by round, gzip JSON lines.

    It replays (`replay`) and can be checked (`verify`), here and by the command line.
    """

    data: bytes = field(repr=False)
    name: str

    def save(self, path: str | Path) -> Path:
        """Write it to a file, whose name should end in `.jsonl.gz`; returns the path."""
        Path(path).write_bytes(self.data)
        return Path(path)

    def __repr__(self) -> str:
        return f"<Journal {self.name}: {len(self.data) / 1000:,.0f} kB; save(path) writes it>"


@dataclass(frozen=True, repr=False)
class Result:
    """One run of a scenario; made by `simulate`.

    Attributes
    ----------
    scenario : Scenario
        What ran.
    seed : int
        With which seed.
    run : RunResult
        What the recorder kept; its tables are below.
    """

    scenario: Scenario
    seed: int
    run: RunResult
    _journal: Journal | None = None
    _tasks: Sequence[TaskRow] | None = None

    @property
    def strategy(self) -> str:
        """The name of the strategy that ran."""
        return self.run.run.strategy

    @property
    def metrics(self) -> pd.Series:
        """Every metric by name; `metrics_about()` says what each is and in which unit."""
        values = {name: self.run.metrics.get(name) for name in METRICS}
        return pd.Series(values, name=self.strategy, dtype="float64")

    @property
    def timeline(self) -> pd.DataFrame:
        """A row per sample of time: what was counted then, and shares of what was registered."""
        return self._table(shown.timeline_frame)

    @property
    def instances(self) -> pd.DataFrame:
        """A row per instance: what it is, when it was there, how it was used."""
        return self._table(shown.instances_frame)

    @property
    def services(self) -> pd.DataFrame:
        """A row per service and zone (zone "" for all): time at the desired count, migrations."""
        return self._table(services_frame)

    @property
    def waits(self) -> pd.DataFrame:
        """How many tasks waited, and took to start, how long: a row per bin."""
        return self._table(shown.waits_frame)

    @property
    def dimensions(self) -> pd.DataFrame:
        """A row per minute and resource: offered, used, stranded, fragmented."""
        return self._table(shown.dimensions_frame)

    @property
    def capacity(self) -> pd.DataFrame:
        """A row per capacity provider and minute: CapacityProviderReservation and its parts."""
        return self._table(shown.capacity_frame)

    @property
    def costs(self) -> pd.DataFrame:
        """Dollars by capacity provider, instance type, market and time; what was up, and hours."""
        return self._table(costs_frame)

    @property
    def owner_costs(self) -> pd.DataFrame:
        """Dollars by service and workload: for what each reserves, and its share of what is idle.

        The price of an instance is split as AWS's split cost allocation data does it.
        """
        return self._table(owner_costs_frame)

    @property
    def deployments(self) -> pd.DataFrame:
        """A row per deployment of a service: its state, how long it took, what it waits for."""
        return self._table(deployments_frame)

    @property
    def tasks(self) -> pd.DataFrame:
        """A row per task: who asked for it, its instance, and its times in seconds of the run.

        `submitted_s`, `placed_s`, `running_s`, `ended_s`; NaN is what did not happen, and nobody
        submits the tasks of services. Raises SpecError where `simulate` was not told `tasks=True`.
        """
        if self._tasks is None:
            raise SpecError([("tasks", "were not kept: say simulate(..., tasks=True)")])
        return self._keyed(task_frame(self._tasks))

    @property
    def journal(self) -> Journal:
        """The journal. Raises SpecError where `simulate` was told `journal=False`."""
        if self._journal is None:
            raise SpecError([("journal", "was not kept: say simulate(..., journal=True)")])
        return self._journal

    def plot(self) -> Figure:
        """CPU and memory reserved over time, in percent of what is registered."""
        return _plot([self])

    def _table(self, made: Callable[[Sequence[RunResult]], pd.DataFrame]) -> pd.DataFrame:
        return self._keyed(made([self.run]))

    def _keyed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The table without what is the same in every row: the keys of the run."""
        return frame.drop(columns=[name for name in KEYS if name in frame])

    def __repr__(self) -> str:
        metrics = self.metrics
        values = ", ".join(
            f"{name} {metrics[name]:.3g}" for name in _SHOWN if not np.isnan(metrics[name])
        )
        keys = self.run.run
        return (
            f"<Result {self.scenario.name}: {keys.strategy}, {keys.layout}, {keys.faults}, "
            f"seed {self.seed}; {values}>"
        )

    def _repr_html_(self) -> str:
        return str(results_frame([self]).T._repr_html_())


@dataclass(frozen=True, repr=False)
class Results(Sequence[Result]):
    """Several runs, in the order of strategies, then seeds; a sequence of `Result`."""

    runs: tuple[Result, ...]

    @overload
    def __getitem__(self, at: int) -> Result: ...
    @overload
    def __getitem__(self, at: slice) -> Results: ...
    def __getitem__(self, at: int | slice) -> Result | Results:
        return Results(self.runs[at]) if isinstance(at, slice) else self.runs[at]

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.runs)

    @property
    def frame(self) -> pd.DataFrame:
        """A row per run: strategy, layout, faults, seed, and every metric."""
        return results_frame(self.runs)

    @property
    def timeline(self) -> pd.DataFrame:
        """A row per run and sample of time."""
        return self._tables(shown.timeline_frame)

    @property
    def instances(self) -> pd.DataFrame:
        """A row per run and instance."""
        return self._tables(shown.instances_frame)

    @property
    def services(self) -> pd.DataFrame:
        """A row per run, service and zone."""
        return self._tables(services_frame)

    @property
    def deployments(self) -> pd.DataFrame:
        """A row per run and deployment of a service."""
        return self._tables(deployments_frame)

    @property
    def costs(self) -> pd.DataFrame:
        """A row per run, capacity provider, instance type, market and stretch of time."""
        return self._tables(costs_frame)

    @property
    def owner_costs(self) -> pd.DataFrame:
        """A row per run and service or workload: its dollars, and its share of what is idle."""
        return self._tables(owner_costs_frame)

    def summary(self, *metrics: str) -> pd.DataFrame:
        """Mean and standard deviation over the seeds, a row per strategy; of all metrics or some.

        Raises KeyError where there is no such metric.
        """
        frame, names = self.frame, list(metrics or METRICS)
        return frame.groupby(list(KEYS), sort=False)[names].agg(["mean", "std"])

    def plot(self) -> Figure:
        """CPU and memory reserved over time, a curve per strategy: its first seed's."""
        first: dict[tuple[str, str, str], Result] = {}
        for each in self.runs:
            keys = each.run.run
            first.setdefault((keys.strategy, keys.layout, keys.faults), each)
        return _plot(list(first.values()))

    def plot_fragmentation(self) -> Figure:
        """Free CPU and memory that no task can use, in percent: means over time and seeds."""
        frame = self.frame.groupby("strategy", sort=False).mean(numeric_only=True)
        panels = {
            f"{what}, %": {
                kind: frame[f"{column}_{kind}_pct"].fillna(0).tolist()
                for kind in ("stranded", "fragmented")
            }
            for what, column in (("CPU", "cpu"), ("Memory", "memory"))
        }
        return bars(panels, list(frame.index))

    def _tables(self, made: Callable[[Sequence[RunResult]], pd.DataFrame]) -> pd.DataFrame:
        return _with_seeds(self.runs, made)

    def __repr__(self) -> str:
        return "<Results\n " + "\n ".join(map(repr, self.runs)) + ">"

    def _repr_html_(self) -> str:
        return str(self.frame._repr_html_())


def results_frame(results: Iterable[Result]) -> pd.DataFrame:
    """Runs as one table, whatever scenarios and calls they come from.

    Parameters
    ----------
    results : iterable of Result
        Runs, as `simulate` returns them.

    Returns
    -------
    DataFrame
        A row per run: `scenario`, `strategy`, `layout`, `faults`, `seed`, then every metric, NaN
        where a run has none, and `refusals_by_reason` as JSON.

    Examples
    --------
    >>> import stowplan as sp
    >>> runs = sp.simulate(sp.load("small"), seeds=range(2))
    >>> sp.results_frame(runs)[["strategy", "seed", "lost"]].values.tolist()
    [['ecs-default', 0, 0.0], ['ecs-default', 1, 0.0]]
    """
    runs = list(results)
    frame = _with_seeds(runs, shown.runs_frame)
    frame.insert(0, "scenario", [each.scenario.name for each in runs])
    return frame


def _with_seeds(
    runs: Sequence[Result], made: Callable[[Sequence[RunResult]], pd.DataFrame]
) -> pd.DataFrame:
    """A table of each run, with its seed after the keys."""
    parts = []
    for each in runs:
        part = made([each.run])
        part.insert(len(KEYS), "seed", each.seed)
        parts.append(part)
    if not parts:
        empty = made([])
        empty.insert(len(KEYS), "seed", [])
        return empty
    kept = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(kept, ignore_index=True)


def _plot(runs: Sequence[Result]) -> Figure:
    panels: dict[str, dict[str, tuple[Any, Any]]] = {}
    several = len({(r.run.run.layout, r.run.run.faults) for r in runs}) > 1
    for column, title in (("cpu_reserved_pct", "CPU"), ("memory_reserved_pct", "Memory")):
        curves = panels.setdefault(f"{title} reserved, % of what is registered", {})
        for each in runs:
            keys, table = each.run.run, each.timeline
            name = f"{keys.strategy}, {keys.layout}, {keys.faults}" if several else keys.strategy
            curves[name] = table["minute"], table[column]
    return over_time(panels, None)
