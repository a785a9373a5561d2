"""The loop over a batch: choose, book, and move the instance in every ordered part."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from numpy.random import Generator

from stowplan.placement.cluster.cluster import LOG_ROWS
from stowplan.placement.engine.kernels.choose import candidates, choose_row, scan
from stowplan.placement.engine.kernels.explain import catch_up_by_log, log_failure
from stowplan.placement.engine.kernels.fit import book
from stowplan.placement.engine.kernels.layout import (
    NOT_HELD,
    SHIFT,
    Array,
    Blocks,
    Parts,
    State,
    blocks_of,
    entry,
    freed_of,
    fresh_of,
    kernel,
    kinds_of,
    parts_of,
    routine,
    state_of,
    why_of,
)
from stowplan.placement.engine.kernels.order import insert, remove, widen
from stowplan.placement.engine.kernels.scored import amount_of


@entry
def place(
    world: int,
    rng: Generator | None,
    tasks: Array,
    rows: Array,
    begin: int,
) -> int:
    """Place tasks[begin:] one by one; returns how far it came.

    It ends early at a kind that fits nowhere if `why` does not know the kind, or has no room to log
    its reasons. Mend that and call again.

    Args:
        world: of all groups but Fresh and Freed.
        tasks: (m,) int32, the kind of each task.
        rows: (m,) int64, filled in: instances, or -2 - the entry of the log for a failure.
    """
    kinds, state, parts = kinds_of(world), state_of(world), parts_of(world)
    blocks, why = blocks_of(world), why_of(world)
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
        move(state, parts, blocks, row, True)
    return tasks.shape[0]


@routine
def move(state: State, parts: Parts, blocks: Blocks, row: int, booked: bool) -> None:
    """Put an instance that has changed in its new place in every ordered part.

    `booked`: it has less left than it had, so that it bounds its blocks no more than it did.
    """
    for form in range(parts.choice.shape[0]):
        if not parts.ordered[form]:
            continue
        part, held, now = parts.part[form, row], parts.held[form, row], NOT_HELD
        if useful(state, parts, form, row):
            now = (amount_of(state, parts, form, part, row) << SHIFT) | row
        if now == held:
            if held != NOT_HELD and not booked:
                widen(state, blocks, part, held)
            continue
        if held != NOT_HELD:
            remove(blocks, part, held)
        if now != NOT_HELD:
            insert(state, blocks, part, now)
        parts.held[form, row] = now


@kernel
def useful(state: State, parts: Parts, form: int, row: int) -> bool:
    """Whether an instance has room for the least that any kind of the form asks for."""
    for column in range(parts.floor.shape[1]):
        if state.remaining[row, column] < parts.floor[form, column]:
            return False
    return True


@entry
def build(world: int, sorted_rows: Array) -> None:
    """Fill the ordered parts.

    Args:
        world: of State, Parts and Blocks.
        sorted_rows: (F * n,) like `parts.rows`, but each part about in its form's order.
    """
    state, parts, blocks = state_of(world), parts_of(world), blocks_of(world)
    for form in range(parts.choice.shape[0]):
        if not parts.ordered[form]:
            continue
        for part in range(parts.first[form], parts.first[form + 1]):
            for i in range(parts.start[part], parts.start[part + 1]):
                row = sorted_rows[i]
                if useful(state, parts, form, row):
                    held = (amount_of(state, parts, form, part, row) << SHIFT) | row
                    insert(state, blocks, part, held)
                    parts.held[form, row] = held


@entry
def next_row(
    world: int,
    rng: Generator | None,
    kind: int,
    since: int,
    version: int,
    freed: int,
    last: int,
    now_ms: int,
) -> int:
    """Place one task with an index that knows of nothing after version `since`; the row, -1 where
    none fits, or -2 where the log does not reach as far back.

    Args:
        world: of all groups but Why and Freed.
        version, freed, last: the cluster's `version`, `freed_version` and `last_reserved` now.
        now_ms: the time of the round.
    """
    if version - since > LOG_ROWS:
        return -2
    kinds, state, parts = kinds_of(world), state_of(world), parts_of(world)
    blocks, fresh = blocks_of(world), fresh_of(world)
    state.version[0], state.last[0], state.now[0] = version, last, now_ms
    for past in range(since + 1, version + 1):
        move(state, parts, blocks, state.log[past % LOG_ROWS], False)
    if fresh.freed[kind] != freed:
        fresh.freed[kind] = freed
        for own in range(fresh.dead.shape[1]):
            parts.dead[kind, own] = fresh.dead[kind, own]
            parts.at[kind, own] = fresh.at[kind, own]
            parts.level[kind, own] = 0
    row = choose_row(kinds, state, parts, blocks, rng, kind)
    if row >= 0:
        book(kinds, state, kind, row)
        move(state, parts, blocks, row, True)
    return row


@entry
def give_back(world: int, kind: int, row: int, since: int, version: int) -> None:
    """The same effect as `Cluster.release` of a kind of the index, but for the cluster's totals.

    Args:
        world: of all groups but Why and Freed.
        since: the version after which the index knows of nothing.
        version: of the cluster until now.
    """
    kinds, state = kinds_of(world), state_of(world)
    slot = state.slots[kinds.group[kind]]
    for i in range(kinds.width[kind]):
        column = kinds.columns[kind, i]
        state.remaining[row, column] += kinds.demand[kind, column]
    if kinds.wants_ports[kind]:
        for word in range(kinds.ports.shape[1]):
            state.ports[row, word] &= ~kinds.ports[kind, word]
    state.tasks[row] -= 1
    if state.tasks[row] == 0:
        state.expected_exit_ms[row] = 0
    state.counts[slot, row] -= 1
    for attribute in range(state.codes.shape[0]):
        state.totals[attribute, slot, state.codes[attribute, row]] -= 1
    if since == version:
        move(state, parts_of(world), blocks_of(world), row, False)
    state.changed_at[row] = version + 1
    state.log[(version + 1) % LOG_ROWS] = row


@entry
def say_why(world: int, kind: int, version: int) -> None:
    """Bring up to date why a kind fits nowhere. `world`: of Kinds, State and Why."""
    catch_up_by_log(kinds_of(world), state_of(world), why_of(world), kind, version)


@entry
def choose(world: int, rng: Generator | None) -> int:
    """The instance for one task of the only kind there is, or -1. `world`: of Kinds and State."""
    return scan(kinds_of(world), state_of(world), rng, 0)


@entry
def candidate_rows(world: int) -> int:
    """List the instances on which the only kind fits in `State.rows`; returns how many.

    `world`: of Kinds and State.
    """
    return candidates(kinds_of(world), state_of(world), 0)


@entry
def free(
    world: int,
    demand: Array,
    ports: Array,
    slot: int,
    rows: Array,
    version: int,
) -> None:
    """The same effect as `Cluster.release` of a kind without devices on each of `rows`, but for
    the cluster's totals.

    Args:
        world: of Freed.
        demand: (R,), ports: (W,), slot: what the kind gives back, and its group's row of `counts`.
        version: of the cluster until now.
    """
    state = freed_of(world)
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
