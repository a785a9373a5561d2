"""`fragmentation.py` in machine code, a row at a time; the same floats, added in the same order.

Imported only where it is used: compiling takes seconds, once per machine.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True)
def fragment(cpu, left, row, share, need, milli, devices, allowed):  # type: ignore[no-untyped-def]
    """Thousandths of a GPU of one instance that are expected to be of no use.

    Args:
        cpu: CPU left; left: (devices,) thousandths left; row: the column of `allowed` to read.
        share, need, milli, devices, allowed: the fields of `fragmentation.Typical`.
    """
    total = left.sum()
    if total == 0:
        return 0.0
    q1 = q2 = q4 = xl = xr = na = 0.0
    for t in range(len(share)):
        if devices[t] == 0:
            if cpu >= need[t]:
                xl += share[t] * total
            else:
                xr += share[t] * total
        elif not allowed[t, row]:
            na += share[t] * total
        else:
            fitting, small = 0, 0
            for value in left:
                if value >= milli[t]:
                    fitting += 1
                else:
                    small += value
            if fitting >= devices[t]:
                if cpu >= need[t]:
                    q2 += share[t] * small
                else:
                    q4 += share[t] * total
            elif cpu >= need[t]:
                q2 += share[t] * total
            else:
                q1 += share[t] * total
    return q1 + q2 + q4 + xl + xr + na


@njit(cache=True)
def fragments(cpu, left, rows, share, need, milli, devices, allowed):  # type: ignore[no-untyped-def]
    """(n,) `fragment` of each of `rows`."""
    out = np.zeros(len(rows))
    for index in range(len(rows)):
        row = rows[index]
        out[index] = fragment(cpu[row], left[row], row, share, need, milli, devices, allowed)
    return out


@njit(cache=True)
def descent_score(gain):  # type: ignore[no-untyped-def]
    """Whole number 0..100 of a drop in fragments by `gain` thousandths; 50 for none."""
    return int(100.0 / (1.0 + math.exp(-gain / 1000.0)))


@njit(cache=True)
def take_fullest(left, count, wanted):  # type: ignore[no-untyped-def]
    """A copy of `left` after `count` devices gave `wanted`: of those with room the fullest."""
    after = left.copy()
    taken = np.zeros(len(left), np.bool_)
    for _ in range(count):
        best = -1
        for device in range(len(left)):
            free = left[device] >= wanted and not taken[device]
            if free and (best < 0 or left[device] < left[best]):
                best = device
        taken[best] = True
        after[best] -= wanted
    return after


@njit(cache=True)
def descent_row(  # type: ignore[no-untyped-def]
    cpu, left, row, task_cpu, count, wanted, share, need, milli, devices, allowed
):
    """(score, device) of one instance on which the task fits.

    A task of one device tries each that has room, and the first of the best is `device`; others
    take the fullest that fit and have device -1.
    """
    before = fragment(cpu, left, row, share, need, milli, devices, allowed)
    cpu_after = cpu - task_cpu
    if count != 1:
        after = take_fullest(left, count, wanted)
        last = fragment(cpu_after, after, row, share, need, milli, devices, allowed)
        return descent_score(before - last), -1
    best, chosen = -1, -1
    after = left.copy()
    for device in range(len(left)):
        value = left[device]
        # A device with as much left as an earlier one changes the instance in the same way.
        if value < wanted or (left[:device] == value).any():
            continue
        after[device] = value - wanted
        last = fragment(cpu_after, after, row, share, need, milli, devices, allowed)
        after[device] = value
        score = descent_score(before - last)
        if score > best:
            best, chosen = score, device
    return best, chosen


@njit(cache=True)
def descent_scores(  # type: ignore[no-untyped-def]
    cpu, left, rows, task_cpu, count, wanted, share, need, milli, devices, allowed
):
    """(n,) score of each of `rows`, all of which have room for the task."""
    out = np.zeros(len(rows), np.int64)
    for index in range(len(rows)):
        row = rows[index]
        out[index], _ = descent_row(
            cpu[row], left[row], row, task_cpu, count, wanted, share, need, milli, devices, allowed
        )
    return out
