"""Every metric of the registry keeps the contract, and what breaks it is caught."""

from __future__ import annotations

import itertools
import math

import pytest

from stowplan.experiments.record.metrics import METRICS, Metric
from stowplan.testing import check_metric

calls = itertools.count()


@pytest.mark.parametrize("name", METRICS)
def test_a_registered_metric_keeps_the_contract(name):
    check_metric(METRICS[name], name)


def test_a_metric_of_a_users_own_keeps_the_contract():
    check_metric(Metric(lambda r: r.lost / 2, "", "less", "half of the tasks that were lost"))


def counting_down(recorder):
    recorder.lost += 1
    return 0


def named(of, unit="", better="less", about="what it is"):
    return Metric(of, unit, better, about)


CANARIES = {
    "divides by nothing": (named(lambda r: 1 / r.now_ms), "nothing happened, it raised ZeroDiv"),
    "NaN": (named(lambda r: math.nan), "not a finite number"),
    "words": (named(lambda r: "many"), "not a finite number"),
    "a truth": (named(lambda r: r.lost > 0), "not a finite number"),
    "writes": (named(counting_down), "changes the recorder"),
    "counts its calls": (named(lambda r: next(calls)), "asked again"),
    "another object": (named(lambda r: id(r)), "read from its journal"),
    "better": (named(lambda r: 0, better="lower"), "better is 'lower'"),
    "silent": (named(lambda r: 0, about=""), "says nothing about itself"),
}


@pytest.mark.parametrize("canary", CANARIES)
def test_a_metric_broken_on_purpose_is_caught(canary):
    metric, words = CANARIES[canary]
    with pytest.raises(AssertionError, match=words) as caught:
        check_metric(metric, "mine")
    assert str(caught.value).startswith("mine: ")
