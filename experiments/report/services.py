"""Services, their deployments, DAEMONs and tasks that ended, as tables for people.

On a terminal there is room for what is amiss alone, on a page for all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stowplan.experiments.record.deployment_log import DeploymentRecord
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.record.stops import SHORT_MS, Stop, StopCount
from stowplan.experiments.report.formats import count, duration


@dataclass(frozen=True, slots=True)
class ServiceTable:
    """A table: the first column is the strategy. `words` are the columns that hold sentences;
    `rest` says in a line what the rows leave out; '' where they leave nothing out."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int] = ()
    rest: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    cells: Sequence[str]
    amiss: bool


def service_tables(
    results: Sequence[RunResult], most: int, *, brief: bool = False
) -> list[ServiceTable]:
    """What there is to say of the runs of a layout and faults, each table with at most so many
    rows: all where they are so few, else what is amiss. `brief`: of services over time and of tasks
    that ended only what is amiss, however few they are."""
    few = 0 if brief else most
    tables = [
        _table(
            "Services over time, in % of the time since they had booted",
            ("service", "running", "at minimum", "at desired", "ECS believed"),
            [row for result in results for row in _services(result)],
            most,
            few,
            kept="kept all their tasks",
        ),
        _table(
            "DAEMONs at the end, and the share of the instances' time in which they ran",
            ("DAEMON", "eligible", "running", "lacking", "covered, %"),
            [row for result in results for row in _daemons(result)],
            most,
            most,
            kept="ran on every eligible instance",
        ),
        _table(
            "Deployments",
            ("service", "to", "state", "took", "waits for"),
            [row for result in results for row in _deployments(result)],
            most,
            most,
            words=(5,),
            kept=f"COMPLETED, the longest in {_longest(results)}",
        ),
        _table(
            "Tasks that ended, of all of their owner that did",
            ("whose", "tasks", "stop code", "reason"),
            [row for result in results for row in _stops(result)],
            most,
            few,
            words=(4,),
            kept="of a kind that is no failure: they ran to their end or were told to stop",
        ),
    ]
    return [table for table in tables if table.rows or table.rest]


def crash_loops(results: Iterable[RunResult]) -> list[str]:
    """A sentence per run and service whose tasks keep ending."""
    within = duration(SHORT_MS / 1000)
    return [
        f"crash loop: tasks of {service} ended {count(ends)} times within {within} of being "
        f"placed, about {count(ends / max(1, places))} for each of its {count(places)} places "
        f"({result.run.strategy})"
        for result in results
        for service, (ends, places) in result.crash_loops.items()
    ]


def _table(
    caption: str,
    headings: Sequence[str],
    rows: Sequence[_Row],
    most: int,
    few: int,
    words: Sequence[int] = (),
    kept: str = "",
) -> ServiceTable:
    amiss = [row for row in rows if row.amiss]
    shown = list(rows) if len(rows) <= few else amiss[:most]
    well, more = len(rows) - len(amiss), len(amiss) - min(len(amiss), most)
    rest = []
    if len(rows) > few:
        rest = [f"{count(more)} more like these"] if more else []
        rest += [f"{count(well)} {'others ' * bool(amiss)}{kept}"] if well else []
    cells = [row.cells for row in shown]
    return ServiceTable(caption, ("strategy", *headings), cells, words, "; ".join(rest))


def _services(result: RunResult) -> Iterable[_Row]:
    for (service, zone), up in result.services.items():
        if zone:
            continue
        believed = up.percent("believed_floor"), up.percent("believed_desired")
        shares = up.percent("floor"), up.percent("desired")
        texts = [_share(share) for share in shares]
        thought = [_share(share) for share in believed]
        yield _Row(
            (
                result.run.strategy,
                service,
                f"{count(up.running)} of {count(up.desired)}",
                *texts,
                "the same" if thought == texts else " and ".join(thought),
            ),
            up.running < up.desired or texts[0] != _share(100.0),
        )


def _share(percent: float) -> str:
    """A share that is not all never reads as all."""
    return "100" if percent == 100 else f"{min(percent, 99.99):.2f}"


def _daemons(result: RunResult) -> Iterable[_Row]:
    for each in result.daemons:
        covered = "-" if each.percent is None else f"{each.percent:.1f}"
        numbers = count(each.eligible), count(each.running), count(each.eligible - each.running)
        cells = result.run.strategy, each.service, *numbers, covered
        yield _Row(cells, each.running < each.eligible)


def _deployments(result: RunResult) -> Iterable[_Row]:
    for each in result.deployments:
        cells = (
            result.run.strategy,
            each.service,
            each.task_definition,
            each.state,
            _took(each, result),
            each.waits_for,
        )
        yield _Row(cells, each.state != "COMPLETED")


def _took(each: DeploymentRecord, result: RunResult) -> str:
    took = duration(each.seconds(_end_ms(result)))
    return f"{took} so far" if each.state == "IN_PROGRESS" else took


def _end_ms(result: RunResult) -> int:
    return round(1000 * float(result.metrics["simulated_s"] or 0))


def _longest(results: Sequence[RunResult]) -> str:
    done = [d for r in results for d in r.deployments if d.state == "COMPLETED"]
    return duration(max((each.seconds(each.ended_ms or 0) for each in done), default=0.0))


def _stops(result: RunResult) -> Iterable[_Row]:
    ended: Counter[str] = Counter()
    for stop, counted in result.stops.items():
        ended[stop.owner] += counted.tasks

    def order(item: tuple[Stop, StopCount]) -> tuple[str, int]:
        return item[0].owner, -item[1].tasks

    for stop, counted in sorted(result.stops.items(), key=order):
        told = f"exit code {stop.exit_code}"
        reason = stop.reason
        if stop.exit_code is not None and told not in reason:
            reason = f"{reason}, {told}"
        if counted.never_ran:
            which = "none" if counted.never_ran == counted.tasks else "not all"
            reason = f"{reason} ({which} of them had run)"
        tasks = f"{count(counted.tasks)} of {count(ended[stop.owner])}"
        cells = result.run.strategy, stop.owner, tasks, stop.stop_code, reason
        yield _Row(cells, stop.failed)
