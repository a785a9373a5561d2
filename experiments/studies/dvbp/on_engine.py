"""stowplan's own chains on a packing trace, by the placement engine, and its books of any run.

A server is an instance of 64 vCPU and 256 GiB, a VM a task, with shares in whole CPU units and MiB.
An instance registers when a VM fits nowhere, and stays: a chain chooses among empty ones as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import default_rng

from stowplan.experiments.studies.dvbp.replay import Offered
from stowplan.experiments.studies.dvbp.trace import RESOURCES, Ints, Trace
from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import CPU, MEMORY, PlacementStrategy, TaskKind
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import make_strategy

# What a server has: CPU units, MiB, and millionths of what the trace gives as shares alone.
SERVER = (64 * 1024, 256 * 1024, 1_000_000, 1_000_000, 1_000_000)
DAY_MS = 24 * 3600 * 1000
NAMES = (CPU, MEMORY, *RESOURCES[2:])
BY_LIFETIME = frozenset({"nilas"})  # strategies that read when a task is expected to end


def chain_of(policy: str) -> tuple[PlacementStrategy, ...]:
    """The chain that `nilas+best_fit` or `binpack:cpu` names. Raises ValueError where none is."""
    links = []
    for link in policy.split("+"):
        name, _, field = link.strip().partition(":")
        if name not in STRATEGIES:
            raise ValueError(f"{name!r} is no strategy")
        make_strategy(STRATEGIES[name], field or None)
        links.append(PlacementStrategy(name, field or None))
    return tuple(links)


def reads_lifetimes(policy: str) -> bool:
    """Whether a link of the chain that a policy names reads predictions."""
    return any(link.partition(":")[0].strip() in BY_LIFETIME for link in policy.split("+"))


def run(offered: Offered, chain: Sequence[PlacementStrategy]) -> Ints:
    """(n,) the server of each VM, as the engine places them one by one."""
    trace, cluster = offered.trace, Cluster()
    engine = Engine(cluster, default_rng(0))
    kinds = kinds_of(offered, chain)
    server = np.full(len(trace.kind), -1, np.int64)
    starts = np.rint(trace.start * DAY_MS).astype(np.int64).tolist()
    for event in offered.events.tolist():
        if event < 0:
            engine.release(kinds[~event], [int(server[~event])])
            continue
        cluster.now_ms = starts[event]
        placed = engine.place_now(kinds[event])
        if placed is None:
            register(cluster)
            placed = engine.place_now(kinds[event])
            assert placed is not None, "an empty server holds every VM"
        server[event] = placed[0]
    return server


def book(offered: Offered, server: Ints) -> None:
    """Book on the engine what a policy chose.

    Raises:
        PlacementError: the engine says that a VM has no room where it was put.
    """
    cluster = Cluster()
    for _ in range(int(server.max()) + 1):
        register(cluster)
    engine = Engine(cluster, default_rng(0))
    kinds = kinds_of(offered, ())
    for event in offered.events.tolist():
        vm = event if event >= 0 else ~event
        row = int(server[vm])
        if event < 0:
            engine.release(kinds[vm], [row])
            continue
        failure = engine.place_on(kinds[vm], row).failure
        if failure is not None:
            raise PlacementError(f"VM {vm} does not fit on server {row}: {failure}")
    cluster.check()
    assert not cluster.running_tasks_count.any(), "all VMs have ended"


def register(cluster: Cluster) -> None:
    """Add an empty server."""
    row = cluster.size
    cluster.register(
        row, dict(zip(NAMES, SERVER, strict=True)), instance_strings(f"server-{row}", {})
    )


def kinds_of(offered: Offered, chain: Sequence[PlacementStrategy]) -> list[TaskKind]:
    """Each VM as a task; those of one type are one object, where the chain reads no lifetimes."""
    trace = offered.trace
    amounts = [_amounts(trace, kind) for kind in range(len(trace.sizes))]
    if not any(link.type in BY_LIFETIME for link in chain):
        made = [TaskKind(amount, "vm", strategies=tuple(chain)) for amount in amounts]
        return [made[kind] for kind in trace.kind.tolist()]
    expected = np.rint(np.minimum(offered.lifetime, 1e6) * DAY_MS).astype(np.int64).tolist()
    same: dict[TaskKind, TaskKind] = {}
    kinds = (
        TaskKind(amounts[kind], "vm", strategies=tuple(chain), expected_ms=each)
        for kind, each in zip(trace.kind.tolist(), expected, strict=True)
    )
    return [same.setdefault(kind, kind) for kind in kinds]


def _amounts(trace: Trace, kind: int) -> tuple[tuple[str, int], ...]:
    shares = np.rint(trace.sizes[kind] * SERVER).astype(np.int64).tolist()
    return tuple((name, share) for name, share in zip(NAMES, shares, strict=True) if share)
