"""Tables of what runs cost; see `experiments.record.costs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from stowplan.experiments.record.capacity_record import MS_PER_HOUR
from stowplan.experiments.record.costs import HOURS_PER_MONTH, CostRow
from stowplan.experiments.record.keys import KEYS, keys_of
from stowplan.experiments.record.result import RunResult

COST_COLUMNS = (*KEYS, *CostRow.__dataclass_fields__)
OWNER_COST_COLUMNS = (
    *KEYS,
    "owner",
    "is_service",
    "vcpu_hours",
    "memory_gib_hours",
    "dollars_reserved",
    "dollars_idle",
    "dollars",
    "idle_pct",
    "dollars_per_hour",
    "dollars_per_month",
)


def costs_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run, capacity provider ("": none), instance type, market, and minute, ten minutes,
    hour or day, by how long the run is: how many instances were up, and what they cost.

    Together they come to `dollars`, from launch or registration to the end.
    """
    rows = [{**keys_of(result), **asdict(row)} for result in results for row in result.costs]
    return pd.DataFrame(rows, columns=list(COST_COLUMNS))


def owner_costs_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run and service or workload: what it cost, for what its tasks reserve and as its
    share of what is idle (`idle_pct` of its dollars); together, again, `dollars`.

    `dollars_per_hour`: mean over the run; `dollars_per_month`: 730 hours of that.
    """
    rows = []
    for result in results:
        hours = max(1.0, 1000 * float(result.metrics["simulated_s"] or 0)) / MS_PER_HOUR
        for cost in result.owner_costs:
            values = {
                "dollars": cost.dollars,
                "idle_pct": 100 * cost.dollars_idle / cost.dollars if cost.dollars else None,
                "dollars_per_hour": cost.dollars / hours,
                "dollars_per_month": cost.dollars / hours * HOURS_PER_MONTH,
            }
            rows.append({**keys_of(result), **asdict(cost), **values})
    frame = pd.DataFrame(rows, columns=list(OWNER_COST_COLUMNS))
    return frame.astype({"is_service": "bool", "idle_pct": "float64"})


def named_costs(costs: pd.DataFrame, owners: pd.DataFrame) -> dict[str, float]:
    """The tables of one run as figures by name, as the audit names what it works out itself."""
    found: dict[str, float] = {}
    for row in costs.itertuples():
        kind = f"{row.capacity_provider or 'no provider'}, {row.type}, {row.market}"
        found[f"dollars for {kind}"] = found.get(f"dollars for {kind}", 0.0) + float(row.dollars)
    for row in owners.itertuples():
        name = f"{'service' if row.is_service else 'workload'} {row.owner}"
        found[f"dollars of {name}"] = float(row.dollars)
        found[f"idle dollars of {name}"] = float(row.dollars_idle)
    return found
