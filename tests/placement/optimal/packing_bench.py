"""Time the packing solver over generated sets: `python packing_bench.py INSTANCES [KIND ...]`.

Prints, for each kind, how many of the instances were proven optimal in 60 seconds of processor
time, and the median and longest time.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from packing_generators import KINDS

from placement.optimal.problem import Limits
from placement.optimal.solve import solve_packing


def bench(kind: str, instances: int) -> str:
    """One line of the table."""
    make, sizes = KINDS[kind]
    seconds, still_open = [], []
    for k in range(instances):
        n = sizes[k % len(sizes)]
        problem = make(np.random.default_rng([k, n]), n)
        result = solve_packing(problem, Limits(seconds=60, clock=time.process_time))
        seconds.append(result.seconds)
        if result.status != "optimal":
            still_open.append(f"{k}:{result.lower_bound}-{result.bins}")
    proven = instances - len(still_open)
    times = f"median {np.median(seconds):.3f} s, max {max(seconds):.2f} s"
    return f"{kind}: {proven} of {instances} proven, {times} {' '.join(still_open)}"


if __name__ == "__main__":
    for name in sys.argv[2:] or list(KINDS):
        print(bench(name, int(sys.argv[1])), flush=True)
