"""`stowplan bench placement`: how fast placement is, each figure beside what it is held against.

Everything goes through `Engine`; a figure is the best of several repeats on fresh clusters, since
other programs can only make one slower. No run counts in which a task found no place.

Times are of the processor, ours and those of what we are held against: a decision waits for
nothing, so that is the wall clock of a machine that does nothing else. How much of the wall clock
we got is printed below the table and stands in the JSON; `--wall` takes the wall clock itself.
"""

from __future__ import annotations

import argparse
import gc
import resource
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stowplan.experiments.bench.churn import churn_rows
from stowplan.experiments.bench.heuristics import heuristic_rows
from stowplan.experiments.bench.peers import moto_rate, numpy_scan, object_loop
from stowplan.experiments.bench.rows import Clock, Row, at_least, at_most, report
from stowplan.experiments.bench.warm import warm
from stowplan.experiments.bench.worlds import (
    TASKS_PER_INSTANCE,
    WITH_GPUS,
    ZONE,
    batch,
    chain,
    demanding_kinds,
    fleet,
    mixed_kinds,
)
from stowplan.placement.cluster.cluster import Cluster
from stowplan.placement.engine.engine import Engine, TaskBatch
from stowplan.placement.model import TaskKind
from stowplan.placement.strategies import STRATEGIES

BINPACK = chain("binpack:memory")
SPREAD_BINPACK = chain(f"spread:{ZONE}", "binpack:memory")
KINDS = 24
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large to make everything: 1 is the real thing, tests take less."""

    scale: float
    repeats: int
    peers: bool
    clock: Clock

    def __call__(self, count: int, least: int = 8) -> int:
        return max(least, round(count * self.scale))


class FreeCpu:
    """A user's own strategy in a line of numpy: the instance with the most CPU left."""

    def __init__(self, field: str | None = None) -> None:
        pass

    def keys(self, task: Any, cluster: Any, candidates: Any, rng: Any) -> Any:
        """Less is better."""
        return -cluster.remaining[candidates, 0]


def fastest(make: Callable[[], Callable[[], object]], sizes: Sizes, repeats: int = 0) -> float:
    """Seconds of the fastest of several runs of what `make` prepares; preparing is not timed."""
    best = float("inf")
    for _ in range(repeats or sizes.repeats):
        run = make()
        gc.collect()
        started = sizes.clock.now()
        run()
        best = min(best, sizes.clock.now() - started)
    return best


def asking(
    peer: Callable[[Cluster, TaskBatch], object], cluster: Cluster, tasks: TaskBatch
) -> Callable[[], Callable[[], object]]:
    """For `fastest`: what a peer makes of the batch; it leaves the cluster as it is."""
    return lambda: lambda: peer(cluster, tasks)


def one_by_one(
    engine: Engine, requests: Sequence[Sequence[TaskKind]]
) -> Callable[[], Callable[[], object]]:
    """For `fastest`: one request after another on the same engine."""
    return lambda: lambda: [engine.place(each) for each in requests]


def placing(cluster: Cluster, tasks: TaskBatch) -> Callable[[], Callable[[], object]]:
    """For `fastest`: place the batch on a copy of the cluster; every task must find a place."""

    def make() -> Callable[[], object]:
        engine = Engine(cluster.copy(), np.random.default_rng(0))

        def run() -> None:
            failures = engine.place(tasks).failures
            assert not failures, f"{len(failures)} tasks found no place"

        return run

    return make


def seconds_per_task(cluster: Cluster, tasks: TaskBatch, sizes: Sizes) -> float:
    """Of the fastest run."""
    return fastest(placing(cluster, tasks), sizes) / len(tasks)


