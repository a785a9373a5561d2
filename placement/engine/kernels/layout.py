"""What the kernels read and write: plain arrays, grouped by how long they live.

A *form* is what chains of one shape share: the attributes that they spread over first, and how they
choose then. Its *parts* are the sets of instances that agree in those attributes and in which kinds
may use them; each part keeps its instances in the order in which its form wants them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit, typeof

from stowplan.placement.engine.kernels.packed import Kept, reader

# Links of a chain, as (operation, argument): a column, an attribute of the plan, or nothing.
BINPACK, SPREAD, ON_INSTANCE, RANDOM = 0, 1, 2, 3
# Those of heuristics; the argument of a score is one column, or ALL that the kind asks for.
NEXT, BEST, WORST, NORM, DOT, NILAS = 4, 5, 6, 7, 8, 9
# Those of divisible devices, and a score in a user's own code: see `contest`.
OWN, PACKING, CLUSTERING, ALIGNED, LEFT, FGD, STOW, FGD_STOW = 10, 11, 12, 13, 14, 15, 16, 17
ALL = -1
# How a form chooses within its parts: by a resource column (0 and up), or one of these.
FEWEST, LOWEST, DRAWN, FOLLOWING = -1, -2, -3, -4
LEAST_SUM, MOST_SUM, LEAST_NORM, MOST_ALIGNED = -5, -6, -7, -8
LEAF = 8  # instances below a last node of a tournament
SCAN = -1  # the form of a kind that looks at every instance for every decision
TRIES = 64  # of `random`; the same number as in strategies/random.py, which see
BLOCK = 64  # instances in a block of an ordered part
DRAINING_STEP, AGENT_STEP, RESOURCE_STEP, ABSENT = 0, 1, 2, -1  # see Why
UNLIMITED = np.iinfo(np.int64).max
NOT_HELD = -1
SHIFT = 32  # an item of an ordered part is amount << SHIFT | row
QUANT = float(1 << 27)  # of a sum of shares in an amount
SUM_MOST = (1 << 30) - 1  # an amount that is a sum of shares
ROW = (1 << SHIFT) - 1

Array = Any  # numpy arrays; the comments below give their shapes and types
# The same, with what they must be: see `packed`.
Bits2 = Annotated[Any, Kept("uint64", 2)]
Columns2 = Annotated[Any, Kept("int64", 2, "F")]  # a column after the other
Flag1 = Annotated[Any, Kept("bool", 1)]
Flag2 = Annotated[Any, Kept("bool", 2)]
Int1 = Annotated[Any, Kept("int64", 1)]
Int2 = Annotated[Any, Kept("int64", 2)]
Int3 = Annotated[Any, Kept("int64", 3)]
Real1 = Annotated[Any, Kept("float64", 1)]
Real2 = Annotated[Any, Kept("float64", 2)]
Real3 = Annotated[Any, Kept("float64", 3)]
Small1 = Annotated[Any, Kept("int32", 1)]
Small2 = Annotated[Any, Kept("int32", 2)]
_Function = TypeVar("_Function", bound=Callable[..., Any])


# What the kernels allocate is nothing, so numba need not count references to their arrays: to do
# so costs ten times the decision itself. Both options are numba's own but not in its type hints.
_jit: Any = partial(njit, _nrt=False, no_cfunc_wrapper=True)


def kernel(function: _Function) -> _Function:
    """Compile a part of a kernel: it goes into the machine code of the `entry` that calls it."""
    return cast(_Function, _jit(forceinline=True, no_cpython_wrapper=True)(function))


def routine(function: _Function) -> _Function:
    """Compile a part of a kernel that is called, since it is long and called from many places."""
    return cast(_Function, _jit(no_cpython_wrapper=True)(function))


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

    demand: Int2  # (K, R) int64
    columns: Bits2  # (K, R) uint64: those of its resources of which it wants some come first
    width: Int1  # (K,) int64: so many
    ports: Bits2  # (K, W) uint64: bits of host ports
    wants_ports: Flag1  # (K,) bool
    most: Int1  # (K,) int64: tasks of the group allowed on an instance
    mask: Int1  # (K,) int64: row of State.allowed
    group: Int1  # (K,) int64: index of its group among the G of the batch
    links: Int3  # (K, L, 2) int64: its chain, the first `length` of them
    length: Int1  # (K,) int64
    lasts: Int1  # (K,) int64: how long a task is expected to run in ms, -1: until it is stopped


class State(NamedTuple):
    """The cluster's own columns, which the kernels update, and what a batch needs besides."""

    remaining: Columns2  # (n or more, R) int64
    tasks: Small1  # (n or more,) int32
    counts: Small2  # (slots, n or more) int32: tasks of a group on an instance
    codes: Small2  # (A, n or more) int32: value of an attribute, 0 where there is none
    totals: Int3  # (A, slots, V) int64: tasks of a group on instances with that value
    ports: Bits2  # (n or more, W) uint64
    reserved_ports: Bits2  # the same shape
    changed_at: Int1  # (n or more,) int64: `version` at the last change of an instance
    log: Int1  # (LOG_ROWS,) int64: the instance that changed at a version, by its remainder
    slots: Int1  # (G,) int64: row of `counts`
    registered: Int2  # (n or more, R) int64
    largest: Real1  # (R,) float64: the most that an instance has registered that is not gone, or 1
    expected_exit_ms: Int1  # (n or more,) int64
    last: Int1  # (1,) int64: the instance that got the latest task, -1 before any
    now: Int1  # (1,) int64: `now_ms`
    allowed: Flag2  # (M, n) bool: active, connected, nothing over-committed, and allowed by
    # what depends on attributes alone
    version: Int1  # (1,) int64
    rows: Int1  # (n,) int64: room for a list of candidates


