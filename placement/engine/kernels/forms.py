"""Forms and parts for one batch: the index by which a decision need not look at all instances.

It is built anew for every batch that is large enough to pay for it. So changes that Python makes
between two batches need no bookkeeping.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stowplan.placement.engine.kernels.batch import build
from stowplan.placement.engine.kernels.layout import (
    ALL,
    BEST,
    BINPACK,
    BLOCK,
    DOT,
    DRAWN,
    FEWEST,
    FOLLOWING,
    LEAST_NORM,
    LEAST_SUM,
    LOWEST,
    MOST_ALIGNED,
    MOST_SUM,
    NEXT,
    NILAS,
    NORM,
    NOT_HELD,
    ON_INSTANCE,
    RANDOM,
    SCAN,
    SHIFT,
    SPREAD,
    WORST,
    Array,
    Blocks,
    Kinds,
    Parts,
    State,
)
from stowplan.placement.engine.kernels.packed import World

CLASSES_MAX = 64  # sets of instances by what may use them; beyond, masks are tested one by one
CURSORS_MAX = 1 << 24  # kinds x parts; beyond, every decision is a scan
SEEN_MAX = 1 << 20  # kinds x blocks; beyond, nothing is remembered of blocks
_CHOICES = {
    ON_INSTANCE: FEWEST,
    RANDOM: DRAWN,
    NEXT: FOLLOWING,
    BEST: LEAST_SUM,
    WORST: MOST_SUM,
    NORM: LEAST_NORM,
    DOT: MOST_ALIGNED,
}


class Form(NamedTuple):
    """The attributes spread over, the choice, and the columns that a choice by a sum counts."""

    attributes: tuple[int, ...]
    choice: int
    columns: tuple[int, ...] = ()


def form_of(links: Array, wanted: tuple[int, ...] = ()) -> Form | None:
    """The form of a chain: spreads over attributes, then at most one other link; else None.

    `wanted` are the columns of the resources that the kind asks for.
    """
    spreads = 0
    while spreads < len(links) and links[spreads, 0] == SPREAD:
        spreads += 1
    prefix, rest = tuple(links[:spreads, 1].tolist()), links[spreads:]
    if not len(rest):
        return Form(prefix, LOWEST)
    operation, column = rest[0].tolist()
    if len(rest) > 1 or operation == NILAS:
        return None
    if operation == BINPACK:
        return Form(prefix, column)
    sums = operation in (BEST, WORST, NORM, DOT)
    columns = (wanted if column == ALL else (column,)) if sums else ()
    return Form(prefix, _CHOICES[operation], columns)


def no_forms(kinds: Kinds, state: State) -> tuple[Parts, Blocks]:
    """Every kind scans."""
    return _make(kinds, len(state.rows), np.full(len(kinds.mask), SCAN, np.int64), [], [])


def make_forms(kinds: Kinds, state: State, *, standing: bool = False) -> tuple[Parts, Blocks]:
    """Parts and blocks for the kinds whose chain has a form.

    `standing`: what is freed counts as well, so that a cursor over a part is of little use; parts
    that have no other order keep that of rows.
    """
    size = len(state.rows)
    wanted = [tuple(np.flatnonzero(demand).tolist()) for demand in kinds.demand]
    found = [form_of(kinds.links[k, : kinds.length[k]], wanted[k]) for k in range(len(wanted))]
    large = np.abs(state.remaining[:size]).max(axis=0, initial=0) >= 1 << (SHIFT - 1)
    usable = [f if f and (f.choice < 0 or not large[f.choice]) else None for f in found]
    forms = list(dict.fromkeys(form for form in usable if form))
    of_kind = np.array([forms.index(f) if f else SCAN for f in usable], np.int64)
    classes = _classes(state.allowed)
    parts = [_parts(form, state, classes) for form in forms]
    if len(kinds.mask) * max((p.max(initial=0) + 1 for p in parts), default=0) > CURSORS_MAX:
        return no_forms(kinds, state)
    made = _make(kinds, size, of_kind, forms, parts, standing=standing)
    _fill(kinds, state, *made, forms)
    return made


def _dense(labels: Array) -> Array:
    """The same partition with labels 0, 1, ... in order."""
    used = np.bincount(labels, minlength=1) > 0
    relabel = np.cumsum(used) - 1
    dense: Array = relabel[labels]
    return dense


def _classes(allowed: Array) -> Array:
    """(n,) instances with the same label are allowed to the same kinds, as far as we tell."""
    labels = np.zeros(allowed.shape[1], np.int64)
    for mask in allowed:
        finer = _dense(2 * labels + mask)
        if finer.max(initial=0) >= CLASSES_MAX:
            break
        labels = finer
    return labels


def _parts(form: Form, state: State, labels: Array) -> Array:
    """(n,) the part of each instance, 0, 1, ... within the form."""
    for attribute in form.attributes:
        codes = state.codes[attribute, : len(labels)]
        labels = _dense(labels * (codes.max(initial=0) + 1) + codes)
    if form.choice == MOST_ALIGNED:  # shares are of the instance's own, so equal ones come together
        for column in form.columns:
            _, codes = np.unique(state.registered[: len(labels), column], return_inverse=True)
            labels = _dense(labels * (codes.max(initial=0) + 1) + codes)
    return labels


def _make(
    kinds: Kinds,
    size: int,
    of_kind: Array,
    forms: list[Form],
    parts: list[Array],
    *,
    standing: bool = False,
) -> tuple[Parts, Blocks]:
    """All arrays, not yet filled where that takes the state."""
    count = [int(p.max(initial=-1)) + 1 for p in parts]
    first = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    total, most = int(first[-1]), max(count, default=0)
    depth = np.array([len(form.attributes) for form in forms], np.int64)
    attribute = np.zeros((len(forms), max(depth, default=0)), np.int64)
    for f, form in enumerate(forms):
        attribute[f, : depth[f]] = form.attributes
    unordered = (DRAWN,) if standing else (DRAWN, FEWEST, LOWEST)
    resources, n_kinds = kinds.demand.shape[1], len(kinds.mask)
    made = Parts(
        form=of_kind,
        choice=np.array([form.choice for form in forms], np.int64),
        ordered=np.array([form.choice not in unordered for form in forms], np.bool_),
        weight=np.zeros((total, resources)),
        depth=depth,
        attribute=attribute,
        first=first,
        value=np.zeros((total, attribute.shape[1]), np.int64),
        part=np.zeros((len(forms), size), np.int32),
        start=np.zeros(total + 1, np.int64),
        rows=np.zeros(len(forms) * size, np.int32),
        held=np.full((len(forms), size), NOT_HELD, np.int64),
        floor=np.zeros((len(forms), resources), np.int64),
        at=np.zeros((n_kinds, most), np.int64),
        level=np.full((n_kinds, most), -1, np.int64),
        dead=np.zeros((n_kinds, most), np.bool_),
        tied=np.zeros(most, np.int64),
    )
    for f, labels in enumerate(parts):
        made.part[f] = labels + first[f]
    return made, _blocks(made, n_kinds, resources, size)


def _blocks(parts: Parts, n_kinds: int, resources: int, size: int) -> Blocks:
    """Enough blocks for any order of events: two neighbours always hold 25 items or more."""
    ordered = int(parts.ordered.sum())
    most = ordered * (size // 12) + (3 * int(parts.first[-1]) if ordered else 0)
    kept = n_kinds if n_kinds * most <= SEEN_MAX else 0
    held = np.bincount(parts.part.ravel(), minlength=int(parts.first[-1])) // 12 + 3
    base = np.concatenate([[0], np.cumsum(held)]).astype(np.int64)
    return Blocks(
        items=np.empty((most, BLOCK), np.int64),
        length=np.zeros(most, np.int64),
        top=np.zeros((most, resources), np.int64),
        stamp=np.zeros(most, np.int32),
        seen=np.full((kept, most), -1, np.int32),
        part=np.zeros(most, np.int64),
        order=np.zeros(base[-1], np.int64),
        high=np.zeros(base[-1], np.int64),
        base=base,
        used=np.zeros(len(held), np.int64),
        free=np.arange(most, dtype=np.int64)[::-1].copy(),
        free_count=np.array([most], np.int64),
    )


def _fill(kinds: Kinds, state: State, parts: Parts, blocks: Blocks, forms: list[Form]) -> None:
    size = len(state.rows)
    if not size:
        return
    in_order = parts.rows.copy()
    parts.start[1:] = np.cumsum(np.bincount(parts.part.ravel(), minlength=len(parts.start) - 1))
    for f, choice in enumerate(parts.choice):
        labels, own = parts.part[f], slice(f * size, (f + 1) * size)
        parts.rows[own] = np.argsort(labels, kind="stable")
        in_order[own] = parts.rows[own]
        sample = parts.rows[parts.start[parts.first[f] : parts.first[f + 1]]]
        for d in range(parts.depth[f]):
            codes = state.codes[parts.attribute[f, d]]
            parts.value[parts.first[f] : parts.first[f + 1], d] = codes[sample]
        for column in forms[f].columns:
            share = state.largest[column]
            if choice == MOST_ALIGNED:
                share = np.maximum(state.registered[sample, column], 1)
            parts.weight[parts.first[f] : parts.first[f + 1], column] = 1 / share
        if choice >= 0 or forms[f].columns:
            amount = state.remaining[:size, max(choice, 0)]
            if choice < 0:
                amount = (state.remaining[:size] * parts.weight[labels]).sum(axis=1)
                amount = -amount if choice in (MOST_SUM, MOST_ALIGNED) else amount
            in_order[own] = np.lexsort((amount, labels))
        mine = parts.form == f
        parts.floor[f] = kinds.demand[mine].min(axis=0)
        _bury(kinds, state, parts, f)
    parts.at[:] = 0
    for f in range(len(parts.choice)):
        starts = parts.start[parts.first[f] : parts.first[f + 1]]
        parts.at[parts.form == f, : len(starts)] = starts
    world = World(state, parts, blocks)  # held: the kernel reads its tables by their address
    build(world.address, in_order)


def _bury(kinds: Kinds, state: State, parts: Parts, f: int) -> None:
    """Parts of the form in which no instance is allowed to a kind are dead to it."""
    first, count = parts.first[f], parts.first[f + 1] - parts.first[f]
    labels = parts.part[f] - first
    open_to = [np.bincount(labels[mask], minlength=count) > 0 for mask in state.allowed]
    mine = np.flatnonzero(parts.form == f)
    parts.dead[mine, :count] = ~np.array(open_to)[kinds.mask[mine]]
