"""The report of a comparison: one HTML file that needs nothing else, for people to read."""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from stowplan.experiments.files.paths import TEMPLATES
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.record.results import GONE, fills
from stowplan.experiments.report.changes import change_tables
from stowplan.experiments.report.charts import COLOURS
from stowplan.experiments.report.costs import RULE, cost_tables
from stowplan.experiments.report.findings import findings
from stowplan.experiments.report.formats import (
    CAPACITY,
    DEPLOYING,
    DEPLOYMENTS,
    LEAST,
    LOSS,
    USE,
    WAITING,
    Column,
    count,
    duration,
    groups,
    has_capacity,
    is_missing,
    name_of,
    refusals,
    shown,
)
from stowplan.experiments.report.plots import plots, title_of
from stowplan.experiments.report.refused import refused_tables
from stowplan.experiments.report.services import crash_loops, service_tables
from stowplan.experiments.report.times import origins
from stowplan.placement.constraints import check_of
from stowplan.placement.scenario.capacity import CapacityProviderTable
from stowplan.placement.scenario.fields import Distribution
from stowplan.placement.scenario.models import Models
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.scenario.ties import has_open_ties

Group = Sequence[RunResult]
PROVEN = (next(column for column in USE if column.metric == "dollars_busy"), *LEAST)
# Frames of all runs together; beyond this every second, third ... frame is left out.
MAP_BYTES_MAX = 6_000_000
ROWS_MOST = 200  # of a table about services; the rest is in the tables beside the report


def write_report(
    scenario: Scenario,
    results: Group,
    path: Path,
    again: Group = (),
    notes: Sequence[str] = (),
) -> None:
    """Write the report of `results` to `path`, as HTML in UTF-8.

    Args:
        again: runs repeated with ties decided the other way; see `runs.ties`.
        notes: sentences at its head, as what a real run has cost.
    """
    folder = TEMPLATES
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Runs keep the order of the scenario, so that its first layout and faults are shown first.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    page = environment.get_template("report.html.j2").render(
        context(scenario, results, again) | {"notes": notes}
    )
    path.write_text(page, encoding="utf-8")


def context(scenario: Scenario, results: Group, again: Group = ()) -> dict[str, Any]:
    """What the template is filled with."""
    strategies = list(dict.fromkeys(result.run.strategy for result in results))
    index = {name: number for number, name in enumerate(strategies)}
    return {
        "title": scenario.name,
        "question": scenario.question,
        "seed": scenario.seed,
        "strategies": [(name, n, n % COLOURS, n >= COLOURS) for name, n in index.items()],
        "findings": findings(scenario, results, again),
        "about": _about(scenario, results),
        "tables": [_tables(scenario, members, index) for members in groups(results).values()],
        "rule": RULE,
        "plots": plots(scenario, results, index),
        "map": _map(scenario, results, index),
    }


# --- what was simulated -------------------------------------------------------------------------


def _about(scenario: Scenario, results: Group) -> list[tuple[str, str]]:
    kinds = Counter[str]()
    for group in scenario.fleet:
        kinds[group.instance_type] += group.count
    zones = {zone for group in scenario.fleet for zone in group.zones}
    fleet = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    services = ", ".join(f"{s.name} ({s.desired_count})" for s in scenario.service) or "none"
    submitted = max((float(r.metrics["submitted"] or 0) for r in results), default=0.0)
    about = (
        []
        if not scenario.fleet
        else [("Fleet", f"{count(kinds.total())} instances in {len(zones)} zones: {fleet}")]
    )
    about += [(f"Capacity provider {p.name}", _provider(p)) for p in scenario.capacity_provider]
    about += [
        ("Services", services),
        (
            "Jobs",
            f"{count(submitted)} tasks submitted ({', '.join(w.name for w in scenario.workload)})"
            if scenario.workload
            else "none",
        ),
        ("Time", f"{duration(scenario.duration / 1000)} simulated, seed {scenario.seed}"),
        ("How long things take", _models(scenario.models)),
        *origins(scenario),
    ]
    short = [
        f"{r.run.id} after {duration(float(r.metrics['simulated_s'] or 0))}"
        for r in results
        if not r.whole
    ]
    about += [("Interrupted", ", ".join(short))] if short else []
    for name, chain in scenario.strategies.items():
        links = ", then ".join(":".join(filter(None, (s.type, s.field))) for s in chain)
        about.append((f"Strategy {name}", links or "ECS's default: tasks random, services spread"))
    about += _ties(scenario)
    about += [
        (f"Settings of {name}", "; ".join(f"{who}: {_fields(c)}" for who, c in parts.items()))
        for name, parts in scenario.settings.items()
    ]
    about += [
        (f"Fault {name}", "; ".join(_words(f) for f in fs))
        for name, fs in scenario.faults.items()
        if fs
    ]
    for name, parts in scenario.layouts.items():
        terms = [f"{who}: {check_of(c).words}" for who, cs in parts.items() for c in cs]
        about.append((f"Layout {name}", "; ".join(terms) or "no further constraints"))
    return about


