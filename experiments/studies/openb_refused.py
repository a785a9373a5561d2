"""Which pods of the OpenB evaluation found no room, by what they ask for, over the arrived load.

Allocation alone hides this: a policy that drops every pod of eight GPUs for many small ones ends
with more GPUs allocated. Counts are of arrivals up to a load; a dropped pod does not come again.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stowplan.experiments.record.output import output_folder
from stowplan.experiments.studies.openb_data import DEVICE_MILLI, Pod
from stowplan.experiments.studies.openb_series import LOAD_MAX, Events

CPU_ONLY, SHARE = "cpu", "share"
SHOWN = (50, 80, 90, 95, 100, LOAD_MAX)  # loads of the table, per cent


class RefusedRow(NamedTuple):
    """Pods of one size that had arrived, and had been refused, by a load.

    Args:
        size: "cpu", "share" (part of a GPU), or so many whole GPUs: "1-gpu", "8-gpu".
        arrived_pct: GPUs asked for so far, in per cent of the capacity.
    """

    trace: str
    policy: str
    seed: int
    size: str
    arrived_pct: int
    arrived: int
    refused: int


def size_of(pod: Pod) -> str:
    """The class of a pod by the GPUs that it asks for."""
    if not pod.gpus:
        return CPU_ONLY
    return SHARE if pod.gpus == 1 and pod.milli < DEVICE_MILLI else f"{pod.gpus}-gpu"


def refused_rows(
    events: Events, arrived: Sequence[Pod], capacity: int, of: tuple[str, str, int]
) -> list[RefusedRow]:
    """Counts for every size that arrives and every load of 0..130, as `openb_series` rounds it.

    Args:
        arrived: the pods in the order of `events`; capacity: thousandths of GPUs.
        of: trace, policy, seed.
    """
    load = np.round(100 * events.arrived / capacity)
    sizes = np.array([size_of(pod) for pod in arrived])
    rows = []
    for size in sorted(set(sizes.tolist()), key=_order):
        mine = sizes == size
        for point in range(LOAD_MAX + 1):
            until = mine & (load <= point)
            refused = int((until & events.refused).sum())
            rows.append(RefusedRow(*of, size, point, int(until.sum()), refused))
    return rows


def summary(rows: Sequence[RefusedRow]) -> list[dict[str, Any]]:
    """Per trace, policy and seed: the load of the first refusal, and counts at the shown loads."""
    found = []
    for (trace, policy, seed), run in _runs(rows):
        lost = [row.arrived_pct for row in run if row.refused]
        sizes = {
            size: {
                str(row.arrived_pct): {"arrived": row.arrived, "refused": row.refused}
                for row in run
                if row.size == size and row.arrived_pct in SHOWN
            }
            for size in dict.fromkeys(row.size for row in run)
        }
        first = min(lost, default=None)
        found.append(
            {"trace": trace, "policy": policy, "seed": seed, "first_refusal_pct": first,
             "sizes": sizes}
        )  # fmt: skip
    return found


def write_refused(target: Path, rows: Sequence[RefusedRow]) -> None:
    """The folder with refused.csv (every load), refused.json (`summary`) and refused.svg."""
    with output_folder(target) as folder:
        with (folder / "refused.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(RefusedRow._fields)
            writer.writerows(rows)
        (folder / "refused.json").write_text(json.dumps(summary(rows), indent=1) + "\n")
        _plot(rows, folder / "refused.svg")


def print_refused(rows: Sequence[RefusedRow]) -> None:
    """A table: refused of arrived by size, at the shown loads, summed over the seeds."""
    for policy, mine in _by_policy(rows).items():
        firsts = [run["first_refusal_pct"] for run in summary(mine)]
        known = [first for first in firsts if first is not None]
        begun = f"from {min(known)} % of arrived load on" if known else "none"
        print(f"{policy}: refused pods of arrived ones, {begun}")
        print(f"  {'size':6}" + "".join(f"{load:>14} %" for load in SHOWN))
        for size in dict.fromkeys(row.size for row in mine):
            cells = [_cell(mine, size, load) for load in SHOWN]
            print(f"  {size:6}" + "".join(f"{cell:>16}" for cell in cells))


def _cell(rows: Sequence[RefusedRow], size: str, load: int) -> str:
    here = [row for row in rows if (row.size, row.arrived_pct) == (size, load)]
    return f"{sum(row.refused for row in here):,} of {sum(row.arrived for row in here):,}"


def _plot(rows: Sequence[RefusedRow], target: Path) -> None:
    """A panel for each size, a line for each policy: per cent refused, all seeds together."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    sizes = [*dict.fromkeys(row.size for row in rows)]
    with matplotlib.rc_context({"svg.hashsalt": "refused"}):
        figure, grid = pyplot.subplots(
            len(sizes),
            figsize=(7, 2 * len(sizes)),
            sharex=True,
            squeeze=False,
            layout="constrained",
        )
        for size, axes in zip(sizes, grid[:, 0], strict=True):
            for policy, mine in _by_policy(rows).items():
                axes.plot(*_curve(mine, size), label=policy)
            axes.set(ylabel="refused, %", title=size)
        grid[0, 0].legend()
        grid[-1, 0].set(xlabel="arrived load, % of the GPUs")
        figure.savefig(target, metadata={"Date": None})
        pyplot.close(figure)


def _curve(rows: Sequence[RefusedRow], size: str) -> tuple[range, list[float]]:
    arrived, refused = np.zeros(LOAD_MAX + 1), np.zeros(LOAD_MAX + 1)
    for row in rows:
        if row.size == size:
            arrived[row.arrived_pct] += row.arrived
            refused[row.arrived_pct] += row.refused
    return range(LOAD_MAX + 1), (100 * refused / np.maximum(arrived, 1)).tolist()


def _by_policy(rows: Sequence[RefusedRow]) -> Mapping[str, list[RefusedRow]]:
    found: dict[str, list[RefusedRow]] = {}
    for row in rows:
        found.setdefault(row.policy, []).append(row)
    return found


def _runs(
    rows: Sequence[RefusedRow],
) -> Iterator[tuple[tuple[str, str, int], list[RefusedRow]]]:
    for of, run in groupby(rows, key=lambda row: row[:3]):
        yield of, list(run)


def _order(size: str) -> tuple[bool, bool, str]:
    """CPU alone first, then shares, then by number of GPUs."""
    return size != CPU_ONLY, size != SHARE, size.rjust(8)
