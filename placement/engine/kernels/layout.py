"""What the kernels read and write: plain arrays, grouped by how long they live.

A *form* is what chains of one shape share: the attributes that they spread over first, and how they
choose then. Its *parts* are the sets of instances that agree in those attributes and in which kinds
may use them; each part keeps its instances in the order in which its form wants them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit, typeof

# Links of a chain, as (operation, argument): a column, an attribute of the plan, or nothing.
BINPACK, SPREAD, ON_INSTANCE, RANDOM = 0, 1, 2, 3
# How a form chooses within its parts: by a resource column (0 and up), or one of these.
FEWEST, LOWEST, DRAWN = -1, -2, -3
SCAN = -1  # the form of a kind that looks at every instance for every decision
TRIES = 64  # of `random`; the same number as in strategies/random.py, which see
BLOCK = 64  # instances in a block of an ordered part
DRAINING_STEP, AGENT_STEP, RESOURCE_STEP, ABSENT = 0, 1, 2, -1  # see Why
UNLIMITED = np.iinfo(np.int64).max
NOT_HELD = -1
SHIFT = 32  # an item of an ordered part is amount << SHIFT | row
ROW = (1 << SHIFT) - 1

Array = Any  # numpy arrays; the comments below give their shapes and types
_Function = TypeVar("_Function", bound=Callable[..., Any])


# What the kernels allocate is nothing, so numba need not count references to their arrays: to do
# so costs ten times the decision itself. Both options are numba's own but not in its type hints.
_jit: Any = partial(njit, _nrt=False, no_cfunc_wrapper=True)


def kernel(function: _Function) -> _Function:
    """Compile a part of a kernel: it goes into the machine code of the `entry` that calls it."""
    return cast(_Function, _jit(forceinline=True, no_cpython_wrapper=True)(function))


def entry(function: _Function) -> _Function:
    """Compile a kernel that Python calls; its machine code is kept on disk."""
    return cast(_Function, _jit(cache=True)(function))


def machine_code(function: _Function, arguments: tuple[Any, ...]) -> _Function:
    """The code of an `entry` for arguments such as these, to call it without numba's look at them.

    Under NUMBA_DISABLE_JIT there is none, and the function itself is what is called.
    """
    compiled: Any = function  # numba's dispatcher, whose type says only what it calls
    if not hasattr(compiled, "compile"):
        return function
    return cast(_Function, compiled.compile(tuple(map(typeof, arguments))))


class Kinds(NamedTuple):
    """What the K kinds of a batch ask for. Fixed while no instance changes."""

    demand: Array  # (K, R) int64
    columns: Array  # (K, R) uint64: those of its resources of which it wants some come first
    width: Array  # (K,) int64: so many
    ports: Array  # (K, W) uint64: bits of host ports
    wants_ports: Array  # (K,) bool
    most: Array  # (K,) int64: tasks of the group allowed on an instance
    mask: Array  # (K,) int64: row of State.allowed
    group: Array  # (K,) int64: index of its group among the G of the batch
    links: Array  # (K, L, 2) int64: its chain, the first `length` of them
    length: Array  # (K,) int64


class State(NamedTuple):
    """The cluster's own columns, which the kernels update, and what a batch needs besides."""

    remaining: Array  # (n or more, R) int64
    tasks: Array  # (n or more,) int32
    counts: Array  # (slots, n or more) int32: tasks of a group on an instance
    codes: Array  # (A, n or more) int32: value of an attribute, 0 where there is none
    totals: Array  # (A, slots, V) int64: tasks of a group on instances with that value
    ports: Array  # (n or more, W) uint64
    reserved_ports: Array  # the same shape
    changed_at: Array  # (n or more,) int64: `version` at the last change of an instance
    log: Array  # (LOG_ROWS,) int64: the instance that changed at a version, by its remainder
    slots: Array  # (G,) int64: row of `counts`
    allowed: Array  # (M, n) bool: active, connected, nothing over-committed, and allowed by
    # what depends on attributes alone
    version: Array  # (1,) int64
    rows: Array  # (n,) int64: room for a list of candidates


