"""`stowplan regret`: what the runs of a folder kept busy, against the provable minimum for each.

The minimum is for the tasks as they ran, at the times at which they ran. It lets them move at any
moment, which ECS does not. So the gap is the most that a strategy may have given away, not what
another would have saved.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from stowplan.experiments.record.journals import SUFFIXES, journal_stem, open_journal
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.record.usage import Usage
from stowplan.experiments.report.formats import dollars, duration, tenths
from stowplan.experiments.report.optimize import answer_json
from stowplan.experiments.report.progress_lines import tracked
from stowplan.placement.errors import SpecError
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.packing.over_time.bound import Bounds
from stowplan.placement.packing.over_time.problem import MS_PER_HOUR, UNIT, OverTimeProblem
from stowplan.placement.packing.problem import Limits, Status

MICROUSD_MS = 1_000_000 * MS_PER_HOUR  # a dollar


@dataclass(frozen=True, slots=True)
class BusyRun:
    """The busy instances of a run of `length_ms`: price an hour x ms, instance-ms, and the most at
    a time."""

    name: str
    layout: str
    problem: OverTimeProblem
    cost: int
    instance_ms: int
    peak: int
    length_ms: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan regret`."""
    parser.add_argument("run", type=Path, nargs="+", help="folders of `simulate`, or journals")
    parser.add_argument(
        "--patterns",
        type=int,
        default=0,
        metavar="N",
        help="raise the minimum by column generation at N moments (seconds each; default: 0)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="a list, an object for each run: name, and dollars and hours, each an answer as "
        "`stowplan optimize --json` has it (objective in unit, lower_bound, gap as a share, "
        "status, seconds); and the most instances busy at a time",
    )
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Print a row per run: busy, the provable minimum and the gap, in dollars and in instances."""
    start = time.perf_counter()
    runs = [read_run(path) for path in tracked(_journals(arguments.run), "reading journals")]
    paid = least([(run.layout, run.problem) for run in runs], arguments.patterns)
    ones = [(run.layout, at_price_one(run.problem)) for run in runs]
    counted = least(ones, arguments.patterns)
    if arguments.json:
        print(json.dumps(_as_json(runs, paid, counted, time.perf_counter() - start)))
        return 0
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("run", overflow="fold")
    for heading in ("busy $", "least", "gap %", "busy h", "least", "gap %", "peak", "least"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run, (cost, _), (instance_ms, peak) in zip(runs, paid, counted, strict=True):
        table.add_row(
            run.name,
            dollars(run.cost / MICROUSD_MS),
            dollars(cost / MICROUSD_MS),
            tenths(gap_pct(run.cost, cost)),
            tenths(run.instance_ms / MS_PER_HOUR),
            tenths(instance_ms / MS_PER_HOUR),
            tenths(gap_pct(run.instance_ms, instance_ms)),
            str(run.peak),
            str(peak),
        )
    console = Console(width=max(100, Console().width))
    console.print(table)
    if shorter := _shorter(runs):
        console.print(shorter, style="red", highlight=False)
    console.print(
        "$, h: paid for, and hours of, instances that held a task other than a daemon's (busy); "
        "least leaves daemons out as well. least: no placement of the same "
        "tasks at the same times takes less, even were they free to move. gap: of what was busy. "
        f"peak: most instances busy at a time. {time.perf_counter() - start:.1f} s",
        style="dim",
        highlight=False,
    )
    return 0


def _as_json(
    runs: Sequence[BusyRun],
    paid: Sequence[tuple[int, int]],
    counted: Sequence[tuple[int, int]],
    seconds: float,
) -> list[dict[str, object]]:
    """One object for each run; its bounds were found together, in so many seconds."""

    def told(unit: str, objective: int, bound: int) -> dict[str, object]:
        status: Status = "optimal" if objective <= bound else "feasible"
        return answer_json(Answer("regret", unit, status, objective, bound, None, seconds=seconds))

    return [
        {
            "run": run.name,
            "layout": run.layout,
            "dollars": told(UNIT, run.cost, cost),
            "hours": told("instances x ms", run.instance_ms, instance_ms),
            "peak": told("instances", run.peak, peak),
        }
        for run, (cost, _), (instance_ms, peak) in zip(runs, paid, counted, strict=True)
    ]


def gap_pct(objective: float, bound: float) -> float:
    """How much of `objective` may be too much, in percent of it."""
    return 100 * (objective - bound) / objective if objective else 0.0


def least(
    problems: Sequence[tuple[str, OverTimeProblem]], patterns: int = 0
) -> list[tuple[int, int]]:
    """Bounds on the cost over time of each problem, and on its dearest moment.

    Args:
        problems: each with its layout. Those of a layout are nearly alike, so they share proofs.
        patterns: at how many moments of a layout to generate columns, for a stronger bound.
    """
    found: dict[int, tuple[int, int]] = {}
    for numbers in _alike(problems):
        bounds = Bounds(aligned([problems[n][1] for n in numbers]), Limits())
        bounds.use_resource_prices()
        if patterns:
            bounds.use_patterns(patterns)
            bounds.use_fleets(patterns)
        found.update(zip(numbers, zip(bounds.totals(), bounds.peaks(), strict=True), strict=True))
    return [found[n] for n in range(len(problems))]


def with_least(results: Sequence[RunResult]) -> list[RunResult]:
    """The same results with the minimum and the gap among their metrics."""
    problems = [(each.run.layout, each.usage) for each in results if each.usage is not None]
    assert len(problems) == len(results), "a result without its usage"
    costs = least(problems)
    rated = []
    for result, (cost, _) in zip(results, costs, strict=True):
        bound, busy = cost / MICROUSD_MS, float(result.metrics["dollars_busy"] or 0)
        metrics = {"dollars_busy_least": bound, "dollars_busy_gap_pct": gap_pct(busy, bound)}
        rated.append(replace(result, metrics={**result.metrics, **metrics}))
    return rated


def at_price_one(problem: OverTimeProblem) -> OverTimeProblem:
    """The same where only the number of instances counts."""
    return replace(problem, types=tuple(replace(offer, price=1) for offer in problem.types))


def aligned(problems: Sequence[OverTimeProblem]) -> list[OverTimeProblem]:
    """The same problems over all their kinds together; they have the same types."""
    tables = [np.hstack([problem.demand, problem.most]) for problem in problems]
    rows, number = np.unique(np.vstack(tables), axis=0, return_inverse=True)
    width = problems[0].demand.shape[1]
    ends = np.cumsum([len(table) for table in tables])[:-1]
    return [
        replace(problem, demand=rows[:, :width], most=rows[:, width:], kind=of[problem.kind])
        for problem, of in zip(problems, np.split(number.reshape(-1), ends), strict=True)
    ]


def _alike(problems: Sequence[tuple[str, OverTimeProblem]]) -> list[list[int]]:
    """Numbers of the problems of one layout on the same types."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for number, (layout, problem) in enumerate(problems):
        types = tuple((t.capacity.tobytes(), t.price, t.limit) for t in problem.types)
        groups.setdefault((layout, types), []).append(number)
    return list(groups.values())


