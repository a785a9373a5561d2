"""The part of a scenario that says how long things take."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stowplan.placement.scenario.fields import Distribution, Duration, Number, Positive, Table

# Measured on Docker 20.10 with a bridge network, 200 starts; and a stop by a process that obeys.
_START = Distribution.model_validate(
    {"distribution": "lognormal", "median": "257ms", "sigma": 0.141}
)
_STOP = Distribution.model_validate({"mean": "200ms"})


class Models(Table):
    """How long things take in simulation.

    Args:
        calibration: the file that `stowplan calibrate` wrote; it says all that is not said here.
        servers: beside n - 1 other starts and stops on its machine, one takes 1 + (n - 1) / servers
            times as long; none: they do not slow each other down. `callers`: starts at a time on an
            instance, the others wait. `servers_shared`: all instances are on one machine.
        create: with `servers`, the call before a start, which all that starts at the same moment
            makes first; none: it is part of the start.
        tick: starts and ends of tasks are reported at multiples of it: a coarse one makes long runs
            faster, since what is reported together is decided together.
    """

    calibration: str | None = None
    boot: Distribution = Distribution(mean=0)
    start: Distribution = _START
    create: Distribution | None = None
    stop: Distribution = _STOP
    tick: Annotated[Duration, Field(ge=1)] = 1
    servers: Annotated[Number, Field(gt=0)] | None = None
    callers: Positive | None = None
    servers_shared: bool = True
