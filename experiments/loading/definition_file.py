"""Reads the file of a task definition: JSON or YAML, `FILE` or `FILE#NAME` of a template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from stowplan.experiments.files.text import read_text
from stowplan.placement.errors import SpecError
from stowplan.placement.model import TaskDefinition
from stowplan.placement.taskdef.forms import find_definition
from stowplan.placement.taskdef.notes import assumptions
from stowplan.placement.taskdef.parse import parse_task_definition

_YAML = (".yaml", ".yml", ".template")
# YAML 1.1 takes a day for a date; CloudFormation takes it for the text that it is.
_DATE_TAG = "tag:yaml.org,2002:timestamp"


@dataclass(frozen=True, slots=True)
class DefinitionFile:
    """A task definition from a file, and sentences on what was taken for granted."""

    definition: TaskDefinition
    notes: tuple[str, ...]


def read_definition_file(file: Path, place: str = "", family: str = "") -> DefinitionFile:
    """The task definition in a file, or the one that `FILE#NAME` names of a template.

    Args:
        place: where a scenario names the file, if one does.
        family: for a file that says none.
    Raises:
        SpecError: naming every problem with its place.
    """
    path, which = file, ""
    if "#" in file.name and not file.is_file():
        name, _, which = file.name.partition("#")
        path = file.with_name(name)
    content = _content(path, place)
    try:
        found = find_definition(content, which, family)
    except SpecError as error:
        raise SpecError([(_joined(str(path), at), what) for at, what in error.problems]) from error
    except RecursionError as error:
        raise SpecError([(str(path), "is nested too deeply")]) from error
    definition = parse_task_definition(found.document, _joined(str(path), found.place))
    return DefinitionFile(definition, (*found.notes, *assumptions(definition)))


def read_task_definition(file: Path) -> TaskDefinition:
    """The task definition in a file alone. Raises SpecError naming every problem."""
    return read_definition_file(file).definition


def _joined(*parts: str) -> str:
    return ": ".join(filter(None, parts))


def _content(path: Path, place: str) -> Any:
    try:
        text = read_text(path)
    except OSError as error:
        what = error.strerror or str(error)
        problem = (place, f"{path}: {what}") if place else (str(path), what)
        raise SpecError([problem]) from error
    except UnicodeError as error:
        raise SpecError([(str(path), f"not a text file: {error}")]) from error
    if path.suffix.lower() in _YAML and text.lstrip()[:1] not in ("{", "["):
        return _from_yaml(text, path)
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise SpecError([(str(path), f"not valid JSON: {error}{_hint(text, path)}")]) from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _hint(text: str, path: Path) -> str:
    """The way out for what looks like JSON to people, or is in another language."""
    if path.suffix in (".tf", ".hcl"):
        return "; Terraform's own language is not read, `terraform show -json` of a plan is"
    if re.search(r"\$\{|\{\{|<%", text):
        return "; it looks like a template: fill it in first"
    if re.match(r"\s*(---|[A-Za-z_]+:)", text):
        return "; if it is YAML, name it .yaml"
    return ""


def _from_yaml(text: str, path: Path) -> Any:
    """What a YAML file says; CloudFormation's short forms of functions become the long ones."""
    loader: Any = type("Loader", (yaml.SafeLoader,), {})
    loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in listed if tag != _DATE_TAG]
        for first, listed in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    loader.add_multi_constructor("!", _function)
    try:
        # By way of JSON: what that cannot hold (circles, sets, bytes) is no task definition.
        return json.loads(json.dumps(yaml.load(text, Loader=loader)))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise SpecError([(str(path), f"not valid YAML: {error}")]) from error


def _function(loader: Any, name: str, node: Any) -> Mapping[str, Any]:
    """`!Ref X` as {"Ref": X}, `!GetAtt A.B` as {"Fn::GetAtt": [A, B]}."""
    kind = type(node).__name__
    if kind == "ScalarNode":
        value = loader.construct_scalar(node)
    elif kind == "SequenceNode":
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".")
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}
