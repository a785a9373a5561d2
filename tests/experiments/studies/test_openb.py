"""The OpenB replays against the published figures, and what the command says to bad input."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from numpy.random import default_rng

from stowplan.experiments.cli.main import main
from stowplan.experiments.files.paths import DATA
from stowplan.experiments.studies import openb
from stowplan.experiments.studies.openb_bound import arrived_until, upper_bound
from stowplan.experiments.studies.openb_check import (
    PUBLISHED,
    TOLERANCES,
    deviations,
    read_expected,
)
from stowplan.experiments.studies.openb_data import (
    Arrivals,
    Node,
    Pod,
    read_arrivals,
    read_nodes,
    read_pods,
)
from stowplan.experiments.studies.openb_refused import RefusedRow, refused_rows, summary
from stowplan.experiments.studies.openb_series import Events, series
from stowplan.placement.errors import SpecError
from stowplan.placement.model import CPU, MEMORY
from stowplan.placement.strategies.fragmentation import fragment_classes, typical

OPENB = DATA / "openb"
NODES, PODS = OPENB / "openb_node_list_gpu_node.csv", OPENB / "openb_pod_list_default.csv"
MIB = 2**20


@pytest.fixture(scope="module")
def nodes():
    return read_nodes(NODES)


@pytest.fixture(scope="module")
def pods():
    return read_pods(PODS)


def arrivals(seed):
    return read_arrivals(OPENB / "arrivals.npz", "default", seed, 8152, 1213)


# --- against what is published --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "seed"),
    [
        ("fgd", 42),
        ("bestfit", 43),
        ("gpupacking", 42),
        *(
            pytest.param(policy, seed, marks=pytest.mark.long)
            for policy, seed in [
                ("fgd", 43),
                ("bestfit", 42),
                ("gpupacking", 43),
                ("dotprod", 42),
                ("dotprod", 43),
                ("gpuclustering", 42),
                ("gpuclustering", 43),
            ]
        ),
    ],
)
def test_every_published_point_is_met(nodes, pods, policy, seed):
    rows = openb.replay(nodes, pods, {seed: arrivals(seed)}, "default", policy, [seed])
    assert len(rows) == 131
    expected = read_expected(OPENB / "expected_per_seed.csv")["default", PUBLISHED[policy]]
    off = np.abs(deviations(rows, expected))
    assert len(off) == 13
    assert (off <= np.array(TOLERANCES) + 1e-9).all(), off.max(axis=0)


@pytest.mark.long
def test_the_end_of_an_fgd_run_is_the_artefacts_log_in_every_digit(nodes, pods):
    events, cluster = openb.run(nodes, pods, arrivals(42), "fgd", default_rng(42))
    used = cluster.registered - cluster.remaining
    assert used[:, cluster.resources.index(CPU)].sum() == 89_928_302
    assert used[:, cluster.resources.index(MEMORY)].sum() * MIB == 328_998_433_325_056
    assert events.used[-1] == 5_919_410
    assert (cluster.device_left < cluster.device_capacity).sum() == 6_189
    of = typical(openb.typical_pods(pods), cluster)
    cpu, rows = cluster.remaining[:, 0], np.arange(cluster.size)
    classes = fragment_classes(cpu, cluster.device_left, rows, of).sum(axis=0) / 1000
    assert classes.round(2).tolist() == [138.43, 85.86, 1.23, 27.28, 6.06, 33.73, 0.0]
    cluster.check()


@pytest.mark.long
def test_our_own_policy_beats_fgd_and_stays_below_the_bound(nodes, pods):
    rows = openb.replay(nodes, pods, {42: arrivals(42)}, "default", "stow_gpu", [42])
    offered = arrived_until(pods, arrivals(42).order, 100, 6_212_000)
    most = upper_bound(nodes, pods, offered) / 62_120
    assert 95.23 + 0.3 < rows[100][4] < most < 97.5


@pytest.mark.long
def test_fgd_then_stow_refuses_nothing_before_fgd_does_and_ends_fuller(nodes, pods):
    order = arrivals(42).order
    fgd, ours = (
        openb.run(nodes, pods, arrivals(42), policy, default_rng(42))[0]
        for policy in ("fgd", "fgd_then_stow")
    )
    assert np.argmax(ours.refused) >= np.argmax(fgd.refused) > 0
    load = np.round(100 * ours.arrived / 6_212_000)
    assert ours.used[load == 100].mean() > fgd.used[load == 100].mean() + 0.001 * 6_212_000
    assert ours.used[-1] > fgd.used[-1]
    large = np.array([pods[index].gpus == 8 for index in order]) & (load <= 95)
    assert (ours.refused & large).sum() <= (fgd.refused & large).sum()


def test_the_typical_pods_are_those_of_the_artefact(pods):
    found = openb.typical_pods(pods)
    first = [(dict(k.resources)[CPU], k.device_milli, k.devices, round(p, 5)) for k, p in found[:5]]
    assert len(found) == 35
    assert first == [
        (3152, 810, 1, 0.13482),
        (11300, 1000, 1, 0.11254),
        (11400, 1000, 1, 0.07713),
        (3152, 1000, 1, 0.06052),
        (11908, 470, 1, 0.04996),
    ]


# --- small worlds ---------------------------------------------------------------------------------


def tiny(policy="bestfit", rank=(0, 1), order=(0, 1, 2)):
    """Two nodes of a GPU each, of models A and B; a half for A or B, a whole one, CPU alone."""
    machines = [Node(f"n{i}", 1000, 1000, 1, model) for i, model in enumerate("AB")]
    offered = [
        Pod("a", 10, 10, 1, 500, "B|A|B"),
        Pod("b", 10, 10, 1, 1000, "A"),
        Pod("c", 10, 10, 0, 0),
    ]
    luck = Arrivals(np.array(order), np.array(rank))
    return openb.run(machines, offered, luck, policy, default_rng(0))


def test_ties_go_to_the_smallest_rank():
    assert tiny()[0].used.tolist() == [500, 500, 500]  # n0, of model A, was taken by the half
    assert tiny(rank=(1, 0))[0].used.tolist() == [500, 1500, 1500]


def test_repeated_models_count_once_and_a_pod_that_fits_nowhere_is_dropped():
    assert openb.kind_of(Pod("a", 1, 1, 1, 500, "B|A|B")).constraints[0].expression == (
        "attribute:gpu-model in ['B', 'A']"
    )
    events, cluster = tiny(order=(1, 1, 0, 0, 0))
    assert events.used.tolist() == [1000, 1000, 1500, 2000, 2000]
    assert events.arrived.tolist() == [1000, 2000, 2500, 3000, 3500]
    assert cluster.running_tasks_count.tolist() == [1, 2]


@pytest.mark.parametrize("policy", [*openb.POLICIES, "first_fit", "norm_greedy"])
def test_every_policy_places_what_fits(policy):
    assert tiny(policy, order=(1, 0, 2))[0].used.tolist() == [1000, 1500, 1500]


def test_a_load_is_the_mean_over_the_arrivals_that_reached_it_or_were_next_to_it():
    events = Events(4)
    for index, (arrived, used) in enumerate([(996, 990), (1004, 1000), (1024, 1010), (1300, 1010)]):
        events.note(index, arrived, used, 50.0)
    points = {load: values for load, *values in series(events, 1000)}
    assert points[100] == [99.5, pytest.approx(2750.0), 5.0]
    assert points[101][0] == pytest.approx((99.0 + 100.0 + 101.0) / 3)  # those of 100 and 102
    assert points[103] == points[102] == [101.0, pytest.approx(5000.0), 5.0]
    assert points[50] == [None, None, None]
    assert len(points) == 131


def test_the_bound_packs_devices_whole_but_knows_that_two_halves_make_one():
    machine = [Node("n", 1000, 1000, 2, "A")]
    kinds = {"large": Pod("l", 1, 1, 1, 700), "small": Pod("s", 1, 1, 1, 300, "A")}

    def bound(*names, cpu=1000):
        offered = [kinds[name] for name in names]
        only = [Node("n", cpu, 1000, 2, "A")] if cpu != 1000 else machine
        return upper_bound(only, offered, np.arange(len(offered)))

    assert bound("large", "large", "large") == pytest.approx(1400)
    assert bound("large", "large", "small", "small") == pytest.approx(2000)
    assert bound("large", "large", "small", "small", cpu=2) == pytest.approx(1400)


# --- the command ----------------------------------------------------------------------------------


def arguments(out, **changes):
    options = {
        "nodes": NODES,
        "pods": PODS,
        "arrivals": OPENB / "arrivals.npz",
        "trace": "default",
        "policy": "bestfit",
        "seeds": "42",
        "out": out,
    } | changes
    return ["openb", *(text for key, value in options.items() for text in (f"--{key}", str(value)))]


def world(folder):
    """Files of a world of two nodes; the command's options for it."""
    (folder / "nodes.csv").write_text("sn,cpu_milli,memory_mib,gpu,model\nn1,9,9,1,A\nn0,9,9,1,B\n")
    (folder / "pods.csv").write_text("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,1,1000\n")
    arrays = {"t/7/order": np.zeros(3, np.int16), "t/7/rank": np.array([1, 0])}
    np.savez(folder / "a.npz", **arrays)
    files = {"nodes": "nodes.csv", "pods": "pods.csv", "arrivals": "a.npz"}
    return {key: folder / name for key, name in files.items()} | {"trace": "t", "seeds": "7"}


