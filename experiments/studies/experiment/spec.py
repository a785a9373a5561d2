"""The file of an experiment: a question, a scenario, axes, metrics, what to compare with what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from stowplan.experiments.loading.load import read_toml
from stowplan.experiments.loading.shape_problems import shape_problems
from stowplan.experiments.record.metrics import METRICS, load_metrics
from stowplan.experiments.record.results import TABLES
from stowplan.experiments.record.window import WINDOWED
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.plain import Positive, Table
from stowplan.placement.scenario.words import unknown
from stowplan.placement.units import parse_duration_ms

MSER = "mser-5"
SEEDS_MAX = 10_000
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def _seeds(value: object) -> tuple[int, ...]:
    """A number of seeds, 1 to so many; or the seeds themselves."""
    what = f"expected a number of seeds from 2 to {SEEDS_MAX}, or a list of different ones"
    if isinstance(value, list | tuple | range):
        seeds = tuple(value)
        whole = all(type(each) is int and each >= 0 for each in seeds)
        if not whole or not 2 <= len(seeds) <= SEEDS_MAX or len(set(seeds)) < len(seeds):
            raise ValueError(f"{what}; found {value!r}")
        return seeds
    if type(value) is not int or not 2 <= value <= SEEDS_MAX:
        raise ValueError(f"{what}; found {value!r}")
    return tuple(range(1, value + 1))


def _warm_up(value: object) -> int | str:
    if value == MSER:
        return MSER
    try:
        return parse_duration_ms(value)
    except ValueError as error:
        raise ValueError(f'expected a time such as "10m", or "{MSER}"; found {value!r}') from error


def _precision(value: object) -> float | str:
    """Half an interval: in the metric's unit, or in percent of the mean."""
    percent = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if percent and float(percent[1]) > 0:
        return f"{percent[1]} %"
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf"):
        return float(value)
    raise ValueError(f'expected a number above 0, or one in percent such as "2 %"; found {value!r}')


Values = list[Any] | dict[str, Any]


class CompareTable(Table):
    """What is compared: the values of an axis, each with one of them.

    Args:
        axis: its name; default: `strategy` where there are several, else the first with several.
        baseline: the value that others are compared with; default: the first.
        confidence: of every interval; 1 minus it is what all claims together may be wrong.
    """

    axis: str | None = None
    baseline: str | None = None
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class ExperimentTable(Table):
    """All that an experiment is.

    Args:
        scenario: a file, relative to this one, or the name of one that ships.
        axes: what varies: `strategy`, `layout`, `faults` by name, or any key of the scenario
            (`fleet[0].count`, `service.web.desired_count`). A list of values, or a table of them
            by the names that are to be shown. All combinations are run.
        seeds: how many (1 to that), or which; every combination runs with the same ones.
        metrics: what is measured, by name.
        compare: see `CompareTable`.
        precision: metric -> half an interval, in its unit or in percent: more seeds are run until
            intervals are as narrow, at most `seeds_max`.
        warm_up: a time that metrics leave out, or `mser-5`, which finds it.
        keep: tables of results to keep of every run beside its metrics.
    """

    question: str = ""
    scenario: str
    axes: dict[str, Values] = Field(default_factory=dict)
    seeds: Annotated[tuple[int, ...], BeforeValidator(_seeds)] = tuple(range(1, 11))
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    compare: CompareTable = CompareTable()
    precision: dict[str, Annotated[float | str, BeforeValidator(_precision)]] = Field(
        default_factory=dict
    )
    seeds_max: Positive = 200
    warm_up: Annotated[int | str, BeforeValidator(_warm_up)] = 0
    keep: tuple[str, ...] = ()


def read_spec(path: Path) -> ExperimentTable:
    """The experiment in a TOML file. Raises SpecError naming every problem with its place."""
    return check_spec(read_toml(path), str(path))


def check_spec(document: dict[str, Any], place: str) -> ExperimentTable:
    """An experiment that was read, or made.

    Args:
        place: what problems are reported under.
    Raises:
        SpecError: naming every problem with its place.
    """
    load_metrics()
    try:
        spec = ExperimentTable.model_validate(document)
    except ValidationError as error:
        found = shape_problems(error, ExperimentTable)
        raise SpecError([(f"{place}: {at}", what) for at, what in found]) from error
    problems = [(f"{place}: {at}", what) for at, what in _problems(spec)]
    if problems:
        raise SpecError(problems)
    return spec


def _problems(spec: ExperimentTable) -> list[tuple[str, str]]:
    problems = [
        (f"metrics[{index}]", unknown("metric", name, METRICS))
        for index, name in enumerate(spec.metrics)
        if name not in METRICS
    ]
    twice = {name for name in spec.metrics if spec.metrics.count(name) > 1}
    problems += [("metrics", f"{name} is there twice") for name in sorted(twice)]
    problems += [
        (f"precision.{name}", f"is not among metrics: {', '.join(spec.metrics)}")
        for name in spec.precision
        if name not in spec.metrics
    ]
    problems += [
        (f"keep[{index}]", unknown("table", name, TABLES))
        for index, name in enumerate(spec.keep)
        if name not in TABLES
    ]
    if spec.warm_up:
        problems += [
            (f"metrics[{index}]", f"{name} is of whole runs alone: it has no part after a warm-up")
            for index, name in enumerate(spec.metrics)
            if name in METRICS and name not in WINDOWED
        ]
    if spec.precision and spec.seeds_max < len(spec.seeds):
        problems.append(("seeds_max", f"is less than the {len(spec.seeds)} seeds to begin with"))
    for name, values in spec.axes.items():
        if not values:
            problems.append((f"axes.{name}", "has no values"))
        elif isinstance(values, list) and any(values.count(each) > 1 for each in values):
            problems.append((f"axes.{name}", "has a value twice"))
    return problems
