"""What strategies of divisible devices think of an instance: their keys, number for number.

The readable forms are in `placement/strategies`: gpu_packing, gpu_clustering, openb, fragmentation
and stow_gpu. Here nothing is allocated, and what several kinds need of an instance is kept.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from math import exp

from stowplan.placement.engine.kernels.fit import fits
from stowplan.placement.engine.kernels.layout import (
    ALIGNED,
    CLUSTERING,
    FGD,
    FGD_STOW,
    LEFT,
    PACKING,
    STOW,
    Gpus,
    Kinds,
    State,
    kernel,
    routine,
)
from stowplan.placement.strategies.fgd_then_stow import FULL_TENTHS, WHOLE_LAST
from stowplan.placement.strategies.gpu_packing import WHOLE


@kernel
def enough_devices(gpus: Gpus, kind: int, row: int) -> bool:
    """`constraints.devices_free` for one instance."""
    wanted, found = gpus.devices[kind], 0
    if wanted == 0:
        return True
    for device in range(gpus.left.shape[1]):
        found += gpus.left[row, device] >= gpus.milli[kind]
    return found >= wanted


@routine
def take_fullest(gpus: Gpus, kind: int, row: int) -> None:
    """What is left `after` the task took the fullest devices that fit; those are `given`."""
    left, milli = gpus.left[row], gpus.milli[kind]
    for device in range(left.shape[0]):
        gpus.after[device], gpus.given[device] = left[device], 0
    for _ in range(gpus.devices[kind]):
        best = -1
        for device in range(left.shape[0]):
            free = left[device] >= milli and gpus.given[device] == 0
            if free and (best < 0 or left[device] < left[best]):
                best = device
        gpus.given[best] = 1
        gpus.after[best] -= milli


@routine
def packing_key(gpus: Gpus, kind: int, row: int) -> float:
    """Of `gpu_packing`."""
    if gpus.devices[kind] == 0:
        return 0.0
    free, have, picked_free, filled = 0, 0, 0, 0
    take_fullest(gpus, kind, row)
    for device in range(gpus.left.shape[1]):
        value = gpus.left[row, device]
        is_there = gpus.capacity[row, device] > 0
        have += is_there
        free += is_there and value == WHOLE
        if gpus.given[device]:
            picked_free += value == WHOLE
            filled += value * 100 // WHOLE
    if free == have:
        return -float(max(33 - free, free))
    if picked_free > 0:
        return -float(max(50 - picked_free, 33))
    return -float(max(100 - filled // 10, 50))


@routine
def clustering_key(kinds: Kinds, state: State, gpus: Gpus, kind: int, row: int) -> float:
    """Of `gpu_clustering`."""
    if gpus.devices[kind] == 0:
        return 0.0
    own = state.counts[state.slots[kinds.group[kind]], row]
    other = gpus.counted[row] - own
    left, most = gpus.left[row].sum(), gpus.most[2]
    base = 25 * (most - left) // most
    if own > 0:
        return -float(base + (50 if other > 0 else 75))
    return -float(base + (0 if other > 0 else 25))


@routine
def normalised_key(
    kinds: Kinds, state: State, gpus: Gpus, operation: int, kind: int, row: int
) -> float:
    """Of `openb_dot_product` and `openb_best_fit`."""
    column = gpus.cpu[0]
    cpu, task_cpu = state.remaining[row, column], kinds.demand[kind, column]
    gpu, task_gpu = gpus.left[row].sum(), gpus.devices[kind] * gpus.milli[kind]
    most_cpu, most_gpu = gpus.most[0], gpus.most[1]
    if operation == ALIGNED:
        product = cpu / most_cpu * (task_cpu / most_cpu)
        product = product + gpu / most_gpu * (task_gpu / most_gpu)
        return -float(int(100.0 * (1.0 - product / 2.0)))
    rest = 0.5 * ((cpu - task_cpu) / most_cpu)
    rest = rest + 0.5 * ((gpu - task_gpu) / most_gpu)
    return -float(int(100.0 * (1.0 - rest)))


@routine
def fragment(gpus: Gpus, cpu: int, row: int) -> float:
    """`fragmentation_kernels.fragment` of what is left `after`; the same floats in order."""
    after, total = gpus.after, 0
    for device in range(after.shape[0]):
        total += after[device]
    if total == 0:
        return 0.0
    for level in range(gpus.levels.shape[0]):
        milli, fitting, small = gpus.levels[level], 0, 0
        for device in range(after.shape[0]):
            value = after[device]
            fits = value >= milli
            fitting += fits
            small += 0 if fits else value
        gpus.fitting[level], gpus.small[level] = fitting, small
    q1 = q2 = q4 = xl = xr = na = 0.0
    for t in range(gpus.share.shape[0]):
        share, enough = gpus.share[t], cpu >= gpus.need[t]
        if gpus.many[t] == 0:
            if enough:
                xl += share * total
            else:
                xr += share * total
        elif not gpus.allowed[t, row]:
            na += share * total
        else:
            fits = gpus.fitting[gpus.level[t]] >= gpus.many[t]
            if enough:
                q2 += share * (gpus.small[gpus.level[t]] if fits else total)
            elif fits:
                q4 += share * total
            else:
                q1 += share * total
    return q1 + q2 + q4 + xl + xr + na


@routine
def stranded(gpus: Gpus, cpu: int, row: int) -> float:
    """`stow_kernels.stranded` of what is left `after`."""
    after, total = gpus.after, 0
    for device in range(after.shape[0]):
        total += after[device]
    if total == 0:
        return 0.0
    cpu = max(cpu, 0)
    lost, weights = 0, 0
    for t in range(gpus.weight.shape[0]):
        weights += gpus.weight[t]
        copies, milli, many = 0, gpus.stow_milli[t], gpus.stow_many[t]
        if gpus.stow_allowed[t, row]:
            for device in range(after.shape[0]):
                if after[device] >= milli:
                    copies += after[device] // milli if many == 1 else 1
            if many > 1:
                copies //= many
            if gpus.stow_need[t] > 0:
                copies = min(copies, cpu // gpus.stow_need[t])
        lost += gpus.weight[t] * (total - copies * many * milli)
    if gpus.per_gpu[0] > 0:
        lost += 2 * weights * max(total - cpu * 1000 // gpus.per_gpu[0], 0)
    return float(lost)


@kernel
def amount(gpus: Gpus, stow: bool, cpu: int, row: int) -> float:
    """What the strategy wants little of, of what is left `after`."""
    return stranded(gpus, cpu, row) if stow else fragment(gpus, cpu, row)


@kernel
def gain(before: float, last: float, stow: bool) -> float:
    """The score of a change."""
    if stow:
        return before - last
    return float(int(100.0 / (1.0 + exp(-(before - last) / 1000.0))))


@routine
def best_change(
    kinds: Kinds, state: State, gpus: Gpus, stow: bool, kind: int, row: int
) -> tuple[float, int]:
    """The score of FGD or STOW and the device that has it; -1 where the fullest are taken."""
    left, milli = gpus.left[row], gpus.milli[kind]
    cpu = state.remaining[row, gpus.cpu[0]]
    before = gpus.before[row]
    if gpus.before_at[row] != state.changed_at[row]:
        for device in range(left.shape[0]):
            gpus.after[device] = left[device]
        before = gpus.before[row] = amount(gpus, stow, cpu, row)
        gpus.before_at[row] = state.changed_at[row]
    rest = cpu - kinds.demand[kind, gpus.cpu[0]]
    if gpus.devices[kind] != 1:
        take_fullest(gpus, kind, row)
        return gain(before, amount(gpus, stow, rest, row), stow), -1
    for device in range(left.shape[0]):
        gpus.after[device] = left[device]
    best, chosen = 0.0, -1
    for device in range(left.shape[0]):
        value, known = left[device], left[device] < milli
        for earlier in range(device):
            known = known or left[earlier] == value
        if known:
            continue
        gpus.after[device] = value - milli
        score = gain(before, amount(gpus, stow, rest, row), stow)
        gpus.after[device] = value
        if chosen < 0 or score > best:
            best, chosen = score, device
    return best, chosen


@kernel
def stows(gpus: Gpus, operation: int) -> bool:
    """Whether an operation is STOW, or is so now."""
    return operation == STOW or (operation == FGD_STOW and gpus.turn[0] == 1)


@routine
def gpu_key(kinds: Kinds, state: State, gpus: Gpus, operation: int, kind: int, row: int) -> float:
    """What `keys` of a strategy of devices gives for an instance on which the kind fits."""
    if operation == PACKING:
        return packing_key(gpus, kind, row)
    if operation == CLUSTERING:
        return clustering_key(kinds, state, gpus, kind, row)
    if operation in (ALIGNED, LEFT):
        return normalised_key(kinds, state, gpus, operation, kind, row)
    stow = stows(gpus, operation)
    score, _ = best_change(kinds, state, gpus, stow, kind, row)
    if operation != FGD_STOW or not stow:
        return -score
    return -score + whole_last(gpus, kind, row)


@routine
def twin_of(kinds: Kinds, state: State, gpus: Gpus, kind: int, row: int, known: int) -> int:
    """An instance among the first `known` that were seen whose score must be the same; or -1.

    Before a batch most instances of a type are alike, and a score takes long.
    """
    cpu = state.remaining[row, gpus.cpu[0]]
    if not fits(kinds, state, kind, row):
        return -1
    for i in range(known):
        other = gpus.seen[i]
        same = gpus.label[other] == gpus.label[row]
        if not same or state.remaining[other, gpus.cpu[0]] != cpu:
            continue
        if not fits(kinds, state, kind, other):
            continue
        for device in range(gpus.left.shape[1]):
            same = same and gpus.left[other, device] == gpus.left[row, device]
        if same:
            return other
    return -1


@kernel
def whole_last(gpus: Gpus, kind: int, row: int) -> float:
    """What `fgd_then_stow` adds to the keys of instances that are free as a whole."""
    have, free = 0, True
    for device in range(gpus.left.shape[1]):
        have += gpus.capacity[row, device] > 0
        free = free and gpus.left[row, device] == gpus.capacity[row, device]
    if free and have == gpus.most[3] and gpus.devices[kind] < gpus.most[3]:
        return WHOLE_LAST
    return 0.0


@routine
def book_devices(kinds: Kinds, state: State, gpus: Gpus, kind: int, row: int) -> None:
    """Choose devices of an instance and book them; they are `given`. Before all else is booked."""
    chosen = -1
    if gpus.devices[kind] == 1 and gpus.chooser[kind] >= FGD:
        stow = stows(gpus, gpus.chooser[kind])
        _, chosen = best_change(kinds, state, gpus, stow, kind, row)
    if chosen < 0:
        take_fullest(gpus, kind, row)
    for device in range(gpus.left.shape[1]):
        given = gpus.given[device] if chosen < 0 else int(device == chosen)
        gpus.given[device] = given
        gpus.left[row, device] -= given * gpus.milli[kind]
    gpus.sums[0] += gpus.devices[kind] * gpus.milli[kind]
    gpus.counted[row] += gpus.counts[kind]


@kernel
def turns(gpus: Gpus) -> bool:
    """Whether FGD_STOW has just become STOW, so that all keys change."""
    if gpus.turn[0] == 0 and 10 * gpus.sums[0] >= FULL_TENTHS * gpus.sums[1]:
        gpus.turn[0] = 1
        gpus.before_at[:] = -1
        return True
    return False
