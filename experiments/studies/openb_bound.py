"""What nobody can beat: an upper bound on GPU allocation.

    python -m stowplan.experiments.studies.openb_bound FOLDER

A linear program that knows all arrivals beforehand and may drop whichever it likes. Nodes of one
shape count as one big node, pods may be split over shapes and nodes; yet a device still holds only
sets of pods that fit one device. So the optimum is at least what any scheduler, online or not,
can have allocated at that load.

Source: the devices are arc flow in the sense of Valerio de Carvalho (1999), Exact solution of
bin-packing problems using column generation and branch-and-bound, Ann. Oper. Res. 86:629-659.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from ortools.linear_solver import pywraplp

from stowplan.experiments.studies.openb import parse_seeds
from stowplan.experiments.studies.openb_data import (
    DEVICE_MILLI,
    IntArray,
    Node,
    Pod,
    read_arrivals,
    read_nodes,
    read_pods,
)

Shape = tuple[int, int, int, str]  # CPU, memory, devices, model


def upper_bound(nodes: Sequence[Node], pods: Sequence[Pod], order: IntArray) -> float:
    """The most thousandths of GPUs that pods out of `order` can hold at once on `nodes`."""
    program = _Program()
    offered = (pods[index] for index in order)
    kinds = Counter((p.cpu, p.memory, p.gpus, p.milli, p.models) for p in offered)
    demand = {kind: program.limit(count) for kind, count in kinds.items()}
    shapes = Counter((n.cpu, n.memory, n.gpus, n.model) for n in nodes)
    for shape, count in shapes.items():
        _add_shape(program, shape, count, demand)
    return program.solve()


def arrived_until(pods: Sequence[Pod], order: IntArray, load: int, capacity: int) -> IntArray:
    """The arrivals up to the last that counts for `load` per cent, as the series reads it."""
    arrived = np.cumsum([pods[index].gpus * pods[index].milli for index in order])
    return order[np.round(100 * arrived / capacity) <= load]


class _Program:
    """Maximise, by rows and columns."""

    def __init__(self) -> None:
        self._solver = pywraplp.Solver.CreateSolver("GLOP")
        self._objective = self._solver.Objective()
        self._objective.SetMaximization()

    def limit(self, most: float) -> Any:
        """A row that may not exceed `most`."""
        return self._solver.Constraint(-self._solver.infinity(), float(most))

    def column(self, entries: Iterable[tuple[Any, float]], worth: float = 0.0) -> None:
        """A variable of at least 0 with its entries in the rows."""
        variable = self._solver.NumVar(0.0, self._solver.infinity(), "")
        for row, value in entries:
            row.SetCoefficient(variable, float(value))
        self._objective.SetCoefficient(variable, float(worth))

    def solve(self) -> float:
        """The optimum."""
        status = self._solver.Solve()
        assert status == pywraplp.Solver.OPTIMAL, f"GLOP ended with status {status}"
        return float(self._objective.Value())


def _add_shape(program: _Program, shape: Shape, count: int, demand: dict[Any, Any]) -> None:
    """`count` nodes of one shape: CPU, memory and devices, and the pods that may go there."""
    cpu_row, memory_row, device_row = (program.limit(count * amount) for amount in shape[:3])
    held = {}  # per share of a device: pods held, at most the places that the devices offer
    for kind, arrived in demand.items():
        cpu, memory, gpus, milli, models = kind
        fits = cpu <= shape[0] and memory <= shape[1] and gpus <= shape[2]
        if not fits or (gpus and models and shape[3] not in models):
            continue
        entries = [(arrived, 1), (cpu_row, cpu), (memory_row, memory)]
        if gpus and milli == DEVICE_MILLI:
            entries.append((device_row, gpus))
        elif gpus:
            if milli not in held:
                held[milli] = program.limit(0)
            entries.append((held[milli], gpus))
        program.column(entries, gpus * milli)
    if held:
        _add_devices(program, device_row, held)


def _add_devices(program: _Program, device_row: Any, held: dict[int, Any]) -> None:
    """Devices that are shared: each is a path through what of it is taken, an arc a pod."""
    points = {0: program.limit(0)}  # what leaves a point has come there
    program.column([(device_row, 1), (points[0], -1)])
    for milli, start in _arcs(sorted(held, reverse=True)):
        end = start + milli
        if end not in points:
            points[end] = program.limit(0)
        program.column([(points[start], 1), (points[end], -1), (held[milli], -1)])


def _arcs(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(size, start) of every way to add a pod to larger or equal ones."""
    step = gcd(DEVICE_MILLI, *sizes)
    reached = {0}
    for size in sizes:
        for start in range(0, DEVICE_MILLI - size + 1, step):
            if start in reached:
                reached.add(start + size)
                yield size, start


def main(argv: Sequence[str] | None = None) -> int:
    """Print the bound for each seed, in per cent of the GPUs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trace", default="default")
    parser.add_argument("--seeds", default="42-51")
    parser.add_argument("--load", type=int, default=100, help="arrived, in per cent of the GPUs")
    arguments = parser.parse_args(argv)
    nodes = read_nodes(arguments.folder / "openb_node_list_gpu_node.csv")
    pods = read_pods(arguments.folder / f"openb_pod_list_{arguments.trace}.csv")
    capacity = DEVICE_MILLI * sum(node.gpus for node in nodes)
    read = partial(read_arrivals, arguments.folder / "arrivals.npz", arguments.trace)
    bounds = []
    for seed in parse_seeds(arguments.seeds):
        order = read(seed, len(pods), len(nodes)).order
        offered = arrived_until(pods, order, arguments.load, capacity)
        bounds.append(100 * upper_bound(nodes, pods, offered) / capacity)
        print(f"{arguments.trace} seed {seed}: at most {bounds[-1]:.2f} %", flush=True)
    print(f"{arguments.trace} mean: at most {np.mean(bounds):.2f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
