"""Every constraint of the registry keeps the contract of its class; one that is new is found."""

from __future__ import annotations

import re

import numpy as np
import pytest

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.placement.constraints import CONSTRAINTS, Constraint, check_of
from stowplan.placement.model import InstanceStatus, PlacementConstraint
from stowplan.placement.reasons import constraint_of
from stowplan.placement.scenario.fields import parse_constraint
from stowplan.placement.testing import make_cluster, make_kind

QUERY_SUBJECTS = {"attribute", "task", "not"}


def check(name):
    return check_of(PlacementConstraint(name, getattr(CONSTRAINTS[name], "example", None)))


def worlds():
    """(cluster, whether tasks run on it): the same instances, with more and more tasks."""
    for tasks in (0, 5, 20):
        cluster = make_cluster(6, zones="abc", cpu=99, attributes={"rack": "r1"})
        rng = np.random.default_rng(tasks)
        for row in rng.integers(0, 6, tasks).tolist():
            cluster.reserve(make_kind(1, group=f"family:{row % 2}"), row)
        if tasks:
            cluster.set_status(5, InstanceStatus.DRAINING)
            cluster.set_connected(4, False)
        yield cluster


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_it_states_something_and_takes_its_own_example(name):
    found = check(name)
    assert (found.most, found.query, found.code) != (None, None, None), "it asks for nothing"
    assert found.most is None or found.most >= 1
    assert found.words.startswith(name)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_scenario_names_it_and_the_reference_tells_of_it(name):
    assert re.fullmatch("[a-z][A-Za-z0-9]*", name)
    assert name not in QUERY_SUBJECTS
    example = getattr(CONSTRAINTS[name], "example", None)
    text = name if example is None else f"{name}: {example}"
    assert parse_constraint(text) == PlacementConstraint(name, example)
    (row,) = re.findall(r"^\| constraint \|.*$", (SCENARIOS / "REFERENCE.md").read_text(), re.M)
    assert name in row


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_its_reason_says_its_name(name):
    reason = check(name).reason
    assert reason.lower().startswith(name.lower())
    assert constraint_of(reason) == name


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_what_it_says_lasts_does_last_whatever_runs(name):
    found = check(name)
    for group in ("family:0", "family:1"):
        kind = make_kind(1, group=group)
        masks = [found.fixed(kind, cluster) for cluster in worlds()]
        assert all((mask == masks[0]).all() for mask in masks)
        if not found.volatile:
            masks = [found.allows(kind, cluster) for cluster in worlds()]
            assert all((mask == masks[0]).all() for mask in masks)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_what_it_allows_is_all_that_it_says(name):
    found = check(name)
    for cluster in worlds():
        kind = make_kind(1, group="family:1")
        expected = np.ones(cluster.size, np.bool_)
        if found.most is not None:
            expected &= cluster.group_count(kind.group) < found.most
        if found.query is not None:
            expected &= found.query.mask(cluster)
        if found.code is not None:
            expected &= found.code.allows(kind, cluster)
        assert found.allows(kind, cluster).tolist() == expected.tolist()


def test_code_that_says_it_lasts_and_does_not_is_caught(monkeypatch):
    class Liar(Constraint):
        volatile = False

        def __init__(self, expression):
            pass

        def allows(self, task, cluster):
            return cluster.group_count(task.group) == 0

    monkeypatch.setitem(CONSTRAINTS, "liar", Liar)
    with pytest.raises(AssertionError):
        test_what_it_says_lasts_does_last_whatever_runs("liar")
