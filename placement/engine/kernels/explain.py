"""Why tasks fit nowhere, kept up to date: a failure looks at changed instances only.

Between two failures of a kind only the instances that got a task can reject it at another step.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from stowplan.placement.cluster.cluster import LOG_ROWS
from stowplan.placement.engine.kernels.fit import ports_taken
from stowplan.placement.engine.kernels.layout import (
    ABSENT,
    RESOURCE_STEP,
    UNLIMITED,
    Array,
    Kinds,
    State,
    Why,
    kernel,
    routine,
)
from stowplan.placement.model import PORTS, RESOURCES

PORTS_COLUMN = RESOURCES.index(PORTS)


@routine
def log_failure(
    kinds: Kinds, state: State, why: Why, kind: int, rows: Array, position: int
) -> bool:
    """Note in `rows` which entry of the log says why; False where the log has no room for it."""
    slot, version = why.slot[kind], state.version[0]
    if why.version[slot] != version:
        if why.logged[0] == why.log.shape[0]:
            return False
        catch_up(kinds, state, why, kind, rows, position)
        why.version[slot], why.entry[slot] = version, why.logged[0]
        for step in range(why.counts.shape[1]):
            why.log[why.logged[0], step] = why.counts[slot, step]
        why.log_slot[why.logged[0]] = slot
        why.logged[0] += 1
    rows[position] = -2 - why.entry[slot]
    return True


@routine
def catch_up(kinds: Kinds, state: State, why: Why, kind: int, rows: Array, position: int) -> None:
    """Look again at the instances that got a task since, or at all where that is less work."""
    slot, size = why.slot[kind], why.early.shape[0]
    if why.seen[slot] < 0 or position - why.seen[slot] > size:
        for row in range(size):
            look_again(kinds, state, why, kind, row)
    else:
        for i in range(why.seen[slot], position):
            if rows[i] >= 0:
                look_again(kinds, state, why, kind, rows[i])
    why.seen[slot] = position


@routine
def catch_up_by_log(kinds: Kinds, state: State, why: Why, kind: int, version: int) -> None:
    """The same for a standing index: `seen` is a version, and the log tells what changed since."""
    slot, size = why.slot[kind], why.early.shape[0]
    since = why.seen[slot]
    if since < 0 or version - since > min(size, LOG_ROWS):
        for row in range(size):
            look_again(kinds, state, why, kind, row)
    else:
        for past in range(since + 1, version + 1):
            look_again(kinds, state, why, kind, state.log[past % LOG_ROWS])
    why.seen[slot] = version


@routine
def look_again(kinds: Kinds, state: State, why: Why, kind: int, row: int) -> None:
    """Count an instance under the step that rejects it now."""
    if why.early[row] == ABSENT:
        return
    slot = why.slot[kind]
    step = why.early[row]
    if step == RESOURCE_STEP:
        step += first_shortage(kinds, state, kind, row)
        if step == RESOURCE_STEP + kinds.demand.shape[1]:
            step += late_step(kinds, state, why, kind, row)
    if why.step[slot, row] >= 0:
        why.counts[slot, why.step[slot, row]] -= 1
    why.step[slot, row] = step
    why.counts[slot, step] += 1


@kernel
def first_shortage(kinds: Kinds, state: State, kind: int, row: int) -> int:
    """The first resource of which too little is left, host ports with their number."""
    for column in range(kinds.demand.shape[1]):
        if state.remaining[row, column] < kinds.demand[kind, column]:
            return column
        if column == PORTS_COLUMN and ports_taken(kinds, state, kind, row):
            return column
    return kinds.demand.shape[1]


@kernel
def late_step(kinds: Kinds, state: State, why: Why, kind: int, row: int) -> int:
    """The first attribute or constraint that is not met."""
    slot, first = why.slot[kind], why.late[why.slot[kind], row]
    count = state.counts[state.slots[kinds.group[kind]], row]
    for i in range(why.limit.shape[1]):
        if why.limit[slot, i] != UNLIMITED and count >= why.limit[slot, i]:
            first = min(first, why.limit_step[slot, i])
    return first
