"""The cells of an experiment: each combination of its axes' values, all checked before any run."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stowplan.experiments.files.paths import scenario_path
from stowplan.experiments.loading.load import Loaded, check_scenario, load_scenario, read_toml
from stowplan.experiments.studies.experiment.spec import ExperimentTable
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.fields import own_strategy, parse_strategy
from stowplan.placement.scenario.scenario import Run
from stowplan.placement.scenario.words import nearest, unknown

Problems = list[tuple[str, str]]
Variant = tuple[Mapping[str, str], Loaded]  # labels on the axes that make it, the scenario
NAMED = ("strategy", "layout", "faults")  # axes whose values are names of the scenario's own
_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class Cell:
    """One combination: `labels` by axis, and the run of the `variant`-th scenario that it is."""

    labels: Mapping[str, str]
    variant: int
    run: Run

    @property
    def name(self) -> str:
        """`strategy binpack, fleet[0].count 40`."""
        return ", ".join(f"{axis} {label}" for axis, label in self.labels.items())


@dataclass(frozen=True)
class Design:
    """All cells, and the scenarios (one for each combination of values that change it)."""

    spec: ExperimentTable
    axes: Mapping[str, tuple[str, ...]]
    cells: tuple[Cell, ...]
    variants: tuple[Loaded, ...]

    @property
    def compared(self) -> tuple[str, str] | None:
        """The axis that is compared, and its baseline; None where no axis has two values."""
        return _compared(self.spec, self.axes)


def design_of(spec: ExperimentTable, folder: Path, place: str) -> Design:
    """The cells of an experiment in a file.

    Args:
        folder: what the scenario, and strategies in files, are relative to.
        place: what problems are reported under.
    Raises:
        SpecError: naming every problem of every cell, each once.
    """
    path = scenario_path(folder / spec.scenario)
    if not path.exists():
        path = scenario_path(Path(spec.scenario))
    if not path.exists():
        load_scenario(Path(spec.scenario))  # it says what ships
    document = read_toml(path)
    return design(spec, document, path, folder, place)


def design(
    spec: ExperimentTable, document: Mapping[str, Any], path: Path, folder: Path, place: str
) -> Design:
    """The cells of an experiment on a scenario's document.

    Args:
        document: as `tomllib` gives it; not changed.
        path: what paths in it are relative to.
        folder: what strategies in files are relative to, as the axis names them.
    Raises:
        SpecError: naming every problem of every cell, each once.
    """
    if "strategy" in spec.axes:
        document = _with_strategies(document, labelled(spec.axes["strategy"]), folder)
    return designed(spec, variants_of(spec, document, path, place), place)


def variants_of(
    spec: ExperimentTable, document: Mapping[str, Any], path: Path, place: str
) -> list[Variant]:
    """The scenarios of a document with all combinations of what axes change in it.

    Raises:
        SpecError: naming every problem of every scenario, each once.
    """
    problems: Problems = []
    changing = {axis: labelled(each) for axis, each in spec.axes.items() if axis not in NAMED}
    variants: list[Variant] = []
    for combination in itertools.product(*(each.items() for each in changing.values())):
        changed = dict(zip(changing, combination, strict=True))
        loaded = _variant(document, path, changed, f"{place}: axes", problems)
        if loaded is not None:
            variants.append(({axis: label for axis, (label, _) in changed.items()}, loaded))
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))
    return variants


def designed(spec: ExperimentTable, variants: Sequence[Variant], place: str) -> Design:
    """The cells of scenarios that are made, each with its labels on the axes that made it.

    Raises:
        SpecError: naming every strategy, layout, faults, axis or baseline that is not there.
    """
    problems: Problems = []
    each_named = [
        {axis: _names(axis, spec.axes.get(axis), loaded, problems) for axis in NAMED}
        for _, loaded in variants
    ]
    named = each_named[0]
    problems += [
        (f"axes.{axis}", "scenarios have different ones: name those to run")
        for axis in NAMED
        if any(each[axis] != named[axis] for each in each_named)
    ]
    axes = {axis: tuple(dict.fromkeys(at[axis] for at, _ in variants)) for axis in variants[0][0]}
    axes |= {axis: each for axis, each in named.items() if axis in spec.axes or len(each) > 1}
    axes = {axis: axes[axis] for axis in (*spec.axes, *axes) if axis in axes}  # as the spec has it
    problems += _compare_problems(spec, axes)
    if problems:
        raise SpecError(list(dict.fromkeys((f"{place}: {at}", what) for at, what in problems)))
    cells = tuple(_cells(axes, named, [labels for labels, _ in variants]))
    return Design(spec, axes, cells, tuple(loaded for _, loaded in variants))


def _cells(
    axes: Mapping[str, Sequence[str]],
    named: Mapping[str, Sequence[str]],
    labels: Sequence[Mapping[str, str]],
) -> Iterator[Cell]:
    for variant, changed in enumerate(labels):
        for names in itertools.product(*(named[axis] for axis in NAMED)):
            all_labels = {**changed, **dict(zip(NAMED, names, strict=True))}
            strategy, layout, faults = names
            run = Run(strategy, layout, faults)
            yield Cell({axis: all_labels[axis] for axis in axes}, variant, run)


def labelled(values: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Values by what tables call them."""
    if isinstance(values, Mapping):
        return {str(label): value for label, value in values.items()}
    return {_label(value): value for value in values}


