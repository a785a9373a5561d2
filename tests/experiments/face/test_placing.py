"""Clusters and tasks from tables, placed by strategies."""

import numpy as np
import pandas as pd
import pytest

import stowplan as sp
from stowplan._register import GIVEN
from stowplan.placement.strategies import STRATEGIES


class Fullest:
    """Least CPU left first."""

    def keys(self, task, cluster, candidates, rng):
        return cluster.remaining[candidates, cluster.resources.index("CPU")]


class Counting(Fullest):
    """Remembers how often it was asked: a copy must not tell the original."""

    def __init__(self):
        self.asked = 0

    def keys(self, *arguments):
        self.asked += 1
        return super().keys(*arguments)


def problems(call):
    with pytest.raises(sp.SpecError) as caught:
        call()
    return dict(caught.value.problems)


@pytest.fixture
def cluster():
    return sp.cluster({"m5.large": 4, "c5.large": 2}, zones=["a", "b"])


@pytest.fixture
def tasks():
    rows = {"group": ["web", "big"], "cpu": [256, 1024], "memory": [512, 2048], "count": [10, 4]}
    return sp.tasks(pd.DataFrame(rows))


def test_counts_and_rows_say_the_same_cluster(cluster):
    frame = pd.DataFrame({"instance_type": ["m5.large", "c5.large"], "count": [4, 2]})
    again = sp.cluster(frame, zones=["a", "b"])
    pd.testing.assert_frame_equal(again.frame, cluster.frame)
    assert len(cluster) == 6
    assert cluster.frame["zone"].tolist() == ["a", "b", "a", "b", "a", "b"]


def test_a_row_may_describe_a_type_of_its_own():
    rows = [
        {"instance_type": "blade", "cpu": 4096, "memory": 8192, "resource:fpga": 2, "zones": "x"},
        {"instance_type": "m5.large", "attribute:rack": "r1", "price_microusd_hour": 0},
    ]
    frame = sp.cluster(pd.DataFrame(rows)).frame
    assert frame["resource:fpga"].tolist()[0] == 2
    assert frame["attribute:rack"].tolist()[1] == "r1"
    assert frame["usd_hour"].tolist() == [0, 0]
    assert frame["memory"].tolist() == [8192, 7680]


def test_everything_that_is_wrong_with_a_cluster_is_said_at_once():
    rows = [
        {"instance_type": "m5.lage"},
        {"instance_type": "m5.large", "count": 1.5, "colour": "red"},
        {"instance_type": "blade", "cpu": -1, "memory": 1},
    ]
    found = problems(lambda: sp.cluster(rows))
    assert "did you mean m5.large?" in found["row 0: instance_type"]
    assert found["row 1: count"] == "expected a whole number of at least 1, found 1.5"
    assert "unknown" in found["column colour"]
    assert "found -1" in found["row 2: cpu"]
    assert problems(lambda: sp.cluster({})) == {"instances": "there are none"}


def test_everything_that_is_wrong_with_tasks_is_said_at_once():
    rows = [
        {"cpu": 0.5, "memory": -1},
        {"cpu": 1, "constraints": "attribute:x ==", "strategies": "binpak"},
        {"count": 3},
        {"cpu": True, "ports": [80, 70_000], "colour": "red"},
    ]
    found = problems(lambda: sp.tasks(rows))
    assert "found 0.5" in found["row 0: cpu"]
    assert "found -1" in found["row 0: memory"]
    assert found["row 1: constraints"]
    assert "did you mean binpack?" in found["row 1: strategies"]
    assert "asks for nothing" in found["row 2"]
    assert "found True" in found["row 3: cpu"]
    assert "65535" in found["row 3: ports"]
    assert "unknown" in found["column colour"]


def test_a_gap_in_a_column_makes_floats_that_are_whole():
    frame = pd.DataFrame({"cpu": [256, 128], "memory": [512, np.nan]})
    assert frame["memory"].dtype == float
    assert sp.tasks(frame).frame["memory"].tolist()[0] == 512


def test_what_a_table_says_is_what_was_decided(cluster, tasks):
    found = sp.place(tasks, cluster, strategies={"packed": "binpack:cpu", "mine": Fullest})
    table = found.placements
    packed, mine = (table[table["strategy"] == name] for name in ("packed", "mine"))
    assert packed["instance"].tolist() == mine["instance"].tolist()
    by_instance = packed.groupby("instance").size()
    instances = found.instances[found.instances["strategy"] == "packed"].set_index("instance")
    assert instances["tasks"][by_instance.index].tolist() == by_instance.tolist()
    assert instances["cpu_used"].sum() == 10 * 256 + 4 * 1024
    assert instances["memory_used"].sum() == 10 * 512 + 4 * 2048
    assert found.summary["placed"].tolist() == [14, 14]
    assert found.refusals.empty


