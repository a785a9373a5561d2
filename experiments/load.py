"""Reads a scenario file and everything it names, and reports every problem at once."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments.catalogue import instance_types
from experiments.workloads import WORKLOADS
from placement.errors import SpecError
from placement.scenario import Scenario
from placement.scenario_checks import scenario_problems
from placement.strategies import STRATEGIES, StrategyFactory

Problems = list[tuple[str, str]]


@dataclass(frozen=True)
class Loaded:
    """A checked scenario, where it came from, and the strategies that it brought along."""

    scenario: Scenario
    path: Path
    own_strategies: Mapping[str, StrategyFactory]

    @property
    def strategies(self) -> Mapping[str, StrategyFactory]:
        """The registry for this scenario: ECS's own and those from the user's files."""
        return {**STRATEGIES, **self.own_strategies}


def load_scenario(
    path: Path, extra_strategies: Mapping[str, str | list[str]] | None = None
) -> Loaded:
    """The scenario in a TOML file; paths in it are relative to that file.

    Args:
        extra_strategies: name -> chain (as in the file's `strategies`) to run besides; the paths
            of strategies in it are relative to the working directory.
    Raises:
        SpecError: naming every problem with file and place.
    """
    problems: Problems = []
    document = _read_toml(path)
    _resolve_files(document, path, problems)
    own = _own_strategies(document, path.parent, problems)
    extra = {"strategies": dict(extra_strategies or {})}
    own |= _own_strategies(extra, Path(), problems)
    if isinstance(document.setdefault("strategies", {"ecs-default": "default"}), dict):
        document["strategies"] |= extra["strategies"]
    _fill_instance_types(document, path, problems)
    scenario = _validate(document, path, problems)
    if scenario is not None:
        registry = {**STRATEGIES, **own}
        problems += [(f"{path}: {at}", what) for at, what in scenario_problems(scenario, registry)]
        problems += _workload_problems(scenario, path)
    if problems:
        raise SpecError(problems)
    assert scenario is not None
    return Loaded(scenario, path, own)


def load_strategies(references: Iterable[str], folder: Path) -> dict[str, StrategyFactory]:
    """The strategies that a journal's header names as `file.py:Class`, relative to `folder`.

    Raises:
        SpecError: naming every one that does not load.
    """
    problems: Problems = []
    own = {name: _load_class(folder, name, problems) for name in references}
    if problems:
        raise SpecError(problems)
    return own


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise SpecError([(str(path), error.strerror or str(error))]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError([(str(path), f"not valid TOML: {error}")]) from error


def _resolve_files(document: dict[str, Any], path: Path, problems: Problems) -> None:
    """Replace the names of task-definition files by their content, and make other paths whole."""
    definitions = document.get("task_definitions")
    if isinstance(definitions, dict):
        for name, value in definitions.items():
            if isinstance(value, str):
                definitions[name] = _read_json(path.parent / value, problems)
    workloads = document.get("workload")
    for table in workloads if isinstance(workloads, list) else []:
        if isinstance(table, dict) and isinstance(table.get("file"), str):
            file = path.parent / table["file"]
            table["file"] = str(file)
            if not file.is_file():
                problems.append((f"{path}: workload.{table.get('name')}.file", f"no file {file}"))


def _read_json(file: Path, problems: Problems) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text())
    except OSError as error:
        problems.append((str(file), error.strerror or str(error)))
    except ValueError as error:
        problems.append((str(file), f"not valid JSON: {error}"))
    else:
        if isinstance(document, dict):
            return document
        problems.append((str(file), "not a JSON object"))
    return {"family": file.stem, "containerDefinitions": []}


def _own_strategies(
    document: Mapping[str, Any], folder: Path, problems: Problems
) -> dict[str, StrategyFactory]:
    """The strategies that chains name as `file.py:Class`, loaded."""
    own: dict[str, StrategyFactory] = {}
    chains = document.get("strategies")
    for chain in chains.values() if isinstance(chains, dict) else []:
        for item in chain if isinstance(chain, list) else [chain]:
            if isinstance(item, str) and ".py:" in item and item not in own:
                own[item] = _load_class(folder, item, problems)
    return own


def _load_class(folder: Path, reference: str, problems: Problems) -> StrategyFactory:
    """The class that `file.py:Class` names. Anything a user's file raises is the user's to see."""
    name, _, attribute = reference.rpartition(":")
    file = folder / name
    spec = importlib.util.spec_from_file_location(f"stowplan_user_{file.stem}", file)
    try:
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        made = getattr(module, attribute)
    except Exception as error:
        problems.append((f"strategy {reference}", f"{type(error).__name__}: {error}"))
        return lambda field: STRATEGIES["random"](field)
    return lambda field: made() if field is None else made(field)


def _fill_instance_types(document: dict[str, Any], path: Path, problems: Problems) -> None:
    """Take the types that the fleet names from the catalogue, unless the file defines them."""
    own = document.setdefault("instance_types", {})
    catalogue = instance_types()
    fleet = document.get("fleet")
    if not isinstance(fleet, list) or not isinstance(own, dict):
        return
    for index, group in enumerate(fleet):
        name = group.get("instance_type") if isinstance(group, dict) else None
        if not isinstance(name, str) or name in own:
            continue
        if name in catalogue:
            own[name] = catalogue[name].model_dump()
        else:
            what = f"unknown instance type {name!r}; define it under [instance_types.{name!r}]"
            problems.append((f"{path}: fleet[{index}].instance_type", what))


def _validate(document: dict[str, Any], path: Path, problems: Problems) -> Scenario | None:
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        problems += [(f"{path}: {_place(e['loc'])}", _what(e)) for e in error.errors()]
        return None


def _workload_problems(scenario: Scenario, path: Path) -> Problems:
    problems: Problems = []
    for index, table in enumerate(scenario.workload):
        place = f"{path}: workload[{index}]"
        if table.kind not in WORKLOADS:
            what = f"unknown kind {table.kind!r}; known: {', '.join(sorted(WORKLOADS))}"
            problems.append((f"{place}.kind", what))
            continue
        try:
            WORKLOADS[table.kind](table)
        except ValidationError as error:
            problems += [(f"{place}.options.{_place(e['loc'])}", _what(e)) for e in error.errors()]
        except ValueError as error:
            problems.append((place, str(error)))
    return problems


def _place(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "file"


def _what(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown field"
    if error["type"] == "missing":
        return "missing"
    return str(error["msg"]).removeprefix("Value error, ")
