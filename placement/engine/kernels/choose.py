"""Which instance a task gets: by a form's parts where its chain has a form, else by a scan."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from math import frexp, inf

from numpy.random import Generator

from stowplan.placement.engine.kernels.fit import exit_of, fits
from stowplan.placement.engine.kernels.layout import (
    BINPACK,
    DRAWN,
    FEWEST,
    FOLLOWING,
    NEXT,
    NILAS,
    ON_INSTANCE,
    RANDOM,
    SCAN,
    SPREAD,
    TRIES,
    UNLIMITED,
    Array,
    Blocks,
    Kinds,
    Parts,
    State,
    kernel,
    routine,
)
from stowplan.placement.engine.kernels.order import fullest
from stowplan.placement.engine.kernels.scored import (
    best_scored,
    fewest_of,
    first_of,
    operation_of,
    score,
)
from stowplan.placement.strategies.nilas import SHORTEST_MS


@routine
def choose_row(
    kinds: Kinds, state: State, parts: Parts, blocks: Blocks, rng: Generator | None, kind: int
) -> int:
    """The instance for a task of `kind`, or -1 where none has room."""
    form = parts.form[kind]
    if form == SCAN:
        return scan(kinds, state, rng, kind)
    first = parts.first[form]
    while True:
        best, best_key = -1, 0.0
        tied = fewest_parts(kinds, state, parts, kind)
        for i in range(tied):
            own = parts.tied[i]
            row = best_of_part(kinds, state, parts, blocks, kind, first + own)
            if row < 0:
                parts.dead[kind, own] = True
                continue
            key = rank(kinds, state, parts, kind, row)
            if best < 0 or key < best_key or (key == best_key and row < best):
                best, best_key = row, key
        # Parts without room are dead from now on, and those with the next fewest are tried.
        if best >= 0 or tied == 0:
            break
    if rng is not None and best >= 0 and parts.choice[form] == DRAWN:
        best = draw_tied(kinds, state, parts, rng, kind, best)
    return best


@routine
def fewest_parts(kinds: Kinds, state: State, parts: Parts, kind: int) -> int:
    """List the parts that the spreads of the chain leave in `tied`; returns how many."""
    form, slot = parts.form[kind], state.slots[kinds.group[kind]]
    first, count = parts.first[form], 0
    for own in range(parts.first[form + 1] - first):
        parts.tied[count] = own
        count += not parts.dead[kind, own]
    for d in range(parts.depth[form]):
        totals = state.totals[parts.attribute[form, d], slot]
        fewest, kept = UNLIMITED, 0
        for own in parts.tied[:count]:
            total = totals[parts.value[first + own, d]]
            if total < fewest:
                fewest, kept = total, 0
            if total == fewest:
                parts.tied[kept] = own
                kept += 1
        count = kept
    return count


@routine
def best_of_part(
    kinds: Kinds, state: State, parts: Parts, blocks: Blocks, kind: int, part: int
) -> int:
    """The instance that the end of the chain wants, or -1."""
    form = parts.form[kind]
    choice = parts.choice[form]
    if choice >= 0:
        return fullest(kinds, state, blocks, kind, part, choice)
    if choice < FOLLOWING:
        return best_scored(kinds, state, parts, blocks, kind, part)
    if not parts.ordered[form]:
        return sweep(kinds, state, parts, kind, part, choice == FEWEST)
    if choice == FEWEST:
        return fewest_of(kinds, state, blocks, kind, part)
    return first_of(kinds, state, parts, blocks, kind, part)


@kernel
def rank(kinds: Kinds, state: State, parts: Parts, kind: int, row: int) -> float:
    """The key by which the best instances of parts that tie compare."""
    choice = parts.choice[parts.form[kind]]
    if choice >= 0:
        return float(state.remaining[row, choice])
    if choice == FEWEST:
        return float(state.counts[state.slots[kinds.group[kind]], row])
    if choice == FOLLOWING:
        return float(steps_to(state, row))
    if choice < FOLLOWING:
        argument = kinds.links[kind, kinds.length[kind] - 1, 1]
        return score(kinds, state, operation_of(choice), argument, kind, row)
    return 0.0


@kernel
def steps_to(state: State, row: int) -> int:
    """Instances from the one that was used last to `row`, going up and around."""
    size = state.rows.shape[0]
    return (row - max(state.last[0], 0) + size) % size


@routine
def sweep(kinds: Kinds, state: State, parts: Parts, kind: int, part: int, by_count: bool) -> int:
    """The first instance of a part that has room, of those with the fewest tasks of the group.

    Between two calls counts only rise and room only shrinks. So an instance that was passed over on
    a level stays passed over, and a level costs one walk, however many tasks it takes.
    """
    own = part - parts.first[parts.form[kind]]
    counts = state.counts[state.slots[kinds.group[kind]]]
    level, stop = parts.level[kind, own], parts.start[part + 1]
    for i in range(parts.at[kind, own], stop):
        row = parts.rows[i]
        if (not by_count or counts[row] == level) and fits(kinds, state, kind, row):
            parts.at[kind, own] = i
            return row
    best, fewest = -1, UNLIMITED
    if by_count:
        for i in range(parts.start[part], stop):
            row = parts.rows[i]
            if counts[row] < fewest and fits(kinds, state, kind, row):
                best, fewest = i, counts[row]
    if best < 0:
        return -1
    parts.at[kind, own], parts.level[kind, own] = best, fewest
    return parts.rows[best]


@routine
def draw_tied(
    kinds: Kinds, state: State, parts: Parts, rng: Generator, kind: int, sample: int
) -> int:
    """`random` among the instances that fit in parts whose counts equal those of `sample`'s."""
    size = state.rows.shape[0]
    for _ in range(TRIES):
        row = int(rng.random() * size)
        if ties(kinds, state, parts, kind, row, sample) and fits(kinds, state, kind, row):
            return row
    count = 0
    for row in range(size):
        if ties(kinds, state, parts, kind, row, sample) and fits(kinds, state, kind, row):
            state.rows[count] = row
            count += 1
    return state.rows[int(rng.random() * count)]