def _ties(scenario: Scenario) -> list[tuple[str, str]]:
    tied = [name for name in scenario.strategies if has_open_ties(scenario, name)]
    which = "the lowest instance number" if scenario.ties == "lowest" else "any, at random"
    return [("Ties", f"go to {which} (under {', '.join(tied)})")] if tied else []


def _provider(table: CapacityProviderTable) -> str:
    managed = table.managed_scaling
    scaling = f"target {managed.target_capacity} %" if managed else "no managed scaling"
    kept = "protected from scale-in" if table.managed_termination_protection else "not protected"
    return (
        f"{table.min_size} to {table.max_size} of {', '.join(table.instance_types)} in "
        f"{len(table.zones)} zones, {table.market}, {scaling}, {kept}"
    )


def _models(models: Models) -> str:
    boot = f"instances that are launched during the run boot in {_takes(models.boot)}"
    return f"{boot}, tasks start in {_takes(models.start)} and stop in {_takes(models.stop)}"


def _takes(time: Distribution) -> str:
    if time.distribution == "empirical":
        return f"one of {len(time.samples)} measured times"
    if time.distribution == "lognormal":
        return f"{duration((time.median or 0) / 1000)} (median)"
    if time.distribution not in ("constant", "exponential"):
        return f"times of a {time.distribution} distribution"
    mean = duration((time.mean or 0) / 1000)
    return mean if time.distribution == "constant" else f"{mean} (mean)"


def _fields(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in changes.items())


def _words(fault: Any) -> str:
    at = duration(fault.at / 1000)
    if fault.kind == "zone-loss":
        learns = duration((fault.at + fault.detect) / 1000)
        return f"{fault.zone} is lost at {at}; ECS learns of it at {learns}"
    until = "" if fault.until is None else f" until {duration(fault.until / 1000)}"
    if fault.kind == "insufficient-capacity":
        where = f"{fault.instance_type or 'instance'} in {fault.zone or 'any zone'}"
        return f"EC2 has no {where} to launch from {at}{until}"
    if fault.kind == "api-throttling":
        rate = f" to {fault.rate_per_s} a second" if fault.rate_per_s else ""
        return f"API calls and launches are throttled{rate} from {at}{until}"
    if fault.kind == "alarm":
        return f"the alarm {fault.alarm} is in ALARM from {at}{until}"
    if fault.kind == "start-failure":
        return f"tasks of {fault.task_definition} fail to start from {at}{until}"
    if fault.kind == "registry-failure":
        return f"no image can be pulled from {at}{until}"
    if fault.kind == "scheduler-restart":
        return f"the scheduler is gone from {at}{until}, then restarts from its journal"
    which = f"of {fault.zone or fault.capacity_provider}"
    if fault.instances and not fault.zone:
        which = f"with {fault.instances}"
    happens = {
        "drain": "drain",
        "instance-loss": "are lost",
        "spot-reclaim": f"are reclaimed, {duration(fault.notice / 1000)} notice,",
        "partition": "are cut off",
        "slow-disk": f"pull and start {fault.factor:g} times slower",
    }
    return f"instances {which} {happens[fault.kind]} at {at}{until}"


# --- tables -------------------------------------------------------------------------------------


