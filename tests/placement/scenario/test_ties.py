"""What ties to the end of a chain: which chains can, and what the setting makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import PlacementStrategy
from stowplan.placement.scenario.fields import parse_strategy
from stowplan.placement.scenario.scenario import Run, Scenario
from stowplan.placement.scenario.ties import chain_of, has_open_ties, ties_problems
from stowplan.placement.testing import add_instance, make_cluster, make_kind

ZONES = "spread:attribute:ecs.availability-zone"
RANDOM = PlacementStrategy("random")


def scenario(chain, service=True, **changes):
    table = {"name": "s", "task_definition": "t"} | changes.pop("table", {})
    tables = {"service": [table]} if service else {"workload": [table | {"kind": "burst"}]}
    return Scenario.model_validate(
        {"name": "x", "duration": "1m", "task_definitions": {"t": {}}, "strategies": {"a": chain}}
        | tables
        | changes
    )


def chain(made, ties=None):
    [table] = (*made.service, *made.workload)
    return chain_of(made, Run("a", "shared", "none", ties), table)


@pytest.mark.parametrize(
    ("links", "open_"),
    [
        ("binpack:memory", True),
        ([ZONES, "spread:instanceId"], True),
        ("random", False),
        ([ZONES, "random"], False),
        (["random", "binpack:cpu"], False),
        ("first_fit", False),
        ("next_fit", False),
        ("mine.py:Mine", True),
    ],
)
def test_a_chain_that_leaves_more_than_one_ends_in_a_draw(links, open_):
    own = tuple(map(parse_strategy, links if isinstance(links, list) else [links]))
    made = scenario(links)
    assert chain(made) == chain(made, "lowest") == own
    assert chain(made, "random") == ((*own, RANDOM) if open_ else own)
    assert chain(scenario(links, ties="random")) == chain(made, "random")
    assert chain(scenario(links, ties="random"), "lowest") == own
    assert has_open_ties(made, "a") is open_


def test_the_default_of_tasks_is_random_already_and_that_of_services_is_not():
    assert chain(scenario("default", service=False), "random") == ()
    assert not has_open_ties(scenario("default", service=False), "a")
    zones, instances = parse_strategy(ZONES), parse_strategy("spread:instanceId")
    assert chain(scenario("default"), "random") == (zones, instances, RANDOM)
    assert has_open_ties(scenario("default"), "a")


def test_a_chain_of_its_own_counts_and_a_daemon_has_none():
    own = {"table": {"strategy": "binpack:cpu"}}
    assert has_open_ties(scenario("random", **own), "a")
    assert not has_open_ties(scenario("binpack:cpu", table={"strategy": "random"}), "a")
    daemon = {"table": {"scheduling_strategy": "DAEMON"}}
    assert chain(scenario("binpack:cpu", **daemon), "random") == (parse_strategy("binpack:cpu"),)
    assert not has_open_ties(scenario("binpack:cpu", **daemon), "a")
    changed = scenario("random", settings={"a": {"s": {"strategy": "binpack:cpu"}}})
    assert has_open_ties(changed, "a")


def test_a_chain_of_five_has_no_room_for_one_more():
    five = ["binpack:cpu", "binpack:memory", ZONES, "spread:instanceId", "dot_product"]
    assert not has_open_ties(scenario(five), "a")
    assert list(ties_problems(scenario(five))) == []
    [(place, what)] = ties_problems(scenario(five, ties="random"))
    assert place == "strategies.a"
    assert "no room for the last one" in what
    [(place, _)] = ties_problems(scenario("random", ties="random", table={"strategy": five}))
    assert place == "service[0].strategy"
    assert list(ties_problems(scenario([*five[:4], "random"], ties="random"))) == []


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "reference"])
def test_each_instance_that_ties_is_as_likely(kernels):
    """A zone with three empty instances beside one that holds a task of the group."""
    cluster = make_cluster()
    for zone in "abbb":
        add_instance(cluster, 9999, 9999, zone=zone)
    made = scenario(ZONES)
    texts = [
        f"{link.type}:{link.field}" if link.field else link.type for link in chain(made, "random")
    ]
    assert texts == [ZONES, "random"]
    kind = make_kind(1, 1, strategies=texts, group="service:s")
    engine = Engine(cluster, np.random.default_rng(3), kernels=kernels)
    counts = np.zeros(4, int)
    for _ in range(600):
        rows = [int(engine.place([kind]).instances[0]) for _ in range(2)]
        for row in rows:
            counts[row] += 1
            engine.release(kind, [row])
    # One of two goes to the zone of one instance, the other to any of the three.
    assert counts[0] == 600
    assert counts[1:].min() > 0.8 * 200
    lowest = Engine(cluster, np.random.default_rng(3), kernels=kernels)
    plain = make_kind(1, 1, strategies=[ZONES], group="service:s")
    assert {int(lowest.place([plain]).instances[0]) for _ in range(4)} == {0, 1}