class Freed(NamedTuple):
    """What of the cluster's columns changes when a task ends; see `State`."""

    remaining: Columns2
    ports: Bits2
    tasks: Small1
    expected_exit_ms: Int1  # (n or more,) int64
    counts: Small2
    codes: Small2
    totals: Int3
    changed_at: Int1
    log: Int1


class Parts(NamedTuple):
    """F forms and their P parts, and how far every kind has got in each."""

    form: Int1  # (K,) int64: SCAN or the form of a kind
    choice: Int1  # (F,) int64: a resource column, or FEWEST ... MOST_ALIGNED
    ordered: Flag1  # (F,) bool: its parts are kept in order; else they are swept, or drawn from
    weight: Real2  # (P, R) float64: what a unit that is left counts in the sums of scores
    depth: Int1  # (F,) int64: how many attributes it spreads over
    attribute: Int2  # (F, D) int64: which
    first: Int1  # (F + 1,) int64: its parts are first[f] .. first[f + 1] - 1
    value: Int2  # (P, D) int64: code of each attribute
    part: Small2  # (F, n) int32: the part of an instance
    start: Int1  # (P + 1,) int64: the instances of a part are rows[start[p] : start[p + 1]]
    rows: Small1  # (F * n,) int32, ascending within a part
    held: Int2  # (F, n) int64: what an ordered part keeps of an instance, or NOT_HELD
    floor: Int2  # (F, R) int64: the least that any kind of the form asks for
    at: Int2  # (K, most parts of a form) int64: index in `rows` where a sweep stands
    level: Int2  # the same shape, int64: the group's count on an instance that it looks for
    dead: Flag2  # the same shape, bool: nothing there fits, nor will before something is freed
    tied: Int1  # (most parts of a form,) int64: room for a list of parts


class Fresh(NamedTuple):
    """What `Parts` of a standing index begin with again once something was freed."""

    freed: Int1  # (K,) int64: `freed_version` for which `at`, `level` and `dead` of a kind hold
    dead: Flag2  # as in Parts
    at: Int2  # as in Parts


class Blocks(NamedTuple):
    """The ordered parts: ascending items in blocks, each with a bound on what it can offer."""

    items: Int2  # (B, BLOCK) int64
    length: Int1  # (B,) int64
    top: Int2  # (B, R) int64: no instance of the block has more left
    stamp: Small1  # (B,) int32: rises when an instance enters the block
    seen: Small2  # (K or 0, B) int32: stamp at which nothing in the block was fit for the kind
    part: Int1  # (B,) int64: the part that a block in use belongs to
    order: Int1  # block numbers of part p, in order, from index base[p]
    high: Int1  # the last item of the block, along with `order`
    base: Int1  # (P + 1,) int64
    used: Int1  # (P,) int64: blocks in a part
    free: Int1  # (B,) int64: a stack of unused blocks
    free_count: Int1  # (1,) int64


