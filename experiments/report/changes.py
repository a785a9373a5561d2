"""What changed between runs, for people: tables of figures before and after."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from stowplan.experiments.record.changes import Change, Keys, changes, tables_of_runs
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.report.formats import MISSING, count, dollars, duration, tenths
from stowplan.experiments.report.tables import Kept, Row, Table, table

# Of a run, in the order in which they are asked about; the rest is in JSON and CSV.
RUN = (
    *("dollars_per_hour", "dollars_per_month", "dollars_idle_pct"),
    *("instances_mean", "instances_busy_mean", "cpu_reserved_pct", "memory_reserved_pct"),
    *("at_minimum_pct", "at_desired_pct", "below_minimum_longest_s"),
    *("wait_p50_s", "wait_p99_s", "service_wait_p50_s", "service_wait_p99_s"),
    *("waiting", "refusals", "lost", "migrations"),
    *("deployments_failed", "deployments_unfinished", "crashed", "failed_to_start"),
)
_OF = {"run": "the run", "refusals": "refused for", "service": "service", "owner": "dollars of"}


def shown(found: Sequence[Change]) -> list[Change]:
    """What changed and would not read the same, the run's own figures first."""
    of_run = {each.measure: each for each in found if each.of == "run"}
    chosen = [of_run[name] for name in RUN if name in of_run]
    rest = [each for each in found if each.of != "run"]
    return [
        each
        for each in (*chosen, *rest)
        if each.changed and cell(each.a, each) != cell(each.b, each)
    ]


def cell(value: float | None, change: Change) -> str:
    """A figure with its unit, as one reads it."""
    if value is None:
        return MISSING
    if change.unit == "$":
        return f"${dollars(value)}"
    if change.unit == "%":
        return f"{value:.2f} %"
    if change.unit in ("s", "ms"):
        return duration(value / 1000 if change.unit == "ms" else value)
    return count(value) if value == int(value) else tenths(value)


def _more(change: Change) -> str:
    """`+12.5 %`, of a share `+1.20`, with what that is: better or worse."""
    if change.change is None:
        return MISSING
    share = change.change_pct
    text = f"{change.change:+,.2f}"
    if change.unit in ("s", "ms"):
        text = f"{'-' if change.change < 0 else '+'}{cell(abs(change.change), change)}"
    if change.unit != "%" and share is not None:
        text = f"{share:+,.1f} %"
    return f"{text} {change.verdict}".strip()


def _cells(change: Change) -> tuple[str, str, str, str, str]:
    of = _OF.get(change.of, change.of)
    what = f"{of} {change.name}".strip()
    return what, change.measure, cell(change.a, change), cell(change.b, change), _more(change)


def print_changes(
    pairs: Sequence[tuple[Keys, Keys, Sequence[Change]]], console: Console, most: int
) -> None:
    """Print of each pair of runs what changed, at most so many rows of it."""
    for a, b, found in pairs:
        same = a == b
        heading = " · ".join(a) if same else f"{' · '.join(a)}  →  {' · '.join(b)}"
        console.print(Text(f"\n{heading}", style="bold"))
        rows = shown(found)
        if not rows:
            console.print("nothing changed")
            continue
        drawn = RichTable(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for name in ("what", "measure", "A", "B", "change"):
            right = name in ("A", "B")
            drawn.add_column(name, justify="right" if right else "left", overflow="fold")
        styles = {"better": "green", "worse": "red"}
        for each in rows[:most]:
            *cells, more = _cells(each)
            drawn.add_row(*map(Text, cells), Text(more, style=styles.get(each.verdict, "")))
        console.print(drawn)
        if len(rows) > most:
            console.print(f"{count(len(rows) - most)} more changes: --all, --csv or --json")


def change_tables(results: Sequence[RunResult], most: int) -> list[Table]:
    """What changes from the first strategy to each other, of the runs of a layout and faults."""
    whole = [result for result in results if result.whole]
    if len(whole) < 2:
        return []
    runs = list(tables_of_runs(whole).values())
    first, rows = runs[0], []
    share = max(8, most // (len(runs) - 1))
    for other in runs[1:]:
        found = shown(changes(first, other))
        rows += [Row((other.keys[0], *_cells(each)), amiss=True) for each in found[:share]]
    caption = f"What changes from {first.keys[0]}"
    headings = "what", "measure", first.keys[0], "this", "change"
    return [table(caption, headings, rows, most, most, kept=Kept("row"))] if rows else []
