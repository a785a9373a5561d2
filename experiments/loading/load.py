"""Reads a scenario file and everything it names, and reports every problem at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stowplan.experiments.files.paths import scenario_path, shipped_scenarios
from stowplan.experiments.files.text import read_text
from stowplan.experiments.loading.calibration_file import read_calibration
from stowplan.experiments.loading.definition_file import read_definition_file
from stowplan.experiments.loading.extensions import load_extensions
from stowplan.experiments.loading.own_strategies import Problems, strategies_of
from stowplan.experiments.loading.prices_file import read_prices
from stowplan.experiments.loading.shape_problems import shape_problems
from stowplan.experiments.loading.sound_part import sound_part
from stowplan.experiments.loading.types_used import types_used
from stowplan.experiments.workloads import WORKLOADS
from stowplan.experiments.workloads.lifetimes import EXPECTED
from stowplan.placement.errors import SpecError
from stowplan.placement.model import TaskDefinition
from stowplan.placement.scenario.checks import scenario_problems
from stowplan.placement.scenario.scenario import InstanceTypeTable, Scenario, WorkloadTable
from stowplan.placement.scenario.words import nearest, unknown
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import StrategyFactory
from stowplan.placement.taskdef.notes import assumptions
from stowplan.placement.taskdef.parse import parse_task_definition

_NAMED_IN_A_NOTE = 5

__all__ = ["Loaded", "check_scenario", "load_scenario", "load_strategies"]


@dataclass(frozen=True)
class Loaded:
    """A checked scenario, where it came from, and the strategies that it brought along.

    `notes` are sentences on what was taken for granted where its files leave something open.
    """

    scenario: Scenario
    path: Path
    own_strategies: Mapping[str, StrategyFactory]
    notes: tuple[str, ...] = ()

    @property
    def strategies(self) -> Mapping[str, StrategyFactory]:
        """The registry for this scenario: ECS's own and those from the user's files."""
        return {**STRATEGIES, **self.own_strategies}

    def seeded(self, seed: int | None) -> Loaded:
        """The same with another seed; None: as it is."""
        if seed is None:
            return self
        return replace(self, scenario=self.scenario.model_copy(update={"seed": seed}))


def load_scenario(
    path: Path,
    extra_strategies: Mapping[str, str | list[str]] | None = None,
    buys: bool = False,
) -> Loaded:
    """The scenario in a TOML file, or one that ships, by name; paths in it are relative to it.

    Args:
        extra_strategies: name -> chain (as in the file's `strategies`) to run besides; the paths
            of strategies in it are relative to the working directory.
        buys: instances are to be bought, so that it may go without a fleet.
    Raises:
        SpecError: naming every problem with file and place.
    """
    path = scenario_path(path)
    if not path.exists() and path.suffix == "" and path.name == str(path):
        raise SpecError([(str(path), _no_such(str(path)))])
    return check_scenario(read_toml(path), path, extra_strategies, buys)


def _no_such(name: str) -> str:
    known = shipped_scenarios()
    near = nearest(name, known)
    hint = f"; did you mean {near}, which ships?" if near else f"; these ship: {', '.join(known)}"
    return f"no such file{hint}"


def load_strategies(references: Iterable[str], folder: Path) -> dict[str, StrategyFactory]:
    """The strategies that a journal's header names as `file.py:Class`, relative to `folder`.

    Those of installed packages are added to the registry, as `load_scenario` does.

    Raises:
        SpecError: naming every one that does not load.
    """
    load_extensions()
    problems: Problems = []
    own = strategies_of([(f"strategy {name}", name) for name in references], folder, problems)
    if problems:
        raise SpecError(problems)
    return own


def check_scenario(
    document: dict[str, Any],
    path: Path = Path("scenario"),
    extra_strategies: Mapping[str, str | list[str]] | None = None,
    buys: bool = False,
    objects: Mapping[str, StrategyFactory] | None = None,
) -> Loaded:
    """The scenario of a document that was read, or made; the document is changed.

    Args:
        document: as `tomllib` gives it; tables may be those of `placement.scenario` as well.
        path: what problems are reported under, and what paths in it are relative to.
        extra_strategies, buys: see `load_scenario`.
        objects: strategies that are objects of this process, by the names that chains call them.
    Raises:
        SpecError: naming every problem with its place.
    """
    load_extensions()
    problems: Problems = []
    extra = dict(extra_strategies or {})
    notes: dict[str, list[str]] = {}
    definitions = _task_definitions(document, path, problems, notes)
    _find_traces(document, path, problems)
    _calibrate(document, path, problems)
    own = strategies_of(_chains(document, path), path.parent, problems)
    own |= strategies_of([(f"strategy {n}", chain) for n, chain in extra.items()], Path(), problems)
    own |= objects or {}
    if isinstance(document.setdefault("strategies", {"ecs-default": "default"}), dict):
        document["strategies"] |= extra
    unpriced = types_used(document, path, problems)
    priced = _price(document, path, problems)
    part = sound_part(document)
    problems += [(f"{path}: {place}", what) for place, what in part.problems]
    registry = {**STRATEGIES, **own}
    found = scenario_problems(part.scenario, registry, definitions, part.incomplete, buys)
    problems += [(f"{path}: {part.place(place)}", what) for place, what in found]
    for index, table in enumerate(part.scenario.workload):
        place = part.place(f"workload[{index}]")
        whole = not any(at.startswith(f"{place}.") for at, _ in part.problems)
        problems += _workload_problems(table, f"{path}: {place}", whole)
    if problems:
        raise SpecError(problems, _names(document))
    scenario = _tidied(part.scenario, definitions)
    said = (*_said(notes), *_unpriced(scenario, priced, unpriced))
    return Loaded(scenario, path, own, said)


def _names(document: Mapping[str, Any]) -> dict[str, str]:
    """`service[3]` -> `service web`, of all tables of lists that say their name."""
    return {
        f"{kind}[{index}]": f"{kind} {table['name']}"
        for kind, tables in document.items()
        if isinstance(tables, list)
        for index, table in enumerate(tables)
        if isinstance(table, dict) and isinstance(table.get("name"), str)
    }


def _tidied(scenario: Scenario, definitions: Mapping[str, TaskDefinition]) -> Scenario:
    """Only the types that are used, and plain input where describe's output was given."""
    used: set[str | None] = {group.instance_type for group in scenario.fleet}
    used |= {offer.instance_type for offer in scenario.optimize.offer}
    used |= {scenario.optimize.instance_type}
    for group in scenario.capacity_provider:
        used.update(group.instance_types, (each.instance_type for each in group.instances))
    types = {name: kind for name, kind in scenario.instance_types.items() if name in used}
    documents = {name: dict(each.document) for name, each in definitions.items()}
    return scenario.model_copy(update={"instance_types": types, "task_definitions": documents})


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file. Raises SpecError where it cannot be read."""
    try:
        return tomllib.loads(read_text(path))
    except OSError as error:
        raise SpecError([(str(path), error.strerror or str(error))]) from error
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise SpecError([(str(path), f"not valid TOML: {error}")]) from error


def _task_definitions(
    document: dict[str, Any], path: Path, problems: Problems, notes: dict[str, list[str]]
) -> dict[str, TaskDefinition]:
    """The sound ones by name; in `document`, the names of files give way to their content.

    `notes` gets what was taken for granted, with the names that it is about.
    """
    sound: dict[str, TaskDefinition] = {}
    tables = document.get("task_definitions")
    if not isinstance(tables, dict):
        return sound
    for name, value in tables.items():
        place = f"{path}: task_definitions.{name}"
        try:
            if isinstance(value, str):
                # An empty table stands in for what cannot be read, so that the shape is right.
                tables[name] = {}
                found = read_definition_file(path.parent / value, place, name)
                sound[name], said = found.definition, found.notes
            elif isinstance(value, dict):
                sound[name] = parse_task_definition(value, place)
                said = assumptions(sound[name])
            else:
                continue
        except SpecError as error:
            problems += error.problems
        else:
            tables[name] = dict(sound[name].document)
            for each in said:
                notes.setdefault(each, []).append(name)
    return sound


def _said(notes: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Each note once, after the task definitions that it is about."""
    shown = _NAMED_IN_A_NOTE
    found = []
    for what, names in notes.items():
        more = f" and {len(names) - shown} more" if len(names) > shown else ""
        found.append(f"task_definitions {', '.join(names[:shown])}{more}: {what}")
    return tuple(found)


def _find_traces(document: dict[str, Any], path: Path, problems: Problems) -> None:
    """Make the names of trace files whole, and see that they are there."""
    for index, table in _tables(document, "workload"):
        if isinstance(table.get("file"), str):
            file = path.parent / table["file"]
            table["file"] = str(file)
            if not file.is_file():
                problems.append((f"{path}: workload[{index}].file", f"no file {file}"))


def _calibrate(document: dict[str, Any], path: Path, problems: Problems) -> None:
    """What the file of `models.calibration` says, where the scenario itself does not."""
    models = document.get("models")
    if not isinstance(models, dict) or not isinstance(models.get("calibration"), str):
        return
    file = path.parent / models["calibration"]
    if not file.is_file():
        problems.append((f"{path}: models.calibration", f"no file {file}"))
        return
    try:
        found = read_calibration(file)
    except SpecError as error:
        problems += error.problems
        return
    document.setdefault("agent", found.pop("agent"))
    for name, table in found.items():
        own = document.setdefault(name, {})
        if isinstance(own, dict):
            document[name] = {**table, **own}


def _price(document: dict[str, Any], path: Path, problems: Problems) -> set[str]:
    """Give types the prices of the scenario's file; returns those that it has."""
    name, types = document.get("prices"), document["instance_types"]
    if not isinstance(name, str) or not isinstance(types, dict):
        return set()
    try:
        prices = read_prices(path.parent / name)
    except SpecError as error:
        problems += error.problems
        return set()
    for each, price in prices.items():
        kind = types.get(each)
        if isinstance(kind, InstanceTypeTable):
            types[each] = kind.model_copy(update={"price_microusd_hour": price})
        elif isinstance(kind, dict):
            types[each] = {**kind, "price_microusd_hour": price}
    return set(prices)


def _unpriced(scenario: Scenario, priced: set[str], unpriced: set[str]) -> Iterator[str]:
    """Notes on the types in use that the file of prices, or the region, does not have."""
    lacks = sorted(scenario.instance_types.keys() - priced - unpriced)
    if scenario.prices is not None and lacks:
        yield f"{scenario.prices} has no price for {', '.join(lacks)}: they keep their own"
    if none := sorted((scenario.instance_types.keys() & unpriced) - priced):
        yield f"no price of {', '.join(none)} in {scenario.region} is known: they count as free"


def _chains(document: dict[str, Any], path: Path) -> Iterator[tuple[str, object]]:
    """(place, chain) for every chain of strategies in a file that was not checked yet."""
    named = document.get("strategies")
    for name, chain in named.items() if isinstance(named, dict) else ():
        yield f"{path}: strategies.{name}", chain
    for key in ("service", "workload"):
        for index, table in _tables(document, key):
            yield f"{path}: {key}[{index}].strategy", table.get("strategy")


def _tables(document: dict[str, Any], key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    listed = document.get(key)
    for index, table in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(table, dict):
            yield index, table


def _workload_problems(table: WorkloadTable, place: str, whole: bool) -> Problems:
    """What the workload's kind finds wrong; its options alone where other fields are missing."""
    if table.kind not in WORKLOADS:
        return [(f"{place}.kind", unknown("kind", table.kind, WORKLOADS))]
    kind = WORKLOADS[table.kind]
    problems: Problems = []
    if table.expected not in EXPECTED:
        what = unknown("predictor", table.expected, EXPECTED)
        problems.append((f"{place}.expected", what))
    try:
        kind.options.model_validate(table.options)
    except ValidationError as error:
        found = shape_problems(error, kind.options)
        problems += [(f"{place}.options.{at}" if at else f"{place}.options", w) for at, w in found]
    if not whole or (table.file is not None and not Path(table.file).is_file()):
        return problems  # said already
    try:
        kind(table)
    except ValidationError:
        pass  # its options: said above
    except SpecError as error:
        problems += error.problems
    except OSError as error:
        problems.append((f"{place}.file", f"{table.file}: {error.strerror}"))
    except ValueError as error:
        problems.append((place, str(error)))
    return problems
