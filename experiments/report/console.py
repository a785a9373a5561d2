"""Results and progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from stowplan.experiments.record.result import RunResult
from stowplan.experiments.report.formats import (
    CAPACITY,
    DEPLOYING,
    DEPLOYMENTS,
    LEAST,
    LOSS,
    USE,
    WAITING,
    Column,
    count,
    dollars,
    groups,
    has_capacity,
    is_missing,
    name_of,
    refusals,
    short_reason,
    shown,
)
from stowplan.experiments.report.progress_lines import ProgressLines
from stowplan.experiments.report.services import crash_loops, service_tables

_REFUSED = Column("refusals", "refused", "refused", count)
_REST = (_REFUSED, *LOSS, *DEPLOYMENTS)
# A table, or where it does not fit, in parts.
_PARTS = (((*USE, *WAITING, *_REST),), (USE, (*WAITING, *_REST)), (USE, WAITING, _REST))
_WIDTH = 100
_ROWS_MOST = 12  # of a table about services
_LEGEND = (
    "used: instances that ever held a task other than a daemon's; busy: how many did, mean over "
    "time. $: the whole fleet, $busy: only while an instance held such a task. CPU, mem: reserved, "
    "of what was registered. p50, p99: seconds from submission to RUNNING, of standalone tasks; "
    "svc50, svc99: from when a service lacked a task of its desired count to RUNNING. left: tasks "
    "still without a place at the end, those that services and DAEMONs lack included. lost: tasks "
    "that died with their instance; again: of these, started anew; whole: seconds from the loss, "
    "not from when ECS heard of it, until services had all their tasks back."
)
_CAPACITY_LEGEND = (
    "launched, ended: instances of capacity providers; hours: all instances, from launch to end; "
    "metric: CapacityProviderReservation, mean; mean, longest: from PROVISIONING to a place, of "
    "standalone tasks, and (svc) of tasks of services."
)


def print_table(results: Sequence[RunResult], console: Console | None = None) -> None:
    """Print a table for each layout and fault, a row per strategy; the best of a column is bold.

    On a terminal too narrow for it, a table is printed in two or three parts.
    """
    if console is None:
        console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    if not results:
        console.print("No runs.")
        return
    for (layout, faults), members in groups(results).items():
        console.print(Text.assemble("\n", (layout, "bold"), " · faults: ", (faults, "bold")))
        for table in _tables(members, console):
            console.print(table)
        console.print(_refused(members), style="dim")
        for line in _would_help(members):
            console.print(line, highlight=False)
        if failed := _failed(members):
            console.print(failed, style="red")
        _print_services(members, console)
        console.print(_least(members), style="dim")
        console.print(_monthly(members), style="dim", highlight=False)
    legend = f"{_LEGEND} {_CAPACITY_LEGEND}" if has_capacity(results) else _LEGEND
    console.print(f"\n{legend}", style="dim", highlight=False)


def _tables(results: Sequence[RunResult], console: Console) -> list[Table]:
    """The table of a group, in as many parts as it takes to fit; and that of its providers."""
    for parts in _PARTS:
        tables = [_table(results, columns) for columns in parts]
        options = console.options.update(width=10 * _WIDTH)
        if all(console.measure(t, options=options).maximum <= console.width for t in tables):
            break
    if any(result.metrics["deploying_min"] for result in results):
        tables = [*tables, _table(results, DEPLOYING)]
    return [*tables, _table(results, CAPACITY)] if has_capacity(results) else tables


def _table(results: Sequence[RunResult], columns: Sequence[Column]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("strategy", overflow="fold", min_width=9, max_width=24)
    # Where nothing was lost or failed in the group, columns about it would only take room.
    idle = set() if any(result.metrics["lost"] for result in results) else set(LOSS)
    if not any(result.metrics["deployments_failed"] for result in results):
        idle |= set(DEPLOYMENTS)
    columns = [column for column in shown(columns, results) if column not in idle]
    for column in columns:
        table.add_column(column.short, justify="right", no_wrap=True)
    best = [column.best(results) for column in columns]
    for result in results:
        cells = [
            Text(
                column.text(result.metrics[column.metric]),
                style="bold green" if column.wins(result, top) else "",
            )
            for column, top in zip(columns, best, strict=True)
        ]
        table.add_row(Text(name_of(result)), *cells)
    return table


def _print_services(results: Sequence[RunResult], console: Console) -> None:
    """Deployments, DAEMONs and ends of tasks: all where they are few, else what is amiss."""
    for found in service_tables(results, _ROWS_MOST, brief=True):
        table = Table(
            title=found.caption,
            title_justify="left",
            title_style="dim",
            box=None,
            padding=(0, 1, 0, 0),
            pad_edge=False,
            header_style="dim",
        )
        # Whose it is comes first, then the strategy, where there are several.
        several = len({result.run.strategy for result in results}) > 1
        order = [1, *([0] if several else []), *range(2, len(found.headings))]
        for number in order:
            folds = number in found.words or number < 2
            table.add_column(found.headings[number], overflow="fold", no_wrap=not folds)
        for row in found.rows:
            table.add_row(*(Text(row[number]) for number in order))
        if found.rows:
            console.print()
            console.print(table)
        if found.rest:
            console.print(Text(f"{found.caption}: {found.rest}"), style="dim")
    for line in crash_loops(results):
        console.print(Text(line), style="red")


def _refused(results: Sequence[RunResult]) -> Text:
    """Who was refused for what: by reason, then by strategy."""
    by_reason: dict[str, list[str]] = {}
    for result in results:
        for reason, times in refusals(result).items():
            entry = f"{name_of(result)} {count(times)}"
            by_reason.setdefault(short_reason(reason), []).append(entry)
    lines = [f"refused for {reason}: {', '.join(who)}" for reason, who in by_reason.items()]
    return Text("\n".join(lines) or "nothing was refused")


def _would_help(results: Sequence[RunResult]) -> list[Text]:
    """Of each service and workload that was refused the cheapest change, under the first strategy
    that it was refused by."""
    said: dict[str, Text] = {}
    for result in results:
        for each in result.refused:
            if each.changes and each.matters:
                text = f"{each.owner or 'unnamed tasks'} ({name_of(result)}): {each.changes[0]}"
                said.setdefault(each.owner, Text(f"would find room: {text}"))
    return list(said.values())[:_ROWS_MOST]


def _failed(results: Sequence[RunResult]) -> Text:
    """Whose deployments failed: by service, then by strategy; nothing where none did."""
    by_service: dict[str, list[str]] = {}
    for result in results:
        for service, times in result.failed_deployments.items():
            by_service.setdefault(service, []).append(f"{name_of(result)} {count(times)}")
    lines = [f"deployments of {name} failed: {', '.join(who)}" for name, who in by_service.items()]
    return Text("\n".join(lines))


def _least(results: Sequence[RunResult]) -> Text:
    """How far each strategy is from what its tasks provably need; nothing where that is unknown."""
    bound, gap = LEAST[:2]
    who = [
        f"{name_of(result)} {bound.text(result.metrics[bound.metric])}"
        f" ({gap.text(result.metrics[gap.metric])} % below)"
        + "".join(f", {each.short} {each.text(result.metrics[each.metric])}" for each in LEAST[2:])
        for result in results
        if not is_missing(result.metrics[bound.metric])
    ]
    return Text(f"least $busy that any placement could have: {', '.join(who)}" if who else "")


def _monthly(results: Sequence[RunResult]) -> Text:
    """What each strategy costs in a month at the mean rate of its run, and what of it is idle."""
    who = [
        f"{name_of(result)} ${dollars(result.metrics['dollars_per_month'])}"
        f" ({count(result.metrics['dollars_idle_pct'])} % idle)"
        for result in results
        if not is_missing(result.metrics["dollars_idle_pct"])
    ]
    return Text(f"a month at this rate: {', '.join(who)}" if who else "")


class ProgressBars:
    """Bars for runs that go on side by side, and one for all of them with the time left.

    Call it with a run's id and how many simulated ms it has done (-1: it is finished); any thread
    may. Where stderr is no terminal it gets a line now and then.
    """

    def __init__(
        self, runs: Sequence[str], duration_ms: int, console: Console | None = None
    ) -> None:
        console = console or Console(stderr=True)
        self._duration_ms = max(1, duration_ms)
        self._left = dict.fromkeys(runs, 0)
        self._finished = 0
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            transient=True,
            disable=not getattr(console.file, "isatty", bool)(),
        )
        self._lines = ProgressLines("all runs", len(runs) * self._duration_ms, console.file)
        self._all = self._progress.add_task(
            "all runs", total=max(1, len(runs)) * self._duration_ms, note=self._note()
        )

    def __enter__(self) -> ProgressBars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, run: str, done_ms: int) -> None:
        """Take in how far a run is."""
        if run not in self._left:
            return
        done = self._duration_ms if done_ms < 0 else min(done_ms, self._duration_ms)
        if run not in self._bars:
            self._bars[run] = self._progress.add_task(
                escape(run.replace("__", " · ")), total=self._duration_ms, note=""
            )
        self._progress.update(self._bars[run], completed=done)
        self._left[run] = done
        if done_ms < 0:
            self._progress.remove_task(self._bars.pop(run))
            del self._left[run]
            self._finished += 1
        completed = self._finished * self._duration_ms + sum(self._left.values())
        self._progress.update(self._all, completed=completed, note=self._note())
        if self._progress.disable:
            self._lines(completed, self._note())

    def _note(self) -> str:
        return f"{self._finished} of {self._finished + len(self._left)} done"
