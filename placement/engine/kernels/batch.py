"""The loop over a batch: choose, book, and move the instance in every ordered part."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from numpy.random import Generator

from stowplan.placement.cluster.cluster import LOG_ROWS
from stowplan.placement.engine.kernels.choose import candidates, choose_row, scan
from stowplan.placement.engine.kernels.explain import log_failure
from stowplan.placement.engine.kernels.fit import book
from stowplan.placement.engine.kernels.layout import (
    NOT_HELD,
    SHIFT,
    Array,
    Blocks,
    Freed,
    Fresh,
    Kinds,
    Parts,
    State,
    Why,
    entry,
    kernel,
)
from stowplan.placement.engine.kernels.order import insert, remove


@entry
def place(
    kinds: Kinds,
    state: State,
    parts: Parts,
    blocks: Blocks,
    why: Why,
    rng: Generator | None,
    tasks: Array,
    rows: Array,
    begin: int,
) -> int:
    """Place tasks[begin:] one by one; returns how far it came.

    It ends early at a kind that fits nowhere if `why` does not know the kind, or has no room to log
    its reasons. Mend that and call again.

    Args:
        tasks: (m,) int32, the kind of each task.
        rows: (m,) int64, filled in: instances, or -2 - the entry of the log for a failure.
    """
    for position in range(begin, tasks.shape[0]):
        kind = tasks[position]
        if why.slot[kind] >= 0:  # it did not fit before, so it does not now
            if log_failure(kinds, state, why, kind, rows, position):
                continue
            return position
        row = choose_row(kinds, state, parts, blocks, rng, kind)
        if row < 0:
            return position
        rows[position] = row
        book(kinds, state, kind, row)
        move(state, parts, blocks, row)
    return tasks.shape[0]


@kernel
def move(state: State, parts: Parts, blocks: Blocks, row: int) -> None:
    """Put an instance that has changed in its new place in every ordered part."""
    for form in range(parts.choice.shape[0]):
        if parts.choice[form] < 0:
            continue
        part, held = parts.part[form, row], parts.held[form, row]
        if held != NOT_HELD:
            remove(blocks, part, held)
        held = NOT_HELD
        if useful(state, parts, form, row):
            held = (state.remaining[row, parts.choice[form]] << SHIFT) | row
            insert(state, blocks, part, held)
        parts.held[form, row] = held


@kernel
def useful(state: State, parts: Parts, form: int, row: int) -> bool:
    """Whether an instance has room for the least that any kind of the form asks for."""
    for column in range(parts.floor.shape[1]):
        if state.remaining[row, column] < parts.floor[form, column]:
            return False
    return True


@entry
def build(state: State, parts: Parts, blocks: Blocks, sorted_rows: Array) -> None:
    """Fill the ordered parts.

    Args:
        sorted_rows: (F * n,) like `parts.rows`, but each part ascending by its form's resource.
    """
    for form in range(parts.choice.shape[0]):
        if parts.choice[form] < 0:
            continue
        for part in range(parts.first[form], parts.first[form + 1]):
            for i in range(parts.start[part], parts.start[part + 1]):
                row = sorted_rows[i]
                if useful(state, parts, form, row):
                    held = (state.remaining[row, parts.choice[form]] << SHIFT) | row
                    insert(state, blocks, part, held)
                    parts.held[form, row] = held


@entry
def next_row(
    kinds: Kinds,
    state: State,
    parts: Parts,
    blocks: Blocks,
    fresh: Fresh,
    rng: Generator | None,
    kind: int,
    since: int,
    freed: int,
) -> int:
    """Place one task with an index that knows of nothing after version `since`; the row, or -1.

    Args:
        freed: the cluster's `freed_version` now.
    """
    for version in range(since + 1, state.version[0] + 1):
        move(state, parts, blocks, state.log[version % LOG_ROWS])
    if fresh.freed[kind] != freed:
        fresh.freed[kind] = freed
        for own in range(fresh.dead.shape[1]):
            parts.dead[kind, own] = fresh.dead[kind, own]
            parts.at[kind, own] = fresh.at[kind, own]
            parts.level[kind, own] = 0
    row = choose_row(kinds, state, parts, blocks, rng, kind)
    if row >= 0:
        book(kinds, state, kind, row)
        move(state, parts, blocks, row)
    return row


@entry
def choose(kinds: Kinds, state: State, rng: Generator | None) -> int:
    """The instance for one task of the only kind there is, or -1."""
    return scan(kinds, state, rng, 0)


@entry
def candidate_rows(kinds: Kinds, state: State) -> int:
    """List the instances on which the only kind fits in `state.rows`; returns how many."""
    return candidates(kinds, state, 0)


@entry
def free(
    state: Freed,
    demand: Array,
    ports: Array,
    slot: int,
    rows: Array,
    version: int,
) -> None:
    """The same effect as `Cluster.release` of a kind without devices on each of `rows`, but for
    the cluster's totals.

    Args:
        demand: (R,), ports: (W,), slot: what the kind gives back, and its group's row of `counts`.
        version: of the cluster until now.
    """
    for row in rows:
        version += 1
        for column in range(demand.shape[0]):
            state.remaining[row, column] += demand[column]
        for word in range(ports.shape[0]):
            state.ports[row, word] &= ~ports[word]
        state.tasks[row] -= 1
        if state.tasks[row] == 0:
            state.expected_exit_ms[row] = 0
        state.counts[slot, row] -= 1
        for attribute in range(state.codes.shape[0]):
            state.totals[attribute, slot, state.codes[attribute, row]] -= 1
        state.changed_at[row] = version
        state.log[version % LOG_ROWS] = row
