"""`stowplan bench sim`: how fast and how large a simulation is, each figure beside its bound.

Every case is a whole run as `stowplan simulate` makes it, journal and report left out: client,
scheduler, simulated agents, metrics. Each runs in a process of its own, so that its peak memory is
its own; figures are of the processor, as in `stowplan bench placement`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import simpy

from stowplan.experiments.bench.queue_rows import queue_rows
from stowplan.experiments.bench.rows import Clock, Row, at_least, at_most, report
from stowplan.experiments.bench.warm import warm
from stowplan.experiments.files.paths import DATA
from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.runs.simulate import simulate, uncollected, world
from stowplan.placement.loop import run_loop
from stowplan.placement.messages import Round, RunTask, TasksChanged
from stowplan.placement.model import TaskStatus
from stowplan.placement.scenario.scenario import Scenario

TRACE = DATA / "alibaba_batch" / "jobs.csv.gz"
GIB = 1 << 30
ZONES = ("zone-a", "zone-b", "zone-c")
HOURS = 3_600
PACKED = ("spread:attribute:ecs.availability-zone", "binpack:memory")
LARGE = {"cpu": 96 * 1024, "memory": 378_000, "price_microusd_hour": 4_608_000}


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: seconds of the processor, peak memory in bytes, and what happened in it."""

    seconds: float
    peak: int
    tasks: int
    events: int
    running: int


def scenario(**tables: Any) -> Scenario:
    """A scenario of one instance type and one task definition, `tables` besides."""
    container = {"name": "app", "image": "app", "cpu": 256, "memory": 512}
    document = {
        "name": "bench",
        "seed": 1,
        "instance_types": {"large": LARGE},
        "task_definitions": {"app": {"family": "app", "containerDefinitions": [container]}},
        "strategies": {"packed": PACKED},
    }
    return Scenario.model_validate({**document, **tables})


def fleet(count: int, zones: tuple[str, ...] = ZONES) -> list[dict[str, Any]]:
    """So many instances over the zones."""
    return [{"name": "fleet", "instance_type": "large", "count": count, "zones": zones}]


def churn(instances: int, jobs_per_s: float, count: int, seconds: int) -> Scenario:
    """Jobs of `count` tasks of half a minute each, as in a cluster that runs batch jobs."""
    options = {
        "rate_per_s": jobs_per_s,
        "count": count,
        "run": {"distribution": "exponential", "mean": 30},
    }
    job = {"name": "job", "task_definition": "app", "kind": "poisson", "until": seconds}
    return scenario(
        duration=seconds + 120, fleet=fleet(instances), workload=[{**job, "options": options}]
    )


def c2m(scale: float) -> Scenario:
    """HashiCorp's challenge: 2,000,000 containers on 6,100 instances in 10 regions."""
    services, each = 100, round(20_000 * scale)
    small = {"name": "app", "image": "app", "cpu": 64, "memory": 256}
    return scenario(
        duration=600,
        task_definitions={"app": {"family": "app", "containerDefinitions": [small]}},
        fleet=fleet(max(1, round(6_100 * scale)), tuple(f"region-{n}" for n in range(10))),
        service=[
            {"name": f"service-{n}", "task_definition": "app", "desired_count": each}
            for n in range(services)
        ],
    )


def alibaba(scale: float) -> Scenario:
    """The whole trace, or its beginning, on a fleet that is large enough for its peak."""
    return scenario(
        duration=round(17 * HOURS * scale),
        fleet=fleet(1_000),
        workload=[
            {
                "name": "batch",
                "task_definition": "app",
                "kind": "alibaba_batch",
                "file": str(TRACE),
                "group": "job",
                "options": {"machine_memory_gib": 192},
            }
        ],
    )


def day(scale: float) -> Scenario:
    """500 services of 200 tasks: each deployed once, some scaled by load, and a zone is lost."""
    services = max(1, round(500 * scale))
    load = [{"at": f"{hour}h", "value": 5_000 + 5_000 * (hour in (12, 16))} for hour in (0, 12, 16)]
    tracking = {"load": load, "repeat": "1d", "target": 50, "min_capacity": 50, "max_capacity": 300}
    tables: list[dict[str, Any]] = []
    for number in range(services):
        table = {"name": f"service-{number}", "task_definition": "app", "desired_count": 200}
        table["deploy"] = [{"at": 7_200 + 120 * number}]
        if number % 5 == 0:
            table["autoscaling"] = tracking
        tables.append(table)
    small = {"cpu": 4096, "memory": 15_576, "price_microusd_hour": 192_000}
    return scenario(
        duration=24 * HOURS,
        instance_types={"large": small},
        fleet=fleet(max(3, round(10_000 * scale))),
        service=tables,
        faults={"zone-loss": [{"kind": "zone-loss", "zone": ZONES[0], "at": 18 * HOURS}]},
    )


