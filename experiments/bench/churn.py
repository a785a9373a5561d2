"""Rows of `bench placement` for one task at a time with departures, as a simulation places them.

Tasks of 30 sizes arrive 50 a second and depart; about an eighth finds no room on 1,000 instances.
Each is an `Engine.place` and an `Engine.release`, beside a numpy scan of the same decisions.
"""

from __future__ import annotations

import gc
import heapq
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from stowplan.experiments.bench.rows import Clock, Row, at_least, at_most
from stowplan.experiments.bench.scans import CONSTRAINED, SCANS, Choice, Scan
from stowplan.experiments.bench.worlds import chain, fleet
from stowplan.placement.cluster.cluster import Cluster
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import CPU, MEMORY, PlacementConstraint, TaskKind

SIZES, RATE_PER_S, MEAN_S = 30, 50.0, 210.0
CASES = ((1_000, 20_000), (10_000, 5_000))
LARGE, LARGE_TASKS, BATCH = 100_000, 1_000, 50
TIMES_SCAN_MOST, TIMES_FASTER = 1.5, 3.0


class Churn(NamedTuple):
    """The work: `events` in order of time, the size of a task that arrives or, below 0, ~ the task
    that ends; tasks are numbered as they arrive."""

    sizes: list[tuple[int, int]]
    events: list[int]
    size_of: list[int]


def churn(tasks: int) -> Churn:
    """So many arrivals, each end among them; the same every time."""
    rng = np.random.default_rng(18)
    cpu, memory = rng.integers(2, 17, SIZES) * 64, rng.integers(2, 33, SIZES) * 128
    arrive_s = np.cumsum(rng.exponential(1 / RATE_PER_S, tasks)).tolist()
    stay_s = rng.exponential(MEAN_S, tasks).tolist()
    size_of = rng.integers(0, SIZES, tasks).tolist()
    events: list[int] = []
    ends: list[tuple[float, int]] = []
    for task, at_s in enumerate(arrive_s):
        while ends and ends[0][0] <= at_s:
            events.append(~heapq.heappop(ends)[1])
        events.append(size_of[task])
        heapq.heappush(ends, (at_s + stay_s[task], task))
    return Churn(list(zip(cpu.tolist(), memory.tolist(), strict=True)), events, size_of)


def by_scan(work: Churn, cluster: Cluster, choice: Choice, spreads: bool) -> list[int]:
    """The row of every task, or -1, by a scan in numpy."""
    scan, sizes, size_of = Scan(cluster, SIZES), work.sizes, work.size_of
    book = scan.book_spread if spreads else scan.book
    rows: list[int] = []
    for event in work.events:
        if event >= 0:
            cpu, memory = sizes[event]
            row = choice(scan, event, cpu, memory)
            rows.append(row)
            if row >= 0:
                book(event, row, cpu, memory)
        elif rows[~event] >= 0:
            size = size_of[~event]
            book(size, rows[~event], *sizes[size], -1)
    return rows


def by_engine(work: Churn, engine: Engine, kinds: list[TaskKind]) -> list[int]:
    """The same, one `place` and one `release` at a time."""
    size_of, place, release = work.size_of, engine.place, engine.release
    rows: list[int] = []
    for event in work.events:
        if event >= 0:
            rows.append(int(place((kinds[event],)).instances[0]))
        elif rows[~event] >= 0:
            release(kinds[size_of[~event]], (rows[~event],))
    return rows


def by_batches(work: Churn, engine: Engine, kinds: list[TaskKind]) -> list[int]:
    """As `by_engine`, but what arrives is placed in batches of 50, and then some depart."""
    size_of, rows = work.size_of, list[int]()
    for begin in range(0, len(size_of), BATCH):
        some = [kinds[size] for size in size_of[begin : begin + BATCH]]
        rows += engine.place(some).instances.tolist()
        for task in range(max(0, begin - 10 * BATCH), begin - 9 * BATCH):
            if rows[task] >= 0:
                engine.release(kinds[size_of[task]], (rows[task],))
    return rows


