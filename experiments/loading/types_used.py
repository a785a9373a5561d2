"""The instance types that a scenario names: its own, and of the catalogue those it needs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from stowplan.experiments.loading.aws_item import Problems
from stowplan.experiments.loading.catalogue import (
    HOME_REGION,
    check_region,
    instance_types,
    listed,
)
from stowplan.experiments.loading.requirements import take_requirements
from stowplan.placement.errors import SpecError

_PARTS = ("fleet", "capacity_provider", "optimize", "settings", "faults")
_KEYS = ("instance_type", "instance_types")
_NEAR = 3  # names of the catalogue that are told to who misspelt one


def types_used(document: dict[str, Any], path: Path, problems: Problems) -> set[str]:
    """Put the types of the catalogue that a document names beside its own.

    For a name that nothing has, the nearest ones of the catalogue, so that they can be suggested.

    Returns:
        those of which no price in the document's region is known.
    """
    own = document.setdefault("instance_types", {})
    region = document.get("region", HOME_REGION)
    if not isinstance(own, dict) or not isinstance(region, str):
        return set()
    try:
        check_region(region, f"{path}: region")
    except SpecError as error:
        problems += error.problems
        return set()
    take_requirements(document, region, problems, str(path))
    catalogue, taken, wrong = instance_types(region), dict[str, Any](), set[str]()
    for name in dict.fromkeys(_names({key: document.get(key) for key in _PARTS})):
        if name in catalogue:
            taken[name] = catalogue[name]
        elif name not in own and name != "?":
            wrong.add(name)
    for name in wrong:
        near = difflib.get_close_matches(name, list(catalogue), n=_NEAR)
        taken |= {each: catalogue[each] for each in near}
    document["instance_types"] = {**taken, **own}
    return {name for name in taken.keys() - own.keys() if not listed(name, region).priced}


def _names(value: Any, key: str = "") -> Iterator[str]:
    """The texts under keys that name types, at any depth."""
    if isinstance(value, str):
        if key in _KEYS:
            yield value
    elif isinstance(value, Mapping):
        for inner, each in value.items():
            yield from _names(each, inner if isinstance(inner, str) else "")
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _names(each, key)
    elif isinstance(value, BaseModel):
        yield from _names(vars(value), key)
