"""The published heuristics: fixed points of the papers and artefacts, and kernels against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng

from stowplan.placement.engine.engine import Engine
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.best_fit import BestFit
from stowplan.placement.strategies.dot_product import DotProduct
from stowplan.placement.strategies.fgd import Fgd
from stowplan.placement.strategies.fgd_then_stow import WHOLE_LAST, FgdThenStow
from stowplan.placement.strategies.fragmentation import (
    NA,
    Q1,
    Q2,
    Q3,
    Q4,
    XL,
    XR,
    Typical,
    after,
    fragment_classes,
    fragments,
)
from stowplan.placement.strategies.fragmentation_kernels import descent_row, descent_score
from stowplan.placement.strategies.fragmentation_kernels import fragments as fragments_kernel
from stowplan.placement.strategies.gpu_clustering import GpuClustering
from stowplan.placement.strategies.gpu_packing import packing_scores
from stowplan.placement.strategies.openb import OpenbBestFit, OpenbDotProduct, OpenbRandom
from stowplan.placement.strategies.stow_gpu import StowGpu, expected, stranded
from stowplan.placement.strategies.stow_kernels import stow_row
from stowplan.placement.strategies.stow_kernels import stranded as stranded_kernel
from stowplan.placement.testing import add_instance, make_cluster, make_kind

ROWS = np.array([0])


def placed(cluster, *kinds, **own):
    """Rows of the kinds, one after the other."""
    engine = Engine(cluster, default_rng(0), {**STRATEGIES, **own})
    return engine.place(kinds).instances.tolist()


def keys(strategy, kind, cluster):
    rows = np.flatnonzero(Engine(cluster, default_rng(0)).allowed(kind))
    return strategy.keys(kind, cluster, rows, default_rng(0)).tolist()


def columns(*tasks, allowed=True, rows=1):
    """Typical tasks as (share, CPU, thousandths, devices)."""
    share, cpu, milli, devices = (np.array(column) for column in zip(*tasks, strict=True))
    mask = np.full((len(tasks), rows), allowed)
    return Typical(share.astype(float), cpu, milli, devices, mask)


def test_first_next_best_and_worst_fit_part_on_the_textbook_case():
    def rows(strategy):
        cluster = make_cluster(3, cpu=10)
        small, large = (make_kind(cpu=cpu, strategies=[strategy]) for cpu in (3, 6))
        return placed(cluster, large, large, small, small, small)

    assert rows("first_fit") == [0, 1, 0, 1, 2]
    assert rows("next_fit") == [0, 1, 1, 2, 2]
    assert rows("best_fit") == [0, 1, 0, 1, 2]
    assert rows("worst_fit") == [0, 1, 2, 2, 0]


def test_next_fit_never_looks_back_before_it_has_gone_round():
    cluster = make_cluster(3, cpu=10)
    kinds = [make_kind(cpu=cpu, strategies=["next_fit"]) for cpu in (6, 6, 4, 4, 10, 4)]
    assert placed(cluster, *kinds) == [0, 1, 1, 2, -1, 2]


def test_best_fit_by_a_field_looks_at_that_resource_alone():
    cluster = make_cluster()
    add_instance(cluster, cpu=8, memory=100)
    add_instance(cluster, cpu=9, memory=10)
    kind = make_kind(cpu=1, memory=1)
    assert keys(BestFit("cpu"), kind, cluster) == [7 / 9, 8 / 9]
    assert keys(BestFit("memory"), kind, cluster) == [99 / 100, 9 / 100]
    assert keys(BestFit(), kind, cluster) == [7 / 9 + 99 / 100, 8 / 9 + 9 / 100]


def test_dot_product_sends_a_task_where_what_it_needs_is_plentiful():
    cluster = make_cluster(2, cpu=10, memory=10)
    cluster.reserve(make_kind(cpu=8), 0)
    cluster.reserve(make_kind(memory=8), 1)
    assert placed(cluster, make_kind(cpu=1, memory=2, strategies=["dot_product"])) == [0]
    assert placed(cluster, make_kind(cpu=2, memory=1, strategies=["dot_product"])) == [1]


def test_dot_product_takes_shares_of_the_instances_own_capacity():
    cluster = make_cluster(1, cpu=10, memory=20)
    cluster.reserve(make_kind(cpu=5), 0)
    found = keys(DotProduct(), make_kind(cpu=2, memory=5), cluster)
    assert found == pytest.approx([-(0.2 * 0.5 + 0.25 * 1.0)])


def test_norm_greedy_takes_the_least_squared_slack():
    cluster = make_cluster(2, cpu=10, memory=10)
    cluster.reserve(make_kind(cpu=8), 0)
    cluster.reserve(make_kind(cpu=4, memory=4), 1)
    # Slack after (1, 1): (1, 9) and (5, 5): the sums are equal, the squares are not.
    assert placed(cluster, make_kind(cpu=1, memory=1, strategies=["norm_greedy"])) == [1]


@pytest.mark.parametrize(
    ("left", "milli", "devices", "score"),
    [
        ([200, 1000, 1000, 500], 1000, 2, 48),
        ([1000] * 4, 1000, 2, 29),
        ([1000] * 8, 1000, 2, 25),
        ([200, 1000, 1000, 500], 200, 2, 93),
    ],
)
def test_gpu_packing_scores_as_its_own_tests_say(left, milli, devices, score):
    kind = make_kind(devices=devices, device_milli=milli)
    have = np.ones((1, len(left)), np.bool_)
    assert packing_scores(np.array([left]), have, kind).tolist() == [score]


def test_gpu_clustering_prefers_its_own_class_then_mixed_then_empty_then_others():
    cluster = make_cluster(4, devices=[1000] * 8)
    share, whole = make_kind(group="share", cpu=1), make_kind(group="1-gpu", cpu=1)
    for kind, row in ((whole, 0), (share, 2), (whole, 2), (share, 3), (make_kind(cpu=1), 3)):
        cluster.reserve(kind, row)
    kind = make_kind(group="share", devices=1, device_milli=500)
    assert keys(GpuClustering(groups=("share", "1-gpu")), kind, cluster) == [0, -25, -50, -75]
    assert keys(GpuClustering(), kind, cluster) == [0, -25, -50, -50]  # every task counts
    assert keys(GpuClustering(), make_kind(cpu=1), cluster) == [0, 0, 0, 0]


def test_gpu_clustering_prefers_the_fuller_within_a_class():
    cluster = make_cluster(2, devices=[1000] * 8)
    cluster.reserve(make_kind(group="x", devices=4, device_milli=1000), 1, (0, 1, 2, 3))
    kind = make_kind(group="y", devices=1, device_milli=1000)
    assert keys(GpuClustering(), kind, cluster) == [-25, -12]
    assert keys(GpuClustering(device_milli_most=16_000), kind, cluster) == [-37, -18]


def test_openb_scores_are_cut_to_whole_numbers_of_fixed_normalisers():
    cluster = make_cluster(1, cpu=64_000, devices=[1000] * 4)
    kind = make_kind(cpu=32_000, devices=1, device_milli=500)
    # 64/128 * 32/128 + 4/8 * 0.5/8 = 0.15625; halved, from one: 92.1875.
    assert keys(OpenbDotProduct(), kind, cluster) == [-92]
    # Half of 32/128 and half of 3.5/8: 0.34375, from one: 65.625.
    assert keys(OpenbBestFit(), kind, cluster) == [-65]
    assert keys(OpenbBestFit(cpu_most=64_000), kind, cluster) == [-53]
    assert keys(OpenbDotProduct(device_milli_most=4_000), kind, cluster) == [-87]


def test_openb_random_draws_instance_and_device():
    cluster = make_cluster(3, devices=[1000, 400, 1000])
    kind = make_kind(devices=1, device_milli=500, strategies=["openb_random"])
    engine, strategy = Engine(cluster, default_rng(0)), OpenbRandom()
    seen = {strategy.devices(kind, cluster, 0, default_rng(seed)) for seed in range(20)}
    assert seen == {(0,), (2,)}
    assert set(engine.place([kind] * 6).instances.tolist()) == {0, 1, 2}


# --- fragments ------------------------------------------------------------------------------------


def test_fragments_of_a_node_as_the_artefacts_tests_say():
    # 2,700 thousandths are left, the CPU for the task is not: all of it, times its share.
    of = columns((0.0933, 6000, 465, 1))
    left = np.array([[200, 1000, 1000, 500]])
    assert fragments(np.array([1000]), left, ROWS, of) == pytest.approx(251.91)
    assert fragments(np.array([0]), np.array([[1000] * 4 + [0] * 4]), ROWS, columns((1, 1, 5, 1)))


@pytest.mark.parametrize(
    ("cpu", "task", "allowed", "found"),
    [
        (5, (1, 10, 1000, 4), True, {Q1: 2700}),
        (10, (1, 10, 1000, 4), True, {Q2: 2700}),
        (10, (1, 10, 500, 2), True, {Q3: 2500, Q2: 200}),
        (5, (1, 10, 500, 2), True, {Q4: 2700}),
        (10, (1, 10, 0, 0), True, {XL: 2700}),
        (5, (1, 10, 0, 0), True, {XR: 2700}),
        (10, (1, 10, 500, 2), False, {NA: 2700}),
        (10, (1, 10, 0, 0), False, {XL: 2700}),
    ],
)
def test_every_class_of_fragment(cpu, task, allowed, found):
    left = np.array([[200, 1000, 1000, 500]])
    bins = fragment_classes(np.array([cpu]), left, ROWS, columns(task, allowed=allowed))
    assert {index: amount for index, amount in enumerate(bins[0]) if amount} == found


def test_no_change_in_fragments_scores_exactly_fifty():
    assert [descent_score(gain) for gain in (0.0, 1e3, -1e3, 1e-9, -1e-9)] == [50, 73, 26, 50, 49]


def test_fgd_mends_a_broken_device_before_it_breaks_a_whole_one():
    whole = make_kind(cpu=1, devices=1, device_milli=1000)
    half = make_kind(cpu=1, devices=1, device_milli=500, strategies=["mine"])
    cluster = make_cluster(2, cpu=100, devices=[1000, 1000])
    cluster.reserve(half, 1, (1,))
    engine = Engine(cluster, default_rng(0), {"mine": lambda _: Fgd(tasks=[(whole, 1.0)])})
    decision = engine.place([half])
    assert (decision.instances.tolist(), decision.devices) == ([1], {0: (1,)})


@pytest.mark.parametrize("make", [Fgd, StowGpu, FgdThenStow])
def test_without_a_workload_the_tasks_that_run_are_typical(make):
    cluster = make_cluster()
    add_instance(cluster, cpu=200, devices=[1000] * 4)
    add_instance(cluster, cpu=100, devices=[1000] * 4)
    plain, whole = make_kind(cpu=95), make_kind(cpu=10, devices=4, device_milli=1000)
    nobody = keys(make(), plain, cluster)
    assert nobody[0] == nobody[1]
    cluster.reserve(whole, 0, (0, 1, 2, 3))
    # On the second instance the four GPUs would be left with too little CPU for such a task.
    learned = keys(make(), plain, cluster)
    assert learned[0] < learned[1]
    assert learned == keys(make(tasks=[(whole, 1.0)]), plain, cluster)
    cluster.release(whole, 0, (0, 1, 2, 3))
    assert keys(make(), plain, cluster) == nobody


@pytest.mark.parametrize("make", [Fgd, StowGpu, FgdThenStow])
def test_keys_that_are_kept_equal_keys_made_anew(make):
    rng = default_rng(3)
    tasks = [(make_kind(cpu=c, devices=1, device_milli=m), 0.5) for c, m in ((3, 400), (8, 1000))]
    cluster, kept = make_cluster(6, cpu=40, devices=[1000] * 4), make(tasks=tasks)
    kind = make_kind(cpu=2, devices=1, device_milli=300)
    for _ in range(30):
        assert keys(kept, kind, cluster) == keys(make(tasks=tasks), kind, cluster)
        row = int(rng.integers(6))
        device = int(np.argmax(cluster.device_left[row]))
        if cluster.remaining[row, 0] >= 2 and cluster.device_left[row, device] >= 300:
            cluster.reserve(kind, row, (device,))
    add_instance(cluster, cpu=40, devices=[1000] * 4)
    assert keys(kept, kind, cluster) == keys(make(tasks=tasks), kind, cluster)


def test_stow_gpu_sees_gpus_without_cpu_where_one_more_task_would_fit():
    typical = make_kind(cpu=10, devices=1, device_milli=1000)
    cluster = make_cluster(2, cpu=40, devices=[1000] * 4)
    cluster.reserve(make_kind(cpu=10), 0)  # CPU for three more of four GPUs, and for all four
    cluster.reserve(make_kind(devices=1, device_milli=1000), 0, (0,))
    cluster.reserve(make_kind(devices=2, device_milli=1000), 1, (0, 1))
    plain = make_kind(cpu=15)
    fgd, ours = Fgd(tasks=[(typical, 1.0)]), StowGpu(tasks=[(typical, 1.0)])
    assert keys(fgd, plain, cluster) == [-50, -50]
    assert keys(ours, plain, cluster)[1] == 0 < keys(ours, plain, cluster)[0]


def test_fgd_then_stow_is_fgd_until_nine_tenths_of_the_gpus_are_in_use():
    typical = make_kind(cpu=10, devices=1, device_milli=1000)
    cluster = make_cluster(5, cpu=40, devices=[1000] * 4)
    cluster.reserve(make_kind(cpu=10), 0)
    filler = make_kind(devices=1, device_milli=1000)
    plain, part = make_kind(cpu=15), make_kind(cpu=1, devices=1, device_milli=300)
    both = FgdThenStow(tasks=[(typical, 1.0)])
    used = [(row, device) for row in (4, 3, 2, 1, 0) for device in range(4)][:19]
    for number, (row, device) in enumerate(used):
        turn = (StowGpu if number >= 18 else Fgd)(tasks=[(typical, 1.0)])
        rows = np.flatnonzero((cluster.device_left >= 300).any(axis=1))
        for kind in (plain, part):
            mine = both.keys(kind, cluster, rows, default_rng(0))
            theirs = turn.keys(kind, cluster, rows, default_rng(0)).astype(float)
            if number >= 18:
                whole = (cluster.device_left[rows] == 1000).all(axis=1)
                theirs[whole] += WHOLE_LAST
            assert mine.tolist() == theirs.tolist()
        chosen = both.devices(part, cluster, int(rows[0]), default_rng(0))
        assert chosen == turn.devices(part, cluster, int(rows[0]), default_rng(0))
        cluster.reserve(filler, row, (device,))


# --- kernels against the readable form ------------------------------------------------------------


@st.composite
def nodes(draw):
    count = draw(st.integers(1, 6))
    amounts = st.integers(0, 10).map(lambda tenth: 100 * tenth)
    left = [draw(st.lists(amounts, min_size=4, max_size=4)) for _ in range(count)]
    cpu = draw(st.lists(st.integers(0, 40), min_size=count, max_size=count))
    return np.array(cpu), np.array(left)


@st.composite
def typicals(draw, rows=6):
    shapes = st.sampled_from([(0, 0), (100, 1), (300, 1), (700, 1), (1000, 1), (1000, 2)])
    task = st.tuples(st.integers(1, 100), st.integers(0, 40), shapes)
    tasks = draw(st.lists(task, min_size=1, max_size=6))
    total = sum(count for count, _, _ in tasks)
    of = columns(*((count / total, cpu, *shape) for count, cpu, shape in tasks), rows=rows)
    mask = draw(st.lists(st.booleans(), min_size=of.allowed.size, max_size=of.allowed.size))
    return of._replace(allowed=np.array(mask).reshape(of.allowed.shape))


@given(nodes(), typicals())
def test_the_kernels_compute_what_the_readable_forms_say(state, of):
    cpu, left = state
    rows = np.arange(len(cpu))
    assert (
        fragments_kernel(cpu, left, rows, *of).tolist() == fragments(cpu, left, rows, of).tolist()
    )
    ours = expected(of)
    lost = [stranded_kernel(cpu[row], left[row], row, *ours) for row in rows]
    assert lost == stranded(cpu, left, rows, ours).tolist()


@given(nodes(), typicals(), st.integers(0, 20), st.sampled_from([(0, 0), (1, 300), (2, 1000)]))
def test_the_score_of_a_row_is_the_drop_from_before_to_after(state, of, task_cpu, shape):
    cpu, left = state
    devices, milli = shape
    kind = make_kind(cpu=task_cpu, devices=devices, device_milli=milli)
    ours = expected(of)
    for row in np.flatnonzero((cpu >= task_cpu) & ((left >= milli).sum(axis=1) >= devices)):
        fitting = [device for device in range(left.shape[1]) if left[row, device] >= milli]
        if devices == 2:
            choices = [fitting[:2]]  # of wholly free ones the first
        else:
            choices = [[device] for device in fitting] if devices else [[]]
        results = []
        for chosen in choices:
            state = np.array([cpu[row] - task_cpu]), after(kind, left[row], chosen)[None]
            at = np.array([row])
            fgd = fragments(cpu[at], left[at], at, of) - fragments(*state, at, of)
            own = stranded(cpu[at], left[at], at, ours) - stranded(*state, at, ours)
            results.append((descent_score(float(fgd[0])), int(own[0])))
        arguments = (cpu[row], left[row], row, task_cpu, devices, milli)
        for column, kernel, of_kernel in ((0, descent_row, of), (1, stow_row, ours)):
            scores = [result[column] for result in results]
            score, device = kernel(*arguments, *of_kernel)
            assert score == max(scores)
            assert device == (choices[scores.index(score)][0] if devices == 1 else -1)


def test_strategies_that_take_no_field_say_so():
    for name in ("first_fit", "next_fit", "dot_product", "norm_greedy", "gpu_packing", "fgd"):
        with pytest.raises(ValueError, match="takes no field"):
            STRATEGIES[name]("cpu")
