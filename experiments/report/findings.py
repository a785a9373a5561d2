"""The short answer of a comparison: a few sentences and small tables, computed from its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stowplan.experiments.report.formats import (
    MISSING,
    Number,
    count,
    dollars,
    groups,
    is_missing,
    roughly,
    seconds,
    tenths,
)
from stowplan.experiments.runs.simulate import RunResult
from stowplan.placement.scenario.scenario import Scenario

Group = Sequence[RunResult]
# Strategies whose figures differ by less are said to do alike.
ALIKE = 0.02


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: a heading, sentences, and a table by strategy where it helps."""

    title: str
    text: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def findings(scenario: Scenario, results: Group) -> list[Finding]:
    """What the results say about instances, waiting, each fault, and each further layout."""
    grouped = groups(results)
    if not grouped:
        return []
    layout, calm = next(iter(grouped))
    base = grouped[layout, calm]
    fault = f"with fault “{calm}”" if scenario.faults.get(calm) else "without faults"
    several = len({name for name, _ in grouped}) > 1
    where = f"In layout “{layout}” {fault}" if several else fault.capitalize()
    found = [_instances(base, where), _waits(base, where)]
    for other_layout, faults in grouped:
        if faults != calm and (other_layout, calm) in grouped:
            pair = grouped[other_layout, calm], grouped[other_layout, faults]
            found.append(_fault(*pair, other_layout if several else ""))
    for other in dict.fromkeys(name for name, faults in grouped if faults == calm):
        if other != layout:
            found.append(_layout(base, grouped[other, calm], fault))
    return [finding for finding in found if finding is not None]


def _ranked(group: Group, metric: str) -> list[tuple[float, str]]:
    """(value, strategy) of the runs that have a value, the least first."""
    return sorted(
        (float(value), result.run.strategy)
        for result in group
        if not is_missing(value := result.metrics[metric]) and value is not None
    )


def _alike(ranked: Sequence[tuple[float, str]]) -> bool:
    return ranked[-1][0] - ranked[0][0] <= ALIKE * max(ranked[-1][0], 1e-12)


def _ends(
    ranked: Sequence[tuple[float, str]], text: Callable[[Number], str]
) -> tuple[list[str], list[str]]:
    """Who has the least and who the most, each with all whose value reads the same."""
    low, high = text(ranked[0][0]), text(ranked[-1][0])
    return (
        [name for value, name in ranked if text(value) == low],
        [name for value, name in ranked if text(value) == high],
    )