class Freed(NamedTuple):
    """What of the cluster's columns changes when a task ends; see `State`."""

    remaining: Array
    ports: Array
    tasks: Array
    expected_exit_ms: Array  # (n or more,) int64
    counts: Array
    codes: Array
    totals: Array
    changed_at: Array
    log: Array


class Parts(NamedTuple):
    """F forms and their P parts, and how far every kind has got in each."""

    form: Array  # (K,) int64: SCAN or the form of a kind
    choice: Array  # (F,) int64: a resource column, FEWEST, LOWEST or DRAWN
    depth: Array  # (F,) int64: how many attributes it spreads over
    attribute: Array  # (F, D) int64: which
    first: Array  # (F + 1,) int64: its parts are first[f] .. first[f + 1] - 1
    value: Array  # (P, D) int64: code of each attribute
    part: Array  # (F, n) int32: the part of an instance
    start: Array  # (P + 1,) int64: the instances of a part are rows[start[p] : start[p + 1]]
    rows: Array  # (F * n,) int32, ascending within a part
    held: Array  # (F, n) int64: what an ordered part keeps of an instance, or NOT_HELD
    floor: Array  # (F, R) int64: the least that any kind of the form asks for
    at: Array  # (K, most parts of a form) int64: index in `rows` where a sweep stands
    level: Array  # the same shape, int64: the group's count on an instance that it looks for
    dead: Array  # the same shape, bool: nothing there fits, nor will before something is freed
    tied: Array  # (most parts of a form,) int64: room for a list of parts


class Fresh(NamedTuple):
    """What `Parts` of a standing index begin with again once something was freed."""

    freed: Array  # (K,) int64: `freed_version` for which `at`, `level` and `dead` of a kind hold
    dead: Array  # as in Parts
    at: Array  # as in Parts


class Blocks(NamedTuple):
    """The ordered parts: ascending items in blocks, each with a bound on what it can offer."""

    items: Array  # (B, BLOCK) int64
    length: Array  # (B,) int64
    top: Array  # (B, R) int64: no instance of the block has more left
    stamp: Array  # (B,) int32: rises when an instance enters the block
    seen: Array  # (K or 0, B) int32: stamp at which nothing in the block was fit for the kind
    order: Array  # block numbers of part p, in order, from index base[p]
    high: Array  # the last item of the block, along with `order`
    base: Array  # (P + 1,) int64
    used: Array  # (P,) int64: blocks in a part
    free: Array  # (B,) int64: a stack of unused blocks
    free_count: Array  # (1,) int64


class Why(NamedTuple):
    """What keeps each of the S kinds that have failed so far off every instance.

    Steps are numbered in the order of `Engine.explain`: DRAINING, AGENT, the R resources, then the
    *late* ones of a kind: its attributes and constraints.
    """

    slot: Array  # (K,) int64: which of the S a kind is, or -1
    early: Array  # (n,) int64: DRAINING_STEP, AGENT_STEP, RESOURCE_STEP for neither, or ABSENT
    late: Array  # (S, n) int64: the first late step that depends on attributes alone, or more
    limit_step: Array  # (S, L) int64: the late steps that limit the tasks of the group ...
    limit: Array  # (S, L) int64: ... to so many on an instance
    step: Array  # (S, n) int64: the step that rejected an instance when it was last looked at
    counts: Array  # (S, steps) int64: instances by step
    seen: Array  # (S,) int64: tasks of the batch that `step` and `counts` know of
    version: Array  # (S,) int64: of the cluster at the kind's latest entry in the log
    entry: Array  # (S,) int64: that entry
    log: Array  # (entries, steps) int64: `counts` at each failure that may differ from the last
    log_slot: Array  # (entries,) int64
    logged: Array  # (1,) int64: entries in use