def _tables(scenario: Scenario, members: Group, index: Mapping[str, int]) -> dict[str, Any]:
    lost = any(result.metrics["lost"] for result in members)
    failed = any(result.metrics["deployments_failed"] for result in members)
    known = not any(is_missing(result.metrics[LEAST[0].metric]) for result in members)
    return {
        "title": title_of(scenario, members[0].run.layout, members[0].run.faults),
        "parts": [
            _part("Use of the fleet", USE, members, index),
            _part(
                "Waiting" + (" and loss" if lost else ""),
                (*WAITING, *(LOSS if lost else ()), *(DEPLOYMENTS if failed else ())),
                members,
                index,
            ),
            *(
                [_part("What deploying costs", DEPLOYING, members, index)]
                if any(result.metrics["deploying_min"] for result in members)
                else []
            ),
            *(
                [_part("Capacity providers", CAPACITY, members, index)]
                if has_capacity(members)
                else []
            ),
            *([_part("Busy against the minimum", PROVEN, members, index)] if known else []),
        ],
        "refusals": _refusals(members, index),
        "services": service_tables(members, ROWS_MOST),
        "costs": cost_tables(members, ROWS_MOST),
        "refused": refused_tables(members, ROWS_MOST),
        "changes": change_tables(members, ROWS_MOST),
        "loops": crash_loops(members),
    }


def _part(
    caption: str, columns: Sequence[Column], members: Group, index: Mapping[str, int]
) -> dict[str, Any]:
    columns = shown(columns, members)
    best = [column.best(members) for column in columns]
    rows = []
    for result in members:
        cells = [
            (column.text(result.metrics[column.metric]), column.wins(result, top))
            for column, top in zip(columns, best, strict=True)
        ]
        name = result.run.strategy
        colour = index[name] % COLOURS
        rows.append({"strategy": name_of(result), "colour": colour, "cells": cells})
    headings = [column.heading for column in columns]
    return {"caption": caption, "headings": headings, "rows": rows, "reasons": False}


def _refusals(members: Group, index: Mapping[str, int]) -> dict[str, Any] | None:
    """Refused placements by reason, ECS's words as headings; None where nothing was refused."""
    reasons = list(dict.fromkeys(reason for result in members for reason in refusals(result)))
    if not reasons:
        return None
    rows = []
    for result in members:
        found, name = refusals(result), result.run.strategy
        cells = [(count(found.get(reason, 0)), False) for reason in reasons]
        colour = index[name] % COLOURS
        rows.append({"strategy": name_of(result), "colour": colour, "cells": cells})
    caption = "Refused placements by reason"
    return {"caption": caption, "headings": reasons, "rows": rows, "reasons": True}


# --- cluster map --------------------------------------------------------------------------------


def _busy_at_frames(result: RunResult) -> list[int]:
    """Busy instances at each frame: of the last sample until then, as frames are further apart."""
    column = RunResult.sample_fields.index("busy")
    times = [sample[0] for sample in result.samples]
    at = (bisect_right(times, at_ms) - 1 for at_ms, _ in result.frames)
    return [result.samples[n][column] if n >= 0 else 0 for n in at]


def _map(scenario: Scenario, results: Group, index: Mapping[str, int]) -> dict[str, Any]:
    """Every instance with zone and type, and its fill over time in each run, for the script.

    Instances are ordered by zone and type; `runs[layout][faults]` holds (strategy, base64 of
    frames x instances bytes, busy instances at each frame that the run came to).
    """
    records = {record.name: record for result in results for record in result.instances}
    order = sorted(records.values(), key=lambda record: (record.zone, record.type, record.name))
    position = {record.name: number for number, record in enumerate(order)}
    frames = max((len(result.frames) for result in results), default=0)
    step = -(-frames * len(order) * len(results) // MAP_BYTES_MAX) or 1
    runs: dict[str, dict[str, list[tuple[int, str, list[int]]]]] = {}
    for result in results:
        table = np.full((frames, len(order)), GONE, dtype=np.uint8)
        columns = [position[record.name] for record in result.instances]
        table[: len(result.frames), columns] = fills(result)
        data = base64.b64encode(table[::step].tobytes()).decode()
        at = runs.setdefault(result.run.layout, {}).setdefault(result.run.faults, [])
        at.append((index[result.run.strategy], data, _busy_at_frames(result)[::step]))
    times = next((r.frames for r in results if len(r.frames) == frames), [])
    return {
        "instances": [(record.name, record.zone, record.type) for record in order],
        "ms": [at for at, _ in times][::step],
        "strategies": list(index),
        "runs": runs,
        "faults": {
            name: [(fault.at, _words(fault)) for fault in faults]
            for name, faults in scenario.faults.items()
        },
    }
