"""The benchmark runs and says what it must; whether the bars are met is for a quiet machine."""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import pytest

from stowplan.experiments.bench import peers as bench_peers
from stowplan.experiments.bench import placement as bench_placement
from stowplan.experiments.bench.worlds import batch, chain, fleet, mixed_kinds
from stowplan.placement.engine.engine import Engine


def run(*arguments):
    parser = argparse.ArgumentParser()
    bench_placement.add_arguments(parser)
    return bench_placement.command(parser.parse_args(arguments))


def test_a_small_run_prints_and_writes_every_figure(tmp_path, capsys):
    target = tmp_path / "bench.json"
    small = ("--scale", "0.004", "--repeats", "1", "--no-peers")
    assert run(*small, "--json", str(target)) == 0
    answer = json.loads(target.read_text())
    assert set(answer) == {"rows", "machine", "versions"}
    fields = {"case", "value", "unit", "bar", "ok", "against"}
    assert all(set(row) == fields and row["value"] > 0 for row in answer["rows"])
    printed = capsys.readouterr().out
    for row in answer["rows"]:
        assert row["case"].split(",")[0][:20] in printed
    bars = [row["bar"] for row in answer["rows"] if row["bar"] is not None]
    assert {2e6, 25, 5, 1e6, 3e5, 2e5, 1e5, 1.5e4, 1e4, 100, 3, 1.5, 1} == set(bars)


def test_the_peers_decide_as_the_engine_does():
    rng = np.random.default_rng(0)
    cluster = fleet(30, rng)
    tasks = batch(mixed_kinds(9, rng, chain("binpack:memory")), 700, rng)
    chosen = Engine(cluster.copy(), rng).place(tasks).instances.tolist()
    assert chosen == bench_peers.numpy_scan(cluster, tasks)
    assert chosen == bench_peers.object_loop(cluster, tasks)


@pytest.mark.long
def test_moto_is_measured_where_it_is_installed():
    rate = bench_peers.moto_rate(2, 1, time.perf_counter)
    assert rate is None or rate > 0
