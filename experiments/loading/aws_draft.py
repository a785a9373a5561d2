"""A scenario in the making: its tables as plain values, each with what is to be said beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tomlkit
from tomlkit.items import Table

from stowplan.experiments.loading.aws_item import Notes


@dataclass
class Row:
    """A table: keys and values in the order in which they are written, and comments above them."""

    values: dict[str, Any]
    comments: tuple[str, ...] = ()


@dataclass
class Draft:
    """What was found of a cluster, in the words of a scenario; names of definitions are short."""

    name: str
    notes: Notes
    types: dict[str, Row] = field(default_factory=dict)
    default_strategy: list[dict[str, Any]] = field(default_factory=list)
    fleet: list[Row] = field(default_factory=list)
    providers: list[Row] = field(default_factory=list)
    definitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    services: list[Row] = field(default_factory=list)
    workloads: list[Row] = field(default_factory=list)
    running: list[Row] = field(default_factory=list)
    region: str = ""


def scenario_text(draft: Draft, folder: str, duration: str) -> str:
    """The scenario file of a draft.

    Args:
        folder: that holds the files of the task definitions, beside the scenario.
    """
    document = tomlkit.document()
    for line in (
        "An ECS cluster as `aws ... describe-*` saw it, written by `stowplan import`.",
        "`stowplan check FILE` checks it, `stowplan simulate FILE --out FOLDER` runs it.",
        "At 0 s the tasks of [[running]] run; take these tables out, and ECS places all anew.",
        "A service that has a strategy keeps it in every run: take it out to compare chains.",
    ):
        document.add(tomlkit.comment(line))
    document["name"], document["seed"], document["duration"] = draft.name, 1, duration
    if draft.region:
        document["region"] = draft.region
    document["strategies"] = _table({"ecs-default": "default"})
    if draft.default_strategy:
        key = "default_capacity_provider_strategy"
        document["cluster"] = _table({key: draft.default_strategy})
    if draft.types:
        document["instance_types"] = tomlkit.table(is_super_table=True)
        for name, row in draft.types.items():
            document["instance_types"][name] = _table(row.values, row.comments)
    files = {name: f"{folder}/{name}.json" for name in draft.definitions}
    document["task_definitions"] = _table(files)
    parts = {"fleet": draft.fleet, "capacity_provider": draft.providers}
    parts |= {"service": draft.services, "workload": draft.workloads, "running": draft.running}
    # Row by row: an array of tables looks through all of its rows with each that it gets.
    text = [tomlkit.dumps(document)]
    for key, rows in parts.items():
        for row in rows:
            text.append(f"\n[[{key}]]\n{tomlkit.dumps(_table(row.values, row.comments))}")
    return "".join(text)


def _table(values: Mapping[str, Any], comments: tuple[str, ...] = ()) -> Table:
    table = tomlkit.table()
    for comment in comments:
        table.add(tomlkit.comment(comment))
    for key, value in values.items():
        table[key] = _value(value)
    return table


def _value(value: Any) -> Any:
    """Tables within a table are written in line, so that one object of ECS is one block."""
    if isinstance(value, Mapping):
        inline = tomlkit.inline_table()
        for key, each in value.items():
            inline[key] = _value(each)
        return inline
    if isinstance(value, list | tuple):
        array = tomlkit.array()
        for each in value:
            array.append(_value(each))
        array.multiline(any(isinstance(each, Mapping) for each in value) and len(value) > 1)
        return array
    return value
