"""Every strategy of the registry keeps the contract, and what breaks it is caught."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.binpack import Binpack
from stowplan.placement.strategies.devices import fullest_devices
from stowplan.placement.testing import check_strategy

ZONE = "attribute:ecs.availability-zone"
# The fields that each strategy takes. One that is new and not named here is checked without any.
FIELDS = {
    "binpack": ("cpu", "MEMORY", "GPU", "of_my_own"),
    "spread": ("instanceId", "host", ZONE, "attribute:stack"),
    "best_fit": (None, "cpu", "of_my_own"),
    "worst_fit": (None, "cpu", "of_my_own"),
}


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name in STRATEGIES for field in FIELDS.get(name, (None,))],
)
def test_a_registered_strategy_keeps_the_contract(name, field):
    check_strategy(STRATEGIES[name], field)


def test_a_strategy_in_ten_lines_of_a_users_own_keeps_the_contract():
    class MostFree:
        """Prefers the instance that has most of all its resources left, relatively."""

        def __init__(self, field):
            pass

        def keys(self, task, cluster, candidates, rng):
            total = np.maximum(cluster.registered[candidates], 1)
            return -(cluster.remaining[candidates] / total).sum(axis=1)

    check_strategy(MostFree)


def test_first_fit_by_row_number_and_a_noisy_strategy_keep_the_contract():
    check_strategy(keys_are(lambda task, cluster, candidates, rng: candidates))
    check_strategy(keys_are(lambda task, cluster, candidates, rng: rng.random(len(candidates))))


# --- canaries: broken on purpose, each must be caught ---------------------------------------------


def keys_are(function, **more):
    """A factory of strategies whose keys are `function(task, cluster, candidates, rng)`."""
    body = {"__init__": lambda self, field: None}
    body |= {"keys": lambda self, *args: function(*args)}
    return type("Canary", (), body | more)


def left(cluster, candidates):
    return cluster.remaining[candidates, 0]


def booking(task, cluster, candidates, rng):
    keys = left(cluster, candidates).copy()
    cluster.reserve(task, int(candidates[0]))
    return keys


def booking_for_a_moment(task, cluster, candidates, rng):
    cluster.reserve(task, int(candidates[0]))
    cluster.release(task, int(candidates[0]))
    return left(cluster, candidates)


def subtracting_in_place(task, cluster, candidates, rng):
    keys = cluster.remaining[:, 0]  # a view
    keys -= 1
    return keys[candidates]


def reordering_candidates(task, cluster, candidates, rng):
    keys = left(cluster, candidates)
    candidates[:] = candidates[::-1].copy()
    return keys


def draining(task, cluster, candidates, rng):
    cluster.set_connected(int(candidates[-1]), False)
    return left(cluster, candidates)


def scribbling_on_counts(task, cluster, candidates, rng):
    counts = cluster.group_count(task.group)
    counts += 1
    return counts[candidates]


calls = itertools.count()
CANARIES = {
    "too many keys": (lambda t, c, rows, rng: c.remaining[:, 0], "keys of shape"),
    "too few keys": (lambda t, c, rows, rng: left(c, rows)[1:], "keys of shape"),
    "a column of keys": (lambda t, c, rows, rng: c.remaining[rows, :1], "keys of shape"),
    "fails with one candidate": (
        lambda t, c, rows, rng: left(c, rows) - np.sort(left(c, rows))[1],
        "raised IndexError",
    ),
    "a list": (lambda t, c, rows, rng: [0] * len(rows), "a list, not a numpy array"),
    "words": (lambda t, c, rows, rng: np.array(["a"] * len(rows)), "not numbers"),
    "NaN": (lambda t, c, rows, rng: 0 * left(c, rows) / np.float64("nan"), "not finite"),
    "infinity": (lambda t, c, rows, rng: left(c, rows) + np.inf, "not finite"),
    "books": (booking, "changed what it was given: version, remaining"),
    "books and releases": (booking_for_a_moment, "changed what it was given: version"),
    "writes into remaining": (subtracting_in_place, "read-only"),
    "writes into counts": (scribbling_on_counts, "read-only"),
    "turns candidates around": (reordering_candidates, "changed what it was given: candidates"),
    "disconnects an agent": (draining, "changed what it was given: version, agent_connected"),
    "numpy's global randomness": (
        lambda t, c, rows, rng: np.random.rand(len(rows)),  # noqa: NPY002
        "asked again with an equal rng",
    ),
    "Python's global randomness": (
        lambda t, c, rows, rng: np.array([random.random() for _ in rows]),
        "asked again with an equal rng",
    ),
    "a generator of its own": (
        lambda t, c, rows, rng: np.random.default_rng().permutation(len(rows)),
        "asked again with an equal rng",
    ),
    "counts its calls": (
        lambda t, c, rows, rng: (rows + next(calls)) % 3,
        "asked again with an equal rng",
    ),
    "ignores candidates": (
        lambda t, c, rows, rng: c.remaining[: len(rows), 0].copy(),
        "not aligned with the candidates",
    ),
    "keys in order of size": (
        lambda t, c, rows, rng: np.argsort(-c.registered[:, 0], kind="stable")[: len(rows)],
        "not aligned with the candidates",
    ),
    "decides nothing": (lambda t, c, rows, rng: np.zeros(len(rows)), "decides nothing"),
    "draws in vain": (
        lambda t, c, rows, rng: left(c, rows) + 0 * rng.integers(9, size=len(rows)),
        "nothing that it draws changes a key",
    ),
}


@pytest.mark.parametrize("canary", CANARIES)
def test_a_strategy_broken_on_purpose_is_caught(canary):
    function, words = CANARIES[canary]
    with pytest.raises(AssertionError, match=words) as caught:
        check_strategy(keys_are(function))
    assert str(caught.value).startswith("Canary: ")


def test_a_strategy_that_remembers_is_caught():
    class Remembers:
        """Always the keys of the first question that had as many candidates."""

        def __init__(self, field):
            self.seen = {}

        def keys(self, task, cluster, candidates, rng):
            return self.seen.setdefault(len(candidates), left(cluster, candidates))

    with pytest.raises(AssertionError, match="remembers earlier calls"):
        check_strategy(Remembers)


def test_a_field_that_is_never_read_is_caught():
    class Deaf(Binpack):
        """Takes a field, as OpenDC's filter scheduler took its subset size."""

        def __init__(self, field):
            super().__init__("cpu")

    check_strategy(Deaf)
    with pytest.raises(AssertionError, match="any other field gives the same keys"):
        check_strategy(Deaf, "memory")


