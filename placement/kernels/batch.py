"""The loop over a batch: choose, book, and move the instance in every ordered part."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from numpy.random import Generator

from placement.kernels.choose import candidates, choose_row, scan
from placement.kernels.explain import log_failure
from placement.kernels.fit import book, count_groups
from placement.kernels.layout import (
    SHIFT,
    Array,
    Blocks,
    Kinds,
    Parts,
    State,
    Why,
    entry,
    kernel,
)
from placement.kernels.order import insert, remove


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

    That is all of them, unless a kind fits nowhere of which `why` knows nothing yet, or whose
    reasons it has no room to log: then call again with that seen to.

    Args:
        tasks: (m,) int32, the kind of each task.
        rows: (m,) int64, filled in: instances, or -2 - the entry of the log for a failure.
    """
    if begin == 0:
        count_groups(state)
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
        for form in range(parts.choice.shape[0]):
            if parts.choice[form] >= 0:
                remove(blocks, parts.part[form, row], item(state, parts, form, row))
        book(kinds, state, kind, row)
        for form in range(parts.choice.shape[0]):
            if parts.choice[form] >= 0 and useful(state, parts, form, row):
                insert(state, blocks, parts.part[form, row], item(state, parts, form, row))
    return tasks.shape[0]


@kernel
def item(state: State, parts: Parts, form: int, row: int) -> int:
    """What an ordered part keeps of an instance."""
    return (state.remaining[row, parts.choice[form]] << SHIFT) | row


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
                    insert(state, blocks, part, item(state, parts, form, row))


@entry
def choose(kinds: Kinds, state: State, rng: Generator | None) -> int:
    """The instance for one task of the only kind there is, or -1."""
    count_groups(state)
    return scan(kinds, state, rng, 0)


@entry
def candidate_rows(kinds: Kinds, state: State) -> int:
    """List the instances on which the only kind fits in `state.rows`; returns how many."""
    return candidates(kinds, state, 0)
