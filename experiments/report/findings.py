"""The short answer of a comparison: a few sentences and small tables, computed from its results.

Like is compared with like: whole runs, and where two ways are compared, of strategies that ran
both; what is busy with what was up in the same run; standalone tasks and services apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stowplan.experiments.record.result import RunResult
from stowplan.experiments.report.costs import dollars_finding
from stowplan.experiments.report.finding import ALIKE, Finding, names_of
from stowplan.experiments.report.formats import (
    MISSING,
    Number,
    count,
    dollars,
    duration,
    groups,
    is_missing,
    roughly,
    seconds,
    tenths,
)
from stowplan.experiments.report.refused import refused_finding
from stowplan.experiments.report.services import worst_finding
from stowplan.experiments.report.ties import ties_finding
from stowplan.placement.scenario.scenario import Scenario

Group = Sequence[RunResult]


def findings(scenario: Scenario, results: Group, again: Group = ()) -> list[Finding]:
    """What the results say about instances, waiting, ties, each fault, and each further layout.

    Args:
        again: runs repeated with ties decided the other way.
    """
    grouped = groups([result for result in results if result.whole])
    found: list[Finding | None] = [_interrupted(results)]
    if grouped:
        layout, calm = next(iter(grouped))
        base = grouped[layout, calm]
        fault = f"with fault “{calm}”" if scenario.faults.get(calm) else "without faults"
        several = len({name for name, _ in grouped}) > 1
        where = f"In layout “{layout}” {fault}" if several else fault.capitalize()
        found += [dollars_finding(base, where), _instances(base, where)]
        found += [_worst(grouped, scenario, several), refused_finding(base, where)]
        found.append(_waits(base, where))
        found.append(ties_finding(scenario, results, again))
        for other_layout, faults in grouped:
            if faults != calm and (other_layout, calm) in grouped:
                pairs = _pairs(grouped[other_layout, calm], grouped[other_layout, faults])
                found.append(_fault(pairs, other_layout if several else "") if pairs else None)
        for other in dict.fromkeys(name for name, faults in grouped if faults == calm):
            if other != layout and (pairs := _pairs(base, grouped[other, calm])):
                found.append(_layout(pairs, fault))
    return [finding for finding in found if finding is not None]


def _worst(
    grouped: Mapping[tuple[str, str], Group], scenario: Scenario, several: bool
) -> Finding | None:
    """Of all layouts and faults the one in which a service was below its minimum longest."""

    def longest(group: Group) -> float:
        values = [r.metrics.get("below_minimum_longest_s") for r in group]
        return max((float(v) for v in values if not is_missing(v) and v), default=0.0)

    (layout, faults), group = max(grouped.items(), key=lambda each: longest(each[1]))
    fault = f"with fault “{faults}”" if scenario.faults.get(faults) else "without faults"
    where = f"in layout “{layout}” {fault}" if several else fault
    return worst_finding(group, where[0].upper() + where[1:])


def _interrupted(results: Group) -> Finding | None:
    """Which runs are left out of all that follows; None where none are."""
    short = [result for result in results if not result.whole]
    if not short:
        return None
    ended = [f"{r.run.id} (after {duration(r.metrics['simulated_s'])})" for r in short]
    text = f"{names_of(ended)} did not come to the end. What a part of a run adds up to does not "
    text += "compare with a whole one, so what follows leaves "
    text += "it out." if len(short) == 1 else "them out."
    if len(short) == len(results):
        text = "No run came to its end, and they stopped at different times: nothing is compared."
    return Finding("Interrupted", text)


def _ranked(group: Group, metric: str) -> list[tuple[float, str]]:
    """(value, strategy) of the runs that have a value, the least first."""
    return sorted(
        (float(value), result.run.strategy)
        for result in group
        if not is_missing(value := result.metrics[metric]) and value is not None
    )


def _by_strategy(group: Group, metric: str) -> dict[str, float]:
    """The value of each strategy that has one."""
    return {name: value for value, name in _ranked(group, metric)}


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
    busy, paid = _ranked(group, "instances_busy_mean"), _by_strategy(group, "dollars_busy")
    up = _by_strategy(group, "instances_mean")
    same = len({_size(value) for value in up.values()}) == 1
    if len(busy) == 1:
        value, name = busy[0]
        text = (
            f"{where}, {name} kept {tenths(value)} of {_size(up[name])} instances busy on average"
        )
        return Finding(title, f"{text}; {_whole(group)}, ${dollars(paid[name])} of it while busy.")
    if _alike(busy):
        span = _span(group, "instances_busy_mean", tenths)
        of = _span(group, "instances_mean", _size)
        text = f"{where}, all strategies kept about as many busy: {span} of {of} on average"
        return Finding(title, f"{text}; {_whole(group)}.")
    least, most = busy[0][0], busy[-1][0]
    first, last = _ends(busy, tenths)
    few = f"{tenths(least)} of {_among(first, up, _size)}{'' if same else ' that were up'}"
    many = tenths(most) if same else f"{tenths(most)} of {_among(last, up, _size)}"
    return Finding(
        title,
        f"{where}, {names_of(first)} kept the fewest instances busy: {few} on average, against "
        f"{many} under {names_of(last)}. Were only busy instances paid for, that would be "
        f"${_among(first, paid, dollars)} against ${_among(last, paid, dollars)}"
        f"{_saved(first, last, paid)} in all; {_whole(group)}." + _proven(group, first, last),
    )


def _size(value: Number) -> str:
    """A number of instances: a whole one without decimals, as a mean over time may be."""
    return tenths(value).removesuffix(".0")


def _saved(first: Sequence[str], last: Sequence[str], paid: Mapping[str, float]) -> str:
    """` (34 % less)`: how far the dollars of `first` are below those of `last`; fewest instances
    need not cost least. Nothing where that is both, or of nothing."""
    shares = sorted(100 * (1 - paid[a] / paid[b]) for a in first for b in last if paid[b])
    texts = list(dict.fromkeys(f"{abs(share):.0f}" for share in shares))
    if not shares or texts == ["0"] or shares[0] < 0 < shares[-1]:
        return ""
    span = texts[0] if len(texts) == 1 else f"{texts[0]}\N{EN DASH}{texts[-1]}"
    return f" ({span} % {'more' if shares[0] < 0 else 'less'})"


def _proven(group: Group, first: Sequence[str], last: Sequence[str]) -> str:
    """What no placement could have gone below, and the share of each that lies above it."""
    gap = _by_strategy(group, "dollars_busy_gap_pct")
    if len(gap) < len(group):
        return ""
    return (
        " No placement whatever of the tasks as they ran could have paid for less than "
        f"${_span(group, 'dollars_busy_least', dollars)}: of its own dollars {names_of(first)} may "
        f"have given away {_among(first, gap, count)} %, {names_of(last)} "
        f"{_among(last, gap, count)} %."
    )


def _whole(group: Group) -> str:
    """What all that was up costs: with capacity providers that depends on the run."""
    ranked = _ranked(group, "dollars")
    least, most = dollars(ranked[0][0]), dollars(ranked[-1][0])
    if len(group) == 1:
        return f"all that was up costs ${least}"
    if least == most:
        return f"all that was up costs ${least} whatever the strategy"
    first, last = (names_of(names) for names in _ends(ranked, dollars))
    return f"all that was up costs ${least} under {first}, ${most} under {last}"


# What waits: of whom, the metrics of their percentiles (median and 99th), and of what they wait.
_WAITS = (
    ("standalone tasks", "wait_p50_s", "wait_p99_s", "of their submission"),
    ("tasks of services", "service_wait_p50_s", "service_wait_p99_s", "of when they were lacking"),
)


def _waits(group: Group, where: str) -> Finding | None:
    """Of standalone tasks and of services, each by itself: they do not wait for the same."""
    texts = [text for kind in _WAITS if (text := _wait(group, *kind))]
    if not texts:
        return None
    text = f"{where}, {'. '.join((texts[0], *(t[0].upper() + t[1:] for t in texts[1:])))}."
    if any(result.metrics["waiting"] for result in group):
        left = _span(group, "waiting", count)
        text += f" Tasks that had no place at the end, {left}, are in none of these figures."
    return Finding("Waiting", text)


def _wait(group: Group, who: str, median: str, tail: str, since: str) -> str:
    ranked = _ranked(group, tail)
    if not ranked:
        return ""
    half = _span(group, median, roughly)
    short, long = ranked[0][0], ranked[-1][0]
    first, last = (names_of(names) for names in _ends(ranked, roughly))
    if _alike(ranked) or first == last:
        whoever = ", whatever the strategy" if len(ranked) > 1 else ""
        return (
            f"99 of 100 {who} that started were running within {roughly(long)} {since}"
            f"{whoever}; half of them within {half}"
        )
    return (
        f"{first} let {who} wait least: 99 of 100 that started were running within "
        f"{roughly(short)} {since}; under {last} it took {roughly(long)}. Half of them started "
        f"within {half}"
    )


def _arrow(before: Number, after: Number, text: Callable[[Number], str]) -> str:
    return f"{text(before)} → {text(after)}"


Pairs = Sequence[tuple[RunResult, RunResult]]


def _pairs(before: Group, after: Group) -> Pairs:
    """The runs of strategies that ran both ways, each before and after."""
    earlier = {result.run.strategy: result for result in before}
    return [(earlier[r.run.strategy], r) for r in after if r.run.strategy in earlier]


def _change(pairs: Pairs, metric: str, text: Callable[[Number], str]) -> str:
    """`went from 4.5-6.4 min to 7 min`, or `stayed at 7 min`, over the pairs of which both have a
    value; "" where none do."""
    known = [pair for pair in pairs if not any(is_missing(r.metrics[metric]) for r in pair)]
    if not known:
        return ""
    before, after = (_span(group, metric, text) for group in zip(*known, strict=True))
    return f"stayed at {before}" if before == after else f"went from {before} to {after}"


def _table(
    pairs: Pairs, columns: Sequence[tuple[str, str, Callable[[Number], str]]]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of what went from where to where, without columns of which none has a value.

    Args:
        columns: heading, metric, and how it is written.
    """
    kept = [
        (heading, metric, text)
        for heading, metric, text in columns
        if any(not is_missing(r.metrics[metric]) for pair in pairs for r in pair)
    ]
    rows = [
        [a.run.strategy, *(_arrow(a.metrics[m], b.metrics[m], text) for _, m, text in kept)]
        for a, b in pairs
    ]
    return ["strategy", *(heading for heading, _, _ in kept)], rows