def kinds_of(work: Churn, links: tuple[str, ...], constraint: str | None = None) -> list[TaskKind]:
    """A kind of each size, each a group of its own."""
    given = () if constraint is None else (PlacementConstraint(*constraint.split(":", 1)),)
    return [
        TaskKind(
            *(((CPU, cpu), (MEMORY, memory)), f"size:{number}"),
            constraints=given,
            strategies=chain(*links),
        )
        for number, (cpu, memory) in enumerate(work.sizes)
    ]


def timed(run: Callable[[], list[int]], clock: Clock) -> tuple[float, list[int]]:
    """Seconds, and the answer."""
    gc.collect()
    started = clock.now()
    rows = run()
    return clock.now() - started, rows


def churn_rows(scale: float, repeats: int, clock: Clock) -> Iterator[Row]:
    """Every chain on both sizes, each beside its scan, in turn, `repeats` times."""
    for instances, tasks in (*CASES, (LARGE, LARGE_TASKS)):
        cluster = fleet(max(8, round(instances * scale)), np.random.default_rng(18))
        work = churn(max(300, round(tasks * scale)))
        for links, peer in SCANS.items():
            name = f"churn, {instances:,} instances, {', '.join(links)}"
            kinds = kinds_of(work, links)
            yield _beside(name, work, cluster, kinds, peer, instances <= 1_000, repeats, clock)
        for constraint, peer in CONSTRAINED.items() if instances < LARGE else ():
            name = f"churn, {instances:,} instances, binpack:memory under {constraint}"
            kinds = kinds_of(work, ("binpack:memory",), constraint)
            yield _beside(name, work, cluster, kinds, peer, instances <= 1_000, repeats, clock)
        if instances < LARGE:
            yield _batches(f"churn, {instances:,} instances", work, cluster, repeats, clock)


def _beside(
    name: str,
    work: Churn,
    cluster: Cluster,
    kinds: list[TaskKind],
    peer: tuple[Choice, bool],
    small: bool,
    repeats: int,
    clock: Clock,
) -> Row:
    """One task at a time, beside its scan."""
    ours = theirs = float("inf")
    for _ in range(repeats):
        slow, expected = timed(partial(by_scan, work, cluster, *peer), clock)
        engine = Engine(cluster.copy(), np.random.default_rng(0))
        quick, rows = timed(partial(by_engine, work, engine, kinds), clock)
        assert rows == expected, f"{name}: another choice than the scan's"
        ours, theirs = min(ours, quick), min(theirs, slow)
    refused = rows.count(-1) / len(rows)
    against = f"{ours / len(rows) * 1e6:.1f} µs of {theirs / len(rows) * 1e6:.1f} a task"
    against += f", {refused:.0%} refused" if refused else ""
    if small:
        most = TIMES_SCAN_MOST
        return at_most(f"{name}: of a numpy scan's time", ours / theirs, "x", most, against)
    return at_least(f"{name}: times a numpy scan", theirs / ours, "x", TIMES_FASTER, against)


def _batches(name: str, work: Churn, cluster: Cluster, repeats: int, clock: Clock) -> Row:
    """Batches of 50, beside the same tasks one at a time."""
    kinds, ours, single = kinds_of(work, ("binpack:memory",)), float("inf"), float("inf")
    for _ in range(repeats):
        engines = (Engine(cluster.copy(), np.random.default_rng(0)) for _ in range(2))
        slow, _ = timed(partial(by_engine, work, next(engines), kinds), clock)
        quick, rows = timed(partial(by_batches, work, next(engines), kinds), clock)
        ours, single = min(ours, quick), min(single, slow)
    against = f"{ours / len(rows) * 1e6:.1f} µs of {single / len(rows) * 1e6:.1f} a task"
    return at_most(f"{name}, batches of 50: of single tasks' time", ours / single, "x", 1, against)
