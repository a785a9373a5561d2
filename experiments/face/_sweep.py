"""Experiments from a notebook: a question over axes and seeds, answered with its uncertainty."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from stowplan._scenario import Scenario, with_strategies
from stowplan._workers import registered, stays
from stowplan.experiments.loading.load import Loaded, read_toml
from stowplan.experiments.studies.experiment.cells import NAMED, Design, designed, variants_of
from stowplan.experiments.studies.experiment.experiment import Experiment as Found
from stowplan.experiments.studies.experiment.experiment import read_experiment
from stowplan.experiments.studies.experiment.figures import drawings
from stowplan.experiments.studies.experiment.progress import RunsProgress
from stowplan.experiments.studies.experiment.report import summary, write_report
from stowplan.experiments.studies.experiment.runner import Runner
from stowplan.experiments.studies.experiment.spec import ExperimentTable, check_spec
from stowplan.experiments.studies.experiment.statistics import Interval
from stowplan.experiments.studies.experiment.store import Store
from stowplan.experiments.studies.experiment.verdicts import Verdict, verdicts, words
from stowplan.placement.errors import SpecError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_METRICS = ("dollars", "memory_reserved_pct", "wait_p50_s", "waiting")
_COLUMNS = ("difference", "low", "high", "relative_pct", "relative_low_pct", "relative_high_pct")


@dataclass(frozen=True, repr=False)
class Experiment:
    """Runs over axes and seeds, and what they say; made by `sweep` or `load_experiment`.

    Attributes
    ----------
    found : object
        What the toolkit's own functions take: the spec, the cells, their runs.
    """

    found: Found

    @property
    def frame(self) -> pd.DataFrame:
        """A row per run: its axes, its seed, and every metric; NaN where a run has none."""
        return self.found.frame

    @property
    def means(self) -> pd.DataFrame:
        """A row per cell and metric: the mean, its interval (`low`, `high`), how many runs."""
        rows = []
        for cell in self.found.cells:
            for metric in self.found.spec.metrics:
                ends = _ends(self.found.mean(cell, metric))
                runs = int(pd.notna(cell.values(metric)).sum())
                rows.append((*cell.labels.values(), metric, *ends, runs))
        names = [*self.found.axes, "metric", "mean", "low", "high", "runs"]
        frame = pd.DataFrame(rows, columns=names)
        return frame.astype(dict.fromkeys(("mean", "low", "high"), "float64"))

    @property
    def verdicts(self) -> pd.DataFrame:
        """A row per comparison: the paired difference and the ratio with their intervals, in words.

        `p` is corrected for how many comparisons there are; `verdict` says whether a difference is
        claimed; `visible` is the smallest that four of five such experiments would have found.
        """
        return pd.DataFrame([_row(each) for each in verdicts(self.found)])

    def plot(self, metric: str | None = None) -> Figure:
        """Means with their intervals over the axes, of one metric; its first where none is said.

        Raises SpecError where the experiment has no such metric, or no run a value of it.
        """
        name = metric or self.found.spec.metrics[0]
        for drawing in drawings(self.found):
            if drawing.name == name:
                return drawing.figure
        raise SpecError([("metric", f"{name!r} is not among the experiment's, or has no value")])

    def report(self, folder: str | Path) -> Path:
        """Write the page, Markdown, LaTeX tables and figures into a folder; returns the page."""
        return write_report(self.found, Path(folder))[0]

    def __repr__(self) -> str:
        of = verdicts(self.found)
        lines = [f"<Experiment: {summary(of)}"]
        for heading, items in words(self.found, of):
            lines += [f"{heading}:"] if heading else []
            lines += [each.text for each in items]
        return "\n".join(lines) + ">"

    def _repr_html_(self) -> str:
        from html import escape

        of = verdicts(self.found)
        parts = [f"<p>{escape(summary(of))}</p>"]
        for heading, items in words(self.found, of):
            listed = "".join(f"<li>{escape(each.text)}</li>" for each in items)
            parts.append(f"<p><b>{escape(heading)}</b></p><ul>{listed}</ul>")
        return "".join(parts)


def _row(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a row of a table; what is not known is None."""
    made = verdict.comparison
    apart = None if made is None else made.difference
    ratio = None if made is None or made.relative is None else made.relative.scaled(100)
    return {
        **verdict.others,
        "value": verdict.label,
        "baseline": verdict.baseline,
        "metric": verdict.metric,
        **dict(zip(_COLUMNS, (*_ends(apart), *_ends(ratio)), strict=True)),
        "p": verdict.p,
        "visible": None if made is None else made.visible,
        "pairs": 0 if made is None else made.pairs,
        "verdict": verdict.kind,
        "text": verdict.text,
    }