def test_the_command_writes_the_series(tmp_path, capsys):
    assert main(arguments(tmp_path / "o.csv", **world(tmp_path))) == 0
    with (tmp_path / "o.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == openb.COLUMNS
    assert [row["arrived_pct"] for row in rows] == [str(load) for load in range(131)]
    assert rows[100]["gpu_alloc_pct"] == "100.0"
    assert rows[50]["gpu_alloc_pct"] == "50.0"


def test_refused_pods_are_told_by_size_over_load_for_every_policy(tmp_path, capsys):
    options = world(tmp_path) | {"policy": "all", "refused": tmp_path / "refused"}
    assert main(arguments(tmp_path / "o.csv", **options)) == 0
    said = capsys.readouterr().out
    with (tmp_path / "refused" / "refused.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == RefusedRow._fields
    assert {row["policy"] for row in rows} == set(openb.POLICIES)
    # Three pods of a GPU each on two GPUs: the last, at 150 % of the load, is out of the series.
    at = {int(row["arrived_pct"]): row for row in rows if row["policy"] == "fgd"}
    assert [(at[n]["arrived"], at[n]["refused"]) for n in (0, 50, 130)] == [
        ("0", "0"),
        ("1", "0"),
        ("2", "0"),
    ]
    found = json.loads((tmp_path / "refused" / "refused.json").read_text())
    assert [run["policy"] for run in found] == list(openb.POLICIES)
    assert (tmp_path / "refused" / "refused.svg").stat().st_size > 1000
    assert "fgd: refused pods of arrived ones, none" in said
    assert main(arguments(tmp_path / "o.csv", **options)) == 0  # its own folder is replaced


def test_refusals_count_from_the_load_at_which_they_came():
    pods = [Pod("a", 1, 1, 8, 1000), Pod("b", 1, 1, 1, 300), Pod("c", 1, 1, 0, 0)]
    order = [pods[0], pods[1], pods[0], pods[2]]
    events, arrived = Events(4), 0
    for index, pod in enumerate(order):
        arrived += pod.gpus * pod.milli
        events.note(index, arrived, 0, 0.0, refused=index in (2, 3))
    rows = refused_rows(events, order, 20_000, ("t", "p", 1))
    last = {row.size: row for row in rows if row.arrived_pct == 130}
    assert [(n, r.arrived, r.refused) for n, r in last.items()] == [
        ("cpu", 1, 1),
        ("share", 1, 0),
        ("8-gpu", 2, 1),
    ]
    assert [row.refused for row in rows if row.size == "8-gpu"][80:83] == [0, 0, 1]
    assert summary(rows)[0]["first_refusal_pct"] == 82


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"policy": "magic"}, "--policy magic: expected random, dotprod"),
        ({"policy": "spread"}, "--policy spread: expected random"),
        ({"seeds": "5-3"}, "--seeds 5-3: expected"),
        ({"seeds": "8"}, "no array 't/8/order'; traces: t"),
        ({"trace": "u"}, "no array 'u/7/order'"),
        ({"nodes": "none.csv"}, "none.csv: "),
    ],
)
def test_a_wrong_option_is_said_and_ends_with_two(tmp_path, capsys, changes, said):
    assert main(arguments(tmp_path / "o.csv", **(world(tmp_path) | changes))) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("nodes.csv", "sn,cpu_milli\nn,1\n", "nodes.csv:1: no column memory_mib, gpu, model"),
        ("nodes.csv", "sn,cpu_milli,memory_mib,gpu,model\nn,x,1,1,A\n", "nodes.csv:2: cpu_milli"),
        ("nodes.csv", "sn,cpu_milli,memory_mib,gpu,model\n", "nodes.csv: holds no rows"),
        ("pods.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,1,0\n", "pods.csv:2: gpu"),
        ("pods.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1\n", "pods.csv:2: not as"),
        (
            "pods.csv",
            "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,-1,1,0,0\n",
            "pods.csv:2: cpu",
        ),
        ("a.npz", "text", "a.npz: not an npz file"),
    ],
)
def test_a_wrong_file_is_said_with_its_line(tmp_path, capsys, name, text, said):
    options = world(tmp_path)
    (tmp_path / name).write_text(text)
    assert main(arguments(tmp_path / "o.csv", **options)) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"t/7/order": np.array([1]), "t/7/rank": np.array([0, 1])}, "order: must lie between"),
        ({"t/7/order": np.array([0]), "t/7/rank": np.array([0, 0])}, "rank: must hold each"),
        ({"t/7/order": np.array([0.5]), "t/7/rank": np.array([0, 1])}, "whole numbers"),
    ],
)
def test_arrivals_that_do_not_fit_are_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(SpecError, match=said):
        read_arrivals(tmp_path / "a.npz", "t", 7, 1, 2)


def test_seeds_are_read_as_ranges_and_lists():
    assert openb.parse_seeds("42-44,50, 43") == [42, 43, 44, 50]
