"""Ordered parts: instances sorted by what they have left of a resource, in blocks.

An item packs amount and row in one integer, so items are different and sort as the strategy wants
them. A block is full at `BLOCK` items and then splits; neighbours that together would fill less
than 3/4 of one merge, so there are never many more blocks than items need.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from stowplan.placement.engine.kernels.fit import fits
from stowplan.placement.engine.kernels.layout import (
    BLOCK,
    ROW,
    SHIFT,
    Blocks,
    Kinds,
    State,
    kernel,
    routine,
)

FILLED = BLOCK * 3 // 4


@kernel
def block_at(blocks: Blocks, part: int, item: int) -> int:
    """Position in the part of the first block that ends at or after `item`."""
    base = blocks.base[part]
    low, high = 0, blocks.used[part]
    while low < high:
        middle = (low + high) >> 1
        if blocks.high[base + middle] < item:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def index_in(blocks: Blocks, block: int, item: int) -> int:
    """How many items of the block are less than `item`."""
    low, high = 0, blocks.length[block]
    while low < high:
        middle = (low + high) >> 1
        if blocks.items[block, middle] < item:
            low = middle + 1
        else:
            high = middle
    return low


@routine
def refresh(state: State, blocks: Blocks, block: int) -> None:
    """Make the bound of a block exact."""
    for column in range(blocks.top.shape[1]):
        most = state.remaining[blocks.items[block, 0] & ROW, column]
        for i in range(1, blocks.length[block]):
            most = max(most, state.remaining[blocks.items[block, i] & ROW, column])
        blocks.top[block, column] = most


@kernel
def new_block(blocks: Blocks, part: int, position: int) -> int:
    """An empty block at `position` of the part."""
    blocks.free_count[0] -= 1
    block = blocks.free[blocks.free_count[0]]
    base = blocks.base[part]
    for i in range(base + blocks.used[part], base + position, -1):
        blocks.order[i] = blocks.order[i - 1]
        blocks.high[i] = blocks.high[i - 1]
    blocks.order[base + position] = block
    blocks.used[part] += 1
    blocks.part[block] = part
    blocks.length[block] = 0
    blocks.stamp[block] += 1
    return block


@kernel
def drop_block(blocks: Blocks, part: int, position: int) -> None:
    """Give back the block at `position` of the part."""
    base = blocks.base[part]
    blocks.free[blocks.free_count[0]] = blocks.order[base + position]
    blocks.free_count[0] += 1
    blocks.used[part] -= 1
    for i in range(base + position, base + blocks.used[part]):
        blocks.order[i] = blocks.order[i + 1]
        blocks.high[i] = blocks.high[i + 1]


@routine
def split(state: State, blocks: Blocks, part: int, position: int) -> None:
    """Move the upper half of a full block into a new one behind it."""
    at = blocks.base[part] + position
    left, right = blocks.order[at], new_block(blocks, part, position + 1)
    half = BLOCK // 2
    for i in range(half, BLOCK):
        blocks.items[right, i - half] = blocks.items[left, i]
    blocks.length[right] = BLOCK - half
    blocks.length[left] = half
    blocks.high[at + 1] = blocks.high[at]
    blocks.high[at] = blocks.items[left, half - 1]
    refresh(state, blocks, left)
    refresh(state, blocks, right)


@routine
def merge(blocks: Blocks, part: int, position: int) -> None:
    """Join two neighbours where one block holds them easily."""
    if position < 0 or position + 1 >= blocks.used[part]:
        return
    at = blocks.base[part] + position
    left, right = blocks.order[at], blocks.order[at + 1]
    have, more = blocks.length[left], blocks.length[right]
    if have + more > FILLED:
        return
    for i in range(more):
        blocks.items[left, have + i] = blocks.items[right, i]
    blocks.length[left] = have + more
    blocks.high[at] = blocks.high[at + 1]
    blocks.stamp[left] += 1
    for column in range(blocks.top.shape[1]):
        blocks.top[left, column] = max(blocks.top[left, column], blocks.top[right, column])
    drop_block(blocks, part, position + 1)


@routine
def insert(state: State, blocks: Blocks, part: int, item: int) -> None:
    """Add an item; its instance counts towards the bound of its block."""
    position = block_at(blocks, part, item)
    if position == blocks.used[part]:
        if position == 0:
            new_block(blocks, part, 0)
            empty = blocks.order[blocks.base[part]]
            for column in range(blocks.top.shape[1]):
                blocks.top[empty, column] = state.remaining[item & ROW, column]
        else:
            position -= 1
    at = blocks.base[part] + position
    if blocks.length[blocks.order[at]] == BLOCK:
        split(state, blocks, part, position)
        at += item > blocks.high[at]
    block = blocks.order[at]
    last = blocks.length[block]
    i = last
    while i > 0 and blocks.items[block, i - 1] > item:
        blocks.items[block, i] = blocks.items[block, i - 1]
        i -= 1
    blocks.items[block, i] = item
    blocks.length[block] = last + 1
    blocks.high[at] = blocks.items[block, last]
    blocks.stamp[block] += 1
    for column in range(blocks.top.shape[1]):
        left = state.remaining[item & ROW, column]
        if left > blocks.top[block, column]:
            blocks.top[block, column] = left


@routine
def remove(blocks: Blocks, part: int, item: int) -> None:
    """Take an item out, if it is there."""
    position = block_at(blocks, part, item)
    if position == blocks.used[part]:
        return
    at = blocks.base[part] + position
    block = blocks.order[at]
    i = index_in(blocks, block, item)
    if blocks.items[block, i] != item:
        return
    last = blocks.length[block] - 1
    for j in range(i, last):
        blocks.items[block, j] = blocks.items[block, j + 1]
    blocks.length[block] = last
    if last == 0:
        drop_block(blocks, part, position)
        return
    blocks.high[at] = blocks.items[block, last - 1]
    if last < FILLED // 2:
        merge(blocks, part, position)
        merge(blocks, part, position - 1)


@routine
def widen(state: State, blocks: Blocks, part: int, item: int) -> None:
    """An instance of the part has more left than it had, and keeps its place."""
    position = block_at(blocks, part, item)
    block = blocks.order[blocks.base[part] + position]
    blocks.stamp[block] += 1
    for column in range(blocks.top.shape[1]):
        left = state.remaining[item & ROW, column]
        if left > blocks.top[block, column]:
            blocks.top[block, column] = left


@kernel
def offers(kinds: Kinds, blocks: Blocks, kind: int, block: int) -> bool:
    """Whether the bound of a block, and what was seen there, leave room for the kind."""
    if blocks.seen.shape[0] and blocks.seen[kind, block] == blocks.stamp[block]:
        return False
    for i in range(kinds.width[kind]):
        column = kinds.columns[kind, i]
        if blocks.top[block, column] < kinds.demand[kind, column]:
            return False
    return True


@routine
def fullest(kinds: Kinds, state: State, blocks: Blocks, kind: int, part: int, column: int) -> int:
    """The first instance of an ordered part on which the kind fits, or -1."""
    base = blocks.base[part]
    least = kinds.demand[kind, column] << SHIFT
    for position in range(block_at(blocks, part, least), blocks.used[part]):
        block = blocks.order[base + position]
        if not offers(kinds, blocks, kind, block):
            continue
        for i in range(index_in(blocks, block, least), blocks.length[block]):
            row = blocks.items[block, i] & ROW
            if fits(kinds, state, kind, row):
                return row
        refresh(state, blocks, block)
        if blocks.seen.shape[0]:
            blocks.seen[kind, block] = blocks.stamp[block]
    return -1
