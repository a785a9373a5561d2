"""The strategies by themselves: their keys in worlds small enough to see through."""

from __future__ import annotations

import numpy as np
import pytest

from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.binpack import Binpack
from stowplan.placement.strategies.devices import fullest_devices
from stowplan.placement.strategies.random import Random
from stowplan.placement.strategies.spread import Spread
from stowplan.placement.testing import add_instance, make_cluster, make_kind

ZONE = "attribute:ecs.availability-zone"


def keys(strategy, cluster, candidates=None, kind=None, seed=0):
    rows = np.arange(cluster.size) if candidates is None else np.array(candidates, np.int64)
    rng = np.random.default_rng(seed)
    return strategy.keys(kind or make_kind(1, group="g"), cluster, rows, rng).tolist()


# --- binpack ------------------------------------------------------------------------------------


def test_binpack_is_what_remains_of_one_resource_not_a_ratio():
    cluster = make_cluster()
    add_instance(cluster, 8, 100, resources={"GPU": 1})
    add_instance(cluster, 6, 200)
    cluster.reserve(make_kind(4), 0)
    assert keys(Binpack("cpu"), cluster) == [4, 6]
    assert keys(Binpack("memory"), cluster, [1]) == [200]
    assert keys(Binpack("GPU"), cluster) == [1, 0]


@pytest.mark.parametrize("field", ["memory", "MEMORY", "Memory"])
def test_binpack_reads_ecs_fields_in_any_case(field):
    cluster = make_cluster(1, cpu=1, memory=7)
    assert keys(Binpack(field), cluster) == [7]


def test_binpack_by_a_resource_that_nobody_registered_ties_all():
    assert keys(Binpack("FPGA"), make_cluster(3), [0, 2]) == [0, 0]


@pytest.mark.parametrize("field", [None, ""])
def test_binpack_needs_a_field(field):
    with pytest.raises(ValueError, match="needs a field"):
        Binpack(field)


# --- spread -------------------------------------------------------------------------------------


def test_spread_over_instances_counts_tasks_of_the_group_on_each():
    cluster = make_cluster(3)
    for row in (0, 0, 2):
        cluster.reserve(make_kind(group="g"), row)
    cluster.reserve(make_kind(group="other"), 1)
    for field in ("instanceId", "host"):
        assert keys(Spread(field), cluster) == [2, 0, 1]
        assert keys(Spread(field), cluster, [1, 2]) == [0, 1]


def test_spread_over_an_attribute_counts_instances_that_are_no_candidates_too():
    cluster = make_cluster(4, zones="ab")
    for row in (0, 2, 2, 3):
        cluster.reserve(make_kind(group="g"), row)
    assert keys(Spread(ZONE), cluster) == [3, 1, 3, 1]
    assert keys(Spread(ZONE), cluster, [0, 1]) == [3, 1]


@pytest.mark.parametrize("counts", [(1, 0, 0), (2, 1, 1)])
def test_the_default_of_a_service_chooses_a_zone_with_fewer_tasks(counts):
    # ecs-semantics 12.1: AZ counts A1 B0 C0 -> B or C; in reverse A1 B2 C2 -> B or C.
    cluster = make_cluster(3, zones="abc")
    for row, count in enumerate(counts):
        for _ in range(count):
            cluster.reserve(make_kind(group="g"), row)
    found = keys(Spread(ZONE), cluster)
    assert [row for row, key in enumerate(found) if key == min(found)] == [1, 2]


def test_instances_that_lack_the_attribute_share_a_value_of_their_own():
    cluster = make_cluster(2, zones="ab")
    add_instance(cluster)
    add_instance(cluster)
    cluster.reserve(make_kind(group="g"), 2)
    assert keys(Spread(ZONE), cluster) == [0, 0, 1, 1]
    assert keys(Spread("attribute:nobody.has.it"), cluster) == [1, 1, 1, 1]


@pytest.mark.parametrize("field", [None, "", "zone", "attribute:", "cpu"])
def test_spread_refuses_other_fields(field):
    with pytest.raises(ValueError, match="instanceId, host or attribute:NAME"):
        Spread(field)


# --- random -------------------------------------------------------------------------------------


def test_random_prefers_every_candidate_as_often_and_avoids_every_one_as_often():
    cluster, draws = make_cluster(6), 4000
    best, worst = np.zeros(6, int), np.zeros(6, int)
    for seed in range(draws):
        found = np.array(keys(Random(), cluster, [1, 2, 4, 5], seed=seed))
        assert (found == found.min()).sum() == (found == found.max()).sum() == 1
        best[[1, 2, 4, 5][found.argmin()]] += 1
        worst[[1, 2, 4, 5][found.argmax()]] += 1
    for counts in (best, worst):
        chi2 = ((counts[[1, 2, 4, 5]] - draws / 4) ** 2 / (draws / 4)).sum()
        assert chi2 < 21.1, counts  # 0.9999 quantile of chi2 with 3 degrees; the seeds are fixed


def test_random_with_one_candidate_still_draws_once():
    rng, other = np.random.default_rng(1), np.random.default_rng(1)
    assert len(Random().keys(make_kind(), make_cluster(1), np.array([0]), rng)) == 1
    other.random()
    assert rng.random() == other.random()


def test_random_ignores_its_field():
    cluster = make_cluster(5)
    assert keys(STRATEGIES["random"]("cpu"), cluster) == keys(Random(), cluster)


# --- devices ------------------------------------------------------------------------------------


def test_the_fullest_devices_that_fit_are_taken_lowest_index_first():
    cluster = make_cluster(1, devices=(1000, 400, 700, 400, 100))
    add_instance(cluster, devices=(1000,))

    def chosen(devices, milli):
        return fullest_devices(make_kind(devices=devices, device_milli=milli), cluster, 0)

    assert chosen(1, 100) == (4,)
    assert chosen(1, 300) == (1,)
    assert chosen(2, 300) == (1, 3)
    assert chosen(3, 300) == (1, 2, 3)
    assert chosen(1, 1000) == (0,)