@kernel
def ties(kinds: Kinds, state: State, parts: Parts, kind: int, row: int, sample: int) -> bool:
    """Whether two instances are the same to all spreads of the chain."""
    form, slot = parts.form[kind], state.slots[kinds.group[kind]]
    for d in range(parts.depth[form]):
        attribute = parts.attribute[form, d]
        totals, codes = state.totals[attribute, slot], state.codes[attribute]
        if totals[codes[row]] != totals[codes[sample]]:
            return False
    return True


@routine
def scan(kinds: Kinds, state: State, rng: Generator | None, kind: int) -> int:
    """The reference, instance by instance, with no order to help."""
    links, length = kinds.links[kind], kinds.length[kind]
    randoms, whole = 0, True
    for link in range(length):
        randoms += links[link, 0] == RANDOM
        whole = whole and links[link, 0] <= RANDOM
    if randoms == 0 and whole:
        return least(kinds, state, kind)
    if rng is not None and links[0, 0] == RANDOM:  # each later link has one candidate to judge
        best = draw_any(kinds, state, rng, kind)
        for _ in range(randoms - 1 if best >= 0 else 0):
            draw(rng, state.rows, one_row(state, best), state.rows.shape[0])
        return best
    return narrow(kinds, state, rng, kind)


@routine
def least(kinds: Kinds, state: State, kind: int) -> int:
    """The first instance of the least keys on which the kind fits, or -1; no link is RANDOM.

    The keys of two links make one number, so that a single comparison passes over most instances.
    """
    keys, length = state.rows, kinds.length[kind]
    best, best_key = -1, UNLIMITED
    if length == 0:
        keys[:] = 0
    elif add_keys(kinds, state, kind, 0, 0) >> 31:
        return narrow(kinds, state, None, kind)
    if length > 1 and add_keys(kinds, state, kind, 1, 1 << 31) >> 31:
        return narrow(kinds, state, None, kind)
    for row in range(keys.shape[0]):
        key = keys[row]
        if key > best_key or (
            key == best_key and (length < 3 or not leads(kinds, state, kind, row, best))
        ):
            continue
        if fits(kinds, state, kind, row):
            best, best_key = row, key
    return best


@routine
def add_keys(kinds: Kinds, state: State, kind: int, link: int, factor: int) -> int:
    """`rows` = `rows` * factor + `key_of`, instance by instance; returns all keys or-ed."""
    keys, slot, bits = state.rows, state.slots[kinds.group[kind]], 0
    operation, argument = kinds.links[kind, link]
    if operation == BINPACK:
        for row in range(keys.shape[0]):
            keys[row] = keys[row] * factor + state.remaining[row, argument]
            bits |= state.remaining[row, argument]
    elif operation == ON_INSTANCE:
        counts = state.counts[slot]
        for row in range(keys.shape[0]):
            keys[row] = keys[row] * factor + counts[row]
            bits |= counts[row]
    else:
        codes, totals = state.codes[argument], state.totals[argument, slot]
        for row in range(keys.shape[0]):
            keys[row] = keys[row] * factor + totals[codes[row]]
        for total in totals:
            bits |= total
    return bits


