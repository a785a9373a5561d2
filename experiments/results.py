"""Results of runs as tables: a row per run, per sample over time, and per instance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.capacity_record import POINT_FIELDS
from experiments.metrics import METRICS
from experiments.simulate import RunResult

KEYS = ("strategy", "layout", "faults")
RUN_COLUMNS = (*KEYS, *METRICS, "refusals_by_reason")
TIMELINE_COLUMNS = (
    *KEYS,
    "minute",
    *RunResult.sample_fields,
    "cpu_reserved_pct",
    "memory_reserved_pct",
    "busy_pct",
)
INSTANCE_COLUMNS = (
    *KEYS,
    "instance",
    "zone",
    "type",
    "cpu",
    "memory",
    "price_microusd_hour",
    "since_ms",
    "until_ms",
    "ever_used",
    "busy_ms",
    "fill_mean_pct",
)
GONE = 255


def keys_of(result: RunResult) -> dict[str, str]:
    """What tells a run from the others: strategy, layout and faults, by name."""
    return {
        "strategy": result.run.strategy,
        "layout": result.run.layout,
        "faults": result.run.faults,
    }


def runs_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run: its keys, every metric of `METRICS`, and refusals by reason as JSON."""
    rows = [{**keys_of(result), **result.metrics} for result in results]
    frame = pd.DataFrame(rows, columns=list(RUN_COLUMNS))
    return frame.astype(dict.fromkeys(METRICS, "float64"))


def timeline_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run and sample: what was counted then, and shares of what was registered then.

    Shares are in percent; none (NaN) where no instance was registered.
    """
    parts = []
    for result in results:
        part = pd.DataFrame(result.samples, columns=list(RunResult.sample_fields))
        parts.append(part.assign(**keys_of(result)))
    names = [*KEYS, *RunResult.sample_fields]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)
    frame = frame.astype(dict.fromkeys(RunResult.sample_fields, "int64"))
    frame["minute"] = frame["ms"] / 60_000
    for share, part_name, whole in (
        ("cpu_reserved_pct", "cpu_used", "cpu"),
        ("memory_reserved_pct", "memory_used", "memory"),
        ("busy_pct", "busy", "present"),
    ):
        frame[share] = 100 * frame[part_name] / frame[whole].where(frame[whole] > 0)
    return frame[list(TIMELINE_COLUMNS)]


def instances_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run and instance: what it is, when it was there, and how it was used.

    `fill_mean_pct` is the mean, over the frames in which it was there, of the larger of its CPU and
    memory shares.
    """
    rows = [row for result in results for row in _instance_rows(result)]
    return pd.DataFrame(rows, columns=list(INSTANCE_COLUMNS))


def capacity_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run, capacity provider and minute: CapacityProviderReservation and its parts."""
    names = [*KEYS, *POINT_FIELDS]
    rows = [(*keys_of(r).values(), *point) for r in results for point in r.points]
    return pd.DataFrame(rows, columns=names)


def write_results(results: Sequence[RunResult], folder: Path) -> list[Path]:
    """Write `results.parquet`, `timeline.parquet` and `instances.parquet` into `folder`.

    And `capacity.parquet`, where there are capacity providers.
    """
    frames: dict[str, pd.DataFrame] = {
        "results": runs_frame(results),
        "timeline": timeline_frame(results),
        "instances": instances_frame(results),
    }
    if any(result.points for result in results):
        frames["capacity"] = capacity_frame(results)
    paths = []
    for name, frame in frames.items():
        path = folder / f"{name}.parquet"
        frame.to_parquet(path, index=False)
        paths.append(path)
    return paths


def fills(result: RunResult) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """How full every instance was: (frames, instances) uint8 percent; 255 where it was not there.

    An instance that had not registered by the time of a frame is missing from that frame's list.
    """
    table = np.full((len(result.frames), len(result.instances)), GONE, dtype=np.uint8)
    for row, (_, shares) in zip(table, result.frames, strict=True):
        row[: len(shares)] = shares
    return table


def _instance_rows(result: RunResult) -> list[dict[str, Any]]:
    table = fills(result)
    there = table != GONE
    counts = there.sum(axis=0)
    sums = np.where(there, table, 0).sum(axis=0)
    return [
        {
            **keys_of(result),
            "instance": record.name,
            "zone": record.zone,
            "type": record.type,
            "cpu": record.cpu,
            "memory": record.memory,
            "price_microusd_hour": record.price_microusd_hour,
            "since_ms": record.since_ms,
            "until_ms": record.until_ms,
            "ever_used": record.ever_used,
            "busy_ms": record.busy_ms,
            "fill_mean_pct": total / count if count else None,
        }
        for record, total, count in zip(
            result.instances, sums.tolist(), counts.tolist(), strict=True
        )
    ]
