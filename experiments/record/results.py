"""Results of runs as tables, and as Parquet files: `load_results(FOLDER)` reads them back.

Every table begins with strategy, layout and faults, which tell the runs apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stowplan.experiments.record.capacity_record import POINT_FIELDS
from stowplan.experiments.record.cost_frames import (
    COST_COLUMNS,
    OWNER_COST_COLUMNS,
    costs_frame,
    owner_costs_frame,
)
from stowplan.experiments.record.keys import KEYS, keys_of
from stowplan.experiments.record.leftovers import Leftover
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.record.service_frames import (
    deployments_frame,
    services_frame,
    stops_frame,
)
from stowplan.placement.errors import SpecError, check_format

# With the metrics that ship; those of a user's own come after them.
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
WAIT_COLUMNS = (*KEYS, "measure", "upper_ms", "tasks")
DIMENSION_COLUMNS = (*KEYS, *Leftover.__dataclass_fields__, "used_pct")
GONE = 255
# The version that is written, and those that are read. It goes up when a table or a column goes, or
# comes to mean something else.
FORMAT = 1
FORMATS_READ = range(1, FORMAT + 1)
_FORMAT_KEY = b"stowplan.format"  # in the metadata of every file


@dataclass(frozen=True)
class Results:
    """The tables of a results folder, each as the function of its name describes it."""

    results: pd.DataFrame
    timeline: pd.DataFrame
    instances: pd.DataFrame
    waits: pd.DataFrame
    dimensions: pd.DataFrame
    services: pd.DataFrame
    deployments: pd.DataFrame
    stops: pd.DataFrame
    capacity: pd.DataFrame
    ties: pd.DataFrame
    costs: pd.DataFrame
    owner_costs: pd.DataFrame


# Tables that folders of this format may lack, since they came later: they read as empty.
_CAME_LATER = {"costs": COST_COLUMNS, "owner_costs": OWNER_COST_COLUMNS}


def load_results(folder: Path | str) -> Results:
    """What `stowplan simulate --out FOLDER` wrote.

    Raises:
        SpecError: no such folder, or results of a format version that is too old or too new, or
            every table that is missing or cannot be read.
    """
    if not Path(folder).is_dir():
        raise SpecError([(str(folder), "no such folder; `stowplan simulate --out` writes one")])
    _check_format(Path(folder))
    frames, problems = {}, []
    for name in Results.__dataclass_fields__:
        path = Path(folder) / f"{name}.parquet"
        if name in _CAME_LATER and not path.is_file():
            frames[name] = pd.DataFrame(columns=list(_CAME_LATER[name]))
            continue
        try:
            frames[name] = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            problems.append((str(path), str(error)))
    if problems:
        raise SpecError(problems)
    return Results(**frames)


def _check_format(folder: Path) -> None:
    """Tables without a version are of the first; those that cannot be read are told of later."""
    for path in sorted(folder.glob("*.parquet")):
        try:
            text = (pq.read_schema(path).metadata or {}).get(_FORMAT_KEY, b"1").decode()
        except (OSError, ValueError):
            continue
        check_format(str(path), "results", int(text) if text.isdecimal() else text, FORMATS_READ)


def runs_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run: its keys, every metric of `METRICS`, and refusals by reason as JSON."""
    rows = [{**keys_of(result), **result.metrics} for result in results]
    frame = pd.DataFrame(rows, columns=[*KEYS, *METRICS, "refusals_by_reason"])
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


def waits_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run, measure and bin: how many tasks took up to `upper_ms` (see `histogram`).

    `wait`: from submission to RUNNING, standalone tasks; `service-wait`: from when a service came
    to lack a task to RUNNING (see `experiments.record.waits`); `start`: from the decision where a
    task goes to RUNNING, all tasks.
    """
    rows = [
        {**keys_of(result), "measure": measure, "upper_ms": upper_ms, "tasks": tasks}
        for result in results
        for measure, bins in (
            ("wait", result.waits),
            ("service-wait", result.service_waits),
            ("start", result.starts),
        )
        for upper_ms, tasks in bins
    ]
    return pd.DataFrame(rows, columns=list(WAIT_COLUMNS))


def dimensions_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run, minute and dimension: offered, used, stranded and fragmented, in its unit.

    See `experiments.record.leftovers` for what the last two are. `used_pct` is of what is offered.
    """
    rows = [{**keys_of(r), **asdict(row)} for r in results for row in r.leftovers]
    frame = pd.DataFrame(rows, columns=list(DIMENSION_COLUMNS))
    frame["used_pct"] = 100 * frame["used"] / frame["offered"].where(frame["offered"] > 0)
    return frame


def capacity_frame(results: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run, capacity provider and minute: CapacityProviderReservation and its parts."""
    names = [*KEYS, *POINT_FIELDS]
    rows = [(*keys_of(r).values(), *point) for r in results for point in r.points]
    return pd.DataFrame(rows, columns=names)


def ties_frame(again: Sequence[RunResult]) -> pd.DataFrame:
    """A row per run that was repeated with ties decided another way (see `experiments.runs.ties`):
    its keys, `ties`, `draw`, and every metric. The run it repeats is in `results`."""
    frame = runs_frame(again)
    frame.insert(len(KEYS), "ties", [result.run.ties for result in again])
    frame.insert(len(KEYS) + 1, "draw", [result.run.draw for result in again])
    return frame


TABLES: Mapping[str, Callable[[Sequence[RunResult]], pd.DataFrame]] = {
    "results": runs_frame,
    "timeline": timeline_frame,
    "instances": instances_frame,
    "waits": waits_frame,
    "dimensions": dimensions_frame,
    "services": services_frame,
    "deployments": deployments_frame,
    "stops": stops_frame,
    "capacity": capacity_frame,
    "costs": costs_frame,
    "owner_costs": owner_costs_frame,
}


def write_results(
    results: Sequence[RunResult], folder: Path, again: Sequence[RunResult] = ()
) -> list[Path]:
    """Write every table of `TABLES`, and `ties` of runs repeated, as `NAME.parquet` into `folder`.

    Each says of which format version it is.
    """
    paths = []
    for name, frame in _frames(results, again).items():
        path = folder / f"{name}.parquet"
        content = pa.Table.from_pandas(frame, preserve_index=False)
        metadata = {**(content.schema.metadata or {}), _FORMAT_KEY: str(FORMAT).encode()}
        pq.write_table(content.replace_schema_metadata(metadata), path)
        paths.append(path)
    return paths


def write_csv(results: Sequence[RunResult], folder: Path, again: Sequence[RunResult] = ()) -> None:
    """Write the tables of `write_results` as `NAME.csv`, a header and a row a line, in UTF-8.

    What a column means: `docs/tables.md`. A value that there is none of is an empty field.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in _frames(results, again).items():
        frame.to_csv(folder / f"{name}.csv", index=False)


def _frames(results: Sequence[RunResult], again: Sequence[RunResult]) -> dict[str, pd.DataFrame]:
    frames = {name: table(results) for name, table in TABLES.items()}
    return {**frames, "ties": ties_frame(again)}


def fills(result: RunResult) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """How full every instance was: (frames, instances) uint8 percent; 255 where it was not there.

    An instance that had not registered by the time of a frame is missing from that frame's list.
    """
    table = np.full((len(result.frames), len(result.instances)), GONE, dtype=np.uint8)
    for row, (_, shares) in zip(table, result.frames, strict=True):
        row[: len(shares)] = list(shares)
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
