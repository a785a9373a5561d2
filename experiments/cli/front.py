"""`stowplan front`: dollars saved against tasks moved, every point proven."""

from __future__ import annotations

import argparse
import csv
import io
import json
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stowplan.experiments.cli.interrupt import Interruptible
from stowplan.experiments.cli.notes import say_notes
from stowplan.experiments.cli.repack import since_start, spread_of, state_at
from stowplan.experiments.loading.arguments import amount, whole
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.report.optimize import answer_json
from stowplan.placement.errors import SpecError
from stowplan.placement.optimal.front import FrontPoint, savings_front
from stowplan.placement.optimal.keys import check_keys
from stowplan.placement.optimal.repack_state import RepackState
from stowplan.placement.packing.problem import Limits

COLUMNS = (
    "moves", "freed", "saves_usd_hour", "next_move_worth_usd", "status", "objective", "unit",
    "lower_bound", "gap", "seconds",
)  # fmt: skip

EPILOG = """\
A row for each point: so many moves of running tasks free so many instances and save so much an
hour. A point is proven ("optimal") where no fewer moves free as many instances, or, where instances
cost differently, where no plan is better at the price of a move that the point was sought at; then
points that no such price prefers may be missing. next_move_worth_usd: what each move beyond the row
before saves in --hours; consolidate as far as that is more than a disruption costs you.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan front`."""
    parser.add_argument("scenario", type=Path, help="a TOML file, or one that ships: small")
    parser.add_argument("--strategy", metavar="NAME", help="of the run that leads to the state")
    parser.add_argument("--layout", help="layout of the scenario (default: its first)")
    parser.add_argument("--at", type=since_start, metavar="15m", help="the state then (the end)")
    parser.add_argument("--journal", type=Path, help="the state out of a run's journal")
    parser.add_argument(
        "--hours", type=amount, default=1.0, metavar="H", help="a freed instance stays (1)"
    )
    parser.add_argument(
        "--time-limit", type=amount, default=60.0, metavar="S", help="seconds for all points (60)"
    )
    parser.add_argument("--seed", type=whole, default=0, help="of the search (0)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="a list of points, each with its answer")
    how.add_argument("--csv", action="store_true", help="a line for each point")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Print the front."""
    loaded = load_scenario(arguments.scenario)
    say_notes(loaded)
    check_keys(loaded.scenario, "repack")
    scheduler, prices = state_at(
        loaded,
        Namespace(
            at=arguments.at, journal=arguments.journal, layout=arguments.layout,
            strategy=arguments.strategy,
        ),
    )  # fmt: skip
    running = scheduler.outlook().running()
    end = time.perf_counter() + arguments.time_limit
    with Interruptible() as interruptible:

        def limits() -> Limits:
            left = max(0.0, end - time.perf_counter())
            return Limits(left, seed=arguments.seed, clock=interruptible.clock)

        points = savings_front(
            lambda spread_by: RepackState(scheduler.engine, running, [], spread_by),
            prices, limits, spread_of(loaded),
        )  # fmt: skip
    if arguments.hours <= 0:
        raise SpecError([("--hours", "expected a number above 0")])
    if arguments.json:
        print(json.dumps(as_json(points, arguments.hours)))
    elif arguments.csv:
        print(as_csv(points, arguments.hours), end="")
    else:
        print(as_text(points, arguments.hours))
    return 0


def rows(points: Sequence[FrontPoint], hours: float) -> list[dict[str, Any]]:
    """A row of `COLUMNS` for each point."""
    found = []
    before = (0, 0)
    for point in points:
        more = (point.saves - before[1]) / (point.moves - before[0]) if point.moves else 0.0
        answer = point.answer
        values = (
            point.moves, point.freed, point.saves / 1e6, round(more * hours / 1e6, 6),
            answer.status, answer.objective, answer.unit, answer.lower_bound, answer.gap,
            round(answer.seconds, 3),
        )  # fmt: skip
        found.append(dict(zip(COLUMNS, values, strict=True)))
        before = (point.moves, point.saves)
    return found


def as_json(points: Sequence[FrontPoint], hours: float) -> list[dict[str, Any]]:
    """The rows, each with the whole answer that it comes from."""
    return [
        row | {"answer": answer_json(replace(point.answer, log=()))}
        for row, point in zip(rows(points, hours), points, strict=True)
    ]


def as_csv(points: Sequence[FrontPoint], hours: float) -> str:
    """The rows with a header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(points, hours))
    return out.getvalue()


def as_text(points: Sequence[FrontPoint], hours: float) -> str:
    """The rows to be read."""
    if not points:
        return "no moves free an instance"
    lines = [f"{'moves':>6} {'freed':>6} {'$ an hour':>11} {'$ a move':>10}  proven"]
    for row in rows(points, hours):
        proven = "yes" if row["status"] == "optimal" else f"at least {row['lower_bound']}"
        lines.append(
            f"{row['moves']:>6} {row['freed']:>6} {row['saves_usd_hour']:>11.4f} "
            f"{row['next_move_worth_usd']:>10.4f}  {proven}"
        )
    lines.append(f"$ a move: what each move beyond the line before saves in {hours:g} h")
    return "\n".join(lines)