def _label(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _with_strategies(
    document: Mapping[str, Any], chosen: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """The document with what the axis names added to its strategies, where it has none so called.

    A name that is none of the scenario's is a chain itself, such as `binpack:memory`.
    """
    have = document.get("strategies")
    have = dict(have) if isinstance(have, dict) else {"ecs-default": "default"}
    for label, value in chosen.items():
        if label in have and value == label:
            continue
        chain = value.split(",") if isinstance(value, str) and "," in value else value
        links = chain if isinstance(chain, list) else [chain]
        placed = [_placed(link, folder) for link in links]
        have[label] = placed if isinstance(chain, list) else placed[0]
    return {**document, "strategies": have}


def _placed(link: Any, folder: Path) -> Any:
    """A strategy in a file, with the path made whole."""
    if not isinstance(link, str) or not link or not own_strategy(parse_strategy(link)):
        return link
    return str((folder / link).resolve())


def _variant(
    document: Mapping[str, Any],
    path: Path,
    changed: Mapping[str, tuple[str, Any]],
    place: str,
    problems: Problems,
) -> Loaded | None:
    """The scenario with values of axes in it; None where something is wrong."""
    edited = copy.deepcopy(dict(document))
    before = len(problems)
    for axis, (_, value) in changed.items():
        try:
            set_key(edited, axis, copy.deepcopy(value))
        except KeyError as error:
            problems.append((f"{place}.{axis}", str(error.args[0])))
    if len(problems) > before:
        return None
    try:
        return check_scenario(edited, path)
    except SpecError as error:
        problems += error.problems
        return None


def set_key(document: dict[str, Any], key: str, value: Any) -> None:
    """Set `fleet[0].count` or `service.web.desired_count` in a scenario's document.

    Tables of lists may be named by their number or by their name. The last part may be new, what
    leads to it must be there.

    Raises:
        KeyError: with what is wrong, nothing is changed.
    """
    parts = [int(number) if number else name for name, number in _PART.findall(key)]
    if not parts or "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts) not in (
        key, f".{key}",
    ):  # fmt: skip
        raise KeyError(f"expected a key of the scenario such as fleet[0].count, found {key!r}")
    where: Any = document
    for depth, part in enumerate(parts[:-1]):
        where = where[_index(where, part, parts[:depth], key)]
    last = parts[-1]
    if isinstance(where, dict) and isinstance(last, str):
        where[last] = value
    else:
        where[_index(where, last, parts[:-1], key)] = value


def _index(where: Any, part: str | int, so_far: Sequence[str | int], key: str) -> Any:
    """The key or index under which `part` is found in `where`."""
    outer = ".".join(map(str, so_far)) or "the scenario"
    if isinstance(where, dict) and part in where:
        return part
    if isinstance(where, list):
        names = [each.get("name") for each in where if isinstance(each, dict)]
        if isinstance(part, int) and part < len(where):
            return part
        if part in names:
            return names.index(part)
        known = [str(name) for name in names if name] or list(map(str, range(len(where))))
    else:
        known = [str(each) for each in where] if isinstance(where, dict) else []
    near = nearest(str(part), known)
    hint = f"did you mean {near}?" if near else f"it has {', '.join(known) or 'nothing'}"
    raise KeyError(f"{outer} has no {part!r}; {hint}")


def _names(axis: str, values: Any, loaded: Loaded, problems: Problems) -> tuple[str, ...]:
    """The names that a run may have on an axis: all of the scenario's where it says none."""
    of = loaded.scenario
    tables: dict[str, Mapping[str, Any]] = {
        "strategy": of.strategies,
        "layout": of.layouts,
        "faults": of.faults,
    }
    known = tuple(tables[axis])
    if values is None:
        return known
    problems += [
        (f"axes.{axis}", unknown(axis, name, known))
        for name in labelled(values)
        if name not in known
    ]
    return tuple(labelled(values))


def _compared(spec: ExperimentTable, axes: Mapping[str, Sequence[str]]) -> tuple[str, str] | None:
    several = [axis for axis, labels in axes.items() if len(labels) > 1]
    axis = spec.compare.axis or next(iter(sorted(several, key=lambda a: a != "strategy")), None)
    if axis is None or axis not in axes:
        return None
    return axis, spec.compare.baseline or axes[axis][0]


def _compare_problems(spec: ExperimentTable, axes: Mapping[str, Sequence[str]]) -> Problems:
    axis, baseline = spec.compare.axis, spec.compare.baseline
    if axis is not None and axis not in axes:
        return [("compare.axis", unknown("axis", axis, axes))]
    found = _compared(spec, axes)
    if baseline is not None and (found is None or baseline not in axes[found[0]]):
        return [("compare.baseline", unknown("value", baseline, axes[found[0]] if found else ()))]
    return []
