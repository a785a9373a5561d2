"""Own prices of instance types from a CSV file: reserved, savings plans, other regions."""

from __future__ import annotations

import csv
from decimal import Decimal, InvalidOperation
from pathlib import Path

from stowplan.experiments.files.text import read_text
from stowplan.placement.errors import SpecError

COLUMNS = ("instance_type", "usd_per_hour")
_MICRO = 1_000_000
_USD_MAX = 10_000  # an hour of the dearest type of EC2 is a few hundred dollars


def read_prices(file: Path) -> dict[str, int]:
    """Type -> millionths of a dollar per hour.

    The file has a header with `instance_type` and `usd_per_hour`; other columns are passed over.

    Raises:
        SpecError: naming every line that is wrong.
    """
    try:
        lines = read_text(file).splitlines()
    except OSError as error:
        raise SpecError([(str(file), error.strerror or str(error))]) from error
    except UnicodeError as error:
        raise SpecError([(str(file), f"not a text file: {error}")]) from error
    reader = csv.DictReader(line for line in lines if not line.startswith("#"))
    if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        what = f"the header lacks {', '.join(missing)}; it is to have {', '.join(COLUMNS)}"
        raise SpecError([(str(file), what)])
    prices: dict[str, int] = {}
    problems = []
    for number, row in enumerate(reader, 2):
        name, text = (row["instance_type"] or "").strip(), (row["usd_per_hour"] or "").strip()
        place = f"{file}: row {number}"
        price = _micro(text)
        if not name:
            problems.append((f"{place}: instance_type", "is empty"))
        elif price is None:
            what = f"expected dollars from 0 to {_USD_MAX}, found {text!r}"
            problems.append((f"{place}: usd_per_hour", what))
        elif name in prices:
            problems.append((f"{place}: instance_type", f"{name!r} is there twice"))
        else:
            prices[name] = price
    if problems:
        raise SpecError(problems)
    return prices


def _micro(text: str) -> int | None:
    """Millionths of what is written in dollars; None where it is no price."""
    try:
        usd = Decimal(text)
    except InvalidOperation:
        return None
    if not usd.is_finite() or not 0 <= usd <= _USD_MAX:
        return None
    return int((usd * _MICRO).to_integral_value())
