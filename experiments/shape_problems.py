"""From what pydantic says of a file's shape to problems that its writer can act on."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import ValidationError

from placement.scenario_fields import Table
from placement.scenario_fleet import nearest

Place = tuple[int | str, ...]

_EXPECTED = {
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "dict_type": "expected a table",
    "model_type": "expected a table",
    "string_type": "expected a text",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a number",
    "bool_type": "expected true or false",
}


def shape_problems(error: ValidationError, root: type[Table] | None) -> list[tuple[str, str]]:
    """Every (place, what) of an error; a misspelt field is not reported as missing too.

    Args:
        root: what was validated, to know the fields that could have been meant; None: not known.
    """
    details = error.errors()
    missing = [each["loc"] for each in details if each["type"] == "missing"]
    problems: list[tuple[str, str]] = []
    meant: set[Place] = set()
    for each in details:
        if each["type"] == "extra_forbidden":
            *outer, name = each["loc"]
            fields = _fields(root, each["loc"]) or [
                str(m[-1]) for m in missing if m[:-1] == (*outer,)
            ]
            near = nearest(str(name), fields)
            meant |= {(*outer, near)} if near else set()
            hint = f"; did you mean {near}?" if near else ""
            problems.append((place_text(each["loc"]), f"unknown field{hint}"))
    for each in details:
        known = each["type"] == "extra_forbidden" or each["loc"] in meant
        if not known and not _follows(each, details):
            problems.append((place_text(each["loc"]), _what(each)))
    return problems


def _follows(detail: Any, details: Sequence[Any]) -> bool:
    """A list is also called too short where what is in it is wrong."""
    loc = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in details
    )


def place_text(loc: Place) -> str:
    """`fleet[2].zones[0]`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _what(detail: Any) -> str:
    kind, found = detail["type"], reprlib.repr(detail["input"])
    if kind == "missing":
        return "missing, and required"
    if kind == "value_error":
        return str(detail["msg"]).removeprefix("Value error, ")
    if kind == "too_short":
        return f"needs at least {detail['ctx']['min_length']}"
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]}, found {found}"
    return f"{detail['msg'].replace('Input should be', 'must be', 1)}, found {found}"


def _fields(root: type[Table] | None, loc: Place) -> list[str]:
    """Names of the fields of the table that holds `loc`."""
    table = root
    for part in loc[:-1]:
        if table is not None and isinstance(part, str) and part in table.model_fields:
            table = _table_in(table.model_fields[part].annotation)
    return list(table.model_fields) if table is not None else []


def _table_in(annotation: Any) -> type[Table] | None:
    """The table in `dict[str, tuple[Fault, ...]]`, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    inner = (_table_in(argument) for argument in get_args(annotation))
    return next((table for table in inner if table is not None), None)
