"""What comes in from a notebook, made into what the toolkit takes: whole numbers, rows, lists."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from stowplan.experiments.loading.shape_problems import shape_problems
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.fields import Table
from stowplan.placement.scenario.words import nearest
from stowplan.placement.units import AMOUNT_MAX

if TYPE_CHECKING:
    import pandas as pd

Problems = list[tuple[str, str]]


def is_missing(value: object) -> bool:
    """Whether a cell of a table is empty: None, NaN, NaT, pandas.NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, numbers.Real) and math.isnan(float(value))


def whole(value: object, place: str, problems: Problems, least: int = 0) -> int:
    """A whole number of at least `least`; 4.0 is one, since pandas makes that of 4 beside a gap.

    What is none is added to `problems`, and `least` returned.
    """
    number: int | None = None
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        number = int(value)
    elif isinstance(value, numbers.Real) and float(value).is_integer():
        number = int(float(value))
    if number is None or isinstance(value, bool) or not least <= number <= AMOUNT_MAX:
        problems.append((place, f"expected a whole number of at least {least}, found {value!r}"))
        return least
    return number


def texts(value: object) -> tuple[str, ...]:
    """A text, or several, as a tuple; nothing for an empty cell."""
    if isinstance(value, str):
        return (value,)
    if is_missing(value):
        return ()
    return tuple(str(each) for each in value) if isinstance(value, Iterable) else (str(value),)


def rows_of(what: pd.DataFrame | Iterable[Mapping[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """(place, row without its empty cells) of a DataFrame or of dicts; the place is for errors.

    Raises:
        SpecError: it is neither.
    """
    if hasattr(what, "to_dict") and hasattr(what, "columns"):
        table: Any = what
        labels, rows = list(table.index), table.to_dict("records")
        named = [(f"row {label}", row) for label, row in zip(labels, rows, strict=True)]
    elif isinstance(what, Mapping):
        named = [("row 0", dict(what))]
    elif isinstance(what, Sequence) and all(isinstance(row, Mapping) for row in what):
        named = [(f"row {n}", dict(row)) for n, row in enumerate(what)]
    else:
        raise SpecError([("rows", f"expected a DataFrame or a list of dicts, found {what!r}")])
    return [(at, {str(k): v for k, v in row.items() if not is_missing(v)}) for at, row in named]


def unknown_columns(
    rows: Sequence[tuple[str, Mapping[str, Any]]], known: Sequence[str], problems: Problems
) -> None:
    """Add a problem for each column that is not known and has no known prefix (`resource:`)."""
    names = dict.fromkeys(name for _, row in rows for name in row)
    prefixes = tuple(name for name in known if name.endswith(":"))
    for name in names:
        if name not in known and not name.startswith(prefixes or ("\0",)):
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
            problems.append((f"column {name}", f"unknown; {hint}"))


def prefixed(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The columns of a row that begin with a prefix, without it."""
    return {name.removeprefix(prefix): row[name] for name in row if name.startswith(prefix)}


def made(table: type[Table], values: Mapping[str, Any], place: str, problems: Problems) -> Any:
    """A table of the scenario out of values; what is wrong is added, and None returned."""
    try:
        return table.model_validate(dict(values))
    except ValidationError as error:
        problems += [
            (f"{place}: {at}" if at else place, what) for at, what in shape_problems(error, table)
        ]
        return None


def check(problems: Problems) -> None:
    """Raises SpecError where there are problems."""
    if problems:
        raise SpecError(problems)
