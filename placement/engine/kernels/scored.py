"""Heuristics over several resources: exact keys, and the best instance of an ordered part.

An ordered part sorts its instances by a sum of shares of what they have left. By that sum a key is
bounded from below, so that a search reads the few instances that could still have the least key.
Those it compares by the key itself, computed as the strategy does, operation by operation.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from math import inf, sqrt

import numpy as np

from stowplan.placement.engine.kernels.fit import fits
from stowplan.placement.engine.kernels.layout import (
    ALL,
    BEST,
    DOT,
    FOLLOWING,
    LEAST_NORM,
    LEAST_SUM,
    LOWEST,
    MOST_ALIGNED,
    MOST_SUM,
    NORM,
    QUANT,
    ROW,
    SHIFT,
    SUM_MOST,
    UNLIMITED,
    WORST,
    Blocks,
    Kinds,
    Parts,
    State,
    kernel,
    routine,
)
from stowplan.placement.engine.kernels.order import block_at, index_in, offers, refresh

NEAR = 2  # amounts that differ by so much may stand for equal sums
EXACT = 1e-9  # relative, far above what rounding can make of a bound


@routine
def score(kinds: Kinds, state: State, operation: int, argument: int, kind: int, row: int) -> float:
    """What `keys` of best_fit, worst_fit, norm_greedy or dot_product gives for an instance."""
    total = 0.0
    for i in range(kinds.width[kind] if argument == ALL else 1):
        column = kinds.columns[kind, i]
        if argument != ALL:
            column = np.uint64(argument)
        demand, left = float(kinds.demand[kind, column]), float(state.remaining[row, column])
        if operation == DOT:
            capacity = max(float(state.registered[row, column]), 1.0)
            total += demand / capacity * (left / capacity)
        else:
            share = (left - demand) / state.largest[column]
            total += share * share if operation == NORM else share
    return -total if operation in (WORST, DOT) else total


@kernel
def operation_of(choice: int) -> int:
    """The strategy by which a form chooses."""
    if choice == LEAST_SUM:
        return BEST
    if choice == MOST_SUM:
        return WORST
    return NORM if choice == LEAST_NORM else DOT


@routine
def amount_of(state: State, parts: Parts, form: int, part: int, row: int) -> int:
    """By what an ordered part sorts an instance: 0 where the order of rows is all there is."""
    choice = parts.choice[form]
    if choice >= 0:
        return state.remaining[row, choice]
    if choice >= FOLLOWING:
        return 0
    total = 0.0
    for column in range(parts.weight.shape[1]):
        total += state.remaining[row, column] * parts.weight[part, column]
    amount = min(int(total * QUANT), SUM_MOST)
    return amount if choice in (LEAST_SUM, LEAST_NORM) else SUM_MOST - amount


@kernel
def wanted_sum(kinds: Kinds, parts: Parts, kind: int, part: int) -> float:
    """The sum of shares that a kind asks for."""
    total = 0.0
    for column in range(parts.weight.shape[1]):
        total += kinds.demand[kind, column] * parts.weight[part, column]
    return total


@kernel
def last_amount(
    kinds: Kinds, state: State, parts: Parts, kind: int, part: int, row: int, key: float
) -> int:
    """No instance sorted by more can have a key as small as that of `row`."""
    form = parts.form[kind]
    choice = parts.choice[form]
    if choice == LEAST_NORM:  # a sum of n shares is at most sqrt(n) times their norm
        farthest = sqrt(kinds.width[kind] * key) * (1 + EXACT)
        bound = (wanted_sum(kinds, parts, kind, part) + farthest) * QUANT
        return int(min(bound, float(SUM_MOST))) + NEAR
    if choice == MOST_ALIGNED:  # at most the largest share asked for times the sum of those left
        most = 0.0
        for column in range(parts.weight.shape[1]):
            most = max(most, kinds.demand[kind, column] * parts.weight[part, column])
        needed = -key / most * (1 - EXACT) if most > 0 else 0.0
        return SUM_MOST - int(min(needed * QUANT, float(SUM_MOST))) + NEAR
    return amount_of(state, parts, form, part, row) + NEAR


@routine
def cannot_lead(
    kinds: Kinds,
    state: State,
    blocks: Blocks,
    operation: int,
    argument: int,
    kind: int,
    block: int,
    best: int,
    best_key: float,
) -> bool:
    """Whether no instance of a block comes before `best`, where more left makes a key smaller.

    Rounding keeps order, so a key made of the most that is left in the block bounds its keys.
    """
    total, sample = 0.0, blocks.items[block, 0] & ROW
    for i in range(kinds.width[kind] if argument == ALL else 1):
        column = kinds.columns[kind, i]
        if argument != ALL:
            column = np.uint64(argument)
        demand, left = float(kinds.demand[kind, column]), float(blocks.top[block, column])
        if operation == DOT:
            capacity = max(float(state.registered[sample, column]), 1.0)
            total += demand / capacity * (left / capacity)
        else:
            total += (left - demand) / state.largest[column]
    if -total != best_key:
        return -total > best_key
    lowest = sample
    for i in range(1, blocks.length[block]):
        lowest = min(lowest, blocks.items[block, i] & ROW)
    return lowest > best


@routine
def best_scored(
    kinds: Kinds, state: State, parts: Parts, blocks: Blocks, kind: int, part: int
) -> int:
    """The instance of an ordered part with the least key, the first of those that tie; or -1."""
    form, base = parts.form[kind], blocks.base[part]
    choice = parts.choice[form]
    operation, argument = operation_of(choice), kinds.links[kind, kinds.length[kind] - 1, 1]
    least, last, best, best_key = 0, UNLIMITED, -1, inf
    bounded = operation in (WORST, DOT)
    if choice in (LEAST_SUM, LEAST_NORM):
        wanted = int(wanted_sum(kinds, parts, kind, part) * QUANT) - NEAR
        least = max(min(wanted, SUM_MOST - NEAR), 0) << SHIFT
    for position in range(block_at(blocks, part, least), blocks.used[part]):
        block = blocks.order[base + position]
        if blocks.items[block, 0] > last:
            break
        if not offers(kinds, blocks, kind, block):
            continue
        if (
            bounded
            and best >= 0
            and cannot_lead(kinds, state, blocks, operation, argument, kind, block, best, best_key)
        ):
            continue
        found = False
        for i in range(index_in(blocks, block, least), blocks.length[block]):
            item = blocks.items[block, i]
            if item > last:
                found = True  # or not: the rest was not looked at
                break
            row = item & ROW
            if not fits(kinds, state, kind, row):
                continue
            found, key = True, score(kinds, state, operation, argument, kind, row)
            if key < best_key or (key == best_key and row < best):
                best, best_key = row, key
                amount = last_amount(kinds, state, parts, kind, part, row, key)
                last = (amount << SHIFT) | ROW
        if not found:
            refresh(state, blocks, block)
            if blocks.seen.shape[0]:
                blocks.seen[kind, block] = blocks.stamp[block]
    return best


@kernel
def first_of(kinds: Kinds, state: State, parts: Parts, blocks: Blocks, kind: int, part: int) -> int:
    """The first instance of a part in the order of rows on which the kind fits, or -1: after the
    instance used last, round and round, where the chain wants that."""
    if parts.choice[parts.form[kind]] == LOWEST:
        return first_from(kinds, state, blocks, kind, part, 0)
    row = first_from(kinds, state, blocks, kind, part, max(state.last[0], 0))
    return row if row >= 0 else first_from(kinds, state, blocks, kind, part, 0)


@routine
def first_from(kinds: Kinds, state: State, blocks: Blocks, kind: int, part: int, begin: int) -> int:
    """The first instance from `begin` on, in a part in the order of rows; or -1."""
    base = blocks.base[part]
    for position in range(block_at(blocks, part, begin), blocks.used[part]):
        block = blocks.order[base + position]
        if not offers(kinds, blocks, kind, block):
            continue
        for i in range(index_in(blocks, block, begin), blocks.length[block]):
            row = blocks.items[block, i] & ROW
            if fits(kinds, state, kind, row):
                return row
        if blocks.items[block, 0] >= begin:
            refresh(state, blocks, block)
            if blocks.seen.shape[0]:
                blocks.seen[kind, block] = blocks.stamp[block]
    return -1


@routine
def fewest_of(kinds: Kinds, state: State, blocks: Blocks, kind: int, part: int) -> int:
    """The instance of a part in the order of rows with the fewest tasks of the group, or -1."""
    counts, base = state.counts[state.slots[kinds.group[kind]]], blocks.base[part]
    best, fewest = -1, UNLIMITED
    for position in range(blocks.used[part]):
        block = blocks.order[base + position]
        if not offers(kinds, blocks, kind, block):
            continue
        found = False
        for i in range(blocks.length[block]):
            row = blocks.items[block, i] & ROW
            if counts[row] >= fewest and found:
                continue
            if fits(kinds, state, kind, row):
                found = True
                if counts[row] < fewest:
                    best, fewest = row, counts[row]
                    if fewest == 0:
                        return best
        if not found:
            refresh(state, blocks, block)
            if blocks.seen.shape[0]:
                blocks.seen[kind, block] = blocks.stamp[block]
    return best