def test_a_field_that_the_factory_refuses_is_named():
    with pytest.raises(AssertionError, match=r"Spread\('zone'\): cannot be made: ValueError"):
        check_strategy(STRATEGIES["spread"], "zone")


def first_devices(self, task, cluster, row, rng):
    return tuple(range(task.devices))


def emptiest_devices(self, task, cluster, row, rng):
    return tuple(sorted(np.argsort(-cluster.device_left[row])[: task.devices].tolist()))


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        (lambda self, task, *_: (), "not a tuple of"),
        (lambda self, task, *_: [0, 1][: task.devices], "not a tuple of"),
        (lambda self, task, *_: (0,) * task.devices, "not a tuple of"),
        (lambda self, task, *_: (*range(task.devices), 0), "not there, or one twice"),
        (lambda self, task, *_: tuple(range(90, 90 + task.devices)), "not there"),
        (lambda self, task, c, row, rng: (next(calls), 1)[: task.devices], "equal rng"),
        (first_devices, "one does not fit"),
    ],
)
def test_a_wrong_choice_of_devices_is_caught(devices, words):
    with pytest.raises(AssertionError, match=words):
        check_strategy(keys_are(lambda t, c, rows, rng: left(c, rows), devices=devices))


def test_a_right_choice_of_devices_is_accepted():
    def fullest(self, task, cluster, row, rng):
        return fullest_devices(task, cluster, row)

    for devices in (fullest, emptiest_devices):
        check_strategy(keys_are(lambda t, c, rows, rng: 0 * rows, devices=devices))
