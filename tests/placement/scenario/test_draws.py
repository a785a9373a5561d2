"""Times drawn by name: their means are those that were asked for, and nonsense is refused."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from stowplan.placement.scenario.fields import Distribution
from stowplan.placement.scenario.models import sampler

DRAWS = 100_000
KINDS = {
    "pareto": ({"mean": "10s", "shape": 3.0}, stats.pareto(3, scale=20_000 / 3)),
    "weibull": ({"mean": "10s", "shape": 2.0}, stats.weibull_min(2, scale=10_000 / 0.886227)),
    "scipy:gamma": ({"parameters": {"a": 2.0}, "scale": "5s"}, stats.gamma(2, scale=5_000)),
    "scipy:norm": (
        {"parameters": {"loc": 3.0, "scale": 0.5}, "scale": "1s"},
        stats.norm(3_000, 500),
    ),
    "exponential": ({"mean": "10s"}, stats.expon(scale=10_000)),
}


def drawn(seed=1, **keys):
    return np.array(sampler(Distribution(**keys), np.random.default_rng(seed))(DRAWS))


@pytest.mark.parametrize("name", KINDS)
def test_draws_are_of_the_distribution(name):
    keys, truth = KINDS[name]
    found = drawn(distribution=name, **keys)
    assert stats.kstest(found[:20_000], truth.cdf).statistic < 0.012
    assert found.mean() == pytest.approx(truth.mean(), rel=0.03)


def test_a_mixture_has_the_means_and_the_weights():
    keys = {"means": ["1s", "40s"], "weights": [3.0, 1.0]}
    found = drawn(distribution="hyperexponential", **keys)
    assert found.mean() == pytest.approx(0.75 * 1_000 + 0.25 * 40_000, rel=0.03)
    assert found.std() / found.mean() > 1.5  # more than an exponential's


def test_a_table_has_its_weights():
    found = drawn(distribution="empirical", samples=["1s", "2s", "9s"], weights=[2.0, 0.0, 6.0])
    assert set(found) == {1_000, 9_000}
    assert (found == 9_000).mean() == pytest.approx(0.75, abs=0.01)


def test_the_same_seed_draws_the_same():
    for name, (keys, _) in KINDS.items():
        assert (drawn(7, distribution=name, **keys) == drawn(7, distribution=name, **keys)).all()


WRONG = {
    "did you mean pareto": {"distribution": "parato", "mean": "1s"},
    "needs shape": {"distribution": "weibull", "mean": "1s"},
    "needs mean": {"distribution": "pareto", "shape": 2.0},
    "above 1": {"distribution": "pareto", "mean": "1s", "shape": 1.0},
    "no continuous distribution 'gama'": {"distribution": "scipy:gama", "scale": "1s"},
    "no continuous distribution 'poisson'": {"distribution": "scipy:poisson", "scale": "1s"},
    "needs scale": {"distribution": "scipy:gamma", "parameters": {"a": 1.0}},
    "needs parameters a": {"distribution": "scipy:gamma", "scale": "1s"},
    "no distribution with": {
        "distribution": "scipy:gamma",
        "parameters": {"a": -1.0},
        "scale": "1s",
    },
    "1 times, but 2 weights": {
        "distribution": "hyperexponential",
        "means": ["1s"],
        "weights": [0.5, 0.5],
    },
    "all weights are 0": {"distribution": "empirical", "samples": ["1s"], "weights": [0.0]},
}


@pytest.mark.parametrize("words", WRONG)
def test_nonsense_is_refused(words):
    with pytest.raises(ValidationError, match=words):
        Distribution(**WRONG[words])
