"""The part of a scenario that says how long things take, and draws from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import numpy as np
from numpy.random import Generator
from pydantic import Field

from stowplan.placement.scenario.fields import Distribution, Duration, Number, Positive, Table
from stowplan.placement.times import BOOT_MS, DEFAULT_TIMES, default_ms

Sampler = Callable[[int], list[int]]

_BOOT = Distribution.model_validate({"mean": f"{BOOT_MS}ms"})
_START = Distribution.model_validate(
    {
        "distribution": "lognormal",
        "median": f"{default_ms('start')}ms",
        "sigma": DEFAULT_TIMES["start spread"].value,
    }
)
_STOP = Distribution.model_validate({"mean": f"{default_ms('stop')}ms"})


class Models(Table):
    """How long things take in simulation; the defaults are those of `placement.times`.

    Args:
        calibration: the file that `stowplan calibrate` wrote; it says all that is not said here.
        boot: from launch to registration, of what is launched during the run. What a fleet has at
            the start, and what an Auto Scaling group begins with, is up by then.
        servers: beside n - 1 other starts and stops on its machine, one takes 1 + (n - 1) / servers
            times as long; none: they do not slow each other down. `callers`: starts at a time on an
            instance, the others wait. `servers_shared`: all instances are on one machine.
        create: with `servers`, the call before a start. Tasks that start at the same moment all
            make it first; none: it is part of the start.
        tick: starts and ends of tasks are reported at multiples of it: a coarse one makes long runs
            faster, since what is reported together is decided together.
    """

    calibration: str | None = None
    boot: Distribution = _BOOT
    start: Distribution = _START
    create: Distribution | None = None
    stop: Distribution = _STOP
    tick: Annotated[Duration, Field(ge=1)] = 1
    servers: Annotated[Number, Field(gt=0)] | None = None
    callers: Positive | None = None
    servers_shared: bool = True


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
        draw = rng.exponential  # of one number alone it makes no array

        def exponential(n: int) -> list[int]:
            if n == 1:
                return [round(draw(mean))]
            drawn: list[int] = np.rint(draw(mean, n)).astype(np.int64).tolist()
            return drawn

        return exponential
    return lambda n: [mean] * n
