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
from stowplan.placement.testing import check_constraint, make_cluster, make_kind

QUERY_SUBJECTS = {"attribute", "task", "not"}


def check(name):
    return check_of(PlacementConstraint(name, getattr(CONSTRAINTS[name], "example", None)))


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_registered_constraint_keeps_the_contract(name):
    check_constraint(CONSTRAINTS[name])


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
def test_sentences_call_it_by_its_name(name):
    assert check(name).words.startswith(name)


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


# --- canaries: broken on purpose, each must be caught ---------------------------------------------


def fewer_than_two(task, cluster):
    return cluster.group_count(task.group) < 2


def booking(task, cluster):
    mask = fewer_than_two(task, cluster)
    cluster.reserve(task, 0)
    return mask


def scribbling(task, cluster):
    cluster.group_count(task.group)[:] = 0
    return fewer_than_two(task, cluster)


def drawing(task, cluster):
    return np.random.random(cluster.size) < 0.5  # noqa: NPY002


def by_row_number(task, cluster):
    return np.arange(cluster.size) % 4 < 2


def made(allows=None, **more):
    """A class of constraints with that `allows`, and what else it states."""

    def body(self, task, cluster):
        return allows(task, cluster)

    def takes_any(self, expression):
        pass

    own = {"__init__": takes_any} | ({"allows": body} if allows else {}) | more
    return type("Canary", (Constraint,), own)


def only_numbers(self, expression):
    self.most = int(expression)


CANARIES = {
    "asks for nothing": (made(), "asks for nothing"),
    "no room at all": (made(most=0), "most is 0, not a whole number"),
    "a truth for a number": (made(most=True), "most is True"),
    "a query in words": (made(query="attribute:rack == r1"), "query is .*not what parse_query"),
    "one verdict for all": (made(lambda t, c: True), "expected 6 truth values"),
    "numbers": (made(lambda t, c: c.remaining[:, 0]), "expected 6 truth values"),
    "one row short": (made(lambda t, c: c.active[1:]), "expected 6 truth values"),
    "raises": (made(lambda t, c: c.nothing), "allows raised AttributeError"),
    "books": (made(booking), "changed the cluster"),
    "writes into counts": (made(scribbling), "changed the cluster|allows raised ValueError"),
    "draws": (made(drawing), "asked again"),
    "row numbers": (made(by_row_number), "judges by row numbers"),
    "says it lasts and does not": (
        made(fewer_than_two, volatile=False),
        "says that it is not volatile",
    ),
    "TypeError for no expression": (
        made(__init__=only_numbers, example="2"),
        "of the expression None raises TypeError",
    ),
    "does not take its own example": (
        made(__init__=only_numbers, example="two"),
        "cannot be made of 'two'",
    ),
}


@pytest.mark.parametrize("canary", CANARIES)
def test_a_constraint_broken_on_purpose_is_caught(canary):
    factory, words = CANARIES[canary]
    with pytest.raises(AssertionError, match=words) as caught:
        check_constraint(factory)
    assert str(caught.value).startswith("Canary: ")


def test_code_that_is_right_keeps_the_contract():
    check_constraint(made(fewer_than_two))
    check_constraint(made(lambda t, c: np.ones(c.size, np.bool_), volatile=False))
