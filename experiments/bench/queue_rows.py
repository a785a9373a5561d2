"""Rows of `bench sim` for single tasks: whole simulations beside the peers of `queues`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from stowplan.experiments.bench.churn import MEAN_S, RATE_PER_S, churn
from stowplan.experiments.bench.queues import SERVICE_S, ciw_queue, simpy_churn, simpy_queue
from stowplan.experiments.bench.rows import Row, at_most
from stowplan.experiments.bench.worlds import FLEET, fleet
from stowplan.experiments.loading.catalogue import instance_types
from stowplan.placement.scenario.scenario import Scenario

MIB = 1 << 20
PER_INSTANCE = 100  # servers of the large queue on an instance

Make = Callable[..., Scenario]


def queue(make: Make, servers: int, load: float, customers: int) -> Scenario:
    """M/M/c through a capacity provider: tasks wait inside ECS, in order of arrival."""
    each = min(servers, PER_INSTANCE)
    rate = servers * load / SERVICE_S
    until = max(1, round(customers / rate))
    options = {"rate_per_s": rate, "run": {"distribution": "exponential", "mean": SERVICE_S}}
    job = {"name": "jobs", "task_definition": "app", "kind": "poisson", "until": until}
    small = {"name": "app", "image": "app", "cpu": 64, "memory": 64}
    large = {"cpu": 64 * each, "memory": 64 * each, "price_microusd_hour": 1}
    group = {"name": "servers", "instance_type": "large", "count": servers // each}
    group |= {"zones": ["zone-a"], "capacity_provider": "servers"}
    return make(
        duration=until + 600,
        task_definitions={"app": {"family": "app", "containerDefinitions": [small]}},
        instance_types={"large": large},
        fleet=[group],
        workload=[{**job, "capacity_provider": "servers", "options": options}],
        cluster={"provisioning_quota": False, "provisioning_timeout": False},
        models={"boot": {"mean": 0}, "start": {"mean": 0}, "stop": {"mean": 0}},
    )


def mixed(make: Make, instances: int, tasks: int) -> Scenario:
    """The churn of `bench placement` as a simulation: 30 sizes, each a stream of its own."""
    sizes = churn(1).sizes
    until = max(1, round(tasks / RATE_PER_S))
    run = {"distribution": "exponential", "mean": MEAN_S}
    options = {"rate_per_s": RATE_PER_S / len(sizes), "run": run}
    documents, workload = {}, []
    for number, (cpu, memory) in enumerate(sizes):
        name = f"size-{number}"
        container = {"name": "app", "image": "app", "cpu": cpu, "memory": memory}
        documents[name] = {"family": name, "containerDefinitions": [container]}
        table = {"name": name, "task_definition": name, "kind": "poisson", "until": until}
        workload.append({**table, "options": options, "retry": until * 2, "retry_max": until * 2})
    groups = [
        {"name": name, "instance_type": name, "count": max(1, instances // len(FLEET))}
        for name in FLEET
    ]
    known = instance_types()
    types = {name: known[name].model_dump() for name in FLEET}
    return make(
        duration=until,
        task_definitions=documents,
        instance_types=types,
        fleet=[{**group, "zones": ["zone-a", "zone-b", "zone-c"]} for group in groups],
        workload=workload,
        strategies={"packed": ["binpack:memory"]},
        models={"boot": {"mean": 0}, "start": {"mean": 0}, "stop": {"mean": 0}},
    )


def least(measure: Callable[[], Any], repeats: int) -> Any:
    """The least of several measurements."""
    return min(measure() for _ in range(repeats))


def queue_rows(
    scale: float, make: Make, run: Callable[[Scenario], Any], repeats: int = 2
) -> Iterator[Row]:
    """M/M/4, M/M/10,000 and the churn, each beside its peers in this very run.

    Args:
        make: a scenario of tables.
        run: a whole simulation with metrics, in a process of its own.
    """
    customers = max(500, round(200_000 * scale))
    ours = least(lambda: run(queue(make, 4, 0.9, customers)).seconds, repeats)
    counter = least(partial(simpy_queue, 4, 0.9, customers), repeats)
    theirs = ciw_queue(4, 0.9, customers)
    against = f"SimPy with a counter {customers / counter:,.0f}"
    if theirs is None:
        against += "; ciw is not installed (pip install ciw)"
    else:
        against += f", ciw {customers / theirs:,.0f}"
    name = "M/M/4 at load 0.9, customers a second"
    rate = customers / ours
    bar = None if theirs is None else customers / theirs
    yield Row(name, rate, "1/s", bar, bar is None or rate >= bar, against)

    customers = max(500, round(300_000 * scale))
    servers = max(PER_INSTANCE, round(10_000 * scale) // PER_INSTANCE * PER_INSTANCE)
    runs = [run(queue(make, servers, 0.95, customers)) for _ in range(repeats)]
    ours = min(each.seconds for each in runs)
    counter = least(partial(simpy_queue, servers, 0.95, customers), repeats)
    against = f"{ours:.1f} s of {counter:.1f}"
    yield at_most(
        f"M/M/{servers:,} at load 0.95, of SimPy's time", ours / counter, "x", 1.5, against
    )
    peak = min(each.peak for each in runs) / MIB
    yield at_most("the same, peak memory", peak, "MiB", 120)

    instances, tasks = max(70, round(1_000 * scale)), max(500, round(20_000 * scale))
    runs = [run(mixed(make, instances, tasks)) for _ in range(repeats)]
    ours = min(each.seconds for each in runs)
    cluster, work = fleet(instances, np.random.default_rng(18)), churn(tasks)
    bare = least(lambda: simpy_churn(work, cluster)[0], repeats)
    case = f"churn of {tasks:,} single tasks on {instances:,} instances, of SimPy with numpy"
    yield at_most(case, ours / bare, "x", 1.2, f"{ours:.2f} s of {bare:.2f}")
    peak = min(each.peak for each in runs) / MIB
    yield at_most("the same, peak memory", peak, "MiB", 150)
