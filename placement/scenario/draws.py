"""Distributions by name: what each needs, and how it draws.

Sources: Johnson, Kotz, Balakrishnan (1994), Continuous Univariate Distributions, vol. 1 (Pareto's
first kind in 20, Weibull in 21); hyperexponential: a mixture of exponentials (Bolch et al. (2006),
Queueing Networks and Markov Chains, 1.2.1.3). `scipy:NAME` is SciPy's of that name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.random import Generator

SCIPY = "scipy:"
# Name: the keys that it needs.
NEEDED: Mapping[str, tuple[str, ...]] = {
    "constant": ("mean",),
    "exponential": ("mean",),
    "lognormal": ("median",),
    "empirical": ("samples",),
    "pareto": ("mean", "shape"),
    "weibull": ("mean", "shape"),
    "hyperexponential": ("means", "weights"),
}
Draw = Callable[[int], Any]  # so many times in ms, not rounded


def scipy_distribution(name: str, parameters: Mapping[str, float]) -> Any:
    """SciPy's continuous distribution `scipy:NAME`, frozen with its parameters.

    Raises:
        ValueError: SciPy has none of that name, or its parameters are other ones or out of range.
    """
    from scipy import stats  # slow to import, and few need it

    found = getattr(stats, name.removeprefix(SCIPY), None)
    if not isinstance(found, stats.rv_continuous):
        raise ValueError(f"SciPy has no continuous distribution {name.removeprefix(SCIPY)!r}")
    shapes = [each.strip() for each in (found.shapes or "").split(",") if each.strip()]
    if set(parameters) - {"loc", "scale"} != set(shapes):
        wanted = ", ".join([*shapes, "and if need be loc and scale"])
        raise ValueError(f"{name} needs parameters {wanted}; found {', '.join(parameters)}")
    frozen = found(**parameters)
    if not math.isfinite(frozen.median()):
        raise ValueError(f"{name} has no distribution with {dict(parameters)}")
    return frozen


def further(model: Any, rng: Generator) -> Draw:
    """Draws from a checked `Distribution` of a kind that is not among the first four."""
    name = model.distribution
    if name == "pareto":
        least = model.mean * (model.shape - 1) / model.shape
        return lambda n: least * (1 + rng.pareto(model.shape, n))
    if name == "weibull":
        scale = model.mean / math.gamma(1 + 1 / model.shape)
        return lambda n: scale * rng.weibull(model.shape, n)
    if name == "hyperexponential":
        means = np.array(model.means, np.float64)
        shares = np.array(model.weights) / sum(model.weights)
        return lambda n: rng.exponential(means[rng.choice(means.size, n, p=shares)])
    frozen = scipy_distribution(name, model.parameters)
    return lambda n: np.maximum(model.scale * frozen.rvs(n, random_state=rng), 0)


def problem(model: Any) -> str | None:
    """What is wrong with a distribution whose keys are of the right types; None: nothing."""
    name = model.distribution
    if name.startswith(SCIPY):
        if model.scale is None:
            return f"a {name} distribution needs scale, the time that 1 stands for"
        try:
            scipy_distribution(name, model.parameters)
        except ValueError as error:
            return str(error)
        return None
    for needed in NEEDED[name]:
        if getattr(model, needed) in (None, ()):
            return f"a {name} distribution needs {needed}"
    if name == "pareto" and model.shape <= 1:
        return f"a pareto distribution has a mean only with shape above 1, found {model.shape:g}"
    parts = {"hyperexponential": model.means, "empirical": model.samples}.get(name)
    if parts is not None and model.weights:
        if len(model.weights) != len(parts):
            return f"{len(parts)} times, but {len(model.weights)} weights"
        if not sum(model.weights):
            return "all weights are 0"
    return None
