"""The rows of a benchmark: a figure, the bar it must reach, what it is held against; printing."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; None where it could not be measured, and `against` says why.

    `bar` is what it must reach (None: none is set), `against` what it is held against.
    """

    case: str
    value: float | None
    unit: str
    bar: float | None
    ok: bool
    against: str


class Clock:
    """Seconds, of the processor or of the wall, and what share of the wall's the first were."""

    def __init__(self, *, wall: bool) -> None:
        self.now = time.perf_counter if wall else time.process_time
        self.name = "the wall clock" if wall else "processor time"
        self._processor, self._wall = time.process_time(), time.perf_counter()

    def share(self) -> float:
        """Of the wall clock since the start, how much this process had a processor for."""
        wall = time.perf_counter() - self._wall
        return (time.process_time() - self._processor) / wall


def at_least(case: str, value: float, unit: str, bar: float, against: str = "") -> Row:
    """A row whose value should be high."""
    return Row(case, value, unit, bar, value >= bar, against)


def at_most(case: str, value: float, unit: str, bar: float, against: str = "") -> Row:
    """A row whose value should be low."""
    return Row(case, value, unit, bar, value <= bar, against)


def report(rows: Iterable[Row | str], clock: Clock, target: Path | None) -> list[Row]:
    """Show the rows as they come, write them to `target` as JSON, and return them.

    Text among the rows says what is measured now; a terminal shows it below the table. Where the
    table goes elsewhere, standard error tells each figure as it comes.
    """
    console = Console() if sys.stdout.isatty() else Console(width=120)
    table = Table("case", "value", "unit", "bar", "", "against", box=None, header_style="dim")
    found = []
    with Live(table, console=console, auto_refresh=False, vertical_overflow="visible") as live:
        for row in rows:
            if isinstance(row, str):
                live.update(Group(table, Text(row, style="dim")), refresh=console.is_terminal)
                continue
            found.append(row)
            bar = "" if row.bar is None else f"{row.bar:,.10g}"
            verdict = "" if row.bar is None else ("ok" if row.ok else "MISSED")
            if not console.is_terminal:  # the table comes at the end, maybe in an hour
                print(row.case, amount(row.value), row.unit, verdict, file=sys.stderr, flush=True)
            table.add_row(row.case, amount(row.value), row.unit, bar, verdict, row.against)
            live.update(table, refresh=True)
    console.print(f"\nBy {clock.name}; this process had {clock.share():.0%} of a processor.")
    if target:
        answer = {"rows": [asdict(row) for row in found], **surroundings()}
        answer["machine"] |= {"clock": clock.name, "processor_share": clock.share()}
        target.write_text(json.dumps(answer, indent=1, allow_nan=False) + "\n")
    return found


def amount(value: float | None) -> str:
    """A figure for the table."""
    if value is None:
        return "-"
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if value >= 1 else f"{value:.2g}"


def surroundings() -> dict[str, Any]:
    """The machine and the versions that the figures were measured with."""
    machine = {"processors": os.cpu_count(), "system": platform.platform()}
    packages = ("numpy", "numba", "llvmlite", "ortools", "stowplan")
    versions = {name: version(name) for name in packages}
    return {"machine": machine, "versions": {"python": platform.python_version(), **versions}}