_WAIT_COLUMNS = (
    ("wait p99, standalone, s", "wait_p99_s", seconds),
    ("wait p99, of services, s", "service_wait_p99_s", seconds),
)


def _fault(pairs: Pairs, layout: str) -> Finding:
    """What a fault did, of strategies that ran without it as well."""
    struck = [after for _, after in pairs]
    name, calmly = struck[0].run.faults, any(before.metrics["lost"] for before, _ in pairs)
    if calmly:  # instances go without the fault as well, scaled in or reclaimed
        text = f"Tasks that died with their instance {_change(pairs, 'lost', count)}"
    elif any(result.metrics["lost"] for result in struck):
        text = f"{_span(struck, 'lost', count)} tasks died with their instance"
    else:
        text = "No task died with its instance"
    for who, _, tail, _ in _WAITS:
        if change := _change(pairs, tail, roughly):
            text += f". The 99th percentile of waiting of {who} {change}"
    text += f", and {_left(struck)} when the run ended"
    ranked = _ranked(struck, "lost")
    if ranked and not _alike(ranked):
        first, last = (names_of(names) for names in _ends(ranked, count))
        text += f"; {first} lost the fewest tasks, {last} the most"
    header, rows = _table(pairs, (*_WAIT_COLUMNS, ("no place at end", "waiting", count)))
    for row, (before, after) in zip(rows, pairs, strict=True):
        lost = before.metrics["lost"], after.metrics["lost"]
        row.insert(1, _arrow(*lost, count) if calmly else count(lost[1]))
        row.append(seconds(after.metrics["services_back_s"]))
    return Finding(
        f"What “{name}” did" + (f" in layout “{layout}”" if layout else ""),
        text + ".",
        (header[0], "tasks lost", *header[1:], "whole, s after loss"),
        rows,
    )


