"""`stowplan types`: the instance types that are known by name, filtered and priced."""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stowplan.experiments.loading.catalogue import (
    HOME_DATE,
    HOME_REGION,
    REGIONS_DATE,
    Listed,
    check_region,
    instance_types,
    is_offered,
    listed_types,
)
from stowplan.experiments.loading.prices_file import read_prices
from stowplan.placement.errors import SpecError

_COLUMNS = (
    *("type", "family", "arch", "vcpu", "memory_mib", "registered_mib", "gpu", "gpu_name"),
    *("awsvpc_tasks", "awsvpc_tasks_trunk", "usd_per_hour", "usd_per_month", "price"),
)
_HOURS_A_MONTH = 730  # as AWS's own calculator has it
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_RANGE = re.compile(rf"(?:({_NUMBER})?(-)({_NUMBER})?)|{_NUMBER}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan types`."""
    parser.add_argument("pattern", nargs="?", default="", help="of names: a regular expression")
    parser.add_argument("--family", action="append", default=[], help="such as m5, or the class m")
    parser.add_argument("--arch", choices=("x86_64", "arm64"), help="of its processors")
    parser.add_argument("--vcpu", help="how many: 4, 4-16, 4-, -16")
    parser.add_argument("--memory", help="GiB: 16, 16-64, 16-, -64")
    parser.add_argument("--gpu", help="how many: 0, 1-, 1-4")
    parser.add_argument("--usd", help="dollars per hour: 0-1, -0.2")
    parser.add_argument("--current", action="store_true", help="what AWS calls current, no metal")
    parser.add_argument(
        "--region", default=HOME_REGION, help=f"those on offer there, priced so: {HOME_REGION}"
    )
    parser.add_argument("--prices", type=Path, help="CSV of prices of yours that count instead")
    parser.add_argument(
        "--sort", choices=("name", "price", "vcpu", "memory"), default="name", help="default: name"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="CSV in place of a table")
    form.add_argument("--json", action="store_true", help="JSON in place of a table")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the types that fit, one a line; exit code 1 where none does."""
    fits = _filter(arguments)
    own = read_prices(arguments.prices) if arguments.prices else {}
    region = arguments.region
    for name in sorted(own.keys() - instance_types().keys()):
        print(f"note: {arguments.prices}: {name} is not in the catalogue", file=sys.stderr)
    rows = [_row(each, own, region) for each in listed_types(region) if fits(each)]
    key = {"name": "type", "price": "usd_per_hour", "memory": "memory_mib"}
    column = key.get(arguments.sort, arguments.sort)
    rows.sort(key=lambda row: (_rank(row, column), row["type"]))
    if arguments.json:
        print(json.dumps(rows, indent=2))
    elif arguments.csv:
        writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        _print_table(rows)
    return 0 if rows else 1


def _rank(row: dict[str, Any], column: str) -> Any:
    """By family and size, or by a column; what has no price comes last."""
    if column == "type":
        return row["family"], row["vcpu"], row["memory_mib"]
    return math.inf if row[column] == "" else row[column]


def _row(each: Listed, own: dict[str, int], region: str) -> dict[str, Any]:
    kind = each.registers
    when = f"{region} {HOME_DATE if region == HOME_REGION else REGIONS_DATE}"
    price = own.get(each.name, kind.price_microusd_hour if each.priced else None)
    return {
        "type": each.name,
        "family": each.family,
        "arch": kind.architecture,
        "vcpu": kind.cpu // 1024,
        "memory_mib": each.memory_mib,
        "registered_mib": kind.memory,
        "gpu": kind.gpus,
        "gpu_name": each.gpu_name,
        "awsvpc_tasks": kind.eni_slots,
        "awsvpc_tasks_trunk": "" if kind.eni_slots_trunk is None else kind.eni_slots_trunk,
        "usd_per_hour": "" if price is None else price / 1_000_000,
        "usd_per_month": "" if price is None else round(price * _HOURS_A_MONTH / 1_000_000, 2),
        "price": "yours" if each.name in own else "" if price is None else when,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    shown = [[str(row[name]) for name in _COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *shown, strict=True)]
    for line in ([*_COLUMNS], *shown):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print("  ".join(cells).rstrip())
    print(f"{len(rows)} types; prices on demand, Linux; a month has {_HOURS_A_MONTH} hours")


def _filter(arguments: argparse.Namespace) -> Callable[[Listed], bool]:
    """Whether a type is asked for. Raises SpecError for arguments that say nothing."""
    problems: list[tuple[str, str]] = []
    ranges = {}
    for name in ("vcpu", "memory", "gpu", "usd"):
        try:
            ranges[name] = _range(getattr(arguments, name))
        except ValueError as error:
            problems.append((f"--{name}", str(error)))
    try:
        pattern = re.compile(arguments.pattern)
    except re.error as error:
        problems.append(("PATTERN", f"no regular expression: {error}"))
    try:
        check_region(arguments.region, "--region")
    except SpecError as error:
        problems += error.problems
    if problems:
        raise SpecError(problems)

    def fits(each: Listed) -> bool:
        kind = each.registers
        sizes = {"vcpu": kind.cpu / 1024, "memory": each.memory_mib / 1024, "gpu": kind.gpus}
        if each.priced:
            sizes["usd"] = kind.price_microusd_hour / 1_000_000
        return (
            pattern.search(each.name) is not None
            and is_offered(each, arguments.region)
            and (each.current or not arguments.current)
            and (not arguments.family or bool({each.family, each.klass} & {*arguments.family}))
            and arguments.arch in (None, kind.architecture)
            and all(
                low <= sizes.get(name, 0 if high == math.inf else math.inf) <= high
                for name, (low, high) in ranges.items()
            )
        )

    return fits


def _range(text: str | None) -> tuple[float, float]:
    """`4`, `4-16`, `4-` or `-16`. Raises ValueError for anything else."""
    match = _RANGE.fullmatch(text or "-")
    if match is None:
        raise ValueError(f"expected a number, or a range such as 4-16, 4- or -16; found {text!r}")
    low, dash, high = match.groups()
    if dash is None:
        return float(match[0]), float(match[0])
    found = float(low) if low else 0.0, float(high) if high else math.inf
    if found[0] > found[1]:
        raise ValueError(f"the range {text!r} is empty")
    return found
