"""What no policy can beat on a trace, in machine-days."""

from __future__ import annotations

import numpy as np

from stowplan.experiments.studies.dvbp.trace import Floats, Ints, Trace

_ROUNDING = 1e-6  # shares: as published, so much over a whole number is none


def naive(trace: Trace) -> float:
    """The published bound: at each moment the larger dimension's total, rounded up."""
    days, load = loads(trace)
    totals = (load @ trace.sizes).max(axis=1)
    floor = np.floor(totals)
    needed = np.where(totals - floor < _ROUNDING, floor, np.ceil(totals))
    return float(days @ needed)


def loads(trace: Trace) -> tuple[Floats, Ints]:
    """(m,) how long each state lasts, in days; (m, types) how many VMs of each type there are."""
    times = np.concatenate((trace.start, trace.end))
    change = np.zeros((len(times), len(trace.sizes)), np.int64)
    n = len(trace.kind)
    change[np.arange(n), trace.kind] = 1
    change[n + np.arange(n), trace.kind] = -1
    moments, of = np.unique(times, return_inverse=True)
    steps = np.zeros((len(moments), len(trace.sizes)), np.int64)
    np.add.at(steps, of.reshape(-1), change)
    return np.diff(moments), np.cumsum(steps, axis=0)[:-1]