class Contest(NamedTuple):
    """A tournament of the instances for each kind: see `contest`."""

    tree: Small2  # (K, 2 m) int32: the instance that leads below a node, -1 none; 1 is the root
    # and the last m are blocks of LEAF instances
    lead: Real2  # (K, 2 m) float64: its key by the first link, infinite for none
    keys: Real3  # (K, L, m * LEAF) float64: of all instances; the first infinite: it does not fit
    synced: Int1  # (K,) int64: `version` for which the tree of a kind holds, -1 none


class Gpus(NamedTuple):
    """Divisible devices, and what strategies of them know. T kinds are typical."""

    devices: Int1  # (K,) int64: how many a task wants
    milli: Int1  # (K,) int64: thousandths of each
    chooser: Int1  # (K,) int64: the operation that says which, or -1: the fullest that fit
    left: Int2  # (n or more, D) int64
    capacity: Int2  # the same shape
    counted: Int1  # (n,) int64: tasks that CLUSTERING counts
    counts: Flag1  # (K,) bool: whether it counts those of a kind
    cpu: Int1  # (1,) int64: the column of CPU
    most: Int1  # (4,) int64: CPU, thousandths of scores, those of CLUSTERING, devices
    sums: Int1  # (2,) int64: thousandths in use, and of all devices
    turn: Int1  # (1,) int64: 1 once FGD_STOW places as STOW does
    share: Real1  # (T,) float64; these of FGD, as in `fragmentation.Typical`
    need: Int1  # (T,) int64
    level: Int1  # (T,) int64: which of the M different shares of a device
    many: Int1  # (T,) int64
    allowed: Flag2  # (T, n) bool
    levels: Int1  # (M,) int64
    weight: Int1  # (S,) int64; these of STOW, as in `stow_gpu.Expected`
    stow_need: Int1  # (S,) int64
    stow_milli: Int1  # (S,) int64
    stow_many: Int1  # (S,) int64
    stow_allowed: Flag2  # (S, n) bool
    per_gpu: Int1  # (1,) int64
    before: Real1  # (n,) float64: fragments of an instance as it is
    before_at: Int1  # (n,) int64: `changed_at` for which that holds
    fitting: Int1  # (M,) int64: room to count in
    small: Int1  # (M,) int64: room to count in
    after: Int1  # (D,) int64: room for what would be left
    given: Int1  # (D,) int64: room for what is taken, 1 each
    label: Int1  # (n,) int64: equal where instances have equal devices and may run the same
    seen: Int1  # (SEEN,) int64: room for instances that stand for those that are as they are


class Why(NamedTuple):
    """What keeps each of the S kinds that have failed so far off every instance.

    Steps are numbered in the order of `Engine.explain`: DRAINING, AGENT, the R resources, then the
    *late* ones of a kind: its attributes and constraints.
    """

    slot: Int1  # (K,) int64: which of the S a kind is, or -1
    early: Int1  # (n,) int64: DRAINING_STEP, AGENT_STEP, RESOURCE_STEP for neither, or ABSENT
    late: Int2  # (S, n) int64: the first late step that depends on attributes alone, or more
    limit_step: Int2  # (S, L) int64: the late steps that limit the tasks of the group ...
    limit: Int2  # (S, L) int64: ... to so many on an instance
    step: Int2  # (S, n) int64: the step that rejected an instance when it was last looked at
    counts: Int2  # (S, steps) int64: instances by step
    seen: Int1  # (S,) int64: tasks of the batch that `step` and `counts` know of; or the version
    version: Int1  # (S,) int64: of the cluster at the kind's latest entry in the log
    entry: Int1  # (S,) int64: that entry
    log: Int2  # (entries, steps) int64: `counts` at each failure that may differ from the last
    log_slot: Int1  # (entries,) int64
    logged: Int1  # (1,) int64: entries in use


# What an entry makes of the address that it is given.
kinds_of, state_of, parts_of, blocks_of = (
    reader(Kinds),
    reader(State),
    reader(Parts),
    reader(Blocks),
)
why_of, fresh_of, freed_of = reader(Why), reader(Fresh), reader(Freed)
contest_of, gpus_of = reader(Contest), reader(Gpus)
