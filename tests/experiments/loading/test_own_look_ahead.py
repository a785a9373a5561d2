"""A strategy of a user's file that looks ahead: told of every round, and it remembers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stowplan.experiments.loading.load import load_strategies
from stowplan.experiments.loading.own_strategies import OwnStrategyError
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import PlacementError
from stowplan.placement.outlook import Outlook
from stowplan.placement.scenario.fields import parse_strategy
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.testing import add_instance, make_cluster, make_kind

TEXT = """
class Plans:
    def __init__(self, field=None):
        self.field, self.told = field, 0

    def look_ahead(self, now_ms, outlook, engine):
        if self.field == "broken":
            raise RuntimeError("no plan")
        self.told += 1

    def keys(self, task, cluster, candidates, rng):
        return candidates != self.told


class Both(Plans):
    def devices(self, task, cluster, row, rng):
        return (self.told,)


class Plain:
    def keys(self, task, cluster, candidates, rng):
        return -candidates
"""


def engine(tmp_path: Path) -> Engine:
    (tmp_path / "mine.py").write_text(TEXT)
    names = ["mine.py:Plans", "mine.py:Both", "mine.py:Plain"]
    own = load_strategies(names, tmp_path)
    cluster = make_cluster()
    for _ in range(4):
        add_instance(cluster, 8, 8, devices=(1000,) * 3)
    return Engine(cluster, np.random.default_rng(0), {**STRATEGIES, **own})


def chain(name: str, **more):
    return replace(make_kind(1, **more), strategies=(parse_strategy(name),))


def test_it_is_told_of_each_round_and_keeps_what_it_learnt_for_all_kinds(tmp_path):
    it = engine(tmp_path)
    first, second = chain("mine.py:Plans", group="a"), chain("mine.py:Plans", group="b")
    it.check(first)
    for now_ms in range(2):
        it.look_ahead(now_ms, lambda: Outlook(list, list))
    assert it.place([first, second]).instances.tolist() == [2, 2]
    it.look_ahead(3, lambda: Outlook(list, list))
    assert it.place([second, first]).instances.tolist() == [3, 3]


def test_one_that_chooses_devices_besides_does_both(tmp_path):
    it = engine(tmp_path)
    kind = chain("mine.py:Both", devices=1, device_milli=100)
    it.check(kind)
    it.look_ahead(0, lambda: Outlook(list, list))
    decision = it.place([kind])
    assert decision.instances.tolist() == [1]
    assert decision.devices == {0: (1,)}


def test_its_errors_say_where(tmp_path):
    it = engine(tmp_path)
    it.check(chain("mine.py:Plans:broken"))
    with pytest.raises(OwnStrategyError, match=r"mine\.py:8: RuntimeError: no plan"):
        it.look_ahead(0, lambda: Outlook(list, list))


def test_a_class_without_a_field_is_made_without_and_refuses_one(tmp_path):
    it = engine(tmp_path)
    assert it.place([chain("mine.py:Plain")]).instances.tolist() == [3]
    with pytest.raises(PlacementError, match="takes no field"):
        it.place([chain("mine.py:Plain:cpu")])
