"""Replays the OpenB evaluation (Weng et al., USENIX ATC'23) through the placement engine.

Pods arrive one at a time and stay; one that fits nowhere is dropped. What the policies do is in
`placement/strategies`; here pods become kinds of tasks, nodes become instances, and the state after
each arrival becomes the published series. Origin of the files: experiments/data/openb/README.md.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import Generator, default_rng

from stowplan.experiments.loading.extensions import add_entry_points
from stowplan.experiments.studies.openb_data import (
    DEVICE_MILLI,
    Arrivals,
    Node,
    Pod,
    read_arrivals,
    read_nodes,
    read_pods,
)
from stowplan.experiments.studies.openb_refused import (
    RefusedRow,
    print_refused,
    refused_rows,
    size_of,
    write_refused,
)
from stowplan.experiments.studies.openb_series import Events, series
from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import SpecError
from stowplan.placement.model import CPU, MEMORY, PlacementConstraint, PlacementStrategy, TaskKind
from stowplan.placement.registry import Registry
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.fgd import Fgd
from stowplan.placement.strategies.fgd_then_stow import FgdThenStow
from stowplan.placement.strategies.fragmentation import Typical, typical
from stowplan.placement.strategies.gpu_clustering import GpuClustering
from stowplan.placement.strategies.protocol import Strategy, make_strategy
from stowplan.placement.strategies.stow_gpu import StowGpu

PODS, PODS_MAX = "PODS", 1001
MODEL = "gpu-model"
TYPICAL_SHARE = 0.95  # of the pods that the typical ones must make up
COLUMNS = (
    "trace",
    "policy",
    "seed",
    "arrived_pct",
    "gpu_alloc_pct",
    "frag_ratio_pct",
    "frag_amount_pct_of_capacity",
)
Row = tuple[str, str, int, int, float | None, float | None, float | None]
Tasks = Sequence[tuple[TaskKind, float]]
_CHAIN = (PlacementStrategy("policy"),)


class Workload(NamedTuple):
    """What a policy may know before the first pod arrives: the GPU classes, the typical pods."""

    groups: tuple[str, ...]
    tasks: Tasks


# Each makes the strategy of one run from what may be known of the workload.
_SHIPPED: Mapping[str, Callable[[Workload], Strategy]] = {
    "random": lambda workload: make_strategy(STRATEGIES["openb_random"], None),
    "dotprod": lambda workload: make_strategy(STRATEGIES["openb_dot_product"], None),
    "gpuclustering": lambda workload: GpuClustering(groups=workload.groups),
    "gpupacking": lambda workload: make_strategy(STRATEGIES["gpu_packing"], None),
    "bestfit": lambda workload: make_strategy(STRATEGIES["openb_best_fit"], None),
    "fgd": lambda workload: Fgd(tasks=workload.tasks),
    "stow_gpu": lambda workload: StowGpu(tasks=workload.tasks),
    "fgd_then_stow": lambda workload: FgdThenStow(tasks=workload.tasks),
}
POLICIES: Registry[Callable[[Workload], Strategy]] = Registry("policy", _SHIPPED)


def replay(
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    arrivals: Mapping[int, Arrivals],
    trace: str,
    policy: str,
    seeds: Sequence[int],
) -> list[Row]:
    """The published series of each of `seeds`, 131 rows a seed.

    Args:
        nodes, pods: sorted by name, as the readers return them.
        arrivals: by seed.
        policy: a name in POLICIES, or of a strategy that needs no field.
    """
    rows: list[Row] = []
    for seed in seeds:
        events, _ = run(nodes, pods, arrivals[seed], policy, default_rng(seed))
        rows += _series_rows(events, nodes, (trace, policy, seed))
    return rows


def _series_rows(events: Events, nodes: Sequence[Node], of: tuple[str, str, int]) -> list[Row]:
    capacity = DEVICE_MILLI * sum(node.gpus for node in nodes)
    return [(*of, *point) for point in series(events, capacity)]


def run(
    nodes: Sequence[Node], pods: Sequence[Pod], arrivals: Arrivals, policy: str, rng: Generator
) -> tuple[Events, Cluster]:
    """Offer every pod in turn; what stood after each arrival, and the cluster at the end."""
    cluster = make_cluster(nodes, arrivals.rank)
    # One object for all pods of a kind: the engine looks them up in many dictionaries.
    same: dict[TaskKind, TaskKind] = {}
    kinds = [same.setdefault(kind, kind) for kind in map(kind_of, pods)]
    workload = Workload(gpu_groups(kinds), typical_pods(pods))
    engine = Engine(cluster, rng, {"policy": _factory(policy, workload)})
    columns = typical(workload.tasks, cluster)
    events = Events(len(arrivals.order))
    state = _Fragments(cluster, columns)
    arrived = used = 0
    for index, pod in enumerate(arrivals.order.tolist()):
        kind = kinds[pod]
        gpu = kind.devices * kind.device_milli
        arrived += gpu
        decision = engine.place((kind,))
        if not decision.failures:
            used += gpu
            state.update(int(decision.instances[0]))
        events.note(index, arrived, used, state.total(), bool(decision.failures))
    return events, cluster


def make_cluster(nodes: Sequence[Node], rank: Sequence[int] | np.ndarray) -> Cluster:
    """The nodes as instances, in the order of their rank: ties go to the lowest row."""
    cluster = Cluster()
    for row, index in enumerate(np.argsort(rank).tolist()):
        node = nodes[index]
        cluster.register(
            row,
            {CPU: node.cpu, MEMORY: node.memory, PODS: PODS_MAX},
            instance_strings(node.name, {MODEL: node.model}),
            devices=[DEVICE_MILLI] * node.gpus,
        )
    return cluster


def kind_of(pod: Pod) -> TaskKind:
    """A pod as the engine sees it: its GPU class is its group, gpu_spec a memberOf constraint."""
    amounts = ((CPU, pod.cpu), (MEMORY, pod.memory), (PODS, 1))
    constraints: tuple[PlacementConstraint, ...] = ()
    if pod.gpus and pod.models:
        listed = ", ".join(f"'{model}'" for model in pod.models)
        expression = f"attribute:{MODEL} in [{listed}]"
        constraints = (PlacementConstraint("memberOf", expression),)
    return TaskKind(
        tuple((name, amount) for name, amount in amounts if amount),
        size_of(pod),
        constraints=constraints,
        strategies=_CHAIN,
        devices=pod.gpus,
        device_milli=pod.milli,
    )


def gpu_groups(kinds: Sequence[TaskKind]) -> tuple[str, ...]:
    """The classes of pods with GPUs."""
    return tuple(sorted({kind.group for kind in kinds if kind.devices}))


def typical_pods(pods: Sequence[Pod]) -> list[tuple[TaskKind, float]]:
    """The most frequent shapes of pods that make up 95 % of them, with their shares of those."""
    shapes = Counter((pod.cpu, pod.milli, pod.gpus, pod.spec) for pod in pods)
    order = sorted(((count, *shape) for shape, count in shapes.items()), reverse=True)
    kept, covered = [], 0
    for shape in order:
        if covered >= TYPICAL_SHARE * len(pods):
            break
        kept.append(shape)
        covered += shape[0]
    # Shares of all pods, divided by the share of those kept: rounded in this order, as published.
    # With count / covered, ties that FGD's whole numbers make fall another way on some traces.
    part = covered / len(pods)
    return [
        (kind_of(Pod("", cpu, 0, gpus, milli, spec)), count / len(pods) / part)
        for count, cpu, milli, gpus, spec in kept
    ]


class _Fragments:
    """The fragments of every node, of which each placement changes one."""

    def __init__(self, cluster: Cluster, columns: Typical) -> None:
        from stowplan.placement.strategies.fragmentation_kernels import fragment, fragments

        self._cluster, self._columns = cluster, columns
        self._cpu = cluster.resources.index(CPU)
        self._fragment = fragment
        state = cluster.remaining[:, self._cpu], cluster.device_left
        self._of_row = fragments(*state, np.arange(cluster.size), *columns)

    def update(self, row: int) -> None:
        cpu, left = self._cluster.remaining[row, self._cpu], self._cluster.device_left[row]
        self._of_row[row] = self._fragment(cpu, left, row, *self._columns)

    def total(self) -> float:
        return float(self._of_row.sum())


def _factory(policy: str, workload: Workload) -> Callable[[str | None], Strategy]:
    if policy in POLICIES:
        return lambda field: POLICIES[policy](workload)
    return partial(STRATEGIES[policy])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stowplan openb`."""
    parser.add_argument("--nodes", type=Path, required=True, help="node list (CSV)")
    parser.add_argument("--pods", type=Path, required=True, help="pod list (CSV)")
    parser.add_argument("--arrivals", type=Path, required=True, help="orders and ranks (NPZ)")
    parser.add_argument("--trace", required=True, help="name of the trace in the NPZ")
    names = ", ".join(POLICIES)
    parser.add_argument(
        "--policy",
        required=True,
        help=f"{names}, or a strategy without field; several with commas, or all",
    )
    parser.add_argument("--seeds", required=True, help="such as 42-51 or 42,44")
    parser.add_argument("--out", type=Path, required=True, help="the series (CSV)")
    parser.add_argument(
        "--refused",
        type=Path,
        metavar="FOLDER",
        help="refused pods by size over load: refused.csv, refused.json, refused.svg; replaced if "
        "such a one is there",
    )
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """`stowplan openb`: replays the runs and writes their series."""
    seeds = parse_seeds(arguments.seeds)
    add_entry_points("policies", POLICIES)
    policies = parse_policies(arguments.policy)
    nodes, pods = read_nodes(arguments.nodes), read_pods(arguments.pods)
    sizes, trace = (len(pods), len(nodes)), arguments.trace
    arrivals = {s: read_arrivals(arguments.arrivals, trace, s, *sizes) for s in seeds}
    rows: list[Row] = []
    refused: list[RefusedRow] = []
    for policy in policies:
        for seed in seeds:
            events, _ = run(nodes, pods, arrivals[seed], policy, default_rng(seed))
            of = trace, policy, seed
            rows += _series_rows(events, nodes, of)
            capacity = DEVICE_MILLI * sum(node.gpus for node in nodes)
            refused += refused_rows(events, [pods[i] for i in arrivals[seed].order], capacity, of)
            print(f"{trace} {policy} seed {seed}: done", file=sys.stderr)
    write_rows(arguments.out, rows)
    if arguments.refused is not None:
        write_refused(arguments.refused, refused)
    print_refused(refused)
    print(f"{arguments.out}: {len(rows)} rows")
    return 0


