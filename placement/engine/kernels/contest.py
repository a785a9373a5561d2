"""A tournament for each kind of task: the instance that leads is at the root of a tree.

For chains of which every key depends on nothing but the kind and the instance's own state: several
heuristics one after the other, strategies of devices, a user's own score. A booking changes one
instance, and so one path of a tree, which ends where another instance leads as it did. A tree
catches up with the log when its kind is asked for, so that it looks once at an instance that
changed several times.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from math import inf
from typing import Any

from stowplan.placement.cluster.cluster import LOG_ROWS
from stowplan.placement.engine.kernels.choose import key_of
from stowplan.placement.engine.kernels.fit import book, fits
from stowplan.placement.engine.kernels.gpus import (
    book_devices,
    enough_devices,
    gpu_key,
    turns,
    twin_of,
)
from stowplan.placement.engine.kernels.layout import (
    FGD,
    LEAF,
    OWN,
    Array,
    Contest,
    Gpus,
    Kinds,
    State,
    contest_of,
    entry,
    gpus_of,
    kernel,
    kinds_of,
    routine,
    state_of,
)

LARGEST = 1.7976931348623157e308  # of a key: an infinite one of a user's own is as large


@kernel
def enter(
    kinds: Kinds, state: State, contest: Contest, gpus: Gpus, own: Any, kind: int, row: int
) -> None:
    """Work out the keys of an instance."""
    if not fits(kinds, state, kind, row) or not enough_devices(gpus, kind, row):
        contest.keys[kind, 0, row] = inf
        return
    contest.keys[kind, 0, row] = 0.0
    for link in range(kinds.length[kind]):
        operation, key = kinds.links[kind, link, 0], 0.0
        if operation < OWN:
            key = key_of(kinds, state, kind, link, row)
        elif operation > OWN:
            key = gpu_key(kinds, state, gpus, operation, kind, row)
        elif own is not None:
            key = own(kinds.demand[kind], state.remaining[row], state.registered[row])
        contest.keys[kind, link, row] = min(key, LARGEST)


@kernel
def comes_first(kinds: Kinds, contest: Contest, kind: int, left: int, right: int) -> bool:
    """Whether no link after the first prefers the right one."""
    for link in range(1, kinds.length[kind]):
        one, other = contest.keys[kind, link, left], contest.keys[kind, link, right]
        if one != other:
            return one < other
    return True


@kernel
def settle(kinds: Kinds, contest: Contest, kind: int, block: int) -> int:
    """Which instance of a block leads; of equals the first."""
    keys, best, least = contest.keys[kind, 0], -1, inf
    for row in range(block * LEAF, block * LEAF + LEAF):
        key = keys[row]
        if key > least or key == inf:
            continue
        if key < least or not comes_first(kinds, contest, kind, best, row):
            best, least = row, key
    node = contest.tree.shape[1] // 2 + block
    contest.tree[kind, node], contest.lead[kind, node] = best, least
    return best


@kernel
def play(kinds: Kinds, contest: Contest, kind: int, node: int) -> int:
    """Have the leaders of two halves meet; returns which leads, of equals the one that is first."""
    tree, lead = contest.tree[kind], contest.lead[kind]
    left, right = tree[2 * node], tree[2 * node + 1]
    one, other = lead[2 * node], lead[2 * node + 1]
    first = one <= other
    if one == other:
        first = right < 0 or (left >= 0 and comes_first(kinds, contest, kind, left, right))
    tree[node], lead[node] = (left, one) if first else (right, other)
    return tree[node]


@routine
def rise(kinds: Kinds, contest: Contest, kind: int, row: int) -> None:
    """An instance has other keys: what leads above it."""
    tree, block = contest.tree[kind], row // LEAF
    node = tree.shape[0] // 2 + block
    before = tree[node]
    now = settle(kinds, contest, kind, block)
    while node > 1 and (now != before or now == row):
        node >>= 1
        before = tree[node]
        now = play(kinds, contest, kind, node)


@routine
def build(kinds: Kinds, state: State, contest: Contest, gpus: Gpus, own: Any, kind: int) -> None:
    """Make the tree of a kind anew."""
    keys, width = contest.keys[kind, 0], contest.tree.shape[1] // 2
    repeats = kinds.length[kind] == 1 and kinds.links[kind, 0, 0] >= FGD
    known = 0
    for row in range(state.rows.shape[0]):
        if repeats:
            twin = twin_of(kinds, state, gpus, kind, row, known)
            if twin >= 0:
                keys[row] = keys[twin]
                continue
            if known < gpus.seen.shape[0]:
                gpus.seen[known] = row
                known += 1
        enter(kinds, state, contest, gpus, own, kind, row)
    for block in range(width):
        settle(kinds, contest, kind, block)
    for node in range(width - 1, 0, -1):
        play(kinds, contest, kind, node)


@routine
def catch_up(kinds: Kinds, state: State, contest: Contest, gpus: Gpus, own: Any, kind: int) -> None:
    """Make the tree of a kind hold for the state as it is."""
    size, version, since = state.rows.shape[0], state.version[0], contest.synced[kind]
    contest.synced[kind] = version
    if since < 0 or version - since > min(LOG_ROWS, size // 4 + 1):
        build(kinds, state, contest, gpus, own, kind)
        return
    for past in range(since + 1, version + 1):
        row = state.log[past % LOG_ROWS]
        if state.changed_at[row] == past:  # else it changed again
            enter(kinds, state, contest, gpus, own, kind, row)
            rise(kinds, contest, kind, row)


@entry
def contend(world: int, own: Any, tasks: Array, rows: Array, given: Array, begin: int) -> int:
    """Place tasks[begin:] one by one; returns where it stopped: at one that fits nowhere, or m.

    Args:
        world: of Kinds, State, Contest and Gpus.
        own: the user's score, compiled, or None.
        tasks: (m,) int32, the kind of each; rows: (m,) int64, filled in.
        given: (m, D) int8, filled in: 1 for each device that a task gets; or of no rows.
    """
    kinds, state = kinds_of(world), state_of(world)
    contest, gpus = contest_of(world), gpus_of(world)
    for position in range(begin, tasks.shape[0]):
        kind = tasks[position]
        catch_up(kinds, state, contest, gpus, own, kind)
        row = contest.tree[kind, 1]
        if row < 0:
            return position
        rows[position] = row
        if gpus.left.shape[1]:
            book_devices(kinds, state, gpus, kind, row)
            if gpus.devices[kind]:
                for device in range(given.shape[1]):
                    given[position, device] = gpus.given[device]
        book(kinds, state, kind, row)
        if turns(gpus):
            contest.synced[:] = -1
    return tasks.shape[0]
