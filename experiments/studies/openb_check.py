"""Compares replays with the published figures.

    python -m stowplan.experiments.studies.openb_check FOLDER

FOLDER holds the OpenB files: nodes, pods, arrivals.npz and expected_per_seed.csv. Prints for each
trace and policy the largest deviation over all seeds and loads, and ends with 1 where one is too
large. Chance cannot be replayed, so Random is compared in the mean over the seeds.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from time import perf_counter

import numpy as np

from stowplan.experiments.files.text import opened
from stowplan.experiments.studies.openb import Row, parse_seeds, replay
from stowplan.experiments.studies.openb_data import read_arrivals, read_nodes, read_pods
from stowplan.placement.errors import SpecError

PUBLISHED = {
    "dotprod": "DotProd",
    "gpuclustering": "GpuClustering",
    "gpupacking": "GpuPacking",
    "bestfit": "BestFit",
    "fgd": "FGD",
    "random": "Random",
}
# Allocation, fragment ratio, fragment amount; percentage points.
TOLERANCES = (0.005, 0.005, 0.011)
_ROUNDING = 1e-9
Expected = Mapping[tuple[str, str], Mapping[tuple[int, int], tuple[float, float, float]]]


def read_expected(path: Path) -> Expected:
    """{(trace, published policy): {(seed, load): (allocation, ratio, amount)}}."""
    found: dict[tuple[str, str], dict[tuple[int, int], tuple[float, float, float]]]
    found = defaultdict(dict)
    try:
        with opened(path) as file:
            for row in csv.DictReader(file):
                values = (
                    float(row["gpu_alloc_pct"]),
                    float(row["frag_ratio_pct"]),
                    float(row["frag_amount_pct_of_capacity"]),
                )
                at = int(row["seed"]), int(row["arrived_pct"])
                found[row["trace"], row["policy"]][at] = values
    except (OSError, KeyError, ValueError) as error:
        raise SpecError([(str(path), f"cannot be read: {error}")]) from error
    return found


def deviations(
    rows: Sequence[Row], expected: Mapping[tuple[int, int], tuple[float, float, float]]
) -> np.ndarray:
    """(points, 3) our values minus the published, for each published point of the seeds in rows."""
    ours = {(row[2], row[3]): row[4:] for row in rows}
    seeds = {row[2] for row in rows}
    points = [at for at in expected if at[0] in seeds]
    assert points, f"nothing is published of the seeds {sorted(seeds)}"
    return np.array([np.subtract(np.array(ours[at], np.float64), expected[at]) for at in points])


def check(folder: Path, trace: str, policy: str, seeds: Sequence[int], expected: Expected) -> bool:
    """Replay one policy on one trace and print a line; whether all is within the tolerance."""
    nodes = read_nodes(folder / "openb_node_list_gpu_node.csv")
    pods = read_pods(folder / f"openb_pod_list_{trace}.csv")
    file = folder / "arrivals.npz"
    arrivals = {seed: read_arrivals(file, trace, seed, len(pods), len(nodes)) for seed in seeds}
    start = perf_counter()
    rows = replay(nodes, pods, arrivals, trace, policy, seeds)
    seconds = (perf_counter() - start) / len(seeds)
    known = expected[trace, PUBLISHED[policy]]
    off, most = deviations(rows, known), np.array(TOLERANCES)
    if policy == "random":
        # Of two means of as many seeds, point by point: within four standard errors.
        published = np.array([known[at] for at in known if at[0] in seeds])
        error = published.reshape(len(seeds), -1, 3).std(axis=0, ddof=1) * sqrt(2 / len(seeds))
        off = off.reshape(len(seeds), -1, 3).mean(axis=0)
        most = 4 * error + 0.01
    largest = np.abs(off).max(axis=0)
    good = bool((np.abs(off) <= most + _ROUNDING).all())
    numbers = "  ".join(f"{value:8.4f}" for value in largest)
    print(f"{trace:12} {policy:14} {numbers}  {seconds:6.2f} s  {'ok' if good else 'TOO FAR'}")
    sys.stdout.flush()
    return good


def main(argv: Sequence[str] | None = None) -> int:
    """Check all that is published, or the part that the options name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--traces", help="comma-separated (default: all published)")
    parser.add_argument("--policies", default=",".join(PUBLISHED))
    parser.add_argument("--seeds", default="42-51")
    arguments = parser.parse_args(argv)
    expected = read_expected(arguments.folder / "expected_per_seed.csv")
    traces = (arguments.traces or ",".join(sorted({trace for trace, _ in expected}))).split(",")
    print(f"{'trace':12} {'policy':14} {'alloc':>8}  {'ratio':>8}  {'amount':>8}  per run")
    seeds = parse_seeds(arguments.seeds)
    good = [
        check(arguments.folder, trace, policy, seeds, expected)
        for trace in traces
        for policy in arguments.policies.split(",")
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
