"""Queues with a closed form, and the churn of single tasks: simulations beside bare SimPy and ciw.

Peers are as short as they can be: processes in SimPy with a counter or a numpy scan, a network in
ciw. They keep waits and nothing else; ours is the whole simulation with its metrics.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import simpy

from stowplan.experiments.bench.churn import MEAN_S, RATE_PER_S, Churn
from stowplan.experiments.bench.rows import Clock
from stowplan.experiments.bench.scans import Scan
from stowplan.placement.cluster.cluster import Cluster

SERVICE_S = 10.0


def simpy_queue(servers: int, load: float, customers: int) -> float:
    """Processor seconds of SimPy with a counter of free servers and a line of waiting events."""
    rng = np.random.default_rng(1)
    gaps = rng.exponential(SERVICE_S / servers / load, customers).tolist()
    stays = rng.exponential(SERVICE_S, customers).tolist()
    env = simpy.Environment()
    free, line, waits = [servers], deque[simpy.Event](), []

    def customer(stay: float) -> Generator[simpy.Event, Any, None]:
        came = env.now
        if free[0]:
            free[0] -= 1
        else:
            turn = env.event()
            line.append(turn)
            yield turn
        waits.append(env.now - came)
        yield env.timeout(stay)
        if line:
            line.popleft().succeed()
        else:
            free[0] += 1

    def source() -> Generator[simpy.Event, Any, None]:
        for gap, stay in zip(gaps, stays, strict=True):
            yield env.timeout(gap)
            env.process(customer(stay))

    env.process(source())
    seconds = _timed(env.run)
    assert len(waits) == customers
    return seconds


def ciw_queue(servers: int, load: float, customers: int) -> float | None:
    """Processor seconds of ciw; None where it is not installed."""
    try:
        import ciw
    except ImportError:
        return None
    rate = servers * load / SERVICE_S
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate)],
        service_distributions=[ciw.dists.Exponential(1 / SERVICE_S)],
        number_of_servers=[servers],
    )
    ciw.seed(1)
    simulation = ciw.Simulation(network)
    return _timed(lambda: simulation.simulate_until_max_customers(customers))


def simpy_churn(work: Churn, cluster: Cluster) -> tuple[float, int]:
    """Processor seconds of SimPy with a numpy scan for binpack:memory, and how many were placed."""
    rng = np.random.default_rng(2)
    scan, placed = Scan(cluster, len(work.sizes)), [0]
    gaps = rng.exponential(1 / RATE_PER_S, len(work.size_of)).tolist()
    stays = rng.exponential(MEAN_S, len(work.size_of)).tolist()
    env = simpy.Environment()

    def task(size: int, stay: float) -> Generator[simpy.Event, Any, None]:
        cpu, memory = work.sizes[size]
        row = scan.binpack(size, cpu, memory)
        if row >= 0:
            placed[0] += 1
            scan.book(size, row, cpu, memory)
            yield env.timeout(stay)
            scan.book(size, row, cpu, memory, -1)

    def source() -> Generator[simpy.Event, Any, None]:
        for gap, stay, size in zip(gaps, stays, work.size_of, strict=True):
            yield env.timeout(gap)
            env.process(task(size, stay))

    env.process(source())
    return _timed(env.run), placed[0]


def _timed(run: Callable[[], object]) -> float:
    gc.collect()
    clock = Clock(wall=False)
    started = clock.now()
    run()
    return clock.now() - started
