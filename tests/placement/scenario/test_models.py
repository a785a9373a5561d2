"""Samplers draw what the model says, and streams of chance do not touch each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stowplan.placement.chance import stream
from stowplan.placement.scenario.fields import Distribution
from stowplan.placement.scenario.models import sampler


def model(**fields) -> Distribution:
    return Distribution.model_validate(fields)


def draws(n: int = 20_000, seed: int = 1, **fields) -> np.ndarray:
    return np.array(sampler(model(**fields), stream(seed, "test"))(n))


def test_a_constant_is_always_the_same():
    assert set(draws(100, mean="250ms")) == {250}


def test_nothing_may_take_no_time():
    assert set(draws(100, mean=0)) == {0}


def test_an_exponential_has_the_mean_and_the_spread_that_it_should():
    drawn = draws(distribution="exponential", mean="10s")
    # Four standard errors of the mean; an exponential's deviation is its mean.
    assert drawn.mean() == pytest.approx(10_000, abs=4 * 10_000 / math.sqrt(len(drawn)))
    assert drawn.std() == pytest.approx(10_000, rel=0.05)


def test_a_lognormal_has_the_median_and_the_sigma_that_it_should():
    drawn = draws(distribution="lognormal", median="257ms", sigma=0.141)
    assert np.median(drawn) == pytest.approx(257, rel=0.01)
    assert np.log(drawn).std() == pytest.approx(0.141, rel=0.05)


@pytest.mark.parametrize(
    "fields",
    [
        {"mean": 1},
        {"distribution": "exponential", "mean": "1ms"},
        {"distribution": "lognormal", "median": "1ms", "sigma": 3.0},
        {"distribution": "lognormal", "median": 0, "sigma": 1.0},
    ],
)
def test_draws_are_whole_milliseconds_and_never_negative(fields):
    drawn = sampler(model(**fields), stream(1, "test"))(1_000)
    assert all(type(ms) is int for ms in drawn)
    assert min(drawn) >= 0


@pytest.mark.parametrize("distribution", ["exponential", "lognormal"])
def test_one_by_one_draws_the_same_as_all_at_once(distribution):
    fields = {"distribution": distribution, "mean": 5, "median": 5, "sigma": 1.0}
    single = sampler(model(**fields), stream(1, "test"))
    assert [single(1)[0] for _ in range(50)] == draws(50, **fields).tolist()


def test_a_stream_depends_on_its_seed_and_name_and_on_nothing_else():
    def first(seed, name):
        return stream(seed, name).random()

    assert first(1, "boot") == first(1, "boot")
    assert len({first(1, "boot"), first(2, "boot"), first(1, "start")}) == 3


def test_a_model_without_its_parameter_is_refused():
    with pytest.raises(ValueError, match="lognormal distribution needs"):
        sampler(Distribution.model_construct(distribution="lognormal", median=None), stream(1, ""))
    with pytest.raises(ValueError, match="constant distribution needs"):
        sampler(Distribution.model_construct(distribution="constant", mean=None), stream(1, ""))