@kernel
def leads(kinds: Kinds, state: State, kind: int, row: int, best: int) -> bool:
    """Whether `row` comes before `best` by the links after the first two."""
    for link in range(2, kinds.length[kind]):
        key, other = key_of(kinds, state, kind, link, row), key_of(kinds, state, kind, link, best)
        if key != other:
            return key < other
    return False


@kernel
def key_of(kinds: Kinds, state: State, kind: int, link: int, row: int) -> float:
    """What `Strategy.keys` gives for an instance; the link is not RANDOM."""
    slot = state.slots[kinds.group[kind]]
    operation, argument = kinds.links[kind, link, 0], kinds.links[kind, link, 1]
    if operation == BINPACK:
        return float(state.remaining[row, argument])
    if operation == ON_INSTANCE:
        return float(state.counts[slot, row])
    if operation == SPREAD:
        return float(state.totals[argument, slot, state.codes[argument, row]])
    if operation == NEXT:
        return float(steps_to(state, row))
    if operation == NILAS:
        return kept_on(kinds, state, kind, row)
    return score(kinds, state, operation, argument, kind, row)


@kernel
def kept_on(kinds: Kinds, state: State, kind: int, row: int) -> float:
    """The key of `nilas`."""
    exits = max(state.expected_exit_ms[row], state.now[0])
    steps = (max(exit_of(kinds, state, kind) - exits, 1) - 1) // SHORTEST_MS
    return float(frexp(float(steps))[1])  # of a whole number: how many bits it has


@routine
def draw_any(kinds: Kinds, state: State, rng: Generator, kind: int) -> int:
    """`random` among the instances on which the kind fits, or -1 without a draw."""
    size, row = state.rows.shape[0], 0
    while row < size and not fits(kinds, state, kind, row):
        row += 1
    if row == size:
        return -1
    for _ in range(TRIES):
        row = int(rng.random() * size)
        if fits(kinds, state, kind, row):
            return row
    count = candidates(kinds, state, kind)
    return state.rows[int(rng.random() * count)]


@routine
def narrow(kinds: Kinds, state: State, rng: Generator | None, kind: int) -> int:
    """List the instances on which the kind fits, then leave the best of them link by link."""
    links, rows = kinds.links[kind], state.rows
    count = candidates(kinds, state, kind)
    for link in range(kinds.length[kind] if count else 0):
        if links[link, 0] == RANDOM:
            if rng is not None:
                count = one_row(state, draw(rng, rows, count, rows.shape[0]))
            continue
        best, kept = inf, 0
        for i in range(count):
            row = rows[i]
            key = key_of(kinds, state, kind, link, row)
            if key < best:
                best, kept = key, 0
            if key == best:
                rows[kept] = row
                kept += 1
        count = kept
    return rows[0] if count else -1


@kernel
def one_row(state: State, row: int) -> int:
    """Make `row` all there is on the list; returns its length."""
    state.rows[0] = row
    return 1


@routine
def candidates(kinds: Kinds, state: State, kind: int) -> int:
    """List the instances on which the kind fits; returns how many."""
    rows, remaining, allowed = state.rows, state.remaining, state.allowed[kinds.mask[kind]]
    # In variables of their own: what is written to `rows` might be any of those arrays, for all
    # that the compiler knows, and it would read them again for every instance.
    demand, columns, width = kinds.demand[kind], kinds.columns[kind], kinds.width[kind]
    first, second = columns[0], columns[1]  # two at least: ECS's own resources are more
    wanted, also = demand[first], demand[second]
    closer = width > 2 or kinds.most[kind] != UNLIMITED or kinds.wants_ports[kind]
    count = 0
    for row in range(rows.shape[0]):
        # Without a branch that depends on the instance, which the processor would guess wrong.
        ok = allowed[row] & (remaining[row, first] >= wanted) & (remaining[row, second] >= also)
        rows[count] = row
        count += ok
        if closer and ok and not fits(kinds, state, kind, row):
            count -= 1
    return count


@routine
def draw(rng: Generator, rows: Array, count: int, size: int) -> int:
    """`random` among the first `count` of the ascending `rows`."""
    for _ in range(TRIES):
        row = int(rng.random() * size)
        low, high = 0, count
        while low < high:
            middle = (low + high) >> 1
            if rows[middle] < row:
                low = middle + 1
            else:
                high = middle
        if low < count and rows[low] == row:
            return row
    return rows[int(rng.random() * count)]