class _Counter:
    """What happened: tasks asked for, reports that one is RUNNING or STOPPED; and when it began."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked = self.reports = 0
        self.began = 0.0

    def __call__(self, entry: Round) -> None:
        for event in entry.events:
            if isinstance(event, TasksChanged):
                self.reports += len(event.tasks)
            elif isinstance(event, RunTask):
                self.began = self.began or self._clock.now()
                self.asked += event.count


def run_whole(made: Scenario) -> Measured:
    """One run with metrics."""
    clock, loaded = Clock(wall=False), Loaded(made, Path(), {})
    started = clock.now()
    result = simulate(loaded, next(made.runs()))
    seconds = clock.now() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    last = dict(zip(result.sample_fields, result.samples[-1], strict=True))
    started_ = int(last["started"])
    return Measured(seconds, peak, started_, started_ + int(last["finished"]), int(last["running"]))


def run_bare(made: Scenario) -> Measured:
    """One run of scheduler and simulator alone; the time is that from the first job on."""
    clock, loaded = Clock(wall=False), Loaded(made, Path(), {})
    counter = _Counter(clock)
    scheduler, driver = world(loaded, next(made.runs()), made.duration)
    with uncollected():  # as in `simulate`
        run_loop(scheduler, driver, counter)
    seconds = clock.now() - counter.began
    running = sum(status is TaskStatus.RUNNING for status in scheduler.tasks.status)
    events = counter.asked + counter.reports
    return Measured(seconds, 0, len(scheduler.tasks), events, running)


def simpy_rate(timeouts: int = 300_000) -> float:
    """Timeouts a second of SimPy alone at its fastest: one process, nothing else in its heap."""
    clock, env = Clock(wall=False), simpy.Environment()

    def wait() -> Generator[simpy.Event, Any, None]:
        for _ in range(timeouts):
            yield env.timeout(1)

    env.process(wait())
    started = clock.now()
    env.run()
    return timeouts / (clock.now() - started)


def apart(run: Callable[[Scenario], Measured], made: Scenario) -> Measured:
    """A run in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run, made).result()


def rate_rows(scale: float) -> Iterator[Row]:
    """Events a second where many tasks start at once and where few do, and what an event costs in
    a large cluster."""
    run_bare(churn(3, 10, 2, 5))  # what is compiled or imported on first use is no part of it
    ratios, texts = [], []
    for instances, count, seconds in ((10_000, 2_500, 20), (1_000, 100, 60)):
        made = churn(instances, 20, max(1, round(count * scale)), seconds)
        pairs = [(simpy_rate(), run_bare(made)) for _ in range(3)]
        bare = max(bare for bare, _ in pairs)
        rate = max(m.events / m.seconds for _, m in pairs)
        ratios.append(rate / bare)
        texts.append(f"{rate:,.0f} of {bare:,.0f}")
    against = f"{texts[0]}; {ratios[1]:.2f} ({texts[1]}) on 1,000 with 2,000 tasks a second"
    what = "events a second, 10,000 instances, 50,000 tasks a second, of bare SimPy timeouts"
    yield at_least(what, ratios[0], "x", 0.4, against)
    cost = {}
    for instances in (100, 10_000):
        made = churn(instances, 100, 1, max(1, round(120 * scale)))
        runs = [run_bare(made) for _ in range(3)]
        cost[instances] = min(m.seconds / m.events for m in runs)
    against = f"{cost[100] * 1e6:,.1f} µs at 100"
    ratio = cost[10_000] / cost[100]
    yield at_most("cost of an event at 10,000 instances, of that at 100", ratio, "x", 1.5, against)


def large_rows(scale: float) -> Iterator[Row]:
    """The large runs: time and peak memory of each."""
    for name, made, seconds in (
        ("2,000,000 containers on 6,100 instances to RUNNING", c2m(scale), 60),
        ("alibaba_batch, 2.55 million containers, 16.6 h", alibaba(scale), 120),
        ("a day of 10,000 instances, 500 services", day(scale), 120),
    ):
        found = apart(run_whole, made)
        against = f"{found.tasks:,} tasks ran, {found.running:,} at the end"
        yield at_most(name, found.seconds, "s", seconds, against)
        yield at_most("the same, peak memory", found.peak / GIB, "GiB", 6)


def single_rows(scale: float) -> Iterator[Row]:
    """Tasks that come one at a time."""
    return queue_rows(scale, scenario, partial(apart, run_whole))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stowplan bench sim`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes (default: 1)")


def command(arguments: argparse.Namespace) -> int:
    """Measure, print and write; returns 1 where a bar is missed at full size."""
    scale = arguments.scale
    warm()
    rows = chain(rate_rows(scale), single_rows(scale), large_rows(scale))
    found = report(rows, Clock(wall=False), arguments.json)
    return int(scale >= 1 and not all(row.ok for row in found))