def binpack_rows(sizes: Sizes) -> Iterator[Row]:
    """Throughput of one link, against a scan, a loop, and itself on more instances."""
    rng = np.random.default_rng(1)
    kinds = mixed_kinds(KINDS, rng, BINPACK)
    per_task = {}
    for count in (1_000, 10_000, 100_000):
        tasks = min(count * TASKS_PER_INSTANCE, 200_000)
        clusters = fleet(sizes(count), rng)
        per_task[count] = seconds_per_task(clusters, batch(kinds, sizes(tasks), rng), sizes)
        if count == 10_000:
            cluster = clusters
    rate = 1 / per_task[10_000]
    yield at_least("binpack(memory), 10,000 instances", rate, "decisions/s", 2e6)
    some = batch(kinds, sizes(2_000), rng)
    chosen = Engine(cluster.copy(), np.random.default_rng(0)).place(some).instances.tolist()
    for name, peer, bar, asked in (
        ("one numpy scan per decision", numpy_scan, 25.0, some),
        ("a Python loop over objects", object_loop, None, batch(kinds, sizes(50), rng)),
    ):
        assert peer is not numpy_scan or peer(cluster, some) == chosen
        slow = fastest(asking(peer, cluster, asked), sizes) / len(asked)
        case = f"the same, times as fast as {name}"
        ok = bar is None or slow * rate >= bar
        yield Row(case, slow * rate, "x", bar, ok, f"{1 / slow:,.0f} decisions/s")
    ratio = per_task[100_000] / per_task[1_000]
    against = f"{per_task[1_000] * 1e9:,.0f} ns at 1,000"
    yield at_most("cost at 100,000 instances, of that at 1,000", ratio, "x", 5, against)


def chain_rows(sizes: Sizes) -> Iterator[Row]:
    """Other chains on 10,000 instances."""
    rng = np.random.default_rng(2)
    cluster = fleet(sizes(10_000), rng)
    tasks = batch(mixed_kinds(KINDS, rng, SPREAD_BINPACK), sizes(200_000), rng)
    rate = 1 / seconds_per_task(cluster, tasks, sizes)
    yield at_least("spread(zone), binpack(memory), 10,000 instances", rate, "decisions/s", 1e6)

    others = mixed_kinds(KINDS, rng, chain("random"))
    Engine(cluster, rng).place(batch(others, sizes(50_000), rng))
    kind = mixed_kinds(KINDS, rng, chain("spread:instanceId"))[0]

    def make() -> Callable[[], object]:
        engine = Engine(cluster.copy(), np.random.default_rng(0))
        return lambda: engine.fill(kind, sizes(5_000))

    rate = sizes(5_000) / fastest(make, sizes, 3 * sizes.repeats)
    yield at_least("spread(instanceId), service of 5,000 copies", rate, "decisions/s", 1e6)

    cluster = fleet(sizes(10_000), rng, WITH_GPUS)
    tasks = batch(demanding_kinds(30, SPREAD_BINPACK), sizes(20_000), rng)
    rate = 1 / seconds_per_task(cluster, tasks, sizes)
    yield at_least("memberOf of 3 clauses, host ports, GPUs", rate, "decisions/s", 2e5)


def single_rows(sizes: Sizes) -> Iterator[Row]:
    """Decisions that cannot wait for others: a user's own strategy, and one request at a time."""
    rng = np.random.default_rng(3)
    cluster = fleet(sizes(10_000), rng)
    own = chain("mine")
    tasks = batch(mixed_kinds(KINDS, rng, own), sizes(1_000), rng)

    def make() -> Callable[[], object]:
        known = {**STRATEGIES, "mine": FreeCpu}
        engine = Engine(cluster.copy(), np.random.default_rng(0), known)
        return lambda: engine.place(tasks)

    rate = len(tasks) / fastest(make, sizes)
    yield at_least("a user's own numpy strategy, no kernel", rate, "decisions/s", 1e4)
    for name, strategies in (
        ("binpack(memory)", BINPACK),
        ("spread(zone), spread(instanceId)", chain(f"spread:{ZONE}", "spread:instanceId")),
        ("random", chain("random")),
    ):
        requests = [[kind] for kind in mixed_kinds(KINDS, rng, strategies)] * sizes(50, 2)
        engine = Engine(cluster.copy(), np.random.default_rng(0))
        p99 = min(latency(engine, requests, sizes.clock) for _ in range(sizes.repeats + 1))
        yield at_most(f"one request, p99: {name}", p99 * 1e6, "µs", 100)


