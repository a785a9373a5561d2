"""`stowplan bench gym`: steps per second of `sp.gym`, beside an environment of Python objects."""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

import stowplan as sp
from stowplan.experiments.bench.rows import Clock, Row, at_least, report
from stowplan.placement.errors import SpecError
from stowplan.placement.model import CPU, MEMORY

INSTANCES, KINDS, PER_KIND = 1_000, 24, 200
RATE_PER_S, MEAN_S = 50.0, 40.0
STEPS_LEAST, TIMES_LEAST = 20_000, 20.0


@dataclass(slots=True)
class _Machine:
    cpu: int
    memory: int
    all_cpu: int
    all_memory: int
    tasks: int = 0


class Objects:
    """The same work as most write it first: an object for each instance, and a loop over them."""

    def __init__(self, sizes: list[tuple[int, int]], machines: list[tuple[int, int]]) -> None:
        self.sizes, self._machines = sizes, machines
        self.most_cpu = max(cpu for cpu, _ in machines)
        self.most_memory = max(memory for _, memory in machines)

    def reset(self, rng: Generator, index: list[int]) -> Any:
        """A new episode."""
        self.machines = [_Machine(*each, *each) for each in self._machines]
        gaps = rng.exponential(1 / RATE_PER_S, len(index))
        self.arrive_s = np.cumsum(gaps).tolist()
        self.stay_s = rng.exponential(MEAN_S, len(index)).tolist()
        self.index, self.position, self.now_s = index, 0, 0.0
        self.ends: list[tuple[float, int, int, int]] = []
        self.cost = 0.0
        return self._seen()

    def step(self, action: int) -> tuple[Any, float, bool]:
        """The task goes to a machine; time goes on to the next."""
        cpu, memory = self.sizes[self.index[self.position]]
        machine = self.machines[action]
        machine.cpu -= cpu
        machine.memory -= memory
        machine.tasks += 1
        end_s = self.now_s + self.stay_s[self.position]
        heapq.heappush(self.ends, (end_s, action, cpu, memory))
        self.position += 1
        if self.position == len(self.index):
            return self._seen(), -self.cost, True
        at_s = self.arrive_s[self.position]
        while self.ends and self.ends[0][0] <= at_s:
            _, row, cpu, memory = heapq.heappop(self.ends)
            machine = self.machines[row]
            machine.cpu += cpu
            machine.memory += memory
            machine.tasks -= 1
        busy = sum(1 for machine in self.machines if machine.tasks)
        self.cost = busy * (at_s - self.now_s) / MEAN_S
        self.now_s = at_s
        return self._seen(), -self.cost, False

    def _seen(self) -> Any:
        """The observation, and where the next task has room."""
        kind = self.index[min(self.position, len(self.index) - 1)]
        cpu, memory = self.sizes[kind]
        wanted = cpu / self.most_cpu, memory / self.most_memory
        rows, self.mask = [], []
        for machine in self.machines:
            busy = 1.0 if machine.tasks else 0.0
            left = machine.cpu / self.most_cpu, machine.memory / self.most_memory
            rows.append((*left, busy, *wanted))
            self.mask.append(machine.cpu >= cpu and machine.memory >= memory)
        return np.array(rows, np.float32)


def gym_rows(scale: float, repeats: int, clock: Clock) -> Iterator[Row]:
    """Both environments, each with an agent that takes the first instance with room."""
    rng = np.random.default_rng(23)
    cpu, memory = rng.integers(2, 17, KINDS) * 64, rng.integers(2, 33, KINDS) * 128
    each = max(2, round(PER_KIND * scale))
    rows = [
        {"cpu": int(c), "memory": int(m), "count": each} for c, m in zip(cpu, memory, strict=True)
    ]
    cluster = sp.cluster({"m5.xlarge": max(4, round(INSTANCES * scale))})
    try:
        env = sp.gym(sp.tasks(rows), cluster, rate_per_s=RATE_PER_S, mean_s=MEAN_S)
    except SpecError as error:
        yield Row("sp.gym", None, "steps/s", STEPS_LEAST, True, str(error))
        return
    specs = [(spec.resources[CPU], spec.resources[MEMORY]) for spec in cluster.specs]
    objects = Objects(list(zip(cpu.tolist(), memory.tolist(), strict=True)), specs)
    order = np.repeat(np.arange(KINDS), each)
    ours, theirs = float("inf"), float("inf")
    for seed in range(repeats):
        ours = min(ours, _ours(env, seed, clock))
        index = np.random.default_rng(seed).permutation(order).tolist()
        some = index[: max(10, len(index) // 20)]
        theirs = min(theirs, _theirs(objects, some, np.random.default_rng(seed), clock))
    name = f"sp.gym, {len(cluster):,} instances, tasks that end"
    yield at_least(name, 1 / ours, "steps/s", STEPS_LEAST)
    against = f"{1 / theirs:,.0f} steps/s"
    yield at_least("the same: times Python objects", theirs / ours, "x", TIMES_LEAST, against)


def _ours(env: Any, seed: int, clock: Clock) -> float:
    """Seconds a step."""
    _, info = env.reset(seed=seed)
    steps, done, started = 0, False, clock.now()
    while not done:
        _, _, done, _, info = env.step(int(info["action_mask"].argmax()))
        steps += 1
    return (clock.now() - started) / steps


def _theirs(env: Objects, index: list[int], rng: Generator, clock: Clock) -> float:
    """Seconds a step."""
    env.reset(rng, index)
    steps, done, started = 0, False, clock.now()
    while not done:
        _, _, done = env.step(env.mask.index(True))
        steps += 1
    return (clock.now() - started) / steps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stowplan bench gym`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes (default: 1)")
    parser.add_argument("--repeats", type=int, default=3, help="of each figure (default: 3)")
    parser.add_argument("--wall", action="store_true", help="time by the wall clock")


def command(arguments: argparse.Namespace) -> int:
    """Measure, print and write; returns 1 where a bar is missed at full size."""
    clock = Clock(wall=arguments.wall)
    rows = gym_rows(arguments.scale, arguments.repeats, clock)
    found = report(rows, clock, arguments.json)
    return int(arguments.scale >= 1 and not all(row.ok for row in found))
