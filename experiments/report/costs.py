"""What runs cost, as tables and as a finding: by kind of instance, and by service and workload."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stowplan.experiments.record.capacity_record import MS_PER_HOUR
from stowplan.experiments.record.costs import HOURS_PER_MONTH, NOBODY, OwnerCost
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.report.finding import ALIKE, Finding, names_of
from stowplan.experiments.report.formats import count, dollars, tenths
from stowplan.experiments.report.tables import Kept, Row, Table, table

RULE = (
    "An instance's price is split as AWS's split cost allocation data splits it: a vCPU weighs "
    "nine times a GiB of memory; a service pays for what its tasks reserve, and of what nobody "
    "reserved on an instance its share by what it reserved there. Instances that never held a task "
    f"are nobody's: {NOBODY}. A month has {HOURS_PER_MONTH} hours."
)
_KIND_HEADINGS = (
    *("provider", "type", "market", "instances"),
    *("$ in all", "$ / h", "$ / day", "$ / month"),
)
_OWNERS_SAID = 3


def cost_tables(results: Sequence[RunResult], most: int) -> list[Table]:
    """Dollars of the runs of a layout and faults, at most so many rows a table."""
    results = [result for result in results if result.costs]
    if not results:
        return []
    return [
        table(
            "Dollars by capacity provider, instance type and market",
            (
                "provider",
                "type",
                "market",
                "instances",
                "$ in all",
                "$ / h",
                "$ / day",
                "$ / month",
            ),
            [row for result in results for row in _kinds(result)],
            most,
            most,
            kept=Kept("row"),
        ),
        table(
            "Dollars by service and workload, the dearest first",
            ("whose", "vCPU-h", "GiB-h", "$ reserved", "$ idle share", "idle, %", "$ / month"),
            [row for result in results for row in _owners(result)],
            most,
            most,
            kept=Kept("row"),
        ),
    ]


def hours_of(result: RunResult) -> float:
    """How long a run was."""
    return max(1.0, 1000 * float(result.metrics["simulated_s"] or 0)) / MS_PER_HOUR


def monthly(amount: float, result: RunResult) -> float:
    """What an amount of a run comes to in a month at its mean rate."""
    return amount / hours_of(result) * HOURS_PER_MONTH


def _kinds(result: RunResult) -> Iterable[Row]:
    sums: dict[tuple[str, str, str], list[float]] = {}
    for each in result.costs:
        kind = each.capacity_provider or "(none)", each.type, each.market
        cell = sums.setdefault(kind, [0.0, 0.0])
        cell[0] += each.instance_hours
        cell[1] += each.dollars
    if len(sums) > 1:
        total = [sum(cell[n] for cell in sums.values()) for n in (0, 1)]
        sums[("all", "", "")] = total
    hours = hours_of(result)
    for kind, (up, paid) in sums.items():
        rate = paid / hours
        amounts = paid, rate, 24 * rate, HOURS_PER_MONTH * rate
        yield Row(
            (result.run.strategy, *kind, tenths(up / hours), *map(dollars, amounts)), amiss=True
        )


def dearest(result: RunResult) -> list[OwnerCost]:
    """Services and workloads by dollars, the dearest first; what is nobody's last."""
    return sorted(result.owner_costs, key=lambda each: (each.owner == NOBODY, -each.dollars))


def _owners(result: RunResult) -> Iterable[Row]:
    for each in dearest(result):
        share = 100 * each.dollars_idle / each.dollars if each.dollars else None
        amounts = dollars(each.dollars_reserved), dollars(each.dollars_idle)
        cells = (
            *(result.run.strategy, each.owner or "(unnamed)", tenths(each.vcpu_hours)),
            *(tenths(each.memory_gib_hours), *amounts, tenths(share)),
            dollars(monthly(each.dollars, result)),
        )
        yield Row(cells, amiss=True)


def dollars_finding(group: Sequence[RunResult], where: str) -> Finding | None:
    """What the fleet costs in an hour, a day and a month, what of it is idle, and who pays most."""
    known = [r for r in group if r.metrics["dollars_per_hour"] and r.owner_costs]
    if not known:
        return None
    rates = [float(result.metrics["dollars_per_hour"] or 0) for result in known]
    same = max(rates) - min(rates) <= ALIKE * max(rates)
    first = known[0]
    text = f"{where}, {'' if same else f'{first.run.strategy}: '}the instances cost "
    text += f"${dollars(rates[0])} an hour: ${dollars(24 * rates[0])} a day, "
    text += f"${dollars(HOURS_PER_MONTH * rates[0])} a month. "
    text += f"{count(first.metrics['dollars_idle_pct'])} % of it is for what no task reserves"
    text += f" (under {first.run.strategy}). " if same and len(known) > 1 else ". "
    owners = [each for each in dearest(first) if each.owner != NOBODY][:_OWNERS_SAID]
    said = [
        f"{each.owner or 'unnamed tasks'} ${dollars(monthly(each.dollars, first))}"
        for each in owners
    ]
    text += f"Most is for {names_of(said)} a month, with their share of what is idle." * bool(said)
    if same:
        return Finding("Dollars a month", text.strip())
    rows = [
        (
            result.run.strategy,
            dollars(rate),
            dollars(24 * rate),
            dollars(HOURS_PER_MONTH * rate),
            count(result.metrics["dollars_idle_pct"]),
        )
        for result, rate in zip(known, rates, strict=True)
    ]
    header = "strategy", "$ / hour", "$ / day", "$ / month", "idle, %"
    return Finding("Dollars a month", text.strip(), header, rows)
