"""From pydantic's words on a file's shape to problems that its writer can act on."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from stowplan.experiments.loading.shapes import Place, Spot, example, spot
from stowplan.placement.scenario.fields import Table
from stowplan.placement.scenario.words import nearest

_STRUCTURES = {
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "dict_type": "expected a table",
    "model_type": "expected a table",
}
_EXPECTED = {
    "string_type": "expected a text",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a number",
    "bool_type": "expected true or false",
}


def shape_problems(error: ValidationError, root: type[Table]) -> list[tuple[str, str]]:
    """Every (place, what) of an error; a misspelt field is not reported as missing too.

    Args:
        root: what was validated, to know the fields that could have been meant.
    """
    # For `table or false` pydantic reports what is wrong with each; the table was meant.
    details = [each for each in error.errors() if "literal[False]" not in each["loc"]]
    problems: list[tuple[str, str]] = []
    meant: set[Place] = set()
    for each in details:
        if each["type"] == "extra_forbidden":
            at = spot(root, each["loc"])
            *outer, name = at.place
            near = nearest(str(name), at.fields)
            meant |= {(*outer, near)} if near else set()
            known = ", ".join(sorted(at.fields)) or "none"
            hint = f"did you mean {near}?" if near else f"known: {known}"
            problems.append((place_text(at.place), f"unknown field; {hint}"))
    for each in details:
        at = spot(root, each["loc"])
        told = each["type"] == "extra_forbidden" or at.place in meant
        if not told and not _follows(each, details):
            problems.append((place_text(at.place), _what(each, at)))
    return problems


def _follows(detail: Any, details: Sequence[Any]) -> bool:
    """A list is also reported as too short where an item of it is wrong."""
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


def _what(detail: Any, at: Spot) -> str:
    kind, found = detail["type"], reprlib.repr(detail["input"])
    if kind == "missing":
        return "missing, and required"
    if kind == "value_error":
        return str(detail["msg"]).removeprefix("Value error, ")
    if kind == "too_short":
        return f"needs at least {detail['ctx']['min_length']}"
    if kind in _STRUCTURES:
        return f"{_STRUCTURES[kind]}, such as {example(at.place, at.annotation)}; found {found}"
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]}, found {found}"
    return f"{detail['msg'].replace('Input should be', 'must be', 1)}, found {found}"
