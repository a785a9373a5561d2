"""What changed from one run to another, from their tables: of the run, its services, its types."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from stowplan.experiments.record.cost_frames import costs_frame, owner_costs_frame
from stowplan.experiments.record.costs import HOURS_PER_MONTH
from stowplan.experiments.record.keys import KEYS
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.record.results import Results, runs_frame
from stowplan.experiments.record.service_frames import deployments_frame, services_frame

Keys = tuple[str, str, str]  # strategy, layout, faults
_TABLES = ("results", "services", "deployments", "costs", "owner_costs")
_TOLERANCE = 1e-9  # sums added up in another order are no change


@dataclass(frozen=True, slots=True)
class Change:
    """A figure of two runs. `of`: "run", "refusals", "service", "owner" or "type"; None: a run has
    no such value. `better`: "less" or "more" where one of them is."""

    of: str
    name: str
    measure: str
    unit: str
    better: str
    a: float | None
    b: float | None

    @property
    def change(self) -> float | None:
        """How much more it is in the second; None where one has no value."""
        return None if self.a is None or self.b is None else self.b - self.a

    @property
    def change_pct(self) -> float | None:
        """The same, in percent of the first; None where that is none or nothing."""
        return 100 * self.change / abs(self.a) if self.change is not None and self.a else None

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or nothing where neither is said, or nothing changed."""
        if not self.better or not self.changed or self.change is None:
            return ""
        return "better" if (self.change < 0) == (self.better == "less") else "worse"

    @property
    def changed(self) -> bool:
        """Whether they differ."""
        if self.a is None or self.b is None:
            return self.a is not self.b
        return not math.isclose(self.a, self.b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


@dataclass(frozen=True, slots=True)
class RunTables:
    """What the tables of results say of one run."""

    keys: Keys
    tables: Mapping[str, pd.DataFrame]


def tables_of(results: Results) -> dict[Keys, RunTables]:
    """The runs of a results folder."""
    frames = {name: getattr(results, name) for name in _TABLES}
    return _by_run(frames)


def tables_of_runs(results: Sequence[RunResult]) -> dict[Keys, RunTables]:
    """Runs that are not written yet."""
    frames = {
        "results": runs_frame(results),
        "services": services_frame(results),
        "deployments": deployments_frame(results),
        "costs": costs_frame(results),
        "owner_costs": owner_costs_frame(results),
    }
    return _by_run(frames)


def _by_run(frames: Mapping[str, pd.DataFrame]) -> dict[Keys, RunTables]:
    found = {}
    for row in frames["results"][list(KEYS)].astype(str).itertuples(index=False):
        keys: Keys = row.strategy, row.layout, row.faults
        parts = {}
        for name, frame in frames.items():
            same = (frame[list(KEYS)].astype(str) == list(keys)).all(axis=1)
            parts[name] = frame[same]
        found[keys] = RunTables(keys, parts)
    return found


def changes(a: RunTables, b: RunTables) -> list[Change]:
    """Every figure of two runs, changed or not."""
    return [*_of_run(a, b), *_of_refusals(a, b), *_of_services(a, b), *_of_money(a, b)]


def changes_frame(found: Sequence[tuple[Keys, Keys, Change]]) -> pd.DataFrame:
    """A row per pair of runs and figure."""
    rows = [
        {
            "run_a": "__".join(keys_a),
            "run_b": "__".join(keys_b),
            **asdict(each),
            "change": each.change,
            "change_pct": each.change_pct,
            "verdict": each.verdict,
        }
        for keys_a, keys_b, each in found
    ]
    fields = (*Change.__dataclass_fields__, "change", "change_pct", "verdict")
    return pd.DataFrame(rows, columns=["run_a", "run_b", *fields])


def _of_run(a: RunTables, b: RunTables) -> Iterator[Change]:
    first, second = (each.tables["results"].iloc[0] for each in (a, b))
    for name, metric in METRICS.items():
        values = _number(first.get(name)), _number(second.get(name))
        yield Change("run", "", name, metric.unit, metric.better, *values)


def _of_refusals(a: RunTables, b: RunTables) -> Iterator[Change]:
    counts: list[dict[str, int]] = [
        json.loads(str(each.tables["results"].iloc[0]["refusals_by_reason"])) for each in (a, b)
    ]
    for reason in dict.fromkeys((*counts[0], *counts[1])):
        values = (float(each.get(reason, 0)) for each in counts)
        yield Change("refusals", reason, "refusals", "", "less", *values)


_SERVICE = (
    ("at_minimum_pct", "%", "more"),
    ("at_desired_pct", "%", "more"),
    ("covered_pct", "%", "more"),
    ("below_minimum_ms", "ms", "less"),
    ("below_minimum_longest_ms", "ms", "less"),
    ("worst_running", "", "more"),
    ("lacking", "", "less"),
    ("migrations", "", "less"),
    ("deployments_failed", "", "less"),
)


def _of_services(a: RunTables, b: RunTables) -> Iterator[Change]:
    rows = [_services(each) for each in (a, b)]
    longest = [
        each.tables["deployments"].groupby("service")["duration_s"].max().to_dict()
        for each in (a, b)
    ]
    for name in dict.fromkeys((*rows[0], *rows[1])):
        for column, unit, better in _SERVICE:
            values = (_number(each.get(name, {}).get(column)) for each in rows)
            yield Change("service", name, column, unit, better, *values)
        times = (_number(each.get(name)) for each in longest)
        yield Change("service", name, "deployment_longest_s", "s", "less", *times)


def _services(run: RunTables) -> dict[str, Mapping[str, Any]]:
    frame = run.tables["services"]
    whole = frame[frame["zone"] == ""].to_dict("records")
    return {str(row["service"]): {str(k): v for k, v in row.items()} for row in whole}


def _of_money(a: RunTables, b: RunTables) -> Iterator[Change]:
    owners = [
        {str(row["owner"]): row for row in each.tables["owner_costs"].to_dict("records")}
        for each in (a, b)
    ]
    for name in dict.fromkeys((*owners[0], *owners[1])):
        for column, unit in (("dollars_per_month", "$"), ("idle_pct", "%")):
            values = (_number(each.get(name, {}).get(column)) for each in owners)
            yield Change("owner", name, column, unit, "less", *values)
    kinds = [_kinds(each) for each in (a, b)]
    for kind in dict.fromkeys((*kinds[0], *kinds[1])):
        for at, (measure, unit) in enumerate((("instances", ""), ("dollars_per_month", "$"))):
            of_a, of_b = (each.get(kind, (0.0, 0.0))[at] for each in kinds)
            yield Change("type", kind, measure, unit, "less", of_a, of_b)


def _kinds(run: RunTables) -> dict[str, tuple[float, float]]:
    """Instances, mean over the run, and dollars a month, of each kind."""
    hours = max(1e-9, float(run.tables["results"].iloc[0]["simulated_s"]) / 3600)
    found: dict[str, tuple[float, float]] = {}
    names = ["capacity_provider", "type", "market"]
    for key, rows in run.tables["costs"].groupby(names, sort=False):
        kind = ", ".join(part for part in key if part)
        up, paid = rows["instance_hours"].sum(), rows["dollars"].sum()
        found[kind] = float(up) / hours, float(paid) / hours * HOURS_PER_MONTH
    return found


def _number(value: Any) -> float | None:
    if value is None or value is pd.NA:
        return None
    number = float(value)
    return None if math.isnan(number) else number
