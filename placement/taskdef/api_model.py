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
from collections.abc import Mapping
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

    What is broken becomes None in the copy: None thus means "given, but unusable", and a missing
    key "not given".
    """
    problems: list[tuple[str, str]] = []
    return _conform(document, shape_name, "", problems), problems


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


def _conform_members(
    value: Mapping[str, Any], shape: Any, path: str, problems: list[tuple[str, str]]
) -> dict[str, Any]:
    dot, members, clean = f"{path}." if path else "", shape["members"], {}
    described = () if path else _api_shapes()["TaskDefinition"]["members"]
    for key, item in value.items():
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
