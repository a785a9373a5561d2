"""What it is worth that ties go one way: repeated runs beside those of the comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stowplan.experiments.record.result import RunResult
from stowplan.experiments.report.finding import ALIKE, Finding, names_of
from stowplan.experiments.report.formats import Number, count, dollars, is_missing, seconds, tenths
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.scenario.ties import has_open_ties

TITLE = "Where ECS leaves the choice open"
_HOW = {"lowest": "the one of the lowest number", "random": "one of them at random"}
# Heading, metric, how it is written, and the words of a sentence.
_COLUMNS: tuple[tuple[str, str, Callable[[Number], str], str], ...] = (
    ("busy, mean", "instances_busy_mean", tenths, "busy instances"),
    ("busy, $", "dollars_busy", dollars, "dollars of busy instances"),
    ("all that was up, $", "dollars", dollars, "dollars of all that was up"),
    ("wait p99, standalone, s", "wait_p99_s", seconds, "waits of standalone tasks (p99)"),
    ("wait p99, of services, s", "service_wait_p99_s", seconds, "waits of services (p99)"),
    ("tasks lost", "lost", count, "tasks lost"),
)
_Again = Mapping[tuple[str, str, str], Sequence[RunResult]]


def ties_finding(
    scenario: Scenario, results: Sequence[RunResult], again: Sequence[RunResult]
) -> Finding | None:
    """What depends on ties; None where no chain can tie to the end.

    Args:
        again: runs of `results` repeated the other way, several draws of each or none.
    """
    ran = {result.run.strategy for result in results}
    names = [name for name in scenario.strategies if name in ran]
    tied = [name for name in names if has_open_ties(scenario, name)]
    if not tied:
        return None
    said = "ECS does not say which instance it takes of several that tie; here it is "
    said += _HOW[scenario.ties]
    repeated: dict[tuple[str, str, str], list[RunResult]] = {}
    for each in again:
        if each.whole:
            repeated.setdefault(_key(each), []).append(each)
    runs = [result for result in results if result.whole and _key(result) in repeated]
    if not runs:
        which = f" (under {names_of(tied)})" if len(tied) < len(names) else ""
        text = f"{said}{which}. How much depends on that was not tried; "
        text += "`stowplan simulate --ties both` does."
        return Finding(TITLE, text)
    changes = [_change(run, repeated[_key(run)]) for run in runs]
    several = len({(run.run.layout, run.run.faults) for run in runs}) > 1
    texts = [
        f"{_label(run, several)}: {'; '.join(change)}"
        for run, change in zip(runs, changes, strict=True)
        if change
    ]
    draws = max(len(found) for found in repeated.values())
    other = "random" if scenario.ties == "lowest" else "lowest"
    drawn = f", {draws} draws each" if draws > 1 else ", one draw" if other == "random" else ""
    how = f"{_HOW[other]}{drawn}"
    text = f"{said}. The same runs with {how}: "
    if texts:
        text += ". ".join(texts) + _best(runs, repeated)
    else:
        text += f"nothing changes by more than {100 * ALIKE:.0f} %"
    header, rows = _table(runs, repeated, several)
    return Finding(TITLE, f"{text}.", (f"{scenario.ties} → {other}", *header), rows)


def _key(result: RunResult) -> tuple[str, str, str]:
    return result.run.strategy, result.run.layout, result.run.faults


def _label(result: RunResult, several: bool) -> str:
    return " · ".join(_key(result)) if several else result.run.strategy


def _values(runs: Sequence[RunResult], metric: str) -> list[float]:
    """Ascending; of the runs that have one."""
    found = [run.metrics[metric] for run in runs]
    return sorted(float(value or 0) for value in found if not is_missing(value))


def _span(values: Sequence[float], text: Callable[[Number], str]) -> str:
    low, high = text(values[0]), text(values[-1])
    return low if low == high else f"{low}\N{EN DASH}{high}"


def _change(run: RunResult, others: Sequence[RunResult]) -> list[str]:
    """What differs in every draw by more than `ALIKE`, in the same direction: less may be luck."""
    found = []
    for _, metric, text, words in _COLUMNS:
        before, after = _values([run], metric), _values(others, metric)
        if not before or not after:
            continue
        value, (low, high) = before[0], (after[0], after[-1])
        if low > value + ALIKE * value or high < value - ALIKE * value:
            share = sorted(100 * (each / value - 1) for each in (low, high)) if value else []
            by = f" ({_percent(share)})" if share else ""
            found.append(f"{words} {text(value)} → {_span(after, text)}{by}")
    return found


def _percent(shares: Sequence[float]) -> str:
    """`+25 %`, `+25 to +31 %`."""
    texts = list(dict.fromkeys(f"{share:+.0f}" for share in shares))
    return f"{' to '.join(texts)} %"


def _best(runs: Sequence[RunResult], repeated: _Again) -> str:
    """Whether another strategy has the fewest busy instances then; of one layout and faults."""
    metric = "instances_busy_mean"
    first = (runs[0].run.layout, runs[0].run.faults)
    group = [run for run in runs if (run.run.layout, run.run.faults) == first]
    before = {run.run.strategy: _values([run], metric) for run in group}
    after = {run.run.strategy: _values(repeated[_key(run)], metric) for run in group}
    if len(group) < 2 or not all((*before.values(), *after.values())):
        return ""
    one = min(before, key=lambda name: before[name][0])
    other = min(after, key=lambda name: after[name][-1])
    if one == other or after[other][-1] >= after[one][0]:
        return ""
    return f". So {other} has the fewest busy instances then, not {one}"


def _table(
    runs: Sequence[RunResult], repeated: _Again, several: bool
) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: each figure, and what it is when ties go the other way."""
    everything = [*runs, *(each for found in repeated.values() for each in found)]
    kept = [column for column in _COLUMNS if any(_values(everything, column[1]))]
    rows = []
    for run in runs:
        cells = []
        for _, metric, text, _ in kept:
            before, after = _values([run], metric), _values(repeated[_key(run)], metric)
            one = text(before[0]) if before else "-"
            cells.append(f"{one} → {_span(after, text) if after else '-'}")
        rows.append([_label(run, several), *cells])
    return [heading for heading, *_ in kept], rows
