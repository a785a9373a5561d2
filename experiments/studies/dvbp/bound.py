"""What no policy can beat on a trace, in machine-days.

At each moment the VMs need at least so many servers as a packing of them, moved freely, would; the
time integral of a bound on that is one of machine-days. `naive` is the published one. `by_moments`
is at least that: a mixture of core and memory is a size on servers of 1, and dual feasible
functions round such sizes up (Fekete and Schepers, 2001). `packed` is how many servers first fit
decreasing needs: no bound that looks at moments one by one is above its time integral.
"""

from __future__ import annotations

import numpy as np

from stowplan.experiments.studies.dvbp.trace import Floats, Ints, Trace

MIXTURES, FUNCTIONS = 11, 40
_EXACT = 1e-9
_ROUNDING = 1e-6  # shares: as published, so much over a whole number is none


def naive(trace: Trace) -> float:
    """The published bound: at each moment the larger dimension's total, rounded up."""
    days, load = loads(trace)
    return float(days @ _whole_servers((load @ trace.sizes).max(axis=1)))


def by_moments(trace: Trace) -> float:
    """The time integral of the best per-moment bound by mixtures and dual feasible functions."""
    days, load = loads(trace)
    return float(days @ needed(load, trace.sizes))


def needed(load: Ints, sizes: Floats) -> Floats:
    """(m,) so many servers at least that `load`, (m, types) VMs of each type, need."""
    most: Floats = _whole_servers((load @ sizes).max(axis=1))
    for share in np.linspace(0, 1, MIXTURES):
        mixed = share * sizes[:, 0] + (1 - share) * sizes[:, 1]
        for k in range(1, FUNCTIONS + 1):
            most = np.maximum(most, _whole_servers(load @ rounded(mixed, k)))
    return most


def rounded(sizes: Floats, k: int) -> Floats:
    """Sizes, of which sets that fit into 1 still do: x, where (k + 1) x is whole, or the part of 1
    that floor((k + 1) x) is of k."""
    times = (k + 1) * sizes
    whole = np.abs(times - np.rint(times)) < _EXACT
    return np.where(whole, sizes, np.floor(times + _EXACT) / k)


def packed(load: Ints, sizes: Floats) -> Ints:
    """(m,) so many servers first fit decreasing needs for each row of `load`: enough, not least."""
    order = np.argsort(-sizes.max(axis=1), kind="stable")
    used = []
    for counts in load:
        spare = np.ones((0, sizes.shape[1]))
        for kind in order.tolist():
            left, size = int(counts[kind]), sizes[kind]
            asked = size > 0
            room = np.floor((spare[:, asked] + _EXACT) / size[asked]).min(axis=1).astype(np.int64)
            put = np.diff(np.minimum(np.cumsum(room), left), prepend=0)
            spare = spare - put[:, None] * size
            left -= int(put.sum())
            each = int(np.floor((1 + _EXACT) / size[asked]).min())
            new = np.full(-(-left // each), each)
            new[-1:] -= len(new) * each - left
            spare = np.vstack((spare, 1 - new[:, None] * size))
        used.append(len(spare))
    return np.array(used)


def _whole_servers(totals: Floats) -> Floats:
    floor = np.floor(totals)
    return np.where(totals - floor < _ROUNDING, floor, np.ceil(totals))


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
