"""Fleets to buy, for `stowplan bench optimal`: 20 task definitions, and Alibaba's services."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.workloads.arrivals import arrivals
from stowplan.placement.errors import SpecError
from stowplan.placement.optimal.buy import fleet_problem
from stowplan.placement.packing.fleet.problem import BinType, FleetProblem

DLRM = SCENARIOS / "dlrm.toml"
TASKS = 10_000
# name, CPU units, MiB, ENIs, Mbit/s, millionths of a dollar per hour
_OFFERS = (
    ("m.l", 2048, 7800, 58, 1000, 96_000),
    ("m.xl", 4096, 15700, 58, 1500, 192_000),
    ("m.2xl", 8192, 31600, 58, 2500, 384_000),
    ("c.xl", 4096, 7800, 58, 1500, 170_000),
    ("c.2xl", 8192, 15700, 80, 2500, 340_000),
    ("r.xl", 4096, 31600, 80, 1500, 252_000),
    ("r.2xl", 8192, 63900, 117, 2500, 504_000),
    ("m.4xl", 16384, 63900, 234, 5000, 768_000),
)


def twenty_definitions(rng: Generator, zones: int = 1) -> FleetProblem:
    """20 random task definitions, 10,000 tasks in all, 8 priced types, 4 dimensions."""
    demand = np.column_stack(
        [
            rng.choice([128, 256, 512, 768, 1024, 1536, 2048, 3072, 4096], 20),
            rng.integers(2, 65, 20) * 128,
            rng.integers(1, 40, 20),
            rng.integers(1, 8, 20) * 50,
        ]
    )
    types = tuple(BinType(name, np.array(room), price) for name, *room, price in _OFFERS)
    return FleetProblem(demand, rng.multinomial(TASKS, np.full(20, 1 / 20)), types, zones)


def dlrm() -> FleetProblem | None:
    """All 23,871 containers of Alibaba's trace at once; None where the trace is not there."""
    try:
        scenario = load_scenario(DLRM).scenario
    except SpecError as error:
        if all(place.endswith(".file") for place, _ in error.problems):
            return None
        raise
    return fleet_problem(scenario, list(arrivals(scenario, next(scenario.runs()))))
