"""`stowplan consolidate`: a repack as a policy in time, moves a day against dollars saved."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stowplan.experiments.cli.notes import say_notes
from stowplan.experiments.cli.repack import spread_of
from stowplan.experiments.loading.arguments import amount
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.runs.consolidate import Policy, Told, consolidated
from stowplan.placement.errors import SpecError
from stowplan.placement.units import parse_duration_ms

MS_PER_DAY = 86_400_000
COLUMNS = (
    "every", "moves", "moves_a_day", "dollars_busy", "saved", "saved_a_day", "saved_a_move",
    "drained", "recalled", "plans", "plans_proven", "services_short_pct",
)  # fmt: skip

EPILOG = """\
The scenario is simulated without the policy ("never") and once for each period. At each turn a plan
is made of which instances to free (a move costs --move-cost, a freed instance counts for --hours),
and those are set DRAINING: ECS moves the tasks of services off them, within the minimum and maximum
percent of each, where their own strategies send them; standalone tasks run to their end. When a
task finds no room all drained instances are ACTIVE again. dollars_busy: of instances that hold a
task which is no daemon's; saved: against never. A freed instance saves money where it is given
back, as a capacity provider's group does.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan consolidate`."""
    parser.add_argument("scenario", type=Path, help="a TOML file, or one that ships: small")
    parser.add_argument(
        "--every", default="1h,6h,1d", metavar="1h,6h,1d", help="periods to compare (1h,6h,1d)"
    )
    parser.add_argument(
        "--move-cost", type=amount, default=0.001, metavar="USD", help="of one move (0.001)"
    )
    parser.add_argument(
        "--hours", type=amount, default=1.0, metavar="H", help="a freed instance counts for (1)"
    )
    parser.add_argument(
        "--work", type=amount, default=50.0, metavar="N", help="units of work for each plan (50)"
    )
    parser.add_argument("--strategy", metavar="NAME", help="of the scenario (default: its first)")
    parser.add_argument("--layout", help="layout of the scenario (default: its first)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="a list, an object for each period")
    how.add_argument("--csv", action="store_true", help="a line for each period")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Simulate each period and print them beside each other."""
    periods = _periods(arguments.every)
    loaded = load_scenario(arguments.scenario)
    say_notes(loaded)
    scenario = loaded.scenario
    run = next(
        (
            run
            for run in scenario.runs()
            if arguments.layout in (None, run.layout) and arguments.strategy in (None, run.strategy)
        ),
        None,
    )
    if run is None:
        what = f"layouts: {', '.join(scenario.layouts)}; strategies: "
        raise SpecError([("--layout, --strategy", what + ", ".join(scenario.strategies))])
    if any(fault.kind == "scheduler-restart" for fault in scenario.faults[run.faults]):
        raise SpecError([("faults", "consolidate does not play restarts of the scheduler")])
    found = []
    for name, every_ms in [("never", 0), *periods]:
        policy = Policy(
            every_ms, round(1e6 * arguments.move_cost), arguments.hours, arguments.work,
            spread_of(loaded),
        )  # fmt: skip
        result, told = consolidated(loaded, run, policy)
        found.append((name, result.metrics, told))
    rows = _rows(found, scenario.duration)
    if arguments.json:
        print(json.dumps(rows))
    elif arguments.csv:
        print(_as_csv(rows), end="")
    else:
        print(_as_text(rows))
    return 0


def _periods(text: str) -> list[tuple[str, int]]:
    """Out of `1h,6h`. Raises SpecError naming each that is no duration above 0."""
    found, problems = [], []
    for part in (part.strip() for part in text.split(",")):
        try:
            every_ms = parse_duration_ms(part)
        except ValueError as error:
            problems.append((f"--every {part}", str(error)))
            continue
        if every_ms < 1:
            problems.append((f"--every {part}", "expected a duration above 0"))
        found.append((part, every_ms))
    if problems:
        raise SpecError(problems)
    return found


def _rows(found: Sequence[tuple[str, Any, Told]], duration_ms: int) -> list[dict[str, Any]]:
    """A row of `COLUMNS` for each period."""
    days = duration_ms / MS_PER_DAY
    before = float(found[0][1]["dollars_busy"])
    rows = []
    for name, metrics, told in found:
        busy = float(metrics["dollars_busy"])
        saved = before - busy
        values = (
            name, told.moved, told.moved / days, busy, saved, saved / days,
            saved / told.moved if told.moved else None, told.drained, told.recalled, told.plans,
            told.proven, metrics.get("services_short_pct"),
        )  # fmt: skip
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def _as_csv(rows: Sequence[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _as_text(rows: Sequence[dict[str, Any]]) -> str:
    heads = ("every", "moves", "a day", "busy $", "saved $", "a day", "a move", "plans", "proven")
    lines = ["".join(f"{head:>10}" for head in heads)]
    for row in rows:
        move = "" if row["saved_a_move"] is None else f"{row['saved_a_move']:.4f}"
        lines.append(
            f"{row['every']:>10}{row['moves']:>10}{row['moves_a_day']:>10.1f}"
            f"{row['dollars_busy']:>10.4f}{row['saved']:>10.4f}{row['saved_a_day']:>10.4f}"
            f"{move:>10}{row['plans']:>10}{row['plans_proven']:>10}"
        )
    return "\n".join(lines)
