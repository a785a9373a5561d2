"""How long things take in simulation: samplers of milliseconds, and named streams of chance."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from stowplan.placement.scenario.fields import Distribution

Sampler = Callable[[int], list[int]]


def stream(seed: int, name: str) -> Generator:
    """The generator of one purpose: the same seed and name give the same draws, whatever else is
    drawn elsewhere."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))


def sampler(model: Distribution, rng: Generator) -> Sampler:
    """A function that draws n times in ms, at least 0 each, from `model`.

    Raises:
        ValueError: the model lacks the parameter that its distribution needs.
    """
    if model.distribution == "lognormal":
        if model.median is None:
            raise ValueError("a lognormal distribution needs a median")
        mu, sigma = math.log(max(model.median, 1)), model.sigma
        return lambda n: np.rint(rng.lognormal(mu, sigma, n)).astype(np.int64).tolist()
    if model.distribution == "empirical":
        samples = np.array(model.samples, np.int64)
        return lambda n: rng.choice(samples, n).tolist()
    if model.mean is None:
        raise ValueError(f"a {model.distribution} distribution needs a mean")
    mean = model.mean
    if model.distribution == "exponential":
        return lambda n: np.rint(rng.exponential(mean, n)).astype(np.int64).tolist()
    return lambda n: [mean] * n
