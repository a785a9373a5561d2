"""Rows of `bench placement` for the literature's heuristics, those of GPUs, and a user's score.

Batches of 24 kinds on 10,000 instances, for GPUs on 1,200; and tasks of which each is of a kind of
its own. All are decided in machine code, with the choices of their numpy form.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import Generator

from stowplan.experiments.bench.rows import Clock, Row, at_least
from stowplan.experiments.bench.worlds import (
    CPU_UNITS,
    MEMORY_MIB,
    batch,
    chain,
    fleet,
    mixed_kinds,
)
from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.engine.engine import Engine, TaskBatch
from stowplan.placement.model import CPU, MEMORY, PlacementStrategy, TaskKind
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.fgd import Fgd
from stowplan.placement.strategies.fgd_then_stow import FgdThenStow
from stowplan.placement.strategies.row_score import RowScore
from stowplan.placement.strategies.stow_gpu import StowGpu

KINDS, INSTANCES, GPU_INSTANCES = 24, 10_000, 1_200
RATE_LEAST, OWN_LEAST, DISTINCT_LEAST = 3e5, 1e5, 1.5e4
PLAIN = ("best_fit", "worst_fit", "dot_product", "norm_greedy", "nilas", "nilas best_fit")
DISTINCT = ("first_fit", *PLAIN)
GPU = ("gpu_packing", "gpu_clustering", "openb_dot_product", "openb_best_fit", "fgd")
OURS = ("stow_gpu", "fgd_then_stow")
# Devices that a task asks for, and thousandths of each, in turn.
SHARES = ((0, 0), (1, 100), (1, 200), (1, 250), (1, 500), (1, 500), (1, 1000), (1, 1000), (2, 1000))


def free_shares(demand: Any, left: Any, registered: Any) -> Any:
    """A user's own score: the least that would be left, as shares of the instance's own."""
    cpu, memory = (left[0] - demand[0]) / registered[0], (left[1] - demand[1]) / registered[1]
    return cpu + memory


def gpu_fleet(count: int, rng: Generator) -> Cluster:
    """Instances of two, four or eight GPUs, mostly eight."""
    cluster = Cluster()
    for row, gpus in enumerate(rng.choice([2, 4, 8, 8], count).tolist()):
        resources = {CPU: gpus * 16_000, MEMORY: gpus * 65_536}
        strings = instance_strings(f"i-{row:08x}", {})
        cluster.register(row, resources, strings, devices=[1000] * gpus)
    return cluster


def gpu_kinds(strategies: tuple[PlacementStrategy, ...]) -> tuple[TaskKind, ...]:
    """24 kinds that want no GPU, a share of one, one, or two."""
    kinds = []
    for number in range(KINDS):
        devices, milli = SHARES[number % len(SHARES)]
        amounts = (CPU, 500 * (1 + number % 4)), (MEMORY, 1024 * (1 + number % 5))
        kinds.append(
            TaskKind(
                *(amounts, f"class:{number}"),
                strategies=strategies,
                devices=devices,
                device_milli=milli,
            )
        )
    return tuple(kinds)


def expecting(kinds: tuple[TaskKind, ...]) -> tuple[TaskKind, ...]:
    """The same, expected to run from a second to two days."""
    return tuple(replace(k, expected_ms=1000 * 3 ** (i % 12)) for i, k in enumerate(kinds))


def distinct_kinds(count: int, strategies: tuple[PlacementStrategy, ...]) -> tuple[TaskKind, ...]:
    """So many kinds of which no two want the same."""
    rng = np.random.default_rng(7)
    cpu = rng.integers(CPU_UNITS[0], CPU_UNITS[-1], count)
    memory = rng.integers(MEMORY_MIB[0], MEMORY_MIB[-1], count)
    lasts = rng.permutation(count) + 1
    return tuple(
        TaskKind(((CPU, c), (MEMORY, m)), "jobs", strategies=strategies, expected_ms=1000 * s)
        for c, m, s in zip(cpu.tolist(), memory.tolist(), lasts.tolist(), strict=True)
    )


def knowing(kinds: tuple[TaskKind, ...]) -> dict[str, Callable[[str | None], Any]]:
    """The registry, where strategies of GPUs expect these kinds, and with the user's score."""
    tasks = [(kind, 1 / len(kinds)) for kind in kinds]
    own = RowScore(free_shares)
    return {
        **STRATEGIES,
        "fgd": lambda field: Fgd(tasks=tasks),
        "stow_gpu": lambda field: StowGpu(tasks=tasks),
        "fgd_then_stow": lambda field: FgdThenStow(tasks=tasks),
        "own": lambda field: own,
    }


def rate(
    cluster: Cluster, tasks: TaskBatch, known: Mapping[str, Any], repeats: int, clock: Clock
) -> float:
    """Decisions a second of the fastest run; every task must find a place."""
    best = float("inf")
    for _ in range(repeats):
        engine = Engine(cluster.copy(), np.random.default_rng(0), known, kernels=True)
        gc.collect()
        started = clock.now()
        failures = engine.place(tasks).failures
        best = min(best, clock.now() - started)
        assert not failures, f"{len(failures)} tasks found no place"
    return len(tasks) / best


def heuristic_rows(scale: float, repeats: int, clock: Clock) -> Iterator[Row]:
    """Every heuristic, each on its batch."""
    rng = np.random.default_rng(23)
    count, unit = max(8, round(INSTANCES * scale)), "decisions/s"
    cluster, known = fleet(count, rng), knowing(gpu_kinds(()))
    for name in (*PLAIN, "own"):
        kinds = expecting(mixed_kinds(KINDS, np.random.default_rng(3), chain(*name.split())))
        found = rate(cluster, batch(kinds, 20 * count, rng), known, repeats, clock)
        what = "a user's own score in numba" if name == "own" else name.replace(" ", ", ")
        least = OWN_LEAST if name == "own" else RATE_LEAST
        yield at_least(f"{what}, 24 kinds, 10,000 instances", found, unit, least)
    for name in DISTINCT:
        kinds = distinct_kinds(max(20, round(5_000 * scale)), chain(*name.split()))
        tasks = TaskBatch(kinds, np.arange(len(kinds), dtype=np.int32))
        found = rate(cluster, tasks, known, repeats, clock)
        what = name.replace(" ", ", ")
        yield at_least(f"{what}, each task a kind of its own", found, unit, DISTINCT_LEAST)
    cluster = gpu_fleet(max(8, round(GPU_INSTANCES * scale)), rng)
    for name in (*GPU, *OURS):
        tasks = batch(gpu_kinds(chain(name)), round(7.5 * cluster.size), rng)
        found = rate(cluster, tasks, known, repeats, clock)
        yield at_least(f"{name}, 24 kinds, 1,200 instances with GPUs", found, unit, RATE_LEAST)
