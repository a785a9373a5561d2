"""JSON checked against the API model of ECS that botocore ships: types, enums, known fields.

What the model leaves to the service is in `placement.taskdef.rules`. Nothing here knows what a
field means.
"""

from __future__ import annotations

import difflib
import gzip
import json
import pkgutil
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

_JSON_TYPES: dict[str, tuple[Any, str]] = {
    "structure": (Mapping, "an object"),
    "map": (Mapping, "an object"),
    "list": ((list, tuple), "a list"),
    "string": (str, "a string"),
    "boolean": (bool, "true or false"),
    "integer": (int, "an integer"),
    "long": (int, "an integer"),
    "double": ((int, float), "a number"),
    "timestamp": ((int, float), "seconds since 1970"),
}

WRONG_TYPE = "expected "  # what a problem begins with where a value is of another type


def conform(
    document: Any, shape_name: str, *, unknown_ignored: bool = False
) -> tuple[Any, list[tuple[str, str]]]:
    """A copy of `document` that rules can read, and a (path, what) for all that breaks the model.

    A member that is null counts as not given, as in AWS's JSON protocol: the console and describe
    calls write so what they leave out. What is broken becomes None in the copy: None there thus
    means "given, but unusable", and a missing key "not given".

    Args:
        unknown_ignored: members that the model does not know are passed over, as AWS's services do,
            and are no mistake of whoever wrote them.
    """
    reading = _Reading(unknown_ignored)
    return _conform(document, shape_name, "", reading), reading.problems


@cache
def operations() -> Mapping[str, str]:
    """The operations of ECS's API, each with the name of the shape of its request."""
    return {name: each["input"]["shape"] for name, each in _api()["operations"].items()}


@cache
def answers() -> Mapping[str, str]:
    """The operations of ECS's API, each with the name of the shape of its response."""
    return {name: each["output"]["shape"] for name, each in _api()["operations"].items()}


def usable(values: Any) -> Iterator[tuple[int, Any]]:
    """(index, value) of the usable values of a list that may itself be absent or unusable."""
    return ((i, value) for i, value in enumerate(values or ()) if value is not None)


def members_of(shape_name: str) -> Mapping[str, str]:
    """The members of a structure of the model, each with the name of its shape."""
    return {name: each["shape"] for name, each in _api_shapes()[shape_name]["members"].items()}


def shape(name: str) -> Mapping[str, Any]:
    """A shape of the model, as botocore ships it."""
    found: Mapping[str, Any] = _api_shapes()[name]
    return found


def type_of(shape_name: str) -> tuple[str, str]:
    """Type of a shape (structure, list, map, string, integer ...), and shape of its content."""
    shape = _api_shapes()[shape_name]
    inner = shape.get("member") or shape.get("value") or {"shape": ""}
    return shape["type"], inner["shape"]


@dataclass(slots=True)
class _Reading:
    """A document while it is read."""

    unknown_ignored: bool
    problems: list[tuple[str, str]] = field(default_factory=list)


@cache
def _api() -> Any:
    """AWS's own API model; by botocore's loader it would take ten times as long."""
    packed = pkgutil.get_data("botocore", "data/ecs/2014-11-13/service-2.json.gz")
    assert packed is not None, "botocore ships no model of ECS"
    return json.loads(gzip.decompress(packed))


@cache
def _api_shapes() -> Any:
    return _api()["shapes"]


def _conform(value: Any, shape_name: str, path: str, reading: _Reading) -> Any:
    shape: Any = _api_shapes()[shape_name]
    json_type, expected = _JSON_TYPES[shape["type"]]
    if not isinstance(value, json_type) or (isinstance(value, bool) and json_type is not bool):
        quote = f'; write "{value}"' if json_type is str and type(value) is int else ""
        reading.problems.append((path, f"{WRONG_TYPE}{expected}, got {shown(value)}{quote}"))
    elif shape["type"] == "structure":
        return _conform_members(value, shape, path, reading)
    elif (beyond := _beyond(value, shape)) is not None:
        reading.problems.append((path, beyond))
    elif shape["type"] == "map":
        member = shape["value"]["shape"]
        return {str(k): _conform(v, member, f"{path}.{k}", reading) for k, v in value.items()}
    elif shape["type"] == "list":
        member = shape["member"]["shape"]
        return [_conform(v, member, f"{path}[{i}]", reading) for i, v in enumerate(value)]
    elif value not in shape.get("enum", (value,)):
        reading.problems.append((path, f"{shown(value)} is not one of {', '.join(shape['enum'])}"))
    elif shape["type"] == "integer" and not -(2**31) <= value < 2**31:
        reading.problems.append((path, "does not fit in 32 bits"))
    else:
        return value
    return None


def _beyond(value: Any, shape: Any) -> str | None:
    """What is wrong with the size of a list or text, or with an integer; None: nothing."""
    if "min" not in shape and "max" not in shape:
        return None
    size, noun = (value, "") if isinstance(value, int) else (len(value), " long")
    least, most = shape.get("min", 0), shape.get("max", 2**31 - 1)
    return None if least <= size <= most else f"is {size}{noun}; {least} to {most} is allowed"


def _conform_members(
    value: Mapping[str, Any], shape: Any, path: str, reading: _Reading
) -> dict[str, Any]:
    dot, members, clean = f"{path}." if path else "", shape["members"], {}
    described = () if path else _api_shapes()["TaskDefinition"]["members"]
    for key, item in value.items():
        if item is None:
            continue
        if key in members:
            clean[key] = _conform(item, members[key]["shape"], f"{dot}{key}", reading)
        elif key not in described and not reading.unknown_ignored:
            near = difflib.get_close_matches(str(key), members, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            reading.problems.append((f"{dot}{key}", f"unknown field{hint}"))
            # The field meant is not reported as missing on top.
            clean |= {name: None for name in near if name not in value}
    missing = [key for key in shape.get("required", ()) if key not in clean]
    reading.problems += [(f"{dot}{key}", "missing, and required") for key in missing]
    return clean


def shown(value: Any) -> str:
    """A value the way JSON writes it, cut short where it is long, for a message."""
    literal = value is None or isinstance(value, bool)
    return json.dumps(value) if literal else reprlib.repr(value)
