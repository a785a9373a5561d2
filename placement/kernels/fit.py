"""Whether a task fits on an instance, and booking it there: the kernels' `allowed` and `reserve`."""

from __future__ import annotations

from placement.kernels.layout import UNLIMITED, Kinds, State, kernel


@kernel
def fits(kinds: Kinds, state: State, kind: int, row: int) -> bool:
    """The same verdict as `Engine.allowed` for one instance."""
    if not state.allowed[kinds.mask[kind], row]:
        return False
    for column in range(kinds.demand.shape[1]):
        if state.remaining[row, column] < kinds.demand[kind, column]:
            return False
    most = kinds.most[kind]
    if most != UNLIMITED and state.counts[state.slots[kinds.group[kind]], row] >= most:
        return False
    if kinds.wants_ports[kind]:
        for word in range(kinds.ports.shape[1]):
            taken = state.ports[row, word] | state.reserved_ports[row, word]
            if taken & kinds.ports[kind, word]:
                return False
    return True


@kernel
def book(kinds: Kinds, state: State, kind: int, row: int) -> None:
    """The same effect as `Cluster.reserve`, but for its totals, and the counts by attribute."""
    group = kinds.group[kind]
    for column in range(kinds.demand.shape[1]):
        state.remaining[row, column] -= kinds.demand[kind, column]
    state.version[0] += 1
    state.changed_at[row] = state.version[0]
    state.tasks[row] += 1
    state.counts[state.slots[group], row] += 1
    if kinds.wants_ports[kind]:
        for word in range(kinds.ports.shape[1]):
            state.ports[row, word] |= kinds.ports[kind, word]
    for attribute in range(state.codes.shape[0]):
        state.totals[attribute, group, state.codes[attribute, row]] += 1


@kernel
def count_groups(state: State) -> None:
    """Fill `totals` from the counts of the batch's groups."""
    for attribute in range(state.codes.shape[0]):
        codes = state.codes[attribute]
        for group in range(state.slots.shape[0]):
            counts = state.counts[state.slots[group]]
            totals = state.totals[attribute, group]
            for value in range(totals.shape[0]):
                totals[value] = 0
            for row in range(codes.shape[0]):
                totals[codes[row]] += counts[row]