def parse_policies(text: str) -> list[str]:
    """Names out of `fgd,stow_gpu` or `all`. Raises SpecError where one is not known."""
    names = [*POLICIES] if text == "all" else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in POLICIES:
            _check_strategy(name)
    return list(dict.fromkeys(names))


def write_rows(
    path: Path, rows: Sequence[Sequence[object]], columns: Sequence[str] = COLUMNS
) -> None:
    """Write the CSV file whole or not at all. Raises SpecError where it cannot be written."""
    scratch = path.with_name(f".{path.name}.part")
    try:
        with scratch.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
        os.replace(scratch, path)
    except OSError as error:
        raise SpecError([(f"--out {path}", error.strerror or str(error))]) from error


def parse_seeds(text: str, option: str = "--seeds") -> list[int]:
    """Seeds out of `42-51`, `42,44` or both. Raises SpecError where it is neither."""
    seeds: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()) or int(high or low) < int(low):
            raise SpecError([(f"{option} {text}", "expected seeds such as 42-51 or 42,44")])
        seeds += range(int(low), int(high or low) + 1)
    return list(dict.fromkeys(seeds))


def _check_strategy(policy: str) -> None:
    try:
        make_strategy(STRATEGIES[policy], None)
    except (KeyError, ValueError) as error:
        known = ", ".join(POLICIES)
        what = f"expected {known} or the name of a strategy that needs no field"
        raise SpecError([(f"--policy {policy}", what)]) from error