def _names(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _among(names: Sequence[str], values: Mapping[str, float], text: Callable[[Number], str]) -> str:
    """The value of some strategies: one where they read alike, else `4.5–6.4`."""
    found = sorted(values[name] for name in names)
    low, high = text(found[0]), text(found[-1])
    return low if low == high else f"{low}\N{EN DASH}{high}"


def _span(group: Group, metric: str, text: Callable[[Number], str]) -> str:
    """`4.5–6.4 min`, or one value where all read alike."""
    ranked = _ranked(group, metric)
    if not ranked:
        return MISSING
    low, high = text(ranked[0][0]), text(ranked[-1][0])
    if low == high:
        return low
    number, _, unit = low.partition(" ")
    # The unit is said once: 4.5-6.4 min, not 4.5 min-6.4 min.
    return f"{number if high.endswith(f' {unit}') and unit else low}\N{EN DASH}{high}"


def _instances(group: Group, where: str) -> Finding:
    title = "Instances and dollars"
    busy, paid = _ranked(group, "instances_busy_mean"), _ranked(group, "dollars_busy")
    fleet = count(max(float(result.metrics["instances"] or 0) for result in group))
    if len(busy) == 1:
        text = (
            f"{where}, {busy[0][1]} kept {tenths(busy[0][0])} of {fleet} instances busy on average"
        )
        return Finding(title, f"{text} (${dollars(paid[0][0])}).")
    if _alike(busy):
        span = _span(group, "instances_busy_mean", tenths)
        return Finding(
            title, f"{where}, all strategies kept about as many busy: {span} of {fleet}."
        )
    least, most = busy[0][0], busy[-1][0]
    first, last = _ends(busy, tenths)
    gap = {name: value for value, name in _ranked(group, "dollars_busy_gap_pct")}
    proven = (
        f" No placement whatever could have paid for less than "
        f"${_span(group, 'dollars_busy_least', dollars)}: {_names(first)} may have given "
        f"away {_among(first, gap, count)} %, {_names(last)} "
        f"{_among(last, gap, count)} %."
        if gap
        else ""
    )
    price = {name: value for value, name in paid}
    low, high = price[first[0]], price[last[-1]]
    saved = 100 * (1 - low / high) if high else 0.0
    return Finding(
        title,
        f"{where}, {_names(first)} kept the fewest instances busy: {tenths(least)} of {fleet} on "
        f"average, against {tenths(most)} under {_names(last)}. Were only busy instances paid for, "
        f"that would be ${_among(first, price, dollars)} against ${_among(last, price, dollars)} "
        f"({saved:.0f} % less); "
        f"{_whole(group)}." + proven,
    )


def _whole(group: Group) -> str:
    """What the whole fleet costs: with capacity providers that depends on the run."""
    ranked = _ranked(group, "dollars")
    least, most = dollars(ranked[0][0]), dollars(ranked[-1][0])
    if least == most:
        return f"the whole fleet costs ${least} whatever the strategy"
    first, last = (_names(names) for names in _ends(ranked, dollars))
    return f"all that was up costs ${least} under {first}, ${most} under {last}"


def _waits(group: Group, where: str) -> Finding | None:
    title = "Waiting"
    ranked = _ranked(group, "wait_p99_s")
    if not ranked:
        return None
    half = _span(group, "wait_p50_s", roughly)
    short, long = ranked[0][0], ranked[-1][0]
    first, last = (_names(names) for names in _ends(ranked, roughly))
    if _alike(ranked):
        text = f"{where}, 99 of 100 tasks that started were running within {roughly(long)}"
        whoever = ", whatever the strategy" if len(ranked) > 1 else ""
        return Finding(title, f"{text}{whoever}; half of them within {half}.")
    return Finding(
        title,
        f"{where}, {first} let tasks wait least: 99 of 100 that started were running within "
        f"{roughly(short)}; under {last} it took {roughly(long)}. Half of them started "
        f"within {half}.",
    )


def _arrow(before: Number, after: Number, text: Callable[[Number], str]) -> str:
    return f"{text(before)} → {text(after)}"


def _pairs(before: Group, after: Group) -> list[tuple[RunResult, RunResult]]:
    earlier = {result.run.strategy: result for result in before}
    return [(earlier[r.run.strategy], r) for r in after if r.run.strategy in earlier]


def _fault(calm: Group, struck: Group, layout: str) -> Finding:
    name = struck[0].run.faults
    text = f"It killed {_span(struck, 'lost', count)} running tasks"
    if all(result.metrics["wait_p99_s"] is not None for result in (*calm, *struck)):
        text += (
            f". The 99th percentile of waiting went from {_span(calm, 'wait_p99_s', roughly)} to "
            f"{_span(struck, 'wait_p99_s', roughly)}"
        )
    text += f", and {_left(struck)} when the run ended"
    ranked = _ranked(struck, "lost")
    if ranked and not _alike(ranked):
        first, last = (_names(names) for names in _ends(ranked, count))
        text += f"; {first} lost the fewest tasks, {last} the most"
    return Finding(
        f"What “{name}” did" + (f" in layout “{layout}”" if layout else ""),
        text + ".",
        ("strategy", "tasks lost", "wait p99, s", "no place at end", "whole, s after loss"),
        [
            (
                after.run.strategy,
                count(after.metrics["lost"]),
                _arrow(before.metrics["wait_p99_s"], after.metrics["wait_p99_s"], seconds),
                _arrow(before.metrics["waiting"], after.metrics["waiting"], count),
                seconds(after.metrics["services_back_s"]),
            )
            for before, after in _pairs(calm, struck)
        ],
    )


def _left(group: Group) -> str:
    if not any(result.metrics["waiting"] for result in group):
        return "no task was without a place"
    return f"{_span(group, 'waiting', count)} tasks had no place"


def _layout(first: Group, second: Group, where: str) -> Finding:
    names = first[0].run.layout, second[0].run.layout
    pairs = _pairs(first, second)
    longer = [
        b for a, b in pairs if _value(b, "wait_p99_s") > (1 + ALIKE) * _value(a, "wait_p99_s")
    ]
    text = (
        f"Under {len(longer)} of {len(pairs)} strategies tasks waited longer in “{names[1]}” than "
        f"in “{names[0]}”: the 99th percentile went from {_span(first, 'wait_p99_s', roughly)} to "
        f"{_span(second, 'wait_p99_s', roughly)}. Memory reserved went from "
        f"{_span(first, 'memory_reserved_pct', tenths)} % to "
        f"{_span(second, 'memory_reserved_pct', tenths)} %, busy instances from "
        f"{_span(first, 'instances_busy_mean', tenths)} to "
        f"{_span(second, 'instances_busy_mean', tenths)}."
    )
    header = ("strategy", "wait p99, s", "busy, mean", "memory, %")
    columns = (
        ("wait_p99_s", seconds),
        ("instances_busy_mean", tenths),
        ("memory_reserved_pct", tenths),
    )
    rows = [
        (a.run.strategy, *(_arrow(a.metrics[m], b.metrics[m], write) for m, write in columns))
        for a, b in pairs
    ]
    return Finding(f"“{names[0]}” against “{names[1]}”, {where}", text, header, rows)


def _value(result: RunResult, metric: str) -> float:
    value = result.metrics[metric]
    return 0.0 if is_missing(value) or value is None else float(value)