def latency(engine: Engine, requests: list[Any], clock: Clock) -> float:
    """Seconds in which 99 of 100 requests are answered."""
    taken = []
    for request in requests:
        started = clock.now()
        engine.place(request)
        taken.append(clock.now() - started)
    return float(np.quantile(taken, 0.99))


def c2m_rows(sizes: Sizes) -> Iterator[Row]:
    """HashiCorp's challenge: 2,000,000 containers on 6,100 instances in 10 regions."""
    rng = np.random.default_rng(4)
    types = ("m5.2xlarge", "m5.4xlarge", "c5.4xlarge", "r5.2xlarge")
    cluster = fleet(sizes(6_100), rng, types, zones=10)
    tasks = batch(mixed_kinds(2_000, rng, SPREAD_BINPACK, shrink=3), sizes(2_000_000), rng)
    taken = fastest(placing(cluster, tasks), sizes, min(3, sizes.repeats))
    nomad = "Nomad 1.0, three schedulers: 1,334 s"
    yield at_most("2,000,000 containers, 6,100 instances, 10 regions", taken, "s", 3, nomad)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    yield at_most("the same, peak memory of this whole process", peak, "GiB", 3)


def memory_rows(sizes: Sizes) -> Iterator[Row]:
    """What an instance and a placed task cost, by what Python has allocated and kept."""
    rng = np.random.default_rng(5)
    count = sizes(10_000)
    tasks = batch(mixed_kinds(KINDS, rng, BINPACK), count * TASKS_PER_INSTANCE, rng)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    cluster = fleet(count, rng)
    registered = tracemalloc.get_traced_memory()[0]
    decision = Engine(cluster, rng).place(tasks)
    placed = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(decision.instances) == len(tasks)
    yield Row("memory per instance", (registered - before) / count, "bytes", None, True, "")
    yield Row("memory per placed task", (placed - registered) / len(tasks), "bytes", None, True, "")


def moto_rows(sizes: Sizes) -> Iterator[Row]:
    """One RunTask after another, in moto's ECS and in ours."""
    for count in (100, 1_000) if sizes.peers else ():
        rng = np.random.default_rng(6)
        requests = [[kind] for kind in mixed_kinds(KINDS, rng, chain("random"))] * 10
        engine = Engine(fleet(count, rng), rng)
        ours = fastest(one_by_one(engine, requests), sizes)
        rate, moto = len(requests) / ours, moto_rate(count, 20, sizes.clock.now)
        against = f"{moto:,.0f}/s" if moto else "moto is not installed"
        value = rate / moto if moto else None
        yield Row(f"one task, {count:,} instances: times moto", value, "x", None, True, against)


def departing_rows(sizes: Sizes) -> Iterator[Row]:
    """One task at a time with departures."""
    return churn_rows(sizes.scale, min(3, sizes.repeats), sizes.clock)


def literature_rows(sizes: Sizes) -> Iterator[Row]:
    """Heuristics of the literature, those of GPUs among them."""
    return heuristic_rows(sizes.scale, min(3, sizes.repeats), sizes.clock)


CASES = (
    *(binpack_rows, chain_rows, single_rows, departing_rows, literature_rows),
    *(c2m_rows, memory_rows, moto_rows),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stowplan bench placement`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes (default: 1)")
    parser.add_argument("--repeats", type=int, default=5, help="of each figure (default: 5)")
    parser.add_argument("--wall", action="store_true", help="time by the wall clock")
    parser.add_argument("--no-peers", action="store_true", help="leave moto out")


def command(arguments: argparse.Namespace) -> int:
    """Measure, print and write; returns 1 where a bar is missed at full size."""
    clock = Clock(wall=arguments.wall)
    sizes = Sizes(arguments.scale, arguments.repeats, not arguments.no_peers, clock)
    # What is compiled on first use is not part of any figure, and neither is loading it.
    warm()
    for rows in (binpack_rows, chain_rows, single_rows, departing_rows, literature_rows):
        list(rows(Sizes(0.004, 1, False, clock)))
    found = report((row for rows in CASES for row in rows(sizes)), clock, arguments.json)
    return int(sizes.scale >= 1 and not all(row.ok for row in found))