def _left(group: Group) -> str:
    if not any(result.metrics["waiting"] for result in group):
        return "no task was without a place"
    return f"{_span(group, 'waiting', count)} tasks had no place"


def _longer(pairs: Pairs, who: str, metric: str, names: tuple[str, str]) -> str:
    """Under how many strategies they waited longer; of those that have a value both ways."""
    values = [
        (float(before or 0), float(after or 0))
        for before, after in ([r.metrics[metric] for r in pair] for pair in pairs)
        if not is_missing(before) and not is_missing(after)
    ]
    if not values:
        return ""
    longer = sum(after > (1 + ALIKE) * before for before, after in values)
    return (
        f"Under {longer} of {len(values)} strategies {who} waited longer in “{names[1]}” than in "
        f"“{names[0]}”: the 99th percentile {_change(pairs, metric, roughly)}. "
    )


def _layout(pairs: Pairs, where: str) -> Finding:
    names = pairs[0][0].run.layout, pairs[0][1].run.layout
    text = "".join(_longer(pairs, who, tail, names) for who, _, tail, _ in _WAITS)
    text += f"Memory reserved, of what was up, {_change(pairs, 'memory_reserved_pct', tenths)} %"
    text += f", busy instances {_change(pairs, 'instances_busy_mean', tenths)}"
    if any(
        _size(a.metrics["instances_mean"]) != _size(b.metrics["instances_mean"]) for a, b in pairs
    ):
        text += f" of those that were up, which {_change(pairs, 'instances_mean', _size)}"
    columns = (
        *_WAIT_COLUMNS,
        ("busy, mean", "instances_busy_mean", tenths),
        ("memory, %", "memory_reserved_pct", tenths),
    )
    header, rows = _table(pairs, columns)
    title = f"“{names[0]}” against “{names[1]}”, {where}"
    return Finding(title, f"{text}.", header, rows)
