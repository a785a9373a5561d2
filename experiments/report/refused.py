"""What found no room, and why: a table of a run's services and workloads, and a finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stowplan.experiments.record.refused import Refusal
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.report.finding import Finding
from stowplan.experiments.report.formats import MISSING, count, duration
from stowplan.experiments.report.tables import Kept, Row, Table, table

HEADINGS = (
    *("whose", "refused", "lacks at end", "explained", "what keeps one more off"),
    "the cheapest change that would place it",
)
_GROUPS_MOST = 3


def refused_tables(results: Sequence[RunResult], most: int) -> list[Table]:
    """What found no room in the runs of a layout and faults; none where all did."""
    rows = [Row((r.run.strategy, *cells(each)), amiss=True) for r in results for each in r.refused]
    caption = "What found no room, and why"
    words = (5, 6)
    return [table(caption, HEADINGS, rows, most, most, words, kept=Kept("row"))] if rows else []


def cells(refusal: Refusal) -> tuple[str, ...]:
    """A row of `HEADINGS`."""
    reasons = ", ".join(f"{reason} {count(n)}" for reason, n in refusal.reasons.items())
    at = MISSING if refusal.at_ms is None else f"after {duration(refusal.at_ms / 1000)}"
    lacks = MISSING if refusal.lacks is None else count(refusal.lacks)
    cheapest, *others = refusal.changes or ("no single change that was tried",)
    more = f"; or: {others[0]}" if others else ""
    name = refusal.owner or "(unnamed)"
    return name, reasons, lacks, at, "; ".join(_keeps(refusal)), cheapest + more


def _keeps(refusal: Refusal) -> Iterable[str]:
    """`3 of 5 instances: CPU short ... (nearest i-1)`, the nearest first."""
    if refusal.at_ms is None:
        yield MISSING
        return
    if not refusal.instances:
        yield "no instance is registered"
    if refusal.fits:
        yield f"{count(refusal.fits)} of {count(refusal.instances)} instances would take it"
    for each in refusal.obstructions[:_GROUPS_MOST]:
        of = f"{count(each.instances)} of {count(refusal.instances)}"
        yield f"{of} instances: {each.what} (nearest: {each.nearest})"
    rest = sum(each.instances for each in refusal.obstructions[_GROUPS_MOST:])
    if rest:
        yield f"{count(rest)} more, for other reasons"


def refused_finding(results: Sequence[RunResult], where: str) -> Finding | None:
    """Of the run with most refusals: who was refused most, why, and what would help."""
    found = {id(r): [each for each in r.refused if each.matters] for r in results}
    known = [result for result in results if found[id(result)]]
    if not known:
        return None
    worst = max(known, key=lambda r: sum(sum(each.reasons.values()) for each in found[id(r)]))
    # What still lacks room is worth more words than what found some later.
    first = max(found[id(worst)], key=lambda each: (each.lacks or 0, sum(each.reasons.values())))
    reason, times = next(iter(first.reasons.items()))
    what = f"{'service' if first.is_service else 'tasks of'} {first.owner or 'no name'}"
    text = f"{where}, {worst.run.strategy}: {what} found no room {count(times)} "
    text += f"{'time' if times == 1 else 'times'}, {reason}"
    lack = f"{count(first.lacks)} {'lacks' if first.lacks == 1 else 'lack'}"
    text += f"; {lack} it at the end. " if first.lacks else ". "
    if first.obstructions:
        nearest = first.obstructions[0]
        text += f"Nearest miss: {nearest.nearest}: {nearest.what}. "
    if first.changes:
        text += f"Cheapest change: {first.changes[0]}."
    return Finding("No room", text.strip())
