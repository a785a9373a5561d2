"""Services, their deployments, DAEMONs and tasks that ended, as tables for people.

On a terminal there is room for what is amiss alone, on a page for all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from stowplan.experiments.record.deployment_log import DeploymentRecord
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.record.stops import SHORT_MS, Stop, StopCount
from stowplan.experiments.report.finding import Finding
from stowplan.experiments.report.formats import count, duration
from stowplan.experiments.report.tables import Kept, Row, Table, table


def service_tables(results: Sequence[RunResult], most: int, *, brief: bool = False) -> list[Table]:
    """What there is to say of the runs of a layout and faults, each table with at most so many
    rows: all where they are so few, else what is amiss. `brief`: of services over time and of tasks
    that ended only what is amiss, however few they are."""
    few = 0 if brief else most
    tables = [
        table(
            "Services over time, in % of the time since they had booted",
            ("service", "running", "at minimum", "at desired", "ECS believed"),
            [row for result in results for row in _services(result)],
            most,
            few,
            kept=Kept("service", "kept all its tasks", "kept all their tasks"),
        ),
        _worst_table(results, most),
        table(
            "DAEMONs at the end, and the share of the instances' time in which they ran",
            ("DAEMON", "eligible", "running", "lacking", "covered, %"),
            [row for result in results for row in _daemons(result)],
            most,
            most,
            kept=Kept("DAEMON", *2 * ("ran on every eligible instance",)),
        ),
        table(
            "Deployments",
            ("service", "to", "state", "took", "waits for"),
            [row for result in results for row in _deployments(result)],
            most,
            most,
            words=(5,),
            kept=Kept(
                "deployment",
                f"was COMPLETED in {_longest(results)}",
                f"were COMPLETED, the longest in {_longest(results)}",
            ),
        ),
        table(
            "Tasks that ended, of all of their owner that did",
            ("whose", "tasks", "stop code", "reason"),
            [row for result in results for row in _stops(result)],
            most,
            few,
            words=(4,),
            kept=Kept(
                "kind of end",
                "is no failure: those tasks ran to their end or were told to stop",
                "are no failures: those tasks ran to their end or were told to stop",
                "kinds of end",
            ),
        ),
    ]
    return [each for each in tables if each.rows or each.rest]


def _worst_table(results: Sequence[RunResult], most: int) -> Table:
    return table(
        "Services at their worst: when the smallest share of what they were to have ran",
        ("service", "fewest", "minimum", "at", "so few for", "below minimum", "below desired"),
        [row for result in results for row in _worst(result)],
        most,
        most,
        kept=Kept("service"),
    )


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


def _services(result: RunResult) -> Iterable[Row]:
    for (service, zone), up in result.services.items():
        if zone:
            continue
        believed = up.percent("believed_floor"), up.percent("believed_desired")
        shares = up.percent("floor"), up.percent("desired")
        texts = [_share(share) for share in shares]
        thought = [_share(share) for share in believed]
        yield Row(
            (
                result.run.strategy,
                service,
                f"{count(up.running)} of {count(up.desired)}",
                *texts,
                "the same" if thought == texts else " and ".join(thought),
            ),
            up.running < up.desired or texts[0] != _share(100.0),
        )


def _worst(result: RunResult) -> Iterable[Row]:
    """Those that had too few at some time, the one that was below its minimum longest first."""
    found = [(name, up.worst) for (name, zone), up in result.services.items() if not zone]
    known = [(name, worst) for name, worst in found if worst is not None]
    for name, worst in sorted(known, key=lambda each: -each[1].below_minimum_ms):
        yield Row(
            (
                result.run.strategy,
                name,
                f"{count(worst.running)} of {count(worst.desired)}",
                count(worst.minimum),
                duration(worst.at_ms / 1000),
                duration(worst.for_ms / 1000),
                _below(worst.below_minimum_ms, worst.below_minimum_longest_ms),
                _below(worst.below_desired_ms, worst.below_desired_longest_ms),
            ),
            amiss=True,
        )


def _below(ms: int, longest_ms: int) -> str:
    """`never`, `2 min`, `2 min, at most 1 min at a time`."""
    if not ms:
        return "never"
    whole, longest = duration(ms / 1000), duration(longest_ms / 1000)
    return whole if whole == longest else f"{whole}, at most {longest} at a time"


def worst_finding(results: Sequence[RunResult], where: str) -> Finding | None:
    """Which services ran fewer than their minimum, and the one of them for longest."""
    rows: list[tuple[str, ...]] = []
    of = 0
    for result in results:
        tops = [(n, up) for (n, zone), up in result.services.items() if not zone]
        of = max(of, len(tops))
        below = [(n, up.worst) for n, up in tops if up.worst and up.worst.below_minimum_ms]
        if not below:
            continue
        name, worst = max(below, key=lambda each: each[1].below_minimum_longest_ms)
        rows.append(
            (
                result.run.strategy,
                f"{len(below)} of {len(tops)}",
                f"{name}, for {duration(worst.below_minimum_longest_ms / 1000)}",
                f"{count(worst.running)} of {count(worst.desired)} (minimum {worst.minimum})",
                duration(worst.at_ms / 1000),
            )
        )
    if not of:
        return None
    title = "Services at their worst"
    if not rows:
        which = "The service" if of == 1 else f"All {of} services"
        return Finding(title, f"{where}: {which.lower()} never ran below minimum healthy.")
    if len(rows) == 1:
        strategy, share, longest, fewest, at = rows[0]
        text = f"{where}, {strategy}: {share} services ran below minimum healthy; longest {longest}"
        return Finding(title, f"{text}; the fewest that ran were {fewest}, at {at}.")
    text = f"{where}, services ran below minimum healthy under {len(rows)} of {len(results)} "
    header = "strategy", "services", "longest", "its fewest", "at"
    return Finding(title, f"{text}strategies.", header, rows)


def _share(percent: float) -> str:
    """A share that is not all never reads as all."""
    return "100" if percent == 100 else f"{min(percent, 99.99):.2f}"


def _daemons(result: RunResult) -> Iterable[Row]:
    for each in result.daemons:
        covered = "-" if each.percent is None else f"{each.percent:.1f}"
        numbers = count(each.eligible), count(each.running), count(each.eligible - each.running)
        cells = result.run.strategy, each.service, *numbers, covered
        yield Row(cells, each.running < each.eligible)


def _deployments(result: RunResult) -> Iterable[Row]:
    for each in result.deployments:
        cells = (
            result.run.strategy,
            each.service,
            each.task_definition,
            each.state,
            _took(each, result),
            each.waits_for,
        )
        yield Row(cells, each.state != "COMPLETED")


def _took(each: DeploymentRecord, result: RunResult) -> str:
    took = duration(each.seconds(_end_ms(result)))
    return f"{took} so far" if each.state == "IN_PROGRESS" else took


def _end_ms(result: RunResult) -> int:
    return round(1000 * float(result.metrics["simulated_s"] or 0))


def _longest(results: Sequence[RunResult]) -> str:
    done = [d for r in results for d in r.deployments if d.state == "COMPLETED"]
    return duration(max((each.seconds(each.ended_ms or 0) for each in done), default=0.0))


def _stops(result: RunResult) -> Iterable[Row]:
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
        yield Row(cells, stop.failed)