def _ends(interval: Interval | None) -> tuple[float | None, ...]:
    return (None,) * 3 if interval is None else (interval.estimate, interval.low, interval.high)


def sweep(
    scenario: Scenario | Mapping[str, Scenario],
    axes: Mapping[str, Any] | None = None,
    *,
    strategies: Any = None,
    seeds: int | Iterable[int] = 10,
    metrics: Sequence[str] = _METRICS,
    question: str = "",
    compare: str | None = None,
    baseline: str | None = None,
    confidence: float = 0.95,
    precision: Mapping[str, float | str] | None = None,
    seeds_max: int = 200,
    warm_up: str = "0s",
    keep: Sequence[str] = (),
    out: str | Path | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
) -> Experiment:
    """Run a scenario over axes and seeds, and say what follows, with its uncertainty.

    Every cell (a combination of the axes' values) runs with the same seeds, so that differences are
    of pairs that saw the same arrivals. It is what `stowplan experiment run` does with a file.

    Parameters
    ----------
    scenario : Scenario, or mapping of str to Scenario
        What `load` or `scenario` made; several by name are an axis `scenario`.
    axes : mapping, optional
        What varies: `strategy`, `layout` or `faults` by name, or, where the scenario is a file, any
        key of it (`"fleet[0].count"`, `"service.web.desired_count"`), each with a list of values,
        or a mapping of values by what tables call them.
    strategies : mapping, list or "all", optional
        Those to run, as `simulate` takes them: names, chains, classes, objects. All of the
        scenario's where it is left out.
    seeds : int or iterable of int
        How many, 1 to that; or which. At least two.
    metrics : sequence of str
        Their names; `metrics()` lists them.
    question : str
        The report's title.
    compare, baseline : str, optional
        The axis whose values are compared, `strategy` first, and the value that others are compared
        with, its first.
    confidence : float
        Of every interval. One minus it is the chance that any claim of all is untrue, where no
        differences are.
    precision : mapping, optional
        Metric -> half an interval, in its unit, or text in percent (`"2 %"`): more seeds run until
        intervals are as narrow, `seeds_max` at most.
    seeds_max : int
        See `precision`.
    warm_up : str
        The time at the beginning that metrics leave out, such as `"10m"`; or `"mser-5"`, which
        finds it in five pilot runs of each cell.
    keep : sequence of str
        Tables of results to keep of each run in `out`, such as `"timeline"`.
    out : str or Path, optional
        A folder for a Parquet file a run. What is there already is not run again: an experiment
        that was cut goes on, one that was changed runs what changed.
    jobs : int
        Processes beside each other, as in `simulate`.
    scheduler : str, optional
        Address of a Dask scheduler whose workers make the runs.

    Returns
    -------
    Experiment

    Raises
    ------
    SpecError
        Naming every problem of every cell, before the first run.

    Examples
    --------
    >>> import stowplan as sp
    >>> found = sp.sweep(
    ...     sp.load("small"),
    ...     {"faults": ["none"], "fleet[0].count": [12, 16]},
    ...     strategies=["ecs-default", "binpack"],
    ...     seeds=3,
    ...     metrics=["instances_busy_mean"],
    ... )
    >>> len(found.frame), list(found.verdicts["verdict"])
    (12, ['different', 'different'])
    """
    spec = check_spec(
        {
            "question": question,
            "scenario": "",
            "axes": dict(axes or {}),
            "seeds": seeds if isinstance(seeds, int) else list(seeds),
            "metrics": list(metrics),
            "compare": {"axis": compare, "baseline": baseline, "confidence": confidence},
            "precision": dict(precision or {}),
            "seeds_max": seeds_max,
            "warm_up": warm_up,
            "keep": list(keep),
        },
        "sweep",
    )
    made = _design(spec, scenario, strategies)
    staying = stays(Scenario(made.variants[0])) if jobs > 1 or scheduler else []
    if staying and scheduler:
        what = f"{', '.join(staying)} of this notebook or script cannot go to other machines"
        raise SpecError([("scheduler", what)])
    if staying:
        what = "of this notebook or script cannot go to other processes: the runs stay in this one"
        warnings.warn(f"{', '.join(staying)} {what}", stacklevel=2)
        jobs = 1
    with tempfile.TemporaryDirectory(prefix="stowplan-") as scratch, RunsProgress() as progress:
        store = Store(Path(scratch if out is None else out))
        setups = [registered()]
        runner = Runner(made, store, jobs, scheduler, setups=setups, report=progress)
        return Experiment(runner.run())


