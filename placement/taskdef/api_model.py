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
}


def conform(document: Any, shape_name: str) -> tuple[Any, list[tuple[str, str]]]:
    """A copy of `document` that rules can read, and a (path, what) for all that breaks the model.

    A member that is null counts as not given, as in AWS's JSON protocol: the console and describe
    calls write so what they leave out. What is broken becomes None in the copy: None there thus
    means "given, but unusable", and a missing key "not given".
    """
    problems: list[tuple[str, str]] = []
    return _conform(document, shape_name, "", problems), problems


def usable(values: Any) -> Iterator[tuple[int, Any]]:
    """(index, value) of the usable values of a list that may itself be absent or unusable."""
    return ((i, value) for i, value in enumerate(values or ()) if value is not None)


def members_of(shape_name: str) -> Mapping[str, str]:
    """The members of a structure of the model, each with the name of its shape."""
    return {name: each["shape"] for name, each in _api_shapes()[shape_name]["members"].items()}


def type_of(shape_name: str) -> tuple[str, str]:
    """Type of a shape (structure, list, map, string, integer ...), and shape of its content."""
    shape = _api_shapes()[shape_name]
    inner = shape.get("member") or shape.get("value") or {"shape": ""}
    return shape["type"], inner["shape"]


@cache
def _api_shapes() -> Any:
    """The shapes of AWS's own API model; by botocore's loader they would take ten times as long."""
    packed = pkgutil.get_data("botocore", "data/ecs/2014-11-13/service-2.json.gz")
    assert packed is not None, "botocore ships no model of ECS"
    return json.loads(gzip.decompress(packed))["shapes"]


def _conform(value: Any, shape_name: str, path: str, problems: list[tuple[str, str]]) -> Any:
    shape: Any = _api_shapes()[shape_name]
    json_type, expected = _JSON_TYPES[shape["type"]]
    if not isinstance(value, json_type) or (isinstance(value, bool) and json_type is not bool):
        quote = f'; write "{value}"' if json_type is str and type(value) is int else ""
        problems.append((path, f"expected {expected}, got {shown(value)}{quote}"))
    elif shape["type"] == "structure":
        return _conform_members(value, shape, path, problems)
    elif (beyond := _beyond(value, shape)) is not None:
        problems.append((path, beyond))
    elif shape["type"] == "map":
        member = shape["value"]["shape"]
        return {str(k): _conform(v, member, f"{path}.{k}", problems) for k, v in value.items()}
    elif shape["type"] == "list":
        member = shape["member"]["shape"]
        return [_conform(v, member, f"{path}[{i}]", problems) for i, v in enumerate(value)]
    elif value not in shape.get("enum", (value,)):
        problems.append((path, f"{shown(value)} is not one of {', '.join(shape['enum'])}"))
    elif json_type is int and not -(2**31) <= value < 2**31:
        problems.append((path, "does not fit in 32 bits"))
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
    value: Mapping[str, Any], shape: Any, path: str, problems: list[tuple[str, str]]
) -> dict[str, Any]:
    dot, members, clean = f"{path}." if path else "", shape["members"], {}
    described = () if path else _api_shapes()["TaskDefinition"]["members"]
    for key, item in value.items():
        if item is None:
            continue
        if key in members:
            clean[key] = _conform(item, members[key]["shape"], f"{dot}{key}", problems)
        elif key not in described:
            near = difflib.get_close_matches(str(key), members, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append((f"{dot}{key}", f"unknown field{hint}"))
            # The field meant is not reported as missing on top.
            clean |= {name: None for name in near if name not in value}
    missing = [key for key in shape.get("required", ()) if key not in clean]
    problems += [(f"{dot}{key}", "missing, and required") for key in missing]
    return clean


def shown(value: Any) -> str:
    """A value the way JSON writes it, cut short where it is long, for a message."""
    literal = value is None or isinstance(value, bool)
    return json.dumps(value) if literal else reprlib.repr(value)
