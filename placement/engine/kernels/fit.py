"""Whether a task fits on an instance, and booking it there: `allowed` and `reserve` in kernels."""

from __future__ import annotations

from stowplan.placement.cluster.cluster import LOG_ROWS
from stowplan.placement.engine.kernels.layout import UNLIMITED, Array, Kinds, State, kernel
from stowplan.placement.model import NEVER


@kernel
def fits(kinds: Kinds, state: State, kind: int, row: int) -> bool:
    """The same verdict as `Engine.allowed` for one instance."""
    if not state.allowed[kinds.mask[kind], row]:
        return False
    demand, columns, width = kinds.demand[kind], kinds.columns[kind], kinds.width[kind]
    return has_room(state.remaining, row, demand, columns, width) and not barred(
        kinds, state, kind, row
    )


@kernel
def has_room(remaining: Array, row: int, demand: Array, columns: Array, width: int) -> bool:
    """Whether an instance has as much left as is asked for."""
    for i in range(width):
        column = columns[i]
        if remaining[row, column] < demand[column]:
            return False
    return True


@kernel
def barred(kinds: Kinds, state: State, kind: int, row: int) -> bool:
    """Whether host ports or tasks of the group keep the kind off an instance."""
    most = kinds.most[kind]
    if most != UNLIMITED and state.counts[state.slots[kinds.group[kind]], row] >= most:
        return True
    return ports_taken(kinds, state, kind, row)


@kernel
def ports_taken(kinds: Kinds, state: State, kind: int, row: int) -> bool:
    """Whether a host port that the kind wants is in use or reserved there."""
    if kinds.wants_ports[kind]:
        for word in range(kinds.ports.shape[1]):
            taken = state.ports[row, word] | state.reserved_ports[row, word]
            if taken & kinds.ports[kind, word]:
                return True
    return False


@kernel
def exit_of(kinds: Kinds, state: State, kind: int) -> int:
    """`TaskKind.exit_ms`, now."""
    lasts = kinds.lasts[kind]
    return NEVER if lasts < 0 else state.now[0] + lasts


@kernel
def book(kinds: Kinds, state: State, kind: int, row: int) -> None:
    """The same effect as `Cluster.reserve`, but for its totals."""
    group = kinds.group[kind]
    for i in range(kinds.width[kind]):
        column = kinds.columns[kind, i]
        state.remaining[row, column] -= kinds.demand[kind, column]
    state.version[0] += 1
    state.changed_at[row] = state.version[0]
    state.log[state.version[0] % LOG_ROWS] = row
    state.last[0] = row
    state.tasks[row] += 1
    state.counts[state.slots[group], row] += 1
    if kinds.wants_ports[kind]:
        for word in range(kinds.ports.shape[1]):
            state.ports[row, word] |= kinds.ports[kind, word]
    state.expected_exit_ms[row] = max(state.expected_exit_ms[row], exit_of(kinds, state, kind))
    for attribute in range(state.codes.shape[0]):
        state.totals[attribute, state.slots[group], state.codes[attribute, row]] += 1
