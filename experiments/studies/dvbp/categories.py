"""RCP and PPE: servers by category of lifetime, with what a category holds in common at first.

Of each VM that arrives: a large one has a server of its own (unless the rule has no large servers);
what keeps a category's load in common servers small goes there; the others fill one base server,
which becomes a server of the category of its longest VM once it is half full, and marks its VMs;
a category with marked VMs has servers of its own, first fit. PPE raises the limit for what is in
common as predictions turn out too short. The published program has oddities that this one keeps,
since the figures depend on them; they are marked.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from stowplan.experiments.studies.dvbp.books import (
    book,
    entry,
    fits,
    free,
    largest_with,
    part,
)
from stowplan.experiments.studies.dvbp.classes import (
    append,
    first_that_fits,
    logarithms,
    unlink,
)
from stowplan.experiments.studies.dvbp.trace import Floats, Ints, Trace

RCP, RCP_NO_LARGE, PPE, PPE_NO_LARGE = 0, 1, 2, 3
_HALF = 0.5
_TINY = 1e-300


class Categories(NamedTuple):
    """(n,) the category of each VM, numbered from 0, by three ways of rounding.

    Oddity: the published program takes the logarithm in double precision when a VM arrives, and in
    extended precision when it leaves and when a base server is closed; a lifetime just under a
    power of two may so arrive in one category and leave from another.
    """

    arrives: Ints
    leaves: Ints
    closes: Ints
    most: int


class Items(NamedTuple):
    """Lists of VMs by category, doubly linked; and what is known of each VM."""

    first: Ints
    following: Ints
    before: Ints
    common: Ints  # the category that it is counted in, in common servers; -1
    waits: Ints  # the category in whose list it waits to be marked; -1
    marked: Ints  # the category that it is marked in; -1
    in_base: Ints  # its place among the VMs of the base server; -1


class State(NamedTuple):
    """What a run keeps: of servers, of categories, of VMs.

    `lists` are servers by category, and last those in common (first, last, following, before);
    `member` the list of each server, or -1; `base` the number of the base server, or -1, and how
    many VMs it holds, which stand in `base_items`.
    """

    used: Floats
    load: Floats
    lists: tuple[Ints, Ints, Ints, Ints]
    member: Ints
    marks: Ints
    items: Items
    base: Ints
    base_items: Ints
    days: Floats
    closes: Ints


def categories(trace: Trace, lifetime: Floats, end: Floats) -> Categories:
    """The categories of predicted lifetimes."""
    arrives = np.floor(logarithms(lifetime))
    leaves = _exact(lifetime)
    closes = _exact(end - trace.start)
    least = min(arrives.min(), leaves.min(), closes.min())
    most = max(arrives.max(), leaves.max(), closes.max())
    a, b, c = ((column - least).astype(np.int64) for column in (arrives, leaves, closes))
    return Categories(a, b, c, int(most - least) + 1)


def _exact(days: Floats) -> Floats:
    """The whole part of the logarithm to base 2, without rounding."""
    _, exponent = np.frexp(np.maximum(days, _TINY))
    floor: Floats = exponent.astype(np.float64) - 1
    return floor


@part
def _items(n, count):  # type: ignore[no-untyped-def]
    return Items(
        np.full(count, -1),
        np.full(n, -1),
        np.full(n, -1),
        np.full(n, -1),
        np.full(n, -1),
        np.full(n, -1),
        np.full(n, -1),
    )


@entry
def run(events, kind, sizes, width, rule, days, arrives, leaves, closes, count):  # type: ignore[no-untyped-def]
    """(n,) the server of each VM.

    Args:
        days: (n, 3) start, true end (read of VMs that have ended alone), predicted end.
        arrives, leaves, closes, count: `Categories`; the others as of `fits.run`.
    """
    n = len(kind)
    server, tasks = np.empty(n, np.int64), np.zeros(n, np.int64)
    used = np.zeros((n, sizes.shape[1]))
    nothing, alpha = np.zeros(sizes.shape[1]), 1.0
    state = State(
        used,
        np.zeros((count, sizes.shape[1])),
        (np.full(count + 1, -1), np.full(count + 1, -1), np.full(n, -1), np.full(n, -1)),
        np.full(n, -1),
        np.zeros(count, np.int64),
        _items(n, count),
        np.array([-1, 0]),
        np.full(n, -1),
        days,
        closes,
    )
    seen, categories_seen, opened = np.zeros(count, np.bool_), 0, 0
    for event in events:
        vm = event if event >= 0 else ~event
        size = sizes[kind[vm]]
        if event < 0:
            at = server[vm]
            _forget(state, leaves[vm], vm, size)
            free(used, at, size)
            tasks[at] -= 1
            if tasks[at] == 0 and state.member[at] >= 0:
                unlink(*state.lists, state.member[at], at)
                state.member[at] = -1
            if rule >= PPE:
                alpha = _raised(alpha, days[vm, 1] / days[vm, 2])
            continue
        own = arrives[vm]
        categories_seen += not seen[own]
        seen[own] = True
        common = alpha / math.sqrt(categories_seen)
        at = opened
        if rule % 2 or largest_with(sizes, kind[vm], nothing, sizes.shape[1]) <= _HALF:
            at = _choose(state, vm, size, own, common, rule, width, opened)
        opened += at == opened
        book(used, at, size)
        tasks[at] += 1
        server[vm] = at
    return server


@part
def _share(used, row, size, width):  # type: ignore[no-untyped-def]
    return 1 - (1 - largest_with(used, row, size, width))


@part
def _choose(state, vm, size, own, common, rule, width, opened):  # type: ignore[no-untyped-def]
    """The server of a VM of category `own` that is not large; `opened`: a new one."""
    if _share(state.load, own, size, width) <= common:
        state.items.common[vm] = own
        book(state.load, own, size)
        return _in_list(state, len(state.marks), size, opened)
    base = state.base[0]
    if state.marks[own] == 0 and (rule % 2 == 0 or base < 0 or fits(state.used, base, size)):
        return _in_base(state, vm, size, width, opened)
    at = _in_list(state, own, size, opened)
    _wait(state, own, vm, width)
    return at


@part
def _in_list(state, of, size, opened):  # type: ignore[no-untyped-def]
    """The first server of a list that has room, or a new one, which joins it."""
    at = first_that_fits(state.lists[0][of], state.lists[2], state.used, size)
    if at < 0:
        at = opened
        append(*state.lists, of, at)
        state.member[at] = of
    return at


@part
def _in_base(state, vm, size, width, opened):  # type: ignore[no-untyped-def]
    """The base server, or a new one. Closes it where it is half full then."""
    base, members, days, items = state.base, state.base_items, state.days, state.items
    at = base[0] if base[0] >= 0 else opened
    base[0] = at
    members[base[1]] = vm
    items.in_base[vm] = base[1]
    base[1] += 1
    if _share(state.used, at, size, width) > _HALF:
        longest = members[0]
        for i in range(base[1]):
            each = members[i]
            if days[each, 2] - days[each, 0] > days[longest, 2] - days[longest, 0]:
                longest = each
        of = state.closes[longest]
        for i in range(base[1]):
            items.marked[members[i]] = of
            items.in_base[members[i]] = -1
        state.marks[of] += base[1]
        append(*state.lists, of, at)
        state.member[at] = of
        base[0], base[1] = -1, 0
    return at


@part
def _wait(state, own, vm, width):  # type: ignore[no-untyped-def]
    """Let a VM wait to be marked with its category, or mark all of it that wait.

    Oddity: what the category's servers hold is summed before the VM is on one of them; and those
    that wait in all other categories are forgotten, and never marked.
    """
    used, items = state.used, state.items
    total, nothing = np.zeros((1, used.shape[1])), np.zeros(used.shape[1])
    at = state.lists[0][own]
    while at >= 0:
        book(total, 0, used[at])
        at = state.lists[2][at]
    items.waits[vm] = own
    items.following[vm], items.before[vm] = items.first[own], -1
    if items.first[own] >= 0:
        items.before[items.first[own]] = vm
    items.first[own] = vm
    if _share(total, 0, nothing, width) > _HALF:
        for category in range(len(items.first)):
            each = items.first[category]
            while each >= 0:
                items.waits[each] = -1
                if category == own:
                    items.marked[each] = own
                    state.marks[own] += 1
                each = items.following[each]
            items.first[category] = -1


@part
def _forget(state, category, vm, size):  # type: ignore[no-untyped-def]
    """Take a VM that ended out of all that counts it; its category is that of its mark, if any."""
    items, base, members = state.items, state.base, state.base_items
    if items.marked[vm] >= 0:
        state.marks[items.marked[vm]] -= 1
        category = items.marked[vm]
    if items.common[vm] == category:
        free(state.load, category, size)
    place = items.in_base[vm]
    if place >= 0:
        base[1] -= 1
        members[place] = members[base[1]]
        items.in_base[members[place]] = place
    if items.waits[vm] == category:
        if items.before[vm] >= 0:
            items.following[items.before[vm]] = items.following[vm]
        else:
            items.first[category] = items.following[vm]
        if items.following[vm] >= 0:
            items.before[items.following[vm]] = items.before[vm]


@part
def _raised(alpha, ratio):  # type: ignore[no-untyped-def]
    """The limit after a VM whose true end was `ratio` times its predicted end.

    Oddity: ends, and not lifetimes, are compared; and the power of two below is taken, not above.
    """
    if ratio > alpha:
        return 2.0 ** math.floor(math.log2(ratio))
    return alpha