def test_refusals_say_how_many_and_why(cluster):
    some = sp.tasks(
        [
            {"group": "huge", "cpu": 4096, "count": 3},
            {"group": "apart", "cpu": 1, "count": 8, "constraints": "distinctInstance"},
        ]
    )
    refusals = sp.place(some, cluster, "random").refusals.set_index("group")
    assert refusals.loc["huge", ["reason", "tasks"]].tolist() == ["RESOURCE:CPU", 3]
    assert refusals.loc["huge", "ruled_out"] == "6 by RESOURCE:CPU"
    assert refusals.loc["apart", "tasks"] == 2
    assert "DistinctInstance" in refusals.loc["apart", "reason"]


def test_a_seed_repeats_and_another_differs(cluster, tasks):
    first, again, other = (
        sp.place(tasks, cluster, "random", seed=seed).placements["instance"].tolist()
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_an_object_is_copied_and_a_chain_may_hold_one(cluster, tasks):
    mine = Counting()
    chain = ["spread:attribute:ecs.availability-zone", mine]
    found = sp.place(tasks, cluster, strategies={"mine": chain, "default": "default"})
    assert found.summary["placed"].tolist() == [14, 14]
    assert mine.asked == 0


def test_tasks_keep_the_chain_that_is_their_own(cluster):
    some = sp.tasks([{"cpu": 1, "count": 4, "strategies": [Fullest()]}, {"cpu": 1, "count": 4}])
    table = sp.place(some, cluster, "spread:instanceId").placements
    assert table["instance"][:4].nunique() == 1
    assert table["instance"][4:].nunique() == 4


def test_what_no_instance_has_is_an_error(cluster):
    some = sp.tasks(
        [{"group": "g", "cpu": 1, "resource:fpga": 1, "constraints": "attribute:rack == a"}]
    )
    found = problems(lambda: sp.place(some, cluster, strategies={"x": "binpack:cp"}))
    assert "no instance of the fleet has resource 'cp'" in found["strategies.x"]
    assert "'fpga'" in found["tasks of g"]
    assert "'rack'" in found["tasks of g: constraints"]


def test_no_tasks_are_placed_nowhere(cluster):
    placed = sp.place(sp.tasks(cpu=1, count=0), cluster, "random")
    assert placed.summary["placed"].item() == 0
    assert placed.summary["cpu_stranded_pct"].isna().all()
    assert not len(placed.placements)


def test_what_a_strategy_of_ones_own_reads_must_be_there(cluster):
    class Racks(Fullest):
        def __init__(self, field):
            self.field = field

        def missing(self, cluster):
            has = cluster.has_attribute(self.field)
            return None if has else f"no instance stands in a {self.field}"

    sp.strategy("racks")(Racks)
    try:
        some = sp.tasks(cpu=1, count=2)
        found = problems(lambda: sp.place(some, cluster, strategies={"x": "racks:rack"}))
        assert found == {"strategies.x": "no instance stands in a rack"}
        there = sp.cluster({"m5.large": 2}, attributes={"rack": "r1"})
        assert not len(sp.place(some, there, "racks:rack").refusals)
    finally:
        del STRATEGIES["racks"]
        GIVEN.pop(("strategy", "racks"))


@pytest.mark.parametrize(
    "given",
    [{}, {"strategy": "random", "strategies": ["random"]}, {"strategies": {}}, {"strategy": 3}],
)
def test_a_wrong_way_to_name_strategies_is_an_error(cluster, tasks, given):
    problems(lambda: sp.place(tasks, cluster, **given))


def test_a_strategy_that_raises_says_where(cluster, tasks):
    class Broken:
        def keys(self, task, cluster, candidates, rng):
            raise KeyError("oh")

    with pytest.raises(sp.OwnStrategyError, match=r"Broken: .*test_placing\.py:\d+: KeyError"):
        sp.place(tasks, cluster, Broken)


def test_plots_are_figures_with_a_curve_for_each_strategy(cluster, tasks):
    found = sp.place(tasks, cluster, strategies=["random", "binpack:cpu", "default"])
    cpu, memory = found.plot_utilisation().axes
    assert [len(axis.patches) for axis in (cpu, memory)] == [3, 3]
    packed = found.instances[found.instances["strategy"] == "binpack:cpu"]["cpu_used_pct"]
    assert cpu.patches[1].get_data().values.tolist() == sorted(packed, reverse=True)
    assert [len(axis.patches) for axis in found.plot_fragmentation().axes] == [6, 6]


def test_they_say_what_they_are(cluster, tasks):
    assert repr(cluster).startswith("<Cluster: 4 m5.large, 2 c5.large; zones a, b; $")
    assert repr(tasks) == "<Tasks: 14 of 2 kinds, 2 groups>"
    found = sp.place(tasks, cluster, "binpack:cpu")
    assert repr(found) == ("<Placement binpack:cpu: 14 placed, 0 refused, 4 of 6 instances in use>")
    for each in (cluster, tasks, found):
        assert "<table" in each._repr_html_()