def load_experiment(folder: str | Path) -> Experiment:
    """The experiment that `sweep(out=...)` or `stowplan experiment run` left in a folder.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    Experiment

    Raises
    ------
    SpecError
        It holds none, or naming every run whose file is missing or broken.

    Examples
    --------
    >>> import stowplan as sp, tempfile
    >>> small, folder = sp.load("small"), tempfile.mkdtemp()
    >>> made = sp.sweep(small, {"faults": ["none"]}, strategies=["binpack"], seeds=2, out=folder)
    >>> sp.load_experiment(folder).frame.equals(made.frame)
    True
    """
    return Experiment(read_experiment(Path(folder)))


def _design(
    spec: ExperimentTable, scenario: Scenario | Mapping[str, Scenario], strategies: Any
) -> Design:
    if "strategy" in spec.axes and strategies is not None:
        raise SpecError([("strategies", "give axes strategy or strategies=..., not both")])
    given = spec.axes.get("strategy", strategies)
    variants = []
    names: list[str] = []
    for labels, loaded in _variants(spec, scenario):
        with_own = Scenario(loaded)
        if given is not None:
            with_own, names = with_strategies(with_own, None, given)
        variants.append((labels, with_own.loaded))
    if given is not None:
        first = {} if "strategy" in spec.axes else {"strategy": names}
        axes = {**first, **{a: names if a == "strategy" else v for a, v in spec.axes.items()}}
        spec = spec.model_copy(update={"axes": axes})
    update = {"scenario": variants[0][1].scenario.name}
    return designed(spec.model_copy(update=update), variants, "sweep")


def _variants(
    spec: ExperimentTable, scenario: Scenario | Mapping[str, Scenario]
) -> list[tuple[Mapping[str, str], Loaded]]:
    """The scenarios that axes make, each with its labels."""
    changing = [axis for axis in spec.axes if axis not in NAMED]
    several = scenario if isinstance(scenario, Mapping) else {"": scenario}
    wrong = [each for each in several.values() if not isinstance(each, Scenario)]
    if wrong or not several:
        what = "expected what sp.scenario(...) or sp.load(...) makes, or several of them by name"
        raise SpecError([("scenario", f"{what}, found {wrong or scenario!r}")])
    found: list[tuple[Mapping[str, str], Loaded]] = []
    for name, each in several.items():
        path = each.loaded.path
        of = {"scenario": name} if name else {}
        if not changing:
            found.append((of, each.loaded))
            continue
        if not path.is_file():
            what = "a scenario that is no file has no keys to vary: give several scenarios by name"
            raise SpecError([(f"axes.{axis}", what) for axis in changing])
        found += [
            ({**of, **labels}, loaded)
            for labels, loaded in variants_of(spec, read_toml(path), path, "sweep")
        ]
    return found
