"""Batches decided by tournaments against the numpy code of the engine: the same in everything."""

from __future__ import annotations

import numpy as np
import pytest

from stowplan.placement.engine.engine import Engine, TaskBatch
from stowplan.placement.engine.kernels import contests
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.fgd import Fgd
from stowplan.placement.strategies.fgd_then_stow import FgdThenStow
from stowplan.placement.strategies.gpu_clustering import GpuClustering
from stowplan.placement.strategies.row_score import RowScore
from stowplan.placement.strategies.stow_gpu import StowGpu
from stowplan.placement.testing import add_instance, make_cluster, make_kind

SHARES = ((0, 0), (1, 300), (1, 500), (1, 1000), (2, 1000), (4, 1000), (1, 200))


def gpu_kinds(rng, chain, count=10):
    return tuple(
        make_kind(
            int(rng.integers(1, 12)),
            int(rng.integers(1, 9)),
            group=f"g{rng.integers(4)}",
            strategies=chain,
            devices=SHARES[number % len(SHARES)][0],
            device_milli=SHARES[number % len(SHARES)][1],
            constraints=("maxPerInstance:3",) if rng.random() < 0.2 else (),
            required_attributes=("rack",) if rng.random() < 0.2 else (),
            tcp=(80,) if rng.random() < 0.1 else (),
            expected_ms=int(rng.integers(1 << 20)) if rng.random() < 0.8 else None,
        )
        for number in range(count)
    )


def gpu_cluster(rng, size):
    cluster = make_cluster()
    for _ in range(size):
        rack = {"rack": "r"} if rng.random() < 0.8 else {}
        devices = (1000,) * (0, 1, 2, 4, 8)[rng.integers(5)]
        add_instance(cluster, int(rng.integers(4, 96)), 64, attributes=rack, devices=devices)
    return cluster


def tight(demand, left, registered):
    """Least CPU left, and of memory a little."""
    return (left[0] - demand[0]) + 0.25 * (left[1] - demand[1]) / max(registered[1], 1)


def known(typical):
    """The registry, with strategies that know what to expect."""
    tasks = [(kind, (number + 1) / 55) for number, kind in enumerate(typical)]
    return {
        **STRATEGIES,
        "fgd": lambda field: Fgd(tasks=tasks),
        "stow_gpu": lambda field: StowGpu(tasks=tasks),
        "fgd_then_stow": lambda field: FgdThenStow(tasks=tasks),
        "classes": lambda field: GpuClustering(groups=("g0", "g2")),
        "tight": lambda field: RowScore(tight),
    }


CHAINS = (
    *(("fgd",), ("stow_gpu",), ("fgd_then_stow",), ("gpu_packing",), ("gpu_clustering",)),
    *(("classes",), ("openb_dot_product",), ("openb_best_fit",), ("tight",), ("nilas", "fgd")),
    *(("gpu_packing", "binpack:memory"), ("classes", "tight"), ("nilas", "spread:instanceId")),
    *(("gpu_packing", "fgd", "first_fit"), ()),
)
PLAIN = (("nilas",), ("nilas", "best_fit"), ("dot_product",), ("worst_fit", "binpack:cpu"))


def hold(cluster, registry, kinds, index):
    """Twins place the batch; returns what the kernels decided."""
    fast, slow = (
        Engine(cluster.copy(), np.random.default_rng(0), registry, kernels=kernels)
        for kernels in (True, False)
    )
    half, chosen = len(index) // 2, set()
    for part in (index[:half], index[half:]):
        ours, theirs = fast.place(TaskBatch(kinds, part)), slow.place(TaskBatch(kinds, part))
        assert ours.instances.tolist() == theirs.instances.tolist()
        assert (ours.failures, ours.devices) == (theirs.failures, theirs.devices)
        for name in ("remaining", "changed_at", "device_left", "expected_exit_ms", "version"):
            same = getattr(fast.cluster, name) == getattr(slow.cluster, name)
            assert np.all(same), name
        assert fast.cluster.booked == slow.cluster.booked
        fast.cluster.check()
        chosen |= set(ours.devices.values())
    return ours, chosen


@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_batches_that_want_devices_equal_the_reference(chain):
    rng = np.random.default_rng(7)
    kinds = gpu_kinds(rng, chain)
    cluster = gpu_cluster(rng, 50)
    decision, chosen = hold(cluster, known(kinds), kinds, rng.integers(0, len(kinds), 450))
    assert decision.failures, "the world is meant to fill up"
    assert len(chosen) > 5


@pytest.mark.parametrize("chain", PLAIN, ids="-".join)
def test_several_links_and_no_device_equal_the_reference(chain):
    rng = np.random.default_rng(8)
    kinds = tuple(
        make_kind(cpu, memory, strategies=chain, expected_ms=expected)
        for cpu, memory, expected in rng.integers(1, (9, 9, 1 << 16), (8, 3)).tolist()
    )
    cluster = gpu_cluster(rng, 100)
    engine = Engine(cluster, rng, kernels=True)
    assert engine._runner.contends(kinds, 900)
    hold(cluster, STRATEGIES, kinds, rng.integers(0, len(kinds), 900))


def test_what_no_tournament_can_take_goes_the_old_way(monkeypatch):
    rng = np.random.default_rng(9)
    cluster, index = gpu_cluster(rng, 40), rng.integers(0, 6, 120)
    zone = "spread:attribute:ecs.availability-zone"
    for chain in (("fgd",), (zone, "gpu_packing")):
        kinds = gpu_kinds(rng, chain, 6)
        engine = Engine(cluster, rng, kernels=True)
        assert not engine._runner.contends(kinds, 120)
        hold(cluster, STRATEGIES, kinds, index)
    monkeypatch.setattr(contests, "TREES_MAX", 1 << 10)
    kinds = gpu_kinds(rng, ("gpu_packing",), 6)
    assert not engine._runner.contends(kinds, 120)
    hold(cluster, STRATEGIES, kinds, index)
