"""Builds a cluster file step by step: the file is a scenario, and stays one a person can edit.

The steps are those of ECS: create a cluster, register task definitions, launch instances, run
tasks. Each step checks what it adds, and replaces the file in one move.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import tomlkit
from tomlkit.exceptions import ParseError
from tomlkit.toml_document import TOMLDocument

from stowplan.experiments.files.text import read_text
from stowplan.experiments.loading.catalogue import instance_types
from stowplan.experiments.loading.definition_file import read_definition_file
from stowplan.placement.errors import SpecError

_SKELETON = """\
# A cluster: what it consists of and what runs on it. `stowplan simulate FILE --out FOLDER` runs it.
name = "{name}"
seed = 1
duration = "10m"

[strategies]
ecs-default = "default"
"""


def add_create_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan create-cluster`."""
    _file_argument(parser)
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    parser.set_defaults(command=create_cluster)


def add_register_task_definition_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan register-task-definition`."""
    _file_argument(parser)
    parser.add_argument(
        "json",
        type=Path,
        help="input of ECS's RegisterTaskDefinition, what describe-task-definition prints, a "
        "CloudFormation template or Terraform's JSON (FILE#NAME for one of several)",
    )
    parser.add_argument("--family", default="", help="for a file that is a bare list of containers")
    parser.set_defaults(command=register_task_definition)


def add_launch_instances_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan launch-instances`."""
    _file_argument(parser)
    parser.add_argument("type", help="an EC2 instance type, such as m5.large")
    parser.add_argument("--count", type=int, required=True, help="how many")
    parser.add_argument("--zones", required=True, help="dealt over in turn: us-east-1a,us-east-1b")
    parser.set_defaults(command=launch_instances)


def create_cluster(arguments: argparse.Namespace) -> int:
    """Write a cluster file with nothing in it yet."""
    path: Path = arguments.file
    if path.exists() and not arguments.force:
        raise SpecError([(str(path), "exists already; --force replaces it")])
    _replace(path, _SKELETON.format(name=path.stem))
    print(f"{path}: cluster {path.stem!r} created")
    return 0


def register_task_definition(arguments: argparse.Namespace) -> int:
    """Add a task definition under its family."""
    file: Path = arguments.json
    found = read_definition_file(file, family=arguments.family)
    definition, name = found.definition, os.path.relpath(file, arguments.file.parent)

    def add(document: TOMLDocument) -> None:
        document.setdefault("task_definitions", tomlkit.table())[definition.family] = name

    edit(arguments.file, add)
    print(f"{arguments.file}: task definition {definition.family!r} registered")
    for note in found.notes:
        print(f"{file}: {note}")
    return 0


def launch_instances(arguments: argparse.Namespace) -> int:
    """Add a group of equal instances."""
    zones = [zone.strip() for zone in arguments.zones.split(",") if zone.strip()]
    problems = []
    if arguments.type not in instance_types():
        problems.append(("TYPE", f"unknown instance type {arguments.type!r}"))
    if arguments.count < 1:
        problems.append(("--count", f"at least 1, found {arguments.count}"))
    if not zones:
        problems.append(("--zones", "at least one zone"))
    if problems:
        raise SpecError(problems)

    def add(document: TOMLDocument) -> None:
        fleet = document.setdefault("fleet", tomlkit.aot())
        group = tomlkit.table()
        group["name"] = f"group-{len(fleet) + 1}"
        group["instance_type"] = arguments.type
        group["count"] = arguments.count
        group["zones"] = zones
        fleet.append(group)

    edit(arguments.file, add)
    print(f"{arguments.file}: {arguments.count} {arguments.type} over {len(zones)} zones")
    return 0


def _file_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the cluster file (TOML)")


def edit(path: Path, change: Callable[[TOMLDocument], None]) -> None:
    """Change a cluster file in one move. Raises SpecError where it cannot be read or written."""
    try:
        document = tomlkit.parse(read_text(path))
    except OSError as error:
        raise SpecError([(str(path), error.strerror or str(error))]) from error
    except (ParseError, UnicodeError) as error:
        raise SpecError([(str(path), f"not valid TOML: {error}")]) from error
    change(document)
    _replace(path, tomlkit.dumps(document))


def _replace(path: Path, text: str) -> None:
    """Write in one move: a reader sees the old file or the new one."""
    try:
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(scratch, 0o644)
        os.replace(scratch, path)
    except OSError as error:
        raise SpecError([(str(path), error.strerror or str(error))]) from error
