"""`stow_gpu.stranded` in machine code, and the scores made of it; in whole numbers throughout.

Imported only where it is used: compiling takes seconds, once per machine.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stowplan.placement.strategies.fragmentation_kernels import take_fullest

_LOWEST = np.iinfo(np.int64).min


@njit(cache=True)
def stranded(cpu, left, row, weight, need, milli, devices, allowed, per_gpu):  # type: ignore[no-untyped-def]
    """Weighted thousandths of a GPU of one instance that are expected to be lost.

    Args:
        cpu: CPU left; left: (devices,) thousandths left; row: the column of `allowed` to read.
        weight, need, milli, devices, allowed, per_gpu: the fields of `stow_gpu.Expected`.
    """
    total = left.sum()
    if total == 0:
        return 0
    cpu = max(cpu, 0)
    lost, weights = 0, 0
    for t in range(len(weight)):
        weights += weight[t]
        copies = 0
        if allowed[t, row]:
            for value in left:
                if value >= milli[t]:
                    copies += value // milli[t] if devices[t] == 1 else 1
            if devices[t] > 1:
                copies //= devices[t]
            if need[t] > 0:
                copies = min(copies, cpu // need[t])
        lost += weight[t] * (total - copies * devices[t] * milli[t])
    if per_gpu > 0:
        lost += 2 * weights * max(total - cpu * 1000 // per_gpu, 0)
    return lost


@njit(cache=True)
def stow_row(  # type: ignore[no-untyped-def]
    cpu, left, row, task_cpu, count, wanted, weight, need, milli, devices, allowed, per_gpu
):
    """(score, device) of one instance on which the task fits.

    A task of one device tries each that has room, and the first of the best is `device`; others
    take the fullest that fit and have device -1.
    """
    before = stranded(cpu, left, row, weight, need, milli, devices, allowed, per_gpu)
    rest = cpu - task_cpu
    if count != 1:
        after = take_fullest(left, count, wanted)
        last = stranded(rest, after, row, weight, need, milli, devices, allowed, per_gpu)
        return before - last, -1
    best, chosen = _LOWEST, -1
    after = left.copy()
    for device in range(len(left)):
        value = left[device]
        # A device with as much left as an earlier one changes the instance in the same way.
        if value < wanted or (left[:device] == value).any():
            continue
        after[device] = value - wanted
        last = stranded(rest, after, row, weight, need, milli, devices, allowed, per_gpu)
        after[device] = value
        if before - last > best:
            best, chosen = before - last, device
    return best, chosen


@njit(cache=True)
def stow_scores(  # type: ignore[no-untyped-def]
    cpu, left, rows, task_cpu, count, wanted, weight, need, milli, devices, allowed, per_gpu
):
    """(n,) score of each of `rows`, all of which have room for the task."""
    out = np.zeros(len(rows), np.int64)
    for index in range(len(rows)):
        row = rows[index]
        out[index], _ = stow_row(
            cpu[row],
            left[row],
            row,
            task_cpu,
            count,
            wanted,
            weight,
            need,
            milli,
            devices,
            allowed,
            per_gpu,
        )
    return out