def read_run(path: Path) -> BusyRun:
    """What the run of a journal kept busy, until its last round.

    Raises:
        SpecError: the journal cannot be read.
        PlacementError: a line of it does not parse; names file and line.
    """
    recorder, usage, peak, now_ms = Recorder(), Usage(), 0, 0
    with open_journal(path) as (header, rounds):
        for entry in rounds:
            recorder(entry)
            usage(entry)
            peak, now_ms = max(peak, recorder.totals.busy), entry.now_ms
    recorder.finish(now_ms)
    return BusyRun(
        journal_stem(path),
        header.run.get("layout", ""),
        usage.problem(now_ms),
        sum(i.price_microusd_hour * i.busy_ms for i in recorder.instances),
        sum(i.busy_ms for i in recorder.instances),
        peak,
        now_ms,
    )


def _shorter(runs: Sequence[BusyRun]) -> str:
    """Which runs are not as long as the others, so that their sums do not compare; else ""."""
    longest = max(run.length_ms for run in runs)
    which = [f"{r.name} {duration(r.length_ms / 1000)}" for r in runs if r.length_ms < longest]
    if not which:
        return ""
    return (
        f"of {duration(longest / 1000)}, these runs lasted only so long, interrupted or of another "
        f"scenario: {', '.join(which)}; their sums do not compare with those of the others"
    )


def _journals(paths: Sequence[Path]) -> list[Path]:
    """The journals meant; a folder means those in it or in its `journals`, by name.

    Raises:
        SpecError: names each path that holds none.
    """
    found: list[Path] = []
    problems = []
    for path in paths:
        folder = path / "journals" if (path / "journals").is_dir() else path
        journals = [path]
        if folder.is_dir():
            journals = sorted(each for suffix in SUFFIXES for each in folder.glob(f"*{suffix}"))
        if not journals or not path.exists():
            kinds = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
            problems.append((str(path), f"holds no journal ({kinds})"))
        found += journals
    if problems:
        raise SpecError(problems)
    return found
